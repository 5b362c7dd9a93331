"""A session of a slot on a node, in a task of its own, as sessions want to be entered and left."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field

import anyio

from evolve.core.errors import EvaluatorError, InfrastructureError
from evolve.sandbox.base import Reply, Report, Session


@dataclass(slots=True)
class _Call:
    """A call on its way to the session and back."""

    function: str
    inputs: bytes
    answer: Reply | Exception | None = None
    answered: anyio.Event = field(default_factory=anyio.Event)


class Serving:
    """One session, which takes its calls from other tasks."""

    def __init__(self) -> None:
        # Without a buffer: a call that was sent is one that will be answered.
        self._put, self._take = anyio.create_memory_object_stream[_Call]()
        self._ended, self._scope = anyio.Event(), anyio.CancelScope()
        self._under_way = 0
        self._trouble: Exception | None = None
        self._report = Report()

    async def run(self, session_of: Callable[[], AbstractAsyncContextManager[Session]]) -> None:
        """Enter the session, answer calls until `end`, and leave it."""
        try:
            with self._scope:
                async with session_of() as session:
                    async for call in self._take:
                        await self._answer(session, call)
                self._report = session.report
        except Exception as error:  # noqa: BLE001 - told to whoever asks
            self._trouble = error
        finally:
            self._take.close()
            self._ended.set()

    async def _answer(self, session: Session, call: _Call) -> None:
        try:
            call.answer = await session.forward(call.inputs, function=call.function)
        except EvaluatorError as error:  # the caller's mistake: the session goes on
            call.answer = error
        except Exception as error:
            call.answer = error
            raise
        finally:
            self._under_way -= 1
            call.answered.set()

    async def call(self, function: str, inputs: bytes) -> Reply:
        """Have the program called.

        Raises:
            Exception: whatever the session or its slot raised.
        """
        call = _Call(function, inputs)
        self._under_way += 1  # from here on: the session may take long to be entered
        try:
            await self._put.send(call)
        except (anyio.BrokenResourceError, anyio.ClosedResourceError):
            await self.end()
            raise InfrastructureError("the session has ended") from None
        await call.answered.wait()
        if isinstance(call.answer, Reply):
            return call.answer
        raise call.answer or InfrastructureError("the session was given up")

    async def end(self) -> Report:
        """Leave the session, giving up a call under way, and return its report.

        Raises:
            Exception: whatever the session or its slot raised.
        """
        self._put.close()
        if self._under_way:
            self._scope.cancel()
        await self._ended.wait()
        if self._trouble is not None:
            raise self._trouble
        return self._report
