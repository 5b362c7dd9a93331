"""From an SDK's error to one that says what is wrong and what to do about it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from evolve.core.errors import (
    CallRefused,
    EvolveError,
    InfrastructureError,
    ModelUnavailable,
    ReplyLost,
)
from evolve.llm.transport import NOT_SENT

#: Longest part of a server's own words in a message, in characters.
_LONGEST = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """Who was asked, for messages.

    Attributes:
        key_env: Name of the key's variable; empty when no key is sent.
        reached: Whether the server could ever be connected to.
        answered: Whether it has ever answered with a reply.
        clean: Takes secrets out of a text.
    """

    name: str
    model: str
    url: str
    key_env: str
    timeout_s: float
    reached: bool
    answered: bool
    clean: Callable[[str], str]


def explain(error: Exception, server: Server) -> EvolveError:
    """Return what an SDK's ``error`` means: a mistake to be mended, a fault, or a lost reply."""
    status = getattr(error, "status_code", None)
    if status is None:
        return _explain_connection(error, server)
    body = getattr(error, "body", None)
    words = _message(body) or str(error)
    said = f"({status}): {_shorten(server.clean(words))}"
    if status == 429 and getattr(error, "code", None) != "insufficient_quota":
        return InfrastructureError(f"{server.name}: rate limit, after retries {said}")
    if status >= 500 or status in (408, 409):
        return InfrastructureError(f"{server.name}: the server failed, after retries {said}")
    key = f"the key in {server.key_env}" if server.key_env else "the request without a key"
    advice = {
        401: f"the server at {server.url} refuses {key}; set api_key_env to the NAME of the "
        "variable that holds its key, then try `evolve models --ping`",
        402: "the account has no credit left",
        403: f"the server does not let {key} use this model",
        404: f"the server at {server.url} does not know model {server.model!r}, or its base_url "
        "is not complete (most end in /v1)",
        429: "the account's quota is used up",
    }.get(status, "the server refuses the request")
    message = f"{server.name}: {advice} {said}"
    if server.answered and status in (401, 402, 403, 404, 429):  # gateways have bad moments
        return CallRefused(message)
    return ModelUnavailable(message)


def no_reply(server: Server, why: str) -> ReplyLost:
    """Return the error for a request that may have been answered, but not to us."""
    return ReplyLost(
        f"{server.name}: no full reply from {server.url} ({why}); timeout_s is {server.timeout_s:g}"
    )


def _explain_connection(error: Exception, server: Server) -> EvolveError:
    cause = type(error.__cause__ or error).__name__
    if cause not in NOT_SENT:
        return no_reply(server, cause)
    message = f"{server.name}: cannot connect to {server.url} ({cause}), after retries"
    if server.reached:
        return InfrastructureError(message)
    return ModelUnavailable(f"{message}; is the server running, and base_url right?")


def _message(body: object) -> str:
    """Return the server's own words, where its error has the usual form."""
    if not isinstance(body, dict):
        return ""
    inner = body.get("error")
    said = inner.get("message") if isinstance(inner, dict) else None
    return str(said or body.get("message") or "")


def _shorten(text: str) -> str:
    return text if len(text) <= _LONGEST else text[:_LONGEST] + " ..."
