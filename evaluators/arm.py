"""A planar arm with many joints: reach every place, with joints that bend alike.

The illumination benchmark of Cully et al., *Robots that can adapt like animals* (Nature, 2015), and
of most quality-diversity libraries since.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from evolve import Case, Evaluator, Score, Usage
from evolve.core.evaluation import Stage
from evolve.core.values import Value
from evolve.evaluate.outputs import numbers


class Arm(Evaluator):
    """Place the end of an arm of ``joints`` equal links, of length 1 together.

    Args:
        joints: At least 1.

    Raises:
        ValueError: there is no joint.
    """

    def __init__(self, joints: int = 12) -> None:
        if joints < 1:
            raise ValueError(f"joints is {joints}, must be at least 1")
        self._joints = joints

    def cases(self, stage: Stage) -> Iterable[Case]:
        """Yield the one case: a posture is the whole problem."""
        if stage == "search":
            yield Case({"joints": self._joints})

    def score(self, case: Case, output: Value, usage: Usage) -> Score:  # noqa: ARG002 - untimed
        """Compute where the arm ends, and how alike its joints bend."""
        angles = np.array(
            numbers(output, count=self._joints, low=-np.pi, high=np.pi, name="angle"), dtype=float
        )
        x, y = end_of(angles)
        return Score(
            objective=1.0 - float(angles.var()),
            measures={"x": x, "y": y},
            feedback=f"the arm ends at ({x:.3f}, {y:.3f})",
        )


def end_of(angles: np.ndarray) -> tuple[float, float]:
    """Return where an arm ends that starts at the origin along the first axis.

    Args:
        angles: Of every joint relative to the link before, in radians, shape ``(joints,)``.
    """
    directions = np.cumsum(angles)
    return float(np.cos(directions).mean()), float(np.sin(directions).mean())
