"""The islands of a run together with the individuals on them: who is varied, who is kept."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from evolve.archive.base import MEASURED, AddResult, AddStatus, Archive, Elite
from evolve.archive.cells import CellArchive
from evolve.archive.census import Census
from evolve.archive.contests import Need, Verdict
from evolve.archive.islands import ALONE, FIRST, Change, Islands, Offer, Plan
from evolve.archive.racing import Beliefs
from evolve.archive.selection import EVEN, Mix, Profile, Selector, State, inspirations
from evolve.archive.spec import ArchiveSpec
from evolve.core.estimates import Estimate
from evolve.core.evaluation import Evaluation, Outcome
from evolve.core.measures import Objective
from evolve.engine.engaged import Engaged
from evolve.engine.seen import RETIRED, Seen, offer_of
from evolve.propose.base import Individual
from evolve.store.archives import ArchiveRecord
from evolve.store.facts import EvaluationFact
from evolve.store.records import ArchiveEvent, Standing

#: Individuals kept in memory; sources of all others stay in the store.
CACHED = 1024
#: Programs whose few numbers are kept, for selectors that look at them.
PROFILES = 2**16
#: What came of an offer that lost its race.
REFUSED = AddResult(AddStatus.NOT_ADDED, -1, 0.0, (), ())
#: Programs beside twice the elites whose numbers of samples are kept.
FORGOTTEN = 100
_STATUS = {AddStatus.NEW: "new", AddStatus.IMPROVE_EXISTING: "improve"}


@dataclass(frozen=True, slots=True)
class Settled:
    """An archive whose quantile cells have their edges now, and all that enters it at once."""

    spec: ArchiveSpec
    events: tuple[ArchiveEvent, ...]


@dataclass(frozen=True, slots=True)
class Placement:
    """What came of an evaluated program; ``events`` are all changes of archives it brought about.

    ``status`` and ``cell`` are those in the archive of its own island; ``settled`` is the archive
    that takes its place from now on.
    """

    status: AddStatus | None = None
    cell: int | None = None
    is_best: bool = False
    clipped: tuple[str, ...] = ()
    events: tuple[ArchiveEvent, ...] = ()
    settled: Settled | None = None


@dataclass(frozen=True, slots=True)
class Policy:
    """How parents and inspirations are chosen, and from how many islands.

    Attributes:
        selector: Chooses parents.
        inspirations: How many other elites a proposal sees.
        mix: Of which kind they are.
        islands: How many there are, and what happens between them.
        seed: Origin of what is drawn when islands exchange.
    """

    selector: Selector
    inspirations: int = 3
    mix: Mix = EVEN
    islands: Plan = ALONE
    seed: int = 0


class Chosen(NamedTuple):
    """A parent and the inspirations to show with it."""

    parent: Individual
    inspirations: tuple[Individual, ...]


class Population:
    """Archives and census in memory, a fold over what the store holds.

    Args:
        load: Reads an individual from the store, by program id.
        spec: What an archive is made from at first.
        objective: Turns objectives into fitness and back.
        policy: Who is chosen.
        settled: What it is made from once quantile cells have their edges, if that is known.
        beliefs: What is known of noisy scores; None where scores do not vary.

    Attributes:
        number: Of the archive within its run.
    """

    def __init__(
        self,
        load: Callable[[int], Individual],
        spec: ArchiveSpec,
        objective: Objective,
        policy: Policy,
        *,
        settled: ArchiveRecord | None = None,
        beliefs: Beliefs | None = None,
    ) -> None:
        offset = objective.fitness(objective.offset)
        self.objective = objective
        self.spec, self.number = spec, 0
        self.islands = Islands(lambda: self.spec.build(offset), policy.islands)
        self._next, self._seen = settled, Seen()
        self.beliefs = beliefs
        self.census = Census()
        self.individual = lru_cache(maxsize=CACHED)(load)
        self._policy = policy
        self._engaged = Engaged()
        self._fresh: Offer | None = None
        self._profile = lru_cache(maxsize=PROFILES)(self._look_up)

    @property
    def archive(self) -> Archive:
        """The archive of the whole run."""
        return self.islands.everything

    def most_inspirations(self, island: int) -> int:
        """Return how many inspirations a proposal for an island can be shown now."""
        return min(self._policy.inspirations, len(self.islands.live[island].champions()) - 1)

    def elites(self) -> list[int]:
        """Return the ids of all elites, fittest first."""
        return [elite.key for elite in self.archive.elites()]

    @property
    def best(self) -> Individual | None:
        """The best program in the archive."""
        elite = self.archive.best
        return None if elite is None else self.individual(elite.key)

    @property
    def standing(self) -> Standing:
        """The best objective of noisy scores as it is known now, and evaluations since it rose."""
        best = self.archive.best
        known = None if best is None else self.objective.fitness(best.fitness)
        return Standing(known, self.census.since_best)

    def restore(self, facts: Iterable[EvaluationFact]) -> Settled | None:
        """Rebuild archives and census from what was committed, oldest first.

        Returns:
            The archive that takes the place of the first one, if that was not committed yet.
        """
        settled, complete = None, self.spec.settled
        for fact in facts:
            fitness = None if fact.objective is None else self.objective.fitness(fact.objective)
            home = self.islands.home(fact.island)
            events, own = fact.events, fact.events
            if events:
                events = [event for event in events if event.archive == self.number]
                own = [event for event in events if _is_own(event, fact.program_id, home)]
            self.census.evaluated(fact.program_id, fact.parent, home, fitness, entered=bool(own))
            for event in events:
                if event.status == RETIRED:
                    self.islands.retire(event.island)
                    continue
                if self.beliefs is not None:
                    self.beliefs.known[event.program_id] = event.samples
                if event.status == MEASURED:
                    self.islands.revise(event.program_id, event.fitness)
                    continue
                self.islands.enter(event.island, offer_of(event))
                if event not in own:
                    self.census.settled(event.island, event.program_id, event.fitness)
            self._believe(fact.estimate, fact.iteration)
            if not complete:
                if fitness is not None:
                    score = Offer(fact.program_id, fitness, fact.measures, fact.metrics)
                    self._seen.score(home, score)
                self._seen.changes(event for event in events if event not in own)
                settled = self._cut() or settled
                complete = self.spec.settled
        return settled

    def expect(self, settled: ArchiveRecord) -> None:
        """Take note of the archive whose quantile cells have the edges that others gave them."""
        self._next = settled

    def turn(self, iteration: int, rng: np.random.Generator) -> int:
        """Return the island whose turn an iteration is."""
        return self.islands.turn(iteration, self.census, rng)

    def choose(self, island: int, rng: np.random.Generator) -> Chosen:
        """Draw a parent and the inspirations to show with it, all of one island."""
        archive = self.islands.live[island]
        state = State(archive, self.census, island, self._engaged.busy, self._profile)
        parent = self.individual(self._policy.selector(state, rng))
        shown = inspirations(
            archive, _elite(archive, parent), self._policy.inspirations, rng, self._policy.mix
        )
        return Chosen(parent, tuple(self.individual(elite.key) for elite in shown))

    def engage(self, iteration: int, parent: int) -> None:
        """Note that an iteration from that parent is under way."""
        self._engaged.begin(iteration, parent)

    def disengage(self, iteration: int) -> int | None:
        """Note that an iteration has ended; return the parent it was engaged with."""
        return self._engaged.end(iteration)

    def weigh(self, program_id: int, evaluation: Evaluation, island: int) -> Need | Verdict | None:
        """Judge whether a noisy program may enter, or say what has to be measured before.

        Returns:
            None where scores do not vary, and for a program without one.
        """
        if self.beliefs is None or evaluation.score is None:
            return None
        archive = self.islands.live[self.islands.home(island)]
        assert isinstance(archive, CellArchive)  # the configuration was checked for it
        interval = self.beliefs.rules.refresh
        due = interval > 0 and (self.census.evaluations + 1) % interval == 0
        everyone = (elite for each in self.islands.live.values() for elite in each.elites())
        return self.beliefs.judge(
            program_id, evaluation.score.measures, archive, refresh=due, everyone=everyone
        )

    def insert(
        self,
        program_id: int,
        evaluation: Evaluation,
        *,
        parent: int | None = None,
        island: int = FIRST,
        verdict: Verdict | None = None,
    ) -> Placement:
        """Offer an evaluated program to its island; one without a score is only counted.

        Args:
            program_id: The program.
            evaluation: What it scored; an infrastructure fault changes nothing.
            parent: The program it was made from; None for the seed program, which goes to every
                island.
            island: What it was proposed for.
            verdict: What `weigh` said of it.
        """
        if evaluation.outcome is Outcome.INFRASTRUCTURE:
            return Placement()
        home = self.islands.home(island)
        if evaluation.score is None:
            self.census.evaluated(program_id, parent, home, None, entered=False)
            events = self._upheaval(home)
            if not self.spec.settled:
                self._seen.changes(events)
            return Placement(events=events)
        score = evaluation.score
        fitness = self.objective.fitness(score.objective)
        worth = fitness if verdict is None else verdict.fitness
        offer = self._fresh = Offer(program_id, worth, score.measures, score.metrics)
        revised = self._revise(evaluation, verdict)
        best = self.archive.best
        added = REFUSED if verdict and not verdict.enters else self.islands.offer(home, offer)
        entered = added.status is not AddStatus.NOT_ADDED
        if self.beliefs is not None and verdict is not None and entered:
            self.beliefs.known[program_id] = verdict.samples
        self.census.evaluated(program_id, parent, home, fitness, entered=entered)
        own = [Change(home, offer, added)] if entered else []
        events = revised + self._events(own)
        if parent is None:
            others = [(each, offer) for each in self.islands.live if each != home]
            events += self._settle(self.islands.send(others))
        is_best = entered and (best is None or worth > best.fitness)
        events += self._upheaval(home)
        if not self.spec.settled:
            self._seen.score(home, offer)
            self._seen.changes(events[len(revised) + len(own) :])
        return Placement(
            added.status, added.cell, is_best, added.clipped, events, settled=self._cut()
        )

    def _believe(self, first: Estimate | None, iteration: int | None = None) -> None:
        """Take note of a program's first samples, and forget who is no elite any more."""
        if self.beliefs is None or first is None:
            return
        self.beliefs.tell(first)
        self.beliefs.reached(iteration)
        archives = self.islands.live.values()
        if len(self.beliefs.known) > 2 * sum(map(len, archives)) + FORGOTTEN:
            self.beliefs.keep({elite.key for archive in archives for elite in archive.elites()})

    def _revise(self, evaluation: Evaluation, verdict: Verdict | None) -> tuple[ArchiveEvent, ...]:
        """Give elites that were measured again the fitness they are known by now."""
        self._believe(evaluation.estimate)
        events = []
        for key, fitness, samples in () if verdict is None else verdict.measured:
            assert self.beliefs is not None  # they made the verdict
            self.beliefs.known[key] = samples
            names = [axis.name for axis in self.archive.measures]
            events += [
                ArchiveEvent(
                    key,
                    island,
                    elite.cell,
                    MEASURED,
                    fitness,
                    dict(zip(names, elite.measures, strict=True)),
                    archive=self.number,
                    samples=samples,
                )
                for island, elite in self.islands.revise(key, fitness)
            ]
        return tuple(events)

    def _cut(self) -> Settled | None:
        """Give quantile cells their edges once enough programs have a score; fill them anew."""
        if self.spec.settled or len(self._seen.measures) < self.spec.warm_up:
            return None
        stored = self._next
        self.spec = self.spec.settle(self._seen.measures) if stored is None else stored.spec
        changes = self.islands.rebuild(self._seen.offers)
        self._seen = Seen()
        if stored is not None:
            self.number = stored.number
            return None
        return Settled(self.spec, self._events(changes))

    def _upheaval(self, island: int) -> tuple[ArchiveEvent, ...]:
        """Do what is due between islands after an evaluation for ``island``."""
        rng = np.random.default_rng([self._policy.seed, self.census.evaluations, 2])
        return self._settle(self.islands.upheaval(island, self.census, rng, self._recall))

    def _settle(self, changes: Iterable[Change]) -> tuple[ArchiveEvent, ...]:
        """Count what came to islands from elsewhere; return the events."""
        events = self._events(changes)
        for event in events:
            if event.status != RETIRED:
                self.census.settled(event.island, event.program_id, event.fitness)
        return events

    def _events(self, changes: Iterable[Change]) -> tuple[ArchiveEvent, ...]:
        names = [objective.name for objective in self.spec.objectives]
        return tuple(
            ArchiveEvent(
                program_id=offer.key,
                island=island,
                cell=-1 if added is None else added.cell,
                status=RETIRED if added is None else _STATUS[added.status],
                fitness=offer.fitness,
                measures=dict(offer.measures),
                replaced=() if added is None else added.replaced,
                metrics={name: offer.metrics[name] for name in names},
                archive=self.number,
                samples=1 if self.beliefs is None else self.beliefs.known.get(offer.key, 1),
            )
            for island, offer, added in changes
        )

    def _recall(self, elite: Elite) -> Offer:
        if self._fresh is not None and self._fresh.key == elite.key:
            return self._fresh  # the store does not have it yet
        score = self.individual(elite.key).evaluation.score
        assert score is not None  # it is in an archive
        return Offer(elite.key, elite.fitness, score.measures, score.metrics)

    def _look_up(self, key: int) -> Profile:
        individual = self.individual(key)
        cases = {
            case.case: self.objective.fitness(case.score.objective)
            for case in individual.evaluation.cases
            if case.score is not None
        }
        return Profile(cases, sum(map(len, individual.program.files.values())))


def _is_own(event: ArchiveEvent, program_id: int, home: int) -> bool:
    happened = event.status not in (RETIRED, MEASURED)
    return happened and (event.program_id, event.island) == (program_id, home)


def _elite(archive: Archive, individual: Individual) -> Elite:
    """Return an individual as an elite of an archive, or as one without a cell."""
    found = next((elite for elite in archive.elites() if elite.key == individual.id), None)
    if found is not None:
        return found
    score = individual.evaluation.score
    assert score is not None  # it was chosen as a parent
    return Elite(
        key=individual.id,
        cell=-1,
        fitness=score.objective,
        measures=tuple(score.measures[axis.name] for axis in archive.measures),
    )
