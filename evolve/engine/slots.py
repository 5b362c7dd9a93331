"""The slots of a run, open: on this machine, or on the nodes of a Ray cluster."""

from __future__ import annotations

import math
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from evolve.config.models import PoolConfig, RunConfig
from evolve.config.problem import Problem
from evolve.core.errors import ConfigError
from evolve.core.limits import Limits
from evolve.core.resources import Resources
from evolve.engine.events import FaultOccurred, Observer, Preparing
from evolve.pool.allot import Need, allotted
from evolve.pool.base import Pool
from evolve.pool.local import LocalPool
from evolve.sandbox.base import ANY_RESOURCES, Sandbox, Slot
from evolve.sandbox.spec import SandboxSpec


@dataclass(frozen=True, slots=True)
class Slots:
    """Where programs run.

    Attributes:
        pool: Leases slots.
        sandbox: What their isolation is like.
        places: Node, CPUs and devices of each slot; empty texts where it has none of its own.
        notes: What is not ideal about them.
        hardware: What scores that are times depend on.
    """

    pool: Pool
    sandbox: Sandbox
    places: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    hardware: Mapping[str, object] = field(default_factory=dict)


@asynccontextmanager
async def open_slots(
    spec: SandboxSpec, config: RunConfig, problem: Problem, emit: Observer
) -> AsyncIterator[Slots]:
    """Open the slots of a run.

    Args:
        spec: The sandbox they have.
        config: How many, and where.
        problem: What they must be fit for.
        emit: Told of trouble with slots, and of what takes time.

    Raises:
        ConfigError: what slots may share contradicts what the problem is.
        PrerequisiteError: a sandbox, a device or the cluster is missing.
    """
    opened = _on_ray if config.pool.kind == "ray" else _here
    async with opened(spec, config, problem, emit) as slots:
        yield slots


@asynccontextmanager
async def _here(
    spec: SandboxSpec, config: RunConfig, problem: Problem, emit: Observer
) -> AsyncIterator[Slots]:
    sandbox = spec.make(lambda text: emit(Preparing(text)))
    need = Need(config.slots, problem.limits, problem.timed)
    with allotted(need, config.pool) as allotment:
        async with LocalPool(
            sandbox,
            config.slots,
            problem.limits,
            allotment=allotment,
            report=lambda message: emit(FaultOccurred("pool", message)),
        ) as pool:
            places = tuple(map(str, allotment.resources))
            yield Slots(pool, sandbox, places, allotment.notes, allotment.hardware())


class _Elsewhere:
    """A sandbox of other machines: what their slots said of it."""

    def __init__(self, sandbox: Sandbox, facts: Mapping[str, Any]) -> None:
        self.name, self.accepts_untrusted = sandbox.name, sandbox.accepts_untrusted
        self._facts = facts

    async def open_slot(
        self, index: int, limits: Limits, resources: Resources = ANY_RESOURCES
    ) -> Slot:
        """Refuse: the pool opens slots.

        Raises:
            NotImplementedError: always.
        """
        raise NotImplementedError(f"slot {index} is for the pool of {self.name} to open")

    def guarantees(self) -> list[str]:
        """Return what the first slot said."""
        return list(self._facts["guarantees"])

    def provenance(self) -> dict[str, str]:
        """Return what the first slot said."""
        return dict(self._facts["provenance"])


@asynccontextmanager
async def _on_ray(
    spec: SandboxSpec, config: RunConfig, problem: Problem, emit: Observer
) -> AsyncIterator[Slots]:
    from evolve.pool.ray.blueprint import Blueprint
    from evolve.pool.ray.cluster import RayCluster
    from evolve.pool.ray.leases import Leases
    from evolve.pool.ray.pool import RayPool

    options = reservation(config.pool, problem)
    parts = options.get("num_gpus", 0) % 1
    blueprint = Blueprint(
        spec,
        problem.limits,
        problem.timed,
        {
            "pin_cpus": config.pool.pin_cpus,
            "exclusive": config.pool.exclusive,
            "gpu_slots": math.ceil(1 / parts) if parts else 1,
        },
        shared=parts > 0,
    )

    def report(message: str) -> None:
        emit(FaultOccurred("pool", message))

    leases = Leases()
    emit(Preparing(f"connecting to the Ray cluster at {config.pool.address}"))
    async with (
        RayCluster(config.pool.address, blueprint, options, leases.counts) as cluster,
        RayPool(
            cluster,
            config.slots,
            leases,
            lost_s=config.pool.lost_s,
            wait_s=config.pool.wait_s,
            compare_hardware=problem.timed,
            report=report,
        ) as pool,
    ):
        facts = pool.facts
        sandbox = _Elsewhere(spec.make(), facts)
        yield Slots(pool, sandbox, pool.places, tuple(facts["notes"]), facts["hardware"])


def reservation(config: PoolConfig, problem: Problem) -> dict[str, Any]:
    """Return what Ray reserves for a slot, as options of an actor.

    Raises:
        ConfigError: the GPUs are not those that programs see, or are shared and must not be.
    """
    wanted, limits = config.resources, problem.limits
    gpus = limits.gpus if wanted.num_gpus is None else wanted.num_gpus
    if math.ceil(gpus) != limits.gpus:
        raise ConfigError(
            f"`pool.resources.num_gpus` is {gpus:g}, and `limits.gpus` of {problem.id} says that "
            f"programs see {limits.gpus}: leave it out, or change the limit in problem.yaml"
        )
    if gpus % 1 and (problem.timed or limits.gpu_memory_mb or config.pin_cpus is True):
        raise ConfigError(
            "`pool.resources.num_gpus` below 1 shares a GPU: not for problems that are timed or "
            "limit GPU memory, and not with `pin_cpus: true`"
        )
    memory_mb = limits.memory_mb if wanted.memory_mb is None else wanted.memory_mb
    return {
        "num_cpus": limits.cpus if wanted.num_cpus is None else wanted.num_cpus,
        "memory": memory_mb << 20,
        **({"num_gpus": gpus} if gpus else {}),
        **({"resources": wanted.custom} if wanted.custom else {}),
    }
