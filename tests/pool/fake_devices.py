"""GPUs that are not there."""

from __future__ import annotations

from dataclasses import dataclass, field

from evolve.core.errors import InfrastructureError
from evolve.core.resources import Device
from evolve.pool.devices import DeviceState


def gpu(number: int, name: str = "H100") -> Device:
    return Device(f"GPU-0000000{number}-aaaa", name, 80 * 1024, minor=number, gpu=number)


def instance(number: int, part: int) -> Device:
    name = "H100 MIG 1g.10gb"
    return Device(f"MIG-{number}{part}000000-bbbb", name, 10 * 1024, minor=number, gpu=number)


@dataclass
class FakeDevices:
    """Devices whose states tests set.

    Attributes:
        devices: Those there are.
        states: By id; a device without one is idle.
        lost: Ids of those that do not answer.
    """

    devices: list[Device]
    states: dict[str, DeviceState] = field(default_factory=dict)
    lost: set[str] = field(default_factory=set)

    def all(self) -> list[Device]:
        return self.devices

    def state(self, device_id: str) -> DeviceState:
        if device_id in self.lost:
            raise InfrastructureError(f"the device {device_id} does not answer: GPU is lost")
        return self.states.get(device_id, DeviceState())
