"""Begin a run in the store, or go on with one that was stopped."""

from __future__ import annotations

import hashlib
import json
import os
import platform
import socket
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib.metadata import version

from evolve.archive.spec import ArchiveSpec
from evolve.config.file import Loaded, config_hash
from evolve.config.models import PoolConfig, RunConfig, StopConfig
from evolve.config.problem import Problem
from evolve.engine.archives import configured_archive
from evolve.engine.assemble import Parts
from evolve.store.archives import ArchiveRecord
from evolve.store.records import NewRun, RunRecord
from evolve.store.store import Store

#: Keys that do not change which programs are found from which; see docs/design/0003.
WITHOUT_EFFECT: Mapping[str, object] = {
    "name": "",
    "preset": "",
    "slots": 1,
    "proposals": None,
    "pool": PoolConfig(),
    "stop": StopConfig(evaluations=1),
}


@dataclass(frozen=True, slots=True)
class Opened:
    """A claimed run.

    Attributes:
        spec: What its archive is made from at first.
        settled: The archive in its place, once quantile cells have their edges.
        record: Its row as it was before.
        resumed: Whether an earlier session began it.
        notes: What is not as it was when it began.
    """

    record: RunRecord
    resumed: bool
    spec: ArchiveSpec
    settled: ArchiveRecord | None
    notes: tuple[str, ...] = ()


def open_run(store: Store, loaded: Loaded[RunConfig], parts: Parts, *, new: bool) -> Opened:
    """Claim the unfinished run of this configuration, or create and claim a new one.

    Raises:
        RunLocked: another live process is writing that run.
    """
    config, problem = loaded.config, parts.problem
    identity = search_hash(config, problem)
    record = None if new else store.unfinished_run(identity, parts.evaluate.version)
    resumed = record is not None
    if record is None:
        record = store.create_run(
            NewRun(
                name=config.name or loaded.path.stem,
                problem=problem.id,
                seed=config.seed,
                config_json=config.model_dump_json(),
                config_hash=identity,
                problem_hash=parts.evaluate.version,
                evaluator_ref=problem.evaluator,
                provenance=provenance(loaded, parts),
                objective=problem.objective,
                measures=problem.measures,
            ),
            configured_archive(loaded, problem),
        )
    store.claim(record.id, f"{socket.gethostname()}:{os.getpid()}")
    settled = store.archive(record.id) if record.archive else None
    spec = store.archive(record.id, 0).spec
    notes = tuple(_changes(record.provenance, provenance(loaded, parts)))
    return Opened(record, resumed, spec, settled, notes)


def _changes(before: Mapping[str, object], now: Mapping[str, object]) -> Iterator[str]:
    """Say when programs no longer run in the image they ran in when the run began."""
    old, new = before.get("digest"), now.get("digest")
    if old != new and (old or new):
        yield (
            f"the sandbox image has changed since this run began: {old or 'none'} then, "
            f"{new or 'none'} now; scores from both are compared with each other. `--new` begins "
            "a run of its own"
        )


def search_hash(config: RunConfig, problem: Problem) -> str:
    """Return the SHA-256 of what steers a search, beside what `Problem.hash` covers."""
    steering = {
        "config": config_hash(config.model_copy(update=dict(WITHOUT_EFFECT))),
        "seed_program": problem.seed_program.id,
        "statement": problem.statement,
        "measures": [measure.as_dict() for measure in problem.measures],
    }
    return hashlib.sha256(json.dumps(steering, sort_keys=True).encode()).hexdigest()


def provenance(loaded: Loaded[RunConfig], parts: Parts) -> dict[str, object]:
    """Return the versions and prices a run was made with, and where its configuration lay."""
    packages = ("evolve-engine", "numpy", "openai", "anthropic", "sqlalchemy")
    return {
        "python": platform.python_version(),
        "platform": platform.platform(),
        "folder": str(loaded.folder.resolve()),
        **{name: version(name) for name in packages},
        "prices": {name: quoted.as_dict() for name, quoted in parts.prices.items()},
        "sandbox": parts.sandbox.name,
        **parts.sandbox.provenance(),
    }
