"""Instructions: what each earns, which is chosen, and how new ones come about."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import anyio
import numpy as np
import pytest
from pydantic import ValidationError

from evolve.config.models import RunConfig
from evolve.config.proposing import InstructionsConfig
from evolve.core.errors import ConfigError
from evolve.core.measures import Objective
from evolve.llm.base import Completion
from evolve.propose.base import INSTRUCT, NO_INSTRUCTION, WRITTEN, Instruction, Rejected
from evolve.propose.instruct import open_instructor, paragraph
from evolve.propose.instructions import InstructionPool
from evolve.propose.portfolio import open_portfolio
from evolve.store.records import Ended
from tests.propose.situations import Model, context, individual

GOAL = Objective("o")


def pool(**changes: object) -> InstructionPool:
    made = InstructionPool(InstructionsConfig.model_validate(changes), GOAL)
    made.tell(fact(0, objective=0.0, program=1)._replace(parents=(), iteration=None))
    return made


def fact(
    shown: int | None,
    *,
    objective: float | None = None,
    program: int | None = None,
    how: str = "",
    wrote: int | None = None,
    message: str = "",
) -> Ended:
    return Ended(
        iteration=0,
        operator="diff" if wrote is None else INSTRUCT,
        model="m",
        island=0,
        parents=(1,),
        program_id=program,
        summary="",
        ended=how or ("syntax" if objective is None else "ok"),
        objective=objective,
        message=message,
        cost_usd=0.0,
        at=0.0,
        instruction=shown,
        wrote=wrote,
    )


def written(number: int) -> Ended:
    return fact(None, how=WRITTEN, wrote=number, message=f"text {number}")


def test_what_helps_is_chosen_more_often_and_nothing_is_always_a_choice() -> None:
    made = pool(texts=["helps", "  does\nnot "])
    assert made.get(2).text == "does not"
    rng = np.random.default_rng(0)
    chosen: Counter[int] = Counter()
    for step in range(300):
        shown = made.choose(rng).number
        chosen[shown] += 1
        good = rng.random() < {0: 0.2, 1: 0.6, 2: 0.05}[shown]
        made.tell(fact(shown, objective=1.0 if good else -1.0, program=2 + step))
    assert chosen[1] > 200
    assert set(chosen) == {0, 1, 2}
    best, *_ = made.rated()
    assert (best.instruction.number, best.tally.pulls) == (1, chosen[1])
    assert best.tally.valid == best.tally.applied == chosen[1] > best.tally.improved


def test_the_same_facts_make_the_same_choices() -> None:
    def choices() -> list[int]:
        made = pool(texts=["a", "b"], keep=3)
        found = []
        for step in range(60):
            shown = made.choose(np.random.default_rng([7, step])).number
            found.append(shown)
            made.tell(fact(shown, objective=float(step % 5), program=2 + step))
            if step % 10 == 9:
                made.tell(written(3 + step // 10))
        return found

    assert choices() == choices()


def test_the_population_is_bounded_and_the_worst_goes() -> None:
    made = pool(keep=2)
    for number in (1, 2):
        made.tell(written(number))
    for step in range(8):
        made.tell(fact(1, program=2 + step, objective=-1.0))
        made.tell(fact(2, program=20 + step, objective=1.0 + step))
        made.tell(fact(0, program=40 + step, objective=-1.0))
    made.tell(written(5))
    live = {each.instruction.number: each.live for each in made.rated()}
    assert live == {0: True, 1: False, 2: True, 5: True}
    assert made.rated()[-1].instruction == Instruction(1, "text 1"), "those given up are last"
    made.tell(fact(1, program=60, objective=99.0))  # was in flight: counted, not chosen again
    assert {made.choose(np.random.default_rng(n)).number for n in range(200)} == {2, 5}
    assert made.get(1).text == "text 1"


def test_faults_of_others_are_not_blamed_on_an_instruction() -> None:
    made = pool(texts=["a"])
    for how in ("model_error", "budget", "interrupted", NO_INSTRUCTION):
        made.tell(fact(1, how=how))
    made.tell(fact(None, objective=1.0, program=2))  # of an operator that shows none
    assert [each.tally.pulls for each in made.rated()] == [0, 0]


def test_every_so_many_iterations_one_writes() -> None:
    made = pool(every=4, texts=["a"])
    assert [n for n in range(12) if made.due(n)] == [3, 7, 11]
    assert [made.number_of(n) for n in (3, 7, 11)] == [2, 3, 4]
    assert not any(pool(every=0, texts=["a"]).due(n) for n in range(20))
    for wrong in ({"every": 1}, {"keep": 1, "texts": ["a", "b"]}, {"length": 5000}):
        with pytest.raises(ValidationError):
            InstructionsConfig.model_validate(wrong)


def write(reply: str | Completion, **changes: object) -> tuple[Instruction | Rejected, Model]:
    """Write the instruction of iteration 19 in a pool with a good and a bad one."""
    config = InstructionsConfig.model_validate({"texts": ["good one", "bad one"], **changes})
    instructor = open_instructor(config, ["m"], GOAL, Path())
    for step in range(5):
        instructor.pool.tell(fact(1, objective=1.0 + step, program=2 + step))
        instructor.pool.tell(fact(2))
    model = Model([reply])
    operator = instructor.operator(19)
    return anyio.run(operator.propose, context(individual(1), model=model)), model


def test_a_model_sees_how_the_others_did_and_no_word_of_a_program() -> None:
    result, model = write(" First, look for\nsymmetry.\n", texts=["good one", "bad one"])
    assert result == Instruction(3, "First, look for symmetry.")
    prompt = model.told(0)
    assert "Pack them well." in prompt
    assert prompt.index("good one") < prompt.index("bad one")
    assert "instruction 1: used 5 times" in prompt
    assert "instruction 2: used 5 times, 0 valid programs" in prompt
    assert "no instruction at all: not used yet" in prompt
    assert "scale" not in prompt, "candidates must not be able to speak through instructions"


@pytest.mark.parametrize(
    ("reply", "says"),
    [
        (Completion("", "refusal"), "refusal"),
        (Completion("half a", "length"), "truncated"),
        (Completion("", "empty"), "empty"),
        ("bad   one", "the same as instruction 2"),
        ("``` ```", "no words"),
    ],
)
def test_what_is_no_new_instruction_is_none(reply: str | Completion, says: str) -> None:
    result, _ = write(reply)
    assert isinstance(result, Rejected)
    assert (result.reason, says in result.message) == (NO_INSTRUCTION, True)


def test_replies_become_one_bounded_paragraph() -> None:
    assert paragraph("<think>hm</think># Try\n\nthis\x00.", 100) == "Try this ."
    text = paragraph("One sentence here. " * 50, 100)
    assert text.endswith("here.")
    assert 50 < len(text) <= 100
    assert len(paragraph("word " * 500, 100)) <= 100
    assert len(paragraph("x" * 500, 100)) <= 100


def test_a_configuration_that_cannot_work_is_refused() -> None:
    base = {"problem": "p", "stop": {"evaluations": 1}, "instructions": {}}
    llm = RunConfig.model_validate({**base, "proposers": [{"kind": "diff"}]})
    assert open_portfolio(llm, ["m"], GOAL, Path()).instructor is not None
    genetic = RunConfig.model_validate({**base, "proposers": [{"kind": "genetic"}]})
    with pytest.raises(ConfigError, match="no operator of this run would show one"):
        open_portfolio(genetic, ["m"], GOAL, Path())
    other = llm.model_copy(update={"instructions": InstructionsConfig(model="x")})
    with pytest.raises(ConfigError, match="'x' is not configured"):
        open_portfolio(other, ["m"], GOAL, Path())
