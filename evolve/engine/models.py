"""What is known of the configured models without asking them, and what they say when asked."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from evolve.config.models import ModelConfig
from evolve.engine.pings import Pinged, ping_models
from evolve.llm.prices import quote
from evolve.llm.secrets import key_variable

#: Where the vendors' keys are, unless the configuration names another variable.
VENDOR_KEYS = {"openai": "OPENAI_API_KEY", "anthropic": "ANTHROPIC_API_KEY"}


@dataclass(frozen=True, slots=True)
class ModelFacts:
    """A model as configured. The key itself is never looked at, only whether there is one.

    Attributes:
        server: Base URL; ``vendor`` for the vendor's own, ``none`` where no server is asked.
        key_env: Variable of the key; empty when none is needed.
        key: Whether it is set; None when none is needed.
        price: As stored with runs, see `evolve.llm.prices.Quote`.
        ping: None unless asked.
    """

    id: str
    api: str
    server: str
    key_env: str
    key: bool | None
    price: Mapping[str, object]
    max_tokens: int
    concurrency: int
    timeout_s: float
    retries: int
    vision: bool = False
    ping: Pinged | None = None

    def as_dict(self) -> dict[str, object]:
        """Return the fields for JSON."""
        return asdict(self)


def list_models(
    configs: Sequence[ModelConfig], folder: Path, ping: str | None = None
) -> list[ModelFacts]:
    """Return what is known of every model.

    Args:
        configs: The models.
        folder: Where relative files in their ids start.
        ping: Ask each of them for one word, which may cost a fraction of a cent, and commit the
            calls to this database; None asks nobody.

    Raises:
        StoreError: the calls cannot be committed.
    """
    known = [_facts(config) for config in configs]
    if ping is None:
        return known
    said = ping_models(configs, folder, ping)
    return [replace(facts, ping=each) for facts, each in zip(known, said, strict=True)]


def _facts(config: ModelConfig) -> ModelFacts:
    kind = config.id.partition("/")[0]
    served = kind in VENDOR_KEYS
    variable = key_variable(config, VENDOR_KEYS[kind]) if served else ""
    return ModelFacts(
        id=config.id,
        api=config.api if kind == "openai" else "messages" if kind == "anthropic" else kind,
        server=(config.base_url or "vendor") if served else "none",
        key_env=variable,
        key=bool(os.environ.get(variable, "").strip()) if variable else None,
        price=quote(config).as_dict(),
        max_tokens=config.max_tokens,
        concurrency=config.concurrency,
        timeout_s=config.timeout_s,
        retries=config.retries,
        vision=config.vision,
    )
