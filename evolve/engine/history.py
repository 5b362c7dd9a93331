"""What a search knows of its earlier proposals: a fold over what ended, in the order it is told."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable

from evolve.core.evaluation import Outcome
from evolve.engine.embedded import Calls, Embedded
from evolve.engine.mail import Mail
from evolve.propose.base import UNRELATED, Attempt, Proposer, Varies
from evolve.store.records import Ended

#: Newest attempts kept for one parent.
ATTEMPTS = 12
#: Parents whose attempts are kept: those that were tried last.
PARENTS = 2**14
#: Newest failed programs that may still be repaired.
FAILURES = 32
#: Outcomes that are no mistake of the program: it works, is only too bad, or the evaluator failed.
_NOT_MENDABLE = (Outcome.OK, Outcome.BELOW_THRESHOLD, Outcome.EVALUATOR_ERROR)
_NO_MAIL = Mail()


def varies(operator: Proposer) -> Varies:
    """Return what an operator takes as the parent."""
    kind: Varies = getattr(operator, "varies", "elite")
    return kind


class History:
    """Earlier proposals as far as later ones depend on them.

    The same facts told in the same order make the same history, so that it can be rebuilt from the
    store.

    Args:
        operators: The operators of the run.
        mail: What people send to it.
        calls: Where its calls of embedding models are.
    """

    def __init__(
        self,
        operators: Iterable[Proposer] = (),
        mail: Mail = _NO_MAIL,
        calls: Calls | None = None,
    ) -> None:
        operators = tuple(operators)
        self._made_of = operators, mail, calls
        self.mail = mail
        self.embedded = Embedded(operators, calls)
        self.seed: int | None = None  #: the seed program, once it was told of
        kinds = {operator.name: varies(operator) for operator in operators}
        self._repairing = {name for name, kind in kinds.items() if kind == "failure"}
        self._serial = {name for name, kind in kinds.items() if kind == "series"}
        self._attempts: dict[int, deque[Ended]] = {}
        self._failures: dict[int, int | None] = {}
        self._mended: set[int] = set()
        self._series: dict[str, dict[int, list[int]]] = {name: {} for name in self._serial}
        self._told: dict[tuple[str, int], int] = {}

    def afresh(self) -> History:
        """Return the history of the same run before anything happened."""
        return History(*self._made_of)

    def begun(self, operator: str, parents: Iterable[int]) -> None:
        """Note that an operator is at work: on a failure no other needs to mend, or on a series."""
        if operator in self._repairing:
            for parent in parents:
                self._mended.add(parent)  # it may be told of only later
                self._failures.pop(parent, None)
        elif operator in self._serial:
            for parent in parents:
                self._series[operator].setdefault(parent, [])

    def tell(self, ended: Ended) -> None:
        """Take note of a proposal that ended."""
        self.begun(ended.operator, ended.parents[:1])
        self.embedded.tell(ended)
        if ended.iteration is None:
            self.seed = ended.program_id
        if not ended.parents or ended.ended in UNRELATED:
            return
        parent = ended.parents[0]
        attempts = self._attempts.pop(parent, None) or deque(maxlen=ATTEMPTS)
        attempts.append(ended)
        self._attempts[parent] = attempts
        if len(self._attempts) > PARENTS:
            del self._attempts[next(iter(self._attempts))]
        if ended.operator in self._serial:
            self._told[ended.operator, parent] = self.tried(ended.operator, parent) + 1
            if ended.program_id is not None:
                self._series[ended.operator][parent].append(ended.program_id)
        elif ended.program_id is not None and ended.operator not in self._repairing:
            self._note_failure(ended.program_id, parent, ended.ended)

    def attempts(self, parent: int) -> tuple[Attempt, ...]:
        """Return what was made of a program, the newest last."""
        return tuple(
            Attempt(each.operator, each.summary, each.ended, each.objective, each.message)
            for each in self._attempts.get(parent, ())
        )

    def failure(self) -> tuple[int, int | None] | None:
        """Return the newest failed program that no one tried to repair, and its parent."""
        return next(reversed(self._failures.items()), None)

    def tried(self, operator: str, root: int) -> int:
        """Return how many proposals of a series have ended."""
        return self._told.get((operator, root), 0)

    def trials(self, operator: str, root: int) -> tuple[int, ...]:
        """Return the evaluated programs of a series, in the order they were told."""
        return tuple(self._series.get(operator, {}).get(root, ()))

    def open_series(self, operator: str, length: int) -> int | None:
        """Return the parent of the oldest series with fewer than ``length`` proposals, if any."""
        roots = self._series.get(operator, {})
        return next((root for root in roots if self.tried(operator, root) < length), None)

    def in_series(self, operator: str) -> frozenset[int]:
        """Return the parents and the programs of all series of an operator."""
        roots = self._series.get(operator, {})
        return frozenset(roots).union(*roots.values())

    def _note_failure(self, program: int, parent: int, outcome: str) -> None:
        if not self._repairing or program in self._mended:
            return
        if outcome in _NOT_MENDABLE:
            return
        self._failures[program] = parent
        while len(self._failures) > FAILURES:
            del self._failures[next(iter(self._failures))]
