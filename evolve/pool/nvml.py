"""NVIDIA devices, as the driver's management library (NVML) tells of them."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from types import ModuleType

from evolve.core.errors import InfrastructureError, PrerequisiteError
from evolve.core.resources import Device
from evolve.pool.devices import DeviceState


class NvmlDevices:
    """The NVIDIA GPUs of this machine.

    Raises:
        PrerequisiteError: the library or the driver is missing.
    """

    def __init__(self) -> None:
        self._nvml = _load()

    def all(self) -> list[Device]:
        """Return every device; one that is partitioned (MIG) as its instances."""
        nvml = self._nvml
        try:
            return [
                device
                for number in range(nvml.nvmlDeviceGetCount())
                for device in self._of(number, nvml.nvmlDeviceGetHandleByIndex(number))
            ]
        except nvml.NVMLError as error:
            raise PrerequisiteError(f"the NVIDIA driver does not list its GPUs: {error}") from error

    def _of(self, number: int, gpu: object) -> Iterator[Device]:
        nvml = self._nvml
        minor = nvml.nvmlDeviceGetMinorNumber(gpu)
        for handle in self._instances(gpu) if self._partitioned(gpu) else [gpu]:
            yield Device(
                id=nvml.nvmlDeviceGetUUID(handle),
                name=nvml.nvmlDeviceGetName(handle),
                memory_mb=nvml.nvmlDeviceGetMemoryInfo(handle).total >> 20,
                minor=minor,
                gpu=number,
            )

    def _partitioned(self, gpu: object) -> bool:
        try:
            current, _ = self._nvml.nvmlDeviceGetMigMode(gpu)
        except self._nvml.NVMLError:  # not of the kind that can be
            return False
        return bool(current)

    def _instances(self, gpu: object) -> Iterator[object]:
        nvml = self._nvml
        for number in range(nvml.nvmlDeviceGetMaxMigDeviceCount(gpu)):
            try:
                yield nvml.nvmlDeviceGetMigDeviceHandleByIndex(gpu, number)
            except nvml.NVMLError:  # a place without an instance
                continue

    def state(self, device_id: str) -> DeviceState:
        """Look at one device.

        Raises:
            InfrastructureError: it does not answer.
        """
        nvml = self._nvml
        try:
            handle = nvml.nvmlDeviceGetHandleByUUID(device_id)
            used = nvml.nvmlDeviceGetMemoryInfo(handle).used
            processes = nvml.nvmlDeviceGetComputeRunningProcesses(handle)
        except nvml.NVMLError as error:
            raise InfrastructureError(f"the device {device_id} does not answer: {error}") from error
        return DeviceState(used, frozenset(process.pid for process in processes))


def _load() -> ModuleType:
    try:
        nvml = importlib.import_module("pynvml")
    except ImportError:
        raise PrerequisiteError(
            "a library is missing that finds GPUs: pip install 'evolve-engine[gpu]'"
        ) from None
    try:
        nvml.nvmlInit()
    except nvml.NVMLError as error:
        raise PrerequisiteError(f"no NVIDIA driver answers on this machine ({error})") from None
    return nvml
