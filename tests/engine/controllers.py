"""Several controllers of one run as processes, none of which is too late or does all the work."""

from __future__ import annotations

import time
from contextlib import suppress
from pathlib import Path
from threading import Thread

from evolve.core.errors import StoreError
from evolve.store.reader import open_reader
from tests.command import start

#: Programs that each controller evaluates before any one judges more than the second number.
EACH, MOST = 10, 40
#: Nothing is judged before all controllers are there, and none of them judges all: how quickly a
#: process starts, or the test looks, decides nothing.
TOGETHER = f"""

import os
import time
from pathlib import Path

HERE = Path(__file__).parent
MINE = HERE / f"{{os.getppid()}}.judged"
judge = Parabola.score


def score(self, case, output, usage):
    if case.name in ("x=0", "one"):  # of the search cases, the first
        with MINE.open("a") as file:
            file.write("x")
        for sign in ("begin", "go on") if MINE.stat().st_size > {MOST} else ("begin",):
            while not (HERE / sign).exists():
                time.sleep(0.01)
    return judge(self, case, output, usage)


Parabola.score = score
"""


class Controller:
    """A process that shares a run; what it says is read all the time, or it would have to wait.

    Attributes:
        evaluated: Programs that it has evaluated.
    """

    def __init__(self, folder: Path, *arguments: str | Path) -> None:
        self.process = start(folder, "run", *arguments, "--join", "--json", TEST_KEY="key")
        self.evaluated = 0
        self._errors = ""
        self._readers = [Thread(target=self._count), Thread(target=self._keep)]
        for reader in self._readers:
            reader.start()

    def _count(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.evaluated += '"event": "ProgramEvaluated"' in line

    def _keep(self) -> None:
        assert self.process.stderr is not None
        self._errors = self.process.stderr.read()

    def wait_for(self, evaluations: int) -> None:
        """Wait until it has evaluated so many programs, or has ended."""
        while self.evaluated < evaluations and self.process.poll() is None:
            time.sleep(0.02)

    def end(self, code: int = 0) -> None:
        """Wait for its end."""
        try:
            found = self.process.wait(timeout=1200)
        finally:
            self.process.kill()
        for reader in self._readers:
            reader.join()
        for stream in (self.process.stdout, self.process.stderr):
            assert stream is not None
            stream.close()
        assert found == code, self._errors


def begin(
    problem: Path, config: Path, count: int, db: str, *, kill: bool = False
) -> list[Controller]:
    """Start controllers; return them when each has evaluated some programs, or was killed then.

    Args:
        problem: A folder whose evaluator judges `TOGETHER`.
        config: What they share.
        count: How many there are.
        db: Where.
        kill: Whether the last one is killed: in the midst of a run of more than `MOST` programs
            for each.
    """
    running = [Controller(config.parent, config, "--db", db) for _ in range(count)]
    while here(db) < count:
        assert all(each.process.poll() is None for each in running)
        time.sleep(0.1)
    (problem / "begin").touch()
    for each in running:
        each.wait_for(EACH)
    if kill:
        running[-1].process.kill()
        running.pop().end(-9)
    (problem / "go on").touch()
    return running


def here(db: str) -> int:
    """Return how many controllers have joined; none where there is no database yet."""
    with suppress(StoreError), open_reader(db) as reader:
        return sum(len(reader.controllers(run.id)) for run in reader.runs())
    return 0
