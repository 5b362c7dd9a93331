"""Probe cases: the first search cases tell whether a program behaves like a known one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TypeAlias

from evolve.core.evaluation import CaseResult, Evaluation, Usage
from evolve.evaluate.behaviour import signature_of
from evolve.store.records import EvaluatedProgram

#: Finds a known program, itself scored on all search cases, by the signature of its outputs on the
#: probes.
Alike: TypeAlias = Callable[[str], EvaluatedProgram | None]


def nobody(signature: str) -> None:
    """Know no program."""


class Probes:
    """The probes of one evaluation.

    Args:
        count: How many cases, from the first, are probes; 0 for none.
        alike: Finds known programs.
    """

    def __init__(self, count: int, alike: Alike) -> None:
        self._count, self._alike = count, alike
        self._signature = ""
        self._twin: EvaluatedProgram | None = None

    def settle(self, results: list[CaseResult]) -> bool:
        """Add to ``results`` those of the known program that behaves alike; return if there is one.

        Args:
            results: Of the cases so far, all of them OK.
        """
        if not self._count or len(results) != self._count:
            return False
        self._signature = signature_of(each.behaviour for each in results)
        self._twin = self._alike(self._signature)
        if self._twin is None:
            return False
        others = self._twin.evaluation.cases[self._count :]
        results += (replace(each, usage=Usage()) for each in others)  # nothing was run
        return True

    def mark(self, evaluation: Evaluation) -> Evaluation:
        """Say of an evaluation what came of the probes.

        Outputs on cases that were not run are not known, so there is no behaviour signature then.
        """
        twin = self._twin
        return replace(
            evaluation,
            probe=self._signature,
            signature=evaluation.signature if twin is None else "",
            behaves_like=None if twin is None else twin.id,
        )
