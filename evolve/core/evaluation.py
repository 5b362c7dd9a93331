"""What happened to a program: cases, scores, outcomes, evaluations. All values are immutable."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from evolve.core.estimates import Estimate
from evolve.core.values import Value

#: Cases that selection sees, and cases that it never sees.
Stage: TypeAlias = Literal["search", "held_out"]


#: Metric of timed evaluations: the share of the slot's CPU time that went to others, 0 to 1.
DISTURBED = "cpu_disturbed"


class Outcome(enum.StrEnum):
    """How one execution ended. Failures are values: none of them is a score."""

    OK = "ok"
    BELOW_THRESHOLD = "below_threshold"  #: ended early, too bad on the first cases: no mistake
    INVALID = "invalid"  #: the evaluator refused the output: it breaks a constraint
    BAD_OUTPUT = "bad_output"  #: not plain data, or not framed as the protocol wants
    EXCEPTION = "exception"  #: the program raised; the traceback is in the message
    WALL_TIMEOUT = "wall_timeout"
    CPU_TIMEOUT = "cpu_timeout"
    OUT_OF_MEMORY = "out_of_memory"
    SIGNAL = "signal"  #: killed by a signal, for instance a segmentation fault
    EXIT = "exit"  #: the program ended its own process before answering
    OUTPUT_TOO_LARGE = "output_too_large"
    PROCESS_LIMIT = "process_limit"
    RUNNER_LOST = "runner_lost"  #: the runner inside the sandbox died with the program
    EVALUATOR_ERROR = "evaluator_error"  #: the evaluator itself failed on this output: mend it
    INFRASTRUCTURE = "infrastructure"  #: not the program's doing; retried, never a score


@dataclass(frozen=True, slots=True)
class Usage:
    """Resources used, measured outside the program.

    Attributes:
        wall_ns: Wall-clock nanoseconds between a call and its answer.
        cpu_ns: CPU nanoseconds of the whole process tree (or cgroup) since the answer before:
            who works between calls pays for it in the next.
        peak_memory_bytes: Largest resident size seen; 0 when unknown. Where a cgroup counts
            (`docker`), of all processes and files in memory; else of the first process, and of
            all of them at a look every quarter of a second.
    """

    wall_ns: int = 0
    cpu_ns: int = 0
    peak_memory_bytes: int = 0

    def __add__(self, other: Usage) -> Usage:
        return Usage(
            self.wall_ns + other.wall_ns,
            self.cpu_ns + other.cpu_ns,
            max(self.peak_memory_bytes, other.peak_memory_bytes),
        )


@dataclass(frozen=True, slots=True)
class Case:
    """One input of an evaluation.

    Attributes:
        inputs: Keyword arguments of the entrypoint; plain data only. The program gets a copy.
        name: How the case is called in feedback and tables; defaults to its position.
        secret: What the scorer alone needs to judge the output. It never leaves the scorer.
    """

    inputs: Mapping[str, Value]
    name: str = ""
    secret: object = None
    size: float | None = None  #: how large it is; mode generalise fits growth of time to it
    seed: int | None = None  #: origin of this repeat's chance, where the problem declares noise


@dataclass(frozen=True, slots=True)
class Score:
    """What an evaluator says of one output, or of a whole program.

    Attributes:
        objective: The one declared number, in the problem's own direction and unit.
        measures: Positions on the map's axes, by name. Built-in code measures need not be given.
        metrics: Further numbers worth keeping; they play no part in selection.
        feedback: Text for the next prompt: what was good, what broke, by how much.
        artifacts: Longer named texts (a trace, a table) kept with the program.
        images: Named PNG files, drawn by the evaluator (`evolve.core.png`). Those of a program's
            score are kept with it, and shown to models that can see.
    """

    objective: float
    measures: Mapping[str, float] = field(default_factory=dict)
    metrics: Mapping[str, float] = field(default_factory=dict)
    feedback: str = ""
    artifacts: Mapping[str, str] = field(default_factory=dict)
    images: Mapping[str, bytes] = field(default_factory=dict)
    #: In search mode: what was built, as later programs may be given it to go on from. Plain JSON
    #: data or arrays, made by the evaluator from what it verified.
    construction: Value = None


@dataclass(frozen=True, slots=True)
class Start:
    """What a program of a problem in search mode goes on from.

    Attributes:
        program: Whose construction it is.
        objective: What that came to.
        constructions: JSON: the construction of each search case, by the case's name.
    """

    program: int
    objective: float
    constructions: str


@dataclass(frozen=True, slots=True)
class CaseResult:
    """One case of one evaluation. ``score`` is there exactly when ``outcome`` is ``OK``.

    ``behaviour`` is a digest of the output, when it was scored, and ``construction`` what was built
    in search mode, as JSON; neither is stored by case.
    """

    case: str
    outcome: Outcome
    score: Score | None = None
    usage: Usage = field(default_factory=Usage)
    message: str = ""
    behaviour: str = field(default="", compare=False)
    construction: str = field(default="", compare=False)


@dataclass(frozen=True, slots=True)
class Evaluation:
    """The result of one program under one evaluator version.

    ``score`` is there exactly when ``outcome`` is ``OK``; its measures then include the built-in
    ones the problem declares. ``message`` explains any other outcome and is fit for a prompt.
    ``stdout`` and ``stderr`` are capped, decoded with replacement, and never parsed.
    """

    outcome: Outcome
    score: Score | None = None
    usage: Usage = field(default_factory=Usage)
    message: str = ""
    cases: tuple[CaseResult, ...] = ()
    stdout: str = ""
    stderr: str = ""
    evaluator: str = ""  #: version hash of the evaluator and problem that judged
    stage: Stage = "search"
    signature: str = ""  #: hash of the outputs on all cases; programs that do the same share it
    environment: str = ""  #: hash of the sandbox it ran in, and of packages
    samples: int = 1  #: how often it was measured; the score is the mean
    error: float | None = None  #: standard error of the objective; None with one sample
    copied_from: int | None = None  #: the stored evaluation it was taken over from
    probe: str = ""  #: hash of the outputs on the probes, where the problem has any
    #: The program of the run that it behaves like on the probes, whose scores on the other cases it
    #: has taken over.
    behaves_like: int | None = None
    #: In search mode: the program whose construction it was given; None: the evaluator's own start.
    start: int | None = None
    #: In search mode: what it built, JSON by the case's name; kept in the store, not read with it.
    construction: str = field(default="", compare=False, repr=False)

    @property
    def estimate(self) -> Estimate | None:
        """The objective with its standard error; None without a score."""
        score = self.score
        return None if score is None else Estimate(score.objective, self.error, self.samples)

    @property
    def disturbed(self) -> float:
        """The share of a timed program's CPU time that others had, 0 to 1; see `DISTURBED`."""
        return self.score.metrics.get(DISTURBED, 0.0) if self.score is not None else 0.0

    @property
    def feedback(self) -> str:
        """The text a later prompt should carry: the score's feedback, or why there is no score."""
        return self.score.feedback if self.score is not None else self.message


@dataclass(frozen=True, slots=True)
class Sample:
    """One measurement of a program whose score is noisy.

    Attributes:
        repeat: Which, from 0; equal repeats of two programs have equal seeds.
        evaluation: What came of it, on all cases of its stage.
        against: A program that was measured beside it in the same slot.
        reference: That program's objective; None when it had no score.
    """

    repeat: int
    evaluation: Evaluation
    against: int | None = None
    reference: float | None = None

    @property
    def objective(self) -> float | None:
        """The objective; None without a score."""
        return None if self.evaluation.score is None else self.evaluation.score.objective
