"""From a program to its evaluation: cases run in a slot, outputs are scored outside of it."""

from __future__ import annotations

import copy
import hashlib
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from itertools import chain
from typing import Any, TypeAlias

from evolve.config.problem import Problem, Threshold
from evolve.core.code_measures import code_measures
from evolve.core.errors import EvaluatorError
from evolve.core.evaluation import (
    DISTURBED,
    CaseResult,
    Evaluation,
    Outcome,
    Score,
    Stage,
    Start,
    Usage,
)
from evolve.core.program import Program
from evolve.evaluate.behaviour import signature_of
from evolve.evaluate.cascade import Cascade
from evolve.evaluate.cases import STAGES, Cases, make_cases
from evolve.evaluate.evaluator import Invalid
from evolve.evaluate.modes import in_mode, together
from evolve.evaluate.probes import Alike, Probes, nobody
from evolve.evaluate.scorer import BadOutput, ProgramFailed, ScorerLimits, ScorerPool
from evolve.evaluate.scores import score_data, unpack_score, with_measures, with_objectives
from evolve.evaluate.ways import Interaction, choose_way
from evolve.sandbox.base import Job, Reply, Report, Session, Slot

#: Raised when this layer comes to judge the same output of the same evaluator differently.
_SEMANTICS = 1


#: Finds the evaluation of what a program was made from, on all search cases.
ParentOf: TypeAlias = Callable[[Program], Evaluation | None]


def parentless(program: Program) -> None:
    """Know no parent."""


class EvaluationService:
    """Evaluate programs of one problem. Safe for concurrent use within one event loop.

    Attributes:
        version: Changes with anything that can change a score.
        stages: Those that have cases.
        sizes: How many cases each stage has.
        interactive: Whether the evaluator drives the program, call by call.
        reseeds: Whether the evaluator makes inputs from the seeds of repeats.
    """

    def __init__(
        self,
        problem: Problem,
        scorers: ScorerPool,
        cases: Mapping[Stage, Cases],
        *,
        interactive: bool,
        harness: str,
        reseeds: bool = False,
        objectives: Sequence[str] = (),
    ) -> None:
        self._problem, self._scorers, self._cases = problem, scorers, cases
        self.interactive, self._harness, self.reseeds = interactive, harness, reseeds
        self._measures = tuple(measure.name for measure in problem.measures)
        self._objectives = tuple(objectives)
        self.version = evaluator_version(problem, self._objectives)
        self.stages: tuple[Stage, ...] = tuple(stage for stage in STAGES if cases[stage].names)
        self.sizes = {stage: len(cases[stage].names) for stage in STAGES}
        self._cascade = Cascade(problem.cascade, problem.objective, self.sizes["search"])
        self._parent_of: ParentOf = parentless

    def beside_parents(self, parent_of: ParentOf) -> EvaluationService:
        """Return one that measures programs by their parents where the cascade says so.

        Without it such thresholds hold nobody up. It shares the scorers.
        """
        other = copy.copy(self)
        other._parent_of = parent_of
        return other

    def in_full(self) -> EvaluationService:
        """Return one that ends no evaluation at a threshold; it shares the scorers."""
        other = copy.copy(self)
        other._cascade = replace(self._cascade, thresholds=())
        return other

    def seen_before(self) -> int:
        """Return how many held-out cases have the inputs of a search case.

        What an evaluator that drives programs shows them is not seen from the inputs: none then.
        """
        if self.interactive:
            return 0
        known = set(self._cases["search"].inputs)
        return sum(inputs in known for inputs in self._cases["held_out"].inputs)

    async def __call__(
        self,
        slot: Slot,
        program: Program,
        stage: Stage = "search",
        alike: Alike = nobody,
        seed: int | None = None,
        start: Start | None = None,
    ) -> Evaluation:
        """Run the cases of ``stage`` in ``slot`` and score what comes back.

        With a ``seed`` they are run as the repeat with that seed, with a ``start`` from there.

        The first case that fails ends the evaluation, with its outcome; so does the first threshold
        of the cascade that the search cases so far do not meet. So do the probes when the
        program behaves like a known one on them: it takes over that one's scores on the other
        cases, while the measures of its code are its own.

        Raises:
            InfrastructureError: the slot or a scorer failed.
            ValueError: the stage has no cases.
        """
        starts = start.constructions if start else ""
        cases = replace(self._cases[stage], seed=seed, starts=starts)
        if not cases.names:
            raise ValueError(f"problem {self._problem.id} has no {stage} cases")
        problem = self._problem
        job = Job(program, problem.entrypoint, problem.limits, self._harness, problem.command)
        warmup, probes = problem.warmup, Probes(problem.probes if stage == "search" else 0, alike)
        results: list[CaseResult] = []
        ended: tuple[Outcome, str] | None = None
        async with slot.session(job) as session:
            for index in chain([0] * warmup, range(cases.first, len(cases.names))):
                result = await self._run(session, cases, index)
                if result.outcome is not Outcome.OK or index >= cases.first:
                    results.append(result)
                if result.outcome is not Outcome.OK:
                    break
                ended = await self._below_threshold(program, cases, results)
                if ended or probes.settle(results):
                    break
        report = session.report
        concluded = await self._conclude(program, cases, results, ended, start)
        evaluation = probes.mark(_noted(concluded, report))
        return replace(evaluation, usage=report.usage, stdout=report.stdout, stderr=report.stderr)

    async def _run(self, session: Session, cases: Cases, index: int) -> CaseResult:
        """Run and score one case."""
        relay = _Relay(session)
        try:
            judged = await self._score(relay, cases, index)
        except (ProgramFailed, BadOutput, Invalid, EvaluatorError) as error:
            outcome, message = _blame(error, relay.failure)
            return CaseResult(cases.names[index], outcome, None, relay.usage, message)
        return CaseResult(
            cases.names[index],
            Outcome.OK,
            unpack_score(judged["score"]),
            relay.usage,
            behaviour=judged["behaviour"],
            construction=judged["construction"],
        )

    async def _score(self, relay: _Relay, cases: Cases, index: int) -> Mapping[str, Any]:
        """Get the program's output for a case, one way or the other, and have it judged."""
        request = {**cases.request(), "index": index}
        output = b""
        if not self.interactive:
            output = await relay("", await self._inputs(cases, index))
        async with self._scorers.lend() as scorer:
            if self.interactive:
                await scorer.ask("interact", request, relay=relay)
            used = relay.usage
            request["usage"] = [used.wall_ns, used.cpu_ns, used.peak_memory_bytes]
            judged: Mapping[str, Any] = await scorer.ask("score", request, output=output)
        return judged

    async def _inputs(self, cases: Cases, index: int) -> bytes:
        """Return what a program gets, made anew where the repeat's seed or a start changes it."""
        if not cases.starts and (cases.seed is None or not self.reseeds):
            return cases.inputs[index]
        async with self._scorers.lend() as scorer:
            made = await scorer.ask("inputs", {**cases.request(), "index": index})
        inputs: bytes = made["inputs"].tobytes()
        return inputs

    async def _below_threshold(
        self, program: Program, cases: Cases, results: Sequence[CaseResult]
    ) -> tuple[Outcome, str] | None:
        """Return how the evaluation ends after the cases so far; None when it goes on."""
        threshold = self._cascade.due(len(results)) if cases.stage == "search" else None
        if threshold is None:
            return None
        try:
            score = await self._fold(cases, results)
        except (Invalid, EvaluatorError) as error:
            return _blame(error)
        parent = await self._of_parent(program, cases, threshold)
        bound = self._cascade.bound(threshold, parent)
        if bound is None or not self._cascade.missed(bound, score):
            return None
        message = f"{self._cascade.told(threshold, bound, score)}\n{score.feedback}".rstrip()
        return Outcome.BELOW_THRESHOLD, message

    async def _of_parent(
        self, program: Program, cases: Cases, threshold: Threshold
    ) -> Score | None:
        """Return what the parent came to over the cases of a threshold that asks for it."""
        found = None if threshold.of_parent is None else self._parent_of(program)
        if found is None or found.score is None:
            return None
        return await self._fold(cases, found.cases[: threshold.cases])

    async def standings(self, evaluation: Evaluation) -> list[tuple[bool, str]]:
        """Return whether a program that was scored meets each threshold of the problem, in words.

        Args:
            evaluation: On all search cases.
        """
        found, cases = [], self._cases["search"]
        for threshold in self._problem.cascade:
            bound = self._cascade.bound(threshold, None)
            if bound is None:  # nobody is there to be measured by
                continue
            try:
                score = await self._fold(cases, evaluation.cases[: threshold.cases])
            except (Invalid, EvaluatorError) as error:
                found.append((False, f"over the first {threshold.cases} cases: {error}"))
                continue
            told = self._cascade.told(threshold, bound, score)
            found.append((not self._cascade.missed(bound, score), told))
        return found

    async def _conclude(
        self,
        program: Program,
        cases: Cases,
        results: Sequence[CaseResult],
        ended: tuple[Outcome, str] | None,
        start: Start | None,
    ) -> Evaluation:
        """Fold the results of the cases into the program's evaluation."""
        outcome, message, score = results[-1].outcome, results[-1].message, None
        built = ""
        if ended is not None:
            outcome, message = ended
        elif outcome is Outcome.OK:
            try:
                built = together(self._problem, results) if cases.stage == "search" else ""
                score = await self._combine(program, cases, results, start)
            except (Invalid, EvaluatorError) as error:
                outcome, message = _blame(error)
        elif len(cases.names) > 1:
            message = f"{results[-1].case}: {message}"
        return Evaluation(
            outcome,
            score,
            message=message,
            cases=tuple(results),
            evaluator=self.version,
            stage=cases.stage,
            signature=signature_of(each.behaviour for each in results) if score else "",
            start=start.program if start else None,
            construction=built if score else "",
        )

    async def _combine(
        self, program: Program, cases: Cases, results: Sequence[CaseResult], start: Start | None
    ) -> Score:
        folded = await self._fold(cases, results)
        sized = list(zip(cases.sizes[cases.first :], results, strict=False))
        judged = in_mode(self._problem, program, folded, start, sized)
        score = judged.score
        built_in = code_measures(program, (*self._measures, *self._objectives))
        built_in |= judged.measures
        score = with_measures(score, built_in, self._measures)
        return with_objectives(score, built_in, self._objectives)

    async def _fold(self, cases: Cases, results: Sequence[CaseResult]) -> Score:
        """Have the evaluator combine the scores of the cases that have been run, all of them OK."""
        scores = [score_data(result.score) for result in results if result.score is not None]
        request = {**cases.request(), "first": cases.first, "scores": scores}
        async with self._scorers.lend() as scorer:
            return unpack_score(await scorer.ask("combine", request))


def _noted(evaluation: Evaluation, report: Report) -> Evaluation:
    """Keep with a score how much its program was disturbed."""
    if evaluation.score is None or report.disturbed is None:
        return evaluation
    metrics = {**evaluation.score.metrics, DISTURBED: report.disturbed}
    return replace(evaluation, score=replace(evaluation.score, metrics=metrics))


class _Relay:
    """Carry calls of one case to the program, and remember how they went.

    Attributes:
        usage: Of all of them together.
        failure: The reply that ended it, if one did.
    """

    def __init__(self, session: Session) -> None:
        self._session = session
        self.usage = Usage()
        self.failure: Reply | None = None

    async def __call__(self, function: str, inputs: bytes) -> bytes:
        reply = await self._session.forward(inputs, function=function)
        self.usage += reply.usage
        if reply.outcome is not Outcome.OK:
            self.failure = reply
            raise ProgramFailed
        return reply.encoded


def _blame(error: Exception, failure: Reply | None = None) -> tuple[Outcome, str]:
    """Return whose doing it is that there is no score, and why."""
    if failure is not None:  # whatever the evaluator made of it
        return failure.outcome, failure.message
    blamed = {BadOutput: Outcome.BAD_OUTPUT, Invalid: Outcome.INVALID}
    return blamed.get(type(error), Outcome.EVALUATOR_ERROR), str(error)


@asynccontextmanager
async def open_evaluation(
    problem: Problem,
    *,
    scorers: int = 1,
    interaction: Interaction = "auto",
    trusted_programs: bool = False,
    limits: ScorerLimits | None = None,
    objectives: Sequence[str] = (),
    noisy: bool = False,
) -> AsyncIterator[EvaluationService]:
    """Start the evaluator of a problem in processes of its own.

    Args:
        problem: What is to be evaluated.
        scorers: Processes at most, each started when first needed.
        interaction: How cases reach a program when the problem has both ways.
        trusted_programs: Whether programs come from a closed set of operations; ``auto`` then
            takes the harness, which is quicker but shows the program its whole input.
        limits: What one step of the evaluator may use.
        objectives: Metrics that every score must have, because the archive's cells are fronts.
        noisy: Whether the search cases, on other seeds, serve as held-out cases where there are
            none.

    Raises:
        EvaluatorError: the evaluator fails when it is loaded or makes its cases, or makes none.
        ConfigError: the evaluator cannot be constructed with its options, or the problem does not
            have the way that ``interaction`` asks for.
        InfrastructureError: the first process died.
    """
    pool = ScorerPool(problem, scorers, limits or ScorerLimits())
    try:
        async with pool.lend() as scorer:
            cases = await make_cases(problem, scorer, noisy=noisy)
            interactive, harness = choose_way(
                problem, interaction, interacts=scorer.interacts, trusted=trusted_programs
            )
        yield EvaluationService(
            problem,
            pool,
            cases,
            interactive=interactive,
            harness=harness,
            reseeds=scorer.reseeds,
            objectives=objectives,
        )
    finally:
        await pool.aclose()


def evaluator_version(problem: Problem, objectives: Sequence[str]) -> str:
    """Return the hash of all that can change a score, further objectives by name included."""
    measures = sorted(measure.name for measure in problem.measures)
    further = f" {sorted(objectives)}" if objectives else ""
    return hashlib.sha256(f"{_SEMANTICS} {problem.hash} {measures}{further}".encode()).hexdigest()
