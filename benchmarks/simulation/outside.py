"""What the simulation leaves out, measured: a controller's CPU time for a call and an evaluation.

The model is a local HTTP server asked through the vendor's client, the evaluation one of the
problem of the simulation in a process sandbox with a scorer process; both many at once.
"""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial

import anyio

from benchmarks.engine_rate import serve
from benchmarks.simulation.point import PROBLEM
from evolve.config.file import loaded_run_config
from evolve.config.models import ModelConfig, RunConfig
from evolve.core.program import Program
from evolve.engine.assemble import open_parts
from evolve.llm.base import Message, Request

MODEL = "openai/local"
#: Something of the length of a prompt of the simulation.
_WORDS = "    return x\n" + "Place 26 circles of any sizes in the unit square. " * 140
_WARM_UP = 10


#: A program that hands back so many megabytes, which the evaluator refuses once it has them.
_MEGABYTES = 4
_LARGE = f"import numpy as np\n\n\ndef pack(n):\n    return np.zeros({_MEGABYTES} * 125_000)\n"


@dataclass(frozen=True, slots=True)
class LeftOut:
    """Seconds of CPU time of the controller's thread, each one's mean.

    Attributes:
        call_s: Of a model call.
        slot_s: Of an evaluation.
        megabyte_s: Of each megabyte that a program hands back: from its slot, and on to the scorer.
    """

    call_s: float
    slot_s: float
    megabyte_s: float


def measure(times: int = 150) -> LeftOut:
    """Make so many calls and evaluations."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    server = context.Process(target=serve, args=(0.0, theirs))
    server.start()
    try:
        return anyio.run(_measure, ours.recv(), times)
    finally:
        ours.send("stop")
        server.join()


async def _measure(url: str, times: int) -> LeftOut:
    loaded = loaded_run_config(
        RunConfig(
            problem=PROBLEM,
            slots=2,
            models=(ModelConfig.model_validate({"id": MODEL, "base_url": url}),),
            proposers=({"kind": "diff"},),
            sandbox={"kind": "process", "allow_untrusted": True},
            stop={"evaluations": 1},
        )
    )
    async with open_parts(loaded) as parts:
        model, program = parts.models[MODEL], parts.problem.seed_program
        request = Request((Message("system", "You improve programs."), Message("user", _WORDS)))

        async def call() -> None:
            await model.complete(request)

        async def evaluate(program: Program) -> None:
            async with parts.pool.lease() as slot:
                await parts.evaluate(slot, program)

        small = await _mean(partial(evaluate, program), times)
        large = await _mean(partial(evaluate, Program({"seed.py": _LARGE})), times)
        megabyte_s = max(large - small, 0.0) / _MEGABYTES
        return LeftOut(await _mean(call, times), small, megabyte_s)


async def _mean(work: Callable[[], Awaitable[None]], times: int) -> float:
    """Return the CPU seconds of this thread for one of several at once."""
    limit = anyio.Semaphore(8)

    async def one() -> None:
        async with limit:
            await work()

    async def several(count: int) -> None:
        async with anyio.create_task_group() as tasks:
            for _ in range(count):
                tasks.start_soon(one)

    await several(_WARM_UP)
    before = time.thread_time()
    await several(times)
    return (time.thread_time() - before) / times
