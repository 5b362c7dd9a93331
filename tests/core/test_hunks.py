"""The text form of edits: `evolve.core.hunks`."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evolve.core.errors import PatchError
from evolve.core.hunks import MAX_HUNKS, Hunk, Reason, format_patch, parse_patch

PLAIN = "<<<<<<< SEARCH\nold\n=======\nnew\n>>>>>>> REPLACE\n"
HUNK = Hunk("old\n", "new\n")


def refused(text: str) -> PatchError:
    with pytest.raises(PatchError) as caught:
        parse_patch(text)
    return caught.value


def parsed(text: str) -> tuple[Hunk, ...] | PatchError:
    try:
        return parse_patch(text)
    except PatchError as error:
        return error


@pytest.mark.parametrize(
    "text",
    [
        PLAIN,
        PLAIN.rstrip("\n"),
        f"I make it faster.\n\n{PLAIN}\nThat should help: a <<< b.\n",
        f"```python\n{PLAIN}```\n",
        f"Sure!\n~~~diff\n{PLAIN}~~~",
        "<<<<<<< SEARCH\n```python\nold\n```\n=======\n```python\nnew\n```\n>>>>>>> REPLACE\n",
        "<<<<<<<<< SEARCH\nold\n========\nnew\n>>>>>>> REPLACE\n",
        "<<<<<< search (line 3)\nold\n=======  \nnew\n>>>>>> replace the line\n",
        "  <<<<<<<SEARCH>\nold\n  =======\nnew\n  >>>>>>>REPLACE\n",
        "<<<<<<< SEARCH\nold\n=======\nnew\n>>>>>>>\n",
        f"<think>\nMaybe\n{PLAIN.replace('new', 'draft')}</think>\n{PLAIN}",
        "<<<<<<<<<<<< SEARCH\nold\n============\nnew\n>>>>>>>>>>>> REPLACE\n",
    ],
)
def test_one_hunk_in_the_styles_of_models(text: str) -> None:
    assert parse_patch(text) == (HUNK,)


def test_hunks_come_in_order() -> None:
    text = PLAIN + "and\n" + PLAIN.replace("old", "older")
    assert parse_patch(text) == (HUNK, Hunk("older\n", "new\n"))


def test_carriage_returns_and_blanks_are_kept_for_the_application() -> None:
    assert parse_patch(PLAIN.replace("\n", "\r\n")) == (Hunk("old\r\n", "new\r\n"),)
    assert parse_patch(PLAIN.replace("old", "  old \t")) == (Hunk("  old \t\n", "new\n"),)


@pytest.mark.parametrize(
    "above",
    [
        "src/a.py\n",
        "`src/a.py`\n\n",
        "**src/a.py**:\n```python\n",
        "### File: src/a.py\n",
        "# src/a.py\n",
        "./src/a.py\n```\n",
        "```python:src/a.py\n",
        "```python title=src/a.py\n",
        "In prose.\n\nfile: `src/a.py`\n\n",
    ],
)
def test_a_path_above_a_hunk(above: str) -> None:
    assert parse_patch(f"Text.\n{above}{PLAIN}") == (Hunk("old\n", "new\n", "src/a.py"),)


def test_a_path_behind_the_marker() -> None:
    assert parse_patch(PLAIN.replace("SEARCH", "SEARCH src/a.py"))[0].path == "src/a.py"


@pytest.mark.parametrize("above", ["Change the loop:\n", "Edit 1.\n", "I edit a.py here\n", ":\n"])
def test_prose_above_a_hunk_is_no_path(above: str) -> None:
    assert parse_patch(above + PLAIN)[0].path is None


def test_each_hunk_has_its_own_path() -> None:
    hunks = parse_patch(f"a.py\n{PLAIN}\n{PLAIN}b.py\n{PLAIN}")
    assert [hunk.path for hunk in hunks] == ["a.py", None, "b.py"]


@pytest.mark.parametrize("text", ["", "I cannot improve this.", "```python\nx = 1\n```", "<<<<<<<"])
def test_a_reply_without_hunks(text: str) -> None:
    error = refused(text)
    assert error.reason == Reason.NO_EDIT
    assert "<<<<<<< SEARCH" in str(error)


@pytest.mark.parametrize(
    ("text", "hunk"),
    [
        ("<<<<<<< SEARCH\nold\n=======\nnew\n", 1),
        (PLAIN + "<<<<<<< SEARCH\nold\n", 2),
        ("<<<<<<< SEARCH\nold\n>>>>>>> REPLACE\n", 1),
        ("<<<<<<< SEARCH\nold\n=======\nnew\n" + PLAIN, 1),
        (PLAIN + "more\n>>>>>>> REPLACE\n", 2),
        ("<<<<<<< SEARCH\nTitle\n=======\n=======\nnew\n>>>>>>> REPLACE\n", 1),
        ("<<<<<<< SEARCH\n```\nold\n```\n=======\nnew\n>>>>>>> REPLACE\n", 1),
        ("```\n<<<<<<< SEARCH\nold\n=======\nnew\n```\n>>>>>>> REPLACE\n", 1),
        ("<<<<<<< SEARCH\n```a\nold\n```\n=======\n```b\nnew\n```\n>>>>>>> REPLACE\n", 1),
    ],
)
def test_what_may_be_read_in_two_ways_is_refused(text: str, hunk: int) -> None:
    error = refused(text)
    assert (error.reason, error.hunk) == (Reason.MALFORMED, hunk)
    assert f"hunk {hunk}" in str(error) or f"after hunk {hunk - 1}" in str(error)


@pytest.mark.parametrize(
    "line",
    ["# ... existing code ...", "    // ...", "# rest of the function", "-- …", "# unchanged"],
)
def test_code_left_out_is_refused(line: str) -> None:
    error = refused(PLAIN.replace("new", f"new\n{line}"))
    assert (error.reason, error.hunk) == (Reason.ELIDED, 1)
    assert line.strip() in str(error)


def test_an_ellipsis_that_stands_in_the_program_stays() -> None:
    text = PLAIN.replace("new", "new\n# ...").replace("old", "old\n# ...")
    assert parse_patch(text) == (Hunk("old\n# ...\n", "new\n# ...\n"),)


def test_a_heading_of_another_length_is_no_divider() -> None:
    text = PLAIN.replace("old", "Title\n===========").replace("new", "New\n====")
    assert parse_patch(text) == (Hunk("Title\n===========\n", "New\n====\n"),)


def test_longer_markers_carry_code_that_holds_markers() -> None:
    hunk = Hunk(PLAIN, PLAIN * 2)
    assert parse_patch(format_patch([hunk])) == (hunk,)


def test_a_missing_final_newline_is_written_like_diff_does() -> None:
    text = format_patch([Hunk("old", "new\n")])
    assert "old\n\\ No newline at end of file\n=======" in text
    assert parse_patch(text) == (Hunk("old", "new\n"),)


def test_too_many_hunks_are_refused() -> None:
    assert len(parse_patch(PLAIN * MAX_HUNKS)) == MAX_HUNKS
    assert refused(PLAIN * (MAX_HUNKS + 1)).reason == Reason.TOO_MANY_HUNKS


LINES = st.sampled_from(
    [
        "",
        " ",
        "x = 1",
        "\ty\r",
        "é\u2028ü",
        "```",
        "```python",
        "  ````",
        "=======",
        "=====",
        "=" * 12,
        "<<<<<<< SEARCH",
        "<<< SEARCH a",
        ">>>>>>> REPLACE",
        ">>>",
        ">>>>>>>>>>",
        "\\ No newline at end of file",
        "\\\\ No newline at end of file",
        "File: a.py",
        "a.py",
    ]
)
CODE = st.builds(
    lambda lines, newline: "\n".join(lines) + newline, st.lists(LINES), st.sampled_from(["", "\n"])
)
HUNKS = st.builds(
    Hunk, CODE, CODE, st.none() | st.sampled_from(["a.py", "src/Makefile", "LICENSE", "x y.c"])
)


@given(st.lists(HUNKS, min_size=1, max_size=4))
def test_format_and_parse_round_trip(hunks: list[Hunk]) -> None:
    assert parse_patch(format_patch(hunks)) == tuple(hunks)


@given(st.lists(LINES | st.text(max_size=20), max_size=30), st.sampled_from(["\n", "\r\n"]))
def test_parse_raises_nothing_but_patch_errors(lines: list[str], newline: str) -> None:
    result = parsed(newline.join(lines))
    if isinstance(result, PatchError):
        assert Reason(result.reason)
        assert str(result)
    else:
        assert result


@pytest.mark.parametrize(
    "text",
    [
        "<<<<<<< SEARCH\n" * 130_000,
        "<" * 2_000_000,
        " " * 2_000_000,
        "```" + " " * 2_000_000 + "`",
        "```\n" * 500_000,
        "file" + ": " * 1_000_000,
        "a\n" * 1_000_000,
        "<<<<<<< SEARCH\n" + "=======\n" * 250_000 + ">>>>>>> REPLACE\n",
        "<<<<<<< SEARCH\n" + "a\n" * 900_000 + "=======\nb\n>>>>>>> REPLACE\n",
        PLAIN * 40_000,
    ],
    ids=range(10),
)
def test_two_megabytes_of_anything_are_read_in_linear_time(text: str) -> None:
    start = time.process_time()
    parsed(text)
    assert time.process_time() - start < 5  # about 0.5 s; a quadratic reading takes hours
