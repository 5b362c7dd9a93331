"""The tune operator: CMA-ES proposes values for the numbers of a good program. Asks no model."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from evolve.core.errors import ConfigError
from evolve.core.program import Program
from evolve.propose.base import Candidate, Context, Individual, Rejected
from evolve.propose.constants import constants, with_values

if TYPE_CHECKING:
    from cmaes import CMA

_Vector = NDArray[np.float64]
#: Significant digits that a proposed number is written with.
_DIGITS = 9
#: Values drawn until they are some that the series has not tried: whole numbers repeat.
_DRAWS = 50


class TuneProposer:
    """Search the values of a program's numbers (`constants`), its structure unchanged.

    A series of proposals varies one elite. The distribution that the next values are drawn from is
    made anew each time from the programs of the series that were evaluated so far, in the order
    they were told: a generation of CMA-ES (Hansen and Ostermeier, 2001) is any that many of them.
    So there is no state to lose, and evaluations may run in parallel. A program that failed counts
    as the worst of its generation.

    Args:
        evaluations: Proposals in one series; then the best elite that is in none begins another.
        spread: Standard deviation of the first values, as a share of each number's size.
        most: Programs with more numbers than this are left alone.

    Raises:
        ConfigError: the package `cmaes` is not installed.
        ValueError: an argument is out of its range.
    """

    name = "tune"
    arbitrary_code = False
    varies = "series"

    def __init__(self, *, evaluations: int = 300, spread: float = 0.3, most: int = 60) -> None:
        if evaluations < 1 or most < 1:
            raise ValueError("evaluations and most must be at least 1")
        if not 0 < spread <= 10:
            raise ValueError(f"spread is {spread}, must be above 0 and at most 10")
        try:
            import cmaes  # noqa: F401 - only looked for, so that the run does not fail later
        except ImportError:
            raise ConfigError(
                "the tune operator needs the package cmaes: pip install 'evolve-engine[tune]'"
            ) from None
        self.series_length = evaluations
        self._spread, self._most = spread, most
        #: Parent and trials that the newest search was told of, so that the next goes on from it.
        self._latest: tuple[list[int], CMA] | None = None

    def suits(self, program: Program) -> bool:
        """Return whether the program has numbers to tune."""
        return 0 < len(constants(program)) <= self._most

    async def propose(self, context: Context) -> Candidate | Rejected:
        """Draw the next values."""
        parent = context.parent.program
        numbers, start = constants(parent), _values(parent)
        if not self.suits(parent):
            return Rejected("no_numbers", f"the program has {len(start)} numbers to tune")
        scale = np.where(start == 0, 1.0, start)
        search = self._search(context, start, scale)
        search.reseed_rng(context.seed)
        tried = {parent.id, *(trial.program.id for trial in context.trials)}
        program, draws = parent, 0
        while program.id in tried and draws < _DRAWS:
            drawn = zip(numbers, start + scale * search.ask(), strict=True)
            values = [each.fitting(float(f"{value:.{_DIGITS}g}")) for each, value in drawn]
            program, draws = with_values(parent, values), draws + 1
        summary = f"{len(numbers)} numbers, generation {search.generation}"
        return Candidate(program, (context.parent.id,), summary)

    def _search(self, context: Context, start: _Vector, scale: _Vector) -> CMA:
        """Return the search as it stands after the trials made so far."""
        from cmaes import CMA

        trials = [each for each in context.trials if len(_values(each.program)) == len(start)]
        ids = [context.parent.id, *(trial.id for trial in trials)]
        told, search = self._latest or ([], None)
        if search is None or ids[: len(told)] != told:
            told = [context.parent.id]
            search = CMA(mean=np.zeros(len(start)), sigma=self._spread, seed=0)
        size = search.population_size
        for first in range(len(told) - 1, len(trials) - size + 1, size):
            generation = trials[first : first + size]
            points = [(_values(trial.program) - start) / scale for trial in generation]
            search.tell(list(zip(points, _losses(generation, context), strict=True)))
            told = ids[: first + size + 1]
        self._latest = told, search
        return search


def _values(program: Program) -> _Vector:
    """Return the numbers of a tuned program, which may have become negative."""
    return np.array([constant.value for constant in constants(program)], dtype=np.float64)


def _losses(trials: list[Individual], context: Context) -> list[float]:
    """Return what is to be minimised, for programs without a score the worst there is."""
    objective = context.problem.objective
    scores = [trial.evaluation.score for trial in trials]
    known = [-objective.fitness(score.objective) for score in scores if score is not None]
    worst = max(known, default=0.0) + 1.0
    return [worst if s is None else -objective.fitness(s.objective) for s in scores]
