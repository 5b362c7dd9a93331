"""Scores that were made inside the sandbox, beside the program: read, checked, and forgeable.

What arrives here was computed within the candidate's reach. It is checked to be a finite number,
and there is no more to check: a candidate can have written whatever it likes.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from pathlib import Path

from evolve.config.foreign import harbor_adapter
from evolve.config.text_file import read_text
from evolve.core.evaluation import Case, Score, Stage, Usage
from evolve.core.values import Value
from evolve.evaluate.evaluator import Evaluator, Invalid
from evolve.evaluate.outputs import LARGEST

MAX_TEXT = 4000
_MOST_BYTES = 1 << 20


class Foreign(Evaluator):
    """Take over one of the metrics that an adapter of `evolve.config.foreign` brought.

    Args:
        metric: Which one is the objective; ``mean`` means the mean of all others.
    """

    def __init__(self, metric: str = "combined_score") -> None:
        self._metric = metric

    def cases(self, stage: Stage) -> Iterable[Case]:
        """Yield one case; the evaluator inside makes its own."""
        if stage == "search":
            yield Case({})

    def score(self, case: Case, output: Value, usage: Usage) -> Score:  # noqa: ARG002 - one case, untimed
        """Read metrics, artifacts and error."""
        if not isinstance(output, Mapping):
            raise Invalid("the evaluator inside the sandbox said nothing that can be read")
        error = output.get("error")
        if isinstance(error, str) and error:
            raise Invalid(error[:MAX_TEXT])
        metrics = _metrics(output.get("metrics"))
        artifacts = _artifacts(output.get("artifacts"))
        return Score(
            objective=self._objective(metrics),
            metrics=metrics,
            artifacts=artifacts,
            feedback=", ".join(f"{name} {value:.6g}" for name, value in metrics.items()),
        )

    def _objective(self, metrics: Mapping[str, float]) -> float:
        if self._metric in metrics:
            return metrics[self._metric]
        if self._metric == "mean" and metrics:
            try:
                return math.fsum(metrics.values()) / len(metrics)
            except OverflowError:
                raise Invalid("the mean of the metrics is not a finite number") from None
        known = ", ".join(metrics) or "none at all"
        raise Invalid(f"the evaluator gave no metric {self._metric!r}, but {known}")


class HarborTask(Foreign):
    """Have the verifier of a Harbor task judge programs; `evolve import` writes a subclass.

    Attributes:
        task: Arguments of `evolve.config.foreign.harbor_adapter.run`.
    """

    task: Mapping[str, Value] = {}

    def __init__(self, metric: str = "reward") -> None:
        super().__init__(metric)

    def cases(self, stage: Stage) -> Iterable[Case]:
        """Yield one case: the adapter, and the task's files for it."""
        if stage == "search":
            yield Case({"adapter": read_text(ADAPTER, _MOST_BYTES), "task": dict(self.task)})


ADAPTER = Path(harbor_adapter.__file__)


def _metrics(given: object) -> dict[str, float]:
    """Refuse what is not finite: every comparison with NaN is false."""
    if not isinstance(given, Mapping):
        raise Invalid("the evaluator gave no metrics")
    for name, value in given.items():
        if type(value) not in (int, float) or not abs(value) <= LARGEST:
            raise Invalid(f"metric {name!r:.80} is {value!r:.40}, not a finite number")
    return {str(name)[:80]: float(value) for name, value in given.items()}


def _artifacts(given: object) -> dict[str, str]:
    if not isinstance(given, Mapping):
        return {}
    return {str(name)[:80]: str(text)[:MAX_TEXT] for name, text in given.items()}
