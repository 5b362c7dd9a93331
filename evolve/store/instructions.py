"""The instructions of runs: short texts on how to go about an improvement."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from sqlalchemy import insert, select, update

from evolve.store.database import Database
from evolve.store.patience import Patient
from evolve.store.schema import instructions, programs, proposals


class InstructionBook(Patient):
    """The instructions of the runs of one database, by run and number."""

    def __init__(self, database: Database, clock: Callable[[], float] = time.time) -> None:
        self._database, self._clock = database, clock

    def begin_with(self, run_id: int, texts: Sequence[str]) -> None:
        """Add those of the configuration, numbered from 1, unless they are there."""
        if not texts or self.texts(run_id):
            return
        with self._database.write() as connection:
            connection.execute(
                insert(instructions),
                [
                    {"run_id": run_id, "number": n, "text": text, "created_at": self._clock()}
                    for n, text in enumerate(texts, start=1)
                ],
            )

    def write(self, proposal_id: int, number: int, text: str, reason: str) -> None:
        """Commit an instruction together with the end of the proposal that wrote it."""
        mine = proposals.c.id == proposal_id
        with self._database.write() as connection:
            run_id = connection.scalars(select(proposals.c.run_id).where(mine)).one()
            now = self._clock()
            key = {"run_id": run_id, "number": number, "proposal_id": proposal_id}
            connection.execute(insert(instructions), {**key, "text": text, "created_at": now})
            connection.execute(
                update(proposals)
                .where(mine)
                .values(status="wrote", reason=reason, message=text, ended_at=now)
            )

    def texts(self, run_id: int) -> dict[int, str]:
        """Return the instructions of a run by number, the empty one left out."""
        with self._database.read() as connection:
            rows = connection.execute(
                select(instructions.c.number, instructions.c.text)
                .where(instructions.c.run_id == run_id)
                .order_by(instructions.c.number)
            )
            return {row.number: row.text for row in rows}

    def written(self, proposal_id: int) -> int:
        """Return the number of the instruction that a proposal made."""
        which = instructions.c.proposal_id == proposal_id
        with self._database.read() as connection:
            return int(connection.scalars(select(instructions.c.number).where(which)).one())

    def shown(self, program_id: int) -> int | None:
        """Return the number of the instruction that a program came from; None for none at all."""
        with self._database.read() as connection:
            return connection.scalar(
                select(proposals.c.instruction)
                .join(programs, programs.c.proposal_id == proposals.c.id)
                .where(programs.c.id == program_id)
            )
