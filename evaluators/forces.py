"""Forces between all pairs of bodies: a kernel that is quick, and right to single precision."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from evolve import Case, Evaluator, Invalid, Score, Usage
from evolve.core.evaluation import Stage

#: Keeps the force of two bodies in one place finite.
SOFTENING = 0.01
#: Largest error allowed, as a share of the root mean square force: ten times that of a plain sum.
TOLERANCE = 1e-4
#: Bodies of each case whose force is computed exactly.
SAMPLED = 128
SEEDS = {"search": 1, "held_out": 2}


class PairForces(Evaluator):
    """Minimise the time of a pair; a case is bodies in the unit cube.

    Args:
        sizes: Numbers of bodies, one case each after the one for warming up.
        held_out: The same, of the held-out cases.
    """

    def __init__(
        self, sizes: Sequence[int] = (32768, 65536), held_out: Sequence[int] = (50000, 100000)
    ) -> None:
        if min((*sizes, *held_out), default=0) < 2:
            raise ValueError("a case needs two bodies at least")
        self._sizes = {"search": tuple(sizes), "held_out": tuple(held_out)}

    def cases(self, stage: Stage) -> Iterable[Case]:
        """Yield positions and masses in single precision; the first case only warms up."""
        sizes = self._sizes[stage]
        rng = np.random.default_rng(SEEDS[stage])
        for number, size in enumerate((sizes[0], *sizes)):
            positions = rng.random((size, 3), dtype=np.float32)
            masses = rng.uniform(0.5, 1.5, size).astype(np.float32)
            inputs = {"positions": positions, "masses": masses}
            yield Case(inputs, name=f"{size} bodies, set {number}")

    def score(self, case: Case, output: object, usage: Usage) -> Score:
        """Refuse forces that are off; right ones score their time."""
        positions = np.asarray(case.inputs["positions"], np.float64)
        masses = np.asarray(case.inputs["masses"], np.float64)
        if not isinstance(output, np.ndarray) or output.dtype != np.float32:
            raise Invalid("forces must return an array of float32")
        if output.shape != positions.shape:
            raise Invalid(f"forces must have the shape {positions.shape}, not {output.shape}")
        sampled = sample(output)
        exact = forces_on(sampled, positions, masses)
        scale = math.sqrt(float((exact**2).sum(axis=1).mean()))
        error = float(np.abs(output[sampled] - exact).max()) / scale
        if not error <= TOLERANCE:
            raise Invalid(
                f"a force is off by {error:.3g} of the typical force, allowed is {TOLERANCE:g}"
            )
        pair = 1e3 * usage.wall_ns / len(positions) ** 2
        return Score(
            objective=pair,
            measures={"log10_error": math.log10(max(error, 1e-12))},
            feedback=f"{usage.wall_ns / 1e6:.2f} ms, {pair:.3f} ps a pair, error {error:.2g}",
        )

    def combine(self, scored: Sequence[tuple[Case, Score]]) -> Score:
        """Take the geometric mean of the times and the largest error."""
        together = super().combine(scored)
        times = [math.log(score.objective) for _, score in scored]
        return Score(
            objective=math.exp(math.fsum(times) / len(times)),
            measures={"log10_error": max(each.measures["log10_error"] for _, each in scored)},
            feedback=together.feedback,
        )


def sample(output: NDArray[np.float32]) -> NDArray[np.int64]:
    """Return the bodies whose forces are checked.

    They follow from all of the output, so nobody can know them before every force is chosen, not
    even who has read this.
    """
    seed = int.from_bytes(hashlib.sha256(output.tobytes()).digest()[:16], "big")
    rng = np.random.default_rng(seed)
    return rng.choice(len(output), min(SAMPLED, len(output)), replace=False)


def forces_on(
    which: NDArray[np.int64], x: NDArray[np.float64], m: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return the forces on some bodies at ``x`` of mass ``m``, shape ``(len(which), 3)``.

    The force on body i is the sum over j of m_i m_j (x_j - x_i) / (|x_j - x_i|^2 + s^2)^(3/2) with
    the softening s.
    """
    result = np.empty((len(which), 3))
    for row, i in enumerate(which):
        apart = x - x[i]
        squared = (apart**2).sum(axis=1) + SOFTENING**2
        result[row] = m[i] * ((m / squared**1.5) @ apart)
    return result
