"""What runs on a node: an actor that owns one slot, its sandbox, its CPUs and devices there."""

from __future__ import annotations

import os
import socket
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import (
    AbstractAsyncContextManager,
    AbstractContextManager,
    AsyncExitStack,
    asynccontextmanager,
    nullcontext,
)
from pathlib import Path
from typing import Any, cast

import anyio
from anyio.abc import TaskGroup

from evolve.config.models import PoolConfig
from evolve.config.plugins import resolve
from evolve.core.errors import EvaluatorError, EvolveError, PrerequisiteError, reason_of
from evolve.pool.allot import Allotment, Need, allotted
from evolve.pool.devices import Devices
from evolve.pool.ray.blueprint import Blueprint, job_of
from evolve.pool.ray.door import Door, open_door
from evolve.pool.ray.parcel import Head, pack, reply_parcel, report_parcel
from evolve.pool.ray.serving import Serving
from evolve.pool.ray.version import this_version
from evolve.pool.watched import open_watched
from evolve.sandbox.base import Job, Session, Slot


class SlotActor:
    """One slot on a node, for as long as its actor lives.

    All methods run in one event loop. Whatever goes wrong is said in a parcel, never raised: so
    nothing but bytes comes back.

    Args:
        index: The slot's number within the pool.
        blueprint: What to build, as plain data.
        version: Of the controller's `evolve`.
    """

    def __init__(self, index: int, blueprint: Mapping[str, Any], version: str) -> None:
        self._index, self._blueprint, self._version = index, blueprint, version
        self._stack = AsyncExitStack()
        self._slot: Slot | None = None
        self._turn: Callable[[], AbstractAsyncContextManager[None]] = nullcontext
        self._tasks: TaskGroup | None = None
        self._session: tuple[int, int] = (0, 0)
        self._serving: Serving | None = None
        self._door: Door | None = None

    async def open(self) -> bytes:
        """Build the slot, and return what it is like."""
        return await _told(self._open)

    async def _open(self) -> bytes:
        if this_version() != self._version:
            raise PrerequisiteError(
                f"the node has evolve {this_version()}, the controller {self._version}: install "
                "the same on both (`pip install` of one wheel, or one commit) and restart its Ray"
            )
        blueprint = Blueprint.from_dict(self._blueprint)
        sandbox = blueprint.sandbox.make()
        allotment = self._stack.enter_context(_allotment(blueprint, self._stack))
        self._slot = await open_watched(
            sandbox,
            self._index,
            blueprint.limits,
            allotment.resources[0],
            allotment.guard(0),
            timed=allotment.timed,
        )
        self._turn = allotment.turn
        self._door = open_door(_address())
        return pack(
            {
                "door": self._door.invitation() if self._door else None,
                "host": _host(),
                "resources": str(allotment.resources[0]),
                "notes": list(allotment.notes),
                "hardware": allotment.hardware(),
                "guarantees": sandbox.guarantees(),
                "provenance": sandbox.provenance(),
            }
        )

    async def live(self) -> None:
        """Go on for ever: that this call has ended says that the actor has."""
        async with anyio.create_task_group() as tasks:
            self._tasks = tasks
            if self._door is not None:
                tasks.start_soon(self._door.serve, self.ask)
            await anyio.sleep_forever()

    async def ask(self, head: Head, data: bytes) -> bytes:
        """Do what is asked in ``head`` and return the answer."""
        doing = {"ping": self._ping, "call": self._call, "close": self._close}[head["do"]]
        return await _told(lambda: doing(head, data))

    async def _ping(self, _: Head, __: bytes) -> bytes:
        return pack({})

    async def _call(self, head: Head, data: bytes) -> bytes:
        wanted = (head["token"], head["session"])
        if wanted < self._session:
            return pack({"stale": f"session {wanted} is over, {self._session} is the latest"})
        if wanted > self._session:
            await self._begin(wanted, job_of(head["job"]))
        assert self._serving is not None
        return reply_parcel(await self._serving.call(head["function"], data))

    async def _begin(self, session: tuple[int, int], job: Job) -> None:
        """Start a session; an older one, which its lease has left behind, is ended first."""
        if self._serving is not None:
            await self._serving.end()
        assert self._slot is not None
        assert self._tasks is not None
        self._session, self._serving = session, Serving()
        slot = self._slot

        @asynccontextmanager
        async def in_turn() -> AsyncIterator[Session]:
            async with self._turn(), slot.session(job) as opened:
                yield opened

        self._tasks.start_soon(self._serving.run, in_turn)

    async def _close(self, head: Head, _: bytes) -> bytes:
        serving = self._serving
        if (head["token"], head["session"]) != self._session or serving is None:
            return pack({"stale": "no such session"})
        self._serving = None
        return report_parcel(await serving.end())

    async def shut(self) -> None:
        """Give the slot back, with all it had on the node."""
        slot, self._slot = self._slot, None
        if slot is not None:
            await slot.aclose()
        await self._stack.aclose()


def _allotment(blueprint: Blueprint, stack: AsyncExitStack) -> AbstractContextManager[Allotment]:
    """Return what gives the slot its CPUs, and those devices that Ray has assigned to the actor."""
    import ray

    ids = ray.get_runtime_context().get_accelerator_ids().get("GPU", [])
    if len(ids) < blueprint.limits.gpus:
        raise PrerequisiteError(
            f"Ray assigned {len(ids)} GPUs to a slot that needs {blueprint.limits.gpus}"
        )
    os.environ.update(CUDA_VISIBLE_DEVICES=",".join(ids), CUDA_DEVICE_ORDER="PCI_BUS_ID")
    folder = None
    if blueprint.shared:  # Ray alone knows who shares a device: no claims of ours on it
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="evolve-claims-")))
    found = resolve(blueprint.devices, seam="evolve.pools")
    return allotted(
        Need(1, blueprint.limits, blueprint.timed),
        PoolConfig(**blueprint.pool),
        folder,
        cast("Callable[[], Devices]", found),
    )


def _host() -> str:
    """Return what people know this machine by."""
    return f"{socket.gethostname()} ({_address()})"


def _address() -> str:
    """Return where others reach this node."""
    import ray.util

    return str(ray.util.get_node_ip_address())


async def _told(do: Callable[[], Awaitable[bytes]]) -> bytes:
    """Return what ``do`` returns, or what went wrong as a parcel."""
    try:
        return await do()
    except PrerequisiteError as error:
        return pack({"refused": str(error), "host": _host()})
    except EvaluatorError as error:
        return pack({"evaluator": str(error)})
    except EvolveError as error:
        return pack({"fault": str(error)})
    except Exception as error:  # noqa: BLE001 - an exception would have to be unpickled elsewhere
        return pack({"fault": reason_of(error)})
