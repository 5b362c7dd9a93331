"""Look at a cluster: which nodes it has, and whether each can hold a slot."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import anyio

from evolve.core.errors import EvolveError
from evolve.core.limits import Limits
from evolve.pool.ray.blueprint import Blueprint
from evolve.pool.ray.cluster import RayCluster
from evolve.sandbox.spec import SandboxSpec

#: Seconds a node may take to hold a slot.
PATIENCE_S = 60.0
_SHARE = 1e-3  #: of what a node has of itself: a mark that places an actor there


@dataclass(frozen=True, slots=True)
class Surveyed:
    """A node.

    Attributes:
        address: Where it is.
        resources: What it has in all, in words.
        trouble: What keeps it from holding a slot; empty when nothing does.
    """

    address: str
    resources: str
    trouble: str = ""


async def survey(address: str) -> list[Surveyed]:
    """Open a slot of the process sandbox on every node of the cluster, one after the other.

    Args:
        address: As in a configuration.

    Raises:
        PrerequisiteError: Ray is not installed, or no cluster answers.
        InfrastructureError: the cluster does not tell.
    """
    limits = Limits(memory_mb=128)
    blueprint = Blueprint(SandboxSpec("process"), limits, pool={"pin_cpus": False})
    async with RayCluster(address, blueprint, {"num_cpus": 0}) as cluster:
        nodes = (await cluster.look())["nodes"]
        found = []
        for index, node in enumerate(nodes):
            mark = {f"node:{node['address']}": _SHARE}
            cluster.resources = {"num_cpus": 0, "resources": mark}
            trouble = f"no slot within {PATIENCE_S:g} s"
            with anyio.move_on_after(PATIENCE_S):
                try:
                    await cluster.close(await cluster.open(index))
                    trouble = ""
                except EvolveError as error:
                    trouble = str(error)
            found.append(Surveyed(node["address"], _words(node["resources"]), trouble))
        return found


def _words(resources: dict[str, Any]) -> str:
    shown = {name: number for name, number in resources.items() if not name.startswith("node:")}
    return ", ".join(
        f"{name} {number / 2**30:.1f} GiB" if "memory" in name else f"{name} {number:g}"
        for name, number in sorted(shown.items())
    )
