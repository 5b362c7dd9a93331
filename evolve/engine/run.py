"""See a run through: open the parts, begin or resume, search, and say how it ended."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path

import anyio
from pydantic import ValidationError

from evolve.config.explain import explain
from evolve.config.file import Loaded, load_run_config, loaded_run_config
from evolve.config.models import RunConfig
from evolve.config.presets import with_preset
from evolve.core.errors import (
    ConfigError,
    ControllerLost,
    StoreError,
    TransactionLost,
    first_error,
    reason_of,
)
from evolve.engine.assemble import Parts, open_parts
from evolve.engine.events import FaultOccurred, Observer, RunFinished
from evolve.engine.hooks.base import open_hooks, watched
from evolve.engine.hooks.delivery import Announcer, announcing
from evolve.engine.result import Result as Result  # noqa: PLC0414 - what `run` returns
from evolve.engine.resume import open_run
from evolve.engine.session import Session
from evolve.store.records import RunStatus
from evolve.store.store import open_store

#: How often one of several controllers joins a run again that it was lost to.
REJOINS = 20


def run(
    config: str | Path | Mapping[str, object] | Loaded[RunConfig],
    *,
    db: str = "sqlite:///evolve.db",
    observers: Sequence[Observer] = (),
    new: bool = False,
    join: bool = False,
) -> Result:
    """Search for better programs, or go on with a search that was stopped.

    Args:
        config: A configuration file, or the same as a mapping; paths in a mapping are relative
            to the working folder.
        db: Database: a URL, or the path of an SQLite file.
        observers: Told of every event, see `evolve.engine.events`.
        new: Begin a new run even if the database holds this one unfinished.
        join: Work on the run together with the other processes that say so.

    Raises:
        EvolveError: see `evolve.core.errors`; what was committed stays committed.
    """
    try:
        return anyio.run(partial(_run, _load(config), db, observers, new=new, join=join))
    except BaseExceptionGroup as group:
        raise first_error(group) from group


def _load(config: str | Path | Mapping[str, object] | Loaded[RunConfig]) -> Loaded[RunConfig]:
    if isinstance(config, Loaded):
        return config
    if not isinstance(config, Mapping):
        return load_run_config(config)
    try:
        return loaded_run_config(RunConfig.model_validate(with_preset(config)))
    except ValidationError as error:
        found = [finding.message for finding in explain(error, RunConfig)]
        raise ConfigError("\n".join(found)) from None


async def _run(
    loaded: Loaded[RunConfig], db: str, observers: Sequence[Observer], *, new: bool, join: bool
) -> Result:
    with announcing(observers, open_hooks(loaded)) as emit:
        for _ in range(REJOINS if join else 0):
            try:
                async with open_parts(loaded, emit) as parts:
                    return await search(loaded, parts, db, emit, new=new, join=True)
            except (TransactionLost, ControllerLost, BaseExceptionGroup) as error:
                if not _is_lost(error):
                    raise
                emit(FaultOccurred("the database", f"{reason_of(error)}. Joining again"))
                new = False
        async with open_parts(loaded, emit) as parts:
            return await search(loaded, parts, db, emit, new=new, join=join)


def _is_lost(error: BaseException) -> bool:
    """Return whether a session ended because of its database, and another one may begin.

    Either the server went away in the midst of a step: then memory is ahead of the database, and a
    session that begins anew is not. Or this controller was not heard of for so long, while the
    server was away or the machine asleep, that others have taken over its work.
    """
    first = first_error(error) if isinstance(error, BaseExceptionGroup) else error
    return isinstance(first, TransactionLost | ControllerLost)


async def search(
    loaded: Loaded[RunConfig],
    parts: Parts,
    db: str,
    emit: Announcer,
    *,
    new: bool = False,
    join: bool = False,
) -> Result:
    """Search with parts that are open, whatever they are made of; see `run`.

    Args:
        loaded: The configuration.
        parts: What it names.
        db: As of `run`.
        emit: Told of every event.
        new: As of `run`.
        join: As of `run`.
    """
    kept = loaded.config.store
    with open_store(db, synchronous=kept.synchronous, wait_s=kept.wait_s) as store:
        opened = open_run(store, loaded, parts, new=new, join=join)
        emit.begin(partial(watched, store, opened.record, db))
        session = Session(loaded, parts, store, opened, emit, db)
        try:
            result = await session.run()
        except BaseException as error:
            status: RunStatus = "failed" if isinstance(error, Exception) else "interrupted"
            with suppress(StoreError):  # it may be the very thing that failed
                store.release(opened.record.id, status, reason_of(error))
            if not (join and _is_lost(error)):
                emit(RunFinished(opened.record.id, status, reason_of(error)))
            raise
        store.release(result.run_id, result.status, result.reason)
        emit(result.progress)
        emit(RunFinished(result.run_id, result.status, result.reason))
        return result
