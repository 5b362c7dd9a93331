"""One writer per run: a claim that its holder keeps renewing, and that dies with its holder."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, func, select, true, update

from evolve.core.errors import RunLocked, StoreError
from evolve.store.controllers import close, living
from evolve.store.process import is_dead, this_process
from evolve.store.schema import evaluations, runs

#: Seconds after which a claim dies unless it is renewed.
TTL_S = 30.0


@dataclass(slots=True)
class Claim:
    """A claim held by this process.

    Attributes:
        claimed_at: Tells this claim from any other of the same holder.
        expires_at: Until when nobody else can have taken the run.
        before_s: Seconds the run had been running in earlier sessions.
        started: Monotonic time of the claim.
    """

    run_id: int
    holder: str
    ttl_s: float
    claimed_at: float
    expires_at: float
    before_s: float
    started: float = field(default_factory=lambda: time.monotonic())  # noqa: PLW0108 - may be replaced

    @property
    def elapsed_s(self) -> float:
        """Seconds the run has been running, all sessions."""
        return self.before_s + time.monotonic() - self.started

    def check(self, connection: Connection, now: float) -> None:
        """Make sure of a claim that has expired, as after a sleep, before anything is written.

        Raises:
            RunLocked: another process took the run over.
        """
        if (
            now >= self.expires_at
            and connection.scalar(select(runs.c.id).where(self._held)) is None
        ):
            raise self._lost(connection)

    def renew(self, connection: Connection, now: float) -> None:
        """Extend the claim and add to the run's elapsed seconds.

        Raises:
            RunLocked: another process took the run over.
        """
        self._write(connection, expires_at=now + self.ttl_s)

    def drop(self, connection: Connection, now: float, status: str, reason: str) -> None:
        """Give the claim up and say how the run stands.

        Raises:
            RunLocked: another process took the run over.
        """
        self._write(connection, expires_at=None, ended_at=now, status=status, reason=reason)

    def _write(self, connection: Connection, **values: object) -> None:
        """Change the run's row if the claim still holds."""
        changed = connection.execute(
            update(runs).where(self._held).values(elapsed_s=self.elapsed_s, **values)
        )
        if changed.rowcount == 0:
            raise self._lost(connection)

    @property
    def _held(self) -> ColumnElement[bool]:
        """Tell the run's row as long as the claim holds."""
        held = (runs.c.id == self.run_id) & (runs.c.claimed_at == self.claimed_at)
        return held & (runs.c.holder_process == this_process())

    def _lost(self, connection: Connection) -> RunLocked:
        holder = connection.scalar(select(runs.c.holder).where(runs.c.id == self.run_id))
        return RunLocked(
            f"run {self.run_id} was taken over by {holder} while this process was not heard "
            f"of for more than {self.ttl_s:g} s; stop one of the two",
            holder=holder or "",
        )


def is_held(row: Row[Any], now: float) -> bool:
    """Return whether a row of ``runs`` is claimed by a process that may be alive."""
    in_time = row.expires_at is not None and row.expires_at > now
    return in_time and not is_dead(row.holder_process)


def take(connection: Connection, run_id: int, holder: str, ttl_s: float, now: float) -> Claim:
    """Claim a run nobody holds: free, released, expired, or held by a dead process.

    Raises:
        RunLocked: a live process holds it, or several share it.
        StoreError: there is no such run.
    """
    row = locked_run(connection, run_id)
    for other in living(connection, run_id, now):
        raise RunLocked(
            f"run {run_id} is being worked on by {other.holder}, which shares it; --join works on "
            "it too",
            holder=other.holder,
        )
    refuse_if_held(row, now)
    close(connection, run_id, true(), now)  # one that comes back must not write beside this process
    claim = Claim(run_id, holder, ttl_s, now, now + ttl_s, elapsed_before(connection, row))
    connection.execute(
        update(runs)
        .where(runs.c.id == run_id)
        .values(
            status="running",
            reason="",
            ended_at=None,
            elapsed_s=claim.before_s,
            holder=holder,
            holder_process=this_process(),
            claimed_at=now,
            expires_at=claim.expires_at,
        )
    )
    return claim


def locked_run(connection: Connection, run_id: int) -> Row[Any]:
    """Return the row of a run, which nobody else changes before this transaction ends.

    Raises:
        StoreError: there is no such run.
    """
    wanted = select(runs).where(runs.c.id == run_id).with_for_update(key_share=True)
    row = connection.execute(wanted).one_or_none()
    if row is None:
        raise StoreError(f"there is no run {run_id} in this database")
    return row


def refuse_if_held(row: Row[Any], now: float, hint: str = "") -> None:
    """Refuse a run that a live process has for itself.

    Raises:
        RunLocked: one has.
    """
    if not is_held(row, now):
        return
    seen = (
        f", last seen {max(now - row.claimed_at, 0):.0f} s after it began" if row.claimed_at else ""
    )
    raise RunLocked(
        f"run {row.id} is being written by {row.holder}{seen}. Stop that process, or wait: "
        f"its claim expires in {row.expires_at - now:.0f} s unless it renews it{hint}.",
        holder=row.holder,
    )


def elapsed_before(connection: Connection, row: Row[Any]) -> float:
    """Return how long a run has been running: after a crash its last evaluation knows best."""
    last = connection.scalar(
        select(func.max(evaluations.c.id)).where(evaluations.c.run_id == row.id)
    )
    seen = connection.scalar(select(evaluations.c.elapsed_s).where(evaluations.c.id == last))
    return max(float(row.elapsed_s), seen or 0.0)
