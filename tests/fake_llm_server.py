"""A local HTTP server that speaks the protocols of OpenAI (chat and responses) and of Anthropic.

It says what it is told to say, misbehaves when told to, and remembers what it was asked::

    with FakeLLMServer([Reply("hello"), failure(429, retry_after=0.01)]) as server:
        ...  # base_url is server.openai_url or server.anthropic_url
    assert server.calls[0].body["model"] == "some-model"
"""

from __future__ import annotations

import json
import os
import socket
import struct
import threading
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self

_CUT = {"length": "max_output_tokens", "content_filter": "content_filter"}
_ANTHROPIC_STOP = {"stop": "end_turn", "length": "max_tokens", "content_filter": "refusal"}


@dataclass(frozen=True, slots=True)
class Reply:
    """What the server does with one request.

    Attributes:
        text: The model's words; None for a message without content.
        finish: Why it ended, in OpenAI's words; translated for Anthropic.
        tokens: Input and output tokens reported.
        status: HTTP status.
        headers: Further response headers.
        delay_s: Seconds before the first byte.
        json_body: Sent instead of a completion, as JSON.
        raw_body: Sent instead of a completion, as it is.
        cut_at: Bytes of the body after which the connection is dropped.
        trickle_s: Pause before each byte, in seconds.
        usage: Reported instead of ``tokens``, as it is.
        reset: Whether the connection is reset without an answer.
    """

    text: str | None = ""
    finish: str = "stop"
    tokens: tuple[int, int] = (100, 10)
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    delay_s: float = 0.0
    json_body: object = None
    raw_body: bytes | None = None
    cut_at: int | None = None
    trickle_s: float = 0.0
    usage: object = None
    reset: bool = False

    def body(self, *, path: str, model: str) -> bytes:
        """Return the response's body in the protocol of an endpoint."""
        if self.raw_body is not None:
            return self.raw_body
        if self.json_body is not None:
            return json.dumps(self.json_body).encode()
        words = {"messages": self._anthropic, "responses": self._responses}
        body = words.get(path.rpartition("/")[2], self._openai)(model)
        if self.usage is not None:
            body["usage"] = self.usage
        return json.dumps(body).encode()

    def _openai(self, model: str) -> dict[str, object]:
        prompt, output = self.tokens
        message = {"role": "assistant", "content": self.text}
        return {
            "id": "chatcmpl-1",
            "object": "chat.completion",
            "created": 0,
            "model": f"{model}-0001",
            "choices": [{"index": 0, "finish_reason": self.finish, "message": message}],
            "usage": {
                "prompt_tokens": prompt,
                "completion_tokens": output,
                "total_tokens": prompt + output,
            },
        }

    def _responses(self, model: str) -> dict[str, object]:
        prompt, output = self.tokens
        said = [] if self.text is None else [{"type": "output_text", "text": self.text}]
        cut = _CUT.get(self.finish)
        return {
            "id": "resp_1",
            "object": "response",
            "model": f"{model}-0001",
            "status": "incomplete" if cut else "completed",
            "incomplete_details": cut and {"reason": cut},
            "output": [{"type": "message", "role": "assistant", "content": said}],
            "usage": {"input_tokens": prompt, "output_tokens": output},
        }

    def _anthropic(self, model: str) -> dict[str, object]:
        prompt, output = self.tokens
        return {
            "id": "msg_1",
            "type": "message",
            "role": "assistant",
            "model": f"{model}-0001",
            "content": [] if self.text is None else [{"type": "text", "text": self.text}],
            "stop_reason": _ANTHROPIC_STOP.get(self.finish, self.finish),
            "stop_sequence": None,
            "usage": {"input_tokens": prompt, "output_tokens": output},
        }


def failure(
    status: int,
    message: str = "something went wrong",
    *,
    retry_after: float | None = 0.01,
    **details: object,
) -> Reply:
    """Return an error response as both vendors word it; retried at once unless told otherwise."""
    headers = {} if retry_after is None else {"retry-after": str(retry_after)}
    error = {"type": "error", "message": message, **details}
    return Reply(status=status, headers=headers, json_body={"type": "error", "error": error})


@dataclass(frozen=True, slots=True)
class Call:
    """One request that the server received; header names in lower case."""

    path: str
    headers: Mapping[str, str]
    body: Mapping[str, Any]

    @property
    def conversation(self) -> str:
        """The texts of all messages but the system's."""
        turns = self.body.get("messages") or self.body["input"]
        return "\n".join(str(turn["content"]) for turn in turns if turn["role"] != "system")

    @property
    def prompt(self) -> str:
        """The text of the last message."""
        turns = self.body.get("messages") or self.body["input"]
        return str(turns[-1]["content"])


class FakeLLMServer:
    """The server, running in threads of its own inside a ``with`` block.

    Args:
        script: Replies in the order of arrival, or a function of the request.
        port: Where to listen; default: anywhere.
    """

    def __init__(self, script: Iterable[Reply] | Callable[[Call], Reply], port: int = 0) -> None:
        self.calls: list[Call] = []
        self._answer = script if callable(script) else _in_order(script)
        self._lock = threading.Lock()
        self._open: set[socket.socket] = set()
        self._stopping = threading.Event()
        self._http = _Server(("127.0.0.1", port), self._handler())
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.05,))

    @property
    def port(self) -> int:
        """Where it listens."""
        return self._http.server_port

    @property
    def url(self) -> str:
        """Root of the server."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def openai_url(self) -> str:
        """Base URL for OpenAI's protocol."""
        return f"{self.url}/v1"

    @property
    def anthropic_url(self) -> str:
        """Base URL for Anthropic's protocol."""
        return self.url

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stopping.set()
        self._http.shutdown()
        with self._lock:
            for connection in self._open:
                _hang_up(connection)
        self._thread.join()
        self._http.server_close()  # joins the threads of all connections

    def _opened(self, connection: socket.socket) -> None:
        with self._lock:
            self._open.add(connection)
            if self._stopping.is_set():
                _hang_up(connection)

    def _respond(self, call: Call) -> Reply:
        with self._lock:
            self.calls.append(call)
            return self._answer(call)

    def _reset(self, handler: BaseHTTPRequestHandler) -> None:
        """Drop the connection so that the client sees a reset, not an end."""
        linger = struct.pack("ii", 1, 0)
        handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        with self._lock:
            self._open.discard(handler.connection)
        os.close(handler.connection.detach())
        raise ConnectionResetError

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        fake = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def setup(self) -> None:
                super().setup()
                fake._opened(self.connection)

            def finish(self) -> None:
                with fake._lock:
                    fake._open.discard(self.connection)
                super().finish()

            def do_POST(self) -> None:
                size = int(self.headers["content-length"])
                headers = {name.lower(): value for name, value in self.headers.items()}
                call = Call(self.path, headers, json.loads(self.rfile.read(size)))
                reply = fake._respond(call)
                fake._stopping.wait(reply.delay_s)
                body = reply.body(path=self.path, model=str(call.body.get("model")))
                try:
                    self._write(reply, body)
                except OSError:
                    self.close_connection = True  # the client went away

            def _write(self, reply: Reply, body: bytes) -> None:
                if reply.reset:
                    fake._reset(self)
                self.send_response(reply.status)
                for name, value in {"content-type": "application/json", **reply.headers}.items():
                    self.send_header(name, value)
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                step = 1 if reply.trickle_s else max(len(body), 1)
                for start in range(0, len(body[: reply.cut_at]), step):
                    fake._stopping.wait(reply.trickle_s)
                    self.wfile.write(body[: reply.cut_at][start : start + step])
                self.close_connection = reply.cut_at is not None

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its name there
                """Keep quiet."""

        return Handler


class _Server(ThreadingHTTPServer):
    daemon_threads = False  #: so that they are waited for at the end
    request_queue_size = 128  #: of those who connect at once nobody has to try again


def _hang_up(connection: socket.socket) -> None:
    with suppress(OSError):  # the client was quicker
        connection.shutdown(socket.SHUT_RDWR)


def _in_order(script: Iterable[Reply]) -> Callable[[Call], Reply]:
    replies = iter(script)
    return lambda _: next(replies, failure(418, "the test's script is at its end"))
