"""Which devices may be lent, and which slot gets which."""

from __future__ import annotations

from collections import Counter
from itertools import chain

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evolve.core.errors import PrerequisiteError
from evolve.core.resources import Device
from evolve.pool.devices import assign_devices, visible
from tests.pool.fake_devices import gpu, instance

FOUR = [gpu(number) for number in range(4)]
PARTED = [gpu(0), instance(1, 0), instance(1, 1), gpu(2)]


@pytest.mark.parametrize(
    ("variable", "expected"),
    [
        (None, [0, 1, 2, 3]),
        ("", []),
        ("-1", []),
        ("none", []),
        ("2", [2]),
        ("3, 1", [3, 1]),
        ("1,1", [1]),
        ("0,-1,2", [0]),
        ("0,7,2", [0]),
        ("GPU-00000002", [2]),
        ("GPU-00000002-aaaa,0", [2, 0]),
        ("GPU-9", []),
    ],
)
def test_only_what_the_user_made_visible_is_lent(variable: str | None, expected: list[int]) -> None:
    environment = {} if variable is None else {"CUDA_VISIBLE_DEVICES": variable}
    assert visible(FOUR, environment) == [FOUR[number] for number in expected]


def test_instances_are_named_by_id_or_by_the_number_of_their_gpu() -> None:
    assert visible(PARTED, {"CUDA_VISIBLE_DEVICES": "1"}) == PARTED[1:3]
    assert visible(PARTED, {"CUDA_VISIBLE_DEVICES": "MIG-11,0"}) == [PARTED[2], PARTED[0]]


def test_numbers_mean_nothing_where_gpus_differ_unless_the_order_is_said() -> None:
    mixed = [gpu(0, "A100"), gpu(1, "H100")]
    with pytest.raises(PrerequisiteError, match=r"CUDA_DEVICE_ORDER=PCI_BUS_ID.*GPU-00000000-aaaa"):
        visible(mixed, {"CUDA_VISIBLE_DEVICES": "1"})
    ordered = {"CUDA_VISIBLE_DEVICES": "1", "CUDA_DEVICE_ORDER": "PCI_BUS_ID"}
    assert visible(mixed, ordered) == [mixed[1]]
    assert visible(mixed, {"CUDA_VISIBLE_DEVICES": "GPU-00000001"}) == [mixed[1]]


def test_each_slot_gets_devices_of_its_own() -> None:
    assert assign_devices(FOUR, 4, 1) == [(device,) for device in FOUR]
    assert assign_devices(FOUR, 2, 2) == [(FOUR[0], FOUR[1]), (FOUR[2], FOUR[3])]
    assert assign_devices(PARTED, 3, 1) == [(PARTED[0],), (PARTED[1],), (PARTED[2],)]


def test_shared_devices_are_shared_evenly() -> None:
    given = assign_devices(FOUR[:2], 4, 1, sharing=2)
    assert given == [(FOUR[0],), (FOUR[1],), (FOUR[0],), (FOUR[1],)]


@pytest.mark.parametrize(
    ("devices", "slots", "each", "message"),
    [
        (FOUR[:2], 3, 1, r"3 slots .* 2 GPUs can be lent .*H100, 80 GiB.*enough for 2 slots"),
        (FOUR[:3], 2, 2, r"3 GPUs that are not partitioned .*enough for 1 slots. Set `slots: 1`"),
        ([], 1, 1, r"0 GPUs can be lent \(none\), enough for 0 slots. Set `gpus` in problem.yaml"),
        (PARTED[1:3], 1, 2, r"0 GPUs that are not partitioned can be lent"),
    ],
)
def test_too_few_devices_are_refused_with_the_number_of_slots_that_fit(
    devices: list[Device], slots: int, each: int, message: str
) -> None:
    with pytest.raises(PrerequisiteError, match=message):
        assign_devices(devices, slots, each)


@given(st.integers(1, 8), st.integers(1, 12), st.integers(1, 4), st.integers(1, 3))
def test_no_device_is_lent_too_often_and_none_twice_to_a_slot(
    count: int, slots: int, each: int, sharing: int
) -> None:
    devices = [gpu(number) for number in range(count)]
    if each > count or slots * each > count * sharing:
        with pytest.raises(PrerequisiteError):
            assign_devices(devices, slots, each, sharing)
        return
    lent = assign_devices(devices, slots, each, sharing)
    assert [len(set(slot)) for slot in lent] == [each] * slots
    assert max(Counter(chain.from_iterable(lent)).values()) <= sharing
