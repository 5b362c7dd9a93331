"""Which CPUs and devices each slot of a pool gets, claimed against other runs on this machine."""

from __future__ import annotations

import os
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import (
    AbstractAsyncContextManager,
    ExitStack,
    asynccontextmanager,
    contextmanager,
    nullcontext,
)
from dataclasses import dataclass
from pathlib import Path

import anyio

from evolve.config.models import PoolConfig
from evolve.core.errors import ConfigError, PrerequisiteError
from evolve.core.limits import Limits
from evolve.core.resources import Device, Resources
from evolve.pool.cpus import (
    assign_cpus,
    cores,
    cpu_model,
    keeping_off,
    share_cores,
    slow_governors,
    usable_cpus,
)
from evolve.pool.devices import Devices, assign_devices, visible
from evolve.pool.guard import DeviceGuard
from evolve.pool.locks import Claims
from evolve.pool.nvml import NvmlDevices


@dataclass(frozen=True, slots=True)
class Need:
    """What slots are wanted for.

    Attributes:
        slots: How many.
        limits: What every one of them must be fit for.
        timed: Whether scores are made of time.
    """

    slots: int
    limits: Limits
    timed: bool


@dataclass(frozen=True, slots=True)
class Allotment:
    """What every slot gets, and what people should know about it.

    Attributes:
        resources: CPUs and devices of each slot.
        notes: What is not ideal about them.
        devices: Where to look at the devices; None when none is lent.
        alone: Whether no device has two slots.
        timed: Whether programs are being timed.
        turn: Makes a context in which a program may run.
    """

    resources: tuple[Resources, ...]
    notes: tuple[str, ...] = ()
    devices: Devices | None = None
    alone: bool = True
    timed: bool = False
    turn: Callable[[], AbstractAsyncContextManager[None]] = nullcontext

    def hardware(self) -> dict[str, object]:
        """Return what scores that are times depend on."""
        gpus = {gpu.name for slot in self.resources for gpu in slot.gpus}
        return {"cpu": cpu_model(), "gpus": sorted(gpus)}

    def guard(self, slot: int) -> DeviceGuard | None:
        """Return what watches the devices of a slot, if it has any."""
        gpus = self.resources[slot].gpus
        if not gpus or self.devices is None:
            return None
        return DeviceGuard(gpus, self.devices, alone=self.alone)


@contextmanager
def allotted(
    need: Need,
    config: PoolConfig,
    folder: Path | None = None,
    find_devices: Callable[[], Devices] = NvmlDevices,
) -> Iterator[Allotment]:
    """Give CPUs and devices to slots for as long as the context lasts.

    Other runs of this machine that pin or lend devices keep off them.

    Args:
        need: What is wanted.
        config: How slots share the machine.
        folder: Where runs claim parts of it; default: the folder for temporary files.
        find_devices: Finds GPUs, when there is need of any.

    Raises:
        PrerequisiteError: there are not enough of them.
        ConfigError: what slots may share contradicts what the problem is.
    """
    if need.timed and sys.platform != "linux":
        raise PrerequisiteError(
            "a timed problem needs Linux, which tells who uses the CPUs; set `timed: false` in "
            "problem.yaml to run it here"
        )
    pinned = need.timed if config.pin_cpus == "auto" else config.pin_cpus
    notes: list[str] = []
    with ExitStack() as stack:
        claims = stack.enter_context(Claims(folder))
        cpus: list[tuple[int, ...]] = [()] * need.slots
        gpus: list[tuple[Device, ...]] = [()] * need.slots
        devices = None
        if need.limits.gpus:
            devices, gpus = _lend(need, config.gpu_slots, claims, find_devices)
        if pinned:
            cpus, notes = _pin(need, claims)
            stack.enter_context(keeping_off([number for slot in cpus for number in slot]))
        yield Allotment(
            tuple(map(Resources, cpus, gpus)),
            tuple(notes),
            devices,
            alone=config.gpu_slots == 1,
            timed=need.timed,
            turn=_one_at_a_time(claims) if config.exclusive else nullcontext,
        )


def _one_at_a_time(claims: Claims) -> Callable[[], AbstractAsyncContextManager[None]]:
    """Return what makes turns: one on this machine at any time, ours in the order of asking."""
    ours = anyio.Lock()

    @asynccontextmanager
    async def turn() -> AsyncIterator[None]:
        async with ours, claims.waiting_for("exclusive"):
            yield

    return turn


def _lend(
    need: Need, sharing: int, claims: Claims, find: Callable[[], Devices]
) -> tuple[Devices, list[tuple[Device, ...]]]:
    """Choose devices that no other run has claimed, idle ones first, and claim them."""
    if need.timed and sharing > 1:
        raise ConfigError(
            "`pool.gpu_slots` is for problems that are not timed: two programs that are being "
            "timed never share a GPU. Leave it out"
        )
    if need.limits.gpu_memory_mb and sharing > 1:
        raise ConfigError(
            "`limits.gpu_memory_mb` needs `pool: {gpu_slots: 1}`: on a GPU that slots share, "
            "nobody can tell whose memory it is"
        )
    try:
        devices = find()
    except PrerequisiteError as error:
        raise PrerequisiteError(
            f"the problem needs GPUs (`limits: {{gpus: {need.limits.gpus}}}`): {error}. Run it "
            "where there are some, or set `gpus: 0` in problem.yaml"
        ) from None
    there = devices.all()
    found = visible(there, os.environ)
    free = [device for device in found if claims.take(f"gpu-{device.id}")]
    busy = {device: devices.state(device.id).processes for device in free}
    idle_first = sorted(free, key=lambda device: bool(busy[device]))
    try:
        given = assign_devices(idle_first, need.slots, need.limits.gpus, sharing)
    except PrerequisiteError as error:
        raise PrerequisiteError(
            f"{error}. Of {len(there)} devices here, {len(there) - len(found)} are hidden by "
            f"CUDA_VISIBLE_DEVICES and {len(found) - len(free)} lent to other runs"
        ) from None
    lent = {device for slot in given for device in slot}
    for device in free:
        if device not in lent:
            claims.release(f"gpu-{device.id}")
    if need.timed and (disturbed := [device for device in lent if busy[device]]):
        raise PrerequisiteError(
            "the problem is timed, but others compute on "
            + "; ".join(f"{device}: processes {sorted(busy[device])}" for device in disturbed)
            + ". Wait, use fewer slots, or hide those GPUs with CUDA_VISIBLE_DEVICES"
        )
    return devices, given


def _pin(need: Need, claims: Claims) -> tuple[list[tuple[int, ...]], list[str]]:
    """Choose CPUs of cores that no other run has claimed, and claim them."""
    usable = usable_cpus()
    free = [cpu for cpu in usable if claims.take(f"cpu{cpu.number}")]
    cpus = assign_cpus(free, need.slots, need.limits.cpus)
    # A slot also keeps the other threads of its cores, idle, while there is no need for them.
    given = {number for slot in cpus for number in slot}
    for core in cores(free):
        if not given.intersection(core):
            for number in core:
                claims.release(f"cpu{number}")
    notes = slow_governors(sorted(given)) if need.timed else []
    if need.timed and share_cores(usable, cpus):
        notes.append("slots share CPU cores, so timings disturb each other: fewer slots would not")
    if given.issuperset(cpu.number for cpu in usable):
        notes.append("no CPU is left for the engine and scorers: fewer slots would leave one")
    return cpus, notes
