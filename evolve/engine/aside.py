"""What a run measures beside its search: held-out cases along the way, and whether scores vary.

Nothing here is seen by selection or prompts, and nothing waits for it.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from functools import partial

import anyio

from evolve.config.held_out import HeldOutConfig
from evolve.config.models import RunConfig
from evolve.core.evaluation import Evaluation, Outcome
from evolve.core.measures import Objective
from evolve.engine.assemble import Parts, may_vary_unsaid
from evolve.engine.assess import Assessor
from evolve.engine.events import Event, HeldOutScored, Observer, ProgramEvaluated, Warned
from evolve.engine.sampling import Judging
from evolve.store.records import HeldOutPoint
from evolve.store.store import Store

#: Measured bests without a better held-out score after which the gap counts as growing.
PATIENCE = 3
#: Standard errors beyond which a difference is none of chance: a 95 % interval.
SURE = 1.96
#: The seed program is scored a second time if that takes no longer, in nanoseconds.
QUICK_NS = 5_000_000_000
#: Relative difference of two times that is worth a word.
TIMES_DIFFER = 0.02


@dataclass(slots=True)
class Aside:
    """An observer of a run that queues work, and the one task that does it.

    Attributes:
        store: Where held-out evaluations are committed.
        run_id: The run.
        judging: Makes them.
        objective: What gaps are measured in.
        config: When held-out cases are measured.
        again: Scores the seed program once more; None when its score may vary, or cannot.
        emit: Told what was found.
        timed: Whether scores are made of time.
    """

    store: Store
    run_id: int
    judging: Judging
    objective: Objective
    config: HeldOutConfig
    emit: Observer
    again: Callable[[], Awaitable[Evaluation]] | None = None
    timed: bool = False
    _best: int | None = None
    _evaluations: int = 0
    _queue: deque[Callable[[], Awaitable[None]]] = field(default_factory=deque)
    _changed: anyio.Event = field(default_factory=anyio.Event)
    _idle: anyio.Event = field(default_factory=anyio.Event)

    def __call__(self, event: Event) -> None:
        """Queue what an event of the run makes due."""
        if not isinstance(event, ProgramEvaluated):
            return
        self._evaluations += event.evaluation.outcome is not Outcome.INFRASTRUCTURE
        if event.is_best:
            self._best = event.program_id
            if event.iteration is None and self.again is not None:
                self._put(lambda: self._detect(event.evaluation))
        on_best = event.is_best and self.config.best
        interval = self.config.every
        due = interval > 0 and self._evaluations % interval == 0
        if (on_best or due) and (number := self._best) is not None:
            self._put(lambda: self._hold_out(number))

    async def run(self) -> None:
        """Do what is queued, for ever."""
        while True:
            while self._queue:
                await self._queue[0]()
                self._queue.popleft()
            self._idle.set()
            self._changed = anyio.Event()
            await self._changed.wait()

    async def finish(self) -> None:
        """Wait until `run` has done all that is queued."""
        while self._queue:
            self._idle = anyio.Event()
            await self._idle.wait()

    def _put(self, work: Callable[[], Awaitable[None]]) -> None:
        self._queue.append(work)
        self._changed.set()

    async def _hold_out(self, number: int) -> None:
        """Measure a program on held-out cases, unless that was done."""
        store, version = self.store, self.judging.version
        if store.evaluation_of(number, "held_out", version) is not None:
            return
        evaluation = await self.judging.judge(number, store.sources(number), "held_out")
        if evaluation.outcome is Outcome.INFRASTRUCTURE:
            return
        store.commit_evaluation(number, evaluation, [])
        points = store.held_out(self.run_id)
        point = next((each for each in points if each.program_id == number), None)
        if point is not None:
            self.emit(HeldOutScored(number, point.search, point.held_out))
            if warning := growing_gap(points, self.objective):
                self.emit(Warned(warning))

    async def _detect(self, first: Evaluation) -> None:
        """Say so when the seed program's score is another one the second time."""
        if self.again is None or first.score is None or first.usage.wall_ns > QUICK_NS:
            return
        second = await self.again()
        if second.score is None:
            return
        one, two = first.score.objective, second.score.objective
        largest = max(abs(one), abs(two)) or 1.0
        if one == two or (self.timed and abs(one - two) / largest < TIMES_DIFFER):
            return
        self.emit(
            Warned(
                f"scores vary: the seed program got {one:g}, and {two:g} the second time. The best "
                "of many such scores is a lucky one. Say `noise: {}` in problem.yaml or in the "
                "configuration, and programs are measured repeatedly (docs/noise.md)"
            )
        )


def growing_gap(points: tuple[HeldOutPoint, ...], objective: Objective) -> str:
    """Return a warning when the search score rises and the held-out score does not, or nothing.

    That is so when none of the last `PATIENCE` measured bests beats an earlier one on held-out
    cases, while the last one is better than that on the search cases and further from its held-out
    score. Where scores vary both differences have to be larger than chance makes them: `SURE`
    standard errors.

    Args:
        points: Measured programs, oldest first.
        objective: Says which is better.
    """
    if len(points) <= PATIENCE:
        return ""
    top = max(points, key=lambda each: objective.fitness(each.held_out))
    last = points[-1]
    if points.index(top) >= len(points) - PATIENCE:
        return ""
    rose = objective.fitness(last.search) - objective.fitness(top.search)
    wider = gap(last, objective) - gap(top, objective)
    seen = [each.search_error or 0.0 for each in (last, top)]
    hidden = [each.held_out_error or 0.0 for each in (last, top)]
    if rose <= SURE * math.hypot(*seen) or wider <= SURE * math.hypot(*seen, *hidden):
        return ""
    return (
        f"the gap grows: since program {top.program_id} the search score went from "
        f"{top.search:g} to {last.search:g}, the held-out score from {top.held_out:g} to "
        f"{last.held_out:g}. The search may be fitting its cases: use more of them, or other ones"
    )


def gap(point: HeldOutPoint, objective: Objective) -> float:
    """Return by how much the search score is better than the held-out score."""
    return objective.fitness(point.search) - objective.fitness(point.held_out)


def aside_of(
    config: RunConfig,
    parts: Parts,
    store: Store,
    run_id: int,
    judging: Judging,
    assess: Assessor,
    emit: Observer,
) -> Aside:
    """Return what a configuration wants measured beside its search."""
    problem = parts.problem
    again = partial(assess, problem.seed_program)
    return Aside(
        store,
        run_id,
        judging,
        problem.objective,
        config.held_out if "held_out" in parts.evaluate.stages else HeldOutConfig(),
        emit,
        again=again if may_vary_unsaid(config, problem) else None,
        timed=problem.timed,
    )
