"""The seam of variation: a `Proposer` turns parents into a candidate (an *emitter* in QD terms)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Literal, Protocol, TypeAlias

import numpy as np

from evolve.config.problem import Problem
from evolve.core.evaluation import Evaluation
from evolve.core.program import Program
from evolve.llm.base import Completion, Request
from evolve.propose.vectors import VectorIndex, VectorView

#: Name in the store of what writes instructions; see `evolve.propose.instruct`.
INSTRUCT = "instruct"
#: How a proposal ends that wrote one, and one that was to and did not.
WRITTEN, NO_INSTRUCTION = "instruction", "no_instruction"
#: Ends of a proposal that say nothing about its parent.
UNRELATED = frozenset(("model_error", "budget", "interrupted", WRITTEN, NO_INSTRUCTION))
#: The operators that come with the engine, for the resolver of plug-in references.
PROPOSERS = {
    "genetic": "evolve.propose.genetic:GeneticProposer",
    "diff": "evolve.propose.diff:DiffProposer",
    "rewrite": "evolve.propose.rewrite:RewriteProposer",
    "crossover": "evolve.propose.crossover:CrossoverProposer",
    "repair": "evolve.propose.repair:RepairProposer",
    "agent": "evolve.propose.agent:AgentProposer",
    "simplify": "evolve.propose.simplify:SimplifyProposer",
    "tune": "evolve.propose.tune:TuneProposer",
    "plan": "evolve.propose.plan:PlanProposer",
    "pseudocode": "evolve.propose.pseudocode:PseudocodeProposer",
}


@dataclass(frozen=True, slots=True)
class Individual:
    """An evaluated program of the run, as proposers see it.

    Attributes:
        id: Its row in the store.
        program: Its sources.
        evaluation: What it scored on the search cases. Its outcome is ``OK`` but for the parent of
            an operator that varies failures.
        generation: 1 + the largest generation of its parents; 0 for the seed program.
    """

    id: int
    program: Program
    evaluation: Evaluation
    generation: int = 0


@dataclass(frozen=True, slots=True)
class Attempt:
    """What an earlier proposal made of the same parent.

    Attributes:
        operator: The operator's name.
        summary: What it said it would do; may be empty.
        ended: How it ended: outcome of its evaluation, ``duplicate``, or why it was rejected.
        objective: Its objective when it was scored.
        message: The beginning of the feedback, or of why there is no score.
    """

    operator: str
    summary: str
    ended: str
    objective: float | None
    message: str


#: Ask the model of that reference. The reply is committed to the store before it is returned.
Complete: TypeAlias = Callable[[str, Request], Awaitable[Completion]]


@dataclass(frozen=True, slots=True)
class Context:
    """All that one proposal may depend on.

    Attributes:
        problem: What is to be solved.
        parent: The program to vary.
        inspirations: Elites of other cells, best first; may be empty.
        rng: Derived from the run's seed and the iteration; the only source of chance.
        seed: An integer of the same origin, for servers that take one.
        complete: The way to a model; a proposer that needs none never calls it. Replies that an
            earlier session paid for come first, in the order they were asked for, so a proposer
            of several calls must make them in the same order again.
        attempts: What was made of the parent before, the newest last.
        hints: Guidance from the people who run the search, oldest first.
        vectors: Embeddings of the run's programs, as far as they are known.
        instruction: How to go about it, for an operator that is ``instructed``; may be empty.
        trials: Evaluated programs that this operator made of the parent, in the order they were
            told; for an operator that ``varies`` a ``series`` only.
    """

    problem: Problem
    parent: Individual
    inspirations: tuple[Individual, ...]
    rng: np.random.Generator
    seed: int
    complete: Complete
    attempts: tuple[Attempt, ...] = ()
    hints: tuple[str, ...] = ()
    instruction: str = ""
    vectors: VectorView = field(default_factory=lambda: VectorIndex().view(0))
    trials: tuple[Individual, ...] = ()


@dataclass(frozen=True, slots=True)
class Candidate:
    """A proposed program. ``parents`` are the ids it derives from, the varied one first."""

    program: Program
    parents: tuple[int, ...]
    summary: str = ""


@dataclass(frozen=True, slots=True)
class Rejected:
    """A proposal that came to nothing.

    Attributes:
        reason: One word for tables: one of `evolve.core.hunks.Reason`, or ``syntax``, ``refusal``,
            ``truncated``, ``empty``.
        message: What went wrong, fit to be shown to a model or a person.
    """

    reason: str
    message: str


@dataclass(frozen=True, slots=True)
class Instruction:
    """A short text on how to go about an improvement, which a model is shown with the task.

    Attributes:
        number: Its own within the run; 0 for the empty one.
        text: One paragraph.
    """

    number: int
    text: str


#: What may come of a proposal. Only what writes instructions makes an `Instruction`.
Proposed: TypeAlias = Candidate | Rejected | Instruction

#: What an operator takes as the parent: an elite, as selection has it (the default); a program that
#: failed its evaluation and was not repaired yet; or an elite that is varied many times in a row.
Varies: TypeAlias = Literal["elite", "failure", "series"]


class Proposer(Protocol):
    """A variation operator. Safe for concurrent use within one event loop.

    Optional attributes: ``varies`` (a `Varies`); ``mates``, the number of inspirations without
    which the operator cannot work; ``instructed``, whether it shows the model the context's
    ``instruction``; and for series ``series_length``, proposals in one, and
    ``suits(program)``, whether one may begin from a program.
    """

    name: str
    #: Whether its programs may contain anything at all, as a model's may. Programs built from a
    #: closed set of operations are not arbitrary and may run without Docker.
    arbitrary_code: bool

    async def propose(self, context: Context) -> Proposed:
        """Make one candidate from ``context``."""
        ...
