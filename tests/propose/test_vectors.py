"""Embeddings that are kept: what is known when, and how near something is."""

from __future__ import annotations

import json
from dataclasses import replace

import anyio
import numpy as np
import pytest

from evolve.propose.base import Candidate, Rejected
from evolve.propose.diff import DiffProposer
from evolve.propose.vectors import VectorIndex, normalised
from tests.propose.situations import SEED, Model, changed, context, individual
from tests.propose.test_operators import HUNK, made

FIRST, SECOND = [3.0, 4.0], [0.0, 2.0]


def test_a_view_sees_what_was_known_when_it_was_taken() -> None:
    index = VectorIndex()
    index.add("e", "one", FIRST, 0)
    view = index.view(0)
    for number in range(200):  # the array grows meanwhile
        index.add("e", f"text {number}", SECOND, 0)
    found = view.vector("e", "one")
    assert found is not None
    assert found.tolist() == pytest.approx([0.6, 0.8])
    assert view.vector("e", "text 7") is None
    assert view.vector("other", "one") is None
    assert view.nearest("e", normalised(SECOND), "run") == pytest.approx(0.8)
    assert index.view(0).nearest("e", normalised(SECOND), "run") == pytest.approx(1.0)
    view.remember("e", "own", SECOND)
    assert view.vector("e", "own") is not None
    assert index.view(0).vector("e", "own") is None


def test_islands_are_told_apart() -> None:
    index = VectorIndex()
    index.add("e", "one", FIRST, 0)
    index.add("e", "two", SECOND, 1)
    asked = normalised(SECOND)
    assert index.view(0).nearest("e", asked, "island") == pytest.approx(0.8)
    assert index.view(1).nearest("e", asked, "island") == pytest.approx(1.0)
    assert index.view(2).nearest("e", asked, "island") == -1
    assert index.view(2).nearest("e", asked, "run") == pytest.approx(1.0)
    assert index.view(0).nearest("e", asked, "shown") == -1


def test_what_cannot_be_compared_is_left_out() -> None:
    index = VectorIndex()
    index.add("e", "one", FIRST, 0)
    index.add("e", "one", SECOND, 0)  # known
    index.add("e", "nothing", [0.0, 0.0], 0)
    index.add("e", "of another model by the same name", [1.0, 0.0, 0.0], 0)
    view = index.view(0)
    assert view.vector("e", "nothing") is None
    assert view.nearest("e", normalised(SECOND), "run") == pytest.approx(0.8)
    assert view.nearest("e", normalised(np.ones(3)), "run") == -1


def test_a_candidate_like_any_earlier_program_is_refused_and_known_ones_are_not_paid_again() -> (
    None
):
    index = VectorIndex()
    (block,) = (SEED.partition("# EVOLVE-BLOCK-START\n")[2].partition("# EVOLVE-BLOCK-END")[0],)
    index.add("e", block, [1.0, 0.0], 0)
    index.add("e", "a program nobody was shown", [0.0, 1.0], 0)
    model = Model([HUNK, json.dumps([[0.01, 1.0]])])
    given = replace(context(individual(1), model=model), vectors=index.view(0))

    def propose(among: str) -> Candidate | Rejected:
        novelty = {"model": "e", "resamples": 0, "among": among}
        return anyio.run(made(DiffProposer, novelty=novelty).propose, given)

    result = propose("island")
    assert isinstance(result, Rejected)
    assert "a program that was tried before" in result.message
    assert [len(request.messages) for name, request in model.asked if name == "e"] == [1]
    model = Model([HUNK, json.dumps([[0.01, 1.0]])])
    given = replace(given, complete=model, rng=np.random.default_rng(0))
    assert isinstance(propose("shown"), Candidate)


def test_a_text_that_is_known_is_not_embedded_again() -> None:
    index = VectorIndex()
    other = changed(individual(2), SEED.replace("0.5", "0.7")).program
    text = "\n".join(other.text(region) for region in other.regions)
    for known in (text, SEED):
        index.add("e", known, [1.0, 0.0], 0)
    model = Model([HUNK])
    given = replace(context(individual(1), model=model), vectors=index.view(0))
    result = anyio.run(made(DiffProposer, novelty={"model": "e", "resamples": 0}).propose, given)
    assert isinstance(result, Rejected)
    assert [name for name, _ in model.asked] == ["m"]
