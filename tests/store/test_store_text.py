from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from evolve.store.text import clip, pack, printable, unpack

ANYTHING = st.text(st.characters(exclude_categories=()))


@given(ANYTHING)
def test_blobs_lose_nothing(text: str) -> None:
    packed = pack(text)
    assert unpack(packed.data) == text
    assert packed.size == len(text.encode("utf-8", "surrogatepass"))


@given(ANYTHING, ANYTHING)
def test_blobs_are_known_by_their_content(one: str, other: str) -> None:
    assert (pack(one).sha256 == pack(other).sha256) == (one == other)


@given(ANYTHING)
def test_printable_text_is_text_that_a_column_can_hold(text: str) -> None:
    clean = printable(text)
    assert "\0" not in clean
    assert clean.encode("utf-8").decode("utf-8") == clean
    assert len(clean) == len(text)
    assert printable(clean) == clean


@given(ANYTHING, st.integers(80, 120))
def test_short_text_is_not_clipped(text: str, limit: int) -> None:
    short = text[:limit]
    assert clip(short, limit) == short


@given(st.integers(81, 3000), st.integers(80, 2000))
def test_long_text_keeps_its_ends_and_says_what_is_missing(length: int, limit: int) -> None:
    text = "a" * (length // 2) + "z" * (length - length // 2)
    cut = clip(text, limit)
    assert len(cut) <= limit or cut == text
    if len(text) > limit:
        assert cut.startswith("a")
        assert cut.endswith("z")
        assert f"{len(text) - limit} or more characters left out" in cut
