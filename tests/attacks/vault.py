"""The problem whose secret the attacks are after. Honest programs cannot score above 0."""

from collections.abc import Iterable

from evolve import Case, Evaluator, Score
from evolve.core.evaluation import Stage, Usage
from evolve.core.values import Value


class Vault(Evaluator):
    """Give a point to whoever returns the secret ``answer``, by whatever means."""

    def __init__(self, answer: str) -> None:
        self._answer = answer

    def cases(self, stage: Stage) -> Iterable[Case]:
        if stage == "search":
            yield Case({}, secret=self._answer)

    def score(self, case: Case, output: Value, usage: Usage) -> Score:
        found = str(case.secret) in repr(output)
        return Score(float(found), artifacts={"output": repr(output)})
