"""A problem, loaded: what is to be solved, from which seed program, judged by which evaluator."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from evolve.core.limits import Limits
from evolve.core.measures import Measure, Objective
from evolve.core.program import Program


@dataclass(frozen=True, slots=True)
class Record:
    """The best value known, as published."""

    value: float
    source: str


@dataclass(frozen=True, slots=True)
class Baseline:
    """A known program to compare with."""

    name: str
    program: Program


@dataclass(frozen=True, slots=True)
class Problem:
    """A problem folder, read and checked.

    Attributes:
        id: Name of the folder.
        folder: Where it lies; evaluator references are relative to it.
        title: One line.
        statement: The text of ``prompt.md``, shown to models.
        seed_program: Where the search starts.
        entrypoint: The function called in the sandbox, once per case.
        evaluator: Plug-in reference of the evaluator.
        evaluator_options: Keyword arguments of its constructor.
        objective: The number to improve.
        measures: The map's axes.
        limits: What one evaluation may use.
        record: Best known value, or None.
        harness: Source of ``harness.py``, or empty.
        baselines: Programs to compare the result with.
        hash: SHA-256 of everything above that can change a score, the evaluator's source included.
    """

    id: str
    folder: Path
    title: str
    statement: str
    seed_program: Program
    entrypoint: str
    evaluator: str
    evaluator_options: Mapping[str, object]
    objective: Objective
    measures: tuple[Measure, ...]
    limits: Limits
    record: Record | None
    harness: str
    baselines: tuple[Baseline, ...]
    hash: str
