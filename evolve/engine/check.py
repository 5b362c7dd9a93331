"""Look for what is wrong with a problem before a search finds it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial

import anyio

from evolve.config.problem import Problem
from evolve.core.errors import EvolveError
from evolve.core.evaluation import CaseResult, Evaluation, Outcome, Stage
from evolve.core.program import Program
from evolve.engine.single import one_slot
from evolve.evaluate.check import (
    Finding,
    Honest,
    Level,
    judge_baseline,
    judge_cascade,
    judge_description,
    judge_impostor,
    judge_output,
    judge_reciter,
    judge_reseeded,
    judge_seed,
)
from evolve.evaluate.hostile import tamperings
from evolve.evaluate.impostors import impostors, reciter
from evolve.evaluate.service import EvaluationService
from evolve.evaluate.tampered import TamperedSlot
from evolve.sandbox import wire
from evolve.sandbox.base import Reply, Slot

#: How often the seed program is scored.
REPEATS = 3
#: Of the sets of cases that it is scored on where the evaluator makes them from seeds; the first
#: one twice.
SEEDS = (1, 1, 2, 3)
#: Seconds that a program is left of its wall-clock limit when it takes nearly all of it.
MARGIN_S = 1.0
#: Seconds that a program may take on purpose before it needs ``thorough``.
PATIENCE_S = 10.0


@dataclass(frozen=True, slots=True)
class Checked:
    """What a check of a problem found.

    Attributes:
        findings: In the order in which they were made.
        cases: The results of the seed program's cases, held-out ones last.
    """

    findings: tuple[Finding, ...]
    cases: tuple[tuple[Stage, CaseResult], ...]

    def count(self, level: Level) -> int:
        """Return how many findings are of a level."""
        return sum(finding.level == level for finding in self.findings)


def check_problem(
    problem: Problem,
    sandbox: str = "process",
    *,
    thorough: bool = False,
    found: Callable[[Finding], None] = lambda _: None,
    say: Callable[[str], None] = lambda _: None,
) -> Checked:
    """Score the seed program, then outputs and programs that nobody should fall for.

    Args:
        problem: The problem.
        sandbox: Where programs run; they are the problem's own and variants of its seed program.
        thorough: Whether to run a program that takes nearly all its time even if that is long.
        found: Told every finding as soon as it is made.
        say: Told what takes time, such as making an image.

    Raises:
        EvaluatorError: the evaluator cannot be loaded, or makes no cases.
        SandboxUnavailable: the sandbox cannot be had here.
    """
    return anyio.run(partial(_check, problem, sandbox, thorough, found, say))


async def _check(
    problem: Problem,
    kind: str,
    thorough: bool,
    found: Callable[[Finding], None],
    say: Callable[[str], None],
) -> Checked:
    async with one_slot(problem, kind, say) as (evaluate, slot):
        check = _Check(problem, evaluate, slot, thorough)
        findings = []
        async for finding in check.run():
            found(finding)
            findings.append(finding)
    return Checked(tuple(findings), tuple(check.cases))


class _Check:
    """The steps of a check, in order."""

    def __init__(
        self, problem: Problem, evaluate: EvaluationService, slot: Slot, thorough: bool
    ) -> None:
        self._problem, self._evaluate, self._slot = problem, evaluate.in_full(), slot
        self._thorough = thorough
        self.cases: list[tuple[Stage, CaseResult]] = []
        self._held_out: Honest | None = None

    async def run(self) -> AsyncIterator[Finding]:
        """Yield what is found; a seed program without a score ends it."""
        recorder = TamperedSlot(self._slot)
        first = await self._scored(self._problem.seed_program, recorder)
        self._keep("search", first)
        for finding in judge_description(
            self._problem,
            cases=len(first.cases),
            held_out="held_out" in self._evaluate.stages,
            seen_before=self._evaluate.seen_before(),
        ):
            yield finding
        if first.score is None:
            what = f"no score ({first.outcome}: {first.message})"
            yield Finding("error", "seed program", what, "try `evolve evaluate` on it")
            return
        again = [await self._scored(self._problem.seed_program) for _ in range(REPEATS - 1)]
        evaluations = [first, *again]
        for finding in judge_seed(self._problem, evaluations):
            yield finding
        for finding in judge_cascade(await self._evaluate.standings(first)):
            yield finding
        async for finding in self._others():
            yield finding
        honest = Honest.of(evaluations, self._problem)
        if self._evaluate.reseeds:
            sets = [await self._scored(self._problem.seed_program, seed=n) for n in SEEDS]
            yield judge_reseeded(self._problem.objective, honest, sets[:2], sets[2:])
        async for finding in self._outputs(honest, recorder):
            yield finding
        async for finding in self._impostors(honest, first):
            yield finding
        async for finding in self._reciter(honest, recorder.answers):
            yield finding

    async def _others(self) -> AsyncIterator[Finding]:
        """Score the seed program on held-out cases, and the baselines."""
        if "held_out" in self._evaluate.stages:
            held_out = await self._scored(self._problem.seed_program, stage="held_out")
            self._keep("held_out", held_out)
            if held_out.score is not None:
                self._held_out = Honest.of([held_out], self._problem)
            for finding in judge_baseline(self._problem, "seed, held out", held_out):
                yield replace(finding, about="seed program, held out")
        for baseline in self._problem.baselines:
            evaluation = await self._scored(baseline.program)
            for finding in judge_baseline(self._problem, baseline.name, evaluation):
                yield finding
            if evaluation.score is not None:
                standings = await self._evaluate.standings(evaluation)
                for finding in judge_cascade(standings, baseline.name):
                    yield finding

    async def _outputs(self, honest: Honest, recorder: TamperedSlot) -> AsyncIterator[Finding]:
        """Have tampered outputs of the seed program judged."""
        recorded = None if self._evaluate.interactive else tuple(recorder.answers)
        for tampering in tamperings():
            slot = TamperedSlot(self._slot, tampering.apply, recorded)
            evaluation = await self._scored(self._problem.seed_program, slot)
            if slot.changed:
                yield judge_output(tampering, honest, evaluation)

    async def _impostors(self, honest: Honest, first: Evaluation) -> AsyncIterator[Finding]:
        """Run hostile variants of the seed program; there are none of a command."""
        if self._problem.command is not None:
            return
        spare = self._problem.limits.wall_s - first.usage.wall_ns / 1e9 - MARGIN_S
        for impostor in impostors(
            self._problem.seed_program, self._problem.entrypoint, spare_s=max(spare, 0.0)
        ):
            if impostor.extra_s > PATIENCE_S and not self._thorough:
                what = f"not run, it would take {impostor.extra_s:.0f} s"
                yield Finding("note", f"program that {impostor.name}", what, "use --thorough")
                continue
            evaluation = await self._scored(impostor.program)
            yield judge_impostor(impostor, honest, evaluation)

    async def _reciter(self, honest: Honest, replies: Sequence[Reply]) -> AsyncIterator[Finding]:
        """Run a program that knows the seed program's answers by heart.

        What an evaluator asks in an interaction is not known before, and what a harness returns is
        no program's answer.
        """
        problem = self._problem
        if problem.command is not None or problem.harness or self._evaluate.interactive:
            return
        answers = [wire.loads(reply.encoded) for reply in replies]
        impostor = reciter(problem.seed_program, problem.entrypoint, answers)
        if impostor is None:
            return
        evaluation, beyond = await self._scored(impostor.program), None
        if self._held_out is not None:
            there = await self._scored(impostor.program, stage="held_out")
            if there.score is None:
                beyond = f"refused on held-out cases ({there.outcome})"
            elif self._held_out.gain(there) <= 0:
                beyond = f"{there.score.objective:.12g} on held-out cases, no better"
        yield judge_reciter(impostor, honest, evaluation, beyond)

    async def _scored(
        self,
        program: Program,
        slot: Slot | None = None,
        stage: Stage = "search",
        seed: int | None = None,
    ) -> Evaluation:
        """Evaluate; what breaks on the way is an outcome too."""
        try:
            return await self._evaluate(slot or self._slot, program, stage, seed=seed)
        except EvolveError as error:
            return Evaluation(Outcome.INFRASTRUCTURE, message=str(error), stage=stage)

    def _keep(self, stage: Stage, evaluation: Evaluation) -> None:
        self.cases += [(stage, case) for case in evaluation.cases]
