"""The counters of a cgroup, read from a folder tree that looks like one."""

from __future__ import annotations

from pathlib import Path

import pytest

from evolve.sandbox.inside import processes
from evolve.sandbox.inside.meters import has_cgroup, meter
from evolve.sandbox.inside.template import Fork

TREE, FORK = processes.Tree(1, template=0, uid=1), Fork(1)
#: As Linux writes them; the lines that are not asked for come first.
UNIFIED = {
    "cgroup.controllers": "cpu memory pids\n",
    "cpu.stat": "user_usec 1\nusage_usec {cpu_us}\nsystem_usec 2\n",
    "memory.events": "low 0\nhigh 3\nmax 9\noom 4\noom_kill {kills}\noom_group_kill 5\n",
    "pids.events": "max {refused}\n",
    "memory.stat": "anon 1000\nfile 5000\nshmem {shared}\n",
}
VERSION_1 = {
    "{cpu}/cpuacct.usage": "{cpu_ns}\n",
    "memory/memory.oom_control": "oom_kill_disable 0\nunder_oom 0\noom_kill {kills}\n",
    "pids/pids.events": "max {refused}\n",
    "memory/memory.stat": "cache 5000\nrss 1\ntotal_rss 1000\ntotal_shmem {shared}\n",
}


def write(root: Path, files: dict[str, str], cpu_s: float, kills: int, refused: int) -> None:
    values = {"cpu_us": int(cpu_s * 1e6), "cpu_ns": int(cpu_s * 1e9), "shared": 100 * kills}
    for name, text in files.items():
        path = root / name.format(cpu="cpu,cpuacct")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text.format(kills=kills, refused=refused, **values))


@pytest.mark.parametrize("files", [UNIFIED, VERSION_1], ids=["version 2", "version 1"])
def test_counters_of_a_cgroup_start_at_nothing_with_every_session(
    tmp_path: Path, files: dict[str, str]
) -> None:
    write(tmp_path, files, cpu_s=100.0, kills=7, refused=3)
    assert has_cgroup(tmp_path)
    counters = meter(cgroup=True, root=tmp_path)
    counters.start(TREE, FORK)
    assert (counters.memory_kills(), counters.forks_refused()) == (False, False)
    assert (counters.cpu_ns(), counters.memory_bytes()) == (0, 0)

    write(tmp_path, files, cpu_s=102.5, kills=8, refused=4)
    assert (counters.memory_kills(), counters.forks_refused()) == (True, True)
    assert 2_000_000_000 < counters.cpu_ns() <= 2_500_000_000  # less the supervisor's own
    assert counters.memory_bytes() == 100

    counters.start(TREE, FORK)
    assert (counters.memory_kills(), counters.forks_refused()) == (False, False)
    assert (counters.cpu_ns(), counters.memory_bytes()) == (0, 0)


@pytest.mark.parametrize("missing", ["cpu.stat", "memory.events", "pids.events"])
def test_a_cgroup_without_every_controller_is_not_relied_upon(tmp_path: Path, missing: str) -> None:
    write(tmp_path, UNIFIED, cpu_s=1.0, kills=0, refused=0)
    (tmp_path / missing).unlink()
    assert not has_cgroup(tmp_path)
