"""`evolve run --dry-run`: the seed program once, the first prompt, an estimate; no model call."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import TypeAlias

import anyio

from evolve.config.file import Loaded
from evolve.config.models import RunConfig
from evolve.core.evaluation import Evaluation
from evolve.engine.archives import configured_archive
from evolve.engine.assemble import Parts, open_parts, population_of
from evolve.engine.assess import check_seed
from evolve.engine.draw import draw
from evolve.engine.history import History
from evolve.llm.base import Completion, Message, Request
from evolve.llm.ledger import tokens_bound
from evolve.llm.prices import Quote, dearest_usd
from evolve.propose.base import Context, Individual
from evolve.propose.tokens import estimate

#: Draws that are looked at for one of an operator that asks a model.
_DRAWS = 1000
#: How an operator says what it would ask a model.
Asker: TypeAlias = Callable[[Context], Request]


@dataclass(frozen=True, slots=True)
class Preview:
    """What a run would start with.

    Attributes:
        outcome: How the seed program's evaluation ended.
        evaluation_s: Seconds of it, in a slot.
        numbers: The objective, then measures and metrics.
        prompt: The first prompt of a model operator; empty when the run asks no model.
        estimate: What the run is expected to take, one sentence each.
    """

    outcome: str
    evaluation_s: float
    numbers: dict[str, float]
    prompt: tuple[Message, ...]
    estimate: tuple[str, ...]

    def as_dict(self) -> dict[str, object]:
        """Return the fields for JSON."""
        return asdict(self)


def dry_run(loaded: Loaded[RunConfig]) -> Preview:
    """Evaluate the seed program and render the first prompt.

    Raises:
        SeedProgramInvalid: it has no score.
    """
    return anyio.run(partial(_dry_run, loaded))


async def _dry_run(loaded: Loaded[RunConfig]) -> Preview:
    async with open_parts(loaded) as parts:
        async with parts.pool.lease() as slot:
            started = anyio.current_time()
            evaluation = await parts.evaluate(slot, parts.problem.seed_program)
            seconds = anyio.current_time() - started
        check_seed(evaluation, parts.problem.id)
        score = evaluation.score
        assert score is not None
        first = _first_request(loaded, parts, evaluation)
        return Preview(
            outcome=evaluation.outcome,
            evaluation_s=seconds,
            numbers={
                parts.problem.objective.name: score.objective,
                **score.measures,
                **score.metrics,
            },
            prompt=first[0].messages if first else (),
            estimate=tuple(_estimate(loaded.config, parts.prices, seconds, first)),
        )


def _first_request(
    loaded: Loaded[RunConfig], parts: Parts, evaluation: Evaluation
) -> tuple[Request, str] | None:
    """Return the first request the run would send and the model it goes to."""
    seed = Individual(0, parts.problem.seed_program, evaluation)
    spec = configured_archive(loaded, parts.problem)
    population = population_of(loaded, parts, spec, lambda _: seed)
    population.insert(seed.id, evaluation)
    asking = [each for each in parts.portfolio.proposers if hasattr(each, "request")]
    if not asking:
        return None
    draws = (
        draw(loaded.config.seed, iteration, parts.portfolio, population, History())
        for iteration in range(_DRAWS)
    )
    drawn = next((each for each in draws if each.operator in asking), None)
    if drawn is None:  # none that asks can work before there is more than the seed program
        drawn = draw(loaded.config.seed, 0, parts.portfolio, population, History())
        drawn = replace(drawn, operator=asking[0])
    request: Asker = drawn.operator.request  # type: ignore[attr-defined]  # looked for above
    context = drawn.context(parts.problem, _never)
    return request(context), str(getattr(drawn.operator, "model", ""))


async def _never(model: str, request: Request) -> Completion:
    """Refuse: a dry run calls no model."""
    raise AssertionError(
        f"a dry run was about to call {model} with {len(request.messages)} messages"
    )


def _estimate(
    config: RunConfig,
    prices: Mapping[str, Quote],
    seconds: float,
    first: tuple[Request, str] | None,
) -> Iterator[str]:
    """Say what the run may take, from one evaluation and one prompt."""
    stop = config.stop
    yield f"the seed program takes {seconds:.2f} s; `evolve plan` predicts what the run takes"
    if stop.wall_s is not None:
        yield f"the run ends after {stop.wall_s:g} s at the latest"
    if first is None:
        yield "no model is called"
        return
    request, model = first
    characters = sum(len(message.content) for message in request.messages)
    tokens = sum(estimate(message.content) for message in request.messages)
    yield f"the first prompt has {characters} characters, about {tokens} tokens"
    if images := sum(len(message.images) for message in request.messages):
        yield f"it carries {images} image{'s' if images > 1 else ''}, whose tokens come on top"
    price = prices[model].price
    if price is None:
        yield f"the price of {model} is unknown, so what it costs is not counted; give it price:"
    else:
        known = next(each for each in config.models if each.id == model)
        bound = dearest_usd(tokens_bound(request, known), price)
        yield f"one call of {model} costs at most ${bound:.4f}, a reply of full length included"
        yield f"its price is taken from: {prices[model].source}"
    if stop.cost_usd is not None:
        yield f"never more than ${stop.cost_usd:g} is spent"
