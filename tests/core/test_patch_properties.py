"""Properties of edits over random programs: `diff`, `apply_patch` and their text form."""

from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evolve.core.errors import PatchError
from evolve.core.patch import (
    Hunk,
    Reason,
    apply_patch,
    diff,
    extract_rewrite,
    format_patch,
    parse_patch,
    unified_diff,
)
from evolve.core.program import END, START, Program

# Few different lines, so that they repeat, with every ending and white space that may confuse.
LINES = st.sampled_from(
    [
        "\n",
        "\r\n",
        "  \n",
        "x\n",
        "x\r\n",
        "x \n",
        "  x\n",
        "\tx\n",
        "y = 'é\u2028'\n",
        "a\rb\n",
        "\r\n",
        "\x0c\n",
        "=======\n",
        "<<<<<<< SEARCH\n",
        ">>>>>>> REPLACE\n",
        "```\n",
        "\\ No newline at end of file\n",
    ]
)
TEXTS = st.lists(LINES, max_size=12).map("".join)
PATHS = st.sampled_from(["a.py", "b.c", "src/c.txt", "Makefile"])


@st.composite
def marked_pair(draw: st.DrawFn) -> tuple[str, str]:
    """Two texts that differ inside their blocks at most."""
    before = after = draw(TEXTS)
    for _ in range(draw(st.integers(1, 3))):
        start, end, between = f"// {START}\n", f"// {END}", "\n" + draw(TEXTS)
        before += start + draw(TEXTS) + end + between
        after += start + draw(TEXTS) + end + between
    if draw(st.booleans()):
        before, after = before.removesuffix("\n"), after.removesuffix("\n")
    return before, after


@st.composite
def pairs(draw: st.DrawFn) -> tuple[Program, Program]:
    """Two programs of the same files and the same text outside of their blocks."""
    paths = draw(st.lists(PATHS, unique=True, min_size=1, max_size=3))
    if draw(st.booleans()):
        whole = st.builds(str.removesuffix, TEXTS, st.sampled_from(["", "\n"]))
        return (
            Program({path: draw(whole) for path in paths}),
            Program({path: draw(whole) for path in paths}),
        )
    texts = {path: draw(marked_pair()) for path in paths}
    if len(paths) > 1 and draw(st.booleans()):
        texts[paths[0]] = (same := draw(TEXTS), same)
    return (
        Program({path: text[0] for path, text in texts.items()}),
        Program({path: text[1] for path, text in texts.items()}),
    )


@settings(max_examples=150)
@given(pairs())
def test_applying_a_difference_gives_the_other_program(pair: tuple[Program, Program]) -> None:
    a, b = pair
    hunks = diff(a, b)
    if a == b:
        assert hunks == ()
    else:
        assert apply_patch(a, hunks) == b
        assert apply_patch(a, parse_patch(format_patch(hunks))) == b


def test_programs_that_differ_outside_have_no_difference_in_hunks() -> None:
    a = Program({"a.py": f"x\n# {START}\n# {END}\n"})
    for b in (
        Program({"a.py": f"y\n# {START}\n# {END}\n"}),
        Program({"b.py": f"x\n# {START}\n# {END}\n"}),
        Program({"a.py": "x\n"}),
    ):
        with pytest.raises(ValueError, match="differ"):
            diff(a, b)


def test_a_difference_shows_little_more_than_what_changed() -> None:
    lines = [f"line {number}\n" for number in range(100)]
    a = Program({"a.txt": "".join(lines)})
    lines[50], lines[90] = "changed\n", "too\n"
    hunks = diff(a, Program({"a.txt": "".join(lines)}))
    assert [hunk.search.count("\n") for hunk in hunks] == [3, 3]


PROGRAMS = pairs().map(lambda pair: pair[0])
FRAGMENTS = LINES.map(lambda line: line.rstrip("\n")) | st.sampled_from(
    [
        START,
        f"// {END}",
        "a.py",
        "File: b.c",
        "```python",
        "# ...",
        "<think>",
        "</think>",
        "def f():",
    ]
)
REPLIES = st.lists(FRAGMENTS | st.text(max_size=8), max_size=30).map("\n".join)


def result(edit: Callable[[], Program]) -> Program | PatchError:
    try:
        return edit()
    except PatchError as error:
        return error


@settings(max_examples=150)
@given(PROGRAMS, REPLIES)
def test_replies_never_change_what_is_outside(program: Program, reply: str) -> None:
    for edited in (
        result(lambda: apply_patch(program, parse_patch(reply))),
        result(lambda: extract_rewrite(reply, program)),
        result(lambda: extract_rewrite(f"```\n{reply}\n```", program)),
    ):
        if isinstance(edited, PatchError):
            assert Reason(edited.reason)
        else:
            assert edited.outside == program.outside
            assert edited != program


@settings(max_examples=150)
@given(PROGRAMS, st.data())
def test_hunks_of_program_lines_never_change_what_is_outside(
    program: Program, data: st.DataObject
) -> None:
    path = data.draw(st.sampled_from(list(program.files)))
    lines = program.files[path].splitlines(keepends=True)
    first = data.draw(st.integers(0, len(lines)))
    search = "".join(lines[first : data.draw(st.integers(first, len(lines)))])
    replace = data.draw(
        TEXTS | st.sampled_from([START, END, f"{search}{END}\n", f"{END}\n{START}\n"])
    )
    edited = result(lambda: apply_patch(program, [Hunk(search, replace, path)]))
    if isinstance(edited, PatchError):
        assert edited.hunk == 1
    else:
        assert edited.outside == program.outside


@given(pairs())
def test_a_unified_diff_is_empty_only_between_equal_programs(pair: tuple[Program, Program]) -> None:
    a, b = pair
    assert (unified_diff(a, b) == "") == (a == b)


def test_a_unified_diff_for_people() -> None:
    a, b = Program({"a.py": "x\ny", "b.py": "z\n"}), Program({"a.py": "x\nw\n"})
    assert unified_diff(a, b) == (
        "--- a.py\n+++ a.py\n@@ -1,2 +1,2 @@\n x\n-y\n\\ No newline at end of file\n+w\n"
        "--- b.py\n+++ /dev/null\n@@ -1 +0,0 @@\n-z\n"
    )
