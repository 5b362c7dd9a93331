"""The libraries behind the statistics, imported when used."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from evolve.core.errors import PrerequisiteError


def library(name: str) -> Any:  # noqa: ANN401 - modules without types
    """Import a module of scipy or statsmodels.

    Raises:
        PrerequisiteError: it is not installed.
    """
    try:
        return import_module(name)
    except ImportError:
        raise PrerequisiteError(
            "statistics need scipy and statsmodels: pip install 'evolve-engine[stats]'"
        ) from None
