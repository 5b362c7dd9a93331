"""Evaluate programs that have been evaluated before, and see which scores moved."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import anyio

from evolve.core.evaluation import Evaluation, Start
from evolve.core.program import Program
from evolve.engine.assemble import Bench
from evolve.engine.assess import Assessor
from evolve.engine.events import Observer
from evolve.store.reader import Reader


@dataclass(frozen=True, slots=True)
class Moved:
    """A program whose evaluation came out differently; objectives are None without a score."""

    program: int
    hash: str
    outcome: str
    outcome_again: str
    objective: float | None
    objective_again: float | None


def compared(program: int, hash_: str, before: Evaluation, after: Evaluation) -> Moved | None:
    """Return how two evaluations of a program differ in outcome, objective or measures, if so."""
    old, new = before.score, after.score
    same_score = (
        old is None
        if new is None
        else old is not None
        and (old.objective, dict(old.measures)) == (new.objective, dict(new.measures))
    )
    if before.outcome is after.outcome and same_score:
        return None
    return Moved(
        program,
        hash_,
        before.outcome.value,
        after.outcome.value,
        None if old is None else old.objective,
        None if new is None else new.objective,
    )


def evaluated_programs(reader: Reader, run_id: int, version: str) -> Iterator[int]:
    """Yield the programs of a run that an evaluator version has judged on the search cases."""
    for entry in reader.programs(run_id):
        if reader.evaluation_of(entry.id, "search", version) is not None:
            yield entry.id


async def evaluate_again(
    bench: Bench,
    programs: Iterable[tuple[int, Program]],
    each: Callable[[int, Evaluation], None],
    emit: Observer = lambda _: None,
    *,
    seed_of: Callable[[int], int | None] = lambda _: None,
    given: Callable[[int], Start | None] = lambda _: None,
) -> None:
    """Evaluate programs on the search cases, as many at once as there are slots.

    Args:
        bench: What judges them.
        programs: Ids and sources.
        each: Given every evaluation as soon as it is there.
        emit: Told of faults, which are retried.
        seed_of: Returns that of the repeat to make again, where scores vary.
        given: Finds what a program goes on from, in search mode.

    Raises:
        RunFailed: too many programs in a row met infrastructure faults.
        EvaluatorError: the evaluator failed on too many in a row.
    """
    assess = Assessor(bench.pool, bench.evaluate, emit, lambda _: None)
    waiting = iter(programs)

    async def work() -> None:
        for number, program in waiting:
            seed = seed_of(number)
            (evaluation,) = await assess.together([program], "search", seed, given(number))
            each(number, evaluation)

    async with anyio.create_task_group() as tasks:
        for _ in bench.pool.busy_s:  # as many as there may be
            tasks.start_soon(work)
