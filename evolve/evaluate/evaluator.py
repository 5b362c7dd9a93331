"""What a user writes: an `Evaluator` makes the cases and scores what a program returned for them.

An evaluator is trusted code. It runs in a scorer process of its own that never imports a program,
and it sees plain data and the resource usage measured from outside.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import islice
from typing import TypeAlias, TypeVar

from evolve.core.evaluation import Case, Score, Stage, Usage
from evolve.core.values import Value
from evolve.evaluate.scores import IMAGE_LIMIT

T = TypeVar("T")

#: Call the program's entrypoint, or a named top-level function of it, with keyword arguments.
Call: TypeAlias = Callable[..., Awaitable[Value]]


class Invalid(Exception):
    """Raise in `Evaluator.score` or `Evaluator.interact` to refuse an output.

    The message goes into the next prompt: say which constraint broke, where and by how much.
    """


class Evaluator(ABC):
    """Base class of evaluators; ``evaluator_options`` of the problem become keyword arguments.

    Only `cases` and `score` must be written.
    """

    @abstractmethod
    def cases(self, stage: Stage) -> Iterable[Case]:
        """Yield the inputs of ``stage``, the same ones every time.

        ``search`` cases steer selection; ``held_out`` cases are scored for reported programs only.
        """

    @abstractmethod
    def score(self, case: Case, output: Value, usage: Usage) -> Score:
        """Judge what the program returned for ``case``.

        Args:
            case: The case as `cases` made it; the program had a copy of its inputs.
            output: Plain data: JSON values and numeric arrays. Anything can be in it.
            usage: Wall and CPU time and memory of the call, measured outside the program.

        Raises:
            Invalid: the output breaks a constraint.
        """

    async def interact(self, case: Case, call: Call) -> Value:
        """Drive the program through ``case`` and return the output to be scored.

        The default calls the entrypoint once with the case's inputs. Override it when the program
        must not see the whole input at once; ``await call(x=1)`` is one call across the boundary,
        ``await call(x=1, function="name")`` reaches another top-level function.
        """
        return await call(**case.inputs)

    def reseed(self, case: Case, seed: int) -> Case:
        """Return ``case`` as a repeat with that seed runs it; used where noise is declared.

        The same repeat has the same seed for every program, so that two programs meet the same
        chance. The default only notes it as ``case.seed``, for `score` and `interact`; override it
        to make the case's inputs from the seed. What it returns must follow from both arguments
        alone.
        """
        return replace(case, seed=seed)

    def combine(self, scored: Sequence[tuple[Case, Score]]) -> Score:
        """Fold the scores of all cases into the program's; by default the mean of every number.

        The default keeps the artifacts of all cases, and the first images.
        """
        scores = [score for _, score in scored]
        return Score(
            objective=math.fsum(score.objective for score in scores) / len(scores),
            measures=_means([score.measures for score in scores]),
            metrics=_means([score.metrics for score in scores]),
            feedback="\n".join(
                f"{case.name}: {score.feedback}" if case.name else score.feedback
                for case, score in scored
                if score.feedback
            ),
            artifacts=_named((case, score.artifacts) for case, score in scored),
            images=dict(
                islice(_named((case, score.images) for case, score in scored).items(), IMAGE_LIMIT)
            ),
        )


def _named(scored: Iterable[tuple[Case, Mapping[str, T]]]) -> dict[str, T]:
    """Gather what cases have by name, under the names of their cases."""
    return {
        f"{case.name}/{name}" if case.name else name: each
        for case, named in scored
        for name, each in named.items()
    }


def _means(rows: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """Average each key over the rows that have it."""
    names = dict.fromkeys(name for row in rows for name in row)
    return {
        name: math.fsum(values) / len(values)
        for name in names
        if (values := [row[name] for row in rows if name in row])
    }
