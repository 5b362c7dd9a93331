"""Table files: CSV and JSON lines with the standard library, Parquet with pyarrow."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Literal, Protocol, TypeAlias

from evolve.core.errors import PrerequisiteError
from evolve.store.tables import Column

Format: TypeAlias = Literal["parquet", "csv", "jsonl"]

#: What makes a spreadsheet take a cell for a formula, in the fonts of East Asia too; and white
#: space that it skips before looking.
_FORMULA = tuple("=+-@\t\r\n＝＋－＠")  # noqa: RUF001 - these very characters

#: A Parquet row group ends after so many rows, or so many characters of text.
_GROUP_ROWS, _GROUP_CHARACTERS = 50_000, 32_000_000


class Writer(Protocol):
    """Takes the rows of a table, in the order of its columns."""

    def __call__(self, row: Sequence[object]) -> None:
        """Write one row."""
        ...


def open_writer(
    form: Format, path: Path, columns: Sequence[Column]
) -> AbstractContextManager[Writer]:
    """Open a file for the rows of a table.

    Args:
        form: The format.
        path: The file.
        columns: What rows hold.

    Raises:
        PrerequisiteError: pyarrow is not installed, and the format needs it.
    """
    return _FORMATS[form](path, columns)


@contextmanager
def _open_csv(path: Path, columns: Sequence[Column]) -> Iterator[Writer]:
    """Write comma-separated values as of RFC 4180, texts always quoted, in UTF-8.

    Text that a spreadsheet would take for a formula gets an apostrophe in front.
    """
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, quoting=csv.QUOTE_NONNUMERIC, lineterminator="\n")
        writer.writerow([column.name for column in columns])

        def write(row: Sequence[object]) -> None:
            writer.writerow([_cell(value) for value in row])

        yield write


def _cell(value: object) -> object:
    if isinstance(value, str):
        return f"'{value}" if value.startswith(_FORMULA) else value
    return _flat(value)


def _flat(value: object) -> object:
    """Return a value that fits a cell: lists and objects as JSON text."""
    return json.dumps(value, ensure_ascii=False) if isinstance(value, (dict, list)) else value


@contextmanager
def _open_jsonl(path: Path, columns: Sequence[Column]) -> Iterator[Writer]:
    """Write one JSON object per line, lists and objects as such, in UTF-8."""
    names = [column.name for column in columns]
    with path.open("w", encoding="utf-8", newline="") as file:

        def write(row: Sequence[object]) -> None:
            line = dict(zip(names, row, strict=True))
            file.write(json.dumps(line, ensure_ascii=False, allow_nan=False) + "\n")

        yield write


@contextmanager
def _open_parquet(path: Path, columns: Sequence[Column]) -> Iterator[Writer]:
    """Write Parquet: 64-bit integers, doubles, and strings; lists and objects as JSON strings."""
    try:
        import pyarrow as pa
        from pyarrow import parquet
    except ImportError:
        raise PrerequisiteError(
            "Parquet needs pyarrow: `pip install 'evolve-engine[export]'`; --format csv and "
            "--format jsonl need nothing"
        ) from None
    types = {"integer": pa.int64(), "real": pa.float64(), "text": pa.string(), "json": pa.string()}
    schema = pa.schema(
        [
            pa.field(column.name, types[column.kind], metadata={"meaning": column.meaning})
            for column in columns
        ]
    )
    rows: list[list[object]] = []
    characters = 0
    with parquet.ParquetWriter(path, schema, compression="zstd") as file:

        def flush() -> None:
            if rows:
                arrays = [
                    pa.array(values, field.type)
                    for values, field in zip(zip(*rows, strict=True), schema, strict=True)
                ]
                file.write_batch(pa.record_batch(arrays, schema=schema))
                rows.clear()

        def write(row: Sequence[object]) -> None:
            nonlocal characters
            rows.append([_flat(value) for value in row])
            characters += sum(len(value) for value in rows[-1] if isinstance(value, str))
            if len(rows) >= _GROUP_ROWS or characters >= _GROUP_CHARACTERS:
                flush()
                characters = 0

        yield write
        flush()


class _Open(Protocol):
    def __call__(self, path: Path, columns: Sequence[Column]) -> AbstractContextManager[Writer]: ...


_FORMATS: Mapping[Format, _Open] = {
    "parquet": _open_parquet,
    "csv": _open_csv,
    "jsonl": _open_jsonl,
}
