"""The plan operator: several algorithms with their complexities first, then the code of one."""

from __future__ import annotations

import re

import numpy as np

from evolve.propose.staged import StagedProposer

_NUMBERED = re.compile(r"^[\s#*]*(?:idea\s+)?(\d{1,2})[.):]", re.MULTILINE | re.IGNORECASE)


class PlanProposer(StagedProposer):
    """Several algorithms with their complexities first, then the implementation of one.

    The logic domain before the code domain, after LLM4EFFI (Ye et al., 2025). Which algorithm is
    implemented is drawn, so that the same parent gives different programs.
    """

    name = "plan"
    later = ("plan_code.j2",)
    second = "plan_code.j2"

    def _choose(self, reply: str, rng: np.random.Generator) -> dict[str, object]:
        numbers = list(dict.fromkeys(_NUMBERED.findall(reply)))
        return {"number": numbers[rng.integers(len(numbers))] if numbers else ""}
