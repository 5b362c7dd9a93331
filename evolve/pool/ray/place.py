"""A slot on a node, as the controller sees it: a place, and the calls that go there."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from typing import Any, Protocol, TypeAlias

import anyio

from evolve.core.errors import EvaluatorError, InfrastructureError, SlotLost
from evolve.pool.ray.blueprint import job_dict
from evolve.pool.ray.leases import Leases
from evolve.pool.ray.parcel import Channel, Head, reply_of, report_of, unpack
from evolve.sandbox.base import Job, Reply, Report, Session
from evolve.sandbox.session import ForwardingSession

#: Bytes of inputs from which they travel once per node, by way of the object store.
LARGE_BYTES = 1 << 16

Answer: TypeAlias = tuple[dict[str, Any], bytes]


class Line(Protocol):
    """Carries requests to places and answers back."""

    async def ask(self, place: Place, head: Head, data: bytes, share: str) -> Answer:
        """Ask the actor at ``place``.

        Args:
            place: Where.
            head: What to do.
            data: Inputs.
            share: Hash of ``data`` if it is worth sending once per node only.

        Raises:
            SlotLost: the place is gone.
        """
        ...


class Place:
    """A slot that is there. Once lost, it stays lost.

    Args:
        number: Larger than that of every place before.
        index: The slot's number within the pool.
        line: To its actor.

    Attributes:
        facts: What the node says of it, once it is open.
        channel: A connection of its own to it, if there is one.
        lost: Set when it is gone.
        why: Why it is.
    """

    def __init__(self, number: int, index: int, line: Line) -> None:
        self.number, self.index, self._line = number, index, line
        self.facts: Mapping[str, Any] = {}
        self.channel: Channel | None = None
        self._asked = 0
        self.lost, self.why = anyio.Event(), ""

    @property
    def node(self) -> str:
        """Name of the machine, as far as it is known."""
        return str(self.facts.get("host", "a node"))

    def lose(self, why: str) -> None:
        """Declare it gone; who waits for an answer is told."""
        if not self.lost.is_set():
            self.why = why
            self.lost.set()

    async def ask(self, head: Head, data: bytes = b"", *, share: bool = False) -> Answer:
        """Ask the actor, and return what it answers, which takes as long as it takes.

        Every step of a session has its deadline on the node; that the node is there is found out
        by asking for signs of life.

        Args:
            head: What to do.
            data: Inputs.
            share: Whether the same inputs will be sent again.

        Raises:
            SlotLost: the place is gone.
            InfrastructureError: the slot failed.
            EvaluatorError: the inputs are not what the program can take.
        """
        large = share and len(data) >= LARGE_BYTES
        digest = hashlib.sha256(data).hexdigest() if large else ""
        if self.channel is None or digest or head["do"] == "ping":
            answer, found = await self._line.ask(self, head, data, digest)
        else:
            answer, found = await self._converse(self.channel, head, data)
        if "lost" in answer:
            self.lose(answer["lost"])
        elif "silent" in answer:
            if head["do"] == "ping":
                raise InfrastructureError(answer["silent"])
            self.lose(answer["silent"])
        if self.lost.is_set():
            raise SlotLost(f"slot {self.index} on {self.node}: {self.why}")
        if "evaluator" in answer:
            raise EvaluatorError(answer["evaluator"])
        for trouble in ("fault", "refused", "stale", "trouble"):
            if trouble in answer:
                raise InfrastructureError(f"slot {self.index} on {self.node}: {answer[trouble]}")
        return answer, found

    async def _converse(self, channel: Channel, head: Head, data: bytes) -> Answer:
        """Ask directly, one question after the other; answers to given-up ones are skipped."""
        self._asked += 1
        number = self._asked
        try:
            await channel.send({"n": number, "ask": head}, data)
            while True:
                told, answer = await channel.receive()
                if told["n"] == number:
                    return unpack(answer)
        except (anyio.EndOfStream, anyio.BrokenResourceError, anyio.ClosedResourceError):
            return {"lost": self.why or "its connection has ended"}, b""


class RemoteSlot:
    """A `evolve.sandbox.base.Slot` on a node, for one lease.

    Args:
        place: Where it is.
        token: Of the lease.
        leases: Know whether it goes on.
    """

    def __init__(self, place: Place, token: int, leases: Leases) -> None:
        self._place, self._token, self._leases = place, token, leases
        self._sessions = 0

    def session(self, job: Job) -> AbstractAsyncContextManager[Session]:
        """Load ``job`` with the first call.

        Raises:
            SlotLost: the place is gone. ``InfrastructureError``: the slot failed.
        """
        return self._session(job)

    @asynccontextmanager
    async def _session(self, job: Job) -> AsyncIterator[Session]:
        self._sessions += 1
        session = _RemoteSession(self._place, self._leases, (self._token, self._sessions), job)
        try:
            yield session
        except BaseException:
            with anyio.CancelScope(shield=True), suppress(InfrastructureError):
                await session.close()
            raise
        with anyio.CancelScope(shield=True):
            await session.close()

    async def aclose(self) -> None:
        """Do nothing: the pool ends the place."""


class _RemoteSession(ForwardingSession):
    """Calls that go through the actor, one after the other, and are answered by bytes."""

    def __init__(self, place: Place, leases: Leases, number: tuple[int, int], job: Job) -> None:
        super().__init__()
        self._place, self._leases, self._number, self._job = place, leases, number, job
        self._opened = False
        self._report = Report()

    @property
    def report(self) -> Report:
        return self._report

    async def forward(self, inputs: bytes, *, function: str = "") -> Reply:
        if self._failure is not None:
            return self._failure
        head: dict[str, Any] = {"do": "call", "function": function}
        if not self._opened:
            head |= {"job": job_dict(self._job)}
            self._opened = True
        reply = reply_of(*await self._ask(head, inputs))
        if reply.outcome is not reply.outcome.OK:
            self._failure = reply
        return reply

    async def close(self) -> None:
        """End the session and complete the report.

        Raises:
            InfrastructureError: the place is gone, or the slot failed.
        """
        if self._opened:
            answer, _ = await self._ask({"do": "close"})
            self._report = report_of(answer)

    async def _ask(self, head: Head, data: bytes = b"") -> Answer:
        token, session = self._number
        named = {**head, "token": token, "session": session}
        answer = await self._place.ask(named, data, share=True)
        if not self._leases.counts(token):
            raise SlotLost(f"slot {self._place.index}: the lease was lost, its answer came late")
        return answer
