"""Short searches with hooks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from evolve.engine.events import Event, ProgramEvaluated
from evolve.engine.run import Result, run
from tests.command import write_config


class _Ended(Exception):
    """Ends a run that is not finished."""


def search(
    folder: Path,
    hooks: Sequence[dict[str, Any]],
    observers: Sequence[Callable[[Event], None]] = (),
    **changes: Any,
) -> Result:
    """Evolve the parabola problem in ``folder``; the same call resumes."""
    settings = {"stop": {"evaluations": 12}, "slots": 1, "proposals": 1, **changes}
    config = write_config(folder, hooks=hooks, **settings)
    return run(config, db=str(folder / "evolve.db"), observers=observers)


def interrupted(folder: Path, hooks: Sequence[dict[str, Any]], after: int) -> None:
    """Search as `search` does, until so many programs were evaluated."""
    seen = 0

    def watch(event: Event) -> None:
        nonlocal seen
        seen += isinstance(event, ProgramEvaluated)
        if seen == after and isinstance(event, ProgramEvaluated):
            raise _Ended

    with pytest.raises(_Ended):
        search(folder, hooks, [watch])
