"""What people send to a run: hints for later prompts, and programs of their own.

Any process may post, whoever writes the run. Only the writer takes: it notes the iteration from
which a hint is told, or which takes a program, before that iteration is drawn. So what an iteration
was told can be read back.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Row, select, update

from evolve.core.errors import StoreError
from evolve.core.program import Program
from evolve.store.database import Database
from evolve.store.patience import Patient
from evolve.store.rows import get_blob, insert_row, put_blob, same
from evolve.store.schema import inbox


@dataclass(frozen=True, slots=True)
class Post:
    """A thing sent to a run.

    Attributes:
        kind: ``hint`` or ``program``.
        text: The hint, or the name of the program's file.
        withdrawn: Whether it was taken back.
        first: Iteration from which a hint is told, or that took the program; None while it waits.
        last: Iteration from which a hint is told no more.
    """

    id: int
    kind: str
    text: str
    created_at: float
    withdrawn: bool
    first: int | None
    last: int | None


class Inbox(Patient):
    """The posts of the runs of one database."""

    def __init__(self, database: Database, clock: Callable[[], float] = time.time) -> None:
        self._database, self._clock = database, clock

    def post_hint(self, run_id: int, text: str) -> int:
        """Send a hint and return its id.

        Raises:
            StoreError: it is empty.
        """
        if not text.strip():
            raise StoreError("a hint needs words")
        return self._post(run_id, "hint", " ".join(text.split()), None)

    def post_program(self, run_id: int, program: Program, name: str) -> int:
        """Send a program and return its post's id."""
        return self._post(run_id, "program", name, json.dumps(dict(program.files)))

    def withdraw(self, run_id: int, post: int) -> None:
        """Take a post back: a hint is told no more, a program that was not taken never is.

        Raises:
            StoreError: there is none of that id, or it is too late.
        """
        with self._database.write() as connection:
            mine = (inbox.c.id == post) & (inbox.c.run_id == run_id)
            row = connection.execute(select(inbox).where(mine)).one_or_none()
            if row is None:
                raise StoreError(f"run {run_id} has no hint {post}; `evolve hint` lists them")
            if row.kind == "program" and row.first is not None:
                raise StoreError(f"iteration {row.first} has taken the program {post} already")
            connection.execute(update(inbox).where(mine).values(withdrawn_at=self._clock()))

    def posts(self, run_id: int, kind: str = "") -> tuple[Post, ...]:
        """Return what was sent to a run, oldest first."""
        of_kind = inbox.c.kind == kind if kind else inbox.c.kind != ""
        return tuple(map(_post, self._rows((inbox.c.run_id == run_id) & of_kind)))

    def waiting(self, run_id: int) -> int:
        """Return how many programs no iteration has taken."""
        return len(self._rows((inbox.c.run_id == run_id) & _WAITING & (inbox.c.kind == "program")))

    def collect(self, run_id: int, iteration: int) -> bool:
        """Note that ``iteration``, which is about to be drawn, sees what is there now.

        It is told of all hints, and takes the oldest program that waits.

        Returns:
            Whether anything was ever sent to the run.
        """
        mine = inbox.c.run_id == run_id
        with self._database.read() as connection:
            if connection.scalar(_ANY, {"run_id": run_id}) is None:
                return False  # as nearly always; a reader waits for nobody
        gone = inbox.c.withdrawn_at.is_not(None) & inbox.c.first.is_not(None)
        gone &= inbox.c.last.is_(None) & (inbox.c.kind == "hint")
        if not self._rows(mine & (_WAITING | gone)):
            return True
        with self._database.write() as connection:
            hints = mine & _WAITING & (inbox.c.kind == "hint")
            connection.execute(update(inbox).where(hints).values(first=iteration))
            connection.execute(update(inbox).where(mine & gone).values(last=iteration))
            programs = mine & _WAITING & (inbox.c.kind == "program")
            oldest = select(inbox.c.id).where(programs).order_by(inbox.c.id).limit(1)
            taken = inbox.c.id == oldest.scalar_subquery()
            connection.execute(update(inbox).where(taken).values(first=iteration))
        return True

    def hints(self, run_id: int, iteration: int) -> tuple[str, ...]:
        """Return the hints that an iteration was told, oldest first."""
        told = (inbox.c.first <= iteration) & (inbox.c.last.is_(None) | (inbox.c.last > iteration))
        rows = self._rows((inbox.c.run_id == run_id) & (inbox.c.kind == "hint") & told)
        return tuple(row.text for row in rows)

    def program(self, run_id: int, iteration: int) -> tuple[Program, str] | None:
        """Return the program that an iteration took and its file's name, if it took one."""
        which = (inbox.c.run_id == run_id) & (inbox.c.kind == "program")
        with self._database.read() as connection:
            row = connection.execute(
                select(inbox).where(which & (inbox.c.first == iteration))
            ).one_or_none()
            return row and (Program(json.loads(get_blob(connection, row.blob))), row.text)

    def _post(self, run_id: int, kind: str, text: str, body: str | None) -> int:
        with self._database.write() as connection:
            values = {"run_id": run_id, "kind": kind, "text": text, "created_at": self._clock()}
            blob = None if body is None else put_blob(connection, body)
            return insert_row(connection, inbox, {**values, "blob": blob})

    def _rows(self, which: ColumnElement[bool]) -> list[Row[Any]]:
        with self._database.read() as connection:
            return list(connection.execute(select(inbox).where(which).order_by(inbox.c.id)))


_ANY = select(inbox.c.id).where(*same(inbox.c.run_id)).limit(1)
_WAITING = inbox.c.first.is_(None) & inbox.c.withdrawn_at.is_(None)


def _post(row: Row[Any]) -> Post:
    return Post(
        id=row.id,
        kind=row.kind,
        text=row.text,
        created_at=row.created_at,
        withdrawn=row.withdrawn_at is not None,
        first=row.first,
        last=row.last,
    )
