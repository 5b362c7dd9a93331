"""What a replay found: how much was made again, and where it parted from what is stored."""

from __future__ import annotations

from dataclasses import dataclass, field

from evolve.engine.reexecute import Moved


@dataclass(frozen=True, slots=True)
class Difference:
    """Where a replay parted from what is stored; ``iteration`` is None for the map as a whole."""

    iteration: int | None
    what: str
    stored: str
    again: str


@dataclass(slots=True)
class Replayed:
    """What a replay found.

    Attributes:
        order: ``arrival`` or ``strict``.
        iterations: Made again.
        programs: That came of them, each the very one that is stored unless a difference says so.
        replies: Stored replies used.
        prompts: Requests equal, to the last character, to the stored ones; the rest are
            ``other_prompts``.
        given: Proposals that failed for another's sake, taken as recorded.
        draws: Choices of operator, parents and inspirations made again and found the same.
        evaluations: Stored evaluations folded into the archive.
        evaluated_again: Programs that were run and scored anew.
        moved: Those whose evaluation came out differently.
        digest: Of the archive as stored; ``digest_again`` of the one made again.
        differences: Where the two part; empty for a run that repeats.
    """

    run_id: int
    order: str
    iterations: int = 0
    programs: int = 0
    replies: int = 0
    prompts: int = 0
    other_prompts: int = 0
    given: int = 0
    draws: int = 0
    evaluations: int = 0
    evaluated_again: int = 0
    moved: list[Moved] = field(default_factory=list)
    digest: str = ""
    digest_again: str = ""
    differences: list[Difference] = field(default_factory=list)

    @property
    def same(self) -> bool:
        """Whether the same programs, scores and archive came of it."""
        return not self.differences and not self.moved
