"""Begin a run in the store, or go on with one that was stopped."""

from __future__ import annotations

import hashlib
import json
import os
import platform
import socket
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from importlib.metadata import version

from evolve.archive.spec import ArchiveSpec
from evolve.config.file import Loaded, config_hash
from evolve.config.held_out import HeldOutConfig
from evolve.config.models import PoolConfig, RunConfig, StopConfig, StoreConfig
from evolve.config.problem import Problem
from evolve.core.errors import StoreError
from evolve.engine.archives import configured_archive
from evolve.engine.assemble import Bench, Parts
from evolve.engine.packages import PACKAGES, changed_packages, packages_of
from evolve.engine.reported import KEY
from evolve.store.archives import ArchiveRecord
from evolve.store.records import NewRun, RunKind, RunRecord
from evolve.store.store import Store

#: Keys that do not change which programs are found from which; see docs/design/0003.
WITHOUT_EFFECT: Mapping[str, object] = {
    "name": "",
    "preset": "",
    "slots": 1,
    "proposals": None,
    "reuse": True,
    "pool": PoolConfig(),
    "hooks": (),
    "store": StoreConfig(),
    "held_out": HeldOutConfig(),
    "stop": StopConfig(evaluations=1),
}
#: The same of every model: what its calls cost, and how patient one is with it.
MODELS_WITHOUT_EFFECT: Mapping[str, object] = {
    "price": None,
    "concurrency": 1,
    "timeout_s": 1.0,
    "retries": 0,
    "outage_s": 1.0,
    "image_tokens": None,
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


def open_run(
    store: Store, loaded: Loaded[RunConfig], parts: Parts, *, new: bool, join: bool = False
) -> Opened:
    """Claim the unfinished run of this configuration, or create and claim a new one.

    Args:
        store: Where.
        loaded: The configuration.
        parts: What it names.
        new: Leave an unfinished one alone.
        join: Work on it together with others.

    Raises:
        RunLocked: another live process is writing that run.
        StoreError: its evaluator has changed since, or there is nothing to join.
        ConfigError: a run in strict order cannot be shared.
    """
    if not join:
        return _open_run(store, loaded, parts, new=new)
    if loaded.config.order == "strict":
        raise loaded.error(
            "--join needs `order: arrival`: in strict order an iteration waits for those before "
            "it, whoever makes them, so that several controllers would wait for each other",
            "order",
        )
    with store.alone():  # of several that come at once, one makes the run
        return _open_run(store, loaded, parts, new=new, join=True)


def _open_run(
    store: Store, loaded: Loaded[RunConfig], parts: Parts, *, new: bool, join: bool = False
) -> Opened:
    version = parts.evaluate.version
    record = None
    if not new:
        identity = search_hash(loaded.config, parts.problem)
        record = store.unfinished_run(identity, version)
        if record is None:
            latest = store.latest_run(identity)
            _check_evaluator(latest, version)
            if join:
                _check_unfinished(latest)
    if record is not None:
        before, now = record.provenance, provenance(loaded, parts)
        moved = _moved(before, now) if parts.problem.timed else ()
        notes = (*_changes(before, now), *moved)
        return claim_run(store, record, resumed=True, notes=notes, join=join)
    prices = {name: quoted.as_dict() for name, quoted in parts.prices.items()}
    created = create_run(store, loaded, parts, {"prices": prices})
    return claim_run(store, created, resumed=False, join=join)


def _check_unfinished(latest: RunRecord | None) -> None:
    """Refuse to begin another run for somebody who comes too late to join."""
    if latest is not None and latest.status == "finished":
        raise StoreError(
            f"run {latest.id} ({latest.name}) of this configuration is finished "
            f"({latest.reason}), so there is nothing to join. `evolve show {latest.id}` shows what "
            "came of it, --join --new begins another one"
        )


def _check_evaluator(latest: RunRecord | None, version: str) -> None:
    """Refuse to forget, without a word, a run that an older evaluator judged."""
    if latest is None or latest.status == "finished" or latest.problem_hash == version:
        return
    raise StoreError(
        f"run {latest.id} ({latest.name}) of this configuration is not finished, and its evaluator "
        f"has changed since ({latest.problem_hash[:12]} then, {version[:12]} now). Scores of two "
        f"versions are not mixed:\n`evolve rescore {latest.id}` evaluates its elites under the new "
        "version, and the search goes on from them; `--new` begins a new run."
    )


def create_run(
    store: Store,
    loaded: Loaded[RunConfig],
    bench: Bench,
    further: Mapping[str, object],
    name: str = "",
    kind: RunKind = "search",
) -> RunRecord:
    """Add a run of a configuration; ``further`` goes into its provenance.

    Args:
        store: Where.
        loaded: The configuration.
        bench: What judges its programs.
        further: What else its provenance says.
        name: What it is called where the configuration does not say; default: as its file.
        kind: Whether it is a search.
    """
    config, problem = loaded.config, bench.problem
    return store.create_run(
        NewRun(
            name=config.name or name or loaded.path.stem,
            problem=problem.id,
            seed=config.seed,
            config_json=config.model_dump_json(),
            config_hash=search_hash(config, problem),
            problem_hash=bench.evaluate.version,
            evaluator_ref=problem.evaluator,
            provenance={**provenance(loaded, bench), **further},
            objective=problem.objective,
            measures=problem.measures,
            record=problem.record,
            kind=kind,
        ),
        configured_archive(loaded, problem),
    )


def claim_run(
    store: Store,
    record: RunRecord,
    *,
    resumed: bool,
    notes: tuple[str, ...] = (),
    join: bool = False,
) -> Opened:
    """Become the writer of a run, or one of its writers.

    Raises:
        RunLocked: another live process is writing it.
    """
    if not join:
        store.claim(record.id, holder())
    elif others := store.join(record.id, holder()).others():
        notes = (*notes, f"shared with {', '.join(others)}")
    given = RunConfig.model_validate_json(record.config_json).instructions
    store.instructions.begin_with(record.id, () if given is None else given.texts)
    settled = store.archive(record.id) if record.archive else None
    spec = store.archive(record.id, 0).spec
    return Opened(record, resumed, spec, settled, notes)


def holder() -> str:
    """Return how people find this process."""
    return f"{socket.gethostname()}:{os.getpid()}"


def _changes(before: Mapping[str, object], now: Mapping[str, object]) -> Iterator[str]:
    """Say when image or packages are no longer those that a run began with."""
    old, new = before.get("digest"), now.get("digest")
    if old != new and (old or new):
        yield (
            f"the sandbox image has changed since this run began: {old or 'none'} then, "
            f"{new or 'none'} now; scores from both are compared with each other. `--new` begins "
            "a run of its own"
        )
    if moved := changed_packages(before, now):
        yield (
            f"packages that scores depend on have changed since this run began: {moved}; scores "
            "made with both are compared with each other. `--new` begins a run of its own"
        )


def search_hash(config: RunConfig, problem: Problem) -> str:
    """Return the SHA-256 of what steers a search, beside what `Problem.hash` covers."""
    models = tuple(model.model_copy(update=dict(MODELS_WITHOUT_EFFECT)) for model in config.models)
    steering = {
        "config": config_hash(config.model_copy(update={**WITHOUT_EFFECT, "models": models})),
        "seed_program": problem.seed_program.id,
        "statement": problem.statement,
        "measures": [replace(measure, unit="").as_dict() for measure in problem.measures],
        **({"rotate": problem.rotate} if problem.rotate and config.rotate is None else {}),
    }
    return hashlib.sha256(json.dumps(steering, sort_keys=True).encode()).hexdigest()


def provenance(loaded: Loaded[RunConfig], bench: Bench) -> dict[str, object]:
    """Return the versions a run was made with, and where its configuration lay."""
    packages = ("evolve-engine", "numpy", "openai", "anthropic", "sqlalchemy")
    return {
        "python": platform.python_version(),
        "platform": platform.platform(),
        "folder": str(loaded.folder.resolve()),
        **{name: version(name) for name in packages},
        PACKAGES: packages_of(bench.problem, bench.sandbox),
        **bench.slots.hardware,
        "evaluator": bench.evaluate.version,
        **({} if bench.rules is None else {"noise": asdict(bench.rules)}),
        KEY: asdict(bench.problem.select),
        "sandbox": bench.sandbox.name,
        **bench.sandbox.provenance(),
    }


def _moved(before: Mapping[str, object], now: Mapping[str, object]) -> Iterator[str]:
    """Say when programs are no longer timed on the hardware they were timed on before."""
    old, new = (_hardware(each) for each in (before, now))
    if old and old != new:
        yield (
            f"earlier programs were timed on {old}, this is {new}: their times do not compare. "
            "`--new` begins a run on this machine"
        )


def _hardware(provenance: Mapping[str, object]) -> str:
    """Return the names of the CPU and GPUs that a run was made with; empty when not recorded."""
    gpus = provenance.get("gpus")
    names = [provenance.get("cpu"), *(gpus if isinstance(gpus, list) else [])]
    return ", ".join(str(name) for name in names if name)
