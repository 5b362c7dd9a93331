"""Grades by models as metrics: asked for after a program has its score, through the ledger.

A grade never decides anything: it comes after the score, it cannot be an objective, and without
one the evaluation is what it would have been. See ``docs/grades.md``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from evolve.config.grading import MODEL_GRADED
from evolve.config.models import RunConfig
from evolve.config.problem import Problem
from evolve.core.errors import BudgetExhausted, InfrastructureError, ModelUnavailable
from evolve.core.evaluation import Evaluation, Stage
from evolve.core.program import Program
from evolve.engine.assemble import writers
from evolve.engine.assess import Judge
from evolve.engine.recorder import stored_completion
from evolve.llm.base import Completion, Request
from evolve.propose.base import Complete
from evolve.propose.grade import Grader
from evolve.store.calls import CompletionRecord
from evolve.store.store import Store


@dataclass(frozen=True, slots=True)
class Grading:
    """A `Judge` that completes the evaluations of another one.

    Attributes:
        judge: Makes evaluations.
        graders: What models are asked.
        problem: Says what is an improvement.
        store: Holds programs, and replies.
        completer: Returns the way to the models for a proposal; its calls are what grades cost.
        anywhere: Whether replies to the same words in other runs of the database serve, too.
        tell: Told why there is no grade.
    """

    judge: Judge
    graders: tuple[Grader, ...]
    problem: Problem
    store: Store
    completer: Callable[[int, Sequence[CompletionRecord]], Complete]
    anywhere: bool
    tell: Callable[[str], None]

    async def __call__(
        self, program_id: int, program: Program, stage: Stage = "search"
    ) -> Evaluation:
        """Return the evaluation of a program, with the grades that it is to have and got."""
        evaluation = ungraded(await self.judge(program_id, program, stage))
        score, proposal = evaluation.score, self.store.proposal_of(program_id)
        if score is None or proposal is None or stage != "search":
            return evaluation
        found: dict[str, float] = {}
        improved: bool | None = None
        for grader in self.graders:
            if grader.config.programs == "improved":
                improved = self._improved(program_id, evaluation) if improved is None else improved
                if not improved:
                    continue
            found |= await self._grade(grader, proposal, program)
        return replace(evaluation, score=replace(score, metrics={**score.metrics, **found}))

    async def _grade(self, grader: Grader, proposal: int, program: Program) -> Mapping[str, float]:
        """Return the metric; nothing where the model cannot be asked, or does not say."""
        request = grader.request(program)
        try:
            completion = await self._reply(grader.model, proposal, request)
        except (ModelUnavailable, InfrastructureError, BudgetExhausted) as error:
            self.tell(f"{grader.config.name} of program {program.id[:12]}: {error}")
            return {}
        grade = grader.read(completion)
        if isinstance(grade, str):
            self.tell(f"{grader.config.name} of program {program.id[:12]}: {grade}")
            return {}
        return {grader.config.metric: grade}

    async def _reply(self, model: str, proposal: int, request: Request) -> Completion:
        """Return the reply that was paid for already, here or in another run, or a new one."""
        known = self.store.replied(model, request.to_json(), None if self.anywhere else proposal)
        if known is not None:
            return stored_completion(known)
        return await self.completer(proposal, ())(model, request)

    def _improved(self, program_id: int, evaluation: Evaluation) -> bool:
        """Return whether a program is better than the one it was made from."""
        parents = self.store.program(program_id).entry.parents
        before = self.store.evaluation_of(parents[0], "search", evaluation.evaluator)
        assert evaluation.score is not None  # only those are graded
        if before is None or before.score is None:
            return True
        return self.problem.objective.better(evaluation.score.objective, before.score.objective)


def ungraded(evaluation: Evaluation) -> Evaluation:
    """Return an evaluation without grades: those of another program, or that another run wanted."""
    score = evaluation.score
    if score is None or not any(name.endswith(MODEL_GRADED) for name in score.metrics):
        return evaluation
    kept = {n: value for n, value in score.metrics.items() if not n.endswith(MODEL_GRADED)}
    return replace(evaluation, score=replace(score, metrics=kept))


def graded(
    judge: Judge,
    config: RunConfig,
    problem: Problem,
    store: Store,
    completer: Callable[[int, Sequence[CompletionRecord]], Complete],
    tell: Callable[[str], None],
) -> Judge:
    """Return a judge with the grades that a configuration asks for; the same one without any.

    The arguments are those of `Grading`. In strict order nothing depends on what other runs of
    the database hold.
    """
    if not config.grades:
        return judge
    first = writers(config)[0]
    graders = tuple(Grader(each, each.model or first, problem) for each in config.grades)
    anywhere = config.order != "strict"
    return Grading(judge, graders, problem, store, completer, anywhere, tell)
