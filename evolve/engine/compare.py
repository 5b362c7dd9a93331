"""The end of a run: the best program beside the seed and the baselines, on held-out cases."""

from __future__ import annotations

from dataclasses import dataclass

import anyio

from evolve.config.problem import Problem
from evolve.core.evaluation import Evaluation, Outcome, Stage
from evolve.core.program import Program
from evolve.engine.sampling import Judging
from evolve.store.store import Store


@dataclass(slots=True)
class Compared:
    """One program of the comparison, with its evaluation on each stage that has cases."""

    name: str
    program_id: int
    stages: dict[Stage, Evaluation]


async def compare(
    problem: Problem,
    best: Program | None,
    store: Store,
    run_id: int,
    judging: Judging,
    stages: tuple[Stage, ...],
) -> tuple[Compared, ...]:
    """Evaluate and commit what has no evaluation yet; return one row per program, ``best`` first.

    Baselines become programs of the run, but they never enter its archive.
    """
    rows: list[Compared] = []
    found: dict[int, dict[Stage, Evaluation]] = {}  # two names may mean one program
    async with anyio.create_task_group() as tasks:
        for name, program in _contestants(problem, best):
            added = store.add_program(
                run_id,
                program,
                proposal_id=None,
                parent_ids=[],
                generation=0,
                operator=f"baseline:{name}",
            )
            wanted = () if added.id in found else stages
            row = Compared(name, added.id, found.setdefault(added.id, {}))
            rows.append(row)
            for stage in wanted:
                tasks.start_soon(_fill, row, program, stage, store, judging)
    return tuple(rows)


def _contestants(problem: Problem, best: Program | None) -> list[tuple[str, Program]]:
    found = [] if best is None else [("best found", best)]
    return [
        *found,
        ("seed program", problem.seed_program),
        *((baseline.name, baseline.program) for baseline in problem.baselines),
    ]


async def _fill(
    row: Compared, program: Program, stage: Stage, store: Store, judging: Judging
) -> None:
    """Put the evaluation of ``program`` on ``stage`` into ``row``, made only if it is not there."""
    evaluation = store.evaluation_of(row.program_id, stage, judging.version)
    if evaluation is None:
        evaluation = await judging.judge(row.program_id, program, stage)
        if evaluation.outcome is not Outcome.INFRASTRUCTURE:
            store.commit_evaluation(row.program_id, evaluation, [])
    row.stages[stage] = evaluation
