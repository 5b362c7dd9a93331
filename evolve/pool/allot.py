"""Which CPUs and devices each slot of a pool gets, claimed against other runs on this machine."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from evolve.config.models import PoolConfig
from evolve.core.errors import PrerequisiteError
from evolve.core.limits import Limits
from evolve.core.resources import Resources
from evolve.pool.cpus import assign_cpus, cores, keeping_off, share_cores, usable_cpus
from evolve.pool.locks import Claims


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
    """What every slot gets, and what people should know about it."""

    resources: tuple[Resources, ...]
    notes: tuple[str, ...] = ()


@contextmanager
def allotted(need: Need, config: PoolConfig, folder: Path | None = None) -> Iterator[Allotment]:
    """Give CPUs and devices to slots for as long as the context lasts.

    Other runs of this machine that pin or lend devices keep off them.

    Args:
        need: What is wanted.
        config: How slots share the machine.
        folder: Where runs claim parts of it; default: the folder for temporary files.

    Raises:
        PrerequisiteError: there are not enough of them.
    """
    if need.limits.gpus:
        raise PrerequisiteError(
            f"`limits: {{gpus: {need.limits.gpus}}}`: this pool has no devices to lend; "
            "set `gpus: 0` in problem.yaml to run on CPUs"
        )
    pinned = need.timed if config.pin_cpus == "auto" else config.pin_cpus
    notes: list[str] = []
    with ExitStack() as stack:
        claims = stack.enter_context(Claims(folder))
        cpus: list[tuple[int, ...]] = [()] * need.slots
        if pinned:
            cpus, notes = _pin(need, claims)
            stack.enter_context(keeping_off([number for slot in cpus for number in slot]))
        yield Allotment(tuple(map(Resources, cpus)), tuple(notes))


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
    notes = []
    if need.timed and share_cores(usable, cpus):
        notes.append("slots share CPU cores, so timings disturb each other: fewer slots would not")
    if given.issuperset(cpu.number for cpu in usable):
        notes.append("no CPU is left for the engine and scorers: fewer slots would leave one")
    return cpus, notes
