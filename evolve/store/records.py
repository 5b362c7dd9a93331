"""What goes into the store and what comes out of it: plain immutable values.

Ids are the rows' integers, times Unix seconds (UTC), money US dollars.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, NamedTuple, TypeAlias

from evolve.core.estimates import Estimate
from evolve.core.evaluation import Evaluation, Outcome
from evolve.core.measures import Figure, Measure, Objective
from evolve.core.program import Program
from evolve.store.calls import CompletionRecord, CompletionState, TokenCounts, answered

#: A run is ``new`` until it is first claimed, and ``running`` until it is released.
RunStatus: TypeAlias = Literal["new", "running", "finished", "interrupted", "failed"]
#: A ``probe`` only asks models what they would be asked first, to find out what a search takes.
RunKind: TypeAlias = Literal["search", "probe"]


@dataclass(frozen=True, slots=True, kw_only=True)
class NewRun:
    """A run to be created, with all that drawing its map needs later.

    Attributes:
        name: Label; need not be unique.
        problem: Id of the problem.
        seed: Origin of every random choice.
        config_json: The resolved configuration, without secrets.
        config_hash: Identifies the configuration on resume.
        problem_hash: Identifies everything of the problem that can change a score.
        evaluator_ref: Plug-in reference of the evaluator.
        provenance: Versions, image digest, host: JSON values.
        objective: The number to improve.
        measures: The map's axes.
        record: Best value known elsewhere, or None.
        kind: Whether it is a search.
    """

    name: str
    problem: str
    seed: int
    config_json: str
    config_hash: str
    problem_hash: str
    evaluator_ref: str
    provenance: Mapping[str, object]
    objective: Objective
    measures: tuple[Measure, ...]
    record: Figure | None = None
    kind: RunKind = "search"


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRecord(NewRun):
    """A run as stored.

    Attributes:
        reason: Why it ended, empty before.
        elapsed_s: Seconds of running, all sessions.
        archive: Number of the archive that the search uses.
        holder: Who writes it, or did last.
        live: Whether the holder's claim was still good when this was read.
        inserted: In strict order: how many iterations, from the first, are in the archive.
    """

    id: int
    status: RunStatus
    reason: str
    created_at: float
    ended_at: float | None
    elapsed_s: float
    archive: int
    holder: str | None
    live: bool
    inserted: int

    @property
    def noisy(self) -> bool:
        """Whether its scores vary and are made of samples."""
        return "noise" in self.provenance


class AddedProgram(NamedTuple):
    """The row of a program; ``is_new`` is False when the run already had that program."""

    id: int
    is_new: bool


@dataclass(frozen=True, slots=True)
class ArchiveEvent:
    """A change of the map: a program entered a cell, or an island was given up.

    Attributes:
        program_id: The new elite.
        island: Whose map.
        cell: Flat cell index.
        status: ``new`` for an empty cell, ``improve`` for one that had an elite; ``measured`` when
            an elite got another fitness in its place; ``retired`` when the island was given up:
            ``program_id`` was its best one, ``cell`` is -1.
        fitness: The objective, turned so that larger is better.
        measures: By name, before clipping.
        replaced: The elites it displaced.
        metrics: The further objectives of an archive of several, by name; none elsewhere.
        archive: Number of the archive within its run.
        samples: How many of the program's samples the fitness is made of.
    """

    program_id: int
    island: int
    cell: int
    status: str
    fitness: float
    measures: Mapping[str, float]
    replaced: tuple[int, ...] = ()
    metrics: Mapping[str, float] = field(default_factory=dict)
    archive: int = 0
    samples: int = 1


@dataclass(frozen=True, slots=True)
class ProposalRecord:
    """A proposal with its model calls in order.

    Attributes:
        status: ``open`` until it ends, then ``rejected``, ``duplicate``, ``added`` or, once its
            program has a verdict, ``evaluated``; ``wrote`` where it made an instruction, ``probed``
            where it was only to find out.
        reason: Why nothing came of it, in one word; ``message`` says it in a sentence.
        inserted: In strict order: how many iterations were in the archive that it was drawn from.
        program: The program that came of it, if one did.
        instruction: Number of the instruction that it was shown; None if it could have none.
        begun_at: When it was drawn, in seconds since 1970.
        start: In search mode: the program whose construction its candidate is given.
    """

    id: int
    iteration: int
    operator: str
    model: str
    island: int
    parents: tuple[int, ...]
    inspirations: tuple[int, ...]
    completions: tuple[CompletionRecord, ...]
    begun_at: float
    status: str = "open"
    reason: str = ""
    message: str = ""
    inserted: int | None = None
    program: int | None = None
    instruction: int | None = None
    start: int | None = None

    @property
    def answered(self) -> bool:
        """Whether a model's reply was paid for."""
        return answered(self.completions)


class Drawn(NamedTuple):
    """Who varied what in an iteration, and how many were in the archive it was drawn from."""

    iteration: int
    inserted: int
    operator: str
    parents: tuple[int, ...]


class Ended(NamedTuple):
    """What came of a proposal, or of a program that nobody proposed.

    Attributes:
        iteration: None for the seed program.
        model: The model its operator asks; empty when it asks none.
        parents: Programs it was about, the varied one first.
        program_id: The new program; None when there is none.
        ended: The outcome of its evaluation, ``duplicate``, or the reason of its rejection.
        objective: None without a score.
        message: The beginning of the feedback, or of why there is no score.
        cost_usd: Known price of its model calls.
        at: When it ended.
        instruction: Number of the instruction that it was shown; None if it could have none.
        wrote: Number of the instruction that it made, whose text is the ``message``.
    """

    iteration: int | None
    operator: str
    model: str
    island: int
    parents: tuple[int, ...]
    program_id: int | None
    summary: str
    ended: str
    objective: float | None
    message: str
    cost_usd: float
    at: float
    instruction: int | None = None
    wrote: int | None = None


@dataclass(frozen=True, slots=True)
class Recovery:
    """What an earlier session left to be finished.

    Attributes:
        pending: Programs that have no evaluation yet, or only an infrastructure fault.
        replies: Open proposals with at least one reply, which was paid for and should be used.
        unanswered: Open proposals without any; begin them again under the same iteration.
        ended: In strict order: proposals that have ended but are not in the archive yet.
        next_iteration: The first iteration that was never begun.
        lost_calls: Model calls that were given up by this.
    """

    pending: tuple[int, ...]
    replies: tuple[ProposalRecord, ...]
    unanswered: tuple[ProposalRecord, ...]
    next_iteration: int
    ended: tuple[ProposalRecord, ...] = ()
    lost_calls: tuple[int, ...] = field(default=(), compare=False)


@dataclass(frozen=True, slots=True)
class Totals:
    """The counters of a run. Baselines count for nothing here.

    Attributes:
        proposals: All that were begun.
        rejected: Proposals that came to nothing, by reason; duplicates are apart.
        evaluations: Search evaluations by outcome, the seed program's included.
        completions: Model calls by state.
        cost_usd: All known spending, the reservations of lost calls included.
        tokens: Of ended calls, those assumed of lost ones included.
        unpriced_calls: Ended calls whose cost is not known.
        elapsed_s: Seconds of running, all sessions.
    """

    proposals: int
    rejected: Mapping[str, int]
    duplicates: int
    evaluations: Mapping[Outcome, int]
    completions: Mapping[CompletionState, int]
    tokens: TokenCounts
    cost_usd: float
    unpriced_calls: int
    elapsed_s: float


class Standing(NamedTuple):
    """The best objective so far, None before the first; ``since`` counts evaluations after it."""

    best: float | None
    since: int


@dataclass(frozen=True, slots=True)
class ProgramEntry:
    """A program as tables show it, with its newest search evaluation.

    Attributes:
        hash: Content hash, `evolve.core.program.Program.id`.
        iteration: Ordinal of its proposal; None for the seed program and baselines.
        operator: Its proposer; ``seed`` and ``baseline:NAME`` for programs nobody proposed.
        parents: Programs it derives from, the varied one first.
        summary: What the operator says it did.
        outcome: None while there is no evaluation; then ``objective`` is None too.
        message: The beginning of the feedback, or of why there is no score.
        error: Standard error of the objective; None with one sample.
        samples: How many the objective is made of.
    """

    id: int
    run_id: int
    hash: str
    iteration: int | None
    operator: str
    generation: int
    island: int
    parents: tuple[int, ...]
    summary: str
    created_at: float
    outcome: Outcome | None
    objective: float | None
    measures: Mapping[str, float]
    message: str
    error: float | None = None
    samples: int = 1

    @property
    def estimate(self) -> Estimate | None:
        """The objective with its standard error; None without a score."""
        known = self.objective
        return None if known is None else Estimate(known, self.error, self.samples)


@dataclass(frozen=True, slots=True)
class ProgramRecord:
    """Everything known about one program.

    Attributes:
        evaluations: All stages and evaluator versions, oldest first.
        inspirations: Programs its proposal was shown beside the parents.
        completions: The model calls of its proposal, oldest first.
    """

    entry: ProgramEntry
    program: Program
    evaluations: tuple[Evaluation, ...]
    inspirations: tuple[int, ...]
    completions: tuple[CompletionRecord, ...]


@dataclass(frozen=True, slots=True)
class EvaluatedProgram:
    """A program with its search evaluation under one evaluator version."""

    id: int
    program: Program
    evaluation: Evaluation
    generation: int


@dataclass(frozen=True, slots=True)
class Elite:
    """The occupant of a cell; ``objective`` is in the problem's own direction."""

    program_id: int
    island: int
    cell: int
    objective: float
    fitness: float
    measures: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Failures:
    """Failures of one kind: ``what`` is ``proposal``, ``evaluation`` or ``model call``."""

    what: str
    kind: str
    count: int
    example: str


@dataclass(frozen=True, slots=True)
class HeldOutPoint:
    """A program of the search on the cases that selection sees and on those that it never sees.

    ``evaluations`` counts the search evaluations up to its own; objectives are in the problem's own
    direction, that of the search with all samples where scores vary. Standard errors are None where
    nothing is known of them.
    """

    program_id: int
    evaluations: int
    search: float
    held_out: float
    search_error: float | None = None
    held_out_error: float | None = None


@dataclass(frozen=True, slots=True)
class ProgressPoint:
    """The best objective after so many search evaluations and running seconds, and when."""

    evaluations: int
    elapsed_s: float
    best: float
    at: float
