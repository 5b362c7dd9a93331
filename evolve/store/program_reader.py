"""Questions that pages ask about programs: lists in pages, relatives, parts without their texts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from sqlalchemy import func, literal, select

from evolve.core.evaluation import Evaluation
from evolve.core.program import Program
from evolve.store.calls import TokenCounts
from evolve.store.entries import entries, read_entries, row_number
from evolve.store.listing import Key, Order, Page, Wanted, count_matching, read_listed, read_page
from evolve.store.reader import Reader
from evolve.store.records import ProgramEntry, RunRecord
from evolve.store.results import read_evaluation
from evolve.store.rows import get_blob, read_program
from evolve.store.schema import completions, evaluations, parents, programs, proposals
from evolve.store.summaries import FOR_GRADES

#: Relatives of one program that are looked at, nearest first.
RELATIVES = 1000


class Call(NamedTuple):
    """A model call without its texts; ``for_grade`` when it was made to grade the program."""

    id: int
    model: str
    state: str
    finish: str
    error: str
    tokens: TokenCounts
    cost_usd: float | None
    latency_s: float | None
    for_grade: bool = False


class ProgramReader(Reader):
    """A `Reader` that also answers in pages. Safe to use from several threads."""

    def listed(
        self,
        run: RunRecord,
        wanted: Wanted,
        order: Order,
        size: int,
        start: Key | None = None,
        *,
        back: bool = False,
        matching: int | None = None,
    ) -> Page:
        """Return one page of programs; see `evolve.store.listing.read_page`."""
        if matching == 0:
            return Page((), None, None)
        with self._database.read() as connection:
            return read_page(
                connection, run, wanted, order, size, start, back=back, matching=matching
            )

    def count(self, run_id: int, wanted: Wanted) -> int:
        """Return how many programs match; see `evolve.store.listing.count_matching`."""
        with self._database.read() as connection:
            return count_matching(connection, run_id, wanted)

    def operators(self, run_id: int) -> list[str]:
        """Return the names of the operators that made programs of a run."""
        with self._database.read() as connection:
            return list(
                connection.scalars(
                    select(programs.c.operator)
                    .where(programs.c.run_id == run_id)
                    .distinct()
                    .order_by(programs.c.operator)
                )
            )

    def programs_by_island(self, run_id: int) -> dict[int, int]:
        """Return how many programs were made for each island."""
        with self._database.read() as connection:
            rows = connection.execute(
                select(programs.c.island, func.count())
                .where(programs.c.run_id == run_id)
                .group_by(programs.c.island)
            )
            return dict(rows.all())

    def planted_entries(self, run_id: int) -> tuple[ProgramEntry, ...]:
        """Return the programs nobody proposed: the seed program, baselines, rescored elites."""
        query = entries().where(programs.c.run_id == run_id, programs.c.proposal_id.is_(None))
        with self._database.read() as connection:
            return read_entries(connection, query.order_by(programs.c.id).limit(RELATIVES))

    def entry(self, program_id: int) -> ProgramEntry | None:
        """Return one program as tables show it, or None when there is none of that number."""
        with self._database.read() as connection:
            this = programs.c.id == row_number(program_id)
            found = read_entries(connection, entries().where(this))
        return found[0] if found else None

    def sources(self, program_id: int) -> Program:
        """Return the sources of a program."""
        with self._database.read() as connection:
            return read_program(connection, program_id)

    def evaluations_of(self, program_id: int) -> tuple[Evaluation, ...]:
        """Return every evaluation of a program, oldest first."""
        with self._database.read() as connection:
            rows = connection.execute(
                select(evaluations)
                .where(evaluations.c.program_id == program_id)
                .order_by(evaluations.c.id)
            ).all()
            return tuple(read_evaluation(connection, row) for row in rows)

    def inspirations(self, program_id: int) -> tuple[int, ...]:
        """Return the programs that the proposal of a program was shown beside the parents."""
        with self._database.read() as connection:
            found = connection.scalar(
                select(proposals.c.inspirations)
                .join(programs, programs.c.proposal_id == proposals.c.id)
                .where(programs.c.id == program_id)
            )
        return tuple(found or ())

    def calls(self, program_id: int) -> tuple[Call, ...]:
        """Return the model calls of the proposal of a program, without their texts."""
        with self._database.read() as connection:
            rows = connection.execute(
                select(completions, FOR_GRADES.label("for_grade"))
                .join(programs, programs.c.proposal_id == completions.c.proposal_id)
                .join(proposals, proposals.c.id == completions.c.proposal_id)
                .where(programs.c.id == program_id)
                .order_by(completions.c.id)
            ).all()
        return tuple(
            Call(
                row.id,
                row.model,
                row.state,
                row.finish,
                row.error,
                TokenCounts(
                    row.tokens_input,
                    row.tokens_cached,
                    row.tokens_output,
                    row.tokens_reasoning,
                    row.tokens_written,
                ),
                row.cost_usd,
                row.latency_s,
                bool(row.for_grade),
            )
            for row in rows
        )

    def call_texts(self, program_id: int, call: int) -> tuple[str, str] | None:
        """Return the prompt, as JSON, and the reply of a call of a program; None: it made none."""
        with self._database.read() as connection:
            row = connection.execute(
                select(completions.c.prompt_blob, completions.c.reply_blob)
                .join(programs, programs.c.proposal_id == completions.c.proposal_id)
                .where(programs.c.id == program_id, completions.c.id == call)
            ).one_or_none()
            if row is None:
                return None
            return get_blob(connection, row.prompt_blob), get_blob(connection, row.reply_blob)

    def ancestors(self, program_id: int) -> tuple[ProgramEntry, ...]:
        """Return a program and its nearest ancestors, at most `RELATIVES`, newest first."""
        line = select(literal(program_id).label("id")).cte("line", recursive=True)
        line = line.union(select(parents.c.parent_id).join(line, parents.c.program_id == line.c.id))
        with self._database.read() as connection:
            ids = list(connection.scalars(select(line.c.id).limit(RELATIVES)))
            return read_listed(connection, sorted(ids, reverse=True))

    def descendants(self, program_id: int) -> list[int]:
        """Return the programs that derive from one, nearest first, at most `RELATIVES`."""
        line = (
            select(parents.c.program_id.label("id"))
            .where(parents.c.parent_id == program_id)
            .cte("line", recursive=True)
        )
        line = line.union(select(parents.c.program_id).join(line, parents.c.parent_id == line.c.id))
        with self._database.read() as connection:
            return list(connection.scalars(select(line.c.id).limit(RELATIVES)))

    def entries_of(self, ids: Sequence[int]) -> tuple[ProgramEntry, ...]:
        """Return programs in the order of ``ids``."""
        with self._database.read() as connection:
            return read_listed(connection, list(ids))
