"""Everything around the controller, simulated: slots, evaluations and a model.

They answer after the time that the real ones take, drawn from the program or the prompt, so that a
simulation does not depend on the order in which they are asked. What they themselves take to make
up an answer is not counted.
"""

from __future__ import annotations

import math
import re
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass

import anyio
import numpy as np

from benchmarks.simulation.clock import VirtualClock
from evolve.config.problem import Problem
from evolve.core.errors import InfrastructureError
from evolve.core.evaluation import CaseResult, Evaluation, Outcome, Score, Stage, Start, Usage
from evolve.core.program import Program
from evolve.evaluate.cases import Cases
from evolve.evaluate.probes import Alike, nobody
from evolve.evaluate.scorer import ScorerLimits, ScorerPool
from evolve.evaluate.service import EvaluationService
from evolve.llm.base import Completion, Request, Tokens
from evolve.sandbox.base import Slot

#: Cases of an evaluation.
CASES = 4
#: A number in a line of code that an edit can change.
_NUMBER = re.compile(r"(?<![\w.])\d+(?:\.\d+)?(?![\w.])")
_BLOCK = re.compile(
    r"^ *# EVOLVE-BLOCK-START\n(.*?)\n *# EVOLVE-BLOCK-END", re.DOTALL | re.MULTILINE
)


@dataclass(frozen=True, slots=True)
class Latency:
    """Seconds that something takes, log-normally distributed.

    Attributes:
        mean: Of the seconds.
        spread: Standard deviation of their logarithm.
    """

    mean: float
    spread: float = 0.5

    def draw(self, rng: np.random.Generator) -> float:
        """Return seconds."""
        if not self.mean:
            return 0.0
        return float(rng.lognormal(math.log(self.mean) - self.spread**2 / 2, self.spread))


@dataclass(frozen=True, slots=True)
class World:
    """How the surroundings of the controller behave, and what dealing with them costs it.

    Attributes:
        evaluation: Seconds of an evaluation in its slot.
        model: Seconds of a model's reply.
        crash: Share of programs that fail.
        slot_fault: Share of evaluations that meet an infrastructure fault; they are tried again.
        model_fault: Share of calls that bring no reply.
        useless: Share of replies that hold no edit.
        call_cpu_s: What a call costs the controller beside what is simulated: the vendor's client.
        slot_cpu_s: Likewise an evaluation: talking with the slot and the scorer.
    """

    evaluation: Latency = Latency(10.0)
    model: Latency = Latency(8.0)
    crash: float = 0.1
    slot_fault: float = 0.002
    model_fault: float = 0.01
    useless: float = 0.03
    call_cpu_s: float = 0.0
    slot_cpu_s: float = 0.0


class SimulatedPool:
    """Slots that are counted and nothing else.

    Args:
        size: How many there are.
        clock: Of the simulation.
        stretch: Seconds from now between which is counted how long programs run.

    Attributes:
        size: How many there are.
        busy: How many of them are lent.
        ran_s: Seconds of the stretch that programs ran, all slots together.
    """

    def __init__(self, size: int, clock: VirtualClock, stretch: tuple[float, float]) -> None:
        self.size, self.busy, self.ran_s = size, 0, 0.0
        self._clock, self._stretch = clock, [clock.now() + each for each in stretch]
        self._free = anyio.Semaphore(size)

    @property
    def busy_s(self) -> tuple[float, ...]:
        """Nothing: which slot is lent is of no interest here."""
        return ()

    there_s = busy_s

    @asynccontextmanager
    async def lease(self) -> AsyncIterator[Slot]:
        """Borrow one of them, or wait in line."""
        async with self._free:
            self.busy += 1
            try:
                yield _NOTHING
            finally:
                self.busy -= 1

    async def run(self, seconds: float) -> None:
        """Have a program run in a slot that is lent."""
        now, (begin, end) = self._clock.now(), self._stretch
        self.ran_s += max(min(now + seconds, end) - max(now, begin), 0.0)
        await anyio.sleep(seconds)

    async def aclose(self) -> None:
        """Do nothing."""


class _NoSlot:
    """Where nothing runs."""


_NOTHING: Slot = _NoSlot()  # type: ignore[assignment]  # nobody but SimulatedEvaluate gets it


class SimulatedEvaluate(EvaluationService):
    """Scores that follow from a program's text, after the seconds that an evaluation takes.

    Args:
        problem: Whose measures scores have; its evaluator is not started.
        world: How evaluations go.
        clock: Of the simulation.
        pool: Where programs run.
    """

    def __init__(
        self, problem: Problem, world: World, clock: VirtualClock, pool: SimulatedPool
    ) -> None:
        names = tuple(f"case {number}" for number in range(CASES))
        cases: dict[Stage, Cases] = {
            "search": Cases("search", names, (b"",) * CASES, ""),
            "held_out": Cases("held_out", (), (), ""),
        }
        scorers = ScorerPool(problem, 1, ScorerLimits())
        super().__init__(problem, scorers, cases, interactive=False, harness="")
        self._world, self._clock, self._pool = world, clock, pool
        self._axes, self._seed = problem.measures, problem.seed_program
        self._count = 0

    async def __call__(
        self,
        slot: Slot,  # noqa: ARG002 - nothing runs anywhere
        program: Program,
        stage: Stage = "search",
        alike: Alike = nobody,  # noqa: ARG002 - there are no probes
        seed: int | None = None,  # noqa: ARG002 - scores do not vary
        start: Start | None = None,  # noqa: ARG002 - nor do programs begin with anything
    ) -> Evaluation:
        """Wait as long as the program runs, and make up what comes of it."""
        with self._clock.outside():
            rng = np.random.default_rng(int(program.id[:16], 16))
            seconds = self._world.evaluation.draw(rng)
            self._count += 1
            fault = np.random.default_rng(self._count).random() < self._world.slot_fault
            evaluation = self._judge(program, rng, seconds, stage)
        self._clock.charge(self._world.slot_cpu_s)
        await self._pool.run(seconds)
        if fault:
            raise InfrastructureError("the slot was lost")
        return evaluation

    def _judge(
        self, program: Program, rng: np.random.Generator, seconds: float, stage: Stage
    ) -> Evaluation:
        used = Usage(int(seconds * 1e9), int(seconds * 1e9), 100_000_000)
        message = "ZeroDivisionError: division by zero\n  File seed.py, line 12, in pack"
        if rng.random() < self._world.crash and program != self._seed:
            case = CaseResult("case 0", Outcome.EXCEPTION, None, used, message)
            return Evaluation(
                Outcome.EXCEPTION,
                message=message,
                usage=used,
                cases=(case,),
                evaluator=self.version,
                stage=stage,
                stderr=message,
            )
        measures = {m.name: float(rng.uniform(m.low, m.high)) for m in self._axes}
        score = Score(float(rng.normal()), measures, {"residual": 0.1}, "circles 3 and 7 overlap")
        cases = tuple(CaseResult(f"case {i}", Outcome.OK, score, used) for i in range(CASES))
        return Evaluation(
            Outcome.OK, score, usage=used, cases=cases, evaluator=self.version, stage=stage
        )


@dataclass
class SimulatedModel:
    """Replies with an edit that changes a number of the parent, after the seconds that it takes."""

    world: World
    clock: VirtualClock
    name: str = "simulated/model"

    async def complete(self, request: Request) -> Completion:
        """Wait as long as a model does, and answer."""
        with self.clock.outside():
            rng = np.random.default_rng([request.seed or 0, len(request.messages)])
            seconds = self.world.model.draw(rng)
            fault = rng.random() < self.world.model_fault
            text = self._reply(request.messages[1].content, rng)
        self.clock.charge(self.world.call_cpu_s)
        await anyio.sleep(seconds)
        if fault:
            raise InfrastructureError("503: overloaded")
        tokens = Tokens(sum(len(m.content) for m in request.messages) // 4, output=len(text) // 4)
        return Completion(text, tokens=tokens, latency_s=seconds, model="model-2026-01-01")

    def parameters(self) -> Mapping[str, object]:
        """Return what a real model has."""
        return {"max_tokens": 8192, "temperature": 1.0}

    async def aclose(self) -> None:
        """Do nothing."""

    def _reply(self, prompt: str, rng: np.random.Generator) -> str:
        """Write an edit of a line of the parent, the one program that a prompt shows whole."""
        told = "The radius of the last circles leaves room; a slightly different number fills it.\n"
        block = _BLOCK.search(prompt)
        code = [line for line in block[1].split("\n") if "#" not in line] if block else []
        lines = [line for line in code if _NUMBER.search(line)]
        if not lines or rng.random() < self.world.useless:
            return told
        line = lines[int(rng.integers(len(lines)))]
        numbers = list(_NUMBER.finditer(line))
        at = numbers[int(rng.integers(len(numbers)))]
        changed = f"{line[: at.start()]}{rng.uniform(0, 2):.9f}{line[at.end() :]}"
        return f"{told}\n<<<<<<< SEARCH\n{line}\n=======\n{changed}\n>>>>>>> REPLACE\n"
