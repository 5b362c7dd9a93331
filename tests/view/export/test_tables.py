"""Tables of a run: complete, in every format the same, in one piece or not at all."""

from __future__ import annotations

import csv
import json
import sqlite3
import tracemalloc
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from evolve.core.errors import PrerequisiteError
from evolve.store import schema
from evolve.store.reader import Reader, open_reader
from evolve.store.store import Store
from evolve.view.export import tables
from evolve.view.export.formats import Format
from evolve.view.export.tables import export_tables
from tests.store.samples import entering, program, scored
from tests.view.export.conftest import HOSTILE

#: Columns of the database that no table has, and why.
LEFT_OUT = {
    "runs": {"inserted", "archive", "holder", "holder_process", "claimed_at", "expires_at"},
    "programs": {"syntax", "run_id", "proposal_id"},
    "proposals": {"inserted", "run_id", "controller"},
    "evaluations": {"run_id"},
    "archives": {"run_id"},
    "samples": {"run_id"},
    "instructions": {"run_id"},
    "archive_events": {"run_id"},
}
RENAMED = {
    "problem_hash": "evaluator_version",
    "program_id": "program",
    "parent_id": "parent",
    "evaluation_id": "evaluation",
    "replaced_id": "replaced",
    "proposal_id": "proposal",
    "texts_blob": "texts",
    "prompt_blob": "prompt",
    "reply_blob": "reply",
    "details_blob": "details",
    "against_id": "against",
    "blob": "text",
}
NAMES = {"program_files": "files", "case_results": "cases", "completions": "calls"}
#: State of the process, not of the search.
NOT_EXPORTED = {"blobs", "leases", "inbox", "commits", "controllers", "notices"}
#: Tables whose rows are a column of another one.
JOINED = {"constructions": ("evaluations", "construction")}


def export(reader: Reader, folder: Path, form: Format = "jsonl", **options: bool) -> dict[str, int]:
    return export_tables(reader, reader.run(), folder, form, **options)


def rows(folder: Path, table: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / f"{table}.jsonl").read_text().splitlines()]


def test_every_column_of_the_database_is_in_a_table_or_left_out_on_purpose(reader: Reader) -> None:
    with reader.snapshot(1) as snapshot:
        found = {table.name: {c.name for c in table.columns} for table in snapshot.tables}
    for table in schema.metadata.sorted_tables:
        if table.name in NOT_EXPORTED:
            continue
        if table.name in JOINED:
            other, column = JOINED[table.name]
            assert column in found[other]
            continue
        name = NAMES.get(table.name, table.name)
        wanted = {column.name for column in table.columns} - LEFT_OUT.get(name, set())
        assert {RENAMED.get(column, column) for column in wanted} <= found[name], (
            f"{name}: add the column to evolve/store/definitions.py, or leave it out above"
        )


def test_tables_hold_what_the_run_holds(reader: Reader, tmp_path: Path) -> None:
    counts = export(reader, tmp_path / "out")

    assert counts == {
        "runs": 1, "programs": 4, "parents": 4, "files": 5, "evaluations": 4, "cases": 6,
        "samples": 0,
        "proposals": 4, "instructions": 0, "calls": 2, "archives": 1, "archive_events": 3,
    }  # fmt: skip
    best = rows(tmp_path / "out", "programs")[3]
    assert (best["objective"], best["measure_length"], best["measure_depth"]) == (1.0, 12.0, 0.25)
    assert (best["parent"], best["iteration"], best["outcome"]) == (2, 2, "ok")
    call = rows(tmp_path / "out", "calls")[0]
    assert (call["prompt"], call["reply"], call["cost_usd"]) == ('{"messages": []}', "x = 2", 0.01)
    assert rows(tmp_path / "out", "cases")[0]["name"] == "easy"
    assert rows(tmp_path / "out", "proposals")[3]["parents"] == [2]
    texts = json.loads(rows(tmp_path / "out", "evaluations")[0]["texts"])
    assert texts["artifacts"] == {"trace": "1\n2\n"}
    (source,) = [f for f in rows(tmp_path / "out", "files") if f["path"] == 'lib/a "b" é.py']
    assert source["text"] == "y = 1\n"


def test_files_are_described_as_they_are(reader: Reader, tmp_path: Path) -> None:
    counts = export(reader, tmp_path / "out", "csv")

    about = json.loads((tmp_path / "out/schema.json").read_text())
    readme = (tmp_path / "out/README.md").read_text()
    assert {each["name"]: each["rows"] for each in about["tables"]} == counts
    for each in about["tables"]:
        with (tmp_path / "out" / each["file"]).open(newline="") as file:
            head = next(csv.reader(file))
        assert head == [column["name"] for column in each["columns"]]
        for column in each["columns"]:
            assert f"| `{column['name']}` | {column['type']} | {column['meaning']} |" in readme


def test_no_cell_of_a_csv_is_a_formula(reader: Reader, tmp_path: Path) -> None:
    export(reader, tmp_path / "out", "csv")

    with (tmp_path / "out/programs.csv").open(newline="", encoding="utf-8") as file:
        third, fourth = list(csv.DictReader(file))[2:]
    clean = HOSTILE.replace("\0", "\N{REPLACEMENT CHARACTER}").replace("\ud800", "?")
    assert third["message"] == fourth["summary"] == f"'{clean}"
    assert fourth["objective"] == "1.0"
    with (tmp_path / "out/archive_events.csv").open(newline="") as file:
        assert [event["fitness"] for event in csv.DictReader(file)] == ["-3.0", "-2.0", "-1.0"]


def test_long_texts_can_be_left_out(reader: Reader, tmp_path: Path) -> None:
    export(reader, tmp_path / "out", long=False)

    assert not (tmp_path / "out/files.jsonl").exists()
    assert not {"prompt", "reply"} & set(rows(tmp_path / "out", "calls")[0])
    assert "texts" not in rows(tmp_path / "out", "evaluations")[0]
    assert rows(tmp_path / "out", "programs")[3]["objective"] == 1.0


def test_nothing_is_overwritten_but_an_export_that_one_says_may_go(
    reader: Reader, tmp_path: Path
) -> None:
    mine = tmp_path / "mine"
    mine.mkdir()
    export(reader, mine)  # an empty folder is nobody's
    with pytest.raises(PrerequisiteError, match="earlier export; --force"):
        export(reader, mine)
    (mine / "old").touch()
    export(reader, mine, "csv", force=True)
    assert not (mine / "old").exists()
    assert not (mine / "programs.jsonl").exists()

    other = tmp_path / "other"
    other.mkdir()
    (other / "thesis.tex").touch()
    with pytest.raises(PrerequisiteError, match="not empty"):
        export(reader, other, force=True)
    assert [each.name for each in other.iterdir()] == ["thesis.tex"]
    with pytest.raises(PrerequisiteError, match="cannot write"):
        export(reader, other / "thesis.tex" / "out")


def test_an_export_that_fails_leaves_nothing_and_the_old_one(
    reader: Reader, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    export(reader, tmp_path / "out/deep")
    before = sorted((tmp_path / "out").rglob("*"))
    monkeypatch.setattr(tables, "_readme", lambda *_: 1 / 0)

    with pytest.raises(ZeroDivisionError):
        export(reader, tmp_path / "out/deep", force=True)

    assert sorted((tmp_path / "out").rglob("*")) == before


def test_all_tables_are_as_of_one_moment(path: Path, store: Store, run_id: int) -> None:
    with open_reader(str(path)) as reader, reader.snapshot(run_id) as snapshot:
        named = {table.name: table for table in snapshot.tables}
        assert len(list(snapshot.rows(named["programs"]))) == 4
        added = store.add_program(run_id, program(9), operator="diff").id
        store.commit_evaluation(added, scored(0.5), [entering(added, 2, -0.5)])
        assert len(list(snapshot.rows(named["evaluations"]))) == 4


def test_memory_does_not_grow_with_the_run(
    path: Path, store: Store, run_id: int, tmp_path: Path
) -> None:
    store.release(run_id, "finished", "")
    peaks: list[int] = []
    counts: dict[str, int] = {}
    for many in (2_000, 6_000):
        with closing(sqlite3.connect(path)) as connection, connection:
            new = range(many, 2 * many)
            connection.executemany(
                "INSERT INTO programs (id, run_id, hash, operator, generation, island, summary,"
                " created_at) VALUES (?, 1, ?, 'diff', 0, 0, ?, 0)",
                [(n, f"{n:064}", "a summary " * 10) for n in new],
            )
            connection.executemany(
                "INSERT INTO program_files VALUES (?, 'm.py', 1)", [(n,) for n in new]
            )
        with open_reader(str(path)) as reader:
            tracemalloc.start()
            try:
                counts = export(reader, tmp_path / f"out{many}", "csv")
                peaks.append(tracemalloc.get_traced_memory()[1])
            finally:
                tracemalloc.stop()
    assert counts["files"] == 8_005
    assert peaks[1] < 1.2 * peaks[0], "four times the rows"


@pytest.mark.integration
def test_parquet_is_read_by_pyarrow(reader: Reader, tmp_path: Path) -> None:
    from pyarrow import parquet

    export(reader, tmp_path / "rows")
    counts = export(reader, tmp_path / "out", "parquet")

    for name, count in counts.items():
        table = parquet.read_table(tmp_path / f"out/{name}.parquet")
        assert table.num_rows == count
        assert all(field.metadata[b"meaning"] for field in table.schema)
        for row, wanted in zip(table.to_pylist(), rows(tmp_path / "rows", name), strict=True):
            flat = {k: json.dumps(v, ensure_ascii=False) if isinstance(v, (list, dict)) else v
                    for k, v in wanted.items()}  # fmt: skip
            assert row == flat
    types = parquet.read_schema(tmp_path / "out/programs.parquet")
    assert str(types.field("objective").type) == "double"
    assert str(types.field("parent").type) == "int64"


@pytest.mark.integration
def test_parquet_comes_in_row_groups_of_bounded_size(
    reader: Reader, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pyarrow import parquet

    monkeypatch.setattr("evolve.view.export.formats._GROUP_ROWS", 3)
    export(reader, tmp_path / "out", "parquet")

    assert parquet.ParquetFile(tmp_path / "out/files.parquet").num_row_groups == 2
