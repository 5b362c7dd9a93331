"""What the driver's library says, read through a stand-in for it."""
# ruff: noqa: N802 - the names are the library's

from __future__ import annotations

import sys
from types import ModuleType, SimpleNamespace

import pytest

from evolve.core.errors import InfrastructureError, PrerequisiteError
from evolve.core.resources import Device
from evolve.pool.devices import DeviceState
from evolve.pool.nvml import NvmlDevices

GIB = 1 << 30


class NVMLError(Exception):
    """As the library's own."""


class FakeLibrary(ModuleType):
    """`pynvml` of a machine with a whole GPU, one in two instances, and an old one."""

    NVMLError = NVMLError

    def __init__(self) -> None:
        super().__init__("pynvml")
        self.gpus = {0: "GPU-a", 1: "GPU-b", 2: "GPU-c"}
        self.instances = {"GPU-b": {0: "MIG-b0", 3: "MIG-b3"}}
        self.lost: set[str] = set()
        self.broken = ""

    def nvmlInit(self) -> None:
        if self.broken:
            raise NVMLError(self.broken)

    def nvmlDeviceGetCount(self) -> int:
        if self.broken:
            raise NVMLError(self.broken)
        return len(self.gpus)

    def nvmlDeviceGetHandleByIndex(self, index: int) -> str:
        return self.gpus[index]

    def nvmlDeviceGetHandleByUUID(self, uuid: str) -> str:
        if uuid in self.lost:
            raise NVMLError("GPU is lost")
        return uuid

    def nvmlDeviceGetUUID(self, handle: str) -> str:
        return handle

    def nvmlDeviceGetName(self, handle: str) -> str:
        return f"model {handle}"

    def nvmlDeviceGetMinorNumber(self, handle: str) -> int:
        return 7 - list(self.gpus.values()).index(handle)

    def nvmlDeviceGetMemoryInfo(self, handle: str) -> SimpleNamespace:
        part = handle.startswith("MIG")
        return SimpleNamespace(total=10 * GIB if part else 80 * GIB, used=GIB if part else 2 * GIB)

    def nvmlDeviceGetMigMode(self, handle: str) -> tuple[int, int]:
        if handle == "GPU-c":
            raise NVMLError("Not Supported")
        return int(handle in self.instances), 0

    def nvmlDeviceGetMaxMigDeviceCount(self, handle: str) -> int:
        return 7

    def nvmlDeviceGetMigDeviceHandleByIndex(self, handle: str, index: int) -> str:
        try:
            return self.instances[handle][index]
        except KeyError:
            raise NVMLError("Not Found") from None

    def nvmlDeviceGetComputeRunningProcesses(self, handle: str) -> list[SimpleNamespace]:
        return [SimpleNamespace(pid=11), SimpleNamespace(pid=12)] if handle == "GPU-a" else []


@pytest.fixture
def library(monkeypatch: pytest.MonkeyPatch) -> FakeLibrary:
    fake = FakeLibrary()
    monkeypatch.setitem(sys.modules, "pynvml", fake)
    return fake


def test_a_partitioned_gpu_is_its_instances(library: FakeLibrary) -> None:
    assert NvmlDevices().all() == [
        Device("GPU-a", "model GPU-a", 80 * 1024, minor=7, gpu=0),
        Device("MIG-b0", "model MIG-b0", 10 * 1024, minor=6, gpu=1),
        Device("MIG-b3", "model MIG-b3", 10 * 1024, minor=6, gpu=1),
        Device("GPU-c", "model GPU-c", 80 * 1024, minor=5, gpu=2),
    ]


def test_a_partitioned_gpu_without_instances_is_nothing(library: FakeLibrary) -> None:
    library.instances = {"GPU-b": {}}
    assert [device.id for device in NvmlDevices().all()] == ["GPU-a", "GPU-c"]


def test_states_tell_memory_and_processes(library: FakeLibrary) -> None:
    devices = NvmlDevices()
    assert devices.state("GPU-a") == DeviceState(2 * GIB, frozenset({11, 12}))
    assert devices.state("MIG-b0") == DeviceState(GIB)


def test_a_lost_device_is_an_infrastructure_fault(library: FakeLibrary) -> None:
    devices = NvmlDevices()
    library.lost.add("GPU-a")
    with pytest.raises(InfrastructureError, match="GPU-a does not answer: GPU is lost"):
        devices.state("GPU-a")


def test_without_the_library_or_the_driver_the_way_out_is_named(
    library: FakeLibrary, monkeypatch: pytest.MonkeyPatch
) -> None:
    devices = NvmlDevices()
    library.broken = "Driver Not Loaded"
    with pytest.raises(PrerequisiteError, match=r"no NVIDIA driver answers .*Driver Not Loaded"):
        NvmlDevices()
    with pytest.raises(PrerequisiteError, match="does not list its GPUs: Driver Not Loaded"):
        devices.all()
    monkeypatch.setitem(sys.modules, "pynvml", None)
    with pytest.raises(PrerequisiteError, match=r"pip install 'evolve-engine\[gpu\]'"):
        NvmlDevices()


@pytest.mark.gpu
def test_real_devices_have_ids_names_and_memory() -> None:
    devices = NvmlDevices()
    found = devices.all()
    assert found
    for device in found:
        assert device.id.startswith(("GPU-", "MIG-"))
        assert device.name
        assert device.memory_mb > 1000
        assert 0 <= devices.state(device.id).used_bytes >> 20 <= device.memory_mb
