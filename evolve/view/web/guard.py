"""Who may ask: this machine's names only, and who knows the token. Every answer is confined.

A page on the internet can make a browser send requests to 127.0.0.1, under a name of its own that
leads there (DNS rebinding). So the host must be one of ours, and nothing but the page's own files
is given without the token, which is handed over once in the address and kept in a cookie that
scripts cannot read.
"""

from __future__ import annotations

import secrets
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any
from urllib.parse import parse_qsl, urlencode

from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

#: Names of this machine's own interface.
HOSTS = frozenset({"127.0.0.1", "localhost", "[::1]"})
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}
#: Makes the page for a status and a message.
Refusal = Callable[[int, str, str], Response]
_Scope = MutableMapping[str, Any]


class Guard:
    """Lets a request through to ``app`` or refuses it.

    Args:
        app: What answers.
        token: The secret.
        refuse: Makes the page of a refusal.
    """

    def __init__(self, app: ASGIApp, token: str, refuse: Refusal) -> None:
        self._app, self._token, self._refuse = app, token, refuse

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            if scope["type"] == "lifespan":
                await self._app(scope, receive, send)
            return  # there are no web sockets here
        request = Request(scope)
        answer: Callable[[Scope, Receive, Send], Awaitable[None]]
        answer = self._refusal(request) or self._app
        await answer(scope, receive, _confining(send))

    def _refusal(self, request: Request) -> Response | None:
        host = request.headers.get("host", "")
        if _hostname(host) not in HOSTS:
            return self._refuse(
                421, "Another name", "This page answers to 127.0.0.1 and localhost only."
            )
        if request.url.path.startswith("/static/"):
            return None
        name = f"evolve-{host.rpartition(':')[2]}"  # cookies are shared between ports
        given = request.query_params.get("token")
        if given is not None and self._is_token(given):
            answer = RedirectResponse(_without_token(request), status_code=303)
            answer.set_cookie(name, self._token, httponly=True, samesite="lax")
            return answer
        scheme, _, bearer = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() == "bearer" and self._is_token(bearer):
            return None
        if self._is_token(request.cookies.get(name, "")):
            return None
        return self._refuse(
            401,
            "This page needs its token",
            "Open the address that `evolve view` has printed, with everything after the question "
            "mark. Each start of `evolve view` makes a new token.",
        )

    def _is_token(self, given: str) -> bool:
        return secrets.compare_digest(given.encode("utf-8", "replace"), self._token.encode())


def _confining(send: Send) -> Send:
    """Add to every answer the headers that confine what a browser does with it."""

    async def confined(message: Message) -> None:
        if message["type"] == "http.response.start":
            MutableHeaders(scope=message).update(HEADERS)
        await send(message)

    return confined


def _hostname(host: str) -> str:
    """Return a Host header without its port."""
    name, colon, port = host.rpartition(":")
    return (name if colon and port.isdecimal() else host).lower()


def _without_token(request: Request) -> str:
    """Return the path and query of a request without the token, always on this server."""
    kept = [pair for pair in parse_qsl(request.url.query) if pair[0] != "token"]
    path = "/" + request.url.path.lstrip("/")
    return f"{path}?{urlencode(kept)}" if kept else path
