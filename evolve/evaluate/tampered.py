"""Slots whose programs' answers are tampered with on the way back."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace

from evolve.core.evaluation import Outcome
from evolve.core.values import Value
from evolve.sandbox import wire
from evolve.sandbox.base import Job, Reply, Report, Session, Slot


class TamperedSlot(Slot):
    """Run programs in another slot, or play back what one answered, and change every answer.

    Args:
        slot: Where programs run.
        change: Given what a program returned; returns what is to be judged instead.
        recorded: Answers to play back in the order of the calls instead of running a program; for
            evaluators that do not interact, whose calls do not depend on the answers.

    Attributes:
        answers: What programs returned, in order, before it was changed.
        changed: Answers that came out different.
    """

    def __init__(
        self,
        slot: Slot,
        change: Callable[[Value], Value] = lambda value: value,
        recorded: Sequence[Reply] | None = None,
    ) -> None:
        self._slot, self._change, self._recorded = slot, change, recorded
        self.answers: list[Reply] = []
        self.changed = 0

    @asynccontextmanager
    async def session(self, job: Job) -> AsyncIterator[Session]:
        """Load ``job``, unless answers are played back."""
        if self._recorded is not None:
            yield _Tampered(self, _Playback(self._recorded))
            return
        async with self._slot.session(job) as session:
            yield _Tampered(self, session)

    async def aclose(self) -> None:
        """Leave the other slot to whoever opened it."""

    def tamper(self, reply: Reply) -> Reply:
        """Return ``reply`` with another answer."""
        self.answers.append(reply)
        if reply.outcome is not Outcome.OK:
            return reply
        encoded = wire.dumps(self._change(wire.loads(reply.encoded)))
        self.changed += encoded != reply.encoded
        return replace(reply, encoded=encoded)


class _Playback(Session):
    def __init__(self, replies: Sequence[Reply]) -> None:
        self._replies = iter(replies)

    async def call(self, inputs: Mapping[str, Value], *, function: str = "") -> Reply:
        return await self.forward(wire.dumps(inputs), function=function)

    async def forward(self, inputs: bytes, *, function: str = "") -> Reply:  # noqa: ARG002 - as it was recorded
        return next(self._replies)

    @property
    def report(self) -> Report:
        return Report()


class _Tampered(Session):
    def __init__(self, slot: TamperedSlot, session: Session) -> None:
        self._slot, self._session = slot, session

    async def call(self, inputs: Mapping[str, Value], *, function: str = "") -> Reply:
        reply = await self.forward(wire.dumps(inputs), function=function)
        value = wire.loads(reply.encoded) if reply.outcome is Outcome.OK else None
        return replace(reply, value=value, encoded=b"")

    async def forward(self, inputs: bytes, *, function: str = "") -> Reply:
        return self._slot.tamper(await self._session.forward(inputs, function=function))

    @property
    def report(self) -> Report:
        return self._session.report
