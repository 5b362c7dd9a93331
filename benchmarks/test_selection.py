"""How often rules that choose among programs by uncertain tests choose a correct program.

    python benchmarks/test_selection.py [--matrices 5000]

A matrix says which of 10 programs pass which of 30 tests. A program and a test are correct with
probabilities of their own; a correct program passes the correct tests and no other; an incorrect
one passes a correct test, and an incorrect one, with two more. Given is the expected share of
correct programs among the chosen ones.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from evolve.archive.plausible import RULES, Passed, Scores, b4, chosen

PROGRAMS, TESTS = 10, 30


class Setting(NamedTuple):
    """Probabilities that a program, a test is correct; that an incorrect program passes."""

    program: float
    test: float
    passes_incorrect: float
    passes_correct: float


#: The regimes of the simulation in the paper that proposes B4.
SETTINGS = {
    "default": Setting(0.2, 0.3, 0.1, 0.4),
    "hard": Setting(0.1, 0.2, 0.2, 0.6),
    "easy": Setting(0.3, 0.5, 0.1, 0.5),
}
CHOICES: dict[str, Callable[[Passed], Scores]] = {
    "random": lambda passed: np.zeros(len(passed)),
    **RULES,
    "b4 (1000, 1000)": partial(b4, incorrect=1e3, many=1e3),
}


def matrix(setting: Setting, rng: np.random.Generator) -> tuple[Passed, NDArray[np.bool_]]:
    """Draw who passes what, and which programs are correct; at least one of each kind is."""
    while True:
        programs = rng.random(PROGRAMS) < setting.program
        tests = rng.random(TESTS) < setting.test
        if programs.any() and tests.any():
            break
    probability = np.where(tests, setting.passes_correct, setting.passes_incorrect)
    passed = rng.random((PROGRAMS, TESTS)) < probability
    passed[programs] = tests
    return passed, programs


def shares(setting: Setting, matrices: int, seed: int = 0) -> dict[str, float]:
    """Return the expected share of correct programs among those that each rule chooses."""
    rng = np.random.default_rng(seed)
    total = dict.fromkeys(CHOICES, 0.0)
    for _ in range(matrices):
        passed, correct = matrix(setting, rng)
        for name, rule in CHOICES.items():
            total[name] += float(correct[chosen(rule(passed))].mean())
    return {name: value / matrices for name, value in total.items()}


def main() -> None:
    """Print a row for each setting."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--matrices", type=int, default=5000)
    options = parser.parse_args()
    print("| setting | " + " | ".join(CHOICES) + " |")
    print("|---|" + "---:|" * len(CHOICES))
    for name, setting in SETTINGS.items():
        found = shares(setting, options.matrices)
        row = " | ".join(f"{value:.3f}" for value in found.values())
        print(f"| {name}: {'/'.join(f'{p:g}' for p in setting)} | {row} |", flush=True)


if __name__ == "__main__":
    main()
