"""Insertion as results come, by several controllers: each step is one turn of the run's lock.

A turn begins with what the others have committed since, so that iterations are drawn from, and
programs inserted into, the archive as it is; and it ends with one commit.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial

import anyio

from evolve.archive.contests import Need, Verdict
from evolve.config.models import ModelConfig, StopConfig
from evolve.core.evaluation import Evaluation, Outcome
from evolve.engine.draw import Draw
from evolve.engine.following import Following
from evolve.engine.history import History
from evolve.engine.journal import Journal, Judged, Pending, Proposal, Refused
from evolve.engine.population import Placement
from evolve.engine.restore import Redraw, take_over
from evolve.engine.stop import evaluations_left, stop_reason
from evolve.engine.unfinished import NOTHING, Unfinished
from evolve.llm.budget import Budget, Caps, Spent
from evolve.llm.gate import Gate
from evolve.propose.base import Proposed, Rejected
from evolve.store.calls import answered

#: Seconds between looks at whether others have made room, or are gone.
LOOK_S, ROOM_S = 1.0, 0.1
#: Models whose calls run on the controller's own machine: how many at once is its own affair.
OWN = ("command/", "agent/", "replay/")


@dataclass(slots=True)
class Shared:
    """An `evolve.engine.order.Order` over a run that other controllers work on, too.

    Attributes:
        journal: Writes and counts.
        following: Knows what the others do.
        rules: When the run stops; budgets count for all controllers together.
        redraw: Makes the draw of a proposal that another controller began.
    """

    journal: Journal
    following: Following
    rules: StopConfig
    redraw: Redraw
    _last: bool = False
    _limited: list[str] = field(default_factory=list)
    _room_at: float = field(default=-1.0)
    _look_at: float = field(default=-1.0)

    @contextmanager
    def turn(self) -> Iterator[None]:
        """Hold the run's lock, with all that others have committed before.

        Most of that is folded before the lock is taken, for which all the others wait.
        """
        with self.journal.store.one_state():
            self.following.catch_up()
        with self.journal.store.turn():
            self.following.catch_up()
            while self._limited:
                self.following.sharing.tell("limited", 0, self._limited.pop(0))
            yield

    def limited(self, text: str) -> None:
        """Have the next turn tell of a rate limit.

        It is heard of in the midst of a request, where an SDK takes any error for one of its own.
        """
        self._limited.append(text)
        self._look_at = -1.0

    def may_begin(self, left: float) -> bool:
        """Ask the database only now and then while others have the rest of the budget."""
        return left > 0 and time.monotonic() >= self._room_at

    def begin(self, draw: Callable[[int], Draw]) -> tuple[Proposal, Draw] | None:
        """Take the next number, unless the run is over or what is in flight uses the budget up."""
        sharing, counters = self.following.sharing, self.journal.counters
        with self.turn():
            if self.rules.samples is not None:  # those of the others, too
                counters.samples = self.journal.store.samples_made(self.journal.run_id)
            left = evaluations_left(self.rules, counters)
            over = stop_reason(self.rules, counters, self.journal.population.objective)
            if over or sharing.in_flight() >= left:
                self._room_at = time.monotonic() + ROOM_S
                return None
            iteration = sharing.next_iteration()
            drawn = draw(iteration)
            proposal = self.journal.begin(iteration, drawn)
            sharing.tell("begun", proposal.id)
        return proposal, drawn

    async def admit(self, proposal: Proposal, result: Proposed) -> Pending | Refused | None:
        """Commit at once; what was given up with a reply paid for stays open for the others."""
        store, sharing = self.journal.store, self.following.sharing
        given_up = isinstance(result, Rejected) and result.reason == "interrupted"
        if given_up and not self._last and answered(store.completions_of(proposal.id)):
            return None
        with self.turn():
            admitted = self.journal.admit(proposal, result)
            refused = isinstance(admitted, Refused)
            sharing.tell("refused" if refused else "admitted", proposal.id)
        if isinstance(admitted, Refused):
            self.journal.refuse(admitted)
        else:
            self.journal.counters.admitted()
        return admitted

    async def record(self, pending: Pending, evaluation: Evaluation) -> None:
        """Decide about the archive as it is now, and commit; a late result counts for nothing."""
        judged = Judged(pending, evaluation)
        while isinstance(placed := self._place(judged), Need):
            assert self.journal.measure is not None  # who knows noise can measure
            await self.journal.measure(placed.samples)
        if placed is not None:
            self.journal.tell(judged, *placed)

    def _place(self, judged: Judged) -> tuple[Placement, Verdict | None] | Need | None:
        """Commit what follows from an evaluation, or say what has to be measured before."""
        pending = judged.pending
        with self.turn():
            if not self.following.sharing.holds(pending.program_id):
                return None
            population = self.journal.population
            step = population.weigh(pending.program_id, judged.evaluation, pending.island)
            if isinstance(step, Need):
                return step
            placed = self.journal.commit(judged, step)
            self._tell(judged)
            return placed, step

    def _tell(self, judged: Judged) -> None:
        """Say that a program has its verdict, or could not be evaluated."""
        pending, sharing = judged.pending, self.following.sharing
        if judged.evaluation.outcome is not Outcome.INFRASTRUCTURE:
            sharing.tell("evaluated", pending.program_id)
            return
        sharing.set_aside(pending.program_id)
        sharing.tell("set_aside", pending.program_id, str(pending.iteration))

    async def advance(self) -> bool:
        """Do nothing: everything is inserted when it ends."""
        return False

    def inherit(self) -> Unfinished:
        """Take over what controllers that are gone were at work on; look now and then."""
        now = time.monotonic()
        if now < self._look_at and not self._last:
            return NOTHING
        self._look_at = now + LOOK_S
        sharing = self.following.sharing
        if not sharing.anybody_gone():
            with self.turn() if self._limited else self.journal.store.one_state():
                self.following.catch_up()
            return NOTHING
        with self.turn():
            recovery = sharing.inherit()
            for call in recovery.lost_calls:
                self.following.count_call(call)
            self.following.history.mail.look_again()
        known = self.following.history, self.following.evaluator
        return take_over(self.journal, *known, self.redraw, recovery)

    def announce(self, reason: str) -> None:
        """Have the others stop, too, if this one stops for a rule of the run."""
        if reason not in ("interrupted", "model") and not self.journal.counters.told:
            with self.turn():
                self.following.sharing.tell("stopping", 0, reason)

    def is_last(self) -> bool:
        """Return whether all others have finished: then this one ends the run."""
        with self.turn():
            return self.following.sharing.is_last()

    async def wait_for_seed(self, program_id: int) -> bool:
        """Wait while another controller evaluates the seed program; return whether this one has to.

        It is for this one if it was the first, or if that other one is gone.
        """
        sharing = self.following.sharing
        while True:
            with self.turn():
                if len(self.journal.population.archive):
                    return False
                if sharing.anybody_gone():
                    sharing.inherit()
                if sharing.holds(program_id):
                    return True
            await anyio.sleep(ROOM_S)

    def give_up(self, iteration: int) -> None:
        """Leave it open: the others take it over when this controller has left."""

    def leave_none_open(self) -> None:
        """Refuse what is given up: the run is finished."""
        self._last = True

    async def close(self, *, finished: bool) -> None:
        """Do nothing: everything was inserted when it ended."""


def shared_of(
    journal: Journal, history: History, rules: StopConfig, redraw: Redraw
) -> Shared | None:
    """Return the order of a run that this process shares with others; None if it does not.

    Args:
        journal: Of the run.
        history: What its operators know.
        rules: When it stops.
        redraw: See `Shared`.
    """
    sharing = journal.store.sharing
    if sharing is None:
        return None
    evaluator = journal.store.run(journal.run_id).problem_hash
    return Shared(journal, Following(journal, history, evaluator, sharing), rules, redraw)


class SharedBudget(Budget):
    """A budget of several controllers: whether there is room is asked where all calls are.

    Args:
        caps: The limits.
        spent: Used up so far, by all.
        order: Takes turns.
        models: How many calls each may have at once, of all controllers together.
    """

    def __init__(
        self, caps: Caps, spent: Spent, order: Shared, models: tuple[ModelConfig, ...]
    ) -> None:
        super().__init__(caps, spent)
        self._order = order
        self._most: Mapping[str, int] = {
            each.id: each.concurrency for each in models if not each.id.startswith(OWN)
        }
        order.following.pay = self._others_paid
        self._gates: Mapping[str, Gate] = {}

    def listen(self, gates: Mapping[str, Gate]) -> None:
        """Keep to rate limits together: who is told of one tells the others.

        Args:
            gates: This controller's ways to the models, by their ids.
        """
        self._gates = {name: gate for name, gate in gates.items() if name in self._most}
        for name, gate in self._gates.items():
            gate.spread = partial(self._spread, name)
        self._order.following.limited = self._others_limited

    def _spread(self, model: str, pause_s: float) -> None:
        self._order.limited(f"{pause_s:g} {model}")

    def _others_limited(self, text: str) -> None:
        pause_s, _, model = text.partition(" ")
        if model in self._gates:
            self._gates[model].hold_back(float(pause_s), late_s=2 * LOOK_S)

    def begin(self, model: str, amount: Spent, send: Callable[[], int]) -> int | None:
        """Check and commit in one turn.

        Raises:
            BudgetExhausted: see `Budget.begin`.
        """
        with self._order.turn():
            others = self._order.following.sharing.under_way()
            most, gate = self._most.get(model, math.inf), self._gates.get(model)
            if gate is not None:
                most = min(most, int(gate.limit))
            if others.by_model.get(model, 0) + self.asking[model] >= most:
                return None
            held = self.held + Spent(others.usd, others.tokens, others.calls)
            return send() if self.fits(amount, held) else None

    async def wait(self) -> None:
        """Look again soon: it may be another controller's call that ends."""
        with anyio.move_on_after(ROOM_S):
            await super().wait()
        await anyio.lowlevel.checkpoint()

    def _others_paid(self, amount: Spent) -> None:
        self.spent += amount
