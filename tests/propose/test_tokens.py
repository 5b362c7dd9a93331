"""The estimate of tokens, beside what real tokenizers counted."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evolve.propose.tokens import beginning, ending, estimate

#: Texts with what the tokenizers of SmolLM2, Gemma 3 and OpenAI's two vocabularies count.
COUNTS = json.loads((Path(__file__).parent / "token_counts.json").read_text())
#: Where letters make no words the estimate falls short, as docs/prompts.md says.
SHORT = {"German": 0.9, "base64": 0.85, "random letters": 0.38}


@pytest.mark.parametrize("case", COUNTS, ids=[case["what"] for case in COUNTS])
def test_it_is_not_below_the_largest_count(case: dict[str, object]) -> None:
    counts = case["tokens"]
    assert isinstance(counts, dict)
    share = estimate(str(case["text"])) / max(counts.values())
    least = SHORT.get(str(case["what"]), 1.0)
    assert least <= share < 2


def test_it_is_close_for_programs_prose_and_numbers() -> None:
    for case in COUNTS:
        if case["what"] in {"Python", "a seed program", "prose with code", "numbers", "C++"}:
            assert estimate(case["text"]) < 1.25 * max(case["tokens"].values())


@given(st.text(max_size=300), st.integers(0, 60))
def test_cut_texts_keep_their_limit_and_lose_no_more_than_a_piece(text: str, limit: int) -> None:
    assert 0 <= estimate(text) <= len(text.encode("utf-8", "replace"))
    first, last = beginning(text, limit), ending(text, limit)
    assert text.startswith(first)
    assert text.endswith(last)
    assert max(estimate(first), estimate(last)) <= limit
    if estimate(text) <= limit:
        assert first == last == text
    else:
        assert min(estimate(first), estimate(last)) > limit - 8, "pieces are short"


@given(st.text(max_size=100), st.text(max_size=100))
def test_joining_texts_saves_little(one: str, two: str) -> None:
    apart, joined = estimate(one) + estimate(two), estimate(one + two)
    assert abs(apart - joined) <= 12
