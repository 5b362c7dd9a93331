"""Numbers as parameters: found, replaced, searched by CMA-ES from the trials alone."""

from __future__ import annotations

import math
from dataclasses import replace

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evolve.core.evaluation import Evaluation, Outcome, Score
from evolve.core.measures import Objective
from evolve.core.program import Program
from evolve.propose.base import Candidate, Individual, Rejected
from evolve.propose.constants import constants, with_values
from evolve.propose.tune import TuneProposer
from tests.propose.situations import PROBLEM, SEED, context, individual


def values(program: Program) -> list[float]:
    return [constant.value for constant in constants(program)]


def test_the_floats_of_the_blocks_are_found_with_their_signs() -> None:
    source = (
        "a = 9.5\n# EVOLVE-BLOCK-START\ndef f(x):\n    'é 1.5'\n"
        "    y = 2 * x ** -0.5 + 1e-3  # 7.5\n    return f'{x:1.2f}{0.25}' if x-0.75 else-4.0\n"
        "# EVOLVE-BLOCK-END\nb = 8.5\n"
    )
    assert values(Program({"a.py": source})) == [-0.5, 1e-3, 0.75, -4.0]
    assert values(Program({"a.cpp": "double a = 1.5;\n"})) == []
    assert values(Program({"a.py": "x = (1.5"})) == []


def test_a_comment_bounds_the_numbers_of_its_line_and_opens_whole_ones() -> None:
    source = (
        "a = 64  # tune: 32..1024\nb = 0.5  # tune: 0..1 a share\nc = 3  # tune 1..9\n"
        "d = 4  # tune: 9..1\ne = [1, -2]  # tune: -2.5..2.5\nf = 5  # tune: 4.9..5.1\n"
    )
    program = Program({"a.py": source})
    found = constants(program)
    assert [(c.value, c.low, c.high, c.whole) for c in found] == [
        (64, 32, 1024, True),
        (0.5, 0, 1, False),
        (1, -2.5, 2.5, True),
        (-2, -2.5, 2.5, True),
    ]
    fitting = [c.fitting(value) for c, value in zip(found, (2000.3, -1.0, 1.6, -7), strict=True)]
    assert fitting == [1024, 0, 2, -2]
    changed = with_values(program, fitting).files["a.py"].splitlines()
    assert changed[0] == "a = 1024  # tune: 32..1024"
    assert changed[4] == "e = [2, (-2)]  # tune: -2.5..2.5"
    assert [c.value for c in constants(Program({"a.py": "\n".join(changed)}))] == fitting


@pytest.mark.parametrize(
    "line",
    [
        "a = 4  # tune: 1..2..3",
        "a = 4  # tune: 1.2.3..5",
        "a = 4  # tune: 1..1e999",
        "a = 4  # tune: -1e999..9",
        f"a = {10**400}  # tune: 1..9",
    ],
)
def test_a_comment_that_makes_no_sense_opens_nothing(line: str) -> None:
    program = Program({"a.py": f"{line}\nb = 0.5\n"})
    assert [(c.value, c.whole) for c in constants(program)] == [(0.5, False)]
    assert values(propose(TuneProposer(), individual(1, program.files["a.py"]), [], 0)) != [0.5]


def test_whole_numbers_are_not_tried_twice() -> None:
    block = "# EVOLVE-BLOCK-START\ndef f():\n    return 4  # tune: 1..9\n# EVOLVE-BLOCK-END\n"
    operator, parent = TuneProposer(), individual(1, block)
    trials: list[Individual] = []
    for number in range(8):
        program = propose(operator, parent, trials, number)
        loss = Score(abs(values(program)[0] - 7))
        trials.append(Individual(number + 2, program, Evaluation(Outcome.OK, loss)))
    assert {values(trial.program)[0] for trial in trials} == {1, 2, 3, 5, 6, 7, 8, 9}


@given(st.lists(st.floats(-1e12, 1e12), min_size=3, max_size=3))
def test_replaced_values_are_read_back_and_the_rest_stays(numbers: list[float]) -> None:
    program = Program({"a.py": "x = 1.5  # é\ny = ['é', 2.0, x-3.5]\n"})
    changed = with_values(program, numbers)
    assert values(changed) == pytest.approx([abs(n) if n == 0 else n for n in numbers])
    assert "# é" in changed.files["a.py"]
    assert (
        with_values(changed, [1.5, 2.0, 3.5]).files["a.py"].replace("(", "").replace(")", "")
        == (program.files["a.py"])
    )


def test_a_sign_may_come_and_go_beside_a_keyword() -> None:
    program = Program({"a.py": "def f():\n    return-0.5\n"})
    assert with_values(program, [0.25]).files["a.py"] == "def f():\n    return 0.25\n"


def propose(
    operator: TuneProposer, parent: Individual, trials: list[Individual], seed: int
) -> Program:
    given_context = context(
        parent,
        seed=seed,
        trials=trials,
        problem=replace(PROBLEM, objective=Objective("loss", "minimize")),
    )
    result = anyio.run(operator.propose, given_context)
    assert isinstance(result, Candidate)
    return result.program


def judged(number: int, program: Program) -> Individual:
    """Judge by the distance to (2, -3), with failures far away."""
    x, y = values(program)
    loss = math.hypot(x - 2, 4 * (y + 3))
    if loss > 40:
        return Individual(number, program, Evaluation(Outcome.EXCEPTION, message="far away"))
    return Individual(number, program, Evaluation(Outcome.OK, Score(loss)))


def test_a_series_closes_in_on_the_optimum_whatever_runs_in_parallel() -> None:
    operator, parent = TuneProposer(evaluations=300), individual(1)
    trials: list[Individual] = []
    for batch in range(50):  # six at once, from the same state
        made = [propose(operator, parent, trials, 6 * batch + k) for k in range(6)]
        trials += [judged(len(trials) + k, program) for k, program in enumerate(made)]
    best = min(t.evaluation.score.objective for t in trials if t.evaluation.score is not None)
    assert best < 1e-3


def test_the_state_is_in_the_trials_alone() -> None:
    one, two, parent = TuneProposer(), TuneProposer(), individual(1)
    trials: list[Individual] = []
    for number in range(15):
        program = propose(one, parent, trials, number)
        trials.append(judged(number, program))
    assert propose(two, parent, trials, 99) == propose(one, parent, trials, 99)
    assert propose(one, parent, trials, 99) != propose(one, parent, trials, 98)
    assert propose(one, parent, trials, 99) != propose(one, parent, trials[:6], 99)


def test_only_numbers_change() -> None:
    program = propose(TuneProposer(), individual(1), [], 3)
    assert len(values(program)) == 2
    first, second = values(program)
    assert program.files["solve.py"] == SEED.replace("0.5", repr(first)).replace(
        "-1.5", repr(second) if second >= 0 else f"({second!r})"
    )


def test_programs_without_numbers_are_left_alone() -> None:
    operator = TuneProposer()
    parent = individual(1, "def pack(n):\n    return n\n")
    assert not operator.suits(parent.program)
    assert operator.suits(individual(1).program)
    assert not TuneProposer(most=1).suits(individual(1).program)
    result = anyio.run(operator.propose, context(parent))
    assert isinstance(result, Rejected)
    assert result.reason == "no_numbers"


@pytest.mark.parametrize("options", [{"evaluations": 0}, {"spread": 0.0}, {"most": 0}])
def test_wrong_options_are_refused(options: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="must be"):
        TuneProposer(**options)  # type: ignore[arg-type]  # each names a real option
