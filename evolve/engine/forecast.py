"""What a run will take: seconds, tokens and money, as ranges, before they are spent.

A run is seen as a graph of model calls and evaluations (Chen et al., "On the Design and Analysis
of LLM-Based Algorithms", 2024): every evaluation needs so many calls before it, calls wait for a
model, evaluations for a slot, and the narrowest of these sets the pace. What is not known, such
as how long replies will be, is drawn from a range, and a few hundred such runs are reckoned
through; nothing is simulated call by call.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal, NamedTuple, TypeAlias

import numpy as np

from evolve.config.models import PriceConfig, StopConfig
from evolve.engine.turns import NO_TURNS, Turns
from evolve.llm.base import Tokens
from evolve.llm.prices import cost_usd

DRAWS = 400
#: Share of the draws that lie below, within and above what is shown.
QUANTILES = (0.1, 0.5, 0.9)
#: A reply without anything known: seconds before the first token, and tokens per second.
FIRST_TOKEN_S, SPEED = (0.4, 3.0), (20.0, 150.0)
#: A run that ends after so many evaluations without progress has up to so many times as many.
PATIENCE = (1.0, 20.0)

Limit: TypeAlias = Literal["slots", "models", "engine", "width"]


class Span(NamedTuple):
    """What a number may be: from ``low`` to ``high``, every ratio alike."""

    low: float
    high: float

    def draw(self, rng: np.random.Generator) -> float:
        """Return one of the numbers."""
        if self.low <= 0:
            return float(rng.uniform(self.low, self.high))
        return float(np.exp(rng.uniform(np.log(self.low), np.log(self.high))))

    def times(self, low: float, high: float) -> Span:
        """Return a wider span: from ``low`` times the lower end to ``high`` times the upper."""
        return Span(self.low * low, self.high * high)


class Range(NamedTuple):
    """What is expected: one in ten below ``low``, half below ``middle``, one in ten above."""

    low: float
    middle: float
    high: float


#: Of an operator that asks no model.
NONE = Span(0, 0)
ONE = Span(1.0, 1.0)


@dataclass(frozen=True, slots=True)
class Operator:
    """A variation operator: its share of the proposals, and the calls that one proposal takes."""

    name: str
    share: float
    model: str = ""
    calls: Span = NONE


@dataclass(frozen=True, slots=True)
class ModelFacts:
    """What is known of a model's calls: tokens of each, seconds (None: by its length), price."""

    input: Span
    output: Span
    latency_s: Span | None
    price: PriceConfig | None
    concurrency: int


@dataclass(frozen=True, slots=True)
class Beside:
    """Calls of a model that write no program, such as grades.

    Attributes:
        what: They are.
        model: Its id.
        call: What is known of one.
        proposals: Calls for each proposal, before its evaluation.
        evaluations: Calls for each evaluation, after it.
    """

    what: str
    model: str
    call: ModelFacts
    proposals: Span = NONE
    evaluations: Span = NONE


class Rotation(NamedTuple):
    """Cases that rotate: every so many iterations all elites are measured once more.

    Attributes:
        every: Iterations on one set of cases.
        elites: How many there are in the end, on all islands.
        first: New elites of an evaluation at the beginning.
        seconds: Of one measurement.
    """

    every: int
    elites: Span
    first: Span
    seconds: Span


@dataclass(frozen=True, slots=True)
class Facts:
    """All that a forecast is made from.

    Attributes:
        first_s: Seconds of the first evaluation, which warms its slot up.
        evaluation_s: Seconds of any other in a slot.
        slots: Evaluations at once.
        operators: By whom proposals are made; shares add up to 1.
        models: By id.
        fruitful: Share of proposals that lead to an evaluation.
        overhead_s: Seconds of the controller for each proposal, what needs no model included.
        in_flight: Proposals at once; None: as many as the slots need.
        closing: Evaluations after the search, and seconds of each.
        stop: When the run ends.
        sources: Where the numbers come from, one sentence each.
        samples: Measurements for each evaluation.
        beside: Calls that write no program.
        rotation: How cases rotate; None: they stay.
    """

    first_s: Span
    evaluation_s: Span
    slots: int
    operators: tuple[Operator, ...]
    models: Mapping[str, ModelFacts]
    fruitful: Span
    overhead_s: Span
    in_flight: int | None
    closing: int
    closing_s: Span
    stop: StopConfig
    sources: tuple[str, ...] = ()
    samples: Span = ONE
    beside: tuple[Beside, ...] = ()
    rotation: Rotation | None = None

    @property
    def calls(self) -> list[tuple[str, ModelFacts]]:
        """What is known of all calls, and of which model they are."""
        writing = [(each.model, self.models[each.model]) for each in self.operators if each.model]
        return writing + [(each.model, each.call) for each in self.beside]


@dataclass(frozen=True, slots=True)
class Forecast:
    """What a run is expected to take.

    Attributes:
        wall_s: Seconds from the first evaluation to the end.
        cost_usd: US dollars; None when a price is unknown.
        ends: By stop rule, how likely it is to end the run, 0 to 1.
        limits: By what holds the search up, how likely that is, 0 to 1.
        sources: Where the numbers come from.
    """

    wall_s: Range
    evaluations: Range
    calls: Range
    tokens: Range
    cost_usd: Range | None
    ends: Mapping[str, float]
    limits: Mapping[str, float]
    sources: tuple[str, ...]

    def as_dict(self) -> dict[str, Any]:
        """Return the forecast as JSON values, for `forecast_from`."""
        return asdict(self)


def forecast_from(stored: Mapping[str, Any]) -> Forecast:
    """Undo `Forecast.as_dict`."""
    ranges = {
        name: None if stored[name] is None else Range(*_ends(stored[name]))
        for name in ("wall_s", "evaluations", "calls", "tokens", "cost_usd")
    }
    return Forecast(
        **ranges,  # type: ignore[arg-type]  # only cost_usd may be None
        ends=stored["ends"],
        limits=stored["limits"],
        sources=tuple(stored["sources"]),
    )


def _ends(stored: Any) -> tuple[float, float, float]:  # noqa: ANN401 - JSON: a list, or by name
    values = stored.values() if isinstance(stored, Mapping) else stored
    low, middle, high = values
    return low, middle, high


def forecast(facts: Facts, seed: int = 0) -> Forecast | None:
    """Reckon through a few hundred runs; None when nothing bounds them.

    Args:
        facts: What is known.
        seed: Of the draws.
    """
    rng = np.random.default_rng(seed)
    runs = [_reckon(facts, rng) for _ in range(DRAWS)]
    if any(run is None for run in runs):
        return None
    reckoned = [run for run in runs if run is not None]
    priced = all(call.price for _, call in facts.calls)
    return Forecast(
        wall_s=_range([run.wall_s for run in reckoned]),
        evaluations=_range([run.evaluations for run in reckoned]),
        calls=_range([run.calls for run in reckoned]),
        tokens=_range([run.tokens for run in reckoned]),
        cost_usd=_range([run.cost_usd for run in reckoned]) if priced else None,
        ends=_shares(Counter(run.ends for run in reckoned)),
        limits=_shares(Counter(run.limit for run in reckoned)),
        sources=facts.sources,
    )


class _Run(NamedTuple):
    wall_s: float
    evaluations: float
    calls: float
    tokens: float
    cost_usd: float
    ends: str
    limit: Limit


class _Needs(NamedTuple):
    """What one evaluation takes: calls, tokens, money, and a proposal's seconds of waiting."""

    calls: float
    tokens: float
    cost_usd: float
    waiting_s: float
    calls_per_s: float  # evaluations per second that the models allow


def _reckon(facts: Facts, rng: np.random.Generator) -> _Run | None:
    evaluation_s, fruitful = facts.evaluation_s.draw(rng), facts.fruitful.draw(rng)
    needs = _needs(facts, fruitful, rng)
    paces: dict[Limit, float] = {
        "slots": facts.slots / evaluation_s,
        "models": needs.calls_per_s,
        "engine": fruitful / facts.overhead_s.draw(rng),
    }
    if facts.in_flight is not None and needs.waiting_s:
        paces["width"] = facts.in_flight * fruitful / (needs.waiting_s + evaluation_s)
    limit = min(paces, key=lambda name: paces[name])
    first_s = facts.first_s.draw(rng) + needs.waiting_s
    turns = _turns(facts.rotation, fruitful, rng)
    ends, evaluations = _end(facts, needs, paces[limit], first_s, turns, rng)
    if not np.isfinite(evaluations):
        return None
    closing_s = facts.closing_s.draw(rng) * np.ceil(facts.closing / facts.slots)
    again_s = turns.measurements(evaluations) * turns.seconds / facts.slots
    wall_s = first_s + evaluations / paces[limit] + again_s + closing_s
    bought = max(0.0, evaluations - 1)  # the seed program needs no proposal
    return _Run(
        float(wall_s),
        evaluations,
        bought * needs.calls,
        bought * needs.tokens,
        bought * needs.cost_usd,
        ends,
        limit,
    )


def _turns(rotation: Rotation | None, fruitful: float, rng: np.random.Generator) -> Turns:
    if rotation is None:
        return NO_TURNS
    every, *spans = rotation
    return Turns(every * fruitful, *(span.draw(rng) for span in spans))


def _needs(facts: Facts, fruitful: float, rng: np.random.Generator) -> _Needs:
    calls = tokens = usd = waiting_s = 0.0
    busy: defaultdict[str, float] = defaultdict(float)  # seconds of each model for one evaluation
    at_once = {model: call.concurrency for model, call in facts.calls}
    drawn = {name: _call(model, rng) for name, model in facts.models.items()}
    asked = [
        (each.model, each.share * each.calls.draw(rng), 0.0, drawn[each.model])
        for each in facts.operators
        if each.model
    ]
    asked += [
        (each.model, each.proposals.draw(rng), each.evaluations.draw(rng), _call(each.call, rng))
        for each in facts.beside
    ]
    for model, proposing, grading, (call_tokens, call_usd, latency_s) in asked:
        each_time = proposing / fruitful + grading
        calls += each_time
        tokens += each_time * call_tokens
        usd += each_time * call_usd
        waiting_s += proposing * latency_s
        busy[model] += each_time * latency_s
    pace = min(
        (at_once[name] / seconds for name, seconds in busy.items() if seconds),
        default=np.inf,
    )
    return _Needs(calls, tokens, usd, waiting_s, float(pace))


def _call(model: ModelFacts, rng: np.random.Generator) -> tuple[float, float, float]:
    """Return tokens, US dollars and seconds of a model's mean call."""
    used = Tokens(round(model.input.draw(rng)), 0, round(model.output.draw(rng)))
    usd = 0.0 if model.price is None else cost_usd(used, model.price)
    if model.latency_s is not None:
        return used.input + used.output, usd, model.latency_s.draw(rng)
    first, speed = Span(*FIRST_TOKEN_S).draw(rng), Span(*SPEED).draw(rng)
    return used.input + used.output, usd, first + used.output / speed


def _end(
    facts: Facts,
    needs: _Needs,
    pace: float,
    first_s: float,
    turns: Turns,
    rng: np.random.Generator,
) -> tuple[str, float]:
    """Return the stop rule that ends a run first, and the evaluations it then has had."""
    stop, samples = facts.stop, facts.samples.draw(rng) if facts.stop.samples else 1.0
    rules: dict[str, tuple[float | None, float]] = {
        "evaluations": (stop.evaluations, 1.0),
        "samples": (stop.samples, samples),
        "tokens": (stop.tokens, needs.tokens),
        "cost_usd": (stop.cost_usd, needs.cost_usd),
        "calls": (stop.calls, needs.calls),
    }
    ends: dict[str, float] = {
        name: bound / each for name, (bound, each) in rules.items() if bound and each
    }
    if stop.wall_s is not None:
        ends["wall_s"] = max(1.0, (stop.wall_s - first_s) * pace)
    slower = turns.seconds / facts.slots
    for name, each, again in (("samples", samples, 1.0), ("wall_s", 1 / pace, slower)):
        if name in ends and turns is not NO_TURNS:
            ends[name] = turns.reached(ends[name], again / each)
    if stop.no_improvement is not None:
        ends["no_improvement"] = stop.no_improvement * Span(*PATIENCE).draw(rng)
    if not ends:
        return "", np.inf
    first = min(ends, key=lambda name: ends[name])
    return first, float(ends[first])


def _range(values: list[float]) -> Range:
    return Range(*(float(value) for value in np.quantile(values, QUANTILES)))


def _shares(counts: Counter[Any]) -> dict[str, float]:
    total = counts.total()
    return {name: count / total for name, count in counts.most_common()}
