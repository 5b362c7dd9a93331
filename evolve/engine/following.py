"""What a controller of a shared run learns of the others: a fold over what they told."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from evolve.core.evaluation import Outcome
from evolve.engine.history import History
from evolve.engine.journal import Journal
from evolve.llm.budget import Spent
from evolve.propose.base import UNRELATED, WRITTEN
from evolve.store.facts import EvaluationFact
from evolve.store.records import Ended
from evolve.store.sharing import BegunNotice, Notice, Sharing


@dataclass(slots=True)
class Following:
    """Brings archive, history and counters of this process up to what others have committed.

    Attributes:
        journal: Of the run.
        history: What its operators know.
        evaluator: Version of the evaluator.
        sharing: What the others tell.
        pay: Told what others have spent on model calls.
        limited: Told, in the words of who it was, that a model had too many requests.
    """

    journal: Journal
    history: History
    evaluator: str
    sharing: Sharing
    pay: Callable[[Spent], None] = lambda _: None
    limited: Callable[[str], None] = lambda _: None
    _handlers: dict[str, Callable[[Notice, _News], None]] = field(init=False)

    def __post_init__(self) -> None:
        self._handlers = {
            "begun": self._begun,
            "admitted": self._admitted,
            "refused": self._refused,
            "evaluated": self._evaluated,
            "set_aside": self._set_aside,
            "called": self._called,
            "limited": self._limited,
            "stopping": self._stopping,
        }

    def start(self) -> None:
        """Note what others are at work on; what they have ended is known already."""
        for begun in self.sharing.start_here():
            self._note(begun)

    def catch_up(self) -> None:
        """Take note of all that others have committed, in the order in which they did.

        Within a turn of the store, this is all that has happened to the run.
        """
        notices = self.sharing.news()
        if not notices:
            return
        news = self._read(notices)
        for notice in notices:
            self._handlers[notice.kind](notice, news)

    def _read(self, notices: list[Notice]) -> _News:
        """Look up what notices are about, each kind at once."""
        by_kind: dict[str, list[int]] = {}
        for notice in notices:
            by_kind.setdefault(notice.kind, []).append(notice.subject)
        judged, refused = by_kind.get("evaluated", []), by_kind.get("refused", [])
        sharing, population = self.sharing, self.journal.population
        facts: dict[int, EvaluationFact] = {}
        if judged:
            self._expect_archive()
            scores = not population.spec.settled
            facts = sharing.facts(self.evaluator, judged, scores=scores)
        programs, proposals = sharing.ended(self.evaluator, judged, refused)
        calls = by_kind.get("called", [])
        return _News(
            begun=sharing.begun(by_kind.get("begun", [])),
            facts=facts,
            programs=programs,
            proposals=proposals,
            calls=sharing.spent(calls),
        )

    def _expect_archive(self) -> None:
        """Look up the archive whose cells others have given their edges."""
        population, store, run_id = self.journal.population, self.journal.store, self.journal.run_id
        if not population.spec.settled and self.sharing.archive:
            population.expect(store.archive(run_id))

    def _begun(self, notice: Notice, news: _News) -> None:
        self._note(news.begun[notice.subject])

    def _note(self, begun: BegunNotice) -> None:
        self.history.begun(begun.operator, [begun.parent])
        self.journal.population.engage(begun.iteration, begun.parent)

    def _admitted(self, notice: Notice, news: _News) -> None:  # noqa: ARG002 - as others are
        self.journal.counters.admitted()

    def _refused(self, notice: Notice, news: _News) -> None:
        ended, population = news.proposals[notice.subject], self.journal.population
        assert ended.iteration is not None  # it was a proposal
        population.disengage(ended.iteration)
        if ended.ended not in UNRELATED:
            population.census.tried(ended.parents[0])
        self.journal.learn(ended)
        if ended.ended != WRITTEN:
            self.journal.counters.rejected(ended.ended)

    def _evaluated(self, notice: Notice, news: _News) -> None:
        ended, fact = news.programs[notice.subject], news.facts[notice.subject]
        population, counters = self.journal.population, self.journal.counters
        if ended.iteration is not None:
            population.disengage(ended.iteration)
        before = population.archive.best
        population.restore([fact])
        best = population.archive.best
        rose = best is not None and (before is None or best.fitness > before.fitness)
        is_best = rose and best is not None and best.key == fact.program_id
        counters.ended(Outcome(ended.ended), ended.objective, is_best=is_best)
        if population.beliefs is not None:
            counters.best, counters.since_improvement = population.standing
        self.journal.learn(ended)

    def _set_aside(self, notice: Notice, news: _News) -> None:  # noqa: ARG002 - as others are
        self.journal.population.disengage(int(notice.text))
        self.journal.counters.ended(Outcome.INFRASTRUCTURE, None, is_best=False)

    def _called(self, notice: Notice, news: _News) -> None:
        self._pay(*news.calls[notice.subject])

    def count_call(self, call: int) -> None:
        """Count a model call that was given up for another controller."""
        self._pay(*self.sharing.spent([call])[call])

    def _pay(self, usd: float | None, tokens: int) -> None:
        counters = self.journal.counters
        counters.calls += 1
        counters.tokens += tokens
        counters.unpriced_calls += usd is None
        counters.cost_usd += usd or 0.0
        self.pay(Spent(usd or 0.0, tokens, 1))

    def _limited(self, notice: Notice, news: _News) -> None:  # noqa: ARG002 - as others are
        self.limited(notice.text)

    def _stopping(self, notice: Notice, news: _News) -> None:  # noqa: ARG002 - as others are
        self.journal.counters.told = notice.text


@dataclass(frozen=True, slots=True)
class _News:
    """What notices are about, by the rows that they name."""

    begun: dict[int, BegunNotice]
    facts: dict[int, EvaluationFact]
    programs: dict[int, Ended]
    proposals: dict[int, Ended]
    calls: dict[int, tuple[float | None, int]]
