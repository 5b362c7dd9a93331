"""One run, several controllers: what each does is a notice, and notices are in one order.

Whoever writes a shared run holds the lock of its row until the commit, so the notices of a run are
committed in the order of their ids, and so are its evaluations and archive events. A controller
that has read all notices, and holds the lock, knows all that happened. Its id is the token of its
leases: once others have taken over its work, it can write nothing more.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, Literal, NamedTuple, TypeAlias

from sqlalchemy import (
    BindParameter,
    ColumnElement,
    Connection,
    Select,
    bindparam,
    func,
    insert,
    or_,
    select,
    update,
)

from evolve.store.archives import read_caused
from evolve.store.controllers import close, living, read_controllers
from evolve.store.database import Database
from evolve.store.ended import ended_among
from evolve.store.facts import EvaluationFact, facts_among
from evolve.store.membership import Membership, in_flight
from evolve.store.patience import Patient
from evolve.store.records import Ended, Recovery
from evolve.store.recovery import recover
from evolve.store.schema import (
    archive_events,
    completions,
    controllers,
    leases,
    notices,
    proposals,
    runs,
)

#: What a controller did; see the table ``notices``.
Kind: TypeAlias = Literal[
    "begun", "admitted", "refused", "evaluated", "set_aside", "called", "limited", "stopping"
]


class Notice(NamedTuple):
    """What another controller did, and to which row."""

    id: int
    kind: Kind
    subject: int
    text: str


class BegunNotice(NamedTuple):
    """An iteration that another controller is at work on."""

    iteration: int
    operator: str
    parent: int


class UnderWay(NamedTuple):
    """What the calls that others wait for may come to, and how many each model has."""

    usd: float
    tokens: int
    calls: int
    by_model: Mapping[str, int]


# What every iteration executes is made once: making a statement takes longer than executing it.
_RUN: BindParameter[int] = bindparam("run")
_ME: BindParameter[int] = bindparam("me")
_IDS: BindParameter[int] = bindparam("ids", expanding=True)
_TOKENS = completions.c.tokens_input + completions.c.tokens_output
_NEWS = (
    select(notices.c.id, notices.c.kind, notices.c.subject, notices.c.text, notices.c.controller)
    .where(notices.c.run_id == _RUN, notices.c.id > bindparam("seen"))
    .order_by(notices.c.id)
)
_TELL = insert(notices)
_BEGUN = select(
    proposals.c.id, proposals.c.iteration, proposals.c.operator, proposals.c.parents
).where(proposals.c.id.in_(_IDS))
_SPENT = select(completions.c.id, completions.c.cost_usd, _TOKENS).where(completions.c.id.in_(_IDS))
_UNDER_WAY = (
    select(
        completions.c.model,
        func.coalesce(func.sum(completions.c.reserved_usd), 0.0),
        func.sum(_TOKENS),
        func.count(),
    )
    .join(proposals)
    .where(
        completions.c.state == "sent",
        proposals.c.run_id == _RUN,
        proposals.c.controller != _ME,
    )
    .group_by(completions.c.model)
)
_LAST_ITERATION = select(func.max(proposals.c.iteration)).where(proposals.c.run_id == _RUN)
_HOLDER = select(leases.c.controller).where(leases.c.program_id == bindparam("program"))
_LAST_EVENT = select(func.max(archive_events.c.id))
_ARCHIVE = select(runs.c.archive).where(runs.c.id == _RUN)


class Sharing(Patient):
    """What a controller of a shared run asks and tells; each method is a part of a `turn`.

    Args:
        database: Where the run is.
        member: This process.
        clock: Unix seconds, later than all notices.
    """

    def __init__(self, database: Database, member: Membership, clock: Callable[[], float]) -> None:
        self._database, self._clock = database, clock
        self.member, self.run_id = member, member.run_id
        self._seen = self._events = 0

    def start_here(self) -> list[BegunNotice]:
        """Count everything up to now as known; return what others are at work on."""
        with self._database.one_state(), self._database.read() as connection:
            newest = select(func.max(notices.c.id)).where(notices.c.run_id == self.run_id)
            self._seen = connection.scalar(newest) or 0
            self._see_events(connection)
            ids = connection.scalars(
                select(proposals.c.id).where(
                    proposals.c.run_id == self.run_id,
                    proposals.c.status.in_(["open", "added"]),
                    proposals.c.controller != self.member.controller,
                )
            ).all()
            return list(self.begun(ids).values())

    def tell(self, kind: Kind, subject: int, text: str = "") -> None:
        """Add a notice."""
        self.member.evaluations += kind == "evaluated"
        now = self._clock()
        with self._database.write() as connection:
            connection.execute(
                _TELL,
                {
                    "run_id": self.run_id,
                    "controller": self.member.controller,
                    "kind": kind,
                    "subject": subject,
                    "text": text,
                    "at": now,
                },
            )
        self.member.latest = max(now, self.member.latest)

    def news(self) -> list[Notice]:
        """Return what others did since the last time, in the order in which it was committed."""
        rows = self._rows(_NEWS, run=self.run_id, seen=self._seen)
        if rows:
            self._seen = rows[-1].id
        me = self.member.controller
        return [Notice._make(row[:4]) for row in rows if row.controller != me]

    def begun(self, proposal_ids: Collection[int]) -> dict[int, BegunNotice]:
        """Return what was begun, by proposal."""
        rows = self._rows(_BEGUN, ids=list(proposal_ids)) if proposal_ids else ()
        return {row.id: BegunNotice(row.iteration, row.operator, row.parents[0]) for row in rows}

    def ended(
        self, evaluator: str, program_ids: Collection[int], proposal_ids: Collection[int]
    ) -> tuple[dict[int, Ended], dict[int, Ended]]:
        """Return what came of programs and of proposals without one, by their ids."""
        with self._database.read() as connection:
            return ended_among(connection, self.run_id, evaluator, program_ids, proposal_ids)

    def facts(
        self, evaluator: str, program_ids: Collection[int], *, scores: bool
    ) -> dict[int, EvaluationFact]:
        """Return evaluations with what they changed, by program."""
        numbers = {0, self.archive}
        with self._database.read() as connection:
            caused = read_caused(connection, self.run_id, numbers, after=self._events)
            self._see_events(connection)
            return facts_among(
                connection, self.run_id, evaluator, program_ids, caused, scores=scores
            )

    def spent(self, call_ids: Collection[int]) -> dict[int, tuple[float | None, int]]:
        """Return price and tokens of calls that have ended."""
        rows = self._rows(_SPENT, ids=list(call_ids)) if call_ids else ()
        return {row[0]: (row[1], row[2]) for row in rows}

    def under_way(self) -> UnderWay:
        """Return what others have asked models and have no answer to."""
        rows = self._rows(_UNDER_WAY, run=self.run_id, me=self.member.controller)
        usd, calls = sum(row[1] for row in rows), sum(row[3] for row in rows)
        return UnderWay(usd, sum(row[2] for row in rows), calls, {row[0]: row[3] for row in rows})

    def next_iteration(self) -> int:
        """Return the first iteration that nobody has begun."""
        ((last,),) = self._rows(_LAST_ITERATION, run=self.run_id)
        return 0 if last is None else last + 1

    @property
    def archive(self) -> int:
        """Number of the archive that the search uses."""
        ((number,),) = self._rows(_ARCHIVE, run=self.run_id)
        return int(number)

    def in_flight(self) -> int:
        """Return how many iterations are under way, whoever is at work on them."""
        with self._database.read() as connection:
            return in_flight(connection, self.run_id)

    def holds(self, program_id: int) -> bool:
        """Return whether a program that awaits its evaluation is leased to this controller."""
        holders = self._rows(_HOLDER, program=program_id)
        return any(holder == self.member.controller for (holder,) in holders)

    def set_aside(self, program_id: int) -> None:
        """Leave a program that could not be evaluated to a later session."""
        with self._database.write() as connection:
            connection.execute(
                update(leases).where(leases.c.program_id == program_id).values(controller=None)
            )

    def anybody_gone(self) -> bool:
        """Return whether a controller left, or was lost, and its work is nobody's yet."""
        with self._database.read() as connection:
            return bool(self._gone(connection))

    def inherit(self) -> Recovery:
        """Take over the work of controllers that have left or were lost."""
        with self._database.write() as connection:
            gone = self._gone(connection)
            close(connection, self.run_id, controllers.c.id.in_(gone), self._clock())
            return self._recover(connection, lambda column: column.in_(gone))

    def begin(self) -> Recovery:
        """Take over what nobody is at work on, at the start of a session."""
        with self._database.write() as connection:
            others = [
                each.id
                for each in living(connection, self.run_id, self._clock())
                if each.id != self.member.controller
            ]
            left = controllers.c.id.not_in([*others, self.member.controller])
            close(connection, self.run_id, left, self._clock())
            return self._recover(
                connection, lambda column: or_(column.is_(None), column.not_in(others))
            )

    def others(self) -> list[str]:
        """Return who else is at work."""
        with self._database.read() as connection:
            found = living(connection, self.run_id, self._clock())
        return [each.holder for each in found if each.id != self.member.controller]

    def is_last(self) -> bool:
        """Say that this controller has finished; return whether all others had before."""
        with self._database.write() as connection:
            mine = controllers.c.id == self.member.controller
            connection.execute(update(controllers).where(mine).values(status="closing"))
            found = living(connection, self.run_id, self._clock())
            return all(each.status == "closing" for each in found)

    def _recover(
        self, connection: Connection, whose: Callable[[ColumnElement[Any]], ColumnElement[bool]]
    ) -> Recovery:
        member = self.member
        found = recover(
            connection,
            self.run_id,
            member.holder,
            self._clock(),
            controller=member.controller,
            whose=whose,
        )
        for call in found.lost_calls:
            self.tell("called", call)
        return found

    def _gone(self, connection: Connection) -> list[int]:
        """Return controllers whose work is to be taken over."""
        now = self._clock()
        ended = connection.scalars(
            select(controllers.c.id).where(
                controllers.c.run_id == self.run_id,
                controllers.c.inherited == 0,
                controllers.c.ended_at.is_not(None),
            )
        ).all()
        unended = read_controllers(connection, self.run_id, now, unended=True)
        me = self.member.controller
        return [*ended, *(each.id for each in unended if not each.live and each.id != me)]

    def _see_events(self, connection: Connection) -> None:
        self._events = connection.scalar(_LAST_EVENT) or 0

    def _rows(self, query: Select[Any], **values: object) -> Sequence[Any]:
        with self._database.read() as connection:
            return connection.execute(query, values).all()
