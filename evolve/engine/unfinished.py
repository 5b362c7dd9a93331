"""What an earlier session of a run, or another controller that is gone, left to do."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from evolve.engine.draw import Draw
from evolve.engine.journal import Ending, Pending, Proposal
from evolve.store.calls import CompletionRecord


@dataclass(frozen=True, slots=True)
class Begun:
    """A proposal that was begun and has not ended, with the calls it made."""

    proposal: Proposal
    drawn: Draw
    completions: tuple[CompletionRecord, ...]
    answered: bool


@dataclass(frozen=True, slots=True)
class Unfinished:
    """What an earlier session left to do.

    Attributes:
        programs: Committed, not evaluated.
        proposals: Begun, not ended. Replies that they have are used, the rest is asked for.
        endings: In strict order: ended, not inserted, by iteration.
        next_iteration: The first that was never begun.
    """

    programs: tuple[Pending, ...] = ()
    proposals: tuple[Begun, ...] = ()
    endings: Mapping[int, Ending] = field(default_factory=dict)
    next_iteration: int = 0


#: Nothing is left.
NOTHING = Unfinished()
