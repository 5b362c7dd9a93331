"""A problem small enough to read at a glance, and stand-ins for the slow or random parts.

The problem: find the function ``f`` that agrees with ``x * x + 1``. Its evaluator runs for real, in
a scorer process; `FakeEvaluate` judges the same programs at once, by the number in them.
"""

from __future__ import annotations

import re
import textwrap
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import anyio
import anyio.lowlevel

from evolve.core.evaluation import Evaluation, Outcome, Score, Stage, Start
from evolve.core.limits import Limits
from evolve.core.program import Program
from evolve.core.resources import Resources
from evolve.core.values import Value
from evolve.evaluate.probes import Alike, nobody
from evolve.propose.base import Candidate, Context, Rejected
from evolve.sandbox import wire
from evolve.sandbox.base import ANY_RESOURCES, Job, Reply, Report, Session, Slot

SEED = "# EVOLVE-BLOCK-START\ndef f(x):\n    return 0.5 * x + 2.0\n# EVOLVE-BLOCK-END\n"
PROBLEM = {
    "problem.yaml": """\
        title: A parabola
        seed_program: seed.py
        entrypoint: f
        evaluator: ./evaluate.py:Parabola
        objective: {name: error, direction: minimize, offset: 100}
        measures:
          - {name: ast_nodes, low: 0, high: 60, cells: 12}
          - {name: mean, low: -20, high: 20, cells: 10}
        limits: {wall_s: 5, memory_mb: 256}
        baselines: [{name: constant, program: constant.py}]
        """,
    "prompt.md": "Make f(x) agree with a parabola.\n",
    "seed.py": SEED,
    "constant.py": "def f(x):\n    return 5\n",
    "evaluate.py": """\
        from evolve import Case, Evaluator, Invalid, Score


        class Parabola(Evaluator):
            def cases(self, stage):
                for x in (0, 1, 2, 3) if stage == "search" else (4, 5):
                    yield Case({"x": x}, name=f"x={x}", secret=x * x + 1)

            def score(self, case, output, usage):
                if not isinstance(output, (int, float)) or not abs(output) < 1e9:
                    raise Invalid(f"f({case.inputs['x']}) is {output!r}, no small number")
                error = abs(output - case.secret)
                return Score(error, {"mean": output}, {"residual": error}, f"off by {error:g}")
        """,
}


def write_problem(folder: Path, **changes: str) -> Path:
    """Write the parabola problem; ``changes`` replace files by name, the suffix left out."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in PROBLEM.items():
        changed = changes.get(name.partition(".")[0], text)
        (folder / name).write_text(textwrap.dedent(changed))
    return folder


def numbered(value: float) -> Program:
    """Return the program that `FakeEvaluate` gives the score ``value``."""
    return Program({"seed.py": SEED.replace("0.5 * x + 2.0", str(float(value)))})


def number_in(program: Program) -> float:
    """Return the number a `numbered` program holds; the seed program's is 0."""
    found = re.search(r"return (-?[\d.]+)$", program.files["seed.py"], re.MULTILINE)
    return float(found[1]) if found else 0.0


def scored(program: Program) -> Evaluation:
    """Return the evaluation that `FakeEvaluate` makes when nothing goes wrong."""
    number = number_in(program)
    score = Score(number, {"ast_nodes": number % 60, "mean": number % 40 - 20})
    return Evaluation(Outcome.OK, score, evaluator=FakeEvaluate.version)


@dataclass
class FakeEvaluate:
    """Judges programs by the number in them, and counts.

    Attributes:
        judge: Makes the evaluation; may raise.
        delay_s: How long one takes.
        calls: How often each number was judged.
        most_at_once: Largest number of evaluations under way together.
    """

    judge: Callable[[Program], Evaluation] = scored
    delay_s: float = 0.0
    calls: Counter[float] = field(default_factory=Counter)
    most_at_once: int = 0
    _running: int = 0

    version = "v" * 64

    async def __call__(
        self,
        slot: Slot,
        program: Program,
        stage: Stage = "search",
        alike: Alike = nobody,
        seed: int | None = None,
        start: Start | None = None,
    ) -> Evaluation:
        self.calls[number_in(program)] += 1
        self._running += 1
        self.most_at_once = max(self.most_at_once, self._running)
        try:
            await anyio.sleep(self.delay_s)
            return replace(self.judge(program), stage=stage)
        finally:
            self._running -= 1


def better(context: Context, count: int) -> Candidate | Rejected:
    """Propose a program that is better than all proposed before."""
    return Candidate(numbered(-count), (context.parent.id,))


@dataclass
class FakeProposer:
    """Proposes what ``make`` returns, given the context and how many proposals came before.

    Attributes:
        make: May raise.
        delay_s: How long a proposal takes.
        asked: How many there were.
    """

    make: Callable[[Context, int], Candidate | Rejected] = better
    delay_s: float = 0.0
    asked: int = 0
    name: str = "fake"
    arbitrary_code: bool = False

    async def propose(self, context: Context) -> Candidate | Rejected:
        self.asked += 1
        number = self.asked
        await anyio.sleep(self.delay_s)
        return self.make(context, number)


class InProcessSandbox:
    """Runs programs in this very process: no isolation at all, but no time either.

    As a plug-in: ``sandbox: {kind: <this file>:InProcessSandbox}``.
    """

    name = "in-process"
    accepts_untrusted = True

    async def open_slot(
        self, index: int, limits: Limits, resources: Resources = ANY_RESOURCES
    ) -> Slot:
        return _InProcessSlot()

    def guarantees(self) -> list[str]:
        return ["nothing is isolated"]

    def provenance(self) -> dict[str, str]:
        return {}


class _InProcessSlot:
    @asynccontextmanager
    async def session(self, job: Job) -> AsyncIterator[Session]:
        yield _InProcessSession(job)

    async def aclose(self) -> None:
        pass


class _InProcessSession(Session):
    def __init__(self, job: Job) -> None:
        self._entrypoint = job.entrypoint
        self._names: dict[str, Callable[..., Value]] = {}
        for text in job.program.files.values():
            exec(text, self._names)  # a test's own program

    async def call(self, inputs: Mapping[str, Value], *, function: str = "") -> Reply:
        await anyio.lowlevel.checkpoint()
        try:
            value = self._names[function or self._entrypoint](**inputs)
            return Reply(Outcome.OK, wire.loads(wire.dumps(value)))
        except wire.WireError as error:
            return Reply(Outcome.BAD_OUTPUT, message=str(error))
        except Exception as error:  # noqa: BLE001 - a program may raise anything
            return Reply(Outcome.EXCEPTION, message=f"{type(error).__name__}: {error}")

    @property
    def report(self) -> Report:
        return Report()


def short_run(problem: Path, **changes: object) -> dict[str, object]:
    """Return a configuration of a run without a model and without processes for programs."""
    return {
        "problem": str(problem),
        "slots": 2,
        "proposals": 4,
        "window": 4,
        "sandbox": {"kind": f"{Path(__file__)}:InProcessSandbox"},
        "proposers": [{"kind": "genetic"}],
        **changes,
    }
