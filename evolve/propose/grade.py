"""A model grades a program by a question: its opinion is a metric, and never more than that.

What it is shown depends on the question and the program alone, so that the same program is asked
about in the same words in every run, and a reply that was paid for can serve again.
"""

from __future__ import annotations

import re

import numpy as np

from evolve.config.grading import GradeConfig
from evolve.config.problem import Problem
from evolve.core.evaluation import Evaluation, Outcome
from evolve.core.program import Program
from evolve.llm.base import Completion, Request
from evolve.propose.base import Context, Individual
from evolve.propose.llm import unusable_reply
from evolve.propose.prompt import PromptWriter, TokenBudget

#: Models write the minus sign of typography, too.
_GRADE = re.compile(r"^\W*GRADE\W*?([-\u2212]?(?:\d+(?:\.\d+)?|\.\d+))\W*$", re.MULTILINE)
#: A seed that every server takes.
_SEEDS = 2**31


class Grader:
    """Ask about programs, and read the grades.

    Args:
        config: The question and the scale.
        model: Id of the model that is asked.
        problem: What programs are for.
    """

    def __init__(self, config: GradeConfig, model: str, problem: Problem) -> None:
        self.config, self.model, self._problem = config, model, problem
        self._writer = PromptWriter(
            "grade.j2", template_dir=None, tokens=TokenBudget(), system="grade_system.j2"
        )

    def request(self, program: Program) -> Request:
        """Return what the model is asked about a program."""
        rng = np.random.default_rng(int(program.id[:16], 16))
        seed = int(rng.integers(_SEEDS))
        shown = Individual(0, program, Evaluation(Outcome.OK), 0)
        context = Context(self._problem, shown, (), rng, seed, _nobody)
        config = self.config
        messages = self._writer.write(
            context, ask=config.ask.strip(), low=config.low, high=config.high
        )
        return Request(messages, seed=seed)

    def read(self, completion: Completion) -> float | str:
        """Return the grade that a reply ends with, or why there is none."""
        unusable = unusable_reply(completion)
        if unusable is not None:
            return unusable.message
        found = _GRADE.findall(completion.text)
        if not found:
            return f"the reply ends without a grade: {completion.text.strip()[-200:]}"
        grade = float(found[-1].replace("\u2212", "-"))
        if not self.config.low <= grade <= self.config.high:
            return f"the grade {grade:g} is not on the scale"
        return grade


async def _nobody(model: str, request: Request) -> Completion:  # noqa: ARG001 - as `Complete` is
    raise AssertionError("a grader writes prompts only")
