"""The seam of observation: what a hook is, and what it is told of the run it watches."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import cast

from evolve.config.file import Loaded
from evolve.config.models import RunConfig
from evolve.config.plugins import build, resolve
from evolve.core.errors import PluginError, PrerequisiteError
from evolve.engine.events import Event
from evolve.store.reader import Reader
from evolve.store.records import RunRecord

#: The hooks that come with the engine, for the resolver of plug-in references.
HOOKS = {
    "jsonl": "evolve.engine.hooks.jsonl:JsonlHook",
    "wandb": "evolve.engine.hooks.wandb:WandbHook",
    "mlflow": "evolve.engine.hooks.mlflow:MlflowHook",
    "tensorboard": "evolve.engine.hooks.tensorboard:TensorBoardHook",
    "otel": "evolve.engine.hooks.otel:OtelHook",
}


@dataclass(frozen=True, slots=True)
class Watched:
    """The run that a hook is about to hear of.

    Attributes:
        run: As stored: its resolved configuration has no secrets.
        database: URL of the database, for hooks that read more than events say. It may hold a
            password; `evolve.store.opening.shown` is what others may see of it.
        folder: The database's folder: relative paths in a hook's options start there.
        evaluations: Search evaluations that earlier sessions committed.
    """

    run: RunRecord
    database: str = field(repr=False)
    folder: Path
    evaluations: int

    @property
    def uid(self) -> str:
        """A name that no other run has, of this database or another; sessions share it."""
        run = self.run
        parts = (run.id, run.created_at, run.seed, run.config_hash, run.problem_hash)
        return hashlib.sha256(repr(parts).encode()).hexdigest()[:16]


def watched(store: Reader, run: RunRecord, database: str) -> Watched:
    """Return what hooks are told of a run before its first event."""
    evaluations = sum(store.totals(run.id).evaluations.values())
    return Watched(run, database, store.folder, evaluations)


class Hook:
    """Told of every event of a run; the methods do nothing until a subclass says otherwise.

    All of them are called in one thread that belongs to the hook, one after the other, so they may
    wait. What they raise is reported once and never stops the run. `RunStarted.archive` and
    `ArchiveSettled.archive` belong to the run's own thread: a hook must not look at them.

    The constructor takes the options of the configuration as keyword arguments; it must not wait,
    or open anything.
    """

    def begin(self, watched: Watched) -> None:
        """Hear which run it is, before the first event."""

    def handle(self, event: Event, at: float) -> None:
        """Hear of an event.

        Args:
            event: What happened.
            at: When, in Unix seconds.
        """

    def end(self) -> None:
        """Hear that no more events come, the last one being `RunFinished`."""


def open_hooks(loaded: Loaded[RunConfig]) -> Sequence[tuple[str, Hook]]:
    """Make the configured hooks; nothing is opened yet.

    Returns:
        Each with the name that messages call it by.

    Raises:
        ConfigError: a name or an option is wrong.
        PrerequisiteError: a package is missing.
    """
    made = []
    for index, config in enumerate(loaded.config.hooks):
        with loaded.at("hooks", index):
            factory = resolve(config.kind, seam="evolve.hooks", builtin=HOOKS, folder=loaded.folder)
            hook = build(factory, config.options, what=f"hook {config.kind}")
            if not all(hasattr(hook, name) for name in ("begin", "handle", "end")):
                raise PluginError(
                    f"{config.kind} makes a {type(hook).__name__}, which is no "
                    "evolve.engine.hooks.base.Hook"
                )
            made.append((config.kind, cast("Hook", hook)))
    return made


def need(package: str, extra: str) -> None:
    """Refuse to go on without a package that is imported later.

    Raises:
        PrerequisiteError: it is not installed.
    """
    if find_spec(package) is None:
        raise PrerequisiteError(
            f"the hook {extra} needs {package}: pip install 'evolve-engine[{extra}]'"
        )
