"""A problem whose evaluator does as it is told, and a slot whose programs are functions."""

from __future__ import annotations

import textwrap
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from evolve.config.problem import Problem, load_problem
from evolve.core.errors import InfrastructureError
from evolve.core.evaluation import Outcome, Usage
from evolve.core.program import Program
from evolve.core.values import Value
from evolve.sandbox.base import Job, Reply, Report, Session

PROGRAM = Program({"seed.py": "def f(x):\n    return x + 1\n"})
USED = Usage(wall_ns=10, cpu_ns=5, peak_memory_bytes=1000)
TOTAL = Usage(wall_ns=100, cpu_ns=50, peak_memory_bytes=1000)

_YAML = """\
title: Test
seed_program: seed.py
entrypoint: f
evaluator: ./evaluate.py:Mine
objective: {name: value, direction: maximize}
measures: [{name: size, low: 0, high: 10}, {name: code_length, low: 0, high: 100}]
limits: {wall_s: 5, memory_mb: 256}
"""
# A program that returns text makes the evaluator do what the text says: these evaluators are the
# test's own, and one process can then show many kinds of misbehaviour.
_HEAD = """\
import os, sys, time
import numpy as np
from evolve import Case, Evaluator, Invalid, Score


def refuse(why):
    raise Invalid(why)


class Base(Evaluator):
    kept = []

    def cases(self, stage):
        for x in (1, 2, 3) if stage == "search" else (10,):
            yield Case({"x": x}, name=f"x={x}", secret="ANSWER")

    def score(self, case, output, usage):
        if isinstance(output, str):
            return eval(output)
        return Score(float(output), {"size": float(output)}, {"wall_ns": usage.wall_ns})

    def combine(self, scored):
        told = scored[0][1].artifacts.get("combine")
        return eval(told) if told else super().combine(scored)


"""


def problem(
    folder: Path, body: str = "", *, harness: str = "", options: str = "{}", more: str = ""
) -> Problem:
    """Write and load a problem whose evaluator ``Mine`` has ``body`` in its class."""
    folder.mkdir(parents=True, exist_ok=True)
    body = textwrap.indent(textwrap.dedent(body or "pass"), "    ")
    (folder / "problem.yaml").write_text(_YAML + f"evaluator_options: {options}\n{more}")
    (folder / "prompt.md").write_text("Do it.\n")
    (folder / "seed.py").write_text(PROGRAM.files["seed.py"])
    (folder / "evaluate.py").write_text(f"{_HEAD}class Mine(Base):\n{body}\n")
    if harness:
        (folder / "harness.py").write_text(harness)
    return load_problem(str(folder))


@dataclass
class FunctionSlot:
    """A slot that answers calls with a Python function of this process.

    Attributes:
        function: What the program does. An exception is its outcome, but for an
            `InfrastructureError`; a `Reply` is taken as it is.
        jobs: What was loaded.
        calls: The function names and inputs of all calls.
        open: Sessions that have not been left.
        disturbed: What sessions report of it.
    """

    function: Callable[..., Value | Reply] = lambda x: x + 1
    jobs: list[Job] = field(default_factory=list)
    calls: list[tuple[str, Mapping[str, Value]]] = field(default_factory=list)
    open: int = 0
    disturbed: float | None = None

    @asynccontextmanager
    async def session(self, job: Job) -> AsyncIterator[Session]:
        self.jobs.append(job)
        self.open += 1
        session = _FunctionSession(self)
        try:
            yield session
        finally:
            self.open -= 1
            session._report = Report(TOTAL, "printed", "complained", self.disturbed)

    async def aclose(self) -> None:
        pass


def returning(value: Value) -> FunctionSlot:
    """Return the slot of a program that always returns ``value``."""
    return FunctionSlot(lambda **_: value)


class _FunctionSession(Session):
    def __init__(self, slot: FunctionSlot) -> None:
        self._slot = slot
        self._report = Report()

    @property
    def report(self) -> Report:
        return self._report

    async def call(self, inputs: Mapping[str, Value], *, function: str = "") -> Reply:
        self._slot.calls.append((function, inputs))
        try:
            value = self._slot.function(**inputs)
        except InfrastructureError:
            raise
        except Exception as error:  # noqa: BLE001 - whatever a program raises is its outcome
            return Reply(Outcome.EXCEPTION, message=f"{type(error).__name__}: {error}", usage=USED)
        return value if isinstance(value, Reply) else Reply(Outcome.OK, value, usage=USED)
