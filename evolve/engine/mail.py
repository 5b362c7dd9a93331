"""What people send to a run, as its iterations see it."""

from __future__ import annotations

from dataclasses import dataclass

from evolve.propose.base import Proposer
from evolve.propose.submit import SubmitProposer
from evolve.store.inbox import Inbox


@dataclass(slots=True)
class Mail:
    """The inbox of one run. What an iteration saw in it can be read again later.

    Attributes:
        inbox: Of the database; None for a run to which nobody can send anything.
        run_id: The run.
    """

    inbox: Inbox | None = None
    run_id: int = 0
    _empty: bool = False  #: nothing was sent up to the newest iteration collected for

    def collect(self, iteration: int) -> None:
        """Commit that ``iteration`` sees what is there now; before it is drawn."""
        if self.inbox is not None:
            self._empty = not self.inbox.collect(self.run_id, iteration)

    def look_again(self) -> None:
        """Forget that nothing was sent: another controller may have collected something."""
        self._empty = False

    def hints(self, iteration: int) -> tuple[str, ...]:
        """Return the guidance that an iteration was given, oldest first."""
        if self.inbox is None or self._empty:
            return ()
        return self.inbox.hints(self.run_id, iteration)

    def submitted(self, iteration: int) -> Proposer | None:
        """Return the program that an iteration took, as an operator."""
        if self.inbox is None or self._empty:
            return None
        found = self.inbox.program(self.run_id, iteration)
        return None if found is None else SubmitProposer(*found)
