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
    from evolve.store.reader import open_reader as open  # noqa: A004 - read as evolve.open
    from evolve.view.notebook import load

#: Public name to its module, and its name there.
_HOME = {
    "Call": ("evolve.evaluate.evaluator", "Call"),
    "Case": ("evolve.core.evaluation", "Case"),
    "Evaluation": ("evolve.core.evaluation", "Evaluation"),
    "Evaluator": ("evolve.evaluate.evaluator", "Evaluator"),
    "Invalid": ("evolve.evaluate.evaluator", "Invalid"),
    "Outcome": ("evolve.core.evaluation", "Outcome"),
    "Program": ("evolve.core.program", "Program"),
    "Score": ("evolve.core.evaluation", "Score"),
    "Usage": ("evolve.core.evaluation", "Usage"),
    "load": ("evolve.view.notebook", "load"),
    "open": ("evolve.store.reader", "open_reader"),
    "run": ("evolve.engine.run", "run"),
}

__all__ = [  # noqa: RUF022 - grouped as a reader meets them
    "run",
    "open",
    "load",
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
        module, attribute = _HOME[name]
    except KeyError:
        raise AttributeError(f"module 'evolve' has no attribute {name!r}") from None
    return getattr(import_module(module), attribute)
