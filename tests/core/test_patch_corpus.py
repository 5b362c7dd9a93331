"""Edits in the styles that models write them, generated: applied exactly as meant, or refused.

Each program is changed in a known way, the change is written as hunks, and the hunks are restyled.
A result that is neither the program meant nor a `PatchError` is a wrong application.
"""

from __future__ import annotations

import re
import textwrap
from collections import Counter
from collections.abc import Callable, Iterator

import pytest

from evolve.core.errors import PatchError
from evolve.core.patch import Hunk, apply_patch, diff, format_patch, parse_patch
from evolve.core.program import END, START, Program

FUNCTION = f"""\
import numpy as np

# {START}
def priority(item, bins):
    \"\"\"Score each bin.

    Scores
    ======
    Higher is better.
    \"\"\"
    left = bins - item
    scores = np.zeros(len(bins))
    for i, space in enumerate(left):
        if space < 0:
            scores[i] = -np.inf
        else:
            scores[i] = -space

    return scores
# {END}


def main():
    left = priority(1, np.ones(3))
    return left
"""
CLASS = f"""\
class Solver:
    def __init__(self, n):
        self.n = n

    # {START} step
    def step(self, x):
        if x > self.n:
            return x - 1
        return x + 1

    def other(self, x):
        if x > self.n:
            return x - 2
        return x
    # {END}

    def run(self):
        return self.step(self.n)
"""
TWO_BLOCKS = f"""\
# {START}
RATE = 0.5
# {END}
def fixed():
    return RATE
# {START}
def free(x):
    return x * RATE
# {END}
"""
CPP = f"""\
#include <vector>
// {START}
double score(double a, double b) {{
\tif (a < b) {{
\t\treturn a;
\t}}
\treturn b;
}}
// {END}
int main() {{
\treturn 0;
}}
"""
PLAIN = "def f(x):\n    y = x + 1\n    return y\n\n\ndef g(x):\n    y = x + 1\n    return y\n"

#: Files, and for each change the texts it replaces and those it puts there.
CHANGES: list[tuple[dict[str, str], list[dict[str, str]]]] = [
    (
        {"seed.py": FUNCTION},
        [
            {"scores[i] = -space\n": "scores[i] = -(space**2)\n"},
            {"    left = bins - item\n": "    left = bins - item\n    best = left.min()\n"},
            {"        if space < 0:\n": "        if space < 0 or space > 9:\n", "zeros": "ones"},
            {"Higher is better.\n": "Higher is better; ties go to the first.\n"},
            {"    for i, space": "    # heaviest first\n    for i, space", "= -space": "= -i"},
            {"\n    return scores\n": "\n    scores /= scores.max()\n    return scores\n"},
        ],
    ),
    (
        {"solver.py": CLASS},
        [
            {"return x - 1": "return x - 3"},
            {"    return x - 2\n        return x\n": "    return 0\n        return 1\n"},
            {"    def other(self, x):\n": "    @staticmethod\n    def other(self, x):\n"},
            {"        return x + 1\n\n": "        y = x\n        return y\n\n", "x - 2": "x - 5"},
        ],
    ),
    (
        {"seed.py": TWO_BLOCKS},
        [
            {"RATE = 0.5": "RATE = 0.25"},
            {"RATE = 0.5\n": "RATE = 0.1\nBIAS = 1\n", "x * RATE": "x * RATE + BIAS"},
            {"def free(x):\n    return x * RATE\n": ""},
        ],
    ),
    (
        {"a.cpp": CPP},
        [
            {"\t\treturn a;\n": "\t\treturn a + 1;\n"},
            {"\treturn b;\n": "\tif (b > 2) {\n\t\treturn 2;\n\t}\n\treturn b;\n"},
        ],
    ),
    (
        {"a.cpp": CPP.replace("\n", "\r\n")},
        [{"\t\treturn a;\r\n": "\t\treturn a + 1;\r\n\t\t// done\r\n"}],
    ),
    (
        {"plain.py": PLAIN},
        [
            {"def g(x):\n    y = x + 1\n": "def g(x):\n    y = x + 2\n"},
            {"def f(x):\n    y": "def f(x):\n    # one\n    y"},
        ],
    ),
    ({"plain.py": PLAIN.rstrip("\n")}, [{"def f(x):\n    y = x + 1": "def f(x):\n    y = x"}]),
    (
        {"e.py": f"def f():\n    # {START}\n    # {END}\n    return 0\n"},
        [{"# " + END: "pass\n    # " + END}],
    ),
    (
        {"seed.py": FUNCTION, "lib/a.cpp": CPP, "lib/b.cpp": CPP, "notes.txt": "free\n"},
        [
            {"= -space\n": "= space\n"},
            {"lib/a.cpp: return a;": "return a - 1;", "lib/b.cpp: return b;": "return b - 1;"},
        ],
    ),
]


def changed(program: Program, change: dict[str, str]) -> Program:
    files = dict(program.files)
    for key, new in change.items():
        path, colon, old = key.partition(": ")
        paths = [path] if colon and path in files else list(files)
        old = old if colon and path in files else key
        touched = [path for path in paths if old in files[path]]
        assert len(touched) == 1, f"{old!r} stands in {touched}"
        files[touched[0]] = files[touched[0]].replace(old, new, 1)
    return Program(files)


def pairs() -> Iterator[tuple[Program, Program]]:
    for files, changes in CHANGES:
        for change in changes:
            program = Program(files)
            yield program, changed(program, change)


def each_half(hunks: tuple[Hunk, ...], style: Callable[[str], str]) -> tuple[Hunk, ...]:
    return tuple(Hunk(style(hunk.search), style(hunk.replace), hunk.path) for hunk in hunks)


def trailing(text: str) -> str:
    return "".join(line.rstrip("\r\n") + "  \n" for line in text.splitlines(keepends=True))


def dedented(hunk: Hunk) -> Hunk:
    """Take the indentation that all lines of both halves have off them."""
    both = textwrap.dedent(f"{hunk.search}\0\n{hunk.replace}".replace("\0\n", "")).splitlines(True)
    cut = len(hunk.search.splitlines())
    return Hunk("".join(both[:cut]), "".join(both[cut:]), hunk.path)


def fenced_halves(hunks: tuple[Hunk, ...]) -> str:
    return format_patch(
        each_half(hunks, lambda half: f"```python\n{half}```\n" if half.endswith("\n") else half)
    ).replace("````\n", "")


def fenced_hunks(hunks: tuple[Hunk, ...]) -> str:
    """Put each hunk in a fence of its own, below its path."""
    texts = [format_patch([Hunk(hunk.search, hunk.replace)]) for hunk in hunks]
    paths = [f"`{hunk.path}`\n" if hunk.path else "" for hunk in hunks]
    return "\n".join(f"{path}```\n{text}```\n" for path, text in zip(paths, texts, strict=True))


#: Styles that lose nothing: each should apply.
STYLES: dict[str, Callable[[tuple[Hunk, ...]], str]] = {
    "plain": format_patch,
    "no final newline": lambda hunks: format_patch(hunks).rstrip("\n"),
    "carriage returns": lambda hunks: format_patch(hunks).replace("\r", "").replace("\n", "\r\n"),
    "no carriage returns": lambda hunks: format_patch(hunks).replace("\r\n", "\n"),
    "fence around": lambda hunks: f"```python\n{format_patch(hunks)}```\n",
    "fence never closed": lambda hunks: f"```diff\n{format_patch(hunks)}",
    "fence around each": fenced_hunks,
    "fences inside": fenced_halves,
    "prose": lambda hunks: f"I will try this:\n\n{format_patch(hunks)}\nIt is > 10 % better.\n",
    "numbered": lambda hunks: "".join(
        f"{n}. Then\n{format_patch([h])}" for n, h in enumerate(hunks)
    ),
    "thoughts": lambda hunks: (
        "<think>\nTry <<<<<<< SEARCH first?\n</think>\n" + format_patch(hunks)
    ),
    "trailing blanks": lambda hunks: format_patch(each_half(hunks, trailing)),
    "trailing blanks in search": lambda hunks: format_patch(
        [Hunk(trailing(hunk.search), hunk.replace, hunk.path) for hunk in hunks]
    ),
    "indented": lambda hunks: format_patch(each_half(hunks, lambda t: textwrap.indent(t, "    "))),
    "indented by a tab": lambda hunks: format_patch(
        each_half(hunks, lambda text: textwrap.indent(text, "\t"))
    ),
    "dedented": lambda hunks: format_patch([dedented(hunk) for hunk in hunks]),
    "in a list": lambda hunks: textwrap.indent(format_patch(hunks), "  "),
    "short markers": lambda hunks: (
        format_patch(hunks).replace("<<<<<<< S", "<<<<< S").replace(">>>>>>> R", ">>>>> R")
    ),
    "long dividers": lambda hunks: format_patch(hunks).replace("\n=======\n", "\n=========\n"),
    "lower case": lambda hunks: (
        format_patch(hunks).replace("< SEARCH", "< search").replace("> REPLACE", "> replace block")
    ),
    "padded markers": lambda hunks: (
        format_patch(hunks)
        .replace("\n=======\n", "\n ======= \n")
        .replace("< SEARCH\n", "<SEARCH> \n")
    ),
    "bare ends": lambda hunks: format_patch(hunks).replace("> REPLACE\n", ">\n"),
    "headings": lambda hunks: format_patch(hunks).replace("File: ", "### "),
}


def altered(hunks: tuple[Hunk, ...]) -> str:
    """Change what the first filled line to be found says."""
    first, *rest = hunks
    line = next((line for line in first.search.splitlines(True) if line.strip()), "")
    spoilt = first.search.replace(line, line.rstrip() + "0 != 0\n", 1)
    return format_patch([Hunk(spoilt, first.replace, first.path), *rest])


#: Styles that lose something: to be refused, or applied as meant where that is still sure.
SPOILT: dict[str, Callable[[tuple[Hunk, ...]], str]] = {
    "cut off": lambda hunks: format_patch(hunks)[:-20],
    "no divider": lambda hunks: format_patch(hunks).replace("\n=======\n", "\n", 1),
    "no end": lambda hunks: format_patch(hunks).replace(">>>>>>> REPLACE\n", "", 1),
    "no start": lambda hunks: format_patch(hunks).replace("<<<<<<< SEARCH\n", "", 1),
    "halves swapped": lambda hunks: format_patch(
        [Hunk(hunk.replace, hunk.search, hunk.path) for hunk in hunks]
    ),
    "search altered": altered,
    "search empty": lambda hunks: format_patch([Hunk("", h.replace, h.path) for h in hunks]),
    "no paths": lambda hunks: format_patch([Hunk(h.search, h.replace) for h in hunks]),
    "wrong paths": lambda hunks: format_patch([Hunk(h.search, h.replace, "no.py") for h in hunks]),
    "uneven indentation": lambda hunks: format_patch(
        each_half(hunks, lambda text: text.replace("\n        ", "\n      "))
    ),
    "elided": lambda hunks: format_patch(
        [Hunk(h.search, h.replace + "# ... rest of the code ...\n", h.path) for h in hunks]
    ),
    "fence in one half": lambda hunks: format_patch(hunks).replace(
        "=======\n", "=======\n```python\n", 1
    ),
    "stray fence": lambda hunks: re.sub("(?m)^>+ R", r"```\n\g<0>", format_patch(hunks)),
    "divider in the code": lambda hunks: format_patch(
        each_half(hunks, lambda text: text + "=======\n")
    ).replace("==========", "======="),
    "last line only": lambda hunks: format_patch(
        each_half(hunks, lambda text: "".join(text.splitlines(True)[-1:]))
    ),
}


def outcome(program: Program, meant: Program, reply: str) -> str:
    try:
        return "applied" if apply_patch(program, parse_patch(reply)) == meant else "wrong"
    except PatchError as error:
        return str(error.reason)


@pytest.mark.parametrize("style", STYLES)
def test_styles_of_models_are_applied_as_meant(style: str) -> None:
    outcomes = Counter(outcome(a, b, STYLES[style](diff(a, b))) for a, b in pairs())
    refused = outcomes.total() - outcomes["applied"]
    # Where the code has a heading like a divider, the other style of marker can be ambiguous.
    assert refused <= (style == "short markers"), outcomes
    assert "wrong" not in outcomes, outcomes


@pytest.mark.parametrize("style", SPOILT)
def test_spoilt_edits_are_never_applied_wrongly(style: str) -> None:
    outcomes = Counter(outcome(a, b, SPOILT[style](diff(a, b))) for a, b in pairs())
    assert "wrong" not in outcomes, outcomes


def test_the_corpus_is_large() -> None:
    assert len(list(pairs())) * len(STYLES) >= 400
