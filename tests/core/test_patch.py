"""What `apply_patch` does with each kind of hunk."""

import time

import pytest

from evolve.core.errors import PatchError
from evolve.core.patch import Hunk, Reason, apply_patch, parse_patch
from evolve.core.program import END, START, Program

SOURCE = f"""\
import math

# {START}
def first(x):
    y = x + 1
    return y


class Solver:
    def second(self, x):
        y = x * 2
        return y
# {END}


def outside(x):
    z = x - 3
    return z
"""
PROGRAM = Program({"a.py": SOURCE})


def applied(search: str, replace: str, program: Program = PROGRAM, path: str | None = None) -> str:
    return apply_patch(program, [Hunk(search, replace, path)]).files["a.py"]


def refused(*hunks: Hunk, program: Program = PROGRAM) -> PatchError:
    with pytest.raises(PatchError) as caught:
        apply_patch(program, hunks)
    assert len(str(caught.value)) < 4_000
    return caught.value


def test_exact_lines_are_replaced() -> None:
    assert applied("    y = x + 1\n", "    y = x + 7\n") == SOURCE.replace("x + 1", "x + 7")


def test_deleting_and_inserting() -> None:
    assert applied("    y = x + 1\n", "") == SOURCE.replace("    y = x + 1\n", "")
    line = "    y = x + 1\n"
    assert applied(line, line + "    y += 1\n") == SOURCE.replace(line, line + "    y += 1\n")


def test_hunks_apply_to_the_result_of_those_before() -> None:
    hunks = [
        Hunk("    y = x + 1\n", "    w = x\n"),
        Hunk("    w = x\n    return y\n", "    return 5\n"),
    ]
    expected = SOURCE.replace("    y = x + 1\n    return y\n", "    return 5\n")
    assert apply_patch(PROGRAM, hunks).files["a.py"] == expected


@pytest.mark.parametrize(
    ("search", "replace"),
    [
        ("    y = x + 1  \n    return y\t\n", "    y = x + 7 \n    return y  \n"),
        ("    y = x + 1\r\n    return y\r\n", "    y = x + 7\r\n    return y\r\n"),
        ("    y = x + 1\n    return y", "    y = x + 7\n    return y"),
        ("y = x + 1\nreturn y\n", "y = x + 7\nreturn y\n"),
        ("          y = x + 1\n          return y\n", "          y = x + 7\n          return y\n"),
        ("def first(x):\n    y = x + 1", "def first(x):\n    y = x + 7"),
    ],
)
def test_white_space_is_forgiven_where_the_match_is_unique(search: str, replace: str) -> None:
    assert applied(search, replace) == SOURCE.replace("x + 1", "x + 7")


def test_a_shift_goes_for_all_new_lines() -> None:
    search = "def second(self, x):\n    y = x * 2\n"
    replace = "def second(self, x):\n    if x:\n\n        return 0\n    y = x * 2\n"
    expected = SOURCE.replace(
        "x):\n        y = x *", "x):\n        if x:\n\n            return 0\n        y = x *"
    )
    assert applied(search, replace) == expected


def test_an_indentation_that_is_not_constant_is_refused() -> None:
    assert refused(Hunk("def first(x):\n  y = x + 1\n", "x\n")).reason == Reason.NOT_FOUND


def test_new_lines_with_less_indentation_than_the_shift_are_refused() -> None:
    hunk = Hunk("        y = x + 1\n", "        y = 2\n  oops\n")
    assert refused(hunk).reason == Reason.NOT_FOUND


def test_a_program_with_carriage_returns_keeps_them() -> None:
    program = Program({"a.py": SOURCE.replace("\n", "\r\n")})
    result = applied("    y = x + 1\n", "    y = x + 7\n    y += 1\n", program)
    assert result == SOURCE.replace("x + 1\n", "x + 7\n    y += 1\n").replace("\n", "\r\n")


def test_kept_lines_keep_their_trailing_blanks() -> None:
    program = Program({"a.py": SOURCE.replace("return y\n\n\nclass", "return y  \n\n\nclass")})
    result = applied("    y = x + 1\n    return y\n", "    y = x + 7\n    return y\n", program)
    assert result == program.files["a.py"].replace("x + 1", "x + 7")


def test_a_missing_final_newline_stays_missing() -> None:
    program = Program({"a.py": "x = 1\ny = 2"})
    assert applied("y = 2\n", "y = 3\nz = 4\n", program) == "x = 1\ny = 3\nz = 4"
    assert applied("x = 1", "x = 5", program) == "x = 5\ny = 2"


def test_exact_goes_before_tolerant() -> None:
    program = Program({"a.py": "  x\nx\nx \n"})
    assert applied("x\n", "new\n", program) == "  x\nnew\nx \n"


def test_a_hunk_found_twice_is_refused() -> None:
    error = refused(
        Hunk("import math\n", "\n"),
        Hunk("y", "z"),
        program=Program({"a.py": "import math\n  y\n  y\n"}),
    )
    assert (error.reason, error.hunk) == (Reason.AMBIGUOUS, 2)
    assert "a.py:2 and a.py:3" in str(error)


def test_a_hunk_found_twice_with_another_indentation_is_refused() -> None:
    assert refused(Hunk("return y\n", "return 1\n")).reason == Reason.AMBIGUOUS


def test_the_same_lines_outside_do_not_count() -> None:
    program = Program({"a.py": f"x = 1\n# {START}\nx = 1\n# {END}\nx = 1\n"})
    assert applied("x = 1\n", "x = 2\n", program) == f"x = 1\n# {START}\nx = 2\n# {END}\nx = 1\n"


@pytest.mark.parametrize(
    ("search", "replace"),
    [
        ("    z = x - 3\n", "    z = 0\n"),
        ("z = x - 3\n", "z = 0\n"),
        ("import math\n", "import os\n"),
        (f"# {START}\ndef first(x):\n", "def first(x):\n"),
        (f"        return y\n# {END}\n\n", f"        return 1\n# {END}\n"),
        ("    return y\n", f"    return y\n# {END}\nfree = 1\n# {START}\n"),
        ("    y = x + 1\n", f"# {START}\n"),
        (f"# {END}\n", f"# {END}\nafter = 1\n"),
    ],
)
def test_changes_outside_of_the_blocks_are_refused(search: str, replace: str) -> None:
    error = refused(Hunk(search, replace))
    assert (error.reason, error.hunk) == (Reason.OUTSIDE_BLOCKS, 1)


def test_an_exact_match_outside_is_not_looked_for_inside() -> None:
    program = Program({"a.py": f"if x:\n    y\n# {START}\n    if x:\n        y\n# {END}\n"})
    assert refused(Hunk("if x:\n    y\n", "z\n"), program=program).reason == Reason.OUTSIDE_BLOCKS


def test_text_outside_may_be_quoted_around_a_change() -> None:
    marker = f"# {START}\n"
    assert applied(marker, marker + "n = 1\n") == SOURCE.replace(marker, marker + "n = 1\n")
    end = f"# {END}\n"
    assert applied(end, "n = 1\n" + end) == SOURCE.replace(end, "n = 1\n" + end)
    quoted = f"import math\n\n{marker}def first(x):\n    y = x + 1\n"
    assert applied(quoted, quoted.replace("x + 1", "9")) == SOURCE.replace("x + 1", "9")


def test_a_whole_program_without_markers_cannot_get_them() -> None:
    program = Program({"a.py": "x\ny\n", "b.py": "z\n"})
    hunk = Hunk("x\n", f"# {START}\nx\n# {END}\n")
    assert refused(hunk, program=program).reason == Reason.OUTSIDE_BLOCKS


@pytest.mark.parametrize("search", ["", "\n", "  \n\n"])
def test_an_empty_search_fills_the_one_empty_block(search: str) -> None:
    program = Program({"a.py": f"x\r\n# {START}\r\n\r\n# {END}\r\n# {START}\r\ny\r\n# {END}\r\n"})
    expected = f"x\r\n# {START}\r\nnew\r\n# {END}\r\n# {START}\r\ny\r\n# {END}\r\n"
    assert applied(search, "new\n", program) == expected


def test_an_empty_search_elsewhere_is_refused() -> None:
    assert refused(Hunk("", "new\n")).reason == Reason.EMPTY_SEARCH
    two = Program({"a.py": f"{START}\n{END}\n{START}\n{END}\n"})
    assert refused(Hunk("", "new\n"), program=two).reason == Reason.AMBIGUOUS


def test_paths_choose_the_file() -> None:
    program = Program({"a.py": "x\n", "src/b.py": "x\n", "lib/c.py": "x\n"})
    assert refused(Hunk("x\n", "y\n"), program=program).reason == Reason.AMBIGUOUS
    for path in ("src/b.py", "b.py", "app/src/b.py"):
        changed = apply_patch(program, [Hunk("x\n", "y\n", path)])
        assert changed.files == {**program.files, "src/b.py": "y\n"}
    error = refused(Hunk("x\n", "y\n", "d.py"), program=program)
    assert error.reason == Reason.UNKNOWN_FILE
    assert "lib/c.py" in str(error)


def test_the_only_file_may_go_by_any_name() -> None:
    assert "x + 7" in applied("    y = x + 1\n", "    y = x + 7\n", path="solution.py")


def test_an_edit_that_changes_nothing_is_refused() -> None:
    line = "    y = x + 1\n"
    assert refused(Hunk(line, line)).reason == Reason.NO_OP
    assert refused(Hunk(line, "    y = 3\n"), Hunk("    y = 3\n", line)).reason == Reason.NO_OP
    assert refused().reason == Reason.NO_EDIT


def test_a_hunk_not_found_names_itself_and_the_nearest_lines() -> None:
    good = Hunk("    y = x + 1\n", "    y = x + 2\n")
    error = refused(good, Hunk("    def second(self, x):\n        y = x * 3\n", ""))
    assert (error.reason, error.hunk) == (Reason.NOT_FOUND, 2)
    assert str(error).startswith("hunk 2")
    assert "   10 |     def second(self, x):\n   11 |         y = x * 2\n" in str(error)


def test_the_nearest_line_is_shown_where_none_is_equal() -> None:
    assert "   11 |         y = x * 2\n" in str(refused(Hunk("    y = x * 222\n", "")))
    assert "nearest" not in str(refused(Hunk("@@@@@@@@@@@@@@@@@@@\n", "")))


def test_a_refused_edit_leaves_the_program_as_it_was() -> None:
    before = PROGRAM.id
    refused(Hunk("    y = x + 1\n", "    y = 1\n"), Hunk("nowhere\n", ""))
    assert Program(PROGRAM.files).id == before


def test_large_programs_and_hostile_hunks_take_linear_time() -> None:
    lines = "".join(f"def f{i}(x):\n    return x + {i}\n" for i in range(1000))
    program = Program({"a.py": lines})
    hunks = [Hunk(f"    return x + {i}\n", f"    return x * {i}\n") for i in range(0, 1000, 50)]
    took = []
    for _ in range(3):
        start = time.process_time()
        apply_patch(program, hunks)
        took.append(time.process_time() - start)
    assert min(took) < 0.5  # about 0.01 s, unless this process does something else in between
    repeated = Program({"a.py": "x\n" * 300_000 + "    x\n" * 300_000})
    hostile = Hunk("x\n" * 150_000 + "y\n", "z\n")
    start = time.process_time()
    refused(hostile, program=repeated)
    assert time.process_time() - start < 10  # about 1 s; a quadratic search takes hours


def test_a_reply_as_a_model_writes_it() -> None:
    reply = (
        "Doubling grows faster.\n\n```python\n<<<<<<< SEARCH\ndef first(x):\n    y = x + 1\n"
        "=======\ndef first(x):\n    y = x * 2\n>>>>>>> REPLACE\n```\nDone.\n"
    ).replace("\n", "\r\n")
    assert apply_patch(PROGRAM, parse_patch(reply)).files["a.py"] == SOURCE.replace(
        "x + 1", "x * 2"
    )
