"""A pinned slot's programs run on its CPUs, with as many threads, and cannot move elsewhere."""

from __future__ import annotations

import os

import pytest

from evolve.core.limits import Limits
from evolve.core.program import Program
from evolve.core.resources import Resources
from evolve.sandbox.base import Job, Sandbox

pytestmark = pytest.mark.anyio

LIMITS = Limits(wall_s=10.0, memory_mb=128)
SOURCE = """
import os

def solve():
    try:
        os.sched_setaffinity(0, range(os.cpu_count()))
    except OSError:
        pass
    return {"cpus": sorted(os.sched_getaffinity(0)), "threads": os.environ["OMP_NUM_THREADS"]}
"""


@pytest.mark.parametrize("many", [False, True])
async def test_programs_keep_to_the_cpus_of_their_slot(sandbox: Sandbox, many: bool) -> None:
    usable = sorted(os.sched_getaffinity(0))
    cpus = tuple(usable if many else usable[-1:])
    slot = await sandbox.open_slot(0, LIMITS, Resources(cpus=cpus))
    try:
        async with slot.session(Job(Program({"p.py": SOURCE}), "solve", LIMITS)) as session:
            reply = await session.call({})
    finally:
        await slot.aclose()
    assert reply.value == {"cpus": list(cpus), "threads": str(len(cpus))}, reply
