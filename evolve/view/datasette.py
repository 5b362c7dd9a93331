"""What ``datasette`` shows of a run database: texts instead of compressed bytes, ready queries.

Installed beside `evolve`, datasette finds this module by its entry point and needs no metadata.
"""

from __future__ import annotations

import sqlite3
import zlib
from collections.abc import Awaitable, Callable
from typing import Any

from datasette import hookimpl

#: Bytes of a text that are shown at most, as a cell of a table and by ``text_of``.
_CELL, _TEXT = 2_000, 2_000_000

QUERIES = {
    "ancestors": (
        "A program and all its ancestors",
        """WITH RECURSIVE line(program) AS (
    SELECT CAST(:program AS INTEGER)
    UNION SELECT parent FROM lineage JOIN line USING (program) WHERE parent IS NOT NULL
)
SELECT program, parent, generation, operator, model, objective, parent_objective, summary
FROM lineage WHERE program IN line ORDER BY generation DESC, program DESC""",
    ),
    "sources": (
        "The source files of a program",
        """SELECT path, text_of(data) AS text
FROM program_files JOIN blobs ON blobs.id = program_files.blob
WHERE program_id = :program ORDER BY path""",
    ),
    "conversation": (
        "What models were asked and answered to make a program",
        """SELECT completions.id AS call, completions.model, completions.state,
       text_of(asked.data) AS prompt, text_of(answered.data) AS reply,
       completions.cost_usd, completions.latency_s
FROM programs
JOIN completions ON completions.proposal_id = programs.proposal_id
JOIN blobs AS asked ON asked.id = completions.prompt_blob
LEFT JOIN blobs AS answered ON answered.id = completions.reply_blob
WHERE programs.id = :program ORDER BY completions.id""",
    ),
    "cases": (
        "How a program did case by case",
        """SELECT evaluations.stage, case_results.name, case_results.outcome,
       case_results.objective, case_results.message, case_results.wall_ns / 1e9 AS wall_s
FROM evaluations JOIN case_results ON case_results.evaluation_id = evaluations.id
WHERE evaluations.program_id = :program ORDER BY evaluations.id, case_results.position""",
    ),
}


def text_of(data: object, limit: int = _TEXT) -> str | None:
    """Return the text of a row of ``blobs``; None for what is none."""
    if not isinstance(data, bytes):
        return None
    try:
        raw = zlib.decompressobj().decompress(data, limit)
    except zlib.error:
        return None
    return raw.decode("utf-8", "replace")


def _prepare_connection(conn: sqlite3.Connection) -> None:
    conn.create_function("text_of", 1, text_of, deterministic=True)


def _render_cell(value: object, column: str, table: str | None) -> str | None:
    """Return the text of a blob; datasette escapes it. None leaves a cell to datasette."""
    return text_of(value, _CELL) if (table, column) == ("blobs", "data") else None


def _canned_queries(datasette: Any, database: str) -> Callable[[], Awaitable[dict[str, Any]]]:  # noqa: ANN401 - datasette has no types
    async def ready() -> dict[str, Any]:
        if not await datasette.get_database(database).table_exists("archive_events"):
            return {}  # not one of ours
        return {
            name: {"sql": sql, "title": title, "params": ["program"]}
            for name, (title, sql) in QUERIES.items()
        }

    return ready


prepare_connection = hookimpl(_prepare_connection, specname="prepare_connection")
render_cell = hookimpl(_render_cell, specname="render_cell")
canned_queries = hookimpl(_canned_queries, specname="canned_queries")
