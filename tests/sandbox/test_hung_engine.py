"""An engine that takes requests and never answers costs a limited time, not the run."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from socketserver import ThreadingUnixStreamServer

import pytest

from evolve.core.errors import SandboxUnavailable
from evolve.sandbox import engine as engine_module
from evolve.sandbox.engine import Engine

pytestmark = pytest.mark.anyio
LIMIT_S = 1


class _Engine(BaseHTTPRequestHandler):
    """Says that it is there, and nothing more."""

    released: threading.Event
    silent = False

    def do_GET(self) -> None:
        if self.silent or not self.path.endswith(("/version", "/_ping")):
            self.released.wait(60)
            return
        body = b'{"ApiVersion": "1.41", "Version": "20.10"}'
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_POST = do_DELETE = do_GET  # noqa: N815 - the base class calls them so

    def address_string(self) -> str:
        return "a client"

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def handler(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[type[_Engine]]:
    class Handler(_Engine):
        released = threading.Event()

    socket = tmp_path / "docker.sock"
    with ThreadingUnixStreamServer(str(socket), Handler) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        monkeypatch.setenv("DOCKER_HOST", f"unix://{socket}")
        yield Handler
        Handler.released.set()
        server.shutdown()
        thread.join()


def impatient() -> Engine:
    """Return an engine that was there, and has little time for all later requests."""
    engine = Engine()
    engine.client.api.timeout = LIMIT_S
    return engine


async def test_a_request_that_hangs_is_given_up(handler: type[_Engine]) -> None:
    engine = impatient()
    began = time.monotonic()
    with pytest.raises(SandboxUnavailable, match="Docker engine"):
        await engine.ask(engine.client.containers.list)
    assert time.monotonic() - began < 30, "it would hang for a minute"


async def test_a_container_that_cannot_be_removed_is_tried_again(
    handler: type[_Engine],
) -> None:
    engine = impatient()
    await engine.discard("evolve-1")
    assert engine._unwanted == {"evolve-1"}


def test_an_engine_that_never_says_that_it_is_there_is_none(
    handler: type[_Engine], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine_module, "REQUEST_S", LIMIT_S)
    handler.silent = True
    began = time.monotonic()
    with pytest.raises(SandboxUnavailable, match="no Docker engine answers"):
        Engine()
    assert time.monotonic() - began < 30, "it would hang for a minute"
