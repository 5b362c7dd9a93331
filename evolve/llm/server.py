"""What the models behind an HTTP server share: keys, time limits, settings, errors.

The official SDKs send, time out and retry. Their parsed objects are not used: a server that
speaks a protocol loosely leaves fields out or fills them with other types, so replies are read
from the JSON with `dig` and `count_of`, which never raise.
"""

from __future__ import annotations

import json
import logging
import re
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, ClassVar, Protocol

import anyio

from evolve.config.models import ModelConfig
from evolve.core.errors import EvolveError, InfrastructureError, ModelUnavailable, ReplyLost
from evolve.llm.base import Completion, Request
from evolve.llm.faults import Server, explain, no_reply
from evolve.llm.secrets import NO_KEY, read_key, scrub
from evolve.llm.transport import LostTry, watched

_log = logging.getLogger(__name__)

#: The longest pause between two tries that the SDKs accept from a server, in seconds.
LONGEST_PAUSE_S = 120.0


class Client(Protocol):
    """What is needed of an SDK's client."""

    @property
    def base_url(self) -> object:
        """Where requests go."""
        ...

    async def close(self) -> None:
        """Close connections."""
        ...


class ServerModel(ABC):
    """A model reached through an SDK. Subclasses translate requests and replies.

    Args:
        config: Which model, where, and how to ask it.
        sdk_error: The root of the errors that the SDK raises for a call.

    Raises:
        ModelUnavailable: the key's environment variable is not set.
    """

    #: Environment variable of the key when the configuration names none.
    default_key_env: ClassVar[str]
    #: Parameters that a request still says what it must without.
    dispensable: ClassVar[frozenset[str]] = frozenset()
    _client: Client

    def __init__(self, config: ModelConfig, sdk_error: type[Exception]) -> None:
        self.name = config.id
        self._config = config
        self._model = config.id.partition("/")[2]
        self._key_env, self._key = read_key(config, self.default_key_env)
        self._sdk_error = sdk_error
        self._refused: set[str] = set()
        self._reached = self._answered = False
        self._on_rate_limit: Callable[[float], None] = lambda _: None

    @abstractmethod
    def _settings(self, request: Request | None) -> dict[str, object]:
        """Return the parameters to send beside model and messages, less the refused ones.

        Args:
            request: What they are for; None for those that every request shares.
        """

    @abstractmethod
    async def _send(self, request: Request, settings: Mapping[str, object]) -> bytes:
        """Ask once through the SDK, its retries included, and return the reply's JSON."""

    @abstractmethod
    def _read(self, body: Mapping[str, Any]) -> Completion:
        """Turn the reply's JSON into a completion without latency."""

    def _can_do_without(self, parameter: str) -> bool:
        """Return whether a request still says what it must without ``parameter``."""
        return parameter in self.dispensable

    def _wanted(self, settings: Mapping[str, object]) -> dict[str, object]:
        """Return what of ``settings`` is given and was not refused."""
        return {
            name: value
            for name, value in settings.items()
            if value is not None and name not in self._refused
        }

    def _schema(self, request: Request | None) -> Mapping[str, object] | None:
        """Return the JSON schema that a reply must follow, where grammars are not understood.

        Raises:
            ModelUnavailable: the request wants a grammar.
        """
        constraint = None if request is None else request.constraint
        if constraint is not None and constraint.schema is None:
            raise ModelUnavailable(
                f"{self.name}: this API takes no grammar; use constrain: json_schema, or none"
            )
        return None if constraint is None else constraint.schema

    def _client_settings(self, http: type[Any]) -> dict[str, Any]:
        """Return how to make the SDK's client; ``http`` is the SDK's transport."""
        return {
            "api_key": self._key,
            "base_url": self._config.base_url,
            "timeout": self._config.timeout_s,
            "max_retries": self._config.retries,
            "http_client": watched(http, self._rate_limited),
        }

    def _rate_limited(self, pause_s: float) -> None:
        self._on_rate_limit(pause_s)

    def on_rate_limit(self, tell: Callable[[float], None]) -> None:
        """Have ``tell`` called at every 429, with the pause in seconds that the server asks for."""
        self._on_rate_limit = tell

    def parameters(self) -> Mapping[str, object]:
        """Return the settings sent with every request, without any secret."""
        settings = {**self._settings(None), **self._config.extra_body}
        return {"model": self._model, "base_url": str(self._client.base_url), **settings}

    async def aclose(self) -> None:
        """Close connections."""
        await self._client.close()

    async def complete(self, request: Request) -> Completion:
        """Ask the model; see `evolve.llm.base.Model.complete`."""
        started = time.perf_counter()
        answer = await self._ask(request)
        latency = time.perf_counter() - started
        self._reached = self._answered = True
        try:
            body = json.loads(self._clean(answer.decode("utf-8", "surrogateescape")))
        except (ValueError, RecursionError):
            body = None
        if not isinstance(body, dict):
            start = self._clean(answer[:200].decode("utf-8", "replace"))
            raise ReplyLost(f"{self.name}: the server's answer is not a JSON object: {start!r}")
        if body.get("error"):  # some gateways answer 200 with an error inside
            detail = json.dumps(body["error"])[:1000]
            raise InfrastructureError(f"{self.name}: the server answered with an error: {detail}")
        return replace(self._read(body), latency_s=latency)

    async def _ask(self, request: Request) -> bytes:
        """Send until it is answered, leaving out optional parameters that the server refuses."""
        tries = self._config.retries + 1
        deadline_s = tries * self._config.timeout_s + (tries - 1) * LONGEST_PAUSE_S
        while True:
            settings = self._settings(request)
            failure: EvolveError
            # Raised outside the handlers: the SDK's error holds the request and so the key.
            try:
                with anyio.fail_after(deadline_s):
                    return await self._send(request, settings)
            except self._sdk_error as error:
                if self._learn(error, settings):
                    continue
                failure = explain(error, self._server())
                self._reached |= hasattr(error, "status_code")
            except LostTry as lost:
                failure = no_reply(self._server(), lost.why)
            except TimeoutError:
                # The SDK's time limit is between two bytes: a reply that trickles passes it.
                failure = no_reply(self._server(), f"{deadline_s:g} s are over")
            raise failure

    def _learn(self, error: Exception, sent: Mapping[str, object]) -> bool:
        """Return whether the server refused a parameter that it can be asked without."""
        if getattr(error, "status_code", None) not in (400, 422):
            return False
        text = f"{getattr(error, 'param', None)} {error}"
        named = [name for name in sent if re.search(rf"\b{name}\b", text)]
        for name in named:
            if self._can_do_without(name):
                _log.warning("%s: the server refuses %r; asking without it", self.name, name)
                self._refused.add(name)
                return True
        return False

    def _server(self) -> Server:
        return Server(
            name=self.name,
            model=self._model,
            url=str(self._client.base_url),
            key_env=self._key_env,
            timeout_s=self._config.timeout_s,
            reached=self._reached,
            answered=self._answered,
            clean=self._clean,
        )

    def _clean(self, text: str) -> str:
        """Take the key out of what a server says."""
        return text if self._key == NO_KEY else scrub(text, [self._key])


def dig(value: object, *path: str | int) -> object:
    """Follow keys and indices into parsed JSON; None where the path leaves it."""
    for step in path:
        if isinstance(value, dict) and isinstance(step, str):
            value = value.get(step)
        elif isinstance(value, list) and isinstance(step, int) and step < len(value):
            value = value[step]
        else:
            return None
    return value


def count_of(value: object, *path: str) -> int | None:
    """Return the token count at ``path``, or None when no count is there."""
    number = dig(value, *path)
    if isinstance(number, bool) or not isinstance(number, int) or number < 0:
        return None
    return number


def text_of(content: object, kind: str = "text") -> str:
    """Return the text of a message's content: a string, or a list of parts of type ``kind``.

    Surrogates that no encoding can store are replaced.
    """
    if isinstance(content, list):
        parts = [dig(part, "text") for part in content if dig(part, "type") == kind]
        content = "".join(part for part in parts if isinstance(part, str))
    if not isinstance(content, str):
        return ""
    return content.encode("utf-8", "replace").decode()
