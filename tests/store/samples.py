"""Small valid values, and a search in miniature, for the tests of the store."""

from __future__ import annotations

from dataclasses import dataclass, replace

from evolve.core.evaluation import CaseResult, Evaluation, Outcome, Score, Usage
from evolve.core.measures import Measure, Objective
from evolve.core.program import Program
from evolve.store.calls import TokenCounts
from evolve.store.records import ArchiveEvent, NewRun
from evolve.store.store import Store

EVALUATOR = "e" * 64
TOKENS = TokenCounts(100, 20, 30, 5)


@dataclass
class Clock:
    """A clock that a test moves."""

    now: float = 1_000_000.0

    def __call__(self) -> float:
        return self.now


@dataclass(frozen=True)
class SampleReply:
    """A model's reply, shaped like `evolve.llm.base.Completion`."""

    text: str = "a reply"
    finish: str = "stop"
    tokens: TokenCounts = TOKENS
    latency_s: float = 0.5
    model: str = "sample-1-2026"


def new_run(name: str = "sample", config_hash: str = "c" * 64) -> NewRun:
    return NewRun(
        name=name,
        problem="sphere",
        seed=7,
        config_json='{"seed": 7}',
        config_hash=config_hash,
        problem_hash="p" * 64,
        evaluator_ref="sphere:Sphere",
        provenance={"python": "3.11", "image": None},
        objective=Objective("loss", "minimize", 10.0),
        measures=(Measure("length", 0, 100, 10), Measure("depth", 0.0, 1.0, 4)),
    )


def program(number: int) -> Program:
    return Program({"main.py": f"x = {number}\n"})


def scored(objective: float = 1.5, **changes: object) -> Evaluation:
    evaluation = Evaluation(
        outcome=Outcome.OK,
        score=Score(
            objective,
            measures={"length": 12.0, "depth": 0.25},
            metrics={"spread": 0.1},
            feedback="case 2 is the worst",
            artifacts={"trace": "1\n2\n"},
        ),
        usage=Usage(2_000_000_000_000, 1_500_000_000_000, 5_000_000_000),
        cases=(
            CaseResult("easy", Outcome.OK, Score(objective - 1, feedback="fine"), Usage(1, 2, 3)),
            CaseResult("hard", Outcome.OK, Score(objective + 1, artifacts={"log": "slow"})),
        ),
        stdout="hello\n",
        stderr="a warning\n",
        evaluator=EVALUATOR,
    )
    return replace(evaluation, **changes)  # type: ignore[arg-type] # the test names the fields


def failed(outcome: Outcome = Outcome.EXCEPTION, message: str = "ValueError: no") -> Evaluation:
    return Evaluation(outcome, message=message, evaluator=EVALUATOR)


def entering(
    program_id: int, cell: int, fitness: float, replaced: int | None = None
) -> ArchiveEvent:
    status = "new" if replaced is None else "improve"
    measures = {"length": 12.0, "depth": 0.25}
    leaving = () if replaced is None else (replaced,)
    return ArchiveEvent(program_id, 0, cell, status, fitness, measures, leaving)


def propose(store: Store, run_id: int, iteration: int, number: int, parent: int) -> int:
    """Take one proposal as far as its program and return the program's id."""
    proposal = store.begin_proposal(run_id, iteration, "diff", 0, [parent], [])
    call = store.send_completion(proposal, "openai/sample", '{"messages": []}', {}, 0.5)
    store.receive_completion(call, SampleReply(f"x = {number}"), 0.01)
    return store.add_program(
        run_id,
        program(number),
        proposal_id=proposal,
        parent_ids=[parent],
        generation=1,
        operator="diff",
        summary=f"set x to {number}",
    ).id
