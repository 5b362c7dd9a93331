"""What observers of a run are told. Events are values; an observer is any function of one.

Observers run inside the loop: they must be quick, and must not raise.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from typing import TypeAlias

from evolve.archive.base import AddStatus, Archive
from evolve.core.evaluation import Evaluation
from evolve.core.measures import Objective


@dataclass(frozen=True, slots=True)
class Preparing:
    """Something takes time before the run can start, such as making an image."""

    text: str


@dataclass(frozen=True, slots=True)
class RunStarted:
    """The run is assembled and about to iterate.

    Attributes:
        resumed: Whether an earlier session began it.
        guarantees: What the sandbox isolates and what it does not, a sentence each.
        places: CPUs and devices of each slot; empty texts where it has none of its own.
        notes: What is not ideal about them, or not as it was when the run began.
        archive: The live archive, for looking at only.
        unpriced: Models whose price is unknown: their calls are counted, their cost is not.
    """

    run_id: int
    name: str
    problem: str
    seed: int
    resumed: bool
    sandbox: str
    guarantees: tuple[str, ...]
    slots: int
    places: tuple[str, ...]
    notes: tuple[str, ...]
    preset: str
    selection: str
    islands: int
    objective: Objective
    archive: Archive = field(repr=False)
    unpriced: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ProposalRejected:
    """A proposal came to nothing before an evaluation was paid for."""

    iteration: int
    operator: str
    reason: str
    message: str


@dataclass(frozen=True, slots=True)
class InstructionWritten:
    """A model wrote an instruction, which later proposals may be shown."""

    iteration: int
    text: str


@dataclass(frozen=True, slots=True)
class ProgramEvaluated:
    """A program was evaluated and committed.

    Attributes:
        iteration: Ordinal of its proposal; None for the seed program.
        status: What the archive did with it; None when it has no score.
        cell: Its flat cell index; None when it has no score.
        is_best: Whether it is the best program of the run so far.
        island: What it was proposed for.
        clipped: Measures that fell outside their declared bounds.
    """

    iteration: int | None
    program_id: int
    operator: str
    evaluation: Evaluation
    status: AddStatus | None
    cell: int | None
    is_best: bool
    clipped: tuple[str, ...] = ()
    island: int = 0


@dataclass(frozen=True, slots=True)
class CasesRotated:
    """All elites were measured on a new set of search cases, and have the fitness they have there.

    Attributes:
        epoch: Which set, from 0.
        elites: How many elites there are.
        best: Objective of the best one on these cases, in its own direction.
    """

    epoch: int
    elites: int
    best: float | None


@dataclass(frozen=True, slots=True)
class ArchiveSettled:
    """The edges of quantile cells are known: the run has another archive from now on.

    Attributes:
        archive: The live archive, for looking at only.
    """

    archive: Archive = field(repr=False)


@dataclass(frozen=True, slots=True)
class FaultOccurred:
    """Something that is not a program's doing went wrong; the work is retried."""

    where: str
    message: str


@dataclass(frozen=True, slots=True)
class HeldOutScored:
    """A program of the search was measured on held-out cases, which selection never sees."""

    program_id: int
    search: float
    held_out: float


@dataclass(frozen=True, slots=True)
class Warned:
    """Something about the run deserves a look; nothing went wrong."""

    text: str


@dataclass(frozen=True, slots=True)
class Stopping:
    """No new proposals are made; what is in flight is being finished."""

    reason: str


@dataclass(frozen=True, slots=True)
class RunFinished:
    """The run has stopped; ``status`` is ``finished``, ``interrupted`` or ``failed``."""

    run_id: int
    status: str
    reason: str


@dataclass(frozen=True, slots=True)
class Progress:
    """The state of a run at one moment, sent about once a second.

    Attributes:
        evaluations: Search evaluations committed, of earlier sessions too.
        elapsed_s: Seconds of running, of earlier sessions too.
        coverage: Share of cells with an elite; None when cells have no end.
        slots: Those that are there; ``slots_waiting`` more are wanted and are not.
        utilisation: Share of its time that each slot was lent while the search ran, 0 to 1.
        best: Objective of the best program, in its own direction; None before the first.
        failures: Evaluations without a score and rejected proposals, by kind.
        cost_usd: Known spending; ``unpriced_calls`` more calls have no known price.
        fraction: Share of the nearest limit that is used up, 0 to 1; None without a limit.
    """

    evaluations: int = 0
    proposals: int = 0
    elapsed_s: float = 0.0
    session_evaluations: int = 0
    session_s: float = 0.0
    best: float | None = None
    mean: float | None = None
    coverage: float | None = None
    qd_score: float = 0.0
    elites: int = 0
    islands: int = 1
    slots: int = 0
    slots_busy: int = 0
    slots_waiting: int = 0
    utilisation: tuple[float, ...] = ()
    failures: Mapping[str, int] = field(default_factory=dict)
    calls: int = 0
    cost_usd: float = 0.0
    unpriced_calls: int = 0
    fraction: float | None = None

    @property
    def rate(self) -> float:
        """Evaluations per second of this session."""
        return self.session_evaluations / self.session_s if self.session_s > 0 else 0.0

    @property
    def eta_s(self) -> float | None:
        """Seconds left if the nearest limit goes on being used up as in this session."""
        if not self.fraction or self.elapsed_s <= 0:
            return None
        return self.elapsed_s * (1 - self.fraction) / self.fraction


Event: TypeAlias = (
    Preparing
    | RunStarted
    | ProposalRejected
    | InstructionWritten
    | ProgramEvaluated
    | ArchiveSettled
    | CasesRotated
    | FaultOccurred
    | HeldOutScored
    | Warned
    | Progress
    | Stopping
    | RunFinished
)
Observer: TypeAlias = Callable[[Event], None]


def as_dict(event: Event) -> dict[str, object]:
    """Return an event for JSON: its class name under ``event``, then its fields.

    An evaluation is reduced to its outcome and score; archives are left out.
    """
    result: dict[str, object] = {"event": type(event).__name__}
    for item in fields(event):
        value = getattr(event, item.name)
        if item.name == "archive":
            continue
        if isinstance(value, Evaluation):
            result["outcome"] = value.outcome
            result["objective"] = value.score.objective if value.score else None
            result["measures"] = dict(value.score.measures) if value.score else {}
            result["message"] = value.message
        elif isinstance(value, AddStatus):
            result[item.name] = value.name.lower()
        elif isinstance(value, Objective):
            result.update(objective=value.name, direction=value.direction)
        else:
            result[item.name] = value
    return result
