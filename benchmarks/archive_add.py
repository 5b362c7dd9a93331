"""Measure archive additions one at a time, ours beside pyribs.

The data are uniform: two measures and an objective in [0, 1) from ``default_rng(0)``, into a
100 x 100 grid. Both archives must end with the same QD score. Times are CPU time of this process,
which other work on the machine disturbs less than the clock. Usage::

    python benchmarks/archive_add.py [--ours 1000000] [--ribs 50000]
"""

from __future__ import annotations

import argparse
import platform
import time

import numpy as np
import ribs
from numpy.typing import NDArray
from ribs.archives import GridArchive as RibsGridArchive

from evolve.archive.grid import GridArchive
from evolve.core.measures import Measure

MEASURES = (Measure("x", 0.0, 1.0, 100), Measure("y", 0.0, 1.0, 100))


def time_ours(
    measures: NDArray[np.float64], objectives: NDArray[np.float64]
) -> tuple[float, float]:
    offers = [
        (key, fitness, {"x": x, "y": y})
        for key, ((x, y), fitness) in enumerate(
            zip(measures.tolist(), objectives.tolist(), strict=True)
        )
    ]
    archive = GridArchive(MEASURES)
    start = time.process_time()
    for key, fitness, position in offers:
        archive.add(key, fitness, position)
    return time.process_time() - start, archive.stats().qd_score


def time_ribs(
    measures: NDArray[np.float64], objectives: NDArray[np.float64]
) -> tuple[float, float]:
    archive = RibsGridArchive(solution_dim=1, dims=[100, 100], ranges=[(0, 1), (0, 1)])
    solutions = np.arange(len(objectives), dtype=float)[:, None]
    archive.add_single(solutions[0], objectives[0], measures[0])  # compiles its kernels
    archive.clear()
    start = time.process_time()
    for solution, objective, position in zip(solutions, objectives, measures, strict=True):
        archive.add_single(solution, objective, position)
    return time.process_time() - start, float(archive.stats.qd_score)


def main() -> None:
    parser = argparse.ArgumentParser(description="time archive additions, one at a time")
    parser.add_argument("--ours", type=int, default=1_000_000, help="additions to our archive")
    parser.add_argument("--ribs", type=int, default=50_000, help="additions to pyribs' archive")
    args = parser.parse_args()

    rng = np.random.default_rng(0)
    count = max(args.ours, args.ribs)
    measures, objectives = rng.random((count, 2)), rng.random(count)
    _, ours_check = time_ours(measures[: args.ribs], objectives[: args.ribs])
    ribs_s, ribs_check = time_ribs(measures[: args.ribs], objectives[: args.ribs])
    assert np.isclose(ours_check, ribs_check, rtol=1e-12), (ours_check, ribs_check)
    ours_s, qd_score = time_ours(measures[: args.ours], objectives[: args.ours])

    print(f"Python {platform.python_version()}, numpy {np.__version__}, ribs {ribs.__version__}")
    print(f"{'archive':<20}{'additions':>12}{'CPU s':>10}{'per CPU s':>12}{'us each':>10}")
    for name, size, seconds in (
        ("evolve GridArchive", args.ours, ours_s),
        ("pyribs add_single", args.ribs, ribs_s),
    ):
        each = seconds / size
        print(f"{name:<20}{size:>12,}{seconds:>10.2f}{1 / each:>12,.0f}{each * 1e6:>10.2f}")
    print(f"ratio {(ribs_s / args.ribs) / (ours_s / args.ours):.1f}")
    print(f"QD score after {args.ribs:,}: {ours_check:.3f} and {ribs_check:.3f}", end="; ")
    print(f"ours after {args.ours:,}: {qd_score:.3f}")


if __name__ == "__main__":
    main()
