"""GPUs: which there are, which may be lent, and which slot gets which."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from evolve.core.errors import PrerequisiteError
from evolve.core.resources import Device

_NONE = ("", "-1", "none", "void", "NoDevFiles")


@dataclass(frozen=True, slots=True)
class DeviceState:
    """A device at one moment.

    Attributes:
        used_bytes: Memory in use.
        processes: Ids of the processes that compute on it, as this machine counts them.
    """

    used_bytes: int = 0
    processes: frozenset[int] = frozenset()


class Devices(Protocol):
    """The GPUs of a machine. Its calls may take milliseconds and may come from any thread."""

    def all(self) -> list[Device]:
        """Return every device, in the driver's order; a partitioned GPU as its instances."""
        ...

    def state(self, device_id: str) -> DeviceState:
        """Look at one device.

        Raises:
            InfrastructureError: it does not answer.
        """
        ...


def visible(devices: Sequence[Device], environment: Mapping[str, str]) -> list[Device]:
    """Return the devices that ``CUDA_VISIBLE_DEVICES`` leaves, in its order; all if it is not set.

    An entry is an id, the beginning of one, or a GPU's number; the number of a partitioned GPU
    means all its instances. As CUDA does, the list is read up to the first entry that is nothing.

    Raises:
        PrerequisiteError: numbers on a machine with different GPUs, which CUDA may count otherwise.
    """
    wanted = environment.get("CUDA_VISIBLE_DEVICES")
    if wanted is None:
        return list(devices)
    entries = [entry.strip() for entry in wanted.split(",")]
    by_number = any(entry.isdecimal() for entry in entries)
    mixed = len({device.name.partition(" MIG")[0] for device in devices}) > 1
    if by_number and mixed and environment.get("CUDA_DEVICE_ORDER") != "PCI_BUS_ID":
        raise PrerequisiteError(
            f"CUDA_VISIBLE_DEVICES={wanted}: the GPUs here differ, so their numbers depend on who "
            "counts. Set CUDA_DEVICE_ORDER=PCI_BUS_ID to count as nvidia-smi does, or name ids: "
            + ", ".join(device.id for device in devices)
        )
    found: list[Device] = []
    for entry in entries:
        meant = [] if entry in _NONE else [each for each in devices if _means(entry, each)]
        if not meant:
            break
        found += [device for device in meant if device not in found]
    return found


def _means(entry: str, device: Device) -> bool:
    return int(entry) == device.gpu if entry.isdecimal() else device.id.startswith(entry)


def assign_devices(
    devices: Sequence[Device], slots: int, each: int, sharing: int = 1
) -> list[tuple[Device, ...]]:
    """Give every slot ``each`` devices, and every device to at most ``sharing`` slots.

    Args:
        devices: Those that may be lent, the most wanted first.
        slots: How many slots.
        each: Devices per slot; at least 1.
        sharing: Slots that may have the same device.

    Raises:
        PrerequisiteError: there are too few.
    """
    if each > 1:  # a CUDA program sees one instance of a partitioned GPU, however many it is lent
        devices = [device for device in devices if not device.is_instance]
    possible = len(devices) * sharing // each if len(devices) >= each else 0
    if slots > possible:
        kind = "GPUs that are not partitioned" if each > 1 else "GPUs"
        raise PrerequisiteError(
            f"{slots} slots with `limits: {{gpus: {each}}}` each: {len(devices)} {kind} can be "
            f"lent ({', '.join(map(str, devices)) or 'none'}), enough for {possible} slots. "
            + (f"Set `slots: {possible}`" if possible else "Set `gpus` in problem.yaml lower")
            + ", or, if the problem is not timed, let slots share a GPU: `pool: {gpu_slots: 2}`"
        )
    count = len(devices)
    return [
        tuple(devices[(slot * each + number) % count] for number in range(each))
        for slot in range(slots)
    ]
