"""From a configuration to open parts: problem, models, operators, sandbox, pool, evaluation."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Protocol, cast

from evolve.archive.contests import SIDE_BY_SIDE, Rules
from evolve.archive.islands import Plan
from evolve.archive.racing import Beliefs
from evolve.archive.selection import SELECTORS, Mix, Selector
from evolve.archive.spec import ArchiveSpec
from evolve.config.file import Loaded
from evolve.config.models import RunConfig
from evolve.config.noise import NoiseConfig
from evolve.config.plugins import build, resolve
from evolve.config.problem import Problem, load_problem
from evolve.core.measures import Measure
from evolve.engine.events import Observer, Preparing
from evolve.engine.isolation import specify_sandbox
from evolve.engine.population import Policy, Population
from evolve.engine.slots import Slots, open_slots
from evolve.evaluate.service import EvaluationService, open_evaluation
from evolve.llm.base import Model
from evolve.llm.prices import Quote, check_prices, quotes
from evolve.llm.registry import open_models
from evolve.pool.base import Pool
from evolve.propose.base import Individual
from evolve.propose.portfolio import Portfolio, open_portfolio
from evolve.sandbox.base import Sandbox
from evolve.store.archives import ArchiveRecord


@dataclass(frozen=True, slots=True)
class Bench:
    """What programs are judged with, open and ready; ``rules`` where scores vary."""

    problem: Problem
    portfolio: Portfolio
    slots: Slots
    evaluate: EvaluationService
    rules: Rules | None

    @property
    def pool(self) -> Pool:
        """What leases the slots."""
        return self.slots.pool

    @property
    def sandbox(self) -> Sandbox:
        """What their isolation is like."""
        return self.slots.sandbox


@dataclass(frozen=True, slots=True)
class Parts(Bench):
    """What a run is made of, open and ready."""

    models: Mapping[str, Model]
    prices: Mapping[str, Quote]


class HasProblem(Protocol):
    """Whatever knows the problem of a run."""

    @property
    def problem(self) -> Problem: ...  # noqa: D102 - see Parts


@asynccontextmanager
async def open_parts(
    loaded: Loaded[RunConfig], emit: Observer = lambda _: None, *, ask_models: bool = True
) -> AsyncIterator[Parts]:
    """Open everything a configuration names; what needs no machine is checked first.

    Args:
        loaded: The configuration.
        emit: Told of trouble with slots.
        ask_models: Whether models are opened too, which needs their keys.

    Raises:
        ConfigError: a name or an option is wrong.
        PrerequisiteError: a sandbox, a key or a device is missing.
    """
    config = loaded.config
    prices = quotes(config.models)
    check_prices(prices, config.stop.cost_usd)
    async with (
        open_models(config.models if ask_models else (), loaded.folder) as models,
        open_bench(loaded, emit) as bench,
    ):
        yield Parts(
            **{each.name: getattr(bench, each.name) for each in fields(bench)},
            models=models,
            prices=prices,
        )


@asynccontextmanager
async def open_bench(
    loaded: Loaded[RunConfig], emit: Observer = lambda _: None
) -> AsyncIterator[Bench]:
    """Open all but the models: what it takes to judge programs that are there already.

    Args:
        loaded: The configuration.
        emit: Told of trouble with slots.

    Raises:
        ConfigError: a name or an option is wrong.
        PrerequisiteError: a sandbox or a device is missing.
    """
    config = loaded.config
    problem = configured_problem(loaded)
    check_language(loaded, problem)
    portfolio = open_portfolio(config, writers(config), problem.objective, loaded.folder)
    async with AsyncExitStack() as stack:
        spec = specify_sandbox(
            config.sandbox,
            arbitrary_code=portfolio.arbitrary_code,
            gpus=problem.limits.gpus > 0,
            folder=loaded.folder,
            image=problem.image,
            say=lambda text: emit(Preparing(text)),
            run=config.name or loaded.path.stem,
        )
        evaluate = await stack.enter_async_context(
            open_evaluation(
                problem,
                scorers=config.slots,
                interaction=config.interaction,
                trusted_programs=not portfolio.arbitrary_code,
                objectives=[each.name for each in config.archive.objectives],
                noisy=noise_of(config, problem) is not None or rotation_of(config, problem) > 0,
            )
        )
        rules = rules_of(loaded, problem, paired=evaluate.reseeds)
        slots = await stack.enter_async_context(open_slots(spec, config, problem, emit))
        yield Bench(problem, portfolio, slots, evaluate, rules)


def writers(config: RunConfig) -> list[str]:
    """Return the ids of the models that operators may ask."""
    return [model.id for model in config.models if model.api != "embeddings"]


def configured_problem(loaded: Loaded[RunConfig]) -> Problem:
    """Load the problem a configuration names, with the map's axes it asks for."""
    problem = load_problem(loaded.config.problem, loaded.folder)
    measures = loaded.config.archive.measures
    if measures is None:
        return problem
    return replace(
        problem, measures=tuple(Measure.from_dict(axis.model_dump()) for axis in measures)
    )


def check_language(loaded: Loaded[RunConfig], problem: Problem) -> None:
    """Refuse the operator that edits Python where programs are something else.

    Raises:
        ConfigError: there is such an operator.
    """
    for index, proposer in enumerate(loaded.config.proposers):
        if problem.command is not None and proposer.kind == "genetic":
            raise loaded.error(
                f"the genetic operator edits Python, and programs of {problem.id} are built and "
                "run by a command: use diff or rewrite, or name a model by --model",
                *("proposers", index),
            )


def population_of(
    loaded: Loaded[RunConfig],
    parts: HasProblem,
    spec: ArchiveSpec,
    load: Callable[[int], Individual],
    settled: ArchiveRecord | None = None,
    beliefs: Beliefs | None = None,
) -> Population:
    """Make the empty population a configuration describes.

    Args:
        loaded: The configuration.
        parts: Hold the problem.
        spec: What the run's archive is made from at first.
        load: Reads individuals by id.
        settled: The archive that took its place, see `evolve.engine.population.Population`.
        beliefs: What is known of noisy scores, if the problem has them.
    """
    policy = policy_of(loaded.config, loaded.folder)
    return Population(load, spec, parts.problem.objective, policy, settled=settled, beliefs=beliefs)


def noise_of(config: RunConfig, problem: Problem) -> NoiseConfig | None:
    """Return how noise is dealt with; None where scores do not vary or a sample has to do."""
    noise = config.noise or problem.noise
    return None if noise is None or noise.most == 1 else noise


def rotation_of(config: RunConfig, problem: Problem) -> int:
    """Return after how many iterations search cases are made anew; 0: never."""
    return problem.rotate if config.rotate is None else config.rotate.every


def may_vary_unsaid(config: RunConfig, problem: Problem) -> bool:
    """Return whether scores may vary for all that problem and configuration say.

    In search mode they do, with the clock, and the best construction is none the worse for it.
    """
    if problem.mode == "search":
        return False
    return config.noise is None and problem.noise is None and not problem.deterministic


def rules_of(loaded: Loaded[RunConfig], problem: Problem, *, paired: bool) -> Rules | None:
    """Return by what rules scores are compared that vary, by chance or since cases rotate.

    Args:
        loaded: The configuration; what it says of noise goes before what the problem says.
        problem: The problem.
        paired: Whether its evaluator makes the same chance from the same seed.

    Returns:
        None where scores do not vary.

    Raises:
        ConfigError: the archive is of a kind that has no races, the problem has probes or a
            cascade, or its evaluator makes no cases from seeds and they are to rotate.
    """
    config = loaded.config
    noise, rotate = noise_of(config, problem), rotation_of(config, problem)
    if noise is None and not rotate:
        if config.stop.samples is not None:
            raise loaded.error(
                f"samples are measurements of scores that vary, and those of {problem.id} do not "
                "for all that is said: use stop.evaluations, or say noise:",
                *("stop", "samples"),
            )
        return None
    said = config.noise if noise else config.rotate
    where = (("noise" if noise else "rotate") if said else "problem",)
    if rotate and not paired:
        raise loaded.error(
            f"cases rotate, but the evaluator of {problem.id} would make the same ones again: "
            "override reseed(case, seed) to make a case's inputs from the seed (docs/rotation.md)",
            "rotate" if config.rotate else "problem",
        )
    once = NoiseConfig(repeats=1, most=1, shrink=False, refresh=0)
    rules = Rules(
        **(noise or once).model_dump(),
        paired=paired,
        timed=problem.timed and noise is not None,
        rotate=rotate,
    )
    _check_rules(loaded, problem, rules, where)
    return rules


def _check_rules(
    loaded: Loaded[RunConfig], problem: Problem, rules: Rules, where: tuple[str, ...]
) -> None:
    """Refuse what scores that vary cannot go with.

    Raises:
        ConfigError: there is such a thing.
    """
    if problem.mode == "search":
        raise loaded.error(
            f"programs of {problem.id} begin with different constructions, so that repeats of one "
            "are no samples of the same score: leave noise and rotate out",
            *where,
        )
    archive = loaded.config.archive
    if archive.kind == "novelty" or archive.objectives:
        raise loaded.error(
            "noisy scores, and cases that rotate, need cells that hold the best of one objective: "
            "archive.kind grid or cvt, without objectives",
            *where,
        )
    if problem.probes:
        raise loaded.error(
            f"the probes of {problem.id} take over scores where outputs are equal, so its scores "
            "have no noise and its cases cannot rotate: leave one of the two out",
            *where,
        )
    if problem.cascade:
        raise loaded.error(
            f"the cascade of {problem.id} would end noisy programs for bad luck, and has one "
            "threshold for all sets of cases: leave one of the two out",
            *where,
        )
    if not all(axis.settled for axis in problem.measures):
        raise loaded.error(
            "noisy scores, and cases that rotate, need cells with edges: no scale: quantile", *where
        )
    if rules.timed and rules.most - rules.repeats < SIDE_BY_SIDE:
        raise loaded.error(
            f"a race of timed programs needs at least {SIDE_BY_SIDE} samples side by side: give "
            f"noise.most of {rules.repeats + SIDE_BY_SIDE} or more",
            *where,
        )


def policy_of(config: RunConfig, folder: Path) -> Policy:
    """Return how a configuration wants parents chosen; relative files start at ``folder``.

    Raises:
        ConfigError: the selector or one of its options is wrong.
    """
    selection, islands = config.selection, config.islands
    factory = resolve(selection.kind, seam="evolve.selectors", builtin=SELECTORS, folder=folder)
    what = f"selection {selection.kind}"
    return Policy(
        selector=cast("Selector", build(factory, selection.options, what=what)),
        inspirations=selection.inspirations,
        mix=Mix(**selection.mix.model_dump()),
        islands=Plan(
            count=islands.count,
            topology=islands.topology,
            allocation=islands.allocation,
            migration_interval=islands.migration.interval,
            migration_stagnation=islands.migration.stagnation,
            migrants=islands.migration.elites,
            reset_interval=islands.reset.interval,
            reset_fraction=islands.reset.fraction,
            spawn_stagnation=islands.spawn.stagnation,
            spawn_limit=islands.spawn.limit,
        ),
        seed=config.seed,
    )
