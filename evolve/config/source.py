"""A text that errors can point into."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

from evolve.core.errors import ConfigError

if TYPE_CHECKING:
    from pydantic import JsonValue  # slow to load, and scorers do without

#: A place in nested data: ``("models", 0, "price")``.
Where: TypeAlias = tuple[str | int, ...]

_MAX_SHOWN = 160
_KEY = re.compile(
    r"\b(?:sk|hf|gsk|xai|ghp|github_pat)[-_](?=[\w-]{0,64}\d)[\w-]{16,}|\bAIza[\w-]{30,}"
)
_NAMED = re.compile(
    r"(?<=://)[^/\s@]+(?=@)"
    r"|(?P<name>\b(?:api[-_]?key\w*|secret\w*|signature|password|authorization|(?:\w+[-_])?token)"
    r"[\"']?\s*[:=]\s*)[^\s,}\]]+",
    re.IGNORECASE,
)


class Mark(NamedTuple):
    """A 1-based position; 0 when unknown."""

    line: int = 0
    column: int = 0


NOWHERE = Mark()


@dataclass(slots=True)
class Source:
    """A parsed text and where its parts stand.

    Attributes:
        path: What messages call the text; empty for none.
        text: The text.
        data: What it says.
        keys: Where each key of a mapping stands.
        values: Where each value starts.
    """

    path: str
    text: str = field(repr=False)
    data: JsonValue = None
    keys: dict[Where, Mark] = field(default_factory=dict, repr=False)
    values: dict[Where, Mark] = field(default_factory=dict, repr=False)

    def mark_of(self, where: Where, *, key: bool = False) -> Mark:
        """Return where the value (or its ``key``) stands, or the nearest enclosing part."""
        if key and where in self.keys:
            return self.keys[where]
        while where and where not in self.values:
            where = where[:-1]
        return self.values.get(where, NOWHERE)

    def error(self, message: str, *, mark: Mark = NOWHERE) -> ConfigError:
        """Return an error that points at ``mark`` and shows its line, secrets masked."""
        lines = self.text.splitlines()
        line = lines[mark.line - 1] if 0 < mark.line <= len(lines) else ""
        shown = redact(line)
        if mark.column > _MAX_SHOWN:
            shown = ""
        return ConfigError(
            message,
            path=self.path,
            line=mark.line,
            column=mark.column,
            source_line=shown[:_MAX_SHOWN],
        )


def redact(text: str) -> str:
    """Replace what looks like a secret by as many asterisks, so that columns stay what they are."""
    return _KEY.sub(_stars, _NAMED.sub(_stars, text))


def holds_secret(text: str) -> bool:
    """Return whether ``text`` contains a key of a well-known form."""
    return _KEY.search(text) is not None


def _stars(found: re.Match[str]) -> str:
    name = found.groupdict().get("name") or ""
    return name + "*" * (len(found[0]) - len(name))
