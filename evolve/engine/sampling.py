"""Scores that vary: samples are measured on demand, once, and committed before they are used."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial

import anyio

from evolve.archive.contests import Reading, Rules, Wanted
from evolve.archive.racing import Beliefs
from evolve.core.errors import RunFailed
from evolve.core.estimates import estimate, robust_estimate
from evolve.core.evaluation import Evaluation, Outcome, Sample, Stage
from evolve.core.measures import Objective
from evolve.core.program import Program
from evolve.engine.assess import Assessor, Judge
from evolve.engine.stop import Counters
from evolve.store.reader import Reader
from evolve.store.store import Store


@dataclass(slots=True)
class Sampling:
    """Measures programs of a run whose scores vary.

    Attributes:
        store: Where samples are committed, and looked up.
        assess: Runs programs.
        rules: How many samples there are, and whether programs are timed side by side.
        seed: Of the run.
        counters: Of the run.
    """

    store: Store
    assess: Assessor
    rules: Rules
    seed: int
    counters: Counters
    _under_way: dict[tuple[int, Stage, int], anyio.Event] = field(default_factory=dict)

    async def judge(self, program_id: int, program: Program, stage: Stage = "search") -> Evaluation:
        """Return the evaluation of a program: the mean of its first samples.

        On held-out cases, which decide nothing, there are as many as a program can get.
        """
        count, start = self.rules.most, 0
        if stage == "search":
            count = self.rules.repeats
            start = self.rules.first(self.store.iteration_of(program_id))
        first = await self._sample(program_id, start, stage, program)
        if first is not None:  # it could not be measured, or has no score
            return first
        async with anyio.create_task_group() as tasks:
            for repeat in range(start + 1, start + count):
                tasks.start_soon(self._sample, program_id, repeat, stage, program)
        samples = self.store.samples(program_id, stage, self.assess.version, start)[:count]
        if len(samples) < count:
            return self._lost(stage)
        return pooled([each.evaluation for each in samples], robust=self.rules.timed)

    async def measure(self, wanted: Sequence[Wanted]) -> None:
        """Measure what a race asks for.

        Raises:
            RunFailed: a slot failed again and again.
        """
        async with anyio.create_task_group() as tasks:
            for each in wanted:
                tasks.start_soon(self._wanted, each)

    async def _wanted(self, wanted: Wanted) -> None:
        key, repeat, against = wanted
        outcome = await self._sample(key, repeat, "search", self.store.sources(key), against)
        if outcome is not None and outcome.outcome is Outcome.INFRASTRUCTURE:
            raise RunFailed(
                f"program {key} could not be measured again ({outcome.message}).\nNothing is lost: "
                "mend the cause (`evolve doctor` may name it) and run again to resume."
            )

    async def _sample(
        self,
        program_id: int,
        repeat: int,
        stage: Stage,
        program: Program,
        against: int | None = None,
    ) -> Evaluation | None:
        """Have one sample in the store; return an evaluation without a score if that is all.

        Whoever asks for what is being measured waits for it.
        """
        place = program_id, stage, repeat
        while (under_way := self._under_way.get(place)) is not None:
            await under_way.wait()
        found = self.store.sample(program_id, stage, self.assess.version, repeat)
        if found is None:
            self._under_way[place] = anyio.Event()
            try:
                found = await self._run(repeat, stage, program, against)
                if found.evaluation.outcome is not Outcome.INFRASTRUCTURE:
                    self.store.add_sample(program_id, found, self.counters.elapsed_s)
                    self.counters.samples += stage == "search"
                    kept = self.store.sample(program_id, stage, self.assess.version, repeat)
                    found = kept or found  # another controller may have been first
            finally:
                self._under_way.pop(place).set()
        return None if found.evaluation.score is not None else found.evaluation

    async def _run(
        self, repeat: int, stage: Stage, program: Program, against: int | None
    ) -> Sample:
        """Run a program, beside another one if need be; who goes first takes turns."""
        seed = repeat_seed(self.seed, stage, repeat)
        if against is None:
            (evaluation,) = await self.assess.together([program], stage, seed)
            return Sample(repeat, evaluation)
        both = [program, self.store.sources(against)]
        turn = 1 if repeat % 2 == 0 else -1
        evaluation, other = (await self.assess.together(both[::turn], stage, seed))[::turn]
        if other.outcome is Outcome.INFRASTRUCTURE:
            return Sample(repeat, other)
        reference = None if other.score is None else other.score.objective
        return Sample(repeat, evaluation, against, reference)

    def _lost(self, stage: Stage) -> Evaluation:
        return Evaluation(
            Outcome.INFRASTRUCTURE,
            message="not all of its samples could be measured",
            evaluator=self.assess.version,
            stage=stage,
        )


@dataclass(frozen=True, slots=True)
class Judging:
    """How programs of a run come to their evaluations, and what is known of noisy ones.

    Attributes:
        version: Of the evaluator.
        judge: Makes evaluations.
        measure: Commits samples that races ask for; None where scores do not vary.
        beliefs: What races go by; likewise.
    """

    version: str
    judge: Judge
    measure: Callable[[Sequence[Wanted]], Awaitable[None]] | None = None
    beliefs: Beliefs | None = None


def judging_of(
    rules: Rules | None,
    store: Store,
    assess: Assessor,
    objective: Objective,
    seed: int,
    counters: Counters,
) -> Judging:
    """Return how programs are judged: once, or by samples where ``rules`` say so.

    The arguments are those of `Sampling`, and the objective that scores are turned by.
    """
    if rules is None:
        return Judging(assess.version, assess.judge)
    sampling = Sampling(store, assess, rules, seed, counters)
    beliefs = Beliefs(
        rules,
        partial(readings, store, assess.version, objective),
        iteration=store.iteration_of,
        worst=objective.fitness(objective.offset),
    )
    return Judging(assess.version, sampling.judge, sampling.measure, beliefs)


def readings(
    reader: Reader, evaluator: str, objective: Objective, key: int, first: int
) -> tuple[Reading, ...]:
    """Return the samples of a program from repeat ``first`` on as fitness."""

    def fitness(value: float | None) -> float | None:
        return None if value is None else objective.fitness(value)

    return tuple(
        Reading(fitness(value), against, fitness(reference))
        for value, against, reference in reader.sample_values(key, "search", evaluator, first)
    )


def repeat_seed(seed: int, stage: Stage, repeat: int) -> int:
    """Return the seed of a repeat: 63 bits, the same for every program of a run."""
    digest = hashlib.sha256(f"{seed}/{stage}/{repeat}".encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1


def pooled(evaluations: Sequence[Evaluation], *, robust: bool) -> Evaluation:
    """Return the mean of a program's samples, the first one's texts and cases with it.

    A sample without a score decides: a program that fails once cannot be relied on.
    """
    scores = [each.score for each in evaluations if each.score is not None]
    if len(scores) < len(evaluations):
        return next(each for each in evaluations if each.score is None)
    values = [score.objective for score in scores]
    known = robust_estimate(values) if robust else estimate(values)
    score = replace(
        scores[0],
        objective=known.mean,
        measures=_means([each.measures for each in scores]),
        metrics=_means([each.metrics for each in scores]),
    )
    return replace(evaluations[0], score=score, samples=known.n, error=known.error)


def _means(rows: Sequence[Mapping[str, float]]) -> dict[str, float]:
    return {
        name: math.fsum(row[name] for row in rows) / len(rows)
        for name in rows[0]
        if all(name in row for row in rows)
    }
