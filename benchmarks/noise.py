"""Rules for noisy scores side by side, at an equal number of samples, where the truth is known.

    python -m benchmarks.noise [--seeds 20] [--samples 1000] [--levels 0.02 0.1 0.3] [--jobs 2]

A slope over eight constants, 0 at the seed program and 1 at its top, is searched by the engine's
own population, archive and races; a sample is the true value and Gaussian noise. Every cell is the
median over the seeds with a 95 % bootstrap interval.

False elites are the cells, of all that are occupied, whose elite is truly worse, by more than 0.05,
than another program that was offered there. A sample costs nothing here, so what a race does to
wall time is not seen. Where cases rotate, the same noise stands for how well a program happens to
fit a set of cases: the naive search keeps one set, and fits it.
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import count, product, takewhile
from statistics import fmean
from typing import NamedTuple

import anyio
import numpy as np

from benchmarks.search.landscapes import SMOOTH, Landscape, Perturb
from evolve.archive.cells import CellArchive
from evolve.archive.contests import Need, Reading, Rules
from evolve.archive.racing import Beliefs
from evolve.archive.selection.plain import mixed
from evolve.archive.spec import ArchiveSpec
from evolve.core.estimates import Estimate, estimate
from evolve.core.evaluation import Evaluation
from evolve.core.measures import Measure
from evolve.core.program import Program
from evolve.engine.population import Policy, Population
from evolve.propose.base import Candidate, Context, Individual
from evolve.stats.describe import summarize

#: Every step toward the top is worth as much as any other; a step of one constant, about 0.02.
SLOPE: Landscape = replace(
    SMOOTH,
    name="slope",
    terms=lambda x: [1 - fmean(abs(each - 1) for each in x)],
    axes=(Measure("mean", -0.5, 1.5, 8), Measure("spread", 0.0, 1.0, 5)),
)

#: By name: how often programs are measured, and when; None: once.
RULES: dict[str, Rules | None] = {
    "naive": None,
    "fixed, 5 samples": Rules(repeats=5, most=5, shrink=False, refresh=0),
    "racing, mean": Rules(),
    "racing, lcb": Rules(compare="lcb"),
    "racing, probability": Rules(compare="probability"),
    "racing, not shrunk": Rules(shrink=False),
    "rotating, every 50": Rules(repeats=1, most=1, shrink=False, refresh=0, rotate=50),
    "rotating, every 200": Rules(repeats=1, most=1, shrink=False, refresh=0, rotate=200),
}
#: How much worse than another program of its cell a false elite is.
WORSE = 0.05


class Outcome(NamedTuple):
    """What a search ended with."""

    false_elites: float
    true_best: float
    inflation: float
    programs: float
    best_seen: float


@dataclass
class Search:
    """One search; everything that chance decides follows from the seed."""

    rules: Rules | None
    noise: float
    seed: int
    individuals: dict[int, Individual] = field(default_factory=dict)
    truth: dict[int, float] = field(default_factory=dict)
    readings: dict[int, dict[int, Reading]] = field(default_factory=lambda: defaultdict(dict))
    iterations: dict[int, int] = field(default_factory=dict)
    spent: int = 0

    def __post_init__(self) -> None:
        beliefs = None
        if self.rules is not None:
            beliefs = Beliefs(self.rules, self.look_up, iteration=self.iterations.get)
        self.population = Population(
            self.individuals.__getitem__,
            ArchiveSpec(SLOPE.axes),
            SLOPE.problem().objective,
            Policy(mixed(), inspirations=0),
            beliefs=beliefs,
        )

    def look_up(self, key: int, first: int) -> list[Reading]:
        """Return the samples of a program from a repeat on, as many as there are without a gap."""
        known = self.readings[key]
        repeats = takewhile(known.__contains__, count(first))
        return [known[repeat] for repeat in repeats]

    def sample(self, key: int, repeat: int) -> None:
        """Measure a program once more."""
        noise = np.random.default_rng([self.seed, key, repeat]).standard_normal()
        self.readings[key][repeat] = Reading(self.truth[key] + self.noise * float(noise))
        self.spent += 1

    def add(self, program: Program, parent: int | None, iteration: int = 0) -> None:
        """Evaluate a program, run its race, insert it."""
        key = len(self.individuals) + 1
        true = SLOPE.evaluate(program)
        assert true.score is not None
        self.truth[key] = true.score.objective
        self.iterations[key] = iteration
        first = self.rules.first(iteration) if self.rules else 0
        for repeat in range(self.rules.repeats if self.rules else 1):
            self.sample(key, first + repeat)
        known = estimate([each.value or 0.0 for each in self.look_up(key, first)])
        evaluation = _observed(true, known)
        self.individuals[key] = Individual(key, program, evaluation, 0)
        while isinstance(step := self.population.weigh(key, evaluation, 0), Need):
            for wanted in step.samples:
                self.sample(wanted.key, wanted.repeat)
        self.population.insert(key, evaluation, parent=parent, verdict=step)

    async def run(self, samples: int) -> Outcome:
        """Search until so many samples are spent."""
        operator = Perturb(SLOPE)
        self.add(SLOPE.problem().seed_program, None)
        iteration = 0
        while self.spent < samples:
            rng = np.random.default_rng([self.seed, iteration])
            parent = self.population.choose(0, rng).parent
            iteration += 1
            made = await operator.propose(_context(parent, rng))
            if isinstance(made, Candidate):
                self.add(made.program, parent.id, iteration)
        return self.outcome()

    def outcome(self) -> Outcome:
        """Compare what the archive holds with the truth."""
        archive = self.population.archive
        assert isinstance(archive, CellArchive)
        best_in: dict[int, float] = {}
        for key, individual in self.individuals.items():
            score = individual.evaluation.score
            assert score is not None
            cell = archive.cell_of(score.measures)
            best_in[cell] = max(best_in.get(cell, 0.0), self.truth[key])
        best = archive.best
        assert best is not None
        wrong = [self.truth[each.key] < best_in[each.cell] - WORSE for each in archive.elites()]
        truth = self.truth[best.key]
        return Outcome(
            fmean(wrong), truth, best.fitness - truth, len(self.truth), max(self.truth.values())
        )


def _observed(true: Evaluation, known: Estimate) -> Evaluation:
    assert true.score is not None
    score = replace(true.score, objective=known.mean)
    return replace(true, score=score, samples=known.n, error=known.error)


def _context(parent: Individual, rng: np.random.Generator) -> Context:
    """Return what the operator looks at: the parent and its generator."""

    class _Context(NamedTuple):
        parent: Individual
        rng: np.random.Generator

    return _Context(parent, rng)  # type: ignore[return-value] # all that `Perturb` looks at


def search(name: str, noise: float, seed: int, samples: int) -> Outcome:
    """Return what a rule's search comes to at a level of noise."""
    return anyio.run(Search(RULES[name], noise, seed).run, samples)


def tables(
    levels: list[float], seeds: int, samples: int, run: Callable[..., Iterator[Outcome]]
) -> Iterator[str]:
    """Yield Markdown tables, one for each level of noise."""
    tasks = list(product(levels, RULES, range(seeds)))
    noises, names, numbers = zip(*tasks, strict=True)
    found: dict[tuple[float, str], list[Outcome]] = defaultdict(list)
    outcomes = run(partial(search, samples=samples), names, noises, numbers)
    for (noise, name, _), outcome in zip(tasks, outcomes, strict=True):
        found[noise, name].append(outcome)
    for noise in levels:
        yield f"\nNoise of standard deviation {noise:g}, {samples} samples, {seeds} seeds\n"
        yield "| rule | false elites, % | reported best, truly | its score is off by | programs |"
        yield "|---|---:|---:|---:|---:|"
        for name in RULES:
            rows = found[noise, name]
            cells = (
                _cell([100 * each.false_elites for each in rows], 0),
                _cell([each.true_best for each in rows], 3),
                _cell([each.inflation for each in rows], 3),
                f"{fmean(each.programs for each in rows):.0f}",
            )
            yield f"| {name} | {' | '.join(cells)} |"


def _cell(values: list[float], digits: int) -> str:
    known = summarize(values)
    if known.low is None:
        return f"{known.median:.{digits}f}"
    return f"{known.median:.{digits}f} ({known.low:.{digits}f} to {known.high:.{digits}f})"


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--samples", type=int, default=1000)
    parser.add_argument("--levels", type=float, nargs="+", default=[0.02, 0.1, 0.3])
    parser.add_argument("--jobs", type=int, default=2)
    options = parser.parse_args()
    with ProcessPoolExecutor(options.jobs) as pool:
        run = partial(pool.map, chunksize=1)
        for line in tables(options.levels, options.seeds, options.samples, run):
            print(line)


if __name__ == "__main__":
    main()
