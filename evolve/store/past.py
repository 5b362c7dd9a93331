"""What earlier runs of a database tell about the next one: calls, pace, yield."""

from __future__ import annotations

from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Connection, Float, Select, and_, case, cast, func, select

from evolve.store.schema import completions, evaluations, programs, proposals, runs
from evolve.store.summaries import FOR_GRADES

#: Fewer than this tell nothing.
ENOUGH = 5
#: Calls that are not for grades, those of proposals that have not ended among them.
_WRITING = case((FOR_GRADES, 0), else_=1) == 1


class PastCalls(NamedTuple):
    """Answered calls of a model: how many, and their means."""

    calls: int
    input: float
    output: float
    latency_s: float


class PastGrades(NamedTuple):
    """Answered calls of a model for grades: of each evaluation, and their means."""

    each: float
    input: float
    output: float
    latency_s: float


class PastYield(NamedTuple):
    """Ended proposals of an operator: how many, calls of each, and the share evaluated."""

    proposals: int
    calls: float
    fruitful: float


def past_calls(connection: Connection, model: str) -> PastCalls | None:
    """Return what a model's calls came to, in all runs, but for grades; None for too few."""
    row = connection.execute(
        _answered(model).join(proposals).where(_WRITING, completions.c.tokens_output > 0)
    ).one()
    return PastCalls(*row) if row[0] >= ENOUGH else None


def past_grades(connection: Connection, evaluator: str, model: str) -> PastGrades | None:
    """Return what a model's grades of a problem's programs came to; None for too few."""
    graded = (
        select(proposals.c.run_id)
        .join(completions)
        .join(runs, runs.c.id == proposals.c.run_id)
        .where(runs.c.problem_hash == evaluator, completions.c.model == model, FOR_GRADES)
        .distinct()
    )
    calls, *means = connection.execute(
        _answered(model).join(proposals).where(FOR_GRADES, proposals.c.run_id.in_(graded))
    ).one()
    evaluated = connection.scalar(
        select(func.count()).where(
            proposals.c.run_id.in_(graded), proposals.c.status == "evaluated"
        )
    )
    return PastGrades(calls / evaluated, *means) if calls >= ENOUGH and evaluated else None


def _answered(model: str) -> Select[int, float, float, float]:
    """Return how to count answered calls of a model, with their means."""
    return (
        select(
            func.count(),
            _mean(completions.c.tokens_input),
            _mean(completions.c.tokens_output),
            _mean(completions.c.latency_s),
        )
        .select_from(completions)
        .where(
            completions.c.model == model,
            completions.c.state == "received",
            completions.c.tokens_assumed == 0,
        )
    )


def past_yield(connection: Connection, evaluator: str, operator: str) -> PastYield | None:
    """Return what an operator's proposals came to on a problem; None for too few.

    Calls are those of the model that writes.
    """
    ended = (
        select(
            proposals.c.id,
            case((proposals.c.status == "evaluated", 1.0), else_=0.0).label("fruitful"),
            func.count(completions.c.id).label("calls"),
        )
        .join(runs, runs.c.id == proposals.c.run_id)
        .outerjoin(
            completions,
            and_(
                completions.c.proposal_id == proposals.c.id,
                proposals.c.model.in_([completions.c.model, ""]),  # "": of a database of long ago
                _WRITING,
            ),
        )
        .where(
            runs.c.problem_hash == evaluator,
            runs.c.kind == "search",
            proposals.c.operator == operator,
            proposals.c.status != "open",
        )
        .group_by(proposals.c.id, proposals.c.status)
        .subquery()
    )
    row = connection.execute(
        select(func.count(), _mean(ended.c.calls), _mean(ended.c.fruitful))
    ).one()
    return PastYield(*row) if row[0] >= ENOUGH else None


class PastPace(NamedTuple):
    """Seconds of evaluations, as multiples of the seed program's on the search cases.

    Attributes:
        others: Those of other programs on the search cases.
        held_out: Those on held-out cases; None where there were none.
    """

    others: float
    held_out: float | None


def past_pace(connection: Connection, evaluator: str) -> PastPace | None:
    """Return how long evaluations took beside that of the seed program; None for too few."""
    of_seed, on_search = programs.c.operator == "seed", evaluations.c.stage == "search"
    row = connection.execute(
        select(
            func.count(),
            _mean(case((of_seed & on_search, evaluations.c.wall_ns))),
            _mean(case((~of_seed & on_search, evaluations.c.wall_ns))),
            _mean(case((~on_search, evaluations.c.wall_ns))),
        )
        .join(programs, programs.c.id == evaluations.c.program_id)
        .where(evaluations.c.evaluator == evaluator, evaluations.c.copied_from.is_(None))
    ).one()
    count, seed_ns, others_ns, held_out_ns = row
    if count < ENOUGH or not seed_ns or not others_ns:
        return None
    return PastPace(others_ns / seed_ns, held_out_ns / seed_ns if held_out_ns else None)


def _mean(column: ColumnElement[Any]) -> ColumnElement[float]:
    """Return a mean as a float; PostgreSQL's of integers is a decimal number."""
    return func.avg(cast(column, Float))
