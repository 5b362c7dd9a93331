"""The controller's end of a Ray cluster: a driver process, started anew whenever it is gone."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from importlib.util import find_spec
from typing import IO, Any

import anyio
import anyio.abc

from evolve.core.errors import InfrastructureError, PrerequisiteError, SlotLost
from evolve.pool.ray import door
from evolve.pool.ray.blueprint import Blueprint
from evolve.pool.ray.driver import environment
from evolve.pool.ray.parcel import Channel, Head, unpack
from evolve.pool.ray.place import Answer, Place
from evolve.pool.ray.version import this_version
from evolve.sandbox.stream import SocketStream

CONNECT_S = 120.0
LOOK_S = 20.0
_REACH_S = 5.0  #: for somebody to take a connection at the address
_END_S = 30.0  #: for slots to be given back when the pool closes
_SAID = 1500  #: characters of a driver's last words that are shown


@dataclass(slots=True)
class _Waiter:
    """Somebody who waits for an answer."""

    place: Place | None
    token: int = 0
    answer: Answer | None = None
    there: anyio.Event = field(default_factory=anyio.Event)

    def give(self, head: dict[str, Any], data: bytes = b"") -> None:
        self.answer = head, data
        self.there.set()


class _Connection:
    """One driver process and what is asked of it.

    Args:
        late: Told the token under which an answer came that nobody waits for any more.
    """

    def __init__(self, late: Callable[[int], object]) -> None:
        self._late = late
        self._numbers = 0
        self._waiters: dict[int, _Waiter] = {}
        self._given_up: dict[int, int] = {}
        self.places: dict[int, Place] = {}
        self.ended = self._said = ""
        self._log: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 - open as long as we are

    async def start(self) -> None:
        """Start the process."""
        ours, theirs = socket.socketpair()
        with theirs:
            self.process = await anyio.open_process(
                [sys.executable, "-P", "-m", "evolve.pool.ray.driver", str(theirs.fileno())],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=self._log,
                env=environment(os.environ),
                cwd="/",  # Ray has workers look for modules in the driver's folder first
                pass_fds=(theirs.fileno(),),
                start_new_session=True,
            )
        self._channel = Channel(SocketStream(ours))

    async def listen(self) -> None:
        """Hand answers to those who wait for them, until the process is gone."""
        try:
            while True:
                self._handle(*await self._channel.receive())
        except (anyio.EndOfStream, anyio.BrokenResourceError, anyio.ClosedResourceError):
            await self._end()

    async def _end(self) -> None:
        with anyio.CancelScope(shield=True):
            await self.aclose()
        self.ended = f"Ray's driver has ended: {self._said or 'without a word'}"
        for place in list(self.places.values()):
            place.lose(self.ended)
        for waiter in self._waiters.values():
            waiter.give({"lost": self.ended})

    def _handle(self, head: dict[str, Any], data: bytes) -> None:
        if "gone" in head:
            place = self.places.get(head["gone"])
            if place is not None:
                self._lose(place, head["why"])
            return
        waiter = self._waiters.pop(head["id"], None)
        if waiter is not None:
            waiter.give(*unpack(data))
        elif token := self._given_up.pop(head["id"], 0):
            self._late(token)

    def _lose(self, place: Place, why: str) -> None:
        place.lose(why)
        self.forget(place)

    def forget(self, place: Place) -> None:
        """Tell those who wait for a lost place."""
        self.places.pop(place.number, None)
        for number, waiter in list(self._waiters.items()):
            if waiter.place is place:
                del self._waiters[number]
                self._given_up[number] = waiter.token
                waiter.give({"lost": place.why})

    async def request(
        self, head: Head, data: bytes = b"", place: Place | None = None, token: int = 0
    ) -> Answer:
        """Return the answer of the driver; that it is gone is an answer, too."""
        if self.ended:
            return {"lost": self.ended}, b""
        self._numbers += 1
        number, waiter = self._numbers, _Waiter(place, token)
        self._waiters[number] = waiter
        try:
            try:
                await self._channel.send({**head, "id": number}, data)
            except (anyio.BrokenResourceError, anyio.ClosedResourceError):
                return {"lost": self.ended or "Ray's driver has ended"}, b""
            await waiter.there.wait()
        finally:
            if self._waiters.pop(number, None) is not None:
                self._given_up[number] = token
        assert waiter.answer is not None
        return waiter.answer

    async def aclose(self) -> None:
        """End the process, and with it all actors that are left."""
        await self._channel.aclose()
        with suppress(ProcessLookupError):
            self.process.kill()
        await self.process.wait()
        if not self._log.closed:
            self._log.seek(0)
            self._said = self._log.read().decode("utf-8", "replace").strip()[-_SAID:]
            self._log.close()


class RayCluster:
    """Places on a Ray cluster. Use it as a context.

    Args:
        address: ``auto``, ``HOST:PORT``, ``ray://HOST:PORT``, or ``local`` for a cluster of its
            own on this machine.
        blueprint: What to build at every place.
        resources: What Ray is asked to reserve for a place: options of an actor.
        late: Told the token under which an answer came that nobody waited for any more.

    Raises:
        PrerequisiteError: Ray is not installed.
    """

    def __init__(
        self,
        address: str,
        blueprint: Blueprint,
        resources: Mapping[str, Any],
        late: Callable[[int], object] = lambda _: None,
    ) -> None:
        if find_spec("ray") is None:
            raise PrerequisiteError(
                "`pool: {kind: ray}` needs Ray: pip install 'evolve-engine[ray]'"
            )
        self._address, self._blueprint, self.resources = address, blueprint, resources
        self._late = late
        self._places = 0
        self._connection: _Connection | None = None
        self._connecting = anyio.Lock()

    async def __aenter__(self) -> RayCluster:
        """Connect.

        Raises:
            PrerequisiteError: no cluster answers, or it is of another version.
        """
        self._tasks = anyio.create_task_group()
        await self._tasks.__aenter__()
        try:
            await self._connected()
        except BaseException:
            await self.__aexit__()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        """End the driver, and with it all actors that are left."""
        connection, self._connection = self._connection, None
        with anyio.CancelScope(shield=True):
            if connection is not None:
                await connection.aclose()
        self._tasks.cancel_scope.cancel()
        await self._tasks.__aexit__(None, None, None)

    async def _connected(self) -> _Connection:
        """Return the connection, a new one if the last is gone.

        Raises:
            PrerequisiteError: no cluster answers, or it is of another version.
        """
        async with self._connecting:
            found = self._connection
            if found is not None and not found.ended:
                return found
            await self._reach()
            connection = _Connection(self._late)
            await connection.start()
            self._tasks.start_soon(connection.listen)
            try:
                answer: dict[str, Any] = {"trouble": f"no answer within {CONNECT_S:g} s"}
                with anyio.move_on_after(CONNECT_S):
                    request = {"do": "connect", "address": self._address}
                    answer, _ = await connection.request(request)
                self._check(answer)
            except BaseException:
                with anyio.CancelScope(shield=True):
                    await connection.aclose()
                raise
            self._connection = connection
            return connection

    async def _reach(self) -> None:
        """Find out whether anybody listens at the address, which Ray would take minutes for."""
        host, _, port = self._address.removeprefix("ray://").rpartition(":")
        if not port.isdecimal():
            return
        try:
            with anyio.fail_after(_REACH_S):
                stream = await anyio.connect_tcp(host, int(port))
        except (OSError, TimeoutError) as error:
            self._check({"trouble": f"nobody answers there ({error or 'no answer'})"})
        else:
            await stream.aclose()

    def _check(self, answer: Head) -> None:
        """Raise what keeps a driver from being connected, with what to do about it."""
        trouble = answer.get("trouble") or answer.get("lost")
        if not trouble:
            return
        if "InvalidAuthToken" in trouble or "AuthenticationError" in trouble:
            todo = (
                "The cluster wants its token: export RAY_AUTH_MODE=token here, and have its "
                "~/.ray/auth_token, or RAY_AUTH_TOKEN, as on the head"
            )
        elif "ersion mismatch" in trouble:
            todo = "Nodes and controller need the same Python (3.x) and the same Ray"
        elif "ray[client]" in trouble or "grpc" in trouble:
            todo = "A ray:// address needs: pip install 'ray[client]'"
        else:
            todo = (
                "Start one with `ray start --head` there, name it by `pool.address: HOST:6379`, or "
                "let the run have one of its own on this machine: `pool: {address: local}`"
            )
        raise PrerequisiteError(f"no Ray cluster at address {self._address}: {trouble}\n{todo}")

    async def open(self, index: int) -> Place:
        """Have slot ``index`` placed and opened: as soon as a node has room for it.

        Raises:
            PrerequisiteError: no cluster answers, or the node cannot have the slot.
            InfrastructureError: it was lost before it was there.
        """
        connection = await self._connected()
        self._places += 1
        place = Place(self._places, index, self)
        request = {
            "do": "open",
            "place": place.number,
            "index": index,
            "blueprint": self._blueprint.as_dict(),
            "resources": dict(self.resources),
            "version": this_version(),
        }
        connection.places[place.number] = place
        try:
            place.facts, _ = await connection.request(request, place=place)
            self._check_slot(index, place.facts)
            place.channel = await door.knock(place.facts["door"])
        except BaseException:
            with anyio.CancelScope(shield=True):
                await self.close(place, gently=False)
            raise
        return place

    def _check_slot(self, index: int, facts: Mapping[str, Any]) -> None:
        node = facts.get("host", "a node")
        if "refused" in facts:
            raise PrerequisiteError(f"slot {index} on {node}: {facts['refused']}")
        if "lost" in facts:
            raise SlotLost(f"slot {index} was lost before it was there: {facts['lost']}")
        trouble = facts.get("fault") or facts.get("trouble")
        if not trouble:
            return
        if "evolve" in trouble and ("No module" in trouble or "failed to import" in trouble):
            raise PrerequisiteError(
                f"the nodes cannot import evolve: install it there, {this_version()}, in the "
                f"Python that runs Ray ({trouble})"
            )
        raise InfrastructureError(f"slot {index} on {node}: {trouble}")

    async def ask(self, place: Place, head: Head, data: bytes, share: str) -> Answer:
        """Ask the actor at ``place``; see `evolve.pool.ray.place.Line`."""
        connection, token = self._connection, head.get("token", 0)
        if connection is None or place.number not in connection.places:
            return {"lost": place.why or "its cluster is gone"}, b""
        request = {"do": "ask", "place": place.number, "ask": head}
        if share:
            answer, found = await connection.request({**request, "share": share}, b"", place, token)
            if "unknown" not in answer:
                return answer, found
            request["share"] = share
        return await connection.request(request, data, place, token)

    async def close(self, place: Place, *, gently: bool = True) -> None:
        """End a place; with a chance to clean up if ``gently``, else at once."""
        if place.channel is not None:
            await place.channel.aclose()
        connection = self._connection
        if connection is None or connection.ended:
            return
        place.lose("it was closed")
        connection.forget(place)
        request = {"do": "close", "place": place.number, "gently": gently}
        with anyio.move_on_after(_END_S):
            await connection.request(request)

    async def look(self) -> Mapping[str, Any]:
        """Return what the cluster has: ``nodes`` with their ``resources``, and what is ``free``.

        Raises:
            PrerequisiteError: no cluster answers.
            InfrastructureError: it does not tell.
        """
        connection = await self._connected()
        answer: Mapping[str, Any] = {"trouble": f"no answer within {LOOK_S:g} s"}
        with anyio.move_on_after(LOOK_S):
            answer, _ = await connection.request({"do": "look"})
        if "nodes" not in answer:
            raise InfrastructureError(str(answer.get("trouble") or answer.get("lost")))
        return answer
