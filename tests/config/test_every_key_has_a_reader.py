"""No dead keys: every field of the schema is read somewhere in the engine.

What counts is an attribute of the field's name, loaded anywhere in ``evolve/`` outside the schema
itself. The test cannot see on which class the attribute is read, so a field called ``name`` or
``kind`` passes because of others of that name; it does catch a key that nothing ever asks for.
Sections that are turned into a dataclass whole (``Limits(**limits.model_dump())``) count by the
reads of that dataclass, which has the same names.
"""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import evolve
from evolve.config import archive, held_out, models, noise, pool, problem_file
from evolve.config.section import Section

PACKAGE = Path(evolve.__file__).parent
SCHEMA = (archive, held_out, models, noise, pool, problem_file)


def _fields() -> list[str]:
    sections = [
        value
        for module in SCHEMA
        for value in vars(module).values()
        if isinstance(value, type) and issubclass(value, Section)
    ]
    return [f"{section.__name__}.{field}" for section in sections for field in section.model_fields]


def _reads() -> set[str]:
    found = set()
    for path in PACKAGE.rglob("*.py"):
        if path not in {Path(str(module.__file__)) for module in SCHEMA}:
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Load):
                    found.add(node.attr)
    return found


READS = _reads()


@pytest.mark.parametrize("field", _fields())
def test_every_key_has_a_reader(field: str) -> None:
    assert field.partition(".")[2] in READS
