"""Evaluation runs on asyncio; fixtures that start a process are shared by a module."""

from __future__ import annotations

import pytest


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    return "asyncio"
