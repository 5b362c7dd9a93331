"""Plug-ins that nodes load by path."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

from evolve.core.evaluation import Outcome
from evolve.core.limits import Limits
from evolve.core.resources import Device, Resources
from evolve.core.values import Value
from evolve.pool.devices import DeviceState
from evolve.sandbox.base import ANY_RESOURCES, Job, Reply, Report, Session, Slot


class FakeDevices:
    """Four GPUs that are never used."""

    def all(self) -> list[Device]:
        return [
            Device(f"GPU-{number:04x}", "Fake 9000", 1024, number, number) for number in range(4)
        ]

    def state(self, device_id: str) -> DeviceState:
        return DeviceState()


class TellingSandbox:
    """Runs nothing: a call returns what its slot was given."""

    name = "telling"
    accepts_untrusted = True

    async def open_slot(
        self, index: int, limits: Limits, resources: Resources = ANY_RESOURCES
    ) -> Slot:
        return _Telling(resources)

    def guarantees(self) -> list[str]:
        return []

    def provenance(self) -> dict[str, str]:
        return {}


class _Telling(Session):
    report = Report()

    def __init__(self, resources: Resources) -> None:
        self._resources = resources

    @asynccontextmanager
    async def session(self, job: Job) -> AsyncIterator[Session]:
        if "take it down" in job.program.files["p.py"]:
            os.kill(os.getpid(), 9)
        yield self

    async def call(self, inputs: Mapping[str, Value], *, function: str = "") -> Reply:
        gpus = [gpu.id for gpu in self._resources.gpus]
        names: list[Value] = [*sorted(os.environ)]
        return Reply(Outcome.OK, {"gpus": [*gpus], "environment": names, "pid": os.getpid()})

    async def aclose(self) -> None:
        pass
