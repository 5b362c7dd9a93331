"""Which elite was the best when, beside looking at everything that is held after every event."""

from __future__ import annotations

import numpy as np
import pytest

from evolve.archive.base import MEASURED
from evolve.core.estimates import Estimate
from evolve.core.measures import Objective
from evolve.store.leads import Held, Lead, leads, worth
from evolve.store.records import ArchiveEvent


def happened(
    program: int,
    cell: int,
    fitness: float,
    *,
    status: str = "new",
    island: int = 0,
    replaced: tuple[int, ...] = (),
) -> ArchiveEvent:
    return ArchiveEvent(program, island, cell, status, fitness, {}, replaced)


def test_the_lead_changes_when_a_better_one_comes_and_when_the_best_falls() -> None:
    events = [
        happened(1, 0, 5.0),
        happened(2, 1, 7.0),
        happened(2, 1, 4.0, status=MEASURED),  # it was lucky
        happened(3, 0, 6.0, status="improve", replaced=(1,)),
        happened(9, 5, 99.0, status=MEASURED),  # it had left
        happened(3, -1, 6.0, status="retired"),
        happened(4, 1, 1.0, island=1),
    ]
    found = list(leads(enumerate(events, start=1)))
    assert [(each.at, each.program) for each in found if each.island is None] == [
        (1, 1),
        (2, 2),
        (3, 1),
        (4, 3),
        (6, None),
        (7, 4),
    ]
    assert [(each.at, each.program) for each in found if each.island == 1] == [(7, 4)]


@pytest.mark.parametrize("seed", range(5))
def test_the_best_is_the_best_of_what_is_held(seed: int) -> None:
    rng, told = np.random.default_rng(seed), Held()
    held: dict[tuple[int, int, int], float] = {}
    for program in range(200):
        island, cell = int(rng.integers(3)), int(rng.integers(4))
        there = [key for key in held if key[:2] == (island, cell)]
        fitness = float(rng.integers(20))
        if there and rng.random() < 0.5:
            event = happened(there[0][2], cell, fitness, status=MEASURED, island=island)
            held[there[0]] = fitness
        elif rng.random() < 0.03:
            event = happened(0, -1, 0.0, status="retired", island=island)
            held = {key: value for key, value in held.items() if key[0] != island}
        else:
            event = happened(
                program, cell, fitness, island=island, replaced=tuple(key[2] for key in there)
            )
            held = {key: value for key, value in held.items() if key not in there}
            held[island, cell, program] = fitness
        told.tell(event)
        assert {(e.island, e.cell, e.program_id): e.fitness for e in told.elites()} == held
        for which in (None, 0, 1, 2):
            mine = [(v, -key[2]) for key, v in held.items() if which in {None, key[0]}]
            best = told.best(which)
            assert (best and (best.fitness, -best.program_id)) == max(mine, default=None)


def test_what_happened_later_is_not_taken_for_earlier() -> None:
    changes = [(4, happened(1, 0, 5.0)), (2, happened(2, 1, 7.0))]  # evaluated before, added after
    found = [(each.at, each.program) for each in leads(changes) if each.island is None]
    assert found == [(4, 1), (4, 2)]


def test_a_lead_is_worth_what_its_samples_say() -> None:
    objective, known = Objective("loss", "minimize"), {1: Estimate(3.5, 0.2, 8)}
    assert worth(Lead(1, None, 1, -2.0), known, objective) == known[1]
    assert worth(Lead(1, None, 2, -2.0), known, objective) == Estimate(2.0, None, 1)
