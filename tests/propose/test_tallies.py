"""Counts reckoned by columns are those of telling proposals one by one."""

from __future__ import annotations

from dataclasses import asdict
from itertools import groupby

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evolve.core.measures import Objective
from evolve.propose.base import INSTRUCT
from evolve.propose.credit import Credit, by_operator
from evolve.propose.tallies import tallies
from evolve.store.records import Ended
from evolve.store.verdicts import Fruitless, Verdicts

ARMS = [("diff", "a"), ("diff", "b"), ("repair", "a"), ("seed", ""), (INSTRUCT, "a")]


def told(
    number: int, arm: int, parent: int, island: int, objective: float | None, program: bool
) -> Ended:
    """Return what came of a proposal; a program has the number 100 - ``number``."""
    program = program or ARMS[arm][0] == "seed"  # nobody proposed it
    return Ended(
        iteration=number,
        operator=ARMS[arm][0],
        model=ARMS[arm][1],
        island=island,
        parents=() if ARMS[arm][0] == "seed" else (100 - parent,),
        program_id=100 - number if program else None,
        summary="",
        ended="duplicate" if not program else "exception" if objective is None else "ok",
        objective=objective if program else None,
        message="",
        cost_usd=number / 100,
        at=float(number),
    )


def columns(ended: list[Ended]) -> Verdicts:
    """Return the same as columns."""
    arms = list(dict.fromkeys((each.operator, each.model) for each in ended))
    made = [each for each in ended if each.program_id is not None]
    lost = sorted((e.operator, e.model, e.ended) for e in ended if e.program_id is None)
    cost = {arm: sum(e.cost_usd for e in ended if (e.operator, e.model) == arm) for arm in arms}
    return Verdicts(
        operators=arms,
        operator=np.array([arms.index((e.operator, e.model)) for e in made], dtype=np.int64),
        program=np.array([e.program_id for e in made], dtype=np.int64),
        parent=np.array([e.parents[0] if e.parents else -1 for e in made], dtype=np.int64),
        island=np.array([e.island for e in made], dtype=np.int64),
        objective=np.array([e.objective for e in made], dtype=float),
        fruitless=[Fruitless(*kind, len(list(same))) for kind, same in groupby(lost)],
        cost_usd=cost,
    )


@given(
    steps=st.lists(
        st.tuples(
            st.integers(0, len(ARMS) - 1),
            st.integers(0, 20),
            st.integers(0, 2),
            st.one_of(st.none(), st.sampled_from([-1.0, 0.0, 1.0, 1.5, 7.0])),
            st.booleans(),
        ),
        max_size=40,
    ),
    direction=st.sampled_from(["maximize", "minimize"]),
)
def test_columns_come_to_the_same_as_one_after_the_other(
    steps: list[tuple[int, int, int, float | None, bool]], direction: str
) -> None:
    objective = Objective("o", direction)  # type: ignore[arg-type]  # one of the two
    ended = [told(number, *step) for number, step in enumerate(steps)]
    credit = Credit(objective, by_operator)
    for each in ended:
        credit.tell(each)
    found = tallies(columns(ended), objective)
    assert found.keys() == credit.arms.keys()
    for arm, tally in credit.arms.items():
        assert asdict(found[arm]) == pytest.approx(asdict(tally))
