"""Islands: populations with an archive each, which exchange their best now and then.

(Tanese, "Distributed genetic algorithms", 1989.) When islands exchange, are reset or appear follows
from counts of evaluations alone, and what is drawn comes from a generator the caller derives from
its seed: the same evaluations in the same order give the same islands.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Literal, NamedTuple, TypeAlias

import numpy as np

from evolve.archive.base import AddResult, AddStatus, Archive, Elite
from evolve.archive.census import Census, IslandCensus

Topology: TypeAlias = Literal["ring", "star", "full", "random"]
Allocation: TypeAlias = Literal["even", "random", "ucb"]
#: The only one, while there is only one.
FIRST = 0


@dataclass(frozen=True, slots=True)
class Plan:
    """How many islands there are, and what happens between them. An interval of 0 means never.

    Attributes:
        count: Islands at the start.
        topology: Who sends to whom, see `routes`.
        allocation: Whose turn an iteration is, see `Islands.turn`.
        migration_interval: Evaluations between migrations from everywhere.
        migration_stagnation: Evaluations without a better best after which an island receives.
        migrants: Elites that an island sends along each route, its fittest.
        reset_interval: Evaluations between resets.
        reset_fraction: Share of the islands that a reset retires, rounded down, the worst ones.
        spawn_stagnation: Evaluations without a better best of the run after which one more appears.
        spawn_limit: Islands that there may be because of that.
    """

    count: int = 1
    topology: Topology = "ring"
    allocation: Allocation = "even"
    migration_interval: int = 0
    migration_stagnation: int = 0
    migrants: int = 1
    reset_interval: int = 0
    reset_fraction: float = 0.5
    spawn_stagnation: int = 0
    spawn_limit: int = 0


class Offer(NamedTuple):
    """What an archive is offered; see `evolve.archive.base.Archive.add`."""

    key: int
    fitness: float
    measures: Mapping[str, float]
    metrics: Mapping[str, float] = MappingProxyType({})


class Change(NamedTuple):
    """A program entered an island's archive, or the island was retired (``added`` is None then)."""

    island: int
    offer: Offer
    added: AddResult | None


#: One island, to which nothing happens.
ALONE = Plan()


@dataclass(slots=True)
class Islands:
    """The islands of a run, and all of it in one archive.

    Numbers are never used twice: a reset retires islands and founds others in their place. What
    was proposed for an island that is no more goes to the best one.

    Attributes:
        build: Makes an empty archive.
        plan: What happens.
        live: The archives of the islands there are, by number, in order of number.
        everything: The archive of all that ever entered an island's, as if there were only one.
    """

    build: Callable[[], Archive]
    plan: Plan = ALONE
    live: dict[int, Archive] = field(init=False)
    everything: Archive = field(init=False)
    _founded: int = field(init=False)

    def __post_init__(self) -> None:
        self.live = {number: self.build() for number in range(self.plan.count)}
        self._founded = self.plan.count
        self.everything = self.build() if self.plan != ALONE else self.live[FIRST]

    def home(self, island: int) -> int:
        """Return where a program belongs that was proposed for ``island``."""
        return island if island in self.live else self.ranked()[0]

    def ranked(self) -> list[int]:
        """Return the islands' numbers, the one of the best program first, ties by number."""
        return sorted(self.live, key=lambda number: (-_best(self.live[number]), number))

    def turn(self, iteration: int, census: Census, rng: np.random.Generator) -> int:
        """Return the island of an iteration.

        ``even``: one after the other; ``random``: each with equal probability; ``ucb``: the one of
        the largest upper confidence bound of what evaluations gained lately, so that effort goes
        where the run improves (AdaEvolve, arXiv 2602.20133).
        """
        numbers = list(self.live)
        if len(numbers) == 1:
            return numbers[0]
        if self.plan.allocation == "random":
            return numbers[int(rng.integers(len(numbers)))]
        if self.plan.allocation == "ucb":
            return _most_promising(numbers, census)
        return numbers[iteration % len(numbers)]

    def offer(self, island: int, offer: Offer) -> AddResult:
        """Offer a program to an island's archive."""
        added = self.live[island].add(*offer)
        if added.status is not AddStatus.NOT_ADDED and self.everything is not self.live[island]:
            self.everything.add(*offer)
        return added

    def enter(self, island: int, offer: Offer) -> None:
        """Repeat a change that was committed: a program entered an island, new or not."""
        if island not in self.live:
            self.live[island] = self.build()
            self._founded = max(self._founded, island + 1)
        self.offer(island, offer)

    def revise(self, key: int, fitness: float) -> list[tuple[int, Elite]]:
        """Give an elite another fitness wherever it is; return its islands and what it is there."""
        found = [
            (island, elite)
            for island, archive in self.live.items()
            for elite in archive.elites()
            if elite.key == key
        ]
        for island, _ in found:
            self.live[island].revise(key, fitness)
        if self.everything is not self.live.get(FIRST):
            self.everything.revise(key, fitness)
        return [(island, replace(elite, fitness=fitness)) for island, elite in found]

    def retire(self, island: int) -> None:
        """Repeat a change that was committed: an island was given up."""
        del self.live[island]

    def send(self, offers: Iterable[tuple[int, Offer]]) -> list[Change]:
        """Offer programs to islands, in order; return what changed."""
        results = [(island, offer, self.offer(island, offer)) for island, offer in offers]
        return [Change(*each) for each in results if each[2].status is not AddStatus.NOT_ADDED]

    def rebuild(self, offers: Iterable[tuple[int, Offer]]) -> list[Change]:
        """Empty all archives, made anew, and `send` them what they are to be filled with."""
        self.live = {number: self.build() for number in self.live}
        self.everything = self.build() if self.plan != ALONE else self.live[FIRST]
        return self.send(offers)

    def upheaval(
        self,
        island: int,
        census: Census,
        rng: np.random.Generator,
        recall: Callable[[Elite], Offer],
    ) -> list[Change]:
        """Do what is due after an evaluation: migration, reset, spawning.

        Args:
            island: Where the evaluation belonged.
            census: With that evaluation.
            rng: Draws random routes, founders, and the order of equals.
            recall: Returns what an elite was when it was offered.

        Returns:
            What changed, in order.
        """
        plan = self.plan
        changes: list[Change] = []
        if _due(census.evaluations, plan.migration_interval):
            changes += self._migrate(list(self.live), rng, recall)
        elif _due(census.island(island).since_best, plan.migration_stagnation):
            changes += self._migrate([island], rng, recall)
        if _due(census.evaluations, plan.reset_interval):
            changes += self._reset(rng, recall)
        stagnates = _due(census.since_best, plan.spawn_stagnation)
        if stagnates and len(self.live) < plan.spawn_limit:
            elites = self.everything.champions()
            changes += self._found(elites[int(rng.integers(len(elites)))], recall)
        return changes

    def _migrate(
        self, receivers: Sequence[int], rng: np.random.Generator, recall: Callable[[Elite], Offer]
    ) -> list[Change]:
        """Offer copies of every sender's fittest to where its routes lead, all chosen before."""
        return self.send(
            [
                (receiver, recall(elite))
                for sender, receiver in routes(self.plan.topology, list(self.live), rng)
                if receiver in receivers
                for elite in self.live[sender].champions()[: self.plan.migrants]
            ]
        )

    def _reset(self, rng: np.random.Generator, recall: Callable[[Elite], Offer]) -> list[Change]:
        """Retire the worst islands; found one for each from the best program of a survivor."""
        ties = {number: rng.random() for number in self.live}
        worst_first = sorted(self.live, key=lambda n: (_best(self.live[n]), ties[n]))
        leaving = worst_first[: min(int(len(self.live) * self.plan.reset_fraction), len(ties) - 1)]
        staying = [number for number in self.live if number not in leaving]
        changes: list[Change] = []
        for number in leaving:
            lost = self.live[number].best
            founder = self.live[staying[int(rng.integers(len(staying)))]].best
            if lost is not None and founder is not None:
                changes.append(Change(number, recall(lost), None))
                self.retire(number)
                changes += self._found(founder, recall)
        return changes

    def _found(self, founder: Elite, recall: Callable[[Elite], Offer]) -> list[Change]:
        """Make another island, which begins with one program."""
        number = self._founded
        self.live[number], self._founded = self.build(), number + 1
        return self.send([(number, recall(founder))])


def routes(
    topology: Topology, islands: Sequence[int], rng: np.random.Generator
) -> list[tuple[int, int]]:
    """Return who sends to whom, by sender and receiver.

    ``ring``: each to the next one, the last to the first; ``star``: the first to all others, and
    they to it; ``full``: each to every other; ``random``: each to one other, drawn every time.
    """
    count = len(islands)
    if count < 2:
        return []
    if topology == "ring":
        return [(islands[i], islands[(i + 1) % count]) for i in range(count)]
    if topology == "random":
        steps = rng.integers(1, count, size=count)
        return [(islands[i], islands[(i + int(steps[i])) % count]) for i in range(count)]
    pairs = [(a, b) for a in islands for b in islands if a != b]
    return pairs if topology == "full" else [pair for pair in pairs if islands[0] in pair]


def _most_promising(numbers: Sequence[int], census: Census) -> int:
    """Return the island of the largest bound; gains count as shares of the largest mean gain."""
    known = [census.islands.get(number, IslandCensus()) for number in numbers]
    total = sum(each.evaluations for each in known)
    most = max(each.signal for each in known) or 1.0

    def bound(each: IslandCensus) -> float:
        if each.evaluations == 0:
            return math.inf
        return each.signal / most + math.sqrt(2 * math.log(total) / each.evaluations)

    best = max(range(len(numbers)), key=lambda index: (bound(known[index]), -index))
    return numbers[best]


def _best(archive: Archive) -> float:
    return -math.inf if archive.best is None else archive.best.fitness


def _due(count: int, interval: int) -> bool:
    return interval > 0 and count > 0 and count % interval == 0
