"""From a program to its evaluation: cases run in a slot, outputs are scored outside of it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any, Literal, TypeAlias

import anyio
from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream

from evolve.config.problem import Problem
from evolve.core.code_measures import code_measures
from evolve.core.errors import ConfigError, EvaluatorError
from evolve.core.evaluation import CaseResult, Evaluation, Outcome, Score, Stage, Usage
from evolve.core.program import Program
from evolve.core.values import Value
from evolve.evaluate.scorer import Scorer
from evolve.evaluate.scores import unpack_score, with_measures
from evolve.sandbox.base import Job, Reply, Session, Slot

Interaction: TypeAlias = Literal["auto", "boundary", "harness"]
#: Longest time one step of an evaluator may take, in seconds.
SCORE_TIMEOUT_S = 120.0
STAGES: tuple[Stage, ...] = ("search", "held_out")


@dataclass(frozen=True, slots=True)
class _Cases:
    """The cases of a stage as programs get them."""

    names: tuple[str, ...]
    inputs: tuple[Mapping[str, Value], ...]


@dataclass(frozen=True, slots=True)
class EvaluationService:
    """Evaluate programs of one problem. Safe for concurrent use within one event loop."""

    _problem: Problem
    _cases: Mapping[Stage, _Cases]
    _interactive: bool
    _harness: str
    _idle: MemoryObjectReceiveStream[Scorer]
    _done: MemoryObjectSendStream[Scorer]

    @property
    def version(self) -> str:
        """A hash that changes with anything that can change a score."""
        return self._problem.hash

    @property
    def stages(self) -> tuple[Stage, ...]:
        """The stages that have cases."""
        return tuple(stage for stage in STAGES if self._cases[stage].names)

    async def __call__(self, slot: Slot, program: Program, stage: Stage = "search") -> Evaluation:
        """Run the cases of ``stage`` in ``slot`` and score what came back.

        The first case that fails ends the evaluation, with its outcome.

        Raises:
            InfrastructureError: the slot failed.
        """
        job = Job(program, self._problem.entrypoint, self._problem.limits, self._harness)
        scorer = await self._idle.receive()
        try:
            results: list[CaseResult] = []
            replies: list[Reply] = []
            async with slot.session(job) as session:
                if self._interactive:
                    results = await self._interact(scorer, stage, session)
                else:
                    replies = await self._call(stage, session)
            # By now the program is dead and cannot watch.
            results += await self._score(scorer, stage, replies)
            evaluation = await self._conclude(scorer, stage, program, results)
        finally:
            self._done.send_nowait(scorer)
        report = session.report
        return replace(evaluation, usage=report.usage, stdout=report.stdout, stderr=report.stderr)

    async def _call(self, stage: Stage, session: Session) -> list[Reply]:
        """Call the program on every case, until a call fails."""
        replies: list[Reply] = []
        for inputs in self._cases[stage].inputs:
            replies.append(await session.call(inputs))
            if replies[-1].outcome is not Outcome.OK:
                break
        return replies

    async def _score(
        self, scorer: Scorer, stage: Stage, replies: Sequence[Reply]
    ) -> list[CaseResult]:
        """Have every reply judged, until one is refused."""
        results: list[CaseResult] = []
        for index, reply in enumerate(replies):
            name = self._cases[stage].names[index]
            if reply.outcome is not Outcome.OK:
                failed = CaseResult(name, reply.outcome, usage=reply.usage, message=reply.message)
                return [*results, failed]
            judged = await _judged(
                scorer,
                "score",
                stage=stage,
                index=index,
                output=reply.value,
                usage=_numbers(reply.usage),
            )
            results.append(replace(judged, case=name, usage=reply.usage))
            if judged.outcome is not Outcome.OK:
                break
        return results

    async def _interact(self, scorer: Scorer, stage: Stage, session: Session) -> list[CaseResult]:
        """Have the evaluator drive the program through every case, until one fails."""
        results: list[CaseResult] = []
        for index, name in enumerate(self._cases[stage].names):
            relay = _Relay(session)
            judged = await _judged(scorer, "interact", relay=relay, stage=stage, index=index)
            if relay.failure is not None:  # whatever the evaluator made of it
                failure = relay.failure
                judged = CaseResult(name, failure.outcome, message=failure.message)
            results.append(replace(judged, case=name, usage=relay.usage))
            if judged.outcome is not Outcome.OK:
                break
        return results

    async def _conclude(
        self, scorer: Scorer, stage: Stage, program: Program, results: Sequence[CaseResult]
    ) -> Evaluation:
        """Fold the results of the cases into the program's evaluation."""
        last = results[-1]
        outcome, score, message = last.outcome, None, f"{last.case}: {last.message}"
        if outcome is Outcome.OK:
            declared = tuple(measure.name for measure in self._problem.measures)
            try:
                scores = [_pack(result.score) for result in results if result.score]
                answer = await scorer.ask("combine", stage=stage, scores=scores)
                built_in = code_measures(program, declared)
                score = with_measures(unpack_score(answer["result"]), built_in, declared)
                message = ""
            except EvaluatorError as error:
                outcome, message = Outcome.EVALUATOR_ERROR, str(error)
        return Evaluation(
            outcome,
            score,
            message=message,
            cases=tuple(results),
            evaluator=self.version,
            stage=stage,
        )


class _Relay:
    """Carry an interacting evaluator's calls to the program, and remember how they went."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self.usage = Usage()
        self.failure: Reply | None = None

    async def __call__(self, function: str, inputs: Mapping[str, Value]) -> dict[str, Value]:
        if self.failure is not None:
            return {"ok": False}
        reply = await self._session.call(inputs, function=function)
        self.usage += reply.usage
        if reply.outcome is not Outcome.OK:
            self.failure = reply
            return {"ok": False}
        return {"ok": True, "value": reply.value, "usage": _numbers(reply.usage)}


@asynccontextmanager
async def open_evaluation(
    problem: Problem,
    *,
    scorers: int = 1,
    interaction: Interaction = "auto",
    trusted_programs: bool = False,
) -> AsyncIterator[EvaluationService]:
    """Start the evaluator of a problem in processes of its own.

    Args:
        problem: What is to be evaluated.
        scorers: Processes, each started when first needed.
        interaction: How cases reach a program when the problem has both ways.
        trusted_programs: Whether programs come from a closed set of operations; ``auto`` then
            takes the harness, which is quicker but shows the program its whole input.

    Raises:
        EvaluatorError: the evaluator cannot be loaded or makes no cases.
        ConfigError: the problem does not have the way that ``interaction`` asks for.
    """
    first = Scorer(problem, SCORE_TIMEOUT_S)
    crew = [first, *(Scorer(problem, SCORE_TIMEOUT_S) for _ in range(scorers - 1))]
    done, idle = anyio.create_memory_object_stream[Scorer](scorers)
    try:
        answers = {stage: (await first.ask("cases", stage=stage))["result"] for stage in STAGES}
        if not answers["search"]["cases"]:
            raise EvaluatorError(f"evaluator {problem.evaluator} yields no case for 'search'")
        interactive, harness = _way(
            problem, interaction, bool(answers["search"]["interacts"]), trusted_programs
        )
        for scorer in crew:
            done.send_nowait(scorer)
        yield EvaluationService(
            problem,
            {stage: _cases(answer["cases"]) for stage, answer in answers.items()},
            interactive,
            harness,
            idle,
            done,
        )
    finally:
        done.close()
        idle.close()
        for scorer in crew:
            await scorer.aclose()


def _way(
    problem: Problem, interaction: Interaction, interacts: bool, trusted: bool
) -> tuple[bool, str]:
    """Return whether the evaluator drives the program, and the harness to use, if any."""
    if interaction == "harness" and not problem.harness:
        raise ConfigError(f"interaction: harness, but {problem.id} has no harness.py")
    if interaction == "boundary" and not interacts and problem.harness:
        raise ConfigError(f"interaction: boundary, but {problem.evaluator} does not interact")
    by_harness = interaction == "harness" or (interaction == "auto" and trusted)
    if problem.harness and (by_harness or not interacts):
        return False, problem.harness
    return interacts, ""


def _cases(made: Sequence[Mapping[str, Any]]) -> _Cases:
    return _Cases(tuple(case["name"] for case in made), tuple(case["inputs"] for case in made))


async def _judged(scorer: Scorer, operation: str, **request: Any) -> CaseResult:  # noqa: ANN401
    """Ask for a judgement; the evaluator's own failure is an outcome too."""
    try:
        answer = await scorer.ask(operation, **request)
    except EvaluatorError as error:
        return CaseResult("", Outcome.EVALUATOR_ERROR, message=str(error))
    if "result" in answer:
        return CaseResult("", Outcome.OK, unpack_score(answer["result"]))
    return CaseResult("", Outcome.INVALID, message=str(answer.get("invalid", "")))


def _numbers(usage: Usage) -> list[Value]:
    return [usage.wall_ns, usage.cpu_ns, usage.peak_memory_bytes]


def _pack(score: Score) -> dict[str, Value]:
    return {
        "objective": score.objective,
        "measures": dict(score.measures),
        "metrics": dict(score.metrics),
        "feedback": score.feedback,
        "artifacts": dict(score.artifacts),
    }
