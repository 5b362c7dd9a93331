"""What is said of a cluster that has no room."""

from __future__ import annotations

from evolve.pool.ray.shortage import SAY_S, Waited, shortage, wanted

SLOT = {"num_cpus": 2, "num_gpus": 0.5, "memory": 1 << 30, "resources": {"a100": 1}}
NODE = {"CPU": 8.0, "GPU": 1.0, "memory": 4.0 * 2**30, "a100": 1.0}


def test_what_a_slot_reserves_is_named_as_nodes_name_it() -> None:
    assert wanted(SLOT) == {"CPU": 2, "GPU": 0.5, "memory": 1 << 30, "a100": 1}
    assert wanted({"num_cpus": 1, "num_gpus": 0}) == {"CPU": 1}


def test_a_slot_that_no_node_can_hold_is_told_from_one_that_has_to_wait() -> None:
    small = {"resources": {**NODE, "GPU": 0.0, "memory": 2.0**29}}
    told = shortage(SLOT, {"nodes": [small, {"resources": {"CPU": 64.0}}]})
    assert told == (
        "no node of 2 is large enough for a slot (CPU 2, GPU 0.5, memory 1.0 GiB, a100 1); at most "
        "there is CPU 64, GPU 0, memory 0.5 GiB, a100 1. Ask for less (`pool.resources`, `limits` "
        "in problem.yaml) or add a node"
    )
    told = shortage(SLOT, {"nodes": [small, {"resources": NODE}]})
    assert told == (
        "a slot takes CPU 2, GPU 0.5, memory 1.0 GiB, a100 1; the 2 nodes there are have room for "
        "1 in all"
    )
    assert shortage(SLOT, {"nodes": []}) == "the cluster has no node"


def test_waiting_is_told_at_growing_intervals_and_has_an_end() -> None:
    waited = Waited(100.0)
    told = [at for at in range(101) if waited.look(0, 1000.0 + at)]
    assert told == [SAY_S, 2 * SAY_S, 4 * SAY_S, 8 * SAY_S]
    assert (waited.over, waited.left_s) == (False, 0)
    waited.look(0, 1101.0)
    assert (waited.over, waited.none_s) == (True, 101)


def test_a_slot_ends_the_waiting() -> None:
    waited = Waited(100.0)
    waited.look(0, 0.0)
    waited.look(0, 99.0)
    assert not waited.look(2, 102.0)
    assert (waited.over, waited.left_s) == (False, 100)
    assert not waited.look(0, 102.0 + SAY_S / 2)
    assert waited.look(0, 102.0 + SAY_S)


def test_slots_have_some_time_to_start_before_anything_is_said() -> None:
    early, late = Waited(100.0), Waited(100.0)
    early.look(1, 0.0)
    for at in (0.0, SAY_S):
        late.look(1, at)
    assert (early.settled, late.settled) == (False, True)
