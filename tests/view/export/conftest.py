"""A small run in a real file, made with the store alone: model calls, failures, a crossover."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from evolve.core.evaluation import Outcome
from evolve.core.program import Program
from evolve.store.reader import Reader, open_reader
from evolve.store.store import Store, open_store
from tests.store.samples import Clock, entering, failed, new_run, program, propose, scored

#: What a program, a model or an evaluator may write to do harm.
HOSTILE = '=HYPERLINK("http://x")\n--\0\ud800"\'| <script>'


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "evolve.db"


@pytest.fixture
def store(path: Path) -> Iterator[Store]:
    with open_store(str(path), clock=Clock()) as opened:
        yield opened


@pytest.fixture
def run_id(store: Store) -> int:
    """Programs 1 (seed), 2 and 3 (from it, 3 fails), 4 (of 2 and 1), and a rejected proposal."""
    run_id = store.create_run(new_run()).id
    store.claim(run_id, "here:1")
    seed = store.add_program(run_id, program(0), operator="seed").id
    store.commit_evaluation(seed, scored(3.0), [entering(seed, 0, -3.0)])
    second = propose(store, run_id, 0, 2, seed)
    store.commit_evaluation(second, scored(2.0), [entering(second, 0, -2.0, seed)])
    third = propose(store, run_id, 1, 3, seed)
    store.commit_evaluation(third, failed(Outcome.EXCEPTION, HOSTILE), [])
    proposal = store.begin_proposal(run_id, 2, "crossover", 0, [second], [seed])
    crossed = store.add_program(
        run_id,
        Program({"main.py": f"x = 4\n# {HOSTILE}\n", 'lib/a "b" é.py': "y = 1\n"}),
        proposal_id=proposal,
        parent_ids=[second, seed],
        generation=2,
        operator="crossover",
        summary=HOSTILE,
    ).id
    store.commit_evaluation(crossed, scored(1.0), [entering(crossed, 1, -1.0)])
    rejected = store.begin_proposal(run_id, 3, "diff", 0, [second], [])
    store.reject(rejected, "no_hunk", "the reply holds no edit")
    return run_id


@pytest.fixture
def reader(path: Path, run_id: int) -> Iterator[Reader]:
    with open_reader(str(path)) as opened:
        yield opened
