"""What of a machine belongs to one slot: CPUs it keeps to, devices that are lent to it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Device:
    """A GPU, or one instance of a GPU that is partitioned (MIG).

    Attributes:
        id: What the driver calls it: ``GPU-...`` or ``MIG-...``. Indices are not used: CUDA and
            the driver count in different orders.
        name: Model, as the driver says it.
        memory_mb: Mebibytes of its memory.
        minor: Number of the GPU's device file ``/dev/nvidiaN``; None when there is none.
        gpu: Position of the GPU in the driver's order, from 0.
    """

    id: str
    name: str = ""
    memory_mb: int = 0
    minor: int | None = None
    gpu: int = 0

    @property
    def is_instance(self) -> bool:
        """Whether it is a part of a partitioned GPU."""
        return self.id.startswith("MIG-")

    def __str__(self) -> str:
        return f"{self.id} ({self.name}, {self.memory_mb / 1024:.0f} GiB)"


@dataclass(frozen=True, slots=True)
class Resources:
    """The CPUs and devices of one slot.

    Attributes:
        cpus: Numbers of the CPUs its programs are kept to; empty: wherever the kernel puts them.
        gpus: Devices lent to it, all of them visible to its programs and no others.
    """

    cpus: tuple[int, ...] = ()
    gpus: tuple[Device, ...] = ()

    def threads(self, cpus: float) -> int:
        """Return how many threads numerical libraries should use, ``cpus`` being the limit."""
        return len(self.cpus) or max(1, int(cpus))

    def __str__(self) -> str:
        parts = [f"CPUs {ranges(self.cpus)}"] if self.cpus else []
        return "; ".join([*parts, *map(str, self.gpus)])


def ranges(numbers: Iterable[int]) -> str:
    """Return CPU numbers as the kernel writes them: ``0-3,8``."""
    parts: list[list[int]] = []
    for number in sorted(numbers):
        if parts and number == parts[-1][-1] + 1:
            parts[-1][1:] = [number]
        else:
            parts.append([number])
    return ",".join("-".join(map(str, part)) for part in parts)
