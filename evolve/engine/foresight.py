"""What is known of a run before it begins: the facts that a forecast is made from.

They come from the seed program's evaluation, the first prompts, the price table and what earlier
runs of the same database came to; what nobody knows yet gets a wide range, and is named.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from evolve.archive.contests import Rules
from evolve.config.file import Loaded
from evolve.config.models import ModelConfig, RunConfig
from evolve.core.evaluation import Evaluation, Stage
from evolve.engine.archives import configured_archive
from evolve.engine.assemble import Parts, population_of
from evolve.engine.beside import Asking, Known, assumed_call, calls_beside, characters
from evolve.engine.draw import draw
from evolve.engine.forecast import (
    NONE,
    ONE,
    Facts,
    Forecast,
    ModelFacts,
    Operator,
    Rotation,
    Span,
    forecast,
    forecast_from,
)
from evolve.engine.history import History
from evolve.engine.probe_calls import Probe
from evolve.engine.width import Width
from evolve.llm.base import Completion, Request
from evolve.propose.base import Individual
from evolve.propose.llm import LLMProposer
from evolve.propose.staged import StagedProposer
from evolve.store.past import PastPace
from evolve.store.reader import Reader
from evolve.store.records import RunRecord
from evolve.store.store import Store

#: Where a run's provenance keeps its forecast.
KEY = "forecast"
#: Seconds that any evaluation takes.
LEAST_S = 0.005
#: How much longer later prompts get.
GROWTH = (0.9, 2.0)
#: Tokens of a reply of which nothing is known; no longer than the model may write.
REPLY = (150.0, 2000.0)
#: How far means of earlier runs may be off.
OFF = (0.8, 1.25)
#: The same of seconds, since evaluations side by side take longer than one alone; and what other
#: programs take beside the seed program where no run tells.
OFF_S, OTHERS = (0.8, 1.8), (0.6, 3.0)
#: Yield of proposals without earlier runs; calls of one proposal, of one that thinks first.
FRUITFUL, ONE_CALL, TWO_CALLS = Span(0.5, 1.0), Span(1.0, 1.3), Span(2.0, 2.6)
#: Seconds of the controller for one proposal with all that is committed of it.
OVERHEAD_S = Span(0.008, 0.05)
#: Elites at the end of a run, as shares of the cells; new ones of an evaluation at its beginning.
ELITES, NEW_ELITES = (0.02, 0.6), Span(0.1, 0.9)
#: Seconds of a held-out case, as multiples of those of a search case.
HELD_OUT = (0.7, 4.0)


async def _never(model: str, request: Request) -> Completion:
    """Refuse: nothing is asked here."""
    raise AssertionError(f"{len(request.messages)} messages for {model}: a forecast asks no model")


def first_requests(
    loaded: Loaded[RunConfig], parts: Parts, evaluation: Evaluation
) -> list[tuple[LLMProposer, str, Request]]:
    """Return what each operator that asks a model would ask first, and which model.

    Args:
        loaded: The configuration.
        parts: Hold problem and operators.
        evaluation: Of the seed program; it has a score.
    """
    return [
        (each.operator, each.operator.model, each.operator.request(each.context))
        for each in _asking(loaded, parts, evaluation)
    ]


def _asking(loaded: Loaded[RunConfig], parts: Parts, evaluation: Evaluation) -> list[Asking]:
    """Return the operators that ask a model, and what they are given first."""
    seed = Individual(0, parts.problem.seed_program, evaluation)
    population = population_of(
        loaded, parts, configured_archive(loaded, parts.problem), lambda _: seed
    )
    population.insert(seed.id, evaluation)
    drawn = draw(loaded.config.seed, 0, parts.portfolio, population, History())
    portfolio = parts.portfolio
    total = sum(portfolio.weights)
    return [
        Asking(
            operator,
            weight / total,
            replace(drawn, operator=operator).context(parts.problem, _never),
        )
        for operator, weight in zip(portfolio.proposers, portfolio.weights, strict=True)
        if isinstance(operator, LLMProposer)
    ]


def facts_of(
    loaded: Loaded[RunConfig],
    parts: Parts,
    evaluation: Evaluation,
    first_s: float,
    seconds: Sequence[float],
    reader: Reader | None,
    probes: Sequence[Probe] = (),
) -> Facts:
    """Gather what is known of a run.

    Args:
        loaded: The configuration.
        parts: The open run.
        evaluation: Of the seed program; it has a score.
        first_s: How long the first evaluation in a slot took.
        seconds: How long others took, several times, or at least and at most.
        reader: A database that may hold earlier runs; None for none.
        probes: Calls that were made to find out.
    """
    config, version = loaded.config, parts.evaluate.version
    told: list[str] = []
    asking = _asking(loaded, parts, evaluation)
    requests = [(each.operator.model, each.operator.request(each.context)) for each in asking]
    asked = {each.operator.name: each.operator.model for each in asking}
    models = {}
    for each in config.models:
        if each.id in asked.values():
            answers = [probe.completion for probe in probes if probe.model == each.id]
            models[each.id] = _model(each, requests, parts, reader, answers, told)
    operators, fruitful, past = _operators(parts, asked, reader, told)
    beside = calls_beside(Known(loaded, parts, asking, past, reader), told)
    pace = reader.past_pace(version) if reader else None
    evaluation_s = _evaluation(seconds, pace, told)
    rotation = _rotation(loaded, parts, evaluation_s, reader, told)
    closing_s = _held_out(seconds, evaluation_s, pace, parts.evaluate.sizes)
    if parts.rules is not None:
        evaluation_s, closing_s = _sampled(parts.rules, evaluation_s, closing_s, told)
    strict = config.order == "strict"
    closing = 2 + len(parts.problem.baselines) if "held_out" in parts.evaluate.stages else 0
    return Facts(
        first_s=Span(first_s, first_s).times(*OFF),
        evaluation_s=evaluation_s,
        slots=config.slots,
        operators=operators,
        models=models,
        fruitful=fruitful,
        overhead_s=OVERHEAD_S,
        in_flight=config.window if strict else config.proposals,
        closing=closing,
        closing_s=closing_s,
        stop=config.stop,
        sources=tuple(told),
        samples=ONE if parts.rules is None else _samples(parts.rules),
        beside=beside,
        rotation=rotation,
    )


def note_forecast(
    store: Store,
    run_id: int,
    loaded: Loaded[RunConfig],
    parts: Parts,
    evaluation: Evaluation,
    width: Width,
) -> None:
    """Store with a run what it is expected to take, as far as its seed program tells."""
    # The first evaluation warms slot and scorer up: it is the most that one takes.
    inside = max(evaluation.usage.wall_ns / 1e9, LEAST_S)
    first_s = max(inside, width.evaluation_s or inside)
    facts = facts_of(loaded, parts, evaluation, first_s, [inside, first_s], store)
    expected = forecast(facts, loaded.config.seed)
    if expected is not None:
        store.note(run_id, KEY, expected.as_dict())


def expected_of(run: RunRecord) -> Forecast | None:
    """Return what was expected of a run at its beginning, if it was reckoned then."""
    stored = run.provenance.get(KEY)
    return forecast_from(stored) if isinstance(stored, dict) else None


def _evaluation(seconds: Sequence[float], pace: PastPace | None, told: list[str]) -> Span:
    low, high = min(seconds), max(seconds)
    told.append(f"an evaluation of the seed program took {low:.3g} to {high:.3g} s")
    if pace is None:
        return Span(low, high).times(*OTHERS)
    told.append(
        f"in earlier runs other programs took {pace.others:.2g} times as long as the seed program"
    )
    return Span(low * pace.others, high * pace.others).times(*OFF_S)


def _sampled(
    rules: Rules, evaluation_s: Span, closing_s: Span, told: list[str]
) -> tuple[Span, Span]:
    """Return how long evaluations take that are made of samples, in the search and at its end."""
    if rules.most == 1:
        return evaluation_s, closing_s
    told.append(f"scores vary: every program has {rules.repeats} samples, at most {rules.most}")
    return evaluation_s.times(*_samples(rules)), closing_s.times(rules.most, rules.most)


def _rotation(
    loaded: Loaded[RunConfig], parts: Parts, sample_s: Span, reader: Reader | None, told: list[str]
) -> Rotation | None:
    """Return how cases rotate, and how many elites are measured again at a turn."""
    rules = parts.rules
    if rules is None or not rules.rotate:
        return None
    cells = configured_archive(loaded, parts.problem).build().cells or 1
    elites = Span(cells, cells).times(*ELITES).times(*[loaded.config.islands.count] * 2)
    earlier = [
        run.id
        for run in (reader.runs() if reader else ())
        if (run.kind, run.status, run.problem_hash)
        == ("search", "finished", parts.evaluate.version)
    ]
    if earlier and reader:
        past = max(1, len(reader.elites(max(earlier))))
        elites = Span(past, past).times(*OFF)
    told.append(
        f"cases rotate: every {rules.rotate} iterations all elites are measured once more, at the "
        f"end {elites.low:.0f} to {elites.high:.0f}{', by the last run' if earlier else ''}"
    )
    return Rotation(rules.rotate, elites, NEW_ELITES, sample_s)


def _samples(rules: Rules) -> Span:
    """Return how many samples a program has; few races go to the end."""
    return Span(rules.repeats, (rules.repeats + rules.most) / 2)


def _held_out(
    seconds: Sequence[float], search_s: Span, pace: PastPace | None, sizes: Mapping[Stage, int]
) -> Span:
    """Return how long an evaluation on the held-out cases takes."""
    if pace is not None and pace.held_out is not None:
        return Span(min(seconds) * pace.held_out, max(seconds) * pace.held_out).times(*OFF_S)
    more = sizes["held_out"] / max(1, sizes["search"])
    return search_s.times(more * HELD_OUT[0], more * HELD_OUT[1])


def _operators(
    parts: Parts, asked: Mapping[str, str], reader: Reader | None, told: list[str]
) -> tuple[tuple[Operator, ...], Span, frozenset[str]]:
    """Return operators, the share of proposals that are evaluated, and whose past is known."""
    portfolio, total = parts.portfolio, sum(parts.portfolio.weights)
    found, low, high, known = [], 0.0, 0.0, set()
    for proposer, weight in zip(portfolio.proposers, portfolio.weights, strict=True):
        past = reader.past_yield(parts.evaluate.version, proposer.name) if reader else None
        share = weight / total
        fruitful, calls = FRUITFUL, TWO_CALLS if isinstance(proposer, StagedProposer) else ONE_CALL
        if past is not None:
            told.append(
                f"{proposer.name}: of {past.proposals} earlier proposals {past.fruitful:.0%} led "
                f"to an evaluation, with {past.calls:.2g} calls each"
            )
            known.add(proposer.name)
            near = max(past.fruitful, 0.02)
            fruitful, calls = Span(near * 0.9, min(1.0, near * 1.1)), Span(past.calls, past.calls)
        model = asked.get(proposer.name, "")
        found.append(Operator(proposer.name, share, model, calls if model else NONE))
        low, high = low + share * fruitful.low, high + share * fruitful.high
    return tuple(found), Span(low, high), frozenset(known)


def _model(
    config: ModelConfig,
    requests: Sequence[tuple[str, Request]],
    parts: Parts,
    reader: Reader | None,
    answers: Sequence[Completion],
    told: list[str],
) -> ModelFacts:
    """Return what is known of a model's calls: from probes, else earlier runs, else a guess."""
    price = parts.prices[config.id].price
    past = reader.past_calls(config.id) if reader else None
    if answers:
        told.append(f"{config.id}: {len(answers)} calls were made to find out")
        return ModelFacts(
            input=_seen([each.tokens.input for each in answers]).times(1.0, GROWTH[1]),
            output=_seen([each.tokens.output for each in answers]),
            latency_s=_seen([each.latency_s for each in answers]),
            price=price,
            concurrency=config.concurrency,
        )
    if past is not None:
        told.append(
            f"{config.id}: {past.calls} earlier calls took {past.input:.0f} tokens in, "
            f"{past.output:.0f} out and {past.latency_s:.3g} s each"
        )
        means = (past.input, past.output, past.latency_s)
        spans = [Span(mean, mean).times(*OFF) for mean in means]
        return ModelFacts(spans[0], spans[1], spans[2], price, config.concurrency)
    lengths = [characters(request) for model, request in requests if model == config.id]
    call = assumed_call(config, parts, lengths, REPLY)
    told.append(
        f"{config.id}: the first prompt has {max(lengths)} characters; of its replies nothing is "
        f"known, {call.output.low:.0f} to {call.output.high:.0f} tokens are assumed"
    )
    return replace(call, input=call.input.times(*GROWTH))


def _seen(values: Sequence[float]) -> Span:
    """Return a span around a few values, wider than they are."""
    return Span(min(values), max(values)).times(*OFF)
