"""The controllers of a shared run: who works on it, and who may no longer be heard of."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import ColumnElement, Connection, func, select, update

from evolve.store.process import is_dead
from evolve.store.schema import controllers, notices


@dataclass(frozen=True, slots=True)
class ControllerRecord:
    """One session of a process that shares a run with others.

    Attributes:
        id: The token of everything it has leased; never used twice.
        holder: How people find it, such as ``host:pid``.
        status: ``working``, ``closing`` (it waits for nobody and finishes the run); then
            ``finished``, ``interrupted``, ``failed``, or ``lost`` when others had to take over.
        reason: Why it ended.
        seen_at: When it was last heard of.
        evaluations: Evaluations that it has committed.
        live: Whether it may be at work.
    """

    id: int
    holder: str
    status: str
    reason: str
    started_at: float
    seen_at: float
    ended_at: float | None
    evaluations: int
    live: bool

    @property
    def state(self) -> str:
        """How it stands, in one word; one that is not heard of any more is lost."""
        return "lost" if self.ended_at is None and not self.live else self.status


def read_controllers(
    connection: Connection, run_id: int, now: float, *, unended: bool = False
) -> tuple[ControllerRecord, ...]:
    """Return the controllers that a run has had, oldest first; ``unended``: those that go on."""
    query = select(controllers).where(controllers.c.run_id == run_id).order_by(controllers.c.id)
    if unended:
        query = query.where(controllers.c.ended_at.is_(None))
    return tuple(
        ControllerRecord(
            id=row.id,
            holder=row.holder,
            status=row.status,
            reason=row.reason,
            started_at=row.started_at,
            seen_at=row.seen_at,
            ended_at=row.ended_at,
            evaluations=row.evaluations,
            live=row.ended_at is None and row.expires_at > now and not is_dead(row.process),
        )
        for row in connection.execute(query)
    )


def living(connection: Connection, run_id: int, now: float) -> list[ControllerRecord]:
    """Return the controllers of a run that may be at work."""
    return [each for each in read_controllers(connection, run_id, now, unended=True) if each.live]


def close(connection: Connection, run_id: int, which: ColumnElement[bool], now: float) -> None:
    """Note that the work of some controllers of a run is taken over, and who of them was lost."""
    mine = (controllers.c.run_id == run_id) & which
    lost = mine & controllers.c.ended_at.is_(None)
    told = (notices.c.run_id == run_id) & (notices.c.controller == controllers.c.id)
    evaluated = select(func.count()).where(told, notices.c.kind == "evaluated").scalar_subquery()
    values = {"status": "lost", "ended_at": now, "reason": "not heard of any more"}
    connection.execute(update(controllers).where(lost).values(**values, evaluations=evaluated))
    connection.execute(update(controllers).where(mine).values(inherited=1))
