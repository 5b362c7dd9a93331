"""What a search has seen beyond its archive: numbers folded from committed evaluations.

No sources and no texts are kept, and numbers only for programs that became parents or entered an
archive, so that memory stays small however long a run gets.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from dataclasses import dataclass, field
from typing import NamedTuple

#: What an evaluation adds to or takes from the curiosity of its parent.
CURIOSITY_GAIN, CURIOSITY_LOSS = 1.0, 0.5
#: The signal of an island looks back over this share of its evaluations, but no fewer than so many.
LATELY, AT_LEAST = 0.1, 50
#: Programs of an island that are known by fitness, elites or not.
FITTEST = 1000


class Member(NamedTuple):
    """A program of an island, elite or not; where scores vary, by its first samples."""

    key: int
    fitness: float


@dataclass(slots=True)
class IslandCensus:
    """Numbers of one island.

    Attributes:
        evaluations: Programs that were evaluated for it.
        best: Largest fitness that it holds or held; None while it has none.
        since_best: Evaluations since its best rose.
        reward: Decayed sum of what evaluations gained, see `Census.evaluated`.
        visits: Decayed count of evaluations.
        current: The program that sequential refinement goes on from, with its fitness.
    """

    evaluations: int = 0
    best: float | None = None
    since_best: int = 0
    reward: float = 0.0
    visits: float = 0.0
    current: tuple[int, float] | None = None
    _fittest: list[tuple[float, int]] = field(default_factory=list)

    def keep(self, key: int, fitness: float) -> None:
        """Take note of a program, if it is among the `FITTEST`; of equals the first is."""
        kept, entry = self._fittest, (fitness, -key)
        if len(kept) == FITTEST and entry < kept[0]:
            return
        place = bisect_left(kept, entry)
        if place < len(kept) and kept[place] == entry:
            return  # it has come back from another island
        insort(kept, entry)
        if len(kept) > FITTEST:
            del kept[0]

    def fittest(self, most: int) -> list[Member]:
        """Return so many of the island's programs, fittest first, ties by key."""
        return [Member(-key, fitness) for fitness, key in self._fittest[: -most - 1 : -1]]

    @property
    def signal(self) -> float:
        """What an evaluation gained lately, on average: 0 to 1."""
        return self.reward / self.visits if self.visits else 0.0

    @property
    def pace(self) -> float:
        """How fast the island improves lately, beside how fast the run did on average.

        About 1 when it goes on as before, 0 when nothing happened for long; 1 in the beginning.
        """
        return (
            self.signal * self.evaluations if self.reward else float(self.evaluations <= AT_LEAST)
        )

    def gained(self, gain: float) -> None:
        """Take note of one evaluation for it and of what that gained."""
        keep = 1 - 1 / max(AT_LEAST, LATELY * self.evaluations)
        self.evaluations += 1
        self.since_best = 0 if gain > 0 else self.since_best + 1
        self.reward = keep * self.reward + gain
        self.visits = keep * self.visits + 1

    def rise(self, fitness: float) -> float:
        """Take note of a member's fitness; return by how much the best rose."""
        before = self.best
        if before is not None and fitness <= before:
            return 0.0
        self.best = fitness
        return 0.0 if before is None else fitness - before


@dataclass(slots=True)
class Census:
    """Statistics of all evaluations so far, in the order in which they were committed.

    The same evaluations in the same order give the same history, so a resumed run has the one it
    had. Ancestors are counted along the first parent, the one that was varied.

    Attributes:
        evaluations: How many there were, the seed program's included.
        trials: Evaluations of children, and proposals that came to nothing.
        seed: The first program, and its fitness.
        best: Largest fitness so far; None before the first.
        since_best: Evaluations since it rose.
        offspring: By parent, its children and the proposals from it that came to nothing: a
            duplicate, an edit that does not apply. So nobody is tried forever in vain.
        curiosity: By parent, how much its children got into the archive lately (Cully and
            Demiris, "Quality and diversity optimization: a unifying modular framework", 2018): 1
            more for each that did, half a point less for each that did not, never below 0.
        best_child: Largest fitness of a child, by parent.
        parent: Parent of each program that entered an archive or became a parent.
        islands: By number.
    """

    evaluations: int = 0
    trials: int = 0
    seed: tuple[int, float] | None = None
    best: float | None = None
    since_best: int = 0
    offspring: dict[int, int] = field(default_factory=dict)
    curiosity: dict[int, float] = field(default_factory=dict)
    best_child: dict[int, float] = field(default_factory=dict)
    parent: dict[int, int] = field(default_factory=dict)
    islands: dict[int, IslandCensus] = field(default_factory=dict)

    def island(self, number: int) -> IslandCensus:
        """Return the numbers of an island; all zero when nothing happened there yet."""
        found = self.islands.get(number)
        if found is None:
            found = self.islands[number] = IslandCensus()
        return found

    def evaluated(
        self, key: int, parent: int | None, island: int, fitness: float | None, *, entered: bool
    ) -> None:
        """Take note of an evaluation.

        What it gains is by how much it raises the best of its island, as a share of what the whole
        run has gained since its seed program, so that neither the unit nor the zero of the
        objective matters and a poor island's small steps count little. (AdaEvolve, arXiv
        2602.20133, divides by the best value instead.)

        Args:
            key: The program.
            parent: The one it was made from; None for the seed program.
            island: Where it belongs.
            fitness: None when it has no score.
            entered: Whether the island's archive took it.
        """
        self.evaluations += 1
        self.since_best += 1
        gain = 0.0
        here = self.island(island)
        if fitness is not None:
            gain = self._scored(key, here, fitness)
        here.gained(gain)
        if parent is not None:
            self._descended(key, parent, fitness, entered=entered)

    def tried(self, parent: int) -> None:
        """Count a child of a parent, or a proposal from it that came to nothing."""
        self.trials += 1
        self.offspring[parent] = self.offspring.get(parent, 0) + 1

    def descendants(self) -> dict[int, int]:
        """Return the sums of `offspring` over programs and all that descend from them.

        Takes time in proportion to the programs that entered an archive.
        """
        counts = dict(self.offspring)
        for key in reversed(self.parent):  # children come after their parents
            above = self.parent[key]
            counts[above] = counts.get(above, 0) + counts.get(key, 0)
        return counts

    def settled(self, island: int, key: int, fitness: float) -> None:
        """Take note that a program of that fitness came to an island from elsewhere."""
        here = self.island(island)
        here.keep(key, fitness)
        if here.rise(fitness) > 0:
            here.since_best = 0

    def _scored(self, key: int, here: IslandCensus, fitness: float) -> float:
        """Compare a fitness with the best ones; return the gain, 0 to 1."""
        if self.seed is None:
            self.seed = (key, fitness)
        if self.best is None or fitness > self.best:
            self.best, self.since_best = fitness, 0
        here.keep(key, fitness)
        if here.current is None or fitness >= here.current[1]:
            here.current = (key, fitness)
        rise = here.rise(fitness)
        total = self.best - self.seed[1] if rise > 0 else 0.0
        return min(rise / total, 1.0) if total > 0 else 0.0

    def _descended(self, key: int, parent: int, fitness: float | None, *, entered: bool) -> None:
        """Take note of a child's parent."""
        self.tried(parent)
        change = CURIOSITY_GAIN if entered else -CURIOSITY_LOSS
        self.curiosity[parent] = max(self.curiosity.get(parent, 0.0) + change, 0.0)
        if fitness is not None and fitness >= self.best_child.get(parent, fitness):
            self.best_child[parent] = fitness
        if entered:
            self.parent[key] = parent
