"""Ctrl-C: once to stop starting new work, twice to stop at once."""

from __future__ import annotations

import signal
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import anyio


@asynccontextmanager
async def interruptible(
    first: Callable[[], None], second: Callable[[], None]
) -> AsyncIterator[None]:
    """Call ``first`` on the first SIGINT or SIGTERM; cancel the body on the second.

    ``second`` is called then too, to give up what the body would not leave because it is cancelled.
    A cancelled body ends the context quietly. Signals reach the main thread only; elsewhere the
    context does nothing.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    async with anyio.create_task_group() as tasks:
        await tasks.start(_watch, tasks.cancel_scope, first, second)
        yield
        tasks.cancel_scope.cancel()


async def _watch(
    scope: anyio.CancelScope,
    first: Callable[[], None],
    second: Callable[[], None],
    *,
    task_status: anyio.abc.TaskStatus[None],
) -> None:
    with anyio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
        task_status.started()
        seen = False
        async for _ in signals:
            if seen:
                scope.cancel()
                second()
                return
            seen = True
            first()
