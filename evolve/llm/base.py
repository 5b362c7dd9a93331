"""A model: messages in, a completion with its usage and cost out."""

from __future__ import annotations

import hashlib
import json
import math
from base64 import b64encode
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal, Protocol, TypeAlias, runtime_checkable

from evolve.core.png import png_size

#: Pixels of a side of a tile, and tokens; an image is scaled down to so many tiles.
_TILE, _TOKENS_PER_IMAGE, _TOKENS_PER_TILE, _MOST_TILES = 512, 2_833, 5_667, 8

Finish: TypeAlias = Literal["stop", "length", "refusal", "empty", "other"]


@dataclass(frozen=True, slots=True)
class Image:
    """A PNG file that a message carries.

    Attributes:
        name: How the text of the message calls it.
        png: The file; it passes `evolve.core.png.png_size`.
    """

    name: str
    png: bytes

    @property
    def base64(self) -> str:
        """The file as protocols want it."""
        return b64encode(self.png).decode()

    @property
    def url(self) -> str:
        """The file as a data URL."""
        return f"data:image/png;base64,{self.base64}"

    @property
    def tokens(self) -> int:
        """The most input tokens that any vendor's rule of 2026 counts for an image of its size.

        That is the rule of gpt-4o-mini: so much for an image, and for each tile of it.
        """
        width, height = png_size(self.png)
        tiles = math.ceil(width / _TILE) * math.ceil(height / _TILE)
        return _TOKENS_PER_IMAGE + _TOKENS_PER_TILE * min(tiles, _MOST_TILES)

    def described(self) -> dict[str, object]:
        """Return what a stored request says of it; the file itself is stored with its program."""
        width, height = png_size(self.png)
        sha256 = hashlib.sha256(self.png).hexdigest()
        return {"name": self.name, "sha256": sha256, "width": width, "height": height}


@dataclass(frozen=True, slots=True)
class Message:
    """One turn of a conversation; only models whose configuration says ``vision`` get images."""

    role: Literal["system", "user", "assistant"]
    content: str
    images: tuple[Image, ...] = ()

    def described(self) -> dict[str, object]:
        """Return the message as stored requests hold it."""
        message: dict[str, object] = {"role": self.role, "content": self.content}
        if self.images:
            message["images"] = [image.described() for image in self.images]
        return message


@dataclass(frozen=True, slots=True)
class Constraint:
    """What a reply must look like, for servers that decode under constraints.

    Attributes:
        grammar: In GBNF, as llama.cpp and others read it; empty for a schema.
        schema: A JSON schema that the whole reply follows; None for a grammar.
    """

    grammar: str = ""
    schema: Mapping[str, object] | None = None


@dataclass(frozen=True, slots=True)
class Request:
    """What is asked of a model.

    Attributes:
        messages: The conversation, a system message first where there is one.
        seed: Passed to servers that honour it; derived from the run's seed and the iteration.
        constraint: None lets the model say anything.
    """

    messages: tuple[Message, ...]
    seed: int | None = None
    constraint: Constraint | None = None

    def to_json(self) -> str:
        """Return the request as JSON text: what the store keeps, and what is hashed."""
        messages = [message.described() for message in self.messages]
        request: dict[str, object] = {"messages": messages, "seed": self.seed}
        if self.constraint is not None:
            form = {"grammar": self.constraint.grammar, "schema": self.constraint.schema}
            request["constraint"] = {name: value for name, value in form.items() if value}
        return json.dumps(request, sort_keys=True)

    @property
    def sha256(self) -> str:
        """SHA-256 of `to_json`, in hexadecimal; recorded replies are found by it."""
        return hashlib.sha256(self.to_json().encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class Tokens:
    """Token counts as the server reports them; all 0 when it reports none that make sense.

    ``cached`` and ``written`` are the parts of ``input`` that were read from and written to the
    server's cache, ``reasoning`` is part of ``output``.
    """

    input: int = 0
    cached: int = 0
    output: int = 0
    reasoning: int = 0
    written: int = 0


@dataclass(frozen=True, slots=True)
class Completion:
    """A model's reply.

    Attributes:
        text: The reply; empty for a refusal or an empty answer.
        finish: Why it ended. A truncated, refused or empty reply is an outcome, not an error.
        tokens: What the server counted, or what the ledger assumes where that makes no sense.
        note: Why the ledger assumes something; empty when it believes the server.
        cost_usd: Price in US dollars, filled in by the ledger; None when it is unknown.
        latency_s: Seconds from request to full reply, retries included.
        model: The name the server gave, which may be more exact than the one asked for.
    """

    text: str
    finish: Finish = "stop"
    tokens: Tokens = field(default_factory=Tokens)
    cost_usd: float | None = None
    latency_s: float = 0.0
    model: str = ""
    note: str = ""


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


@runtime_checkable
class RateLimited(Protocol):
    """A model that can tell of refusals which its SDK answers by trying again."""

    def on_rate_limit(self, tell: Callable[[float], None]) -> None:
        """Have ``tell`` called at every 429, with the pause in seconds that the server asks for."""
        ...
