"""What slots get of a machine, and that two runs never get the same."""

from __future__ import annotations

import os
from pathlib import Path

import anyio
import pytest

from evolve.config.models import PoolConfig
from evolve.core.errors import ConfigError, PrerequisiteError
from evolve.core.limits import Limits
from evolve.core.resources import Resources
from evolve.pool import allot
from evolve.pool.allot import Need, allotted
from evolve.pool.cpus import Cpu, slow_governors
from evolve.pool.devices import DeviceState
from evolve.pool.local import LocalPool
from tests.fakes import InProcessSandbox
from tests.pool.fake_devices import FakeDevices, gpu

AUTO = PoolConfig()


@pytest.fixture
def anyio_backend(virtual_time: object) -> object:
    return virtual_time


def need(slots: int = 1, *, timed: bool = False, **limits: float) -> Need:
    return Need(slots, Limits(**limits), timed=timed)  # type: ignore[arg-type] # by name, as given


@pytest.fixture
def eight_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    """Four cores of two threads; the affinity of this process is another matter."""
    cpus = [Cpu(0, number % 4, number) for number in range(8)]
    monkeypatch.setattr(allot, "usable_cpus", lambda: sorted(cpus))
    monkeypatch.setattr(allot, "slow_governors", lambda cpus: [])


def cpus_of(resources: tuple[Resources, ...]) -> list[tuple[int, ...]]:
    return [each.cpus for each in resources]


def test_slots_are_pinned_when_the_problem_is_timed_or_when_told(
    tmp_path: Path, eight_threads: None
) -> None:
    with allotted(need(2), AUTO, tmp_path) as got:
        assert cpus_of(got.resources) == [(), ()]
    with allotted(need(2, timed=True), AUTO, tmp_path) as got:
        assert cpus_of(got.resources) == [(0,), (1,)]
        assert got.notes == ()
    with allotted(need(2), PoolConfig(pin_cpus=True), tmp_path) as got:
        assert cpus_of(got.resources) == [(0,), (1,)]
    with allotted(need(9, timed=True), PoolConfig(pin_cpus=False), tmp_path) as got:
        assert cpus_of(got.resources) == [()] * 9


def test_two_runs_of_one_machine_get_different_cores(tmp_path: Path, eight_threads: None) -> None:
    with (
        allotted(need(2, timed=True), AUTO, tmp_path) as mine,
        allotted(need(2, timed=True), AUTO, tmp_path) as other,
    ):
        assert cpus_of(mine.resources) == [(0,), (1,)]
        assert cpus_of(other.resources) == [(2,), (3,)]
        with (
            pytest.raises(PrerequisiteError, match="0 CPUs are free"),
            allotted(need(1, timed=True), AUTO, tmp_path),
        ):
            pytest.fail("a third run got CPUs")


def test_a_refused_run_leaves_no_claim(tmp_path: Path, eight_threads: None) -> None:
    with (
        pytest.raises(PrerequisiteError, match="enough for 8 slots"),
        allotted(need(9, timed=True), AUTO, tmp_path),
    ):
        pytest.fail("nine slots on eight CPUs")
    with allotted(need(8, timed=True), AUTO, tmp_path) as got:
        assert len(got.resources) == 8
        assert "slots share CPU cores" in got.notes[0]
        assert "no CPU is left" in got.notes[1]


def test_while_slots_are_pinned_the_engine_is_elsewhere(tmp_path: Path) -> None:
    before = os.sched_getaffinity(0)
    with allotted(need(1, timed=True), AUTO, tmp_path) as got:
        rest = before - set(got.resources[0].cpus)
        assert os.sched_getaffinity(0) == (rest or before)
    assert os.sched_getaffinity(0) == before


FOUR = [gpu(number) for number in range(4)]


@pytest.fixture
def devices(monkeypatch: pytest.MonkeyPatch) -> FakeDevices:
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    return FakeDevices(list(FOUR))


def lent(wanted: Need, devices: FakeDevices, folder: Path, **pool: object) -> list[list[int]]:
    """Return the numbers of the devices that slots get."""
    config = PoolConfig.model_validate(pool)
    with allotted(wanted, config, folder, lambda: devices) as got:
        assert got.guard(0) is not None
        return [[device.gpu for device in slot.gpus] for slot in got.resources]


def test_slots_get_devices_of_their_own(
    tmp_path: Path, devices: FakeDevices, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert lent(need(2, gpus=2), devices, tmp_path) == [[0, 1], [2, 3]]
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3,1")
    assert lent(need(2, gpus=1), devices, tmp_path) == [[3], [1]]
    assert lent(need(4, gpus=1), devices, tmp_path, gpu_slots=2) == [[3], [1], [3], [1]]
    with pytest.raises(PrerequisiteError, match=r"enough for 2 slots.*4 .* 2 are hidden"):
        lent(need(3, gpus=1), devices, tmp_path)


def test_without_gpus_there_is_nothing_to_guard_or_to_look_for(tmp_path: Path) -> None:
    def look() -> FakeDevices:
        raise AssertionError

    with allotted(need(), AUTO, tmp_path, look) as got:
        assert got.guard(0) is None


def test_two_runs_of_one_machine_get_different_devices(
    tmp_path: Path, devices: FakeDevices
) -> None:
    with allotted(need(3, gpus=1), AUTO, tmp_path, lambda: devices):
        assert lent(need(1, gpus=1), devices, tmp_path) == [[3]]
        with pytest.raises(PrerequisiteError, match="3 lent to other runs"):
            lent(need(2, gpus=1), devices, tmp_path)
    assert lent(need(4, gpus=1), devices, tmp_path) == [[0], [1], [2], [3]]


def test_devices_that_others_use_are_lent_last_and_never_for_timings(
    tmp_path: Path, devices: FakeDevices
) -> None:
    devices.states[FOUR[0].id] = DeviceState(1 << 30, frozenset({77}))
    assert lent(need(4, gpus=1), devices, tmp_path) == [[1], [2], [3], [0]]
    timed = PoolConfig(pin_cpus=False)
    with allotted(need(3, timed=True, gpus=1), timed, tmp_path, lambda: devices) as got:
        assert [slot.gpus[0].gpu for slot in got.resources] == [1, 2, 3]
    with (
        pytest.raises(PrerequisiteError, match=r"others compute on GPU-00000000.*processes \[77\]"),
        allotted(need(4, timed=True, gpus=1), timed, tmp_path, lambda: devices),
    ):
        pytest.fail("a timed program beside a stranger")


def test_what_contradicts_sharing_is_refused(tmp_path: Path, devices: FakeDevices) -> None:
    with pytest.raises(ConfigError, match="never share a GPU"):
        lent(need(1, timed=True, gpus=1), devices, tmp_path, gpu_slots=2)
    with pytest.raises(ConfigError, match="whose memory it is"):
        lent(need(1, gpus=1, gpu_memory_mb=100), devices, tmp_path, gpu_slots=2)


def test_a_machine_without_gpus_is_told_so_with_the_way_out(tmp_path: Path) -> None:
    def find() -> FakeDevices:
        raise PrerequisiteError("no NVIDIA driver answers on this machine (Driver Not Loaded)")

    with (
        pytest.raises(PrerequisiteError, match=r"needs GPUs \(`limits: {gpus: 2}`\): no NVIDIA"),
        allotted(need(gpus=2), AUTO, tmp_path, find),
    ):
        pytest.fail("devices from nowhere")


@pytest.mark.anyio
async def test_exclusive_runs_take_turns_on_the_whole_machine(tmp_path: Path) -> None:
    running, most = 0, 0

    async def evaluate(pool: LocalPool) -> None:
        nonlocal running, most
        async with pool.lease():
            running += 1
            most = max(most, running)
            await anyio.sleep(0.005)
            running -= 1

    async def run(config: PoolConfig) -> int:
        nonlocal most
        most = 0
        with (
            allotted(need(2), config, tmp_path) as mine,
            allotted(need(2), config, tmp_path) as theirs,
        ):
            pools = [
                LocalPool(InProcessSandbox(), 2, Limits(), allotment=allotment)
                for allotment in (mine, theirs)
            ]
            async with pools[0], pools[1], anyio.create_task_group() as group:
                for pool in pools * 6:
                    group.start_soon(evaluate, pool)
        return most

    assert await run(AUTO) == 4
    assert await run(PoolConfig(exclusive=True)) == 1


def test_governors_that_change_frequencies_are_named(tmp_path: Path) -> None:
    for number, governor in enumerate(("performance", "schedutil")):
        folder = tmp_path / f"cpu{number}" / "cpufreq"
        folder.mkdir(parents=True)
        (folder / "scaling_governor").write_text(f"{governor}\n")
    assert slow_governors([0, 7], tmp_path) == []
    assert "governor schedutil, so timings vary" in slow_governors([0, 1], tmp_path)[0]
