"""The arm repertoire with the same steps in our archive and in pyribs'.

Both start from the stretched arm, take an elite of a random cell, add Gaussian noise to its angles,
clip them, and put the result into a grid of 50 x 50 cells. What may differ is the archive alone, so
coverage and QD score should agree within the spread of the seeds. Usage::

    python benchmarks/arm.py [--evaluations 20000] [--seeds 5]
"""

from __future__ import annotations

import argparse

import numpy as np
from ribs.archives import GridArchive as RibsArchive

from evolve.archive.base import AddStatus
from evolve.archive.grid import GridArchive
from evolve.core.measures import Measure

JOINTS, CELLS, SIGMA, OFFSET = 12, 50, 0.2, -9.0


def judged(angles: np.ndarray) -> tuple[float, float, float]:
    """Return objective and place, as `evaluators/arm.py` computes them."""
    directions = np.cumsum(angles)
    return (
        1 - float(angles.var()),
        float(np.cos(directions).mean()),
        float(np.sin(directions).mean()),
    )


def varied(rng: np.random.Generator, parent: np.ndarray) -> np.ndarray:
    return np.clip(parent + rng.normal(0, SIGMA, JOINTS), -np.pi, np.pi)


def ours(seed: int, evaluations: int) -> tuple[float, float]:
    """Return coverage and QD score with our archive."""
    rng = np.random.default_rng(seed)
    archive = GridArchive([Measure("x", -1, 1, CELLS), Measure("y", -1, 1, CELLS)], offset=OFFSET)
    kept: list[np.ndarray] = []
    cells: dict[int, int] = {}  # to the number of the elite in it
    for number in range(evaluations):
        keys = list(cells.values())
        parent = kept[keys[int(rng.integers(len(keys)))]] if keys else None
        kept.append(np.zeros(JOINTS) if parent is None else varied(rng, parent))
        objective, x, y = judged(kept[number])
        result = archive.add(number, objective, {"x": x, "y": y})
        if result.status is not AddStatus.NOT_ADDED:
            cells[result.cell] = number
    stats = archive.stats()
    assert stats.coverage is not None
    return stats.coverage, stats.qd_score


def theirs(seed: int, evaluations: int) -> tuple[float, float]:
    """Return coverage and QD score with pyribs' archive."""
    rng = np.random.default_rng(seed)
    archive = RibsArchive(
        solution_dim=JOINTS, dims=[CELLS, CELLS], ranges=[(-1, 1), (-1, 1)], qd_score_offset=OFFSET
    )
    solution = np.zeros(JOINTS)
    for number in range(evaluations):
        if number:
            stored = archive.data("solution")
            solution = varied(rng, stored[int(rng.integers(len(stored)))])
        objective, x, y = judged(solution)
        archive.add_single(solution, objective, [x, y])
    return float(archive.stats.coverage), float(archive.stats.qd_score)


def main() -> None:
    """Print the medians and the range over the seeds."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--evaluations", type=int, default=20_000)
    parser.add_argument("--seeds", type=int, default=5)
    given = parser.parse_args()
    print("| archive | coverage | QD score |\n|---|---:|---:|")
    for name, run in (("ours", ours), ("pyribs", theirs)):
        found = np.array([run(seed, given.evaluations) for seed in range(given.seeds)])
        cells = [
            f"{np.median(column):.4g} [{column.min():.4g}, {column.max():.4g}]"
            for column in found.T
        ]
        print(f"| {name} | " + " | ".join(cells) + " |")


if __name__ == "__main__":
    main()
