"""A run outlives its Docker engine: killed and started again in mid-run, with a private engine."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from evolve.sandbox.reaper import LABEL

pytestmark = [pytest.mark.docker, pytest.mark.slow, pytest.mark.timeout(400)]

EVALUATIONS = 120
CONFIG = f"""\
problem: ./problem
slots: 2
sandbox: {{kind: docker}}
proposers: [{{kind: genetic}}]
stop: {{evaluations: {EVALUATIONS}}}
"""
PROBLEM = """\
title: Ten
seed_program: seed.py
entrypoint: solve
evaluator: ./evaluate.py:Ten
objective: {name: closeness, direction: maximize}
measures: [{name: code_length, low: 0, high: 400}]
limits: {wall_s: 5, memory_mb: 128}
"""
SEED = """\
def solve(x: float) -> float:
    # EVOLVE-BLOCK-START
    return x + 1.0
    # EVOLVE-BLOCK-END
"""
EVALUATOR = """\
import time
from evolve import Case, Evaluator, Invalid, Score

class Ten(Evaluator):
    def cases(self, stage):
        return [Case({"x": 2.0})] if stage == "search" else []

    def score(self, case, output, usage):
        time.sleep(0.12)
        if not isinstance(output, (int, float)):
            raise Invalid("not a number")
        return Score(-min(abs(output - 10.0), 1e6))
"""


class PrivateEngine:
    """A Docker engine of our own, which may be killed."""

    def __init__(self, *, live_restore: bool) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="engine-"))
        self._config = self._folder / "config.json"
        self._config.write_text(json.dumps({"live-restore": live_restore}))
        self.host = f"unix://{self._folder}/s"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        deadline = time.monotonic() + 150
        while self.docker("version", check=False).returncode:
            assert time.monotonic() < deadline, (self._folder / "log").read_text()[-2000:]
            if self._process is None or self._process.poll() is not None:
                self._spawn()  # again, when a busy machine was too slow for its containerd
            time.sleep(0.1)

    def _spawn(self) -> None:
        folder = self._folder
        with (folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [
                    *("dockerd", "--iptables=false", "--ip6tables=false", "--bridge=none"),
                    *("--config-file", self._config, "--data-root", folder / "data"),
                    *("--exec-root", folder / "exec", "-p", folder / "pid", "-H", self.host),
                ],
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def kill(self) -> None:
        assert self._process is not None
        self._process.kill()
        self._process.wait()

    def docker(self, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["docker", "-H", self.host, *arguments], capture_output=True, text=True, check=check
        )

    def containers(self) -> list[str]:
        listed = self.docker("ps", "-aq", "--filter", f"label={LABEL}").stdout
        return listed.split()

    def slots(self, run: str) -> list[str]:
        """Return the numbers of the slots that containers of a run say they are."""
        mine = f"label=evolve.run={run}"
        listed = self.docker("ps", "--filter", mine, "--format", '{{.Label "evolve.slot"}}').stdout
        return sorted(listed.split())

    def remove(self) -> None:
        if self._process is not None and self._process.poll() is None:
            self._process.terminate()
            self._process.wait()
        # What a killed engine started is not its child any more.
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit():
                try:
                    mine = str(self._folder).encode() in (entry / "cmdline").read_bytes()
                except OSError:
                    continue
                if mine:
                    os.kill(int(entry.name), signal.SIGKILL)
        mounts = Path("/proc/self/mounts").read_text().splitlines()
        for point in reversed([line.split()[1] for line in mounts]):
            if point.startswith(str(self._folder)):
                subprocess.run(["umount", "-l", point], check=False)
        shutil.rmtree(self._folder, ignore_errors=True)


@pytest.fixture(params=[True, False], ids=["with live-restore", "without"])
def engine(request: pytest.FixtureRequest) -> Iterator[PrivateEngine]:
    if not shutil.which("dockerd") or os.getuid():
        pytest.skip("needs dockerd, and root to start it")
    private = PrivateEngine(live_restore=request.param)
    try:
        private.start()
        yield private
    finally:
        private.remove()


def test_a_run_outlives_its_engine(engine: PrivateEngine, tmp_path: Path) -> None:
    folder = tmp_path / "problem"
    folder.mkdir()
    (tmp_path / "run.yaml").write_text(CONFIG)
    for name, text in (
        ("problem.yaml", PROBLEM),
        ("seed.py", SEED),
        ("evaluate.py", EVALUATOR),
        ("prompt.md", "Return ten.\n"),
    ):
        (folder / name).write_text(text)
    command = [
        str(Path(sys.executable).with_name("evolve")),
        *("run", "run.yaml", "--db", "run.db", "--json"),
    ]
    events: list[dict[str, Any]] = []
    with subprocess.Popen(
        command,
        cwd=tmp_path,
        env=dict(os.environ, DOCKER_HOST=engine.host),
        stdout=subprocess.PIPE,
        text=True,
    ) as run:
        assert run.stdout is not None
        for line in run.stdout:
            events.append(json.loads(line))
            if len(evaluated(events)) == 5 and events[-1]["event"] == "ProgramEvaluated":
                assert engine.slots("run") == ["0", "1"]
            if len(evaluated(events)) == 20 and events[-1]["event"] == "ProgramEvaluated":
                engine.kill()
                time.sleep(1.0)
                engine.start()
        assert run.wait() == 0, events[-5:]
    programs = evaluated(events)
    assert len(programs) == EVALUATIONS
    assert len({event["program_id"] for event in programs}) == EVALUATIONS
    assert [event for event in programs if event["outcome"] == "infrastructure"] == []
    assert events[-1]["status"] == "finished"
    deadline = time.monotonic() + 60
    while engine.containers() and time.monotonic() < deadline:
        time.sleep(0.2)
    assert engine.containers() == []


def evaluated(events: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [event for event in events if event["event"] == "ProgramEvaluated"]
