"""Write the generated parts of the reference pages: configuration keys, `--help` texts, tables.

`python docs/generate.py` rewrites them in place, `--check` only tells whether they are up to date.
A generated part stands between a line ``<!-- generated: NAME -->`` and a line ``<!-- end -->``.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import typer
from typer import rich_utils
from typer.testing import CliRunner

from evolve.cli.app import app
from evolve.config.models import RunConfig
from evolve.config.problem_file import ProblemConfig
from evolve.config.section import Section

DOCS = Path(__file__).parent
PAGES = ("configuration.md", "cli.md", "attacks.md", "problems-library.md")
COLUMNS = 96
_PART = re.compile(r"(<!-- generated: (\S+) -->\n).*?(<!-- end -->)", re.DOTALL)
_COLOR = re.compile(r"\x1b\[[0-9;]*m")
_Schema = Mapping[str, Any]  # JSON Schema, as deep as it is


def render(page: str) -> str:
    """Return the text of a page with its generated parts made anew."""
    return _PART.sub(lambda part: f"{part[1]}\n{GENERATED[part[2]]()}\n{part[3]}", page)


def stale() -> list[str]:
    """Return the names of the pages whose generated parts are out of date."""
    texts = {name: (DOCS / name).read_text(encoding="utf-8") for name in PAGES}
    return [name for name, text in texts.items() if render(text) != text]


def keys_of(model: type[Section]) -> str:
    """Return one table of keys for a model and one for each section inside it."""
    schema = model.model_json_schema()
    return "\n".join(_tables(schema, schema["$defs"], ""))


def help_texts() -> str:
    """Return the help of every command."""
    return "\n".join(
        f"## {name}\n\n```text\n{_help(name.split()[1:])}\n```\n" for name in _commands()
    )


def attacks() -> str:
    """Return the attacks of the suite and how each was seen to end."""
    sys.path.insert(0, str(DOCS.parent))  # the suite is no part of the package
    from tests.attacks.table import tables

    return tables()


def library() -> str:
    """Return the bundled problems, what seed programs score and what published results do."""
    sys.path.insert(0, str(DOCS.parent))  # benchmarks are no part of the package
    from benchmarks.library import table

    return table()


def _tables(schema: _Schema, sections: Mapping[str, _Schema], path: str) -> Iterator[str]:
    required = schema.get("required", ())
    rows = [
        (
            f"`{path}{name}`",
            _kind(key),
            "required" if name in required else _default(key),
            _cell(key.get("description", "")),
        )
        for name, key in schema["properties"].items()
    ]
    lines = ["key | type | default | meaning", "--- | --- | --- | ---", *map(" | ".join, rows)]
    title = f"### `{path.rstrip('.')}`\n\n{schema['description']}\n\n" if path else ""
    yield title + "".join(f"| {line} |\n" for line in lines)
    for name, key in schema["properties"].items():
        for inner, place in _sections(key, f"{path}{name}"):
            yield from _tables(sections[inner], sections, f"{place}.")


def _sections(key: _Schema, path: str) -> Iterator[tuple[str, str]]:
    """Yield the names of the sections that a key holds and the place of each."""
    if "$ref" in key:
        yield key["$ref"].rpartition("/")[2], path
    for choice in key.get("anyOf", ()):
        yield from _sections(choice, path)
    if "items" in key:
        yield from _sections(key["items"], f"{path}[]")


def _kind(key: _Schema) -> str:
    """Return a key's type and range in words."""
    if "$ref" in key:
        return "section"
    if "anyOf" in key:
        kinds = [_kind(choice) for choice in key["anyOf"]]
        return " or ".join(dict.fromkeys(kind for kind in kinds if kind != "null"))
    if "enum" in key:
        return " or ".join(f"`{value}`" for value in key["enum"])
    if key.get("type") == "array":
        inner = _kind(key["items"])
        return f"list of {inner}s" if not inner.endswith("s") else f"list of {inner}"
    names = {"string": "text", "boolean": "true or false", "object": "mapping"}
    written = str(key.get("type", "anything"))
    name = names.get(written, written)
    bounds = {"minimum": ">=", "exclusiveMinimum": ">", "maximum": "<=", "exclusiveMaximum": "<"}
    limits = [f"{sign} {key[bound]:g}" for bound, sign in bounds.items() if bound in key]
    if key.get("exclusiveMaximum") == 2**63:
        limits = [*limits[:-1], "< 2^63"]
    return " ".join([name, *limits])


def _default(key: _Schema) -> str:
    default = key.get("default")
    if isinstance(default, dict) and "$ref" in key:
        return "see below"
    return "none" if default in (None, "", [], {}) else f"`{json.dumps(default)}`"


def _cell(text: str) -> str:
    return text.replace("|", "\\|") or "-"


def _commands() -> Iterator[str]:
    yield "evolve"
    for name, command in typer.main.get_command(app).commands.items():  # type: ignore[attr-defined]  # a group
        inner = getattr(command, "commands", None)
        yield from [f"evolve {name} {each}" for each in inner] if inner else [f"evolve {name}"]


def _help(arguments: list[str]) -> str:
    # What typer takes from the terminal, and from the variables of CI services.
    rich_utils.MAX_WIDTH, rich_utils.FORCE_TERMINAL = COLUMNS, False
    environment = {"NO_COLOR": "1", "FORCE_COLOR": None, "EVOLVE_DB": None}
    result = CliRunner().invoke(app, [*arguments, "--help"], env=environment, prog_name="evolve")
    lines = [line.rstrip() for line in _COLOR.sub("", result.output).splitlines()]
    return re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).strip("\n")


GENERATED: Mapping[str, Callable[[], str]] = {
    "run-keys": lambda: keys_of(RunConfig),
    "problem-keys": lambda: keys_of(ProblemConfig),
    "help": help_texts,
    "attacks": attacks,
    "library": library,
}


def main() -> int:
    """Rewrite the pages, or with ``--check`` return 1 when one is out of date."""
    if "--check" in sys.argv[1:]:
        names = stale()
        if names:
            message = f"out of date: {', '.join(names)}; run: python docs/generate.py"
            sys.stderr.write(f"{message}\n")
        return 1 if names else 0
    for name in PAGES:
        path = DOCS / name
        path.write_text(render(path.read_text(encoding="utf-8")), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
