"""A slot with all that looks after it: its devices, its clock."""

from __future__ import annotations

from evolve.core.limits import Limits
from evolve.core.resources import Resources
from evolve.pool.guard import DeviceGuard, GuardedSlot
from evolve.pool.timing import TimedSlot
from evolve.sandbox.base import Sandbox, Slot


async def open_watched(
    sandbox: Sandbox,
    index: int,
    limits: Limits,
    resources: Resources,
    guard: DeviceGuard | None,
    *,
    timed: bool,
) -> Slot:
    """Open slot ``index`` of a sandbox on CPUs and devices of this machine.

    Args:
        sandbox: Opens it.
        index: Its number within the pool.
        limits: What it must be fit for.
        resources: What it is given.
        guard: Looks at the devices, if it has any.
        timed: Whether programs are timed in it.

    Raises:
        SandboxUnavailable: the isolation cannot be had on this machine.
        InfrastructureError: a device does not answer.
    """
    if guard is not None:
        await guard.begin()
    slot = await sandbox.open_slot(index, limits, resources)
    if guard is not None:
        slot = GuardedSlot(slot, guard)
    return TimedSlot(slot, resources.cpus) if timed else slot
