"""The engine's own loop, journal, population and selection around a store in memory."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import cast

import anyio

from benchmarks.search.landscapes import Landscape, Perturb
from evolve.archive.spec import ArchiveSpec
from evolve.config.models import RunConfig
from evolve.config.presets import with_preset
from evolve.core.evaluation import Evaluation, Stage
from evolve.core.program import Program
from evolve.engine.assemble import policy_of
from evolve.engine.events import Event, Observer, ProgramEvaluated
from evolve.engine.history import History
from evolve.engine.journal import Journal, Judged, Pending
from evolve.engine.loop import Loop
from evolve.engine.order import Arrival
from evolve.engine.population import Population
from evolve.engine.stop import Counters
from evolve.engine.unfinished import Unfinished
from evolve.engine.width import Width
from evolve.propose.base import Complete, Individual, Proposer
from evolve.propose.portfolio import Portfolio
from evolve.store.records import AddedProgram
from evolve.store.store import Store


@dataclass
class MemoryStore:
    """What the journal asks of a store, kept in memory: durability is not what is measured."""

    individuals: dict[int, Individual] = field(default_factory=dict)
    _ids: dict[str, int] = field(default_factory=dict)
    _added: dict[int, tuple[Program, int]] = field(default_factory=dict)
    _proposals: itertools.count[int] = field(default_factory=itertools.count)

    def begin_proposal(self, *_: object, **__: object) -> int:
        """Return the next number."""
        return next(self._proposals)

    def reject(self, *_: object) -> None:
        """Forget it."""

    def add_program(
        self, run_id: int, program: Program, *, generation: int = 0, **_: object
    ) -> AddedProgram:
        """Number a program, unless there is one like it."""
        del run_id
        known = self._ids.get(program.id)
        if known is not None:
            return AddedProgram(known, is_new=False)
        number = self._ids[program.id] = len(self._ids) + 1
        self._added[number] = (program, generation)
        return AddedProgram(number, is_new=True)

    def commit_evaluation(self, number: int, evaluation: Evaluation, _: object) -> None:
        """Keep an evaluation."""
        program, generation = self._added.pop(number)
        self.individuals[number] = Individual(number, program, evaluation, generation)

    def ended(self, *_: object, **__: object) -> tuple[()]:
        """Tell nothing: no operator here learns."""
        return ()


@dataclass(frozen=True)
class InProcess:
    """Scores programs at once, in this process."""

    landscape: Landscape

    async def __call__(
        self, program_id: int, program: Program, stage: Stage = "search"
    ) -> Evaluation:
        """Return the evaluation of a program."""
        del program_id, stage
        return self.landscape.evaluate(program)


def course(landscape: Landscape, preset: str, seed: int, marks: Sequence[int]) -> list[float]:
    """Search a landscape; return the best value after each of some numbers of evaluations."""
    bests: list[float] = []

    def observe(event: Event) -> None:
        if isinstance(event, ProgramEvaluated):
            score = event.evaluation.score
            bests.append(score.objective if score is not None and event.is_best else bests[-1])

    anyio.run(partial(_search, landscape, _config(preset, seed, max(marks)), observe))
    return [bests[mark - 1] for mark in marks]


def _config(preset: str, seed: int, evaluations: int) -> RunConfig:
    data = {
        "problem": "landscape",
        "preset": preset,
        "seed": seed,
        "proposers": [{"kind": "genetic"}],  # required; the operator here is `Perturb`
        "stop": {"evaluations": evaluations, "fruitless": 10**6},
    }
    return RunConfig.model_validate(with_preset(data))


async def _search(landscape: Landscape, config: RunConfig, observe: Observer) -> None:
    """Search with one proposal in flight beside the one that is evaluated."""
    problem, store = landscape.problem(), MemoryStore()
    spec, policy = ArchiveSpec(problem.measures), policy_of(config, Path.cwd())
    load = store.individuals.__getitem__
    population = Population(load, spec, problem.objective, policy)
    journal = Journal(cast("Store", store), 1, population, Counters(), observe)
    seed = problem.seed_program
    pending = Pending(store.add_program(1, seed).id, seed, "seed", None)
    journal.record(Judged(pending, landscape.evaluate(seed)))
    loop = Loop(
        seed=config.seed,
        problem=problem,
        rules=config.stop,
        population=population,
        portfolio=Portfolio((cast("Proposer", Perturb(landscape)),), (1.0,)),
        history=History(),
        completer=lambda *_: cast("Complete", None),  # no operator asks a model
        judge=InProcess(landscape),
        journal=journal,
        order=Arrival(journal),
        width=Width(1, 1),
    )
    await loop.run(Unfinished())
