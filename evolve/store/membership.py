"""The part of one process in a run that several share, and the lock that makes them take turns."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

from sqlalchemy import Connection, bindparam, func, select, update

from evolve.core.errors import ControllerLost
from evolve.store.claims import elapsed_before, locked_run, refuse_if_held
from evolve.store.controllers import living
from evolve.store.process import this_process
from evolve.store.rows import insert_row
from evolve.store.schema import controllers, leases, notices, programs, proposals, runs

#: Seconds by which a notice is later than the one before, whatever the clocks say.
TICK_S = 1e-6
_LOCK = select(runs.c.id).where(runs.c.id == bindparam("run")).with_for_update(key_share=True)
_NEWEST = (
    select(notices.c.at)
    .where(notices.c.run_id == bindparam("run"))
    .order_by(notices.c.id.desc())
    .limit(1)
    .scalar_subquery()
)
_MINE = select(controllers.c.ended_at, _NEWEST.label("latest")).where(
    controllers.c.id == bindparam("me")
)
_OPEN = select(func.count()).where(
    proposals.c.run_id == bindparam("run"), proposals.c.status == "open"
)
_LEASED = (
    select(func.count())
    .select_from(leases.join(programs, programs.c.id == leases.c.program_id))
    .where(
        leases.c.run_id == bindparam("run"),
        leases.c.controller.is_not(None),
        programs.c.proposal_id.is_not(None),  # the seed program and baselines are no iterations
    )
)


@dataclass(slots=True)
class Membership:
    """The part of this process in a shared run: a claim that others may have beside it.

    Attributes:
        controller: Its row.
        alone: Whether nobody else was at work when it came.
        before_s: Seconds the run had been running then.
        latest: When the newest notice was made.
        evaluations: What it has committed.
    """

    run_id: int
    holder: str
    ttl_s: float
    controller: int
    alone: bool
    before_s: float
    latest: float = 0.0
    evaluations: int = 0
    started: float = field(default_factory=time.monotonic)

    @property
    def elapsed_s(self) -> float:
        """Seconds the run has been running."""
        return self.before_s + time.monotonic() - self.started

    def check(self, connection: Connection) -> None:
        """Take the run's lock, before anything is written.

        Raises:
            ControllerLost: others have taken over the work of this controller.
        """
        connection.execute(_LOCK, {"run": self.run_id})
        row = connection.execute(_MINE, {"run": self.run_id, "me": self.controller}).one()
        if row.ended_at is not None:
            raise ControllerLost(
                f"this controller of run {self.run_id} was not heard of for more than "
                f"{self.ttl_s:g} s, and others have taken over its work; it has to join again",
                holder=self.holder,
            )
        self.latest = max(self.latest, row.latest or 0.0)

    def renew(self, connection: Connection, now: float) -> None:
        """Say that this process is alive, and how long the run has been running."""
        connection.execute(
            update(controllers)
            .where(controllers.c.id == self.controller)
            .values(seen_at=now, expires_at=now + self.ttl_s, evaluations=self.evaluations)
        )
        self._touch(connection, expires_at=now + self.ttl_s)

    def drop(self, connection: Connection, now: float, status: str, reason: str) -> None:
        """Leave. The last one says how the run stands."""
        connection.execute(
            update(controllers)
            .where(controllers.c.id == self.controller)
            .values(status=status, reason=reason, ended_at=now, evaluations=self.evaluations)
        )
        if living(connection, self.run_id, now):
            return
        if status == "finished" and in_flight(connection, self.run_id):
            status, reason = "interrupted", "the work of a lost controller is left to be done"
        self._touch(connection, status=status, reason=reason, ended_at=now, expires_at=None)

    def _touch(self, connection: Connection, **values: object) -> None:
        """Change the run's row: whoever was heard of last is its holder."""
        before = connection.scalars(select(runs.c.elapsed_s).where(runs.c.id == self.run_id)).one()
        connection.execute(
            update(runs)
            .where(runs.c.id == self.run_id)
            .values(
                elapsed_s=max(before, self.elapsed_s),
                holder=self.holder,
                holder_process=this_process(),
                claimed_at=None,
                **values,
            )
        )


def join(connection: Connection, run_id: int, holder: str, ttl_s: float, now: float) -> Membership:
    """Become one of the controllers of a run.

    Raises:
        RunLocked: a live process has it for itself.
        StoreError: there is no such run.
    """
    row = locked_run(connection, run_id)
    if row.claimed_at is not None:
        refuse_if_held(row, now, "; start it with --join to share the run")
    others = living(connection, run_id, now)
    key = insert_row(
        connection,
        controllers,
        {
            "run_id": run_id,
            "holder": holder,
            "process": this_process(),
            "started_at": now,
            "seen_at": now,
            "expires_at": now + ttl_s,
            "status": "working",
            "reason": "",
        },
    )
    before_s = elapsed_before(connection, row)
    member = Membership(run_id, holder, ttl_s, key, not others, before_s)
    member._touch(connection, status="running", reason="", ended_at=None, expires_at=now + ttl_s)
    return member


def in_flight(connection: Connection, run_id: int) -> int:
    """Return how many iterations of a shared run are under way, whoever is at work on them."""
    return sum(connection.scalars(each, {"run": run_id}).one() for each in (_OPEN, _LEASED))
