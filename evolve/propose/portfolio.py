"""Which operator next, and with which model: by weight, or as a bandit has learnt."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import cast

import numpy as np

from evolve.config.models import ProposerConfig, RunConfig
from evolve.config.plugins import build, resolve
from evolve.core.errors import ConfigError
from evolve.core.measures import Objective
from evolve.propose.bandit import Bandit
from evolve.propose.base import PROPOSERS, Instruction, Proposer
from evolve.propose.credit import Credit, by_operator
from evolve.propose.instruct import Instructor, open_instructor
from evolve.store.records import Ended


@dataclass(frozen=True, slots=True)
class Portfolio:
    """The operators of a run, each with the model it asks: the arms.

    Attributes:
        proposers: At least one.
        weights: Relative frequencies, positive, one for each.
        bandit: Chooses instead of the weights when there is one; its arms are `arms`.
        instructor: Has the instructions that operators show models, if the run has any.
    """

    proposers: tuple[Proposer, ...]
    weights: tuple[float, ...]
    bandit: Bandit | None = None
    instructor: Instructor | None = None

    def choose(
        self,
        rng: np.random.Generator,
        can_work: Callable[[Proposer], bool] = lambda _: True,
        island: int = 0,
    ) -> Proposer:
        """Draw an operator that can work now, by its weight or as the bandit has learnt.

        Where none can, all may be drawn. What was learnt is that of the ``island``.
        """
        usable = [can_work(proposer) for proposer in self.proposers]
        usable = usable if any(usable) else [True] * len(usable)
        if self.bandit is not None:
            return self.proposers[self.bandit.choose(rng, usable, island)]
        weights = np.array(self.weights) * usable
        return self.proposers[rng.choice(len(weights), p=weights / weights.sum())]

    def tell(self, ended: Ended) -> None:
        """Learn from what came of a proposal."""
        if self.bandit is not None:
            self.bandit.tell(ended)
        if self.instructor is not None:
            self.instructor.pool.tell(ended)

    def writes(self, iteration: int) -> Proposer | None:
        """Return what writes an instruction, if that is what an iteration is for."""
        if self.instructor is None or not self.instructor.pool.due(iteration):
            return None
        return self.instructor.operator(iteration)

    def instruction(self, operator: Proposer, rng: np.random.Generator) -> Instruction | None:
        """Draw the instruction for a proposal; None for an operator that shows none."""
        if self.instructor is None or not getattr(operator, "instructed", False):
            return None
        return self.instructor.pool.choose(rng)

    @property
    def arms(self) -> tuple[tuple[str, str], ...]:
        """Name and model of each operator; the model is empty where none is asked."""
        return tuple(map(_arm, self.proposers))

    def named(self, name: str, model: str = "") -> Proposer | None:
        """Return the operator of that name, the one that asks ``model`` where there are several."""
        found = [each for each in self.proposers if each.name == name]
        exact = [each for each in found if _arm(each) == (name, model)]
        return next(iter(exact + found), None)

    @property
    def arbitrary_code(self) -> bool:
        """Whether any operator may write anything at all into a program."""
        return any(proposer.arbitrary_code for proposer in self.proposers)


def open_portfolio(
    config: RunConfig, models: Sequence[str], objective: Objective, folder: Path
) -> Portfolio:
    """Make the configured operators and what chooses among them.

    Args:
        config: Its ``proposers`` and ``portfolio``.
        models: Ids of the models that write.
        objective: Of the problem.
        folder: Where relative files start.

    Raises:
        ConfigError: an operator, its model or one of its options is not there.
    """
    vision = frozenset(model.id for model in config.models if model.vision)
    opened = open_proposers(config.proposers, models, folder, vision=vision)
    _check_embeddings(config)
    if config.portfolio.kind == "bandit":
        credit = Credit(objective, by_operator)
        bandit = Bandit(config.portfolio, opened.arms, opened.weights, credit)
        opened = replace(opened, bandit=bandit)
    if config.instructions is None:
        return opened
    if not any(getattr(each, "instructed", False) for each in opened.proposers):
        raise ConfigError("instructions: no operator of this run would show one to a model")
    instructor = open_instructor(config.instructions, models, objective, folder)
    return replace(opened, instructor=instructor)


def open_proposers(
    configs: Sequence[ProposerConfig],
    models: Sequence[str],
    folder: Path,
    *,
    vision: Collection[str] = (),
) -> Portfolio:
    """Make the configured operators.

    An operator whose maker takes ``model`` gets the id of the first configured model unless its
    options name another one, or ``*``, which makes one operator for each model. One that takes
    ``folder`` gets the configuration's; one that takes ``vision`` is told whether its model sees.

    Args:
        configs: The configuration's ``proposers``.
        models: Ids of the configured models.
        folder: Where relative files start.
        vision: Ids of the models that are shown images.

    Raises:
        ConfigError: an operator, its model or one of its options is not there, or two cannot be
            told apart.
    """
    each = [one for config in configs for one in _for_each_model(config, models)]
    portfolio = Portfolio(
        tuple(_open(config, models, folder, vision) for config in each),
        tuple(config.weight for config in each),
    )
    arms = portfolio.arms
    for name, model in arms:
        if arms.count((name, model)) > 1:
            asked = f" with the model {model}" if model else ""
            raise ConfigError(
                f"the operator {name}{asked} is configured twice; give one of them a model of its "
                "own, or write their weights as one"
            )
    return portfolio


def _check_embeddings(config: RunConfig) -> None:
    """Check that every check for novelty names a model that embeds.

    Raises:
        ConfigError: one does not.
    """
    known = [model.id for model in config.models if model.api == "embeddings"]
    for proposer in config.proposers:
        novelty = proposer.options.get("novelty")
        name = novelty.get("model") if isinstance(novelty, dict) else None
        if name is not None and name not in known:
            raise ConfigError(
                f"proposer {proposer.kind}: novelty asks {name!r}, which is no configured model "
                f"with `api: embeddings`; there is {', '.join(known) or 'none'}"
            )


def _arm(proposer: Proposer) -> tuple[str, str]:
    return proposer.name, str(getattr(proposer, "model", ""))


def _for_each_model(config: ProposerConfig, models: Sequence[str]) -> list[ProposerConfig]:
    """Return a configuration for each model that one stands for."""
    if config.options.get("model") != "*" or not models:
        return [config]
    return [
        config.model_copy(update={"options": {**config.options, "model": model}})
        for model in models
    ]


def _open(
    config: ProposerConfig, models: Sequence[str], folder: Path, vision: Collection[str]
) -> Proposer:
    what = f"proposer {config.kind}"
    maker = resolve(config.kind, seam="evolve.proposers", builtin=PROPOSERS, folder=folder)
    taken = inspect.signature(maker).parameters if callable(maker) else ()
    options: dict[str, object] = dict(config.options)
    if "model" in taken:
        options["model"] = _model("model", config, models, what)
    if config.options.get("verifier") is not None and "verifier" in taken:
        _model("verifier", config, models, what)
    if "folder" in taken:
        options["folder"] = folder
    if "vision" in taken:
        options["vision"] = options.get("model") in vision
    return cast("Proposer", build(maker, options, what=what))


def _model(option: str, config: ProposerConfig, models: Sequence[str], what: str) -> str:
    """Return the id that an option names; the first model where it names none."""
    if not models:
        raise ConfigError(f"{what} asks a model, but none is configured; add one to models:")
    model = config.options.get(option, models[0])
    if model not in models:
        raise ConfigError(
            f"{what}: the model {model!r} is not configured; configured: {', '.join(models)}"
        )
    return str(model)
