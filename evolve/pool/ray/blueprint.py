"""What is sent to a node as plain data: how to build a slot there, and what to load into it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from evolve.core.command import Command
from evolve.core.limits import Limits
from evolve.core.program import Program
from evolve.sandbox.base import Job
from evolve.sandbox.spec import SandboxSpec


@dataclass(frozen=True, slots=True)
class Blueprint:
    """What it takes to build a slot on a node.

    Attributes:
        sandbox: The isolation.
        limits: What the slot must be fit for.
        timed: Whether programs are timed in it.
        pool: How slots share a node.
        shared: Whether Ray lends parts of devices, so that slots may have the same.
        devices: Reference of what finds devices.
    """

    sandbox: SandboxSpec
    limits: Limits
    timed: bool = False
    pool: Mapping[str, Any] = field(default_factory=dict)
    shared: bool = False
    devices: str = "evolve.pool.nvml:NvmlDevices"

    def as_dict(self) -> dict[str, Any]:
        """Return it as plain data."""
        return {
            "sandbox": self.sandbox.as_dict(),
            "limits": asdict(self.limits),
            "timed": self.timed,
            "pool": dict(self.pool),
            "shared": self.shared,
            "devices": self.devices,
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Blueprint:
        """Undo `as_dict`."""
        return cls(
            **{
                **data,
                "sandbox": SandboxSpec.from_dict(data["sandbox"]),
                "limits": Limits(**data["limits"]),
            }
        )


def job_dict(job: Job) -> dict[str, Any]:
    """Return a job as plain data; its limits are part of it."""
    return {
        "files": dict(job.program.files),
        "entrypoint": job.entrypoint,
        "limits": asdict(job.limits),
        "harness": job.harness,
        "command": asdict(job.command) if job.command else None,
    }


def job_of(data: Mapping[str, Any]) -> Job:
    """Undo `job_dict`."""
    command = data["command"]
    return Job(
        Program(data["files"]),
        data["entrypoint"],
        Limits(**data["limits"]),
        data["harness"],
        Command(tuple(command["run"]), tuple(command["build"])) if command else None,
    )
