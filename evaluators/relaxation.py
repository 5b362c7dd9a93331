"""Successive over-relaxation: choose the parameter for a sequence of linear systems that drifts.

The setting of Khodak et al., *Learning to Relax: Setting Solver Parameters Across a Sequence of
Linear System Instances* (ICLR 2024). Instances were made for this project.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

from evolve import Call, Case, Evaluator, Invalid, Score, Usage
from evolve.core.evaluation import Stage
from evolve.core.values import Value

Floats = NDArray[np.float64]

TOLERANCE: Final = 1e-6
MOST_ITERATIONS: Final = 400
#: Parameters among which the best constant one is looked for.
GRID: Final = tuple(np.linspace(0.5, 1.95, 30).round(3).tolist())


@dataclass(frozen=True, slots=True)
class Systems:
    """Systems ``(A + shift I) x = b`` on a square grid of ``side`` points.

    Attributes:
        side: Points along one side; ``A`` is the five-point Laplacian.
        shifts: Of every system in turn.
        seed: Origin of the right-hand sides.
    """

    side: int
    shifts: tuple[float, ...]
    seed: int


#: Name, grid side, number of systems, and how the shift moves, of each sequence.
_SEQUENCES: Final[dict[Stage, tuple[tuple[str, int, int, str], ...]]] = {
    "search": (("slow drift", 12, 40, "drift"), ("periodic", 12, 40, "wave")),
    "held_out": (
        ("jumps", 12, 40, "jumps"),
        ("slow drift, larger", 16, 40, "drift"),
        ("independent", 10, 40, "noise"),
    ),
}
_SEEDS: Final[dict[Stage, int]] = {"search": 1, "held_out": 2}


class Relaxation(Evaluator):
    """Minimise iterations over those of the best constant parameter in hindsight.

    A policy sees the shift of the next system and how many iterations earlier ones took with which
    parameter; matrix and right-hand side stay here, and so does the count.
    """

    def cases(self, stage: Stage) -> Iterable[Case]:
        """Yield sequences drawn from a fixed seed."""
        rng = np.random.default_rng(_SEEDS[stage])
        for name, side, count, kind in _SEQUENCES[stage]:
            shifts = tuple(_shifts(rng, count, kind))
            yield Case({}, name=name, secret=Systems(side, shifts, int(rng.integers(2**31))))

    async def interact(self, case: Case, call: Call) -> Value:
        """Ask for the parameter of each system and solve it."""
        sequence = _known(case)
        shifts: list[float] = []
        chosen: list[float] = []
        taken: list[int] = []
        for index, shift in enumerate(sequence.shifts):
            omega = parameter(
                await call(
                    shift=shift,
                    shifts=np.array(shifts),
                    omegas=np.array(chosen),
                    iterations=np.array(taken, dtype=float),
                )
            )
            taken.append(iterations(sequence, index, omega))
            shifts.append(shift)
            chosen.append(omega)
        return [chosen, taken]

    def score(self, case: Case, output: Value, usage: Usage) -> Score:  # noqa: ARG002 - untimed
        """Compare the iterations that `interact` counted with the best constant's."""
        assert isinstance(output, list)
        chosen, taken = (np.array(each, dtype=float) for each in output)
        omega, best = best_constant(_known(case))
        return Score(
            objective=float(taken.sum() / best),
            measures={"mean_omega": float(chosen.mean()), "restlessness": float(chosen.std())},
            metrics={"iterations": float(taken.mean())},
            feedback=f"{taken.mean():.1f} iterations each; {omega} always: {best / len(taken):.1f}",
        )


def parameter(answer: Value) -> float:
    """Return a relaxation parameter, or refuse what is none.

    Raises:
        Invalid: it is no number strictly between 0 and 2, outside of which nothing converges.
    """
    if type(answer) not in (int, float) or not 0 < answer < 2:  # type: ignore[operator]  # a number
        raise Invalid(f"omega must be a number strictly between 0 and 2, not {answer!r:.60}")
    return float(answer)  # type: ignore[arg-type]  # as above


@cache
def iterations(sequence: Systems, index: int, omega: float) -> int:
    """Return how many sweeps reduce the residual by `TOLERANCE`, at most `MOST_ITERATIONS`.

    A sweep takes the points of the grid in red-black order, which vectorises and converges like the
    usual one.
    """
    rng = np.random.default_rng((sequence.seed, index))
    side, diagonal = sequence.side, 4.0 + sequence.shifts[index]
    b = rng.normal(size=(side, side))
    red = np.add.outer(np.arange(side), np.arange(side)) % 2 == 0
    x = np.zeros((side + 2, side + 2))
    limit = TOLERANCE * math.sqrt(float((b**2).sum()))
    inner = x[1:-1, 1:-1]
    for sweep in range(1, MOST_ITERATIONS + 1):
        for mask in (red, ~red):
            around = x[:-2, 1:-1] + x[2:, 1:-1] + x[1:-1, :-2] + x[1:-1, 2:]
            inner[mask] += omega * ((b + around)[mask] / diagonal - inner[mask])
        around = x[:-2, 1:-1] + x[2:, 1:-1] + x[1:-1, :-2] + x[1:-1, 2:]
        residual = float(((b + around - diagonal * inner) ** 2).sum())
        if residual <= limit**2:
            return sweep
    return MOST_ITERATIONS


@cache
def best_constant(sequence: Systems) -> tuple[float, int]:
    """Return the parameter of `GRID` with the fewest iterations in all, and those."""
    totals = {
        omega: sum(iterations(sequence, index, omega) for index in range(len(sequence.shifts)))
        for omega in GRID
    }
    best = min(totals, key=lambda omega: (totals[omega], omega))
    return best, totals[best]


def _known(case: Case) -> Systems:
    """Return the scorer's own sequence of a case."""
    assert isinstance(case.secret, Systems)
    return case.secret


def _shifts(rng: np.random.Generator, count: int, kind: str) -> Floats:
    """Draw the shifts of a sequence, all positive: on a logarithmic scale from 0.003 to 3."""
    if kind == "drift":
        logs = np.cumsum(rng.normal(0, 0.25, size=count)) - 1.5
    elif kind == "wave":
        logs = -1.0 + 1.5 * np.sin(np.arange(count) / 4 + rng.random())
    elif kind == "jumps":
        logs = np.repeat(rng.uniform(-2.5, 0.5, size=count // 8 + 1), 8)[:count]
    else:
        logs = rng.uniform(-2.5, 0.5, size=count)
    return np.asarray(10 ** np.clip(logs, -2.5, 0.5))
