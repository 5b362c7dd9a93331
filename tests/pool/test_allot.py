"""What slots get of a machine, and that two runs never get the same."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from evolve.config.models import PoolConfig
from evolve.core.errors import PrerequisiteError
from evolve.core.limits import Limits
from evolve.core.resources import Resources
from evolve.pool import allot
from evolve.pool.allot import Need, allotted
from evolve.pool.cpus import Cpu

AUTO = PoolConfig()


def need(slots: int = 1, *, timed: bool = False, **limits: float) -> Need:
    return Need(slots, Limits(**limits), timed=timed)  # type: ignore[arg-type] # by name, as given


@pytest.fixture
def eight_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    """Four cores of two threads; the affinity of this process is another matter."""
    cpus = [Cpu(0, number % 4, number) for number in range(8)]
    monkeypatch.setattr(allot, "usable_cpus", lambda: sorted(cpus))


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


def test_devices_are_refused_with_the_way_out(tmp_path: Path) -> None:
    with (
        pytest.raises(PrerequisiteError, match="gpus: 0"),
        allotted(need(gpus=1), AUTO, tmp_path),
    ):
        pytest.fail("devices from nowhere")
