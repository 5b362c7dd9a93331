"""What keeps a cluster from holding more slots, and how long for. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

#: Seconds after which a pool without a slot says so, and says so again, doubled each time. Slots
#: take some of them to start, which is nothing to speak of.
SAY_S = 10.0

#: Options of an actor, by the name that nodes have for the resource.
_NAMES = {"num_cpus": "CPU", "num_gpus": "GPU", "memory": "memory"}


def wanted(options: Mapping[str, Any]) -> dict[str, float]:
    """Return the options of an actor as resources of a node."""
    named = {name: options[option] for option, name in _NAMES.items() if options.get(option)}
    return {**named, **options.get("resources", {})}


def shortage(options: Mapping[str, Any], cluster: Mapping[str, Any]) -> str:
    """Say why a slot more is not there.

    Args:
        options: What a slot reserves: options of an actor.
        cluster: ``nodes`` with their ``resources``, and what is ``free`` in all.
    """
    need, nodes = wanted(options), cluster["nodes"]
    words = ", ".join(f"{name} {_amount(name, number)}" for name, number in need.items())
    if not nodes:
        return "the cluster has no node"
    fit = [
        node
        for node in nodes
        if all(node["resources"].get(name, 0.0) >= number for name, number in need.items())
    ]
    if not fit:
        most = ", ".join(
            f"{name} {_amount(name, max(node['resources'].get(name, 0.0) for node in nodes))}"
            for name in need
        )
        return (
            f"no node of {len(nodes)} is large enough for a slot ({words}); at most there is "
            f"{most}. Ask for less (`pool.resources`, `limits` in problem.yaml) or add a node"
        )
    capacity = sum(
        min((int(node["resources"][name] / number) for name, number in need.items()), default=0)
        for node in fit
    )
    return f"a slot takes {words}; the {len(nodes)} nodes there are have room for {capacity} in all"


def _amount(name: str, number: float) -> str:
    return f"{number / 2**30:.1f} GiB" if name == "memory" else f"{number:g}"


class Waited:
    """How long there has been no slot.

    Args:
        patience_s: Seconds without one after which it is over.
    """

    def __init__(self, patience_s: float) -> None:
        self._patience_s = patience_s
        self._began = self._since = self._now = -1.0
        self._next = SAY_S

    def look(self, size: int, now: float) -> bool:
        """Take down how many slots there are at a moment; return whether to say there is none."""
        if self._began < 0:
            self._began = self._since = now
        self._now = now
        if size:
            self._since, self._next = now, SAY_S
        if self.none_s < self._next:
            return False
        self._next *= 2
        return True

    @property
    def none_s(self) -> float:
        """Seconds without a slot."""
        return self._now - self._since

    @property
    def left_s(self) -> float:
        """Seconds until it is over."""
        return max(self._patience_s - self.none_s, 0.0)

    @property
    def settled(self) -> bool:
        """Whether slots have had the time to start."""
        return self._now - self._began >= SAY_S

    @property
    def over(self) -> bool:
        """Whether it has been too long."""
        return self.none_s > self._patience_s
