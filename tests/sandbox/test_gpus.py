"""Devices reach the programs they are lent to; wrong or missing ones are found out before."""

from __future__ import annotations

import io
import json
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterator
from pathlib import Path

import anyio.to_thread
import docker
import pytest

from evolve.core.errors import SandboxUnavailable
from evolve.core.evaluation import Outcome
from evolve.core.limits import Limits
from evolve.core.program import Program
from evolve.core.recipe import ImageRecipe
from evolve.core.resources import Device, Resources
from evolve.pool.nvml import NvmlDevices
from evolve.sandbox.base import Job, Reply, Sandbox, Slot
from evolve.sandbox.docker import DockerSandbox
from evolve.sandbox.image import ensure_image
from evolve.sandbox.process import ProcessSandbox, device_files
from evolve.sandbox.reaper import LABEL, Controller
from tests.sandbox.private_engine import PrivateEngine, private_engine

IDS = ("8ad5a6f2-2b0e-44e4-bd5a-000000000001", "8ad5a6f2-2b0e-44e4-bd5a-0000000000ff")
GPUS = tuple(Device(f"GPU-{each}", "H100", 80_000, minor=n, gpu=n) for n, each in enumerate(IDS))
LIMITS = Limits(wall_s=20.0, memory_mb=256, gpus=2)
#: What a program sees of devices: variables, and what CUDA offers, asked with the runner's code.
LOOK = """
import os

def solve():
    return {name: value for name, value in os.environ.items() if "CUDA" in name or "NV" in name}
"""
ASK = """
import json
from evolve.sandbox.inside.gpus import visible_gpus
print(json.dumps(visible_gpus()))
"""


@pytest.fixture(scope="module")
def fake_cuda() -> Iterator[Path]:
    compiler = shutil.which("cc")
    if compiler is None:
        pytest.skip("no C compiler to make a stand-in for the CUDA driver with")
    with tempfile.TemporaryDirectory() as folder:
        library = Path(folder) / "libcuda.so.1"
        source = Path(__file__).parent / "fake_cuda.c"
        subprocess.run([compiler, "-shared", "-fPIC", "-o", library, source], check=True)
        yield library


def asked(**variables: str) -> tuple[list[str], str]:
    """Ask for visible devices in a process of its own."""
    environment = {"PATH": os.environ["PATH"], **variables}
    if inherited := os.environ.get("LD_LIBRARY_PATH"):
        environment["LD_LIBRARY_PATH"] = f"{variables.get('LD_LIBRARY_PATH', '')}:{inherited}"
    said = subprocess.run(
        [sys.executable, "-c", ASK], env=environment, capture_output=True, text=True, check=True
    )
    found, trouble = json.loads(said.stdout)
    return found, trouble


def test_the_cuda_driver_is_asked_what_there_is(fake_cuda: Path) -> None:
    path = str(fake_cuda.parent)
    lent = ",".join(gpu.id for gpu in GPUS)
    assert asked(LD_LIBRARY_PATH=path, CUDA_VISIBLE_DEVICES=lent) == (list(IDS), "")
    assert asked(LD_LIBRARY_PATH=path) == ([], "")
    refused = asked(LD_LIBRARY_PATH=path, CUDA_VISIBLE_DEVICES=lent, FAKE_CUDA_STATUS="999")
    assert refused == ([], "cuInit failed with status 999")


def test_only_device_files_of_lent_devices_are_brought_along(tmp_path: Path) -> None:
    for name in ("nvidia0", "nvidia1", "nvidia10", "nvidiactl", "nvidia-uvm", "nvidia-caps"):
        (tmp_path / name).touch()

    def names(*gpus: Device) -> list[str]:
        return [Path(path).name for path in device_files(gpus, tmp_path)]

    assert names() == []
    assert names(GPUS[1]) == ["nvidiactl", "nvidia-uvm", "nvidia1"]
    part = Device("MIG-1", minor=0)
    assert names(part, part) == ["nvidiactl", "nvidia-uvm", "nvidia0", "nvidia-caps"]


@pytest.mark.anyio
async def test_a_slot_whose_programs_would_not_see_their_device_is_not_opened() -> None:
    with pytest.raises(SandboxUnavailable, match=f"lent to them .{IDS[0]}, {IDS[1]}. but: "):
        await ProcessSandbox().open_slot(0, LIMITS, Resources(gpus=GPUS))


@pytest.mark.anyio
@pytest.mark.docker
async def test_an_engine_without_the_toolkit_is_told_what_to_install() -> None:
    if shutil.which("nvidia-container-runtime-hook"):
        pytest.skip("this engine has the toolkit")
    with pytest.raises(SandboxUnavailable, match="install the NVIDIA Container Toolkit"):
        await DockerSandbox().open_slot(0, LIMITS, Resources(gpus=GPUS))
    label = f"{LABEL}={Controller.this()}"
    client = docker.from_env()
    left = client.containers.list(all=True, filters={"label": label})
    client.close()
    assert left == []


@pytest.fixture(scope="module")
def engine_with_toolkit() -> Iterator[PrivateEngine]:
    """An engine that believes it can lend GPUs: its toolkit does nothing."""
    with private_engine() as engine:
        hook = engine.tools / "nvidia-container-runtime-hook"
        hook.write_text("#!/bin/sh\n")
        hook.chmod(0o755)
        engine.start()
        yield engine


def image_with(client: docker.DockerClient, library: Path) -> str:
    """Make an image that has a CUDA driver."""
    base = ensure_image(client, ImageRecipe(requirements=())).tag
    text = f"FROM {base}\nCOPY libcuda.so.1 /opt/python/lib/\n".encode()
    context = io.BytesIO()
    with tarfile.open(fileobj=context, mode="w") as archive:
        archive.add(library, "libcuda.so.1")
        entry = tarfile.TarInfo("Dockerfile")
        entry.size = len(text)
        archive.addfile(entry, io.BytesIO(text))
    context.seek(0)
    client.images.build(fileobj=context, custom_context=True, tag="with-cuda", rm=True)
    return "with-cuda"


@pytest.mark.anyio
@pytest.mark.docker
@pytest.mark.slow
async def test_containers_see_the_devices_lent_to_them_and_no_others(
    engine_with_toolkit: PrivateEngine, fake_cuda: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOCKER_HOST", engine_with_toolkit.host)
    with engine_with_toolkit.client() as client:
        image = await anyio.to_thread.run_sync(image_with, client, fake_cuda)
        sandbox = DockerSandbox(image=image, isolation="container")
        slot = await sandbox.open_slot(0, LIMITS, Resources(gpus=GPUS))
        try:
            [container] = client.containers.list()
            assert "no devices but the GPUs of its slot" in sandbox.guarantees()[1]
            [request] = container.attrs["HostConfig"]["DeviceRequests"]
            assert request["DeviceIDs"] == [gpu.id for gpu in GPUS]
            assert request["Count"] == 0
            for _ in range(2):
                assert (await call(slot, LOOK)).value == {
                    "CUDA_VISIBLE_DEVICES": "0,1",
                    "CUDA_DEVICE_ORDER": "PCI_BUS_ID",
                }
        finally:
            await slot.aclose()
        plain = DockerSandbox(image=ensure_image(client, ImageRecipe(requirements=())).tag)
        with pytest.raises(SandboxUnavailable, match=r"but: libcuda.so.1: cannot open"):
            await plain.open_slot(0, LIMITS, Resources(gpus=GPUS))
        assert client.containers.list(all=True) == []


@pytest.mark.anyio
@pytest.mark.gpu
@pytest.mark.parametrize(
    "sandbox", [ProcessSandbox(), pytest.param(DockerSandbox(), marks=pytest.mark.docker)]
)
async def test_a_program_reaches_a_real_device(sandbox: Sandbox) -> None:
    source = """
import ctypes

def solve():
    cuda = ctypes.CDLL("libcuda.so.1")
    count, device, context, pointer = (ctypes.c_int(), ctypes.c_int(), ctypes.c_void_p(),
                                       ctypes.c_uint64())
    return [
        cuda.cuInit(0), cuda.cuDeviceGetCount(ctypes.byref(count)), count.value,
        cuda.cuDeviceGet(ctypes.byref(device), 0),
        cuda.cuCtxCreate_v2(ctypes.byref(context), 0, device),
        cuda.cuMemAlloc_v2(ctypes.byref(pointer), ctypes.c_size_t(1 << 20)),
    ]
"""
    limits = Limits(wall_s=60.0, memory_mb=4096, gpus=1)
    device = NvmlDevices().all()[0]
    slot = await sandbox.open_slot(0, limits, Resources(gpus=(device,)))
    try:
        reply = await call(slot, source, limits)
    finally:
        await slot.aclose()
    assert reply.outcome is Outcome.OK, reply.message
    assert reply.value == [0, 0, 1, 0, 0, 0]


async def call(slot: Slot, source: str, limits: Limits = LIMITS) -> Reply:
    async with slot.session(Job(Program({"p.py": source}), "solve", limits)) as session:
        return await session.call({})
