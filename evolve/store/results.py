"""Between rows and values: evaluations, case results, archive events.

Every function is one step of a caller's transaction.
"""

from __future__ import annotations

import json
import math
from base64 import b64decode, b64encode
from collections.abc import Mapping, Sequence
from types import SimpleNamespace
from typing import Any, TypeAlias

from sqlalchemy import Connection, Row, delete, select

from evolve.core.evaluation import CaseResult, Evaluation, Outcome, Score, Usage
from evolve.store.records import ArchiveEvent
from evolve.store.rows import get_blob, insert_row, into, put_blob, same
from evolve.store.schema import archive_events, case_results, constructions, evaluations
from evolve.store.text import clip

#: A row, or a mapping's values as attributes, with the columns of `numbers`.
Numbers: TypeAlias = Row[Any] | SimpleNamespace
#: Status of a row of ``archive_events`` that only says who else left for the entry before it.
LEFT = "left"
#: The evaluation of a program on a stage by a version of its evaluator.
_STANDING = select(evaluations.c.id, evaluations.c.outcome).where(
    *same(evaluations.c.program_id, evaluations.c.stage, evaluations.c.evaluator)
)
_CASES = (
    select(case_results)
    .where(*same(case_results.c.evaluation_id))
    .order_by(case_results.c.position)
)


def write_evaluation(
    connection: Connection, evaluation: Evaluation, columns: Mapping[str, object]
) -> int:
    """Insert an evaluation and its case results; ``columns`` are those not in the value.

    Raises:
        ValueError: a number is NaN or infinite.
    """
    texts = texts_of(evaluation)
    row = insert_row(
        connection,
        evaluations,
        {
            **columns,
            **numbers(evaluation),
            "stage": evaluation.stage,
            "evaluator": evaluation.evaluator,
            "signature": evaluation.signature or None,
            "environment": evaluation.environment or None,
            "copied_from": evaluation.copied_from,
            "probe": evaluation.probe or None,
            "behaves_like": evaluation.behaves_like,
            "start": evaluation.start,
            "samples": evaluation.samples,
            "error": evaluation.error,
            "message": evaluation.feedback,
            "texts_blob": put_blob(connection, json.dumps(texts)) if texts else None,
        },
    )
    if evaluation.construction:
        blob = put_blob(connection, evaluation.construction)
        connection.execute(into(constructions), {"evaluation_id": row, "blob": blob})
    if evaluation.cases:
        connection.execute(
            into(case_results),
            [
                {
                    "evaluation_id": row,
                    "position": position,
                    "name": case.case,
                    "message": case.score.feedback if case.score else case.message,
                    **numbers(case),
                }
                for position, case in enumerate(evaluation.cases)
            ],
        )
    return row


def standing_evaluation(
    connection: Connection, program_id: int, evaluation: Evaluation
) -> int | None:
    """Return the row that holds the place of ``evaluation`` already, if any.

    An infrastructure fault does not hold its place: it is deleted.
    """
    place = {
        "program_id": program_id,
        "stage": evaluation.stage,
        "evaluator": evaluation.evaluator,
    }
    row = connection.execute(_STANDING, place).one_or_none()
    if row is None or row.outcome != Outcome.INFRASTRUCTURE.value:
        return None if row is None else int(row.id)
    connection.execute(delete(case_results).where(case_results.c.evaluation_id == row.id))
    connection.execute(delete(evaluations).where(evaluations.c.id == row.id))
    return None


def read_evaluation(connection: Connection, row: Row[Any]) -> Evaluation:
    """Read the value behind a row of ``evaluations``."""
    texts = json.loads(get_blob(connection, row.texts_blob) or "{}")
    case_texts = texts.get("cases", {})
    rows = connection.execute(_CASES, {"evaluation_id": row.id})
    return Evaluation(
        outcome=Outcome(row.outcome),
        score=read_score(row, texts),
        usage=read_usage(row),
        message=texts.get("message", ""),
        cases=tuple(read_case(case, case_texts.get(str(case.position), {})) for case in rows),
        stdout=texts.get("stdout", ""),
        stderr=texts.get("stderr", ""),
        evaluator=row.evaluator,
        stage=row.stage,
        signature=row.signature or "",
        environment=row.environment or "",
        copied_from=row.copied_from,
        probe=row.probe or "",
        behaves_like=row.behaves_like,
        start=row.start,
        samples=row.samples,
        error=row.error,
    )


def write_events(
    connection: Connection, run_id: int, evaluation_id: int, archive: Sequence[ArchiveEvent]
) -> None:
    """Insert what an evaluation did to the map."""
    rows = [
        {
            "run_id": run_id,
            "evaluation_id": evaluation_id,
            "program_id": entered.program_id,
            "replaced_id": replaced,
            "archive": entered.archive,
            "island": entered.island,
            "cell": entered.cell,
            "status": LEFT if further else entered.status,
            "fitness": _finite("fitness", entered.fitness),
            "measures": _floats(entered.measures),
            "metrics": _floats(entered.metrics),
            "samples": entered.samples,
        }
        for entered in archive
        for further, replaced in enumerate(entered.replaced or (None,))
    ]
    if rows:
        connection.execute(into(archive_events), rows)


def read_case(row: Numbers, texts: Mapping[str, Any]) -> CaseResult:
    """Read a case result from its numbers and its texts."""
    message = texts.get("message", "")
    return CaseResult(
        row.name, Outcome(row.outcome), read_score(row, texts), read_usage(row), message
    )


def numbers(result: Evaluation | CaseResult) -> dict[str, object]:
    """Return the columns that evaluations and case results share."""
    score = result.score
    return {
        "outcome": result.outcome.value,
        "objective": None if score is None else _finite("objective", score.objective),
        "measures": {} if score is None else _floats(score.measures),
        "metrics": {} if score is None else _floats(score.metrics),
        "wall_ns": result.usage.wall_ns,
        "cpu_ns": result.usage.cpu_ns,
        "peak_memory_bytes": result.usage.peak_memory_bytes,
    }


def texts_of(evaluation: Evaluation) -> dict[str, object]:
    """Gather the texts of an evaluation and of its cases, each cut to the limit, none empty.

    Images are among them, in base64.
    """
    cases = {
        str(position): texts
        for position, case in enumerate(evaluation.cases)
        if (texts := _result_texts(case))
    }
    streams = {"stdout": clip(evaluation.stdout), "stderr": clip(evaluation.stderr)}
    gathered = {**_result_texts(evaluation), **streams, "cases": cases}
    return {name: value for name, value in gathered.items() if value}


def _result_texts(result: Evaluation | CaseResult) -> dict[str, object]:
    score = result.score or Score(0.0)
    texts: dict[str, object] = {
        "message": clip(result.message),
        "feedback": clip(score.feedback),
        "artifacts": {name: clip(text) for name, text in score.artifacts.items()},
    }
    if isinstance(result, Evaluation):  # a program's images hold those of its cases
        texts["images"] = {name: b64encode(image).decode() for name, image in score.images.items()}
    return {name: value for name, value in texts.items() if value}


def read_score(row: Numbers, texts: Mapping[str, Any]) -> Score | None:
    """Read a score from its numbers and its texts; None where there is none."""
    if row.objective is None:
        return None
    return Score(
        objective=row.objective,
        measures=row.measures,
        metrics=row.metrics,
        feedback=texts.get("feedback", ""),
        artifacts=texts.get("artifacts", {}),
        images={name: b64decode(image) for name, image in texts.get("images", {}).items()},
    )


def read_usage(row: Numbers) -> Usage:
    """Read what resources were used."""
    return Usage(row.wall_ns, row.cpu_ns, row.peak_memory_bytes)


def _finite(name: str, number: float) -> float:
    """Return ``number`` as a plain float; neither SQL nor JSON knows NaN or infinity."""
    value = float(number)
    if not math.isfinite(value):
        raise ValueError(f"{name} is {value}, must be finite")
    return value


def _floats(numbers: Mapping[str, float]) -> dict[str, float]:
    return {name: _finite(name, number) for name, number in numbers.items()}
