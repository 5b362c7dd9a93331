"""What a slot on a Ray cluster costs beside a slot of the local pool, in one run.

    python benchmarks/ray_pool.py [--slots 1 2 4 8] [--evaluations 100] [--calls 300] [--nap 0.2]

Programs run in the process sandbox on both; the cluster is one node on this machine. For each
number of slots: the time of an evaluation of four quick cases with every slot busy, median and 95th
percentile; then, with one slot, of a call within a long session, as evaluators that drive programs
make them, and of a call with a megabyte of input that is always the same; then, with the most
slots, the share of their time in which programs that sleep for ``--nap`` seconds were running.

``--through-ray`` leaves out the connections that the controller has to slots beside Ray's.
"""

from __future__ import annotations

import argparse
import math
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))

from evolve.core.limits import Limits
from evolve.core.program import Program
from evolve.pool.base import Pool
from evolve.pool.local import LocalPool
from evolve.pool.ray import door
from evolve.pool.ray.blueprint import Blueprint
from evolve.pool.ray.cluster import RayCluster
from evolve.pool.ray.leases import Leases
from evolve.pool.ray.pool import RayPool
from evolve.sandbox.base import Job
from evolve.sandbox.process import ProcessSandbox
from evolve.sandbox.spec import SandboxSpec

LIMITS = Limits(wall_s=60, memory_mb=128)
QUICK = Job(Program({"p.py": "def f(x):\n    return x\n"}), "f", LIMITS)
SIZE = Job(Program({"p.py": "def f(x):\n    return len(x)\n"}), "f", LIMITS)
NAP = Job(Program({"p.py": "import time\ndef f(x):\n    time.sleep(x)\n"}), "f", LIMITS)
CASES = 4


@asynccontextmanager
async def local(slots: int) -> AsyncIterator[Pool]:
    async with LocalPool(ProcessSandbox(), slots, LIMITS) as pool:
        yield pool


@asynccontextmanager
async def on_ray(cluster: RayCluster, leases: Leases, slots: int) -> AsyncIterator[Pool]:
    async with RayPool(cluster, slots, leases) as pool:
        while pool.size < slots:  # noqa: ASYNC110 - slots tell nobody that they are there
            await anyio.sleep(0.05)
        yield pool


async def evaluations(pool: Pool, slots: int, number: int) -> list[float]:
    """Return the seconds of each evaluation, all slots busy."""
    spent: list[float] = []

    async def work() -> None:
        for _ in range(number):
            began = time.perf_counter()
            async with pool.lease() as slot, slot.session(QUICK) as session:
                for case in range(CASES):
                    reply = await session.call({"x": case})
                    assert reply.value == case, reply
            spent.append(time.perf_counter() - began)

    async with anyio.create_task_group() as tasks:
        for _ in range(slots):
            tasks.start_soon(work)
    return spent


async def calls(pool: Pool, number: int, job: Job, value: object) -> float:
    """Return the seconds of a call within a session, the median."""
    spent: list[float] = []
    async with pool.lease() as slot, slot.session(job) as session:
        for _ in range(number + 1):
            began = time.perf_counter()
            await session.call({"x": value})  # type: ignore[dict-item]  # plain data
            spent.append(time.perf_counter() - began)
    return float(np.median(spent[1:]))


async def utilisation(pool: Pool, slots: int, nap_s: float, each: int) -> float:
    """Return the share of the slots' time in which programs were running."""
    ran: list[float] = []

    async def work() -> None:
        for _ in range(each):
            async with pool.lease() as slot, slot.session(NAP) as session:
                reply = await session.call({"x": nap_s})
                ran.append(reply.usage.wall_ns / 1e9)

    began = time.perf_counter()
    async with anyio.create_task_group() as tasks:
        for _ in range(2 * slots):  # somebody always waits for a slot
            tasks.start_soon(work)
    return sum(ran) / (slots * (time.perf_counter() - began))


async def report(kind: str, pool: Pool, slots: int, options: argparse.Namespace) -> None:
    """Measure a pool and print a line for each figure."""
    await evaluations(pool, slots, 5)
    spent = np.array(await evaluations(pool, slots, math.ceil(options.evaluations / slots))) * 1e3
    print(
        f"{kind:5}  {slots} slots  evaluation of {CASES} cases: median {np.median(spent):.1f} ms, "
        f"95 % {np.quantile(spent, 0.95):.1f} ms",
        flush=True,
    )
    if slots == 1:
        small = await calls(pool, options.calls, QUICK, 1)
        large = await calls(pool, options.calls // 10, SIZE, "x" * (1 << 20))
        print(f"{kind:5}  call in a session: {small * 1e3:.2f} ms, with 1 MB: {large * 1e3:.1f} ms")
    if slots == max(options.slots):
        share = await utilisation(pool, slots, options.nap, 8)
        print(f"{kind:5}  {slots} slots  programs of {options.nap:g} s ran {share:.1%} of the time")


async def nowhere(_: object) -> None:
    """Find no way to a slot but through Ray."""


async def main(options: argparse.Namespace) -> None:
    leases = Leases()
    blueprint = Blueprint(SandboxSpec("process"), LIMITS, pool={"pin_cpus": False})
    resources = {"num_cpus": 0.01}
    async with RayCluster("local", blueprint, resources, leases.counts) as cluster:
        for slots in options.slots:
            async with local(slots) as pool:
                await report("local", pool, slots, options)
            async with on_ray(cluster, leases, slots) as pool:
                await report("ray", pool, slots, options)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--slots", type=int, nargs="+", default=[1, 2, 4, 8])
    parser.add_argument("--evaluations", type=int, default=100)
    parser.add_argument("--calls", type=int, default=300)
    parser.add_argument("--nap", type=float, default=0.2)
    parser.add_argument("--through-ray", action="store_true")
    chosen = parser.parse_args()
    if chosen.through_ray:
        door.knock = nowhere  # type: ignore[assignment]  # finds no way
    anyio.run(main, chosen)
