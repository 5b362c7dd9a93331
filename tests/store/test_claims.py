from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from evolve.core.errors import RunLocked, StoreError
from evolve.store.process import is_dead, this_process
from evolve.store.reader import Reader
from evolve.store.store import Store, open_store
from tests.store.samples import Clock, failed, new_run, program

CLAIM = """
import sys, time
from evolve.store.store import open_store
open_store(sys.argv[1]).claim(int(sys.argv[2]), "child:1", ttl_s=1000)
print("claimed", flush=True)
time.sleep(60)
"""


def test_a_second_writer_is_refused_and_told_who_the_first_is(
    url: str, store: Store, run_id: int, clock: Clock
) -> None:
    clock.now += 12
    with open_store(url, clock=clock) as second:
        with pytest.raises(RunLocked, match=r"run 1 is being written by here:1") as refused:
            second.claim(run_id, "there:2")
        assert refused.value.holder == "here:1"
        other = second.create_run(new_run()).id
        second.claim(other, "there:2")
    store.heartbeat(run_id)


def test_a_claim_lives_as_long_as_it_is_renewed(
    url: str, store: Store, run_id: int, clock: Clock
) -> None:
    clock.now += 29
    store.heartbeat(run_id)
    clock.now += 29
    with open_store(url, clock=clock) as second:
        with pytest.raises(RunLocked):
            second.claim(run_id, "there:2")
        clock.now += 2
        second.claim(run_id, "there:2")
        with pytest.raises(RunLocked, match="taken over by there:2"):
            store.heartbeat(run_id)
        assert second.run(run_id).live
        with pytest.raises(RunLocked, match="taken over by there:2"):
            store.release(run_id, "finished", "evaluations")
        assert second.run(run_id).status == "running"


def test_who_was_away_while_another_took_the_run_writes_nothing(
    url: str, store: Store, run_id: int, clock: Clock
) -> None:
    clock.now += 31
    store.add_program(run_id, program(1), operator="seed")
    with open_store(url, clock=clock) as second:
        second.claim(run_id, "there:2")
        with pytest.raises(RunLocked, match="taken over by there:2"):
            store.add_program(run_id, program(2), operator="seed")
        assert len(second.recover(run_id).pending) == 1


def test_a_released_run_can_be_claimed_at_once(url: str, store: Store, run_id: int) -> None:
    store.release(run_id, "interrupted", "Ctrl-C")
    run = store.run(run_id)
    assert (run.status, run.reason, run.live) == ("interrupted", "Ctrl-C", False)
    assert run.ended_at is not None
    with open_store(url) as second:
        second.claim(run_id, "there:2")
        run = second.run(run_id)
        assert (run.status, run.holder, run.ended_at) == ("running", "there:2", None)


def test_closing_a_store_releases_its_runs(url: str) -> None:
    with open_store(url) as store:
        run = store.create_run(new_run()).id
        store.claim(run, "here:1")
    with open_store(url) as store:
        assert store.run(run).status == "interrupted"


def test_the_claim_of_a_killed_process_is_taken_over_at_once(url: str) -> None:
    with open_store(url) as store:
        run = store.create_run(new_run()).id
        with subprocess.Popen(
            [sys.executable, "-c", CLAIM, url, str(run)], stdout=subprocess.PIPE
        ) as child:
            try:
                assert child.stdout is not None
                assert child.stdout.readline() == b"claimed\n"
                with pytest.raises(RunLocked, match="child:1"):
                    store.claim(run, "here:1")
                assert store.run(run).live
            finally:
                child.kill()
            child.wait()
        assert not store.run(run).live, "a reader sees at once that the holder is dead"
        store.claim(run, "here:1")
        assert store.run(run).holder == "here:1"


def test_processes_are_told_apart_by_more_than_their_number() -> None:
    me = this_process()
    place, pid, started = me.rsplit(" ", 2)
    assert int(pid) == os.getpid()
    assert not is_dead(me)
    assert is_dead(f"{place} {pid} {int(started) - 1}"), "the number was used again"
    assert is_dead(f"{place} {2**22 + 1} {started}"), "there is no such process"
    assert not is_dead(f"another-host x y {pid} {int(started) - 1}"), "cannot be seen from here"
    assert not is_dead(f"{place} {pid} ?"), "its start is not known"


def test_a_zombie_is_dead() -> None:
    with subprocess.Popen([sys.executable, "-c", ""]) as child:
        place, _, _ = this_process().rsplit(" ", 2)
        stat = Path(f"/proc/{child.pid}/stat")
        started = stat.read_text().rpartition(")")[2].split()[19]
        for _ in range(6000):
            if stat.read_text().rpartition(")")[2].split()[0] == "Z":
                break
            time.sleep(0.01)
        assert is_dead(f"{place} {child.pid} {started}")


def test_running_seconds_add_up_over_sessions(store: Store, run_id: int) -> None:
    time.sleep(0.05)
    store.heartbeat(run_id)
    first = store.run(run_id).elapsed_s
    assert 0.05 <= first < 60
    store.release(run_id, "interrupted", "")
    second = store.run(run_id).elapsed_s
    assert second >= first
    time.sleep(0.05)
    store.claim(run_id, "here:1")
    assert store.run(run_id).elapsed_s == second, "seconds between sessions do not count"
    time.sleep(0.02)
    store.release(run_id, "finished", "")
    assert store.run(run_id).elapsed_s >= second + 0.02


def test_after_a_crash_the_last_evaluation_knows_the_seconds(
    url: str, store: Store, run_id: int, clock: Clock
) -> None:
    time.sleep(0.02)
    seed = store.add_program(run_id, program(0), operator="seed").id
    store.commit_evaluation(seed, failed(), [])
    assert store.run(run_id).elapsed_s == 0.0, "no heartbeat yet"
    clock.now += 31
    with open_store(url, clock=clock) as second:
        second.claim(run_id, "there:2")
        assert second.run(run_id).elapsed_s >= 0.02


def test_an_unknown_run_cannot_be_claimed(store: Store) -> None:
    with pytest.raises(StoreError, match="no run 9"):
        store.claim(9, "here:1")


def test_readers_see_who_is_alive(store: Store, run_id: int, clock: Clock) -> None:
    reader: Reader = store
    assert reader.run(run_id).live
    clock.now += 31
    assert not reader.run(run_id).live
    assert reader.run(run_id).status == "running", "it never said how it ended"
