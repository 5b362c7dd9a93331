"""What the models behind an HTTP server share: keys, time limits, settings, errors.

The official SDKs send, time out and retry. Their parsed objects are not used: a server that
speaks a protocol loosely leaves fields out or fills them with other types, so replies are read
from the JSON with `dig` and `count_of`, which never raise.
"""

from __future__ import annotations

import json
import logging
import os
import re
import time
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, ClassVar

import anyio

from evolve.config.models import ModelConfig
from evolve.core.errors import (
    EvolveError,
    InfrastructureError,
    ModelUnavailable,
    ReplyLost,
)
from evolve.llm.base import Completion, Request

_log = logging.getLogger(__name__)

#: Stands in for a key where a server of one's own wants none but the SDK does.
NO_KEY = "none"
#: The longest pause between two tries that the SDKs accept from a server, in seconds.
_LONGEST_PAUSE_S = 120.0


class ServerModel(ABC):
    """A model reached through an SDK. Subclasses translate requests and replies.

    Args:
        config: Which model, where, and how to ask it.

    Raises:
        ModelUnavailable: the key's environment variable is not set.
    """

    #: Environment variable of the key when the configuration names none.
    default_key_env: ClassVar[str]

    def __init__(self, config: ModelConfig) -> None:
        self.name = config.id
        self._config = config
        self._model = config.id.partition("/")[2]
        self._key_env, self._key = _read_key(config, self.default_key_env)
        self._limiter = anyio.CapacityLimiter(config.concurrency)
        self._refused: set[str] = set()
        self._reached = False

    @abstractmethod
    def _settings(self, seed: int | None) -> dict[str, object]:
        """Return the parameters to send beside model and messages, less the refused ones."""

    @abstractmethod
    async def _send(self, request: Request, settings: Mapping[str, object]) -> bytes:
        """Ask once through the SDK, its retries included, and return the reply's JSON."""

    @abstractmethod
    def _read(self, body: Mapping[str, Any]) -> Completion:
        """Turn the reply's JSON into a completion without latency."""

    @abstractmethod
    def _can_do_without(self, parameter: str) -> bool:
        """Return whether a request still says what it must without ``parameter``."""

    @property
    @abstractmethod
    def _sdk_error(self) -> type[Exception]:
        """The root of the errors that the SDK raises for a call."""

    @property
    @abstractmethod
    def _base_url(self) -> str:
        """Where requests go."""

    @abstractmethod
    async def aclose(self) -> None:
        """Close connections."""

    def parameters(self) -> Mapping[str, object]:
        """Return the settings sent with every request, without any secret."""
        settings = {**self._settings(None), **self._config.extra_body}
        return {"model": self._model, "base_url": self._base_url, **settings}

    async def complete(self, request: Request) -> Completion:
        """Ask the model; see `evolve.llm.base.Model.complete`."""
        async with self._limiter:
            started = time.perf_counter()
            answer = await self._ask(request)
            latency = time.perf_counter() - started
        self._reached = True
        try:
            body = json.loads(answer)
        except (ValueError, RecursionError):
            body = None
        if not isinstance(body, dict):
            start = self._clean(answer[:200].decode("utf-8", "replace"))
            raise ReplyLost(f"{self.name}: the server's answer is not a JSON object: {start!r}")
        if body.get("error"):  # some gateways answer 200 with an error inside
            detail = self._clean(json.dumps(body["error"]))
            raise InfrastructureError(f"{self.name}: the server answered with an error: {detail}")
        return replace(self._read(body), latency_s=latency)

    async def _ask(self, request: Request) -> bytes:
        """Send until it is answered, leaving out optional parameters that the server refuses."""
        tries = self._config.retries + 1
        deadline_s = tries * self._config.timeout_s + (tries - 1) * _LONGEST_PAUSE_S
        while True:
            settings = self._settings(request.seed)
            failure: EvolveError
            # Raised outside the handlers: the SDK's error holds the request and so the key.
            try:
                with anyio.fail_after(deadline_s):
                    return await self._send(request, settings)
            except self._sdk_error as error:
                if self._learn(error, settings):
                    continue
                failure = self._explain(error)
            except TimeoutError:
                # The SDK's time limit is between two bytes: a reply that trickles passes it.
                failure = self._no_reply(f"{deadline_s:g} s are over")
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

    def _explain(self, error: Exception) -> EvolveError:
        """Turn an SDK's error into one that says what to do."""
        status = getattr(error, "status_code", None)
        if status is None:
            return self._explain_connection(error)
        self._reached = True
        body = getattr(error, "body", None)
        said = dig(body, "error", "message") or dig(body, "message") or error
        said = f"({status}): {self._clean(str(said))}"
        if status == 429 and getattr(error, "code", None) != "insufficient_quota":
            return InfrastructureError(f"{self.name}: rate limit, after retries {said}")
        if status >= 500 or status in (408, 409):
            return InfrastructureError(f"{self.name}: the server failed, after retries {said}")
        key = f"the key in {self._key_env}" if self._key_env else "the request without a key"
        advice = {
            401: f"the server at {self._base_url} refuses {key}; set api_key_env to the NAME "
            "of the variable that holds its key, then try `evolve doctor`",
            402: "the account has no credit left",
            403: f"the server does not let {key} use this model",
            404: f"the server at {self._base_url} does not know model {self._model!r}, or its "
            "base_url is not complete (most end in /v1)",
            429: "the account's quota is used up",
        }.get(status, "the server refuses the request")
        return ModelUnavailable(f"{self.name}: {advice} {said}")

    def _explain_connection(self, error: Exception) -> EvolveError:
        # By name: the HTTP library underneath is the SDK's business.
        cause = type(error.__cause__ or error).__name__
        if cause not in ("ConnectError", "ConnectTimeout", "PoolTimeout"):
            return self._no_reply(cause)
        message = f"{self.name}: cannot connect to {self._base_url} ({cause}), after retries"
        if self._reached:
            return InfrastructureError(message)
        return ModelUnavailable(f"{message}; is the server running, and base_url right?")

    def _no_reply(self, why: str) -> ReplyLost:
        return ReplyLost(
            f"{self.name}: no full reply from {self._base_url} ({why}), after retries; timeout_s "
            f"is {self._config.timeout_s:g}"
        )

    def _clean(self, text: str) -> str:
        """Shorten an error's text and take the key out of it."""
        if self._key != NO_KEY:
            text = text.replace(self._key, "[key]")
        return text if len(text) <= 1000 else text[:1000] + " ..."


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


def text_of(content: object) -> str:
    """Return the text of a message's content: a string, or a list of typed parts.

    Surrogates that no encoding can store are replaced.
    """
    if isinstance(content, list):
        parts = [dig(part, "text") for part in content if dig(part, "type") == "text"]
        content = "".join(part for part in parts if isinstance(part, str))
    if not isinstance(content, str):
        return ""
    return content.encode("utf-8", "replace").decode()


def _read_key(config: ModelConfig, default_env: str) -> tuple[str, str]:
    """Return the variable's name and the key; no name and `NO_KEY` where none is wanted.

    The default variable is not read for a server of one's own: its key belongs to the vendor.
    """
    env = config.api_key_env or ("" if config.base_url is not None else default_env)
    if not env:
        return "", NO_KEY
    key = os.environ.get(env, "").strip()
    if not key or not key.isascii() or not key.isprintable():
        state = "holds characters that no key has" if key else "is not set"
        raise ModelUnavailable(
            f"model {config.id}: the environment variable {env} {state}; export {env}=..., or "
            "set api_key_env to the NAME of another variable, then try `evolve doctor`"
        )
    return env, key
