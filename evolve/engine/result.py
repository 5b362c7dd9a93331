"""What a run came to."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from evolve.archive.base import Archive
from evolve.core import html
from evolve.engine.compare import Compared
from evolve.engine.events import Progress
from evolve.propose.base import Individual


@dataclass(frozen=True, slots=True)
class Result:
    """What a run came to.

    Attributes:
        run_id: Its row in the database.
        database: URL of the database.
        status: ``finished`` or ``interrupted``.
        reason: The stop rule that ended it.
        best: The best program of the archive, or what the problem's ``select`` chose.
        archive: The map; keys are program ids.
        progress: The last counts.
        comparison: Best, seed and baselines on all cases; empty when interrupted.
    """

    run_id: int
    database: str = field(repr=False)  # may hold a password
    status: Literal["finished", "interrupted"]
    reason: str
    best: Individual
    archive: Archive = field(repr=False)
    progress: Progress = field(repr=False)
    comparison: tuple[Compared, ...] = ()

    def _repr_html_(self) -> str:
        from evolve.store.opening import shown

        names = ("run_id", "status", "reason")
        where = shown(self.database)
        score = self.best.evaluation.score
        best = ("best", f"program {self.best.id}: {score and score.objective}")
        look = ("look further", f"evolve.load({where!r})[{self.run_id}]")
        facts = [(name, getattr(self, name)) for name in names]
        return html.facts([*facts, ("database", where), best, look])
