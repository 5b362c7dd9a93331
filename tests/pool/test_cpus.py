"""Which slot gets which CPUs: cores of its own where there are enough, a clear refusal else."""

from __future__ import annotations

import os
from itertools import chain
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evolve.core.errors import PrerequisiteError
from evolve.core.resources import ranges
from evolve.pool.cpus import Cpu, assign_cpus, cores, keeping_off, share_cores, usable_cpus


def machine(packages: int, cores_each: int, threads: int) -> list[Cpu]:
    """Return CPUs numbered as Linux does on x86: all first threads, then all second ones."""
    places = [(package, core) for package in range(packages) for core in range(cores_each)]
    numbered = enumerate(chain.from_iterable([places] * threads))
    return sorted(Cpu(package, core, number) for number, (package, core) in numbered)


def test_siblings_of_a_core_go_to_the_same_slot() -> None:
    assert cores(machine(1, 4, 2)) == [(0, 4), (1, 5), (2, 6), (3, 7)]
    assert assign_cpus(machine(1, 4, 2), 2, 2) == [(0, 4), (1, 5)]
    assert assign_cpus(machine(1, 4, 2), 2, 4) == [(0, 4, 1, 5), (2, 6, 3, 7)]


def test_where_cores_suffice_no_two_slots_share_one() -> None:
    given = assign_cpus(machine(1, 4, 2), 4, 1)
    assert given == [(0,), (1,), (2,), (3,)]
    assert not share_cores(machine(1, 4, 2), given)
    odd = assign_cpus(machine(1, 4, 2), 2, 3)
    assert odd == [(0, 4, 1), (2, 6, 3)]


def test_where_cores_do_not_suffice_slots_meet_within_one() -> None:
    given = assign_cpus(machine(1, 2, 2), 4, 1)
    assert given == [(0,), (2,), (1,), (3,)]
    assert share_cores(machine(1, 2, 2), given)


def test_a_slot_stays_within_a_socket_where_it_can() -> None:
    assert assign_cpus(machine(2, 2, 1), 2, 2) == [(0, 1), (2, 3)]


def test_too_few_cpus_are_refused_with_the_number_of_slots_that_fit() -> None:
    with pytest.raises(PrerequisiteError, match=r"4 CPUs are free \(0-3\), enough for 1 slots"):
        assign_cpus(machine(1, 4, 1), 2, 2.5)
    with pytest.raises(PrerequisiteError, match=r"0 CPUs are free \(none\), enough for 0 slots"):
        assign_cpus([], 1, 1)


@given(
    st.integers(1, 2), st.integers(1, 8), st.integers(1, 2), st.integers(1, 8), st.integers(1, 5)
)
def test_cpus_are_given_once_and_only_real_ones(
    packages: int, cores_each: int, threads: int, slots: int, each: int
) -> None:
    cpus = machine(packages, cores_each, threads)
    if slots * each > len(cpus):
        return
    given = list(chain.from_iterable(assign_cpus(cpus, slots, each)))
    assert len(given) == len(set(given)) == slots * each
    assert set(given) <= {cpu.number for cpu in cpus}


def test_the_topology_is_the_kernels(tmp_path: Path) -> None:
    for number, (package, core) in {0: (0, 0), 1: (0, 1), 2: (0, 0), 5: (1, 0)}.items():
        folder = tmp_path / f"cpu{number}" / "topology"
        folder.mkdir(parents=True)
        (folder / "physical_package_id").write_text(f"{package}\n")
        (folder / "core_id").write_text(f"{core}\n")
    found = usable_cpus(tmp_path, {0, 1, 2, 5, 9})
    assert cores(found) == [(0, 2), (1,), (9,), (5,)], "an unknown place is a core of its own"


def test_only_cpus_of_this_process_are_used() -> None:
    assert {cpu.number for cpu in usable_cpus()} == os.sched_getaffinity(0)


def test_the_engine_keeps_off_the_cpus_of_slots_and_comes_back() -> None:
    before = os.sched_getaffinity(0)
    with keeping_off(sorted(before)):
        assert os.sched_getaffinity(0) == before, "where none is left, all are shared"
    if len(before) > 1:
        taken = min(before)
        with keeping_off([taken]):
            assert os.sched_getaffinity(0) == before - {taken}
    assert os.sched_getaffinity(0) == before


def test_cpu_lists_read_as_the_kernel_writes_them() -> None:
    assert ranges([3, 0, 1, 2, 8, 10, 11]) == "0-3,8,10-11"
    assert ranges([]) == ""
