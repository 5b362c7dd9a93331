"""Replies that give code in full: `extract_rewrite`."""

from __future__ import annotations

import textwrap
from collections.abc import Callable

import pytest

from evolve.core.errors import PatchError
from evolve.core.patch import Reason, extract_rewrite
from evolve.core.program import END, START, Program

SOURCE = f"""\
import math

# {START}
def f(x):
    return x + 1
# {END}


def main():
    return f(1)
"""
OLD = "def f(x):\n    return x + 1\n"
NEW = (
    'def f(x):\n    """Add.\n\n    ```\n    f(1)\n    ```\n    """\n    y = x + 7\n\n    return y\n'
)
PROGRAM = Program({"a.py": SOURCE})
WHOLE = SOURCE.replace(OLD, NEW)
BARE = "".join(line for line in WHOLE.splitlines(True) if "EVOLVE" not in line)
METHOD = f"class A:\n    # {START}\n    def f(self):\n        return 1\n    # {END}\n\n    x = 1\n"
FILES = {"src/a.py": SOURCE, "b.py": SOURCE, "c.txt": "free\n"}


def fenced(code: str, above: str = "", info: str = "python") -> str:
    return f"{above}```{info}\n{code}```\n"


def refused(reply: str, program: Program = PROGRAM) -> PatchError:
    with pytest.raises(PatchError) as caught:
        extract_rewrite(reply, program)
    assert Reason(caught.value.reason)
    return caught.value


STYLES: dict[str, Callable[[str], str]] = {
    "fenced": fenced,
    "no language": lambda code: fenced(code, info=""),
    "prose": lambda code: f"I add more, as in `f`.\n\n{fenced(code)}\nThis is better.\n",
    "never closed": lambda code: f"Here:\n```python\n{code}",
    "no fence": lambda code: code,
    "no fence, blank lines": lambda code: f"\n\n{code}\n\n",
    "carriage returns": lambda code: fenced(code).replace("\n", "\r\n"),
    "blank lines inside": lambda code: fenced(f"\n{code}\n\n"),
    "no final newline": lambda code: fenced(code).rstrip("\n"),
    "four signs": lambda code: f"````py\n{code}````\n",
    "thoughts": lambda code: "<think>\n```python\ndraft()\n```\n</think>\n" + fenced(code),
    "in a list": lambda code: "1. All of it:\n\n" + textwrap.indent(fenced(code), "   "),
    "a command beside": lambda code: fenced("pip install x\n", info="bash") + fenced(code),
    "twice": lambda code: fenced(code) + "Again:\n" + fenced(code),
    "a path": lambda code: fenced(code, above="solution.py\n"),
}


@pytest.mark.parametrize("style", STYLES)
def test_styles_of_models_are_put_as_meant(style: str) -> None:
    codes = {
        "whole": WHOLE,
        "whole without markers": BARE,
        "inside": NEW,
        "inside with markers": f"# {START}\n{NEW}# {END}\n",
        "other blanks outside": WHOLE.replace("\n\n\n", " \n\n\t\n"),
    }
    for name, code in codes.items():
        assert extract_rewrite(STYLES[style](code), PROGRAM).files["a.py"] == WHOLE, name


@pytest.mark.parametrize("style", STYLES)
def test_a_program_without_markers_is_replaced_whole(style: str) -> None:
    program = Program({"a.py": OLD})
    rewritten = extract_rewrite(STYLES[style](NEW), program).files["a.py"]
    assert rewritten.strip() == NEW.strip()


def test_the_files_own_line_endings_are_kept() -> None:
    program = Program({"a.py": SOURCE.replace("\n", "\r\n")})
    assert extract_rewrite(fenced(WHOLE), program).files["a.py"] == WHOLE.replace("\n", "\r\n")
    assert extract_rewrite(fenced("x = 2\n"), Program({"a.py": "x = 1"})).files["a.py"] == "x = 2"


@pytest.mark.parametrize("shift", ["", "  ", "    ", "        "])
def test_a_block_that_is_indented_keeps_its_indentation(shift: str) -> None:
    program = Program({"a.py": METHOD})
    code = textwrap.indent("def f(self):\n    return 2\n", shift)
    assert extract_rewrite(fenced(code), program).files["a.py"] == METHOD.replace(
        "1\n    #", "2\n    #"
    )


def test_code_that_is_right_as_it_stands_is_not_shifted() -> None:
    code = "# a comment further out\n    def f(self):\n        return 2\n"
    result = extract_rewrite(fenced(code), Program({"a.py": METHOD})).files["a.py"]
    assert f"START\n{code}    # EVOLVE" in result


def test_an_empty_block_takes_the_indentation_of_its_marker() -> None:
    program = Program({"a.cpp": f"{{\n  // {START}\n  // {END}\n}}\n"})
    result = extract_rewrite(fenced("f();\ng();\n", info="cpp"), program).files["a.cpp"]
    assert result == f"{{\n  // {START}\n  f();\n  g();\n  // {END}\n}}\n"


@pytest.mark.parametrize(
    "code",
    [
        WHOLE.replace("import math", "import os"),
        WHOLE.replace("return f(1)", "return f(2)"),
        WHOLE + "print(1)\n",
        BARE.replace("return f(1)", "return f(2)"),
        BARE.replace("import math", "import os"),
        f"import os\n# {START}\n{NEW}# {END}\n",
    ],
)
def test_changes_outside_of_the_blocks_are_refused(code: str) -> None:
    assert refused(fenced(code)).reason == Reason.OUTSIDE_BLOCKS


@pytest.mark.parametrize(
    ("reply", "reason"),
    [
        ("", Reason.NO_EDIT),
        ("Sorry", Reason.NO_EDIT),
        ("I would add a loop.", Reason.NO_EDIT),
        ("```python\n```", Reason.NO_EDIT),
        ("```bash\nls\n```", Reason.NO_EDIT),
        (fenced(OLD), Reason.NO_OP),
        (fenced(SOURCE), Reason.NO_OP),
        (fenced("x = 1\n") + fenced("x = 2\n"), Reason.AMBIGUOUS),
        (fenced("def f(x):\n    # ... unchanged ...\n    return 1\n"), Reason.ELIDED),
        (fenced(f"# {START}\nx = 1\n"), Reason.MALFORMED),
        (fenced(f"# {START}\n# {END}\n# {START}\n# {END}\n"), Reason.MALFORMED),
        (fenced("<<<<<<< SEARCH\na\n=======\nb\n>>>>>>> REPLACE\n"), Reason.MALFORMED),
        ("```python\ndef f(x):\n    return (x +", Reason.MALFORMED),
        (f"```python\n{NEW}\nThat is all.", Reason.MALFORMED),
    ],
)
def test_replies_in_doubt_are_refused(reply: str, reason: Reason) -> None:
    assert refused(reply).reason == reason


def test_markers_cannot_be_brought_into_a_program_without_any() -> None:
    reply = fenced(f"# {START}\nx = 1\n# {END}\n")
    assert refused(reply, Program({"a.py": "x = 0\n"})).reason == Reason.OUTSIDE_BLOCKS


def test_plain_text_is_code_for_python_only() -> None:
    assert refused("x = 2", Program({"a.c": "x = 1\n"})).reason == Reason.NO_EDIT


def test_several_blocks_need_their_markers() -> None:
    program = Program({"a.py": f"# {START}\nx = 1\n# {END}\ny = 1\n# {START}\nz = 1\n# {END}\n"})
    assert refused(fenced("x = 2\nz = 2\n"), program).reason == Reason.MALFORMED
    reply = fenced(f"# {START}\nx = 2\n# {END}\n# {START}\nz = 2\n# {END}\n")
    expected = program.files["a.py"].replace("x = 1", "x = 2").replace("z = 1", "z = 2")
    assert extract_rewrite(reply, program).files["a.py"] == expected


@pytest.mark.parametrize(
    "above",
    ["src/a.py\n", "### `src/a.py`\n\n", "File: src/a.py\n", "a.py is not it.\n**src/a.py**\n"],
)
def test_several_files_go_by_their_paths(above: str) -> None:
    program = Program(FILES)
    reply = fenced(WHOLE, above=above) + "And\n" + fenced("def f(x): ...\n", above="b.py\n")
    rewritten = extract_rewrite(reply, program)
    assert rewritten.files["src/a.py"] == WHOLE
    assert rewritten.files["b.py"] == SOURCE.replace(OLD, "def f(x): ...\n")
    assert rewritten.outside == program.outside


def test_a_file_that_is_not_given_stays() -> None:
    rewritten = extract_rewrite(fenced(WHOLE, info="python:b.py"), Program(FILES))
    assert rewritten.files == {**FILES, "b.py": WHOLE}


@pytest.mark.parametrize(
    ("reply", "reason"),
    [
        (fenced(NEW), Reason.MALFORMED),
        (OLD, Reason.NO_EDIT),
        (fenced(NEW, above="d.py\n"), Reason.UNKNOWN_FILE),
        (fenced(NEW, above="b.py\n") + fenced("x = 1\n", above="b.py\n"), Reason.AMBIGUOUS),
        (fenced(NEW, above="b.py\n") + fenced("other\n", above="c.txt\n"), Reason.OUTSIDE_BLOCKS),
    ],
)
def test_several_files_in_doubt_are_refused(reply: str, reason: Reason) -> None:
    assert refused(reply, Program(FILES)).reason == reason


def test_a_file_without_blocks_may_be_repeated() -> None:
    reply = fenced(NEW, above="b.py\n") + fenced("free  \n", above="c.txt\n")
    assert extract_rewrite(reply, Program(FILES)).files == {**FILES, "b.py": WHOLE}


def test_the_only_file_with_blocks_needs_no_path() -> None:
    program = Program({"a.py": SOURCE, "c.txt": "free\n"})
    assert extract_rewrite(fenced(NEW), program).files == {"a.py": WHOLE, "c.txt": "free\n"}
