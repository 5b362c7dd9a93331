"""Hundreds of untidy programs through one slot leave it, and this process, as they were."""

from __future__ import annotations

import pytest

from benchmarks.endurance import endure

pytestmark = [pytest.mark.anyio, pytest.mark.slow, pytest.mark.timeout(300)]


@pytest.mark.parametrize("kind", ["process", pytest.param("docker", marks=pytest.mark.docker)])
async def test_nothing_grows(kind: str) -> None:
    assert await endure(kind, programs=400, every=100, quiet=True) == []
