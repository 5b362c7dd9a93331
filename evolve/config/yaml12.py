"""YAML 1.2 text to plain data that remembers where everything stood, and back.

The scalars are those of the YAML 1.2 core schema: ``1e-3`` is a number, ``on`` and ``12:30:45`` are
text, ``012`` is twelve. Duplicate keys, keys that are not text, merge keys (``<<``, which YAML 1.2
does not have) and tags beyond the core schema are refused. Anchors and aliases work; what they
expand to is bounded.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TypeAlias

import yaml
from pydantic import JsonValue

from evolve.config.source import NOWHERE, Mark, Source, Where
from evolve.core.errors import ConfigError

#: Nodes a document may expand to, aliases included, and how deep they may nest.
MAX_NODES = 20_000
MAX_DEPTH = 64

_TAG = "tag:yaml.org,2002:"
_CORE: tuple[tuple[str, str, str], ...] = (
    ("null", r"~|null|Null|NULL", "~nN"),
    ("bool", r"true|True|TRUE|false|False|FALSE", "tTfF"),
    ("int", r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+", "-+0123456789"),
    (
        "float",
        r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)",
        "-+0123456789.",
    ),
)

_Resolvers: TypeAlias = dict[str, list[tuple[str, re.Pattern[str]]]]


def _resolvers() -> _Resolvers:
    """Return the core schema as PyYAML wants it: by first character, the empty text under ''."""
    table: _Resolvers = {}
    for kind, pattern, first in _CORE:
        for character in first:
            table.setdefault(character, []).append((_TAG + kind, re.compile(rf"(?:{pattern})\Z")))
    table[""] = [(_TAG + "null", re.compile(r"\Z"))]
    return table


class _Loader(yaml.SafeLoader):
    """Composes nodes only; nothing is ever constructed by PyYAML."""

    yaml_implicit_resolvers = _resolvers()
    depth = 0

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        """Compose one node, refusing text nested too deeply."""
        if self.depth >= MAX_DEPTH:
            mark = parent.start_mark if parent else None
            raise yaml.MarkedYAMLError(problem="nested too deeply", problem_mark=mark)
        self.depth += 1
        node = super().compose_node(parent, index)
        self.depth -= 1
        return node


class _Dumper(yaml.SafeDumper):
    """Quotes what `_Loader` would otherwise read as something else."""

    yaml_implicit_resolvers = _resolvers()

    def ignore_aliases(self, data: object) -> bool:  # noqa: ARG002 - PyYAML's signature
        """Write everything out."""
        return True


def _represent_text(dumper: _Dumper, text: str) -> yaml.ScalarNode:
    """Escape the line breaks that YAML knows and PyYAML's plain styles would fold."""
    style = '"' if any(mark in text for mark in "\x85\u2028\u2029") else None
    return dumper.represent_scalar(_TAG + "str", text, style)


_Dumper.add_representer(str, _represent_text)


def parse(text: str, path: str) -> Source:
    """Read one YAML document.

    Args:
        text: The document.
        path: What messages call it.

    Raises:
        ConfigError: with the position; the text is not YAML 1.2 or not within the bounds above.
    """
    source = Source(path, text)
    node = _compose(text, source)
    if node is not None:
        source.data = _Reader(source).read(node, (), frozenset())
    return source


def parse_value(text: str) -> JsonValue:
    """Read a scalar, or a list or mapping in flow style (``[a, b]``, ``{a: 1}``).

    Raises:
        ConfigError: it is neither.
    """
    source = Source("", text)
    node = _compose(text, source)
    if node is None:
        return None
    if isinstance(node, yaml.CollectionNode) and not node.flow_style:
        raise ConfigError("quote text that holds ': ' or starts with '- '")
    return _Reader(source).read(node, (), frozenset())


def dump(data: JsonValue) -> str:
    """Write ``data`` as YAML that `parse` reads back unchanged."""
    text: str = yaml.dump(data, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=100)
    return text


def _compose(text: str, source: Source) -> yaml.Node | None:
    """Return the root node, or None for a text without any."""
    try:
        return yaml.compose(text, _Loader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        message = ", ".join(part for part in (error.context, error.problem) if part)
        if r"'\t'" in message:
            message = "a tab cannot indent YAML; use spaces"
        raise source.error(message, mark=_mark(mark) if mark else NOWHERE) from None
    except yaml.reader.ReaderError as error:
        lines = text[: error.position].split("\n")
        message = f"character U+{ord(text[error.position]):04X} is not allowed in YAML"
        raise source.error(message, mark=Mark(len(lines), len(lines[-1]) + 1)) from None


def _mark(mark: yaml.Mark) -> Mark:
    return Mark(mark.line + 1, mark.column + 1)


class _Reader:
    """Turns nodes into data, noting in ``source`` where each value and key stands."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self.nodes = 0

    def read(self, node: yaml.Node, where: Where, open_nodes: frozenset[int]) -> JsonValue:
        """Return the data of ``node``, which stands at ``where`` inside ``open_nodes``."""
        mark = _mark(node.start_mark)
        self.source.values[where] = mark
        self.nodes += 1
        if self.nodes > MAX_NODES or len(open_nodes) > MAX_DEPTH:
            raise self.source.error("the document expands to too much data", mark=mark)
        if id(node) in open_nodes:
            raise self.source.error("an alias stands inside what it refers to", mark=mark)
        inside = open_nodes | {id(node)}
        kind = node.tag.removeprefix(_TAG)
        if isinstance(node, yaml.MappingNode) and kind == "map":
            return self._mapping(node, where, inside)
        if isinstance(node, yaml.SequenceNode) and kind == "seq":
            return [self.read(n, (*where, i), inside) for i, n in enumerate(node.value)]
        if isinstance(node, yaml.ScalarNode) and kind in _SCALARS:
            return self._scalar(node, kind, mark)
        raise self.source.error(f"the tag {node.tag} is not supported here", mark=mark)

    def _mapping(
        self, node: yaml.MappingNode, where: Where, inside: frozenset[int]
    ) -> dict[str, JsonValue]:
        data: dict[str, JsonValue] = {}
        for key_node, value_node in node.value:
            mark = _mark(key_node.start_mark)
            key = key_node.value
            if not isinstance(key, str) or key_node.tag != _TAG + "str":
                hint = f"; quote it: '{key}'" if isinstance(key, str) else ""
                raise self.source.error(f"a key must be text{hint}", mark=mark)
            self._scalar(key_node, "str", mark)
            if key == "<<":
                raise self.source.error("YAML 1.2 has no merge keys; write the keys out", mark=mark)
            if key in data:
                first = self.source.keys[*where, key]
                message = f"duplicate key '{key}', first at line {first.line} column {first.column}"
                raise self.source.error(message, mark=mark)
            self.source.keys[*where, key] = mark
            data[key] = self.read(value_node, (*where, key), inside)
        return data

    def _scalar(self, node: yaml.ScalarNode, kind: str, mark: Mark) -> JsonValue:
        try:
            return _SCALARS[kind](node.value)
        except (ValueError, KeyError):
            raise self.source.error(f"not a valid {kind}", mark=mark) from None


def _text(text: str) -> str:
    """Refuse what no path, name or source may hold: NUL and half a surrogate pair."""
    if "\0" in text:
        raise ValueError
    text.encode()
    return text


def _integer(text: str) -> int:
    return int(text, {"0o": 8, "0x": 16}.get(text[:2], 10))


def _float(text: str) -> float:
    return float(text.replace(".inf", "inf").replace(".nan", "nan"))


_SCALARS: dict[str, Callable[[str], JsonValue]] = {
    "null": lambda _: None,
    "bool": lambda text: {"true": True, "false": False}[text.lower()],
    "int": _integer,
    "float": lambda text: _float(text.lower()),
    "str": _text,
}
