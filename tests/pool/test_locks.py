"""Claims hold against everybody, and end with their process."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import anyio
import pytest

from evolve.pool.locks import Claims

HOLD = """
import sys
from pathlib import Path
from evolve.pool.locks import Claims
claims = Claims(Path(sys.argv[1]))
print(claims.take("gpu-1"), flush=True)
sys.stdin.read()
"""


def test_a_claim_is_held_once(tmp_path: Path) -> None:
    with Claims(tmp_path) as mine, Claims(tmp_path) as theirs:
        assert mine.take("cpu0")
        assert not mine.take("cpu0")
        assert not theirs.take("cpu0")
        assert theirs.take("cpu1")
        mine.release("cpu0")
        assert theirs.take("cpu0")
    with Claims(tmp_path) as later:
        assert later.take("cpu0")
        assert later.take("cpu1")


def test_claims_are_for_all_users_whatever_the_umask(tmp_path: Path) -> None:
    before = os.umask(0o077)
    try:
        with Claims(tmp_path) as claims:
            assert claims.take("cpu0")
    finally:
        os.umask(before)
    [path] = tmp_path.iterdir()
    assert path.stat().st_mode & 0o777 == 0o644


def test_a_killed_process_holds_nothing(tmp_path: Path) -> None:
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLD, tmp_path],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with holder, Claims(tmp_path) as claims:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "True\n"
        assert not claims.take("gpu-1")
        holder.send_signal(signal.SIGKILL)
        holder.wait()
        assert claims.take("gpu-1")


@pytest.mark.anyio
async def test_waiting_for_a_claim_ends_when_it_is_given_up(
    tmp_path: Path, anyio_backend: str
) -> None:
    order: list[str] = []
    with Claims(tmp_path) as mine, Claims(tmp_path) as theirs:

        async def wait() -> None:
            async with theirs.waiting_for("exclusive"):
                order.append("theirs")

        async with anyio.create_task_group() as group, mine.waiting_for("exclusive"):
            group.start_soon(wait)
            await anyio.sleep(0.05)
            order.append("mine")
    assert order == ["mine", "theirs"]
