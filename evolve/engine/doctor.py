"""What this machine has of what a run may need: each check is a value."""

from __future__ import annotations

import os
import platform
import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeAlias

import anyio

from evolve.core.errors import EvolveError

if TYPE_CHECKING:
    from evolve.engine.pings import Pinged

Verdict: TypeAlias = Literal["ok", "missing", "problem"]
#: Free space below which a run is at risk, in bytes.
LITTLE_SPACE = 1 << 30


@dataclass(frozen=True, slots=True)
class Check:
    """One finding. ``missing`` is needed for some runs only; ``problem`` wants mending."""

    name: str
    verdict: Verdict
    detail: str


def examine(db: str, models: tuple[str, ...] = (), ray: str = "") -> list[Check]:
    """Look at everything; ask the ``models`` for one word each, and nobody else.

    Args:
        db: Database to look into, and to commit the calls of ``models`` to.
        models: References such as ``openai/NAME``.
        ray: Address of a Ray cluster to look at, if any.
    """
    checks = [_python(), _cpus(), *_sandboxes(), _gpus(), *_keys(), _plot(), _disk(), _database(db)]
    checks += _cluster(ray) if ray else [_ray()]
    checks += _answers(models, db) if models else []
    return checks


def _python() -> Check:
    version = platform.python_version()
    verdict: Verdict = "ok" if sys.version_info >= (3, 11) else "problem"
    return Check("python", verdict, f"{version} on {platform.platform()}")


def _cpus() -> Check:
    from evolve.core.resources import ranges
    from evolve.pool.cpus import cores, usable_cpus

    try:
        cpus = usable_cpus()
    except EvolveError as error:
        return Check("cpus", "missing", f"{os.cpu_count()}; {error}")
    numbers, apart = ranges(cpu.number for cpu in cpus), len(cores(cpus))
    shared = f" on {apart} cores" if apart < len(cpus) else ""
    return Check(
        "cpus",
        "ok",
        f"{len(cpus)} usable ({numbers}){shared}; timed problems pin slots of 1 CPU: {apart} with "
        f"a core each, {len(cpus)} at most",
    )


def _sandboxes() -> Iterator[Check]:
    try:
        yield Check("process sandbox", "ok", anyio.run(_process_sandbox))
    except EvolveError as error:
        yield Check("process sandbox", "problem", str(error))
    try:
        yield Check("docker sandbox", "ok", _docker_engine())
    except EvolveError as error:
        yield Check("docker sandbox", "missing", str(error))


async def _process_sandbox() -> str:
    """Open a slot, since only that tells what this machine's kernel grants."""
    from evolve.core.limits import Limits
    from evolve.sandbox.process import ProcessSandbox

    sandbox = ProcessSandbox()
    slot = await sandbox.open_slot(0, Limits())
    await slot.aclose()
    return "; ".join(sandbox.guarantees())


def _docker_engine() -> str:
    from evolve.sandbox.engine import Engine
    from evolve.sandbox.runtimes import runtimes

    client = Engine().client
    try:
        version, known = client.version()["Version"], sorted(runtimes(client))
    finally:
        client.close()
    gvisor = "" if "runsc" in known else " (gVisor's runsc is not among them)"
    return f"engine {version} answers; runtimes: {', '.join(known)}{gvisor}"


def _gpus() -> Check:
    from evolve.pool.devices import visible
    from evolve.pool.nvml import NvmlDevices

    try:
        found = NvmlDevices().all()
        lent = visible(found, os.environ)
    except EvolveError as error:
        return Check("gpus", "missing", f"{error}; only problems with gpus need one")
    hidden = len(found) - len(lent)
    detail = "; ".join(map(str, lent)) or "none can be lent"
    return Check(
        "gpus",
        "ok" if lent else "missing",
        detail + (f"; {hidden} more hidden by CUDA_VISIBLE_DEVICES" if hidden else ""),
    )


def _keys() -> Iterator[Check]:
    for variable in ("OPENAI_API_KEY", "ANTHROPIC_API_KEY"):
        if os.environ.get(variable):
            yield Check(variable, "ok", "set")
        else:
            yield Check(variable, "missing", "not set; only its own models need it")


def _plot() -> Check:
    from importlib.util import find_spec

    if find_spec("matplotlib"):
        return Check("pictures", "ok", "matplotlib is installed")
    return Check("pictures", "missing", "heatmap --png needs: pip install 'evolve-engine[plot]'")


def _disk() -> Check:
    free = shutil.disk_usage(Path.cwd()).free
    verdict: Verdict = "ok" if free >= LITTLE_SPACE else "problem"
    return Check("disk", verdict, f"{free / 2**30:.1f} GiB free in the working folder")


def _database(db: str) -> Check:
    from evolve.store.opening import is_there, shown
    from evolve.store.reader import open_reader
    from evolve.store.schema import VERSION

    name = shown(db)
    try:
        if not is_there(db):
            return Check("database", "ok", f"{name}: no runs yet; the first run makes its tables")
        with open_reader(db) as reader:
            return Check("database", "ok", f"{name}: version {VERSION}, {len(reader.runs())} runs")
    except EvolveError as error:
        return Check("database", "problem", str(error))


def _ray() -> Check:
    from importlib.util import find_spec

    if find_spec("ray"):
        return Check("ray", "ok", "installed; `evolve doctor --ray auto` looks at a cluster")
    return Check("ray", "missing", "`pool: {kind: ray}` needs: pip install 'evolve-engine[ray]'")


def _cluster(address: str) -> Iterator[Check]:
    """Look at every node of a cluster, with a slot on it for a moment."""
    from evolve.pool.ray.survey import survey

    try:
        nodes = anyio.run(survey, address)
    except EvolveError as error:
        yield Check("ray", "problem", str(error))
        return
    yield Check("ray", "ok", f"{len(nodes)} nodes at {address}")
    for node in nodes:
        detail = f"{node.resources}; {node.trouble or 'holds slots'}"
        yield Check(f"node {node.address}", "problem" if node.trouble else "ok", detail)


def _answers(models: tuple[str, ...], db: str) -> list[Check]:
    """Ask each model for one word."""
    from evolve.config.models import ModelConfig
    from evolve.engine.pings import ping_models

    names = list(dict.fromkeys(models))
    try:
        said = ping_models([ModelConfig(id=name) for name in names], Path.cwd(), db)
    except EvolveError as error:  # the database: then nobody was asked
        return [Check(name, "problem", str(error)) for name in names]
    return [_answer(name, each) for name, each in zip(names, said, strict=True)]


def _answer(name: str, ping: Pinged) -> Check:
    if ping.error:
        return Check(name, "problem", ping.error)
    return Check(name, "ok", f"{ping.model or name} answered in {ping.latency_s:.1f} s")
