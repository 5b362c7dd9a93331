"""Interaction with a program that is a function of the test."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from evolve import Case, Evaluator


def play(made: Evaluator, case: Case, program: Callable[..., object]) -> Any:
    """Return what an evaluator makes of its calls of ``program``."""

    async def call(**inputs: Any) -> Any:
        return program(**inputs)

    return asyncio.run(made.interact(case, call))
