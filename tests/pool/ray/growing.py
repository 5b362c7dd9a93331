"""Where Ray's autoscaler gets machines in tests: processes on this one."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import Any

_FAKE = import_module("ray.autoscaler._private.fake_multi_node.node_provider").FakeMultiNodeProvider


def _create(
    self: Any, config: object, tags: object, count: int, has: Mapping[str, float], labels: object
) -> None:
    """Start a node with the memory that there is: Ray's own would start none with memory."""
    others = {name: number for name, number in has.items() if name != "memory"}
    _FAKE._create_node_with_resources_and_labels(self, config, tags, count, others, labels)


Provider = type("Provider", (_FAKE,), {"_create_node_with_resources_and_labels": _create})
