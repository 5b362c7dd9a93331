"""Compares with exact results, which stay here, and takes the time measured from outside."""

import math
from collections.abc import Iterable, Sequence

import numpy as np

from evolve import Case, Evaluator, Invalid, Score, Usage

TOLERANCE = 1e-5
#: Rows and columns of each case. The first one is for warming up.
SHAPES = {
    "search": [(64, 64), (256, 64), (1024, 32), (64, 2048)],
    "held_out": [(32, 32), (100, 700), (2048, 48)],
}
SEEDS = {"search": 1, "held_out": 2}


class Softmax(Evaluator):
    """Correct within a tolerance that gains nothing, and quick."""

    def cases(self, stage: str) -> Iterable[Case]:
        """Yield inputs drawn from a fixed seed."""
        rng = np.random.default_rng(SEEDS[stage])
        for shape in SHAPES[stage]:
            x = rng.uniform(-50, 50, size=shape).astype(np.float32)
            yield Case({"x": x}, name=f"{shape[0]} x {shape[1]}")

    def score(self, case: Case, output: object, usage: Usage) -> Score:
        """Refuse a wrong answer; a right one scores its time."""
        x = case.inputs["x"]
        if not isinstance(output, np.ndarray) or output.dtype != x.dtype or output.shape != x.shape:
            raise Invalid(f"softmax must return an array of float32 of shape {x.shape}")
        error = float(np.abs(output - exact(x)).max())
        if not error <= TOLERANCE:
            raise Invalid(f"an element is off by {error:.3g}, allowed is {TOLERANCE:g}")
        return Score(
            objective=usage.wall_ns / x.size,
            measures={"log10_error": math.log10(max(error, 1e-17))},
            feedback=f"{usage.wall_ns / x.size:.2f} ns per element, error {error:.2g}",
        )

    def combine(self, scored: Sequence[tuple[Case, Score]]) -> Score:
        """Take the geometric mean of the times and the largest error."""
        together = super().combine(scored)
        times = [math.log(score.objective) for _, score in scored]
        worst = max(score.measures["log10_error"] for _, score in scored)
        return Score(
            objective=math.exp(math.fsum(times) / len(times)),
            measures={"log10_error": worst},
            feedback=together.feedback,
        )


def exact(x: np.ndarray) -> np.ndarray:
    """Return the softmax of each row in double precision."""
    powers = np.exp(x.astype(np.float64) - x.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)
