"""`--model NAME`: the same search with a model's operators in place of those the file names."""

from __future__ import annotations

from dataclasses import replace

from evolve.config.file import Loaded
from evolve.config.models import ModelConfig, ProposerConfig, RunConfig

#: Edits are cheap and usually enough; a rewrite now and then leaves a local optimum.
OPERATORS = (ProposerConfig(kind="diff", weight=4.0), ProposerConfig(kind="rewrite", weight=1.0))


def with_model(loaded: Loaded[RunConfig], name: str) -> Loaded[RunConfig]:
    """Return the configuration with ``name`` as its only model and diffs and rewrites by it.

    A model the file already configures under that name keeps its settings.
    """
    known = [model for model in loaded.config.models if model.id == name]
    models = tuple(known or [ModelConfig(id=name)])
    config = loaded.config.model_copy(update={"models": models, "proposers": OPERATORS})
    return replace(loaded, config=config)
