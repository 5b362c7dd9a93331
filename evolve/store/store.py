"""Writing a run: each method is one short transaction, and what it wrote survives ``kill -9``."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress

from sqlalchemy import Connection, bindparam, delete, select, update

from evolve.archive.spec import ArchiveSpec
from evolve.core.errors import RunLocked, StoreError, TransactionLost
from evolve.core.evaluation import Evaluation, Outcome
from evolve.core.program import Program
from evolve.store import claims
from evolve.store.archives import write_archive
from evolve.store.call_writer import CallWriter
from evolve.store.database import SYNCHRONOUS, Database
from evolve.store.membership import TICK_S, Membership, join
from evolve.store.opening import open_database
from evolve.store.records import AddedProgram, ArchiveEvent, NewRun, Recovery, RunRecord, RunStatus
from evolve.store.recovery import recover
from evolve.store.results import standing_evaluation, write_evaluation, write_events
from evolve.store.rows import (
    insert_row,
    into,
    known_program,
    run_values,
    same,
    write_sources,
)
from evolve.store.schema import leases, programs, proposals, runs
from evolve.store.sharing import Sharing

# What every iteration executes is made once: making a statement takes longer than executing it.
_BEGUN = select(proposals.c.id, proposals.c.status).where(
    *same(proposals.c.run_id, proposals.c.iteration)
)
_ORIGIN = select(programs.c.run_id, programs.c.proposal_id).where(*same(programs.c.id))
_END_LEASE = delete(leases).where(*same(leases.c.program_id))
_OF_PROPOSAL = proposals.c.id == bindparam("proposal")
_EVALUATED = update(proposals).where(_OF_PROPOSAL).values(status="evaluated")
_END = update(proposals).where(_OF_PROPOSAL, proposals.c.status == "open")


def open_store(
    url: str,
    *,
    create: bool = True,
    clock: Callable[[], float] = time.time,
    synchronous: str = SYNCHRONOUS[0],
    wait_s: float | None = None,
) -> Store:
    """Open a database for writing, and upgrade it if it is of an older version.

    Args:
        url: As for `evolve.store.reader.open_reader`.
        create: Whether a missing file is made.
        clock: Unix seconds.
        wait_s: Seconds to wait for a server that went away; None for what is usual.
        synchronous: When a commit is on the disk, see `evolve.store.opening`.

    Raises:
        StoreError: it cannot be opened, is something else, or was written by a newer version.
    """
    database = open_database(url, create=create, readonly=False, synchronous=synchronous)
    if wait_s is not None:
        database.wait_for_server(wait_s)
    return Store(database, clock)


class Store(CallWriter):
    """The only writer of a database. Many runs may be in it, and a process may write several.

    A run is written between `claim` and `release`, from one thread.
    """

    def __init__(self, database: Database, clock: Callable[[], float] = time.time) -> None:
        super().__init__(database, clock)
        self._claims: dict[int, claims.Claim | Membership] = {}

    def close(self) -> None:
        """Release what is still claimed, as interrupted, and close the database."""
        try:
            for run_id in list(self._claims):
                with suppress(RunLocked):  # then it is another's, and not for us to release
                    self.release(run_id, "interrupted", "the store was closed")
        finally:
            super().close()

    def create_run(self, run: NewRun, spec: ArchiveSpec | None = None) -> RunRecord:
        """Add a run, which nobody holds yet.

        Args:
            run: The run.
            spec: Its archive; default: a grid of its measures.
        """
        with self._database.write() as connection:
            now = self._clock()
            run_id = insert_row(
                connection, runs, {**run_values(run), "status": "new", "created_at": now}
            )
            write_archive(connection, run_id, spec or ArchiveSpec(run.measures), "", now)
        return self.run(run_id)

    def note(self, run_id: int, key: str, value: object) -> None:
        """Add an entry to what a run was made with, its provenance; ``value`` is JSON."""
        with self._database.write() as connection:
            known = select(runs.c.provenance).where(runs.c.id == run_id)
            provenance = {**connection.scalars(known).one(), key: value}
            connection.execute(
                update(runs).where(runs.c.id == run_id).values(provenance=provenance)
            )

    def claim(self, run_id: int, holder: str, ttl_s: float = claims.TTL_S) -> None:
        """Become the one writer of a run.

        Args:
            run_id: The run.
            holder: How people find this process, such as ``host:pid``.
            ttl_s: Seconds after which the claim dies unless `heartbeat` renews it. The claim of a
                process that has ended on this machine dies at once.

        Raises:
            RunLocked: another live process holds it.
        """
        with self._database.write() as connection:
            claim = claims.take(connection, run_id, holder, ttl_s, self._clock())
        self._claims[run_id], self._database.first = claim, self._check

    def heartbeat(self, run_id: int) -> None:
        """Renew a claim and add to the run's elapsed seconds.

        Raises:
            RunLocked: another process took the run over.
        """
        claim, now = self._claims[run_id], self._clock()
        with self._database.write() as connection:
            claim.renew(connection, now)
        if isinstance(claim, claims.Claim):
            claim.expires_at = now + claim.ttl_s

    def release(self, run_id: int, status: RunStatus, reason: str) -> None:
        """Give a claim up; ``status`` is ``finished``, ``interrupted`` or ``failed``.

        Raises:
            RunLocked: another process took the run over.
        """
        claim = self._claims.pop(run_id)
        try:
            with self._database.write() as connection:
                claim.drop(connection, self._clock(), status, reason)
        except TransactionLost:
            self._claims[run_id] = claim  # for the next try
            raise

    def join(self, run_id: int, holder: str, ttl_s: float = claims.TTL_S) -> Sharing:
        """Become one of several writers of a run; from now on this store writes no other.

        Arguments are those of `claim`.

        Raises:
            RunLocked: another live process has it for itself.
        """
        clock = self._clock
        with self._database.write() as connection:
            member = join(connection, run_id, holder, ttl_s, clock())
        self._clock = lambda: max(clock(), member.latest + TICK_S)
        self._claims[run_id], self._database.first = member, member.check
        self.sharing = Sharing(self._database, member, self._clock)
        return self.sharing

    def turn(self) -> AbstractContextManager[Connection]:
        """Make one transaction of all that is read and written inside the context."""
        return self._database.write()

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Make one transaction of all inside the context, and let nobody else make a run."""
        with self.turn() as connection:
            if connection.dialect.name == "postgresql":
                connection.exec_driver_sql("LOCK TABLE runs IN SHARE ROW EXCLUSIVE MODE")
            yield

    def one_state(self) -> AbstractContextManager[None]:
        """Have all that is read inside the context see one state of the database."""
        return self._database.one_state()

    def recover(self, run_id: int) -> Recovery:
        """Put what an earlier session left in order, and return what is to be finished.

        Requests without a reply become ``unknown`` and cost what was reserved for them.
        """
        if self.sharing is not None:
            return self.sharing.begin()
        holder = self._claims[run_id].holder
        with self._database.write() as connection:
            return recover(connection, run_id, holder, self._clock())

    def begin_proposal(  # noqa: PLR0913 - one argument per column
        self,
        run_id: int,
        iteration: int,
        operator: str,
        island: int,
        parent_ids: Sequence[int],
        inspiration_ids: Sequence[int],
        model: str = "",
        *,
        inserted: int | None = None,
        instruction: int | None = None,
        start: int | None = None,
    ) -> int:
        """Commit that an iteration has begun, and return its proposal's id.

        One that an earlier session left open begins again, perhaps from other parents: they
        replace the old ones, because the next reply will be about them.

        Args:
            run_id: The run.
            iteration: Its ordinal in the run.
            operator: The proposer's name.
            island: Whose archive the parents come from.
            parent_ids: The programs to vary.
            inspiration_ids: The programs shown beside them.
            model: What the operator asks, if it asks one.
            inserted: In strict order: how many iterations are in the archive it was drawn from.
            instruction: Number of the instruction that its prompt has.
            start: In search mode: the program whose construction its candidate is given.

        Raises:
            StoreError: the iteration has ended already.
        """
        with self._database.write() as connection:
            which = {"run_id": run_id, "iteration": iteration}
            begun = connection.execute(_BEGUN, which).one_or_none()
            values = {
                "operator": operator,
                "model": model,
                "island": island,
                "parents": list(parent_ids),
                "inspirations": list(inspiration_ids),
                "inserted": inserted,
                "instruction": instruction,
                "start": start,
                "controller": self._controller,
                "created_at": self._clock(),
            }
            if begun is None:
                return insert_row(connection, proposals, {**which, "status": "open", **values})
            if begun.status != "open":
                raise StoreError(f"iteration {iteration} of run {run_id} is {begun.status} already")
            connection.execute(update(proposals).where(proposals.c.id == begun.id).values(values))
            return int(begun.id)

    def reject(self, proposal_id: int, reason: str, message: str) -> None:
        """Commit that a proposal came to nothing, in one word and in a sentence."""
        with self._database.write() as connection:
            self._end(connection, proposal_id, "rejected", reason, message)

    def end_probes(self, run_id: int) -> None:
        """Commit that the open proposals of a run were only to find out how models answer."""
        ended = update(proposals).values(status="probed", ended_at=self._clock())
        with self._database.write() as connection:
            connection.execute(
                ended.where(proposals.c.run_id == run_id, proposals.c.status == "open")
            )

    def add_program(  # noqa: PLR0913 - one keyword per column
        self,
        run_id: int,
        program: Program,
        *,
        proposal_id: int | None = None,
        parent_ids: Sequence[int] = (),
        generation: int = 0,
        operator: str,
        summary: str = "",
        island: int = 0,
    ) -> AddedProgram:
        """Commit a program that is to be evaluated, and lease it to this process.

        A program that the run has already is not added; its proposal ends as a duplicate.
        """
        with self._database.write() as connection:
            known = known_program(connection, run_id, program, alike=proposal_id is not None)
            if known is not None:
                if proposal_id is not None:
                    message = f"the same program as {known}"
                    self._end(connection, proposal_id, "duplicate", "duplicate", message)
                return AddedProgram(known, is_new=False)
            program_id = insert_row(
                connection,
                programs,
                {
                    "run_id": run_id,
                    "hash": program.id,
                    "syntax": program.syntax_id,
                    "proposal_id": proposal_id,
                    "operator": operator,
                    "generation": generation,
                    "island": island,
                    "summary": summary,
                    "created_at": self._clock(),
                },
            )
            write_sources(connection, program_id, program, parent_ids)
            claim = self._claims.get(run_id)
            connection.execute(
                into(leases),
                {
                    "program_id": program_id,
                    "run_id": run_id,
                    "holder": "" if claim is None else claim.holder,
                    "leased_at": self._clock(),
                    "controller": self._controller,
                },
            )
            if proposal_id is not None:
                self._end(connection, proposal_id, "added", "", "")
            return AddedProgram(program_id, is_new=True)

    def commit_evaluation(
        self, program_id: int, evaluation: Evaluation, archive: Sequence[ArchiveEvent]
    ) -> int:
        """Commit an evaluation together with what it did to the map, and end the lease.

        A second commit for the same program, stage and evaluator version changes nothing and
        returns the first one's id. An infrastructure fault is no verdict: the program stays
        leased, so that a resumed run tries again, and the next evaluation takes its place.

        Raises:
            ValueError: a number is NaN or infinite.
        """
        with self._database.write() as connection:
            first = standing_evaluation(connection, program_id, evaluation)
            if first is not None:
                return first
            program = connection.execute(_ORIGIN, {"id": program_id}).one()
            columns = {
                "run_id": program.run_id,
                "program_id": program_id,
                "elapsed_s": self._elapsed_s(connection, program.run_id),
                "created_at": self._clock(),
            }
            evaluation_id = write_evaluation(connection, evaluation, columns)
            write_events(connection, program.run_id, evaluation_id, archive)
            if evaluation.outcome is not Outcome.INFRASTRUCTURE:
                connection.execute(_END_LEASE, {"program_id": program_id})
                connection.execute(_EVALUATED, {"proposal": program.proposal_id})
            return evaluation_id

    def _end(
        self, connection: Connection, proposal_id: int, status: str, reason: str, message: str
    ) -> None:
        """End an open proposal; one that has ended stays as it is."""
        ended = {"status": status, "reason": reason, "message": message, "ended_at": self._clock()}
        connection.execute(_END, {"proposal": proposal_id, **ended})

    def _check(self, connection: Connection) -> None:
        """Write nothing once a run that was claimed is another process's."""
        for claim in self._claims.values():
            if isinstance(claim, claims.Claim):
                claim.check(connection, self._clock())

    def _elapsed_s(self, connection: Connection, run_id: int) -> float:
        claim = self._claims.get(run_id)
        if claim is not None:
            return claim.elapsed_s
        return float(connection.scalars(select(runs.c.elapsed_s).where(runs.c.id == run_id)).one())
