"""Discover algorithms: a model edits programs, a sandbox runs them, a trusted scorer judges them.

The names below are the public API. They load what they need when first used, so that an
evaluator's process does not import a database and `evolve --help` stays quick.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from evolve.core.evaluation import Case, Evaluation, Outcome, Score, Usage
    from evolve.core.program import Program
    from evolve.engine.run import run
    from evolve.evaluate.evaluator import Call, Evaluator, Invalid

_HOME = {
    "Call": "evolve.evaluate.evaluator",
    "Case": "evolve.core.evaluation",
    "Evaluation": "evolve.core.evaluation",
    "Evaluator": "evolve.evaluate.evaluator",
    "Invalid": "evolve.evaluate.evaluator",
    "Outcome": "evolve.core.evaluation",
    "Program": "evolve.core.program",
    "Score": "evolve.core.evaluation",
    "Usage": "evolve.core.evaluation",
    "run": "evolve.engine.run",
}

__all__ = [  # noqa: RUF022 - grouped as a reader meets them
    "run",
    "Evaluator",
    "Case",
    "Score",
    "Invalid",
    "Call",
    "Usage",
    "Program",
    "Evaluation",
    "Outcome",
]


def __getattr__(name: str) -> object:
    """Import a public name on first use."""
    try:
        return getattr(import_module(_HOME[name]), name)
    except KeyError:
        raise AttributeError(f"module 'evolve' has no attribute {name!r}") from None
