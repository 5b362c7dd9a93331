"""Sources and differences as markup: highlighted with classes, escaped, without inline styles."""

from __future__ import annotations

import difflib
import html
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from markupsafe import Markup
from pygments import highlight as colored
from pygments.formatters import HtmlFormatter
from pygments.lexers import get_lexer_for_filename
from pygments.lexers.special import TextLexer
from pygments.util import ClassNotFound

from evolve.core.program import Program, split_lines
from evolve.core.visible import visible
from evolve.view.web.text import cut

#: Characters that are highlighted; longer texts are shown plain, as reading them takes time.
HIGHLIGHTED = 60_000
#: Lines that are compared; more take too long.
COMPARED = 6_000
#: Pairs of equal lines, one of either text, that are all tried; of more, a line that makes up over
#: 1 % of a text is nowhere to begin at, as that takes minutes where a table has many equal lines.
TRIED = 100_000
#: Lines around a change.
CONTEXT = 3


@dataclass(frozen=True, slots=True)
class DiffLine:
    """A line of a difference: ``kind`` is add, remove, same, gap or file."""

    kind: str
    old: int | None
    new: int | None
    text: str


def highlight(path: str, text: str) -> Markup:
    """Return a source as markup, one line of markup for each line of text.

    The language follows from the file's name alone; its text is never asked.
    """
    clean = visible(cut(text))
    if len(clean) > HIGHLIGHTED:
        return Markup(html.escape(clean))  # noqa: S704 - escaped here
    try:
        lexer = get_lexer_for_filename(path, stripnl=False, ensurenl=False)
    except ClassNotFound:
        lexer = TextLexer(stripnl=False, ensurenl=False)
    return Markup(colored(clean, lexer, HtmlFormatter(nowrap=True)))  # noqa: S704 - it escapes


def line_numbers(text: str) -> str:
    """Return the numbers of the lines of a text, one below the other."""
    return "\n".join(map(str, range(1, len(split_lines(cut(text))) + 1)))


def changes(before: Program, after: Program) -> list[DiffLine]:
    """Return the differences of all files, with a few lines around each."""
    lines: list[DiffLine] = []
    for path in sorted(before.files.keys() | after.files.keys()):
        old = split_lines(before.files.get(path, ""))
        new = split_lines(after.files.get(path, ""))
        if old == new:
            continue
        if len(after.files) > 1 or path not in before.files or path not in after.files:
            lines.append(DiffLine("file", None, None, path))
        if len(old) + len(new) > COMPARED:
            note = f"{len(old)} and {len(new)} lines: too many to compare; see `evolve program`"
            lines.append(DiffLine("gap", None, None, note))
            continue
        lines += _changes(old, new)
    return lines


def _changes(old: list[str], new: list[str]) -> Iterator[DiffLine]:
    often = Counter(old)
    many = sum(often[line] for line in new) > TRIED
    matcher = difflib.SequenceMatcher(None, old, new, autojunk=many)
    for index, group in enumerate(matcher.get_grouped_opcodes(CONTEXT)):
        if index or group[0][1] or group[0][3]:
            yield DiffLine("gap", None, None, "…")
        for tag, i, j, k, m in group:
            if tag == "equal":
                for offset, line in enumerate(old[i:j]):
                    yield DiffLine("same", i + offset + 1, k + offset + 1, _line(line))
                continue
            for offset, line in enumerate(old[i:j]):
                yield DiffLine("remove", i + offset + 1, None, _line(line))
            for offset, line in enumerate(new[k:m]):
                yield DiffLine("add", None, k + offset + 1, _line(line))


def _line(line: str) -> str:
    return line.rstrip("\n")
