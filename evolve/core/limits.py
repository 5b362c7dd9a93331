"""What one evaluation of one program may use."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Limits:
    """Resource limits of one evaluation: import of the program and all its calls together.

    Attributes:
        wall_s: Wall-clock seconds; the whole process tree dies at this deadline.
        cpu_s: CPU seconds of the whole process tree; None means ``wall_s * cpus``.
        memory_mb: Mebibytes of memory, swap included.
        cpus: CPUs the sandbox may use at once.
        processes: Processes and threads alive at once.
        disk_mb: Mebibytes it may write to its private folder.
        output_kb: Kibibytes of stdout and of stderr kept; the rest is counted and dropped, and a
            program that prints more than 256 times as much is killed.
        result_mb: Mebibytes of returned data.
        gpus: Devices leased for the evaluation.
        gpu_memory_mb: Mebibytes of memory on each device; None means all there is.
    """

    wall_s: float = 60.0
    cpu_s: float | None = None
    memory_mb: int = 1024
    cpus: float = 1.0
    processes: int = 64
    disk_mb: int = 256
    output_kb: int = 64
    result_mb: int = 64
    gpus: int = 0
    gpu_memory_mb: int | None = None

    @property
    def cpu_seconds(self) -> float:
        """The CPU limit in force, in seconds."""
        return self.wall_s * self.cpus if self.cpu_s is None else self.cpu_s
