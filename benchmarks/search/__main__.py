"""Presets side by side at equal budget, as tables for docs/search.md.

    python -m benchmarks.search [--seeds 20] [--problems smooth deceptive ...] [--presets ...]

Every cell is the median over the seeds with a 95 % bootstrap interval. The last column compares
with hill climbing seed by seed: the median difference with its interval, larger being better.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from benchmarks.search import engine, packing
from benchmarks.search.landscapes import DECEPTIVE, RUGGED, SMOOTH
from evolve.stats.describe import summarize

PRESETS = (
    "adaptive",
    "islands",
    "map_elites",
    "funsearch",
    "openevolve",
    "shinka",
    "greedy",
    "sequential",
    "best_of_n",
)
#: What others are compared with.
BASELINE = "greedy"
#: Searches with a preset and a seed; returns the best value after so many evaluations.
Course: TypeAlias = Callable[[str, int, Sequence[int]], list[float]]


def _smooth(preset: str, seed: int, marks: Sequence[int]) -> list[float]:
    return engine.course(SMOOTH, preset, seed, marks)


def _deceptive(preset: str, seed: int, marks: Sequence[int]) -> list[float]:
    return engine.course(DECEPTIVE, preset, seed, marks)


def _rugged(preset: str, seed: int, marks: Sequence[int]) -> list[float]:
    return engine.course(RUGGED, preset, seed, marks)


#: By name: how to search, after how many evaluations to look, and whether more is better.
PROBLEMS: dict[str, tuple[Course, tuple[int, ...], bool]] = {
    "smooth": (_smooth, (100, 300, 1000), True),
    "deceptive": (_deceptive, (100, 300, 1000), True),
    "rugged": (_rugged, (100, 300, 1000), True),
    "packing": (packing.course, (100, 300), False),
}


def table(problem: str, presets: Sequence[str], seeds: int, workers: int) -> str:
    """Run every preset with every seed on a problem; return the Markdown table."""
    search, marks, more_is_better = PROBLEMS[problem]
    heads = [f"{mark} evaluations" for mark in marks]
    lines = [
        f"| {problem} | " + " | ".join(heads) + f" | at {marks[-1]} against {BASELINE} |",
        "|---|" + "---:|" * (len(marks) + 1),
    ]
    found: dict[str, NDArray[np.float64]] = {}
    with ProcessPoolExecutor(workers) as pool:
        for preset in dict.fromkeys([BASELINE, *presets]):
            repeat = ([preset] * seeds, range(seeds), [marks] * seeds)
            found[preset] = np.array(list(pool.map(search, *repeat)))
            sys.stderr.write(f"{problem} {preset}: {np.median(found[preset], axis=0)}\n")
    sign = 1 if more_is_better else -1
    for preset in presets:
        cells = [_cell(column) for column in found[preset].T]
        difference = sign * (found[preset][:, -1] - found[BASELINE][:, -1])
        versus = "" if preset == BASELINE else _cell(difference, signed=True)
        lines.append(f"| `{preset}` | " + " | ".join(cells) + f" | {versus} |")
    return "\n".join(lines)


def _cell(values: NDArray[np.float64], *, signed: bool = False) -> str:
    """Return the median with its 95 % bootstrap interval."""
    found = summarize(values.tolist())
    form = "+.3g" if signed else ".3g"
    return f"{found.median:{form}} [{found.low:{form}}, {found.high:{form}}]"


def main() -> None:
    """Print a table for each problem."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--workers", type=int, default=2, help="searches at once")
    parser.add_argument("--problems", nargs="+", choices=PROBLEMS, default=list(PROBLEMS))
    parser.add_argument("--presets", nargs="+", choices=PRESETS, default=list(PRESETS))
    options = parser.parse_args()
    for problem in options.problems:
        print(table(problem, options.presets, options.seeds, options.workers), flush=True)
        print()


if __name__ == "__main__":
    main()
