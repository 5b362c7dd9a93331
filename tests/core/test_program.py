import copy

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evolve.core.program import END, START, Program, Region, split_lines

MARKED = f"import math\n# {START}\nx = 1\n# {END}\nprint(x)\n"


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("# ", ""),
        ("// ", ""),
        ("/* ", " */"),
        ("-- ", ""),
        ("<!-- ", " -->"),
        ("    ;; ", " (why)"),
    ],
)
def test_markers_count_in_any_comment_syntax(before: str, after: str) -> None:
    program = Program({"f": f"a\n{before}{START}{after}\nb\n{before}{END}{after}\nc\n"})
    assert program.regions == (Region("f", 2, 3),)
    assert program.text(program.regions[0]) == "b\n"


def test_regions_of_several_files_come_in_order() -> None:
    twice = f"# {START}\n# {END}\n# {START}\nx\ny\n# {END}"
    program = Program({"b.py": twice, "a.py": MARKED, "c.txt": "no marker"})
    assert program.regions == (
        Region("a.py", 2, 3),
        Region("b.py", 1, 1),
        Region("b.py", 3, 5),
    )
    assert program.outside["c.txt"] == ("no marker",)
    assert program.outside["b.py"] == (f"# {START}\n", f"# {END}\n# {START}\n", f"# {END}")


def test_files_without_markers_are_regions_as_a_whole() -> None:
    program = Program({"a.py": "x\ny", "b.py": ""})
    assert program.regions == (Region("a.py", 0, 2), Region("b.py", 0, 0))
    assert program.outside == {"a.py": ("", ""), "b.py": ("", "")}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (f"# {START}\n", "f:1: .* never closed"),
        (f"x\n# {END}\n", "f:2: .* without"),
        (f"# {START}\n# {START}\n# {END}\n", "f:2: .* inside another"),
    ],
)
def test_unbalanced_markers_are_refused(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Program({"f": text})


@pytest.mark.parametrize("path", ["", ".", "/a", "../a", "a/../b", "./a", "a//b", "a\\b", "a\nb"])
def test_paths_that_are_not_normal_and_inside_are_refused(path: str) -> None:
    with pytest.raises(ValueError, match="relative path"):
        Program({path: ""})


def test_a_program_needs_a_file() -> None:
    with pytest.raises(ValueError, match="at least one file"):
        Program({})


def test_equal_contents_are_the_same_program() -> None:
    one, other = Program({"a": "1", "b": "2"}), Program({"b": "2", "a": "1"})
    assert one == other
    assert hash(one) == hash(other)
    assert one.id == other.id == copy.deepcopy(one).id


def test_identity_tells_path_from_content() -> None:
    texts = [{"a": "bc"}, {"ab": "c"}, {"a": "b", "c": ""}, {"a": "b\n"}, {"a": "b\r\n"}]
    assert len({Program(files).id for files in texts}) == len(texts)


def test_files_cannot_be_changed() -> None:
    files = {"a": "1"}
    program = Program(files)
    files["a"] = "2"
    assert program.files["a"] == "1"
    with pytest.raises(TypeError):
        program.files["a"] = "3"  # type: ignore[index]  # what is tested


def test_main_is_the_first_python_file() -> None:
    assert Program({"a.txt": "", "b.py": "", "c.py": ""}).main == "b.py"
    assert Program({"b.c": "", "a.c": ""}).main == "a.c"


def test_resolve_takes_the_exact_path_or_the_only_file_of_that_name() -> None:
    program = Program({"src/a.py": "", "src/b.py": "", "lib/b.py": "", "c.py": ""})
    assert program.resolve("lib/b.py") == "lib/b.py"
    assert program.resolve("app/a.py") == "src/a.py"
    assert program.resolve("b.py") is None
    assert program.resolve("d.py") is None


def test_replace_changes_only_the_given_regions() -> None:
    program = Program({"a": MARKED, "b": f"{START}\n{END}\n{START}\ny\n{END}\n"})
    first, second, third = program.regions
    changed = program.replace({first: "x = 2", third: "", second: "new\n"})
    assert changed.files["a"] == MARKED.replace("x = 1", "x = 2")
    assert changed.files["b"] == f"{START}\nnew\n{END}\n{START}\n{END}\n"
    assert changed.outside == program.outside


@pytest.mark.parametrize("text", [START, END, f"{END}\nfree\n{START}", f"{START}\n{END}"])
def test_replace_refuses_markers_in_the_new_text(text: str) -> None:
    marked = Program({"a": MARKED})
    with pytest.raises(ValueError, match="EVOLVE-BLOCK"):
        marked.replace({marked.regions[0]: text})
    whole = Program({"a": "x"})
    with pytest.raises(ValueError, match="EVOLVE-BLOCK"):
        whole.replace({whole.regions[0]: text})


@given(st.text(alphabet="ab\n\r\x0b\x0c\x1c\x85\u2028\ud800"))
def test_split_lines_splits_at_newlines_only(text: str) -> None:
    lines = split_lines(text)
    assert "".join(lines) == text
    assert [line.removesuffix("\n") for line in lines] == text.removesuffix("\n").split("\n")[
        : len(lines)
    ]
    assert all(line.endswith("\n") for line in lines[:-1])
