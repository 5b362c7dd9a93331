"""How busy slots have been, while the search ran and at no other time."""

from __future__ import annotations

import anyio
import pytest

from evolve.core.limits import Limits
from evolve.engine.utilisation import Utilisation
from evolve.pool.local import LocalPool
from tests.engine.laboratory import Laboratory
from tests.fakes import InProcessSandbox

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend(virtual_time: object) -> object:
    return virtual_time


async def test_leases_between_begin_and_end_count() -> None:
    async with LocalPool(InProcessSandbox(), 2, Limits()) as pool:
        utilisation = Utilisation(pool)
        async with pool.lease():
            await anyio.sleep(0.05)
        assert utilisation.shares == ()
        utilisation.begin()
        async with pool.lease():
            await anyio.sleep(0.05)
            assert sorted(utilisation.shares) == [0.0, pytest.approx(1.0)]
            utilisation.end()
        counted = utilisation.shares
        await anyio.sleep(0.05)
        assert utilisation.shares == counted


async def test_slots_are_kept_busy_while_proposals_take_longer_than_evaluations(
    lab: Laboratory,
) -> None:
    """One proposal in flight beside the evaluations would keep slots busy half of the time."""
    lab.proposals = None
    lab.evaluate.delay_s, lab.proposer.delay_s = 0.1, 0.2
    lab.slots = 2
    await lab.search(evaluations=40)
    assert min(lab.utilisation) > 0.65
