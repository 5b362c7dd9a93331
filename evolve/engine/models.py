"""What is known of the configured models without asking them, and what they say when asked."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

import anyio

from evolve.config.models import ModelConfig
from evolve.core.errors import EvolveError
from evolve.llm.embeddings import embedding_request
from evolve.llm.ledger import believable, tokens_bound
from evolve.llm.prices import Quote, cost_usd, quote
from evolve.llm.registry import PING, open_model
from evolve.llm.secrets import key_variable

#: Where the vendors' keys are, unless the configuration names another variable.
VENDOR_KEYS = {"openai": "OPENAI_API_KEY", "anthropic": "ANTHROPIC_API_KEY"}
#: Longest reply that a ping asks for; a model that reasons needs some tokens to say a word.
_PING_TOKENS = 256


@dataclass(frozen=True, slots=True)
class Pinged:
    """What came of one tiny question.

    Attributes:
        model: The name that the server gave.
        finish: How the reply ended.
        cost_usd: None when the price is unknown.
        error: Why there is no reply; then the rest says nothing.
    """

    model: str = ""
    finish: str = ""
    latency_s: float = 0.0
    tokens_input: int = 0
    tokens_output: int = 0
    cost_usd: float | None = None
    error: str = ""


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
    configs: Sequence[ModelConfig], folder: Path, *, ping: bool = False
) -> list[ModelFacts]:
    """Return what is known of every model.

    Args:
        configs: The models.
        folder: Where relative files in their ids start.
        ping: Ask each of them for one word, which may cost a fraction of a cent.
    """
    return [anyio.run(partial(_look, config, folder, ping=ping)) for config in configs]


async def _look(config: ModelConfig, folder: Path, *, ping: bool) -> ModelFacts:
    kind = config.id.partition("/")[0]
    served = kind in VENDOR_KEYS
    variable = key_variable(config, VENDOR_KEYS[kind]) if served else ""
    quoted = quote(config)
    return ModelFacts(
        id=config.id,
        api=config.api if kind == "openai" else "messages" if kind == "anthropic" else kind,
        server=(config.base_url or "vendor") if served else "none",
        key_env=variable,
        key=bool(os.environ.get(variable, "").strip()) if variable else None,
        price=quoted.as_dict(),
        max_tokens=config.max_tokens,
        concurrency=config.concurrency,
        timeout_s=config.timeout_s,
        retries=config.retries,
        vision=config.vision,
        ping=await _ping(config, folder, quoted) if ping else None,
    )


async def _ping(config: ModelConfig, folder: Path, quoted: Quote) -> Pinged:
    short = config.model_copy(update={"max_tokens": min(config.max_tokens, _PING_TOKENS)})
    request = embedding_request(["ok"]) if config.api == "embeddings" else PING
    try:
        model = open_model(short, folder)
        try:
            reply = await model.complete(request)
        finally:
            await model.aclose()
    except EvolveError as error:
        return Pinged(error=str(error))
    most = tokens_bound(request, short)
    counted, _ = believable(reply.tokens, most, has_text=bool(reply.text))
    return Pinged(
        model=reply.model,
        finish=reply.finish,
        latency_s=reply.latency_s,
        tokens_input=reply.tokens.input,
        tokens_output=reply.tokens.output,
        cost_usd=None if quoted.price is None else cost_usd(counted, quoted.price),
    )
