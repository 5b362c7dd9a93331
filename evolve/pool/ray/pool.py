"""The pool of a Ray cluster: slots join and leave, and the run goes on while there is one."""

from __future__ import annotations

import math
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from typing import Any, Protocol, Self

import anyio

from evolve.core.errors import (
    EvolveError,
    InfrastructureError,
    PrerequisiteError,
    SandboxUnavailable,
    SlotLost,
)
from evolve.pool.ray.leases import Leases
from evolve.pool.ray.place import Place, RemoteSlot
from evolve.pool.ray.shortage import Waited, shortage
from evolve.pool.stopwatches import Stopwatches
from evolve.sandbox.base import Slot

#: Seconds between two tries to have a slot: the first, doubled each time up to the last.
RETRY_S = (0.5, 10.0)
#: Seconds between two looks at what is missing.
LOOK_S = 1.0
#: Questions that a slot may leave unanswered in the time after which it counts as lost.
_PINGS = 5


class Cluster(Protocol):
    """Where places are had; see `evolve.pool.ray.cluster.RayCluster`."""

    @property
    def resources(self) -> Mapping[str, Any]:
        """What a place reserves."""
        ...

    async def open(self, index: int) -> Place:
        """Have slot ``index`` placed, however long it takes until there is room."""
        ...

    async def close(self, place: Place, *, gently: bool = True) -> None:
        """End a place."""
        ...

    async def look(self) -> Mapping[str, Any]:
        """Return the nodes there are and what is free."""
        ...


class RayPool:
    """Slots on the nodes of a cluster, as many as there is room for. Use it as a context.

    Each slot has a task that has it placed, looks after it, and has it placed anew when it is
    lost. A slot is lost when its actor ends, or has not answered for ``lost_s``: what ran in it is
    then for its lessee to lease another one for, and what it still says counts for nothing.

    Args:
        cluster: Has places; open as long as the pool.
        slots: How many at most.
        leases: The cluster tells them of late answers.
        lost_s: Seconds without a sign of life after which a slot counts as lost.
        wait_s: Seconds without any slot after which nobody waits any longer.
        compare_hardware: Whether all slots need the same hardware, as timed problems do.
        report: Told in words when slots come and go.
    """

    def __init__(
        self,
        cluster: Cluster,
        slots: int,
        leases: Leases,
        *,
        lost_s: float = 30.0,
        wait_s: float = 600.0,
        compare_hardware: bool = False,
        report: Callable[[str], None] = lambda _: None,
    ) -> None:
        if slots < 1:
            raise ValueError(f"a pool of {slots} slots")
        self._cluster, self._slots, self.leases, self._report = cluster, slots, leases, report
        self._lost_s, self._wait_s, self._compare_hardware = lost_s, wait_s, compare_hardware
        self._places: dict[int, Place] = {}
        self._lent, self._there = Stopwatches(slots), Stopwatches(slots)
        self._trouble: PrerequisiteError | None = None
        self._missing = self._told = ""
        self._given_up = False
        self._change = anyio.Event()
        #: What the first slot is like, and all others have to be.
        self.facts: Mapping[str, Any] = {}

    @property
    def size(self) -> int:
        """How many slots are there now."""
        return len(self._places)

    @property
    def busy(self) -> int:
        """How many slots are lent."""
        return self._lent.running

    @property
    def busy_s(self) -> tuple[float, ...]:
        """Seconds each slot has been lent so far, the current lease included."""
        return self._lent.seconds

    @property
    def there_s(self) -> tuple[float, ...]:
        """Seconds each slot has been there so far."""
        return self._there.seconds

    @property
    def places(self) -> tuple[str, ...]:
        """Node, CPUs and devices of each slot there is."""
        found = (self._places[index] for index in sorted(self._places))
        return tuple(
            f"{each.node}{'; ' * bool(each.facts['resources'])}{each.facts['resources']}"
            for each in found
        )

    async def __aenter__(self) -> Self:
        """Wait for the first slot.

        Raises:
            PrerequisiteError: a node cannot have slots as they are wanted.
            SandboxUnavailable: there was no slot for ``wait_s``.
        """
        self._put, self._take = anyio.create_memory_object_stream[Place](math.inf)
        self._tasks = anyio.create_task_group()
        await self._tasks.__aenter__()
        try:
            for index in range(self._slots):
                self._tasks.start_soon(self._keep, index)
            self._tasks.start_soon(self._watch)
            await self._first()
        except BaseException:
            await self.__aexit__()
            raise
        return self

    async def _first(self) -> None:
        while not self._places:
            if self._trouble is not None:
                raise self._trouble
            if self._given_up:
                raise SandboxUnavailable(self._no_slot())
            await self._change.wait()

    async def __aexit__(self, *_: object) -> None:
        """Release all slots, lent or not."""
        await self.aclose()
        await self._tasks.__aexit__(None, None, None)

    async def aclose(self) -> None:
        """Release all slots, lent or not."""
        self._tasks.cancel_scope.cancel()
        places, self._places = list(self._places.values()), {}
        self._put.close()
        self._take.close()
        with anyio.CancelScope(shield=True):
            async with anyio.create_task_group() as group:
                for place in places:
                    group.start_soon(self._cluster.close, place)

    @asynccontextmanager
    async def lease(self) -> AsyncIterator[Slot]:
        """Borrow a slot; wait for one when all are lent, or there is none.

        Raises:
            SandboxUnavailable: there was none for ``wait_s``.
        """
        place = await self._free()
        lease = self.leases.grant(place.number)
        self._lent.start(place.index)
        try:
            yield RemoteSlot(place, lease.token, self.leases)
        except InfrastructureError as error:
            if isinstance(error, SlotLost):
                self.leases.lose(place.number)
            place.lose(str(error))
            raise
        finally:
            self._lent.stop(place.index)
            self.leases.give_back(lease.token)
            if not place.lost.is_set():
                self._give_back(place)

    async def _free(self) -> Place:
        try:
            while True:
                place = await self._take.receive()
                if not place.lost.is_set():
                    return place
        except anyio.EndOfStream:
            raise SandboxUnavailable(self._no_slot()) from None

    def _no_slot(self) -> str:
        return (
            f"no slot of the Ray cluster has been there for {self._wait_s:g} s (pool.wait_s): "
            f"{self._missing or self._trouble}\nNothing is lost: run again to resume when the "
            "cluster is there; `evolve doctor --ray ADDRESS` tells what it has."
        )

    def _give_back(self, place: Place) -> None:
        with suppress(anyio.ClosedResourceError):  # the pool was closed meanwhile
            self._put.send_nowait(place)

    async def _keep(self, index: int) -> None:
        """Have slot ``index`` there, again and again."""
        wait, longest = RETRY_S
        while True:
            try:
                place = await self._cluster.open(index)
                await self._check(place)
            except EvolveError as error:
                self._note(error)
                await anyio.sleep(wait)
                wait = min(2 * wait, longest)
                continue
            wait = RETRY_S[0]
            await self._attend(place)

    def _note(self, error: EvolveError) -> None:
        """Tell of what keeps a slot from being there, once until something changes."""
        if str(error) != self._told:
            self._told = str(error)
            self._report(self._told)
        if isinstance(error, PrerequisiteError):
            self._trouble = error
        self._stir()

    def _stir(self) -> None:
        self._change.set()
        self._change = anyio.Event()

    async def _check(self, place: Place) -> None:
        """Compare a slot with the first one: scores from both have to mean the same.

        Raises:
            PrerequisiteError: it is not like the first.
        """
        self.facts = self.facts or place.facts
        names = ["provenance", "guarantees", *(["hardware"] if self._compare_hardware else [])]
        for name in names:
            mine, theirs = self.facts[name], place.facts[name]
            if mine != theirs:
                await self._cluster.close(place)
                raise PrerequisiteError(
                    f"slot {place.index} on {place.node} is not used: its {name} is {theirs}, that "
                    f"of the first, on {self.facts['host']}, {mine}"
                )

    async def _attend(self, place: Place) -> None:
        """Lend a slot for as long as it is there."""
        index = place.index
        self._places[index], self._told = place, ""
        self._there.start(index)
        self._give_back(place)
        self._stir()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._listen, place)
            await place.lost.wait()
            tasks.cancel_scope.cancel()
        self._places.pop(index, None)
        self._there.stop(index)
        self.leases.lose(place.number)
        self._report(f"slot {index} on {place.node} is lost: {place.why}")
        await self._cluster.close(place, gently=False)

    async def _listen(self, place: Place) -> None:
        """Ask a slot for signs of life, and declare it lost when there are none."""
        heard, pause = time.monotonic(), self._lost_s / _PINGS
        while time.monotonic() - heard < self._lost_s:
            began = time.monotonic()
            await anyio.sleep(pause)
            with suppress(InfrastructureError), anyio.move_on_after(pause):
                await place.ask({"do": "ping"})
                heard = time.monotonic()
                continue
            # Longer than that takes only who is held up itself, by a database for one, and asks
            # nobody meanwhile.
            heard += max(time.monotonic() - began - 2 * pause, 0.0)
        place.lose(f"no sign of life for {self._lost_s:g} s (pool.lost_s)")

    async def _watch(self) -> None:
        """Say what is missing, and end the waiting when there has been no slot for too long."""
        said, last, waited = self._slots, 0, Waited(self._wait_s)
        while not self._given_up:
            await anyio.sleep(LOOK_S)
            size = self.size
            due = waited.look(size, time.monotonic())
            if due or (size != said and size == last and waited.settled):
                said = size
                self._report(await self._state(size, waited))
            last = size
            self._given_up = waited.over
        self._put.close()
        self._stir()

    async def _state(self, size: int, waited: Waited) -> str:
        if size == self._slots:
            self._missing = ""
            return f"all {size} slots are there"
        try:
            self._missing = shortage(self._cluster.resources, await self._cluster.look())
        except EvolveError as error:
            self._missing = f"the cluster does not tell what it has: {error}"
        text = f"slots {size} of {self._slots}, {self._slots - size} waiting for the cluster"
        if not size:
            text += f"; none for {waited.none_s:.0f} s, the run stops in {waited.left_s:.0f} s"
        return f"{text}: {self._missing}" if self._missing else text
