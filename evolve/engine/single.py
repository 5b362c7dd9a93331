"""One evaluation of one program, without a run or a database."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import anyio

from evolve.config.models import PoolConfig, SandboxConfig
from evolve.config.problem import Problem, load_problem
from evolve.config.program_file import read_program
from evolve.core.errors import ConfigError
from evolve.core.evaluation import Evaluation, Stage
from evolve.engine.isolation import specify_sandbox
from evolve.engine.sampling import pooled, repeat_seed
from evolve.evaluate.service import EvaluationService, open_evaluation
from evolve.pool.allot import Need, allotted
from evolve.pool.local import LocalPool
from evolve.sandbox.base import Slot


def evaluate_file(
    problem: str,
    file: Path,
    stage: Stage = "search",
    sandbox: str = "process",
    say: Callable[[str], None] = lambda _: None,
    repeats: int = 1,
) -> Evaluation:
    """Run ``file`` on the cases of ``stage`` and score it.

    Args:
        problem: A bundled problem's name, or a problem folder.
        file: A program's file, or the folder of its files.
        stage: Which cases.
        sandbox: ``docker``, ``process`` or a plug-in. The caller vouches for the program when the
            sandbox is a weak one.
        say: Told what takes time, such as making an image.
        repeats: How often, each time with a seed of its own; the result is then their mean.

    Raises:
        ConfigError: there is no such problem or program, or the stage has no cases.
        SandboxUnavailable: the sandbox cannot be had here.
    """
    return anyio.run(partial(_evaluate, problem, file, stage, sandbox, say, repeats))


async def _evaluate(
    problem_name: str,
    file: Path,
    stage: Stage,
    kind: str,
    say: Callable[[str], None],
    repeats: int,
) -> Evaluation:
    problem = load_problem(problem_name)
    program = read_program(file)
    async with one_slot(problem, kind, say) as (evaluate, slot):
        if stage not in evaluate.stages:
            raise ConfigError(f"evaluator {problem.evaluator} yields no case for {stage!r}")
        if repeats == 1:
            return await evaluate(slot, program, stage)
        seeds = [repeat_seed(0, stage, repeat) for repeat in range(repeats)]
        samples = [await evaluate(slot, program, stage, seed=seed) for seed in seeds]
        return pooled(samples, robust=problem.timed)


@asynccontextmanager
async def one_slot(
    problem: Problem, kind: str, say: Callable[[str], None]
) -> AsyncIterator[tuple[EvaluationService, Slot]]:
    """Open what judges programs of a problem, and one slot to run them in.

    Args:
        problem: The problem.
        kind: A sandbox; the caller vouches for the programs when it is a weak one.
        say: Told what takes time, such as making an image.

    Raises:
        EvaluatorError: the evaluator fails before it has judged anything.
        SandboxUnavailable: the sandbox cannot be had here.
    """
    sandbox = specify_sandbox(
        SandboxConfig(kind=kind),
        arbitrary_code=False,
        gpus=problem.limits.gpus > 0,
        image=problem.image,
        say=say,
        run=f"evaluate {problem.id}",
    ).make(say)
    need = Need(1, problem.limits, problem.timed)
    with allotted(need, PoolConfig()) as allotment:
        async with open_evaluation(problem, noisy=problem.noise is not None) as evaluate:
            pool = LocalPool(sandbox, 1, problem.limits, allotment=allotment)
            async with pool, pool.lease() as slot:
                yield evaluate, slot
