"""Hostile programs lose their own evaluation and nothing else.

For each: it ends as expected and is contained; the next honest program in the same slot is
unaffected; nothing is left for that program to find.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from evolve.core.evaluation import Outcome
from evolve.core.program import Program
from evolve.sandbox.base import Job, Report, Sandbox, Slot
from tests.attacks.conftest import LIMITS, Secrets
from tests.attacks.forgery import FORGERY
from tests.attacks.intrusion import INTRUSION
from tests.attacks.resources import RESOURCES

pytestmark = pytest.mark.anyio

ATTACKS = RESOURCES | INTRUSION | FORGERY

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


async def run(slot: Slot, source: str, **limits: Any) -> tuple[Any, Report]:
    job = Job(Program({"program.py": source}), "solve", replace(LIMITS, **limits))
    async with slot.session(job) as session:
        reply = await session.call({})
    return reply, session.report


@pytest.mark.parametrize("name", ATTACKS)
async def test_attack(name: str, sandbox: Sandbox, slot: Slot, secrets: Secrets) -> None:
    isolation = sandbox.provenance()["isolation"]
    own_files = sandbox.name == "docker" or "namespaces" in isolation
    own_user = sandbox.name == "docker" or "users" in isolation
    if name in INTRUSION and not (own_files and own_user):
        pytest.skip("the process sandbox promises no such isolation to an ordinary user")
    attack = ATTACKS[name]

    source = attack.program.replace("SECRET_PORT", str(secrets.port))
    reply, report = await run(slot, source, **attack.limits)
    assert reply.outcome in attack.outcomes, reply.message
    if reply.outcome is Outcome.OK:
        assert reply.value == attack.value
    assert secrets.answer not in f"{reply} {report}"

    reply, _ = await run(slot, HONEST.replace("ISOLATED", str(own_files)))
    assert reply.outcome is Outcome.OK, reply.message
    assert reply.value == {"product": 42, "left": []}


def test_there_are_enough_of_them() -> None:
    assert len(ATTACKS) >= 40
