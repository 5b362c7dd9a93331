"""What tables and pictures show of a run, made from the store alone."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from evolve.archive.base import Archive, fold
from evolve.archive.spec import ArchiveSpec
from evolve.core.errors import StoreError
from evolve.core.estimates import Estimate
from evolve.core.evaluation import Outcome
from evolve.engine.reported import reported, select_of
from evolve.engine.seen import RETIRED
from evolve.store.archives import ArchiveRecord
from evolve.store.reader import Reader
from evolve.store.records import ArchiveEvent, ProgramEntry, RunRecord


@dataclass(frozen=True, slots=True)
class ComparedRow:
    """A program beside others: objectives on search and held-out cases, None where there is none.

    ``metrics`` are those of the held-out cases; ``known`` has both objectives with their errors.
    """

    name: str
    program_id: int
    search: float | None
    held_out: float | None
    metrics: Mapping[str, float]
    known: tuple[Estimate | None, Estimate | None] = (None, None)


def archive_of(
    reader: Reader,
    run: RunRecord,
    at: int | None = None,
    island: int | None = None,
    ref: int | str | None = None,
) -> Archive:
    """Rebuild an archive of a run from what entered it, now or as it was; see `history`.

    Args:
        reader: Reads the run.
        run: The run.
        at: As it was after so many evaluations; None for now.
        island: Of this island; None for that of the whole run.
        ref: Number or name of the archive; None for the one that the search uses.

    Raises:
        StoreError: there is no such island, or no such archive.
    """
    if at is not None:
        return next(history(reader, run, [at], island, ref))[1]
    record = reader.archive(run.id, ref)
    events = [e for e in reader.archive_events(run.id, record.number) if e.status != RETIRED]
    own = events if island is None else [e for e in events if e.island == island]
    if island is not None and not own:
        raise StoreError(_no_island(run, island, events))
    archive = empty_archive(run, record.spec)
    fold(archive, own)
    return archive


def history(
    reader: Reader,
    run: RunRecord,
    moments: Iterable[float],
    island: int | None = None,
    ref: int | str | None = None,
) -> Iterator[tuple[float, Archive]]:
    """Yield an archive of a run as it was after so many evaluations, again and again.

    It is one archive that grows, so look at it before the next moment. Only before the edges of
    quantile axes were cut the archive of the search was another one; that one is yielded then.

    Args:
        reader: Reads the run.
        run: The run.
        moments: Numbers of evaluations, ascending.
        island: Of this island; None for that of the whole run.
        ref: Number or name of the archive; None for the one that the search uses.

    Raises:
        StoreError: there is no such island, or no such archive.
    """
    record = reader.archive(run.id, ref)
    now = before = _Growing.of(reader, run, record, island)
    if island is not None and not now.coming:
        raise StoreError(_no_island(run, island, reader.archive_events(run.id, record.number)))
    begins = 0.0
    if ref is None and record.number > 0:
        first = reader.archive(run.id, 0)
        before = _Growing.of(reader, run, first, island)
        begins = _cut(reader, run, first.spec.warm_up)
    for moment in moments:
        growing = before if moment < begins else now
        growing.grow(moment)
        yield moment, growing.archive


def _no_island(run: RunRecord, island: int, events: Iterable[ArchiveEvent]) -> str:
    known = ", ".join(map(str, sorted({event.island for event in events}))) or "none"
    return f"run {run.id} has no island {island}; there are: {known}"


def evaluations(reader: Reader, run: RunRecord) -> int:
    """Return how many evaluations `history` counts."""
    counts = reader.totals(run.id).evaluations
    return sum(count for outcome, count in counts.items() if outcome != Outcome.INFRASTRUCTURE)


@dataclass(slots=True)
class _Growing:
    """An archive and what enters it, each after so many evaluations, the last first."""

    archive: Archive
    coming: list[tuple[int, ArchiveEvent]]

    @classmethod
    def of(
        cls, reader: Reader, run: RunRecord, record: ArchiveRecord, island: int | None
    ) -> _Growing:
        entered = [
            (after, event)
            for after, event in reader.changes(run.id, record.number)
            if event.status != RETIRED and island in {None, event.island}
        ]
        coming = sorted(entered, key=lambda each: each[0])[::-1]
        return cls(empty_archive(run, record.spec), coming)

    def grow(self, moment: float) -> None:
        while self.coming and self.coming[-1][0] <= moment:
            fold(self.archive, [self.coming.pop()[1]])


def _cut(reader: Reader, run: RunRecord, warm_up: int) -> float:
    """Return after how many evaluations so many programs had a score."""
    scored = 0
    for ordinal, fact in enumerate(reader.facts(run.id, run.problem_hash), start=1):
        scored += fact.objective is not None
        if scored == warm_up:
            return ordinal
    return math.inf


def empty_archive(run: RunRecord, spec: ArchiveSpec) -> Archive:
    """Return an empty archive of a run."""
    return spec.build(run.objective.fitness(run.objective.offset))


@dataclass(frozen=True, slots=True)
class IslandRow:
    """What became of an island; ``retired`` when a reset gave it up."""

    island: int
    retired: bool
    evaluations: int
    elites: int
    best: float | None
    program_id: int | None


def islands(reader: Reader, run: RunRecord) -> list[IslandRow]:
    """Return the islands of a run by number; one row when it has only one."""
    spec = reader.archive(run.id).spec
    archives: dict[int, Archive] = {}
    retired = set()
    for event in reader.archive_events(run.id):
        if event.status == RETIRED:
            retired.add(event.island)
        else:
            fold(archives.setdefault(event.island, empty_archive(run, spec)), [event])
    evaluations = reader.evaluations_by_island(run.id)
    return [
        IslandRow(
            island=number,
            retired=number in retired,
            evaluations=evaluations.get(number, 0),
            elites=len(archive),
            best=None if archive.best is None else run.objective.fitness(archive.best.fitness),
            program_id=None if archive.best is None else archive.best.key,
        )
        for number, archive in sorted(archives.items())
    ]


def reported_entry(reader: Reader, run: RunRecord, rule: str = "") -> ProgramEntry | None:
    """Return the program to report of a run: its best, or what its problem's rule selects.

    Args:
        reader: Reads the run.
        run: The run.
        rule: Takes the place of that rule.

    Raises:
        ConfigError: there is no such rule.
    """
    select = select_of(run, rule)
    if select.rule == "objective":
        return reader.best(run.id)
    chosen = reported(reader, run.id, run.objective, select)
    return None if chosen is None else reader.program(chosen).entry


def comparison(reader: Reader, run: RunRecord) -> list[ComparedRow]:
    """Return the best program, the seed program and the baselines, as far as they were compared."""
    best = reported_entry(reader, run)
    named = [] if best is None else [("best found", best)]
    named += [("seed program", entry) for entry in reader.programs(run.id, operator="seed")]
    named += [
        (entry.operator.removeprefix("baseline:"), entry)
        for entry in reader.programs(run.id, operator="baseline:")
    ]
    rows, estimates = [], reader.estimates(run.id)
    for name, entry in named:
        evaluations = reader.program(entry.id).evaluations
        held_out = [e for e in evaluations if e.stage == "held_out"]
        search = [e for e in evaluations if e.stage == "search"]
        if held_out:
            metrics = held_out[-1].score.metrics if held_out[-1].score else {}
            known = (
                estimates.get(entry.id, search[-1].estimate if search else None),
                held_out[-1].estimate,
            )
            seen, hidden = (None if each is None else each.mean for each in known)
            rows.append(ComparedRow(name, entry.id, seen, hidden, metrics, known))
    return rows
