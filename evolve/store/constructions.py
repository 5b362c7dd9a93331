"""Search mode: what programs built, and what each was given to go on from."""

from __future__ import annotations

from sqlalchemy import Connection, select

from evolve.core.errors import StoreError
from evolve.core.evaluation import Start
from evolve.store.database import Database
from evolve.store.patience import Patient
from evolve.store.schema import blobs, constructions, evaluations, programs, proposals
from evolve.store.text import unpack


class Constructions(Patient):
    """The constructions in one database, as evaluators verified them."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def of(self, program_id: int, evaluator: str) -> Start | None:
        """Return what a program built by the judgement of an evaluator version, if anything."""
        with self._database.read() as connection:
            return _read(connection, program_id, evaluator)

    def given(self, program_id: int, evaluator: str) -> Start | None:
        """Return what a program is given to go on from; None: the evaluator's own start.

        That was settled, and committed, when its proposal began.

        Raises:
            StoreError: what was settled is not in the database any more.
        """
        drawn = (
            select(proposals.c.start)
            .join(programs, programs.c.proposal_id == proposals.c.id)
            .where(programs.c.id == program_id)
        )
        with self._database.read() as connection:
            start = connection.scalar(drawn)
            found = None if start is None else _read(connection, start, evaluator)
        if start is not None and found is None:
            raise StoreError(
                f"program {program_id} is to begin with what program {start} built, which is not "
                "in the database: restore the file from a copy, or begin a --new run"
            )
        return found


def _read(connection: Connection, program_id: int, evaluator: str) -> Start | None:
    query = (
        select(evaluations.c.objective, blobs.c.data)
        .join(constructions, constructions.c.evaluation_id == evaluations.c.id)
        .join(blobs, blobs.c.id == constructions.c.blob)
        .where(
            evaluations.c.program_id == program_id,
            evaluations.c.stage == "search",
            evaluations.c.evaluator == evaluator,
        )
    )
    row = connection.execute(query).one_or_none()
    return None if row is None else Start(program_id, row.objective, unpack(row.data))
