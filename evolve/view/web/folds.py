"""Archives kept in memory between requests: each look folds only what has entered since."""

from __future__ import annotations

import math
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass, field
from typing import Any, TypeVar

from evolve.archive.base import MEASURED, Archive, Clipped, fold
from evolve.archive.spec import ArchiveSpec
from evolve.engine.seen import RETIRED
from evolve.store.calls import Spending
from evolve.store.curve_reader import Change
from evolve.store.leads import Lead, Leads
from evolve.store.listing import Wanted
from evolve.store.page_reader import Cost, Counts, PageReader
from evolve.store.records import ArchiveEvent, RunRecord
from evolve.store.spending import By
from evolve.view.report import ComparedRow, comparison

T = TypeVar("T")

#: Runs whose archives are kept.
KEPT = 8


@dataclass(frozen=True, slots=True)
class Record:
    """An elite that was better than all before it; ``island`` is where."""

    evaluation: int
    program: int
    island: int
    fitness: float


@dataclass(slots=True)
class Folded:
    """What entered an archive of a run, as far as it was read.

    Attributes:
        archive: The whole.
        islands: That of each island.
        retired: Islands that were given up.
        records: The best of each island as it rose, in order.
        leads: Where scores vary, which elite was the best of its island and of all, and from which
            evaluation on, in order.
        clipped: What `archive` does not know of, since it need not be folded: see there.
        last: The row that was read last.
        lock: Held by who reads or looks.
    """

    spec: ArchiveSpec
    offset: float
    archive: Archive
    islands: dict[int, Archive] = field(default_factory=dict)
    retired: set[int] = field(default_factory=set)
    records: list[Record] = field(default_factory=list)
    leads: list[Lead] = field(default_factory=list)
    clipped: dict[str, Clipped] = field(default_factory=dict)
    last: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)
    _leads: Leads = field(default_factory=Leads)
    _reached: int = 0

    def read(self, reader: PageReader, run: RunRecord) -> None:
        """Fold what has entered since the last time."""
        best: dict[int, float] = {record.island: record.fitness for record in self.records}
        changes = reader.entered(run.id, run.archive, self.last)
        passed = set() if self.last else self._passed(changes)
        for change in changes:
            self.last, event = change.row, change.event
            if run.noisy:  # in strict order events may come after later evaluations
                self._reached = max(self._reached, change.evaluation)
                self.leads += self._leads.tell(self._reached, event)
            if event.status == RETIRED:
                self.retired.add(event.island)
                continue
            if change.row in passed:
                self._skip(event)
            else:
                self._enter(event)
            if event.status != MEASURED and event.fitness > best.get(event.island, -math.inf):
                best[event.island] = event.fitness
                record = Record(change.evaluation, event.program_id, event.island, event.fitness)
                self.records.append(record)

    def _passed(self, changes: Sequence[Change]) -> set[int]:
        """Return the rows of what entered a cell and left it again, where that has left no trace.

        In cells of one elite only a better one takes a place, so the last of each cell is what a
        fold of all would leave. With several islands, or fitness measured again, that is not so.
        """
        spec, events = self.spec, [change.event for change in changes]
        plain = spec.kind != "novelty" and spec.depth == 1 and not spec.objectives
        if not plain or {event.status for event in events} & {RETIRED, MEASURED}:
            return set()
        if len({event.island for event in events}) > 1:
            return set()
        last = {change.event.cell: change.row for change in changes}
        return {change.row for change in changes if last[change.event.cell] != change.row}

    def _skip(self, event: ArchiveEvent) -> None:
        """Count where an event was clipped, which is all that is left of it."""
        for measure in self.archive.measures:
            value = event.measures[measure.name]
            if not measure.low <= value <= measure.high:
                below, above = self.clipped.get(measure.name, Clipped(0, 0))
                self.clipped[measure.name] = Clipped(
                    below + (value < measure.low), above + (value > measure.high)
                )

    def _enter(self, event: ArchiveEvent) -> None:
        """Add to the archive of the whole and of the island, which are one while it is alone."""
        if not self.islands:
            self.islands[event.island] = self.archive
        elif event.island not in self.islands:
            if len(self.islands) == 1:
                self.islands = {number: deepcopy(self.archive) for number in self.islands}
            self.islands[event.island] = self.spec.build(self.offset)
        fold(self.archive, [event])
        if self.islands[event.island] is not self.archive:
            fold(self.islands[event.island], [event])


class Folds:
    """What was read of the runs looked at last. Safe to use from several threads."""

    def __init__(self) -> None:
        self._costs: dict[int, tuple[int, Cost]] = {}
        self._answers: dict[tuple[int, str], tuple[str, Any]] = {}
        self._kept: OrderedDict[tuple[int, int], Folded] = OrderedDict()
        self._lock = threading.Lock()

    @contextmanager
    def of(self, reader: PageReader, run: RunRecord) -> Iterator[Folded]:
        """Give the archive that the search of a run uses, as it is now; nobody else changes it."""
        with self._lock:
            key = (run.id, run.archive)
            if key not in self._kept:
                spec = reader.archive(run.id).spec
                offset = run.objective.fitness(run.objective.offset)
                self._kept[key] = Folded(spec, offset, spec.build(offset))
                if len(self._kept) > KEPT:
                    self._kept.popitem(last=False)
            self._kept.move_to_end(key)
            folded = self._kept[key]
        with folded.lock:
            folded.read(reader, run)
            yield folded

    def cost(self, reader: PageReader, run_id: int) -> Cost:
        """Return what the model calls of a run cost; those that have ended are read once."""
        until = reader.settled(run_id)
        with self._lock:
            read, known = self._costs.get(run_id, (0, Cost(0, 0.0, 0)))
            if until > read:
                read, known = until, known.plus(reader.cost(run_id, read, until))
                self._costs[run_id] = read, known
        return known.plus(reader.cost(run_id, read))

    def spending(self, reader: PageReader, run_id: int, by: By) -> tuple[Spending, ...]:
        """Return what the model calls of a run came to; it is kept until the run changes."""
        return self.kept(reader, run_id, by, lambda: reader.spending(run_id, by))

    def comparison(self, reader: PageReader, run: RunRecord) -> list[ComparedRow]:
        """Return the held-out comparison of a run; it is kept until the run changes."""
        return self.kept(reader, run.id, "comparison", lambda: comparison(reader, run))

    def counts(self, reader: PageReader, run_id: int) -> Counts:
        """Return what became of the proposals of a run; it is kept until the run changes."""
        return self.kept(reader, run_id, "counts", lambda: reader.counts(run_id))

    def count(self, reader: PageReader, run_id: int, wanted: Wanted) -> int:
        """Return how many programs match; that of all of them is kept until the run changes."""
        if wanted != Wanted():
            return reader.count(run_id, wanted)
        return self.kept(reader, run_id, "programs", lambda: reader.count(run_id, wanted))

    def kept(self, reader: PageReader, run_id: int, what: str, ask: Callable[[], T]) -> T:
        """Return an answer about a run, which is asked for again once the run has changed."""
        stamp = reader.stamp(run_id)
        kept = self._answers.get((run_id, what))
        if kept is None or kept[0] != stamp:
            kept = self._answers[run_id, what] = stamp, ask()
        answer: T = kept[1]
        return answer
