"""Measure archive additions one at a time: every kind of ours, and pyribs where it has the same.

The data are uniform: two measures and an objective in [0, 1) from ``default_rng(0)``, for fronts a
second objective likewise. The grid has 100 x 100 cells, the tessellation 1000 centroids, niches
open at a distance of 0.03. The grid and the tessellation must end with the QD score of pyribs'.
Times are CPU time of this process, which other work on the machine disturbs less than the clock.
The ratio is how much longer an addition takes in pyribs. Usage::

    python benchmarks/archive_add.py [--ours 1000000] [--ribs 50000] [--others 50000]
"""

from __future__ import annotations

import argparse
import platform
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import ribs
from numpy.typing import NDArray
from ribs.archives import CVTArchive as RibsCVTArchive
from ribs.archives import GridArchive as RibsGridArchive

from evolve.archive.base import Archive
from evolve.archive.cvt import spread_centroids
from evolve.archive.spec import ArchiveSpec
from evolve.core.measures import Measure, Objective, Spacing

CENTROIDS, THRESHOLD = 1000, 0.03


def axes(scale: Spacing = "linear", low: float = 0.0) -> tuple[Measure, ...]:
    return Measure("x", low, 1.0, 100, scale), Measure("y", low, 1.0, 100, scale)


def specs(centroids: NDArray[np.float64]) -> dict[str, ArchiveSpec]:
    """Return every kind by name; the plain grid first."""
    points = tuple(map(tuple, centroids.tolist()))
    quantile = axes("quantile")
    cut = tuple(axis.cut(np.linspace(0, 1, 1000) ** 2) for axis in quantile)
    return {
        "grid": ArchiveSpec(axes()),
        "grid, log": ArchiveSpec(axes("log", 1e-3)),
        "grid, quantile": ArchiveSpec(cut),
        "grid, depth 5": ArchiveSpec(axes(), depth=5),
        "grid, fronts of 10": ArchiveSpec(axes(), depth=10, objectives=(Objective("second"),)),
        f"cvt, {CENTROIDS} cells": ArchiveSpec(axes(), kind="cvt", centroids=points),
        "novelty": ArchiveSpec(axes(), kind="novelty", threshold=THRESHOLD),
    }


def time_ours(spec: ArchiveSpec, data: NDArray[np.float64]) -> tuple[float, Archive]:
    offers = [
        (key, fitness, {"x": x, "y": y}, {"second": second})
        for key, (x, y, fitness, second) in enumerate(data.tolist())
    ]
    archive = spec.build()
    start = time.process_time()
    for offer in offers:
        archive.add(*offer)
    return time.process_time() - start, archive


def time_ribs(make: Callable[[], Any], data: NDArray[np.float64]) -> tuple[float, float]:
    archive = make()
    solutions = np.arange(len(data), dtype=float)[:, None]
    archive.add_single(solutions[0], data[0, 2], data[0, :2])  # compiles its kernels
    archive.clear()
    start = time.process_time()
    for solution, row in zip(solutions, data, strict=True):
        archive.add_single(solution, row[2], row[:2])
    return time.process_time() - start, float(archive.stats.qd_score)


def print_row(name: str, count: int, seconds: float, archive: str, ratio: str = "") -> None:
    each = seconds / count
    figures = f"{count:>12,}{seconds:>10.2f}{1 / each:>12,.0f}{each * 1e6:>10.2f}"
    print(f"{name:<26}{figures}{archive:>16}{ratio:>8}")


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description="time archive additions, one at a time")
    parser.add_argument("--ours", type=int, default=1_000_000, help="additions to our grid")
    parser.add_argument("--others", type=int, default=50_000, help="additions to our other kinds")
    parser.add_argument("--ribs", type=int, default=50_000, help="additions to pyribs' archives")
    args = parser.parse_args(arguments)

    count = max(args.ours, args.ribs, args.others)
    rng = np.random.default_rng(0)
    data = np.column_stack([rng.random((count, 2)), rng.random(count), rng.random(count)])
    centroids = spread_centroids(2, CENTROIDS, 0)
    ranges = [(0, 1), (0, 1)]
    theirs: dict[str, Callable[[], Any]] = {
        "grid": lambda: RibsGridArchive(solution_dim=1, dims=[100, 100], ranges=ranges),
        f"cvt, {CENTROIDS} cells": lambda: RibsCVTArchive(
            solution_dim=1, centroids=centroids, ranges=ranges
        ),
    }
    print(f"Python {platform.python_version()}, numpy {np.__version__}, ribs {ribs.__version__}")
    print(f"{'archive':<26}{'additions':>12}{'CPU s':>10}{'per CPU s':>12}{'us each':>10}", end="")
    print(f"{'QD score':>16}{'ratio':>8}")
    for name, spec in specs(centroids).items():
        size = args.ours if name == "grid" else args.others
        seconds, archive = time_ours(spec, data[:size])
        print_row(f"evolve {name}", size, seconds, f"{archive.stats().qd_score:.3f}")
        if name in theirs:
            ribs_s, qd_score = time_ribs(theirs[name], data[: args.ribs])
            _, same = time_ours(spec, data[: args.ribs])
            assert np.isclose(same.stats().qd_score, qd_score, rtol=1e-12), name
            ratio = f"{(ribs_s / args.ribs) / (seconds / size):.1f}"
            print_row(f"pyribs {name}", args.ribs, ribs_s, f"{qd_score:.3f}", ratio)


if __name__ == "__main__":
    main()
