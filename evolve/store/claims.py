"""One writer per run: a claim that its holder keeps renewing, and that dies with its holder."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection, Row, func, select, update

from evolve.core.errors import RunLocked, StoreError
from evolve.store.process import is_dead, this_process
from evolve.store.schema import evaluations, runs


@dataclass(frozen=True, slots=True)
class Claim:
    """A claim held by this process.

    Attributes:
        claimed_at: Tells this claim from any other of the same holder.
        before_s: Seconds the run had been running in earlier sessions.
        started: Monotonic time of the claim.
    """

    run_id: int
    holder: str
    ttl_s: float
    claimed_at: float
    before_s: float
    started: float = field(default_factory=time.monotonic)

    @property
    def elapsed_s(self) -> float:
        """Seconds the run has been running, all sessions."""
        return self.before_s + time.monotonic() - self.started


def is_held(row: Row[Any], now: float) -> bool:
    """Return whether a row of ``runs`` is claimed by a process that may be alive."""
    in_time = row.expires_at is not None and row.expires_at > now
    return in_time and not is_dead(row.holder_process)


def take(connection: Connection, run_id: int, holder: str, ttl_s: float, now: float) -> Claim:
    """Claim a run nobody holds: free, released, expired, or held by a dead process.

    Raises:
        RunLocked: a live process holds it.
        StoreError: there is no such run.
    """
    row = connection.execute(select(runs).where(runs.c.id == run_id)).one_or_none()
    if row is None:
        raise StoreError(f"there is no run {run_id} in this database")
    if is_held(row, now):
        raise RunLocked(
            f"run {run_id} is being written by {row.holder}, last seen "
            f"{max(now - row.claimed_at, 0):.0f} s after it began. Stop that process, or wait: "
            f"its claim expires in {row.expires_at - now:.0f} s unless it renews it.",
            holder=row.holder,
        )
    # After a crash the run's last evaluation knows more than the last heartbeat.
    last = connection.scalar(
        select(func.max(evaluations.c.id)).where(evaluations.c.run_id == run_id)
    )
    seen = connection.scalar(select(evaluations.c.elapsed_s).where(evaluations.c.id == last))
    claim = Claim(run_id, holder, ttl_s, now, max(row.elapsed_s, seen or 0.0))
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
            expires_at=now + ttl_s,
        )
    )
    return claim


def renew(connection: Connection, claim: Claim, now: float) -> None:
    """Extend a claim and add to the run's elapsed seconds.

    Raises:
        RunLocked: another process took the run over.
    """
    _write(connection, claim, expires_at=now + claim.ttl_s)


def drop(connection: Connection, claim: Claim, now: float, status: str, reason: str) -> None:
    """Give a claim up and say how the run stands.

    Raises:
        RunLocked: another process took the run over.
    """
    _write(connection, claim, expires_at=None, ended_at=now, status=status, reason=reason)


def _write(connection: Connection, claim: Claim, **values: object) -> None:
    """Change a run's row if the claim still holds."""
    held = (runs.c.id == claim.run_id) & (runs.c.claimed_at == claim.claimed_at)
    held &= runs.c.holder_process == this_process()
    changed = connection.execute(
        update(runs).where(held).values(elapsed_s=claim.elapsed_s, **values)
    )
    if changed.rowcount == 0:
        holder = connection.scalar(select(runs.c.holder).where(runs.c.id == claim.run_id))
        raise RunLocked(
            f"run {claim.run_id} was taken over by {holder} while this process was not heard of "
            f"for more than {claim.ttl_s:g} s; stop one of the two",
            holder=holder or "",
        )
