"""A run as a folder of table files, with a description for people and one for programs."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from evolve.store.reader import Reader
from evolve.store.records import RunRecord
from evolve.store.tables import Table
from evolve.view.export.formats import Format, open_writer
from evolve.view.export.place import new_folder

#: The description for programs; a folder that has it is one of ours.
MARK = "schema.json"
KIND = "evolve-tables"
#: Changes when a column goes or gets another meaning; further columns do not change it.
VERSION = 1

_NOTES: Mapping[Format, str] = {
    "csv": "Comma-separated, UTF-8, texts in double quotes, an empty text where there is no value. "
    "Lists and objects are JSON. A text that a spreadsheet would take for a formula (it begins "
    "with `=`, `+`, `-`, `@`, a tab or a line break) has an apostrophe in front.",
    "jsonl": "One JSON object per line, UTF-8; `null` where there is no value.",
    "parquet": "Zstandard-compressed Parquet. Lists and objects are strings of JSON.",
}


def export_tables(
    reader: Reader,
    run: RunRecord,
    folder: Path,
    form: Format,
    *,
    long: bool = True,
    force: bool = False,
) -> dict[str, int]:
    """Write the tables of a run, all as of one moment, in memory that does not grow with it.

    Args:
        reader: Reads the run.
        run: The run.
        folder: Where they go; it appears when everything is written.
        form: The format.
        long: Whether sources, prompts, replies and feedback in full are written.
        force: Whether an earlier export may be replaced.

    Returns:
        How many rows each table has.

    Raises:
        PrerequisiteError: the folder is in use or cannot be written, or pyarrow is missing.
    """
    counts: dict[str, int] = {}
    with (
        new_folder(folder, mark=MARK, force=force) as made,
        reader.snapshot(run.id, long=long) as snapshot,
    ):
        for table in snapshot.tables:
            path = made / f"{table.name}.{form}"
            counts[table.name] = 0
            with open_writer(form, path, table.columns) as write:
                for row in snapshot.rows(table):
                    write(row)
                    counts[table.name] += 1
        described = [_described(table, form, counts[table.name]) for table in snapshot.tables]
        about = {"kind": KIND, "version": VERSION, "run": run.id, "tables": described}
        (made / MARK).write_text(json.dumps(about, indent=1) + "\n", encoding="utf-8")
        text = _readme(run, snapshot.tables, form, counts)
        (made / "README.md").write_text(text, encoding="utf-8")
    return counts


def _described(table: Table, form: Format, rows: int) -> dict[str, object]:
    return {
        "name": table.name,
        "file": f"{table.name}.{form}",
        "rows": rows,
        "meaning": table.meaning,
        "columns": [
            {"name": column.name, "type": column.kind, "meaning": column.meaning}
            for column in table.columns
        ],
    }


def _readme(
    run: RunRecord, tables: tuple[Table, ...], form: Format, counts: Mapping[str, int]
) -> str:
    parts = [
        f"# Run {run.id}\n\nThe tables of one run of `evolve`. {_NOTES[form]}\n\nTimes are Unix "
        "seconds (UTC), money is US dollars. `schema.json` says the same for programs.\n"
    ]
    for table in tables:
        lines = [
            f"\n## {table.name}.{form}\n",
            f"{table.meaning} Rows: {counts[table.name]}.\n",
            "| column | type | meaning |",
            "|---|---|---|",
            *(_cells(f"`{c.name}`", c.kind, c.meaning) for c in table.columns),
        ]
        parts.append("\n".join(lines) + "\n")
    return "".join(parts)


def _cells(*cells: str) -> str:
    """Return a line of a Markdown table."""
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"
