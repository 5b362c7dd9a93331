"""Which operator next: a weighted choice among the configured ones."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import numpy as np

from evolve.config.models import ProposerConfig
from evolve.config.plugins import build, resolve
from evolve.core.errors import ConfigError
from evolve.propose.base import PROPOSERS, Proposer


@dataclass(frozen=True, slots=True)
class Portfolio:
    """The operators of a run.

    Attributes:
        proposers: At least one.
        weights: Relative frequencies, positive, one for each.
    """

    proposers: tuple[Proposer, ...]
    weights: tuple[float, ...]

    def choose(
        self, rng: np.random.Generator, can_work: Callable[[Proposer], bool] = lambda _: True
    ) -> Proposer:
        """Draw an operator that can work now, with probability proportional to its weight.

        Where none can, all may be drawn.
        """
        usable = [can_work(proposer) for proposer in self.proposers]
        weights = np.array(self.weights) * (usable if any(usable) else 1)
        return self.proposers[rng.choice(len(weights), p=weights / weights.sum())]

    def named(self, name: str, model: str = "") -> Proposer | None:
        """Return the operator of that name, the one that asks ``model`` where there are several."""
        found = [each for each in self.proposers if each.name == name]
        return next((each for each in found if getattr(each, "model", "") == model), None) or next(
            iter(found), None
        )

    @property
    def arbitrary_code(self) -> bool:
        """Whether any operator may write anything at all into a program."""
        return any(proposer.arbitrary_code for proposer in self.proposers)


def open_proposers(
    configs: Sequence[ProposerConfig], models: Sequence[str], folder: Path
) -> Portfolio:
    """Make the configured operators.

    An operator whose maker takes ``model`` gets the id of the first configured model unless its
    options name another one; one that takes ``folder`` gets the configuration's.

    Args:
        configs: The configuration's ``proposers``.
        models: Ids of the configured models.
        folder: Where relative files start.

    Raises:
        ConfigError: an operator, its model or one of its options is not there.
    """
    return Portfolio(
        tuple(_open(config, models, folder) for config in configs),
        tuple(config.weight for config in configs),
    )


def _open(config: ProposerConfig, models: Sequence[str], folder: Path) -> Proposer:
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
