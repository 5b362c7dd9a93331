"""Hostile programs lose their own evaluation and nothing else.

For each: it ends as expected and is contained; no score above an honest one comes out; the next
honest program in the same slot is unaffected and finds nothing; no process and no file is left.
"""

from __future__ import annotations

import json
import os
from contextlib import AbstractAsyncContextManager, suppress
from dataclasses import dataclass, replace
from pathlib import Path

import anyio.to_thread
import pytest

from evolve.core.evaluation import Evaluation, Outcome
from evolve.core.limits import Limits
from evolve.core.program import Program
from evolve.evaluate.service import EvaluationService
from evolve.sandbox.base import Job, Sandbox, Session
from evolve.sandbox.docker import DockerHost
from evolve.sandbox.process import ProcessHost
from evolve.sandbox.slot import RunnerSlot
from tests.attacks.catalogue import ANYTHING
from tests.attacks.conftest import LIMITS, Secrets
from tests.attacks.table import ATTACKS, CHAPTERS, KINDS, seen

pytestmark = pytest.mark.anyio

#: An honest program that also looks for what others may have left to it.
HONEST = """
import os
def others():
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            status = open(f"/proc/{pid}/status").read()
        except OSError:
            continue
        uid = int(status.split("Uid:")[1].split()[0])
        if uid and int(pid) not in (1, os.getpid()) and "State:\\tZ" not in status:
            found.append(status.split()[1])
    return found
def solve():
    left = [] if ISOLATED is False else others()
    left += [name for name in os.listdir(".") if name != "program.py"]
    for place in ("/dev/shm", "/dev/mqueue"):
        if ISOLATED and os.path.isdir(place):
            left += os.listdir(place)
    for kind in ("shm", "sem", "msg"):
        if ISOLATED:
            left += open(f"/proc/sysvipc/{kind}").readlines()[1:]
    return {"product": 6 * 7, "left": left}
"""


@dataclass
class _Limited:
    """A slot with the limits of one attack."""

    slot: RunnerSlot
    limits: Limits

    def session(self, job: Job) -> AbstractAsyncContextManager[Session]:
        return self.slot.session(replace(job, limits=self.limits))

    async def aclose(self) -> None:
        pass


def below(pid: int) -> list[int]:
    """Return the processes below one, the dead that nobody has waited for included."""
    found = []
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        with suppress(OSError):  # it has just ended
            for child in task.read_text().split():
                found += [int(child), *below(int(child))]
    return found


async def processes(slot: RunnerSlot) -> list[object]:
    """Return the processes a slot has, seen from outside."""
    host = slot._host
    if isinstance(host, DockerHost):
        container = host._container
        assert container is not None
        return list((await anyio.to_thread.run_sync(container.top))["Processes"])
    assert isinstance(host, ProcessHost)
    assert host._process is not None
    return [host._process.pid, *below(host._process.pid)]


def escaped(secrets: Secrets) -> bool:
    """Return whether code that was to be run outside of the sandbox has left its mark."""
    return secrets.mark.exists()


@pytest.fixture(scope="module")
async def at_rest(slot: RunnerSlot) -> int:
    program = Program({"program.py": "def solve(): return 1"})
    async with slot.session(Job(program, "solve", LIMITS)) as session:
        assert (await session.call({})).value == 1
    return len(await processes(slot))


def note(name: str, kind: str, outcome: Outcome) -> None:
    """Keep what was seen for the table in the documentation, when asked to."""
    if path := os.environ.get("ATTACKS_SEEN"):
        with Path(path).open("a") as file:
            file.write(json.dumps([name, kind, outcome.value]) + "\n")


def check(evaluation: Evaluation, name: str, secrets: Secrets) -> None:
    """Fail when an attack gained anything."""
    attack = ATTACKS[name]
    assert evaluation.outcome in attack.outcomes, evaluation.message
    assert evaluation.outcome is not Outcome.INFRASTRUCTURE
    if evaluation.score is not None:
        assert evaluation.score.objective == 0.0
        if attack.value is not ANYTHING:
            assert evaluation.score.artifacts["output"] == repr(attack.value)
    assert secrets.answer not in repr(evaluation)


@pytest.mark.parametrize("name", ATTACKS)
async def test_attack(
    name: str,
    kind: str,
    sandbox: Sandbox,
    slot: RunnerSlot,
    at_rest: int,
    evaluate: EvaluationService,
    secrets: Secrets,
) -> None:
    isolation = sandbox.provenance()["isolation"]
    own_files = sandbox.name == "docker" or "namespaces" in isolation
    own_user = sandbox.name == "docker" or "users" in isolation
    if name in CHAPTERS["intrusion"] and not (own_files and own_user):
        pytest.skip("the process sandbox promises no such isolation to an ordinary user")

    source = ATTACKS[name].program.replace("SECRET_PORT", str(secrets.port))
    source = source.replace("MARK", str(secrets.mark))
    limited = _Limited(slot, replace(LIMITS, **ATTACKS[name].limits))  # type: ignore[arg-type]
    evaluation = await evaluate(limited, Program({"program.py": source}))
    note(name, kind, evaluation.outcome)
    check(evaluation, name, secrets)

    source = HONEST.replace("ISOLATED", str(own_files))
    evaluation = await evaluate(_Limited(slot, LIMITS), Program({"program.py": source}))
    assert evaluation.score is not None, evaluation.message
    assert evaluation.score.objective == 0.0
    assert evaluation.score.artifacts["output"] == repr({"product": 42, "left": []})
    running = await processes(slot)
    assert len(running) == at_rest, running
    assert not escaped(secrets)


def test_there_are_enough_of_them() -> None:
    assert len(ATTACKS) >= 40


def test_what_the_documentation_says_was_seen_is_allowed_and_complete() -> None:
    recorded = seen()
    assert list(recorded) == list(ATTACKS), "run: python -m tests.attacks.table"
    for name, ended in recorded.items():
        assert list(ended) == list(KINDS), name
        for outcomes in ended.values():
            assert {Outcome(word) for word in outcomes} <= ATTACKS[name].outcomes, name
