"""One tiny question to each model, to see whether it answers: paid for, so committed like any call.

Pings lie in a run of kind ``probe``. One that was killed is finished by the next ping of the same
models, which counts what was lost as spent and asks anew: what counts is the answer of today.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import anyio

from evolve.config.file import config_hash
from evolve.config.models import ModelConfig, ProposerConfig, RunConfig, StopConfig
from evolve.core.errors import EvolveError, StoreError, first_error
from evolve.core.measures import Measure, Objective
from evolve.engine.probing import Probing, probing
from evolve.llm.base import Message, Model, Request
from evolve.llm.budget import Caps
from evolve.llm.embeddings import embedding_request
from evolve.llm.prices import quotes
from evolve.llm.registry import open_model
from evolve.store.records import NewRun, RunRecord
from evolve.store.store import Store, open_store

#: Longest reply that a ping asks for; a model that reasons needs some tokens to say a word.
_PING_TOKENS = 256
_QUESTION = Message("user", "Reply with the single word: ok")
#: What stands in for the problem, the objective and the map of a run that has none.
_NOTHING = "none"


@dataclass(frozen=True, slots=True)
class Pinged:
    """What came of one tiny question.

    Attributes:
        run_id: The run that holds the call; None where none was made.
        model: The name that the server gave.
        finish: How the reply ended.
        cost_usd: None when the price is unknown.
        error: Why there is no reply; then the rest says nothing.
    """

    run_id: int | None = None
    model: str = ""
    finish: str = ""
    latency_s: float = 0.0
    tokens_input: int = 0
    tokens_output: int = 0
    cost_usd: float | None = None
    error: str = ""


def ping_models(configs: Sequence[ModelConfig], folder: Path, db: str) -> list[Pinged]:
    """Ask every model for one word, one after the other, and return what came of it.

    Args:
        configs: The models, each id once.
        folder: Where relative files in their ids start.
        db: Database that the calls are committed to; it is made if a call can be made.

    Raises:
        StoreError: the calls cannot be committed; none was made that is not.
    """
    short = [
        each.model_copy(update={"max_tokens": min(each.max_tokens, _PING_TOKENS)})
        for each in configs
    ]
    try:
        return anyio.run(partial(_ping_all, short, folder, db))
    except BaseExceptionGroup as group:
        raise first_error(group) from group


async def _ping_all(configs: Sequence[ModelConfig], folder: Path, db: str) -> list[Pinged]:
    found: dict[str, Pinged] = {}
    async with AsyncExitStack() as stack:
        models: dict[str, Model] = {}
        for config in configs:
            try:
                models[config.id] = open_model(config, folder)
            except EvolveError as error:
                found[config.id] = Pinged(error=str(error))
            else:
                stack.push_async_callback(models[config.id].aclose)
        asked = [config for config in configs if config.id in models]
        if asked:
            store = stack.enter_context(open_store(db))
            run = _probe(store, asked, folder)
            async with probing(store, run.id, models, asked, quotes(asked), Caps()) as probe:
                for iteration, config in enumerate(asked, probe.recovery.next_iteration):
                    found[config.id] = await _ping(probe, iteration, config)
    return [found[config.id] for config in configs]


async def _ping(probe: Probing, iteration: int, config: ModelConfig) -> Pinged:
    complete = probe.asking(iteration, "ping", config.id)
    try:
        reply = await complete(config.id, _request(config))
    except StoreError:
        raise
    except EvolveError as error:
        return Pinged(probe.run_id, error=str(error))
    return Pinged(
        probe.run_id,
        reply.model,
        reply.finish,
        reply.latency_s,
        reply.tokens.input,
        reply.tokens.output,
        reply.cost_usd,
    )


def _request(config: ModelConfig) -> Request:
    if config.api == "embeddings":
        return embedding_request(["ok"])
    if config.id.startswith("agent/"):  # the files it works on are a message of their own
        return Request((_QUESTION, replace(_QUESTION, content="{}")))
    return Request((_QUESTION,))


def _probe(store: Store, configs: Sequence[ModelConfig], folder: Path) -> RunRecord:
    """Return the unfinished pings of these models, or new ones."""
    config = RunConfig(
        problem=_NOTHING,
        models=tuple(configs),
        proposers=(ProposerConfig(kind="diff"),),
        stop=StopConfig(calls=len(configs)),
    )
    identity = config_hash(config)
    left = store.unfinished_run(identity, "", kind="probe")
    if left is not None:
        return left
    prices = {name: quoted.as_dict() for name, quoted in quotes(configs).items()}
    return store.create_run(
        NewRun(
            name="ping",
            problem=_NOTHING,
            seed=config.seed,
            config_json=config.model_dump_json(),
            config_hash=identity,
            problem_hash="",
            evaluator_ref="",
            provenance={"folder": str(folder.resolve()), "prices": prices},
            objective=Objective(_NOTHING),
            measures=(Measure(_NOTHING, 0.0, 1.0, 1),),
            kind="probe",
        )
    )
