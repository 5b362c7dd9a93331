"""From the configuration's ``models`` to open models."""

from __future__ import annotations

import inspect
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import cast

import anyio

from evolve.config.models import ModelConfig
from evolve.config.plugins import build, known_names, resolve
from evolve.core.errors import ConfigError
from evolve.llm.base import Model

#: What stands before the slash of a model's id. SDKs are imported by the constructors.
MODELS = {
    "openai": "evolve.llm.openai:openai_model",
    "anthropic": "evolve.llm.anthropic:AnthropicModel",
    "command": "evolve.llm.command:CommandModel",
    "agent": "evolve.propose.agent:AgentModel",
    "replay": "evolve.llm.replay:ReplayModel",
}


@asynccontextmanager
async def open_models(
    configs: Sequence[ModelConfig], folder: Path
) -> AsyncIterator[dict[str, Model]]:
    """Open every configured model, by id, and close them all at the end.

    Args:
        configs: The configuration's ``models``.
        folder: Where relative files in their ids start.

    Raises:
        ConfigError: an id is given twice or names nothing.
        ModelUnavailable: a key or a file is missing. No server is asked.
    """
    models: dict[str, Model] = {}
    async with AsyncExitStack() as stack:
        for config in configs:
            if config.id in models:
                raise ConfigError(f"the model '{config.id}' is given twice")
            models[config.id] = open_model(config, folder)
            stack.push_async_callback(_close, models[config.id])
        yield models


def open_model(config: ModelConfig, folder: Path) -> Model:
    """Open one model; its maker is called with those of ``config`` and ``folder`` that it takes.

    Raises:
        ConfigError: the id names nothing.
        ModelUnavailable: a key or a file is missing.
    """
    prefix, _, name = config.id.partition("/")
    by_prefix = prefix in known_names("evolve.models", MODELS) or ":" not in config.id
    maker = resolve(
        prefix if by_prefix else config.id, seam="evolve.models", builtin=MODELS, folder=folder
    )
    if by_prefix and not name:
        raise ConfigError(f"the model '{config.id}' lacks a name; write {prefix}/NAME")
    taken = inspect.signature(maker).parameters if callable(maker) else ()
    offered = {"config": config, "folder": folder}
    options = {name: value for name, value in offered.items() if name in taken}
    return cast("Model", build(maker, options, what=f"model {config.id}"))


async def _close(model: Model) -> None:
    """Close connections even when the run is being cancelled."""
    with anyio.move_on_after(5, shield=True):
        await model.aclose()
