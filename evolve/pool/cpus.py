"""CPUs: which there are, which share a core, and which slot gets which."""

from __future__ import annotations

import math
import os
import platform
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

from evolve.core.errors import PrerequisiteError
from evolve.core.resources import ranges

_SYSTEM = Path("/sys/devices/system/cpu")


@dataclass(frozen=True, order=True, slots=True)
class Cpu:
    """A logical CPU, ordered so that neighbours share the most.

    Attributes:
        package: Its socket.
        core: Its core within the socket; CPUs with the same package and core are threads of one.
        number: As the kernel counts.
    """

    package: int
    core: int
    number: int


def usable_cpus(system: Path = _SYSTEM, usable: set[int] | None = None) -> list[Cpu]:
    """Return the CPUs this process may use, with their place on the machine.

    Args:
        system: The kernel's folder of CPUs.
        usable: Their numbers; default: this process's own affinity.

    Raises:
        PrerequisiteError: this is no Linux.
    """
    if sys.platform != "linux":
        raise PrerequisiteError("only Linux pins programs to CPUs: `pool: {pin_cpus: false}`")
    numbers = os.sched_getaffinity(0) if usable is None else usable
    return sorted(_cpu(system / f"cpu{number}" / "topology", number) for number in numbers)


def _cpu(topology: Path, number: int) -> Cpu:
    """Read one CPU's place; one whose place is not told is a core of its own."""
    try:
        package = int((topology / "physical_package_id").read_text())
        return Cpu(package, int((topology / "core_id").read_text()), number)
    except (OSError, ValueError):
        return Cpu(0, number, number)


def cpu_model(info: Path = Path("/proc/cpuinfo")) -> str:
    """Return what this machine's CPUs are called."""
    lines = info.read_text().splitlines() if info.exists() else []
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.machine())


def cores(cpus: Sequence[Cpu]) -> list[tuple[int, ...]]:
    """Return the numbers of the CPUs of each core, neighbouring cores side by side."""
    grouped = groupby(sorted(cpus), lambda cpu: (cpu.package, cpu.core))
    return [tuple(cpu.number for cpu in core) for _, core in grouped]


def assign_cpus(cpus: Sequence[Cpu], slots: int, each: float) -> list[tuple[int, ...]]:
    """Give every slot CPUs of its own.

    Threads of one core go to the same slot. Where there are enough cores, no two slots share one
    and threads left over stay idle; else slots lie side by side and may meet within a core.

    Args:
        cpus: Those that may be given away.
        slots: How many slots.
        each: CPUs per slot, rounded up.

    Raises:
        PrerequisiteError: there are too few.
    """
    wanted = math.ceil(each)
    if slots * wanted > len(cpus):
        raise PrerequisiteError(
            f"{slots} slots of {wanted} CPUs each cannot be pinned: "
            f"{len(cpus)} CPUs are free ({ranges(cpu.number for cpu in cpus) or 'none'}), enough "
            f"for {len(cpus) // wanted} slots. Set `slots` or the problem's `limits.cpus` lower, "
            "or `pool: {pin_cpus: false}` to let slots share CPUs"
        )
    return _whole_cores(cpus, slots, wanted) or _side_by_side(cpus, slots, wanted)


def _whole_cores(cpus: Sequence[Cpu], slots: int, wanted: int) -> list[tuple[int, ...]]:
    """Begin every slot with a fresh core; return nothing when the cores do not suffice."""
    left = iter(cores(cpus))
    given = []
    for _ in range(slots):
        taken: list[int] = []
        while len(taken) < wanted:
            core = next(left, None)
            if core is None:
                return []
            taken += core
        given.append(tuple(taken[:wanted]))
    return given


def _side_by_side(cpus: Sequence[Cpu], slots: int, wanted: int) -> list[tuple[int, ...]]:
    numbers = [number for core in cores(cpus) for number in core]
    return [tuple(numbers[slot * wanted : (slot + 1) * wanted]) for slot in range(slots)]


def share_cores(cpus: Sequence[Cpu], given: Sequence[tuple[int, ...]]) -> bool:
    """Return whether two slots have threads of the same core."""
    slot_of = {number: slot for slot, numbers in enumerate(given) for number in numbers}
    owners = ({slot_of[number] for number in core if number in slot_of} for core in cores(cpus))
    return any(len(slots) > 1 for slots in owners)


def slow_governors(cpus: Sequence[int], system: Path = _SYSTEM) -> list[str]:
    """Return a note on CPUs whose frequency follows their load, if there are any."""
    paths = [system / f"cpu{number}" / "cpufreq" / "scaling_governor" for number in cpus]
    found = {path.read_text().strip() for path in paths if path.exists()} - {"performance"}
    if not found:
        return []
    return [
        f"CPU frequencies follow the governor {', '.join(sorted(found))}, so timings vary: "
        "`cpupower frequency-set --governor performance` steadies them"
    ]


@contextmanager
def keeping_off(taken: Sequence[int]) -> Iterator[None]:
    """Keep this thread, and all it starts meanwhile, off the CPUs of slots if any others are left.

    Scorers and the engine's own work then disturb no program that is being timed.
    """
    before = os.sched_getaffinity(0)
    rest = before - set(taken)
    if not rest or not taken:
        yield
        return
    os.sched_setaffinity(0, rest)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)
