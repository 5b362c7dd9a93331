"""Serving the pages on this machine until Ctrl-C."""

from __future__ import annotations

import gc
import secrets
import socket
import threading
from collections.abc import Callable
from contextlib import closing, suppress

import uvicorn

from evolve.core.errors import EvolveError, PrerequisiteError
from evolve.view.web import runs
from evolve.view.web.app import application
from evolve.view.web.folds import KEPT
from evolve.view.web.source import Source

ADDRESS = "127.0.0.1"
#: The port where none is asked for, unless something else has it.
PORT = 8642


def serve(url: str, port: int | None, announce: Callable[[str], None], path: str = "/") -> None:
    """Serve a database's pages until the process is interrupted.

    Args:
        url: The database.
        port: Port of 127.0.0.1; 0 for any free one, None for the usual one or any free one.
        announce: Told the address with its token once connections are accepted.
        path: The page that the address leads to.

    Raises:
        StoreError: the database cannot be opened.
        PrerequisiteError: the port is taken, or may not be used.
    """
    token = secrets.token_urlsafe(24)
    with closing(Source(url)) as source, closing(_listen(port)) as listening:
        config = uvicorn.Config(
            application(source, token),
            log_level="warning",
            access_log=False,  # addresses may hold the token
            server_header=False,
            timeout_graceful_shutdown=1,
        )
        ended = threading.Event()
        warming = threading.Thread(target=warm, args=(source, KEPT, ended), daemon=True)
        warming.start()
        announce(f"http://{ADDRESS}:{listening.getsockname()[1]}{path}?token={token}")
        with suppress(KeyboardInterrupt):  # the way to end it
            uvicorn.Server(config).run([listening])
        ended.set()
        warming.join()


def warm(source: Source, most: int = KEPT, ended: threading.Event | None = None) -> None:
    """Make the pages of the newest ``most`` runs, so that nobody waits for a first look.

    Once the server has ``ended`` no further page is begun.
    """
    with suppress(EvolveError):  # the page itself will say what is wrong
        site = source.site()
        runs.runs_view(site)
        for run in site.reader.run_page(most):
            if ended is not None and ended.is_set():
                return
            runs.run_view(site, run, runs.MapChoice())
    gc.freeze()  # what is loaded by now stays, and need not be looked at again and again


def _listen(port: int | None) -> socket.socket:
    """Return a socket that accepts connections from this machine."""
    if port is None:
        try:
            return _bind(PORT)
        except OSError:
            return _bind(0)
    try:
        return _bind(port)
    except OSError as error:
        raise PrerequisiteError(
            f"port {port} of {ADDRESS} cannot be used ({error.strerror}); "
            "give another --port, or --port 0 for any free one"
        ) from None


def _bind(port: int) -> socket.socket:
    listening = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((ADDRESS, port))
        listening.listen(128)
    except BaseException:
        listening.close()
        raise
    return listening
