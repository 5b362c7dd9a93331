"""What model calls cost, and what came of the proposals that they were made for."""

from __future__ import annotations

from typing import Any, Literal, TypeAlias

from sqlalchemy import Case, ColumnElement, Connection, and_, case, distinct, func, or_, select

from evolve.core.evaluation import Outcome
from evolve.store.calls import Spending, TokenCounts
from evolve.store.schema import completions, evaluations, parents, programs, proposals, runs
from evolve.store.summaries import COST, ENDED, FOR_GRADES, TOKENS, UNPRICED

By: TypeAlias = Literal["model", "operator", "outcome"]

_own, _parental = evaluations.alias("own"), evaluations.alias("parental")
_VALID = _own.c.outcome == Outcome.OK.value
_IMPROVED = and_(
    _VALID,
    or_(
        and_(runs.c.direction == "maximize", _own.c.objective > _parental.c.objective),
        and_(runs.c.direction == "minimize", _own.c.objective < _parental.c.objective),
    ),
)
_CAME_OF_IT = case(
    (proposals.c.status.in_(["rejected", "wrote"]), proposals.c.reason),
    (_IMPROVED, "improved"),
    (_VALID, "valid"),
    else_=func.coalesce(_own.c.outcome, proposals.c.status),
)


def spending(connection: Connection, run_id: int, by: By) -> tuple[Spending, ...]:
    """Return what model calls cost, grouped, dearest first.

    A proposal's outcome is why it was rejected, ``instruction`` where it wrote one, ``duplicate``,
    the outcome of its evaluation where that gave no score, ``improved`` where the program is
    better than its parent, else ``valid``.
    """
    group: ColumnElement[Any] = {
        "model": completions.c.model,
        "operator": case((FOR_GRADES, "grades"), else_=proposals.c.operator),
        "outcome": _CAME_OF_IT,
    }[by]
    rows = connection.execute(
        select(
            group,
            func.count(),
            _calls(completions.c.state == "received"),
            *TOKENS,
            _calls(and_(completions.c.tokens_assumed == 1, ENDED)),
            COST,
            UNPRICED,
            func.avg(case((completions.c.state == "received", completions.c.latency_s))),
            func.count(distinct(proposals.c.id)),
            _proposals(proposals.c.status.in_(["duplicate", "added", "evaluated"])),
            _proposals(_VALID),
            _proposals(_IMPROVED),
        )
        .select_from(
            completions.join(proposals)
            .join(runs)
            .outerjoin(programs, programs.c.proposal_id == proposals.c.id)
            .outerjoin(
                parents, and_(parents.c.program_id == programs.c.id, parents.c.position == 0)
            )
            .outerjoin(_own, _own.c.id == _first_verdict(programs.c.id))
            .outerjoin(_parental, _parental.c.id == _first_verdict(parents.c.parent_id))
        )
        .where(proposals.c.run_id == run_id)
        .group_by(group)
        .order_by(COST.desc(), func.count().desc(), group)
    )
    return tuple(_spending(*row) for row in rows)


def _spending(group: str, calls: int, replies: int, *rest: Any) -> Spending:  # noqa: ANN401 - columns
    counts = len(TokenCounts._fields)
    return Spending(group, calls, replies, TokenCounts(*rest[:counts]), *rest[counts:])


def _calls(which: ColumnElement[bool]) -> ColumnElement[int]:
    return func.coalesce(func.sum(case((which, 1), else_=0)), 0)


def _proposals(which: ColumnElement[bool]) -> ColumnElement[int]:
    chosen: Case[Any] = case((which, proposals.c.id))
    return func.count(distinct(chosen))


def _first_verdict(program: ColumnElement[int]) -> Any:  # noqa: ANN401 - SQLAlchemy's own type
    first = evaluations.alias()
    return (
        select(func.min(first.c.id))
        .where(
            first.c.program_id == program,
            first.c.stage == "search",
            first.c.outcome != Outcome.INFRASTRUCTURE.value,
        )
        .scalar_subquery()
    )
