import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evolve.core.code_measures import CODE_MEASURES, code_measures
from evolve.core.program import END, START, Program


def measure(
    inside: str, *, before: str = "", after: str = "", path: str = "a.py"
) -> dict[str, float]:
    text = f"{before}# {START}\n{inside}# {END}\n{after}"
    return code_measures(Program({path: text}), CODE_MEASURES)


BRANCHING = """\
def f(items):
    for item in items:
        if item and items:
            pass
        elif item:
            return [x for x in items if x]
"""


def test_the_measures_of_a_small_function() -> None:
    assert measure(BRANCHING) == {
        "code_length": len(BRANCHING),
        "ast_nodes": 18,
        "cyclomatic_complexity": 7,  # for, if, and, elif, comprehension and its if
        "nesting_depth": 3,  # def, for, if; elif is as deep as if
    }


def test_only_the_evolve_blocks_count() -> None:
    around = "class A:\n    def g(self):\n        while True:\n            if self: break\n"
    assert measure("x = 1\n", before=around, after=around) == measure("x = 1\n")


def test_a_block_may_be_a_fragment() -> None:
    body = "        if x:\n            return 1\n"
    inside_function = measure(body, before="class A:\n    def f(self, x):\n")
    assert inside_function == {
        "code_length": len(body),
        "ast_nodes": 4,
        "cyclomatic_complexity": 2,
        "nesting_depth": 1,
    }
    branch = measure("else:\n    x = 2\n", before="if True:\n    x = 1\n")
    assert branch["ast_nodes"] == 3


def test_blocks_add_up_and_the_deepest_counts() -> None:
    flat, deep = "x = 1\n", "if x:\n    if y:\n        z = 1\n"
    one = f"# {START}\n{flat}# {END}\n# {START}\n{deep}# {END}\n"
    both = code_measures(Program({"a.py": one, "b.py": one}), CODE_MEASURES)
    a, b = measure(flat), measure(deep)
    assert both["ast_nodes"] == 2 * (a["ast_nodes"] + b["ast_nodes"])
    assert both["code_length"] == 2 * len(flat + deep)
    assert both["cyclomatic_complexity"] == 5
    assert both["nesting_depth"] == 2


@pytest.mark.parametrize(
    ("code", "complexity", "depth"),
    [
        ("", 1, 0),
        ("x = a if b else c\n", 2, 0),
        ("x = a and b and c or d\n", 4, 0),
        ("try:\n    pass\nexcept A:\n    pass\nexcept B:\n    pass\n", 3, 1),
        ("match x:\n    case 1:\n        pass\n    case _:\n        pass\n", 3, 1),
        ("if a:\n    pass\nelse:\n    if b:\n        pass\n    c\n", 3, 2),
        ("assert x\n", 2, 0),
    ],
)
def test_complexity_and_depth(code: str, complexity: float, depth: float) -> None:
    measured = measure(code)
    assert measured["cyclomatic_complexity"] == complexity
    assert measured["nesting_depth"] == depth


def test_other_languages_are_measured_by_their_text() -> None:
    code = "int f(int n) {\n  if (n && n > 1) {\n    return f(n - 1);\n  }\n  return 0;\n}\n"
    assert measure(code, path="a.cpp") == {
        "code_length": len(code),
        "ast_nodes": 30,
        "cyclomatic_complexity": 3,
        "nesting_depth": 2,
    }


def test_python_that_does_not_parse_is_measured_by_its_text() -> None:
    measured = measure("def f(:\n    if x\n        y\n")
    assert measured["cyclomatic_complexity"] == 2
    assert measured["nesting_depth"] == 2
    assert measured["ast_nodes"] == 7


def test_only_built_in_names_are_measured() -> None:
    program = Program({"a.py": "x = 1\n"})
    assert code_measures(program, ["radius", "code_length"]) == {"code_length": 6}


@pytest.mark.parametrize(
    "code",
    ["-" * 100_000 + "1", "(" * 100_000, "a" + ".b" * 100_000, "\0", "1" * 5000, '"\\d"', "\ud800"],
)
def test_hostile_sources_are_measured(code: str) -> None:
    assert all(math.isfinite(value) for value in measure(code + "\n").values())


@given(st.text(), st.sampled_from(["a.py", "a.c"]))
def test_any_text_has_finite_measures(text: str, path: str) -> None:
    measured = code_measures(Program({path: text.replace("EVOLVE", "")}), CODE_MEASURES)
    assert measured.keys() == CODE_MEASURES.keys()
    assert all(math.isfinite(value) and value >= 0 for value in measured.values())
