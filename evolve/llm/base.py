"""A model: messages in, a completion with its usage and cost out."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, Protocol, TypeAlias

Finish: TypeAlias = Literal["stop", "length", "refusal", "empty", "other"]


@dataclass(frozen=True, slots=True)
class Message:
    """One turn of a conversation."""

    role: Literal["system", "user", "assistant"]
    content: str


@dataclass(frozen=True, slots=True)
class Request:
    """What is asked of a model.

    Attributes:
        messages: The conversation, a system message first where there is one.
        seed: Passed to servers that honour it; derived from the run's seed and the iteration.
    """

    messages: tuple[Message, ...]
    seed: int | None = None

    def to_json(self) -> str:
        """Return the request as JSON text: what the store keeps, and what is hashed."""
        messages = [{"role": m.role, "content": m.content} for m in self.messages]
        return json.dumps({"messages": messages, "seed": self.seed}, sort_keys=True)

    @property
    def sha256(self) -> str:
        """SHA-256 of `to_json`, in hexadecimal; recorded replies are found by it."""
        return hashlib.sha256(self.to_json().encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class Tokens:
    """Token counts as the server reports them; all 0 when it reports none that make sense.

    ``cached`` is part of ``input``, ``reasoning`` part of ``output``.
    """

    input: int = 0
    cached: int = 0
    output: int = 0
    reasoning: int = 0


@dataclass(frozen=True, slots=True)
class Completion:
    """A model's reply.

    Attributes:
        text: The reply; empty for a refusal or an empty answer.
        finish: Why it ended. A truncated, refused or empty reply is an outcome, not an error.
        tokens: What the server counted.
        cost_usd: Price in US dollars, filled in by the ledger; None when the model's prices or
            the token counts are unknown.
        latency_s: Seconds from request to full reply, retries included.
        model: The name the server gave, which may be more exact than the one asked for.
    """

    text: str
    finish: Finish = "stop"
    tokens: Tokens = field(default_factory=Tokens)
    cost_usd: float | None = None
    latency_s: float = 0.0
    model: str = ""


class Model(Protocol):
    """A language model behind some server. Safe for concurrent use within one event loop."""

    #: The reference it was made from, such as ``openai/gpt-x``.
    name: str

    async def complete(self, request: Request) -> Completion:
        """Ask the model.

        Raises:
            ModelUnavailable: no key, no server or no such model; retrying will not help.
            InfrastructureError: the call failed after the SDK's own retries; it is a `ReplyLost`
                when the server may have done, and billed, the work.
        """
        ...

    def parameters(self) -> Mapping[str, object]:
        """Return the settings sent with every request, without any secret."""
        ...

    async def aclose(self) -> None:
        """Close connections."""
        ...
