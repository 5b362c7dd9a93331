"""Samples of noisy scores: each is committed as soon as it is measured, and stays as it is."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from itertools import groupby
from types import SimpleNamespace
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Connection, Row, and_, case, func, select

from evolve.core.estimates import Estimate, estimate
from evolve.core.evaluation import Evaluation, Outcome, Sample, Stage
from evolve.store.entries import AT_ONCE
from evolve.store.results import numbers, read_case, read_score, read_usage, texts_of
from evolve.store.rows import get_blob, insert_row, put_blob
from evolve.store.schema import programs, proposals, samples

_PROGRAM = samples.c.program_id


class SampleValue(NamedTuple):
    """The numbers of a sample; see `evolve.core.evaluation.Sample`."""

    objective: float | None
    against: int | None
    reference: float | None


class CaseSet(NamedTuple):
    """What was measured on one set of search cases, where they rotate.

    Attributes:
        epoch: Which set, from 0.
        measurements: How many samples there are.
        again: Those of programs of earlier epochs: what the turn took.
        wall_s: Seconds of the programs' own wall time, all samples together.
    """

    epoch: int
    measurements: int
    again: int
    wall_s: float


def read_case_sets(
    connection: Connection, run_id: int, rotate: int, most: int
) -> tuple[CaseSet, ...]:
    """Return what was measured on each set of search cases of a run.

    Args:
        connection: A transaction.
        run_id: The run.
        rotate: Iterations of an epoch.
        most: Repeats of an epoch.
    """
    epoch = samples.c.repeat // most
    own = func.coalesce(proposals.c.iteration, 0) // rotate
    query = (
        select(
            epoch,
            func.count(),
            func.sum(case((epoch != own, 1), else_=0)),
            func.sum(samples.c.wall_ns),
        )
        .select_from(
            samples.join(programs, programs.c.id == _PROGRAM).outerjoin(
                proposals, proposals.c.id == programs.c.proposal_id
            )
        )
        .where(samples.c.run_id == run_id, samples.c.stage == "search")
        .group_by(epoch)
        .order_by(epoch)
    )
    return tuple(
        CaseSet(int(number), count, int(again), float(wall_ns) / 1e9)
        for number, count, again, wall_ns in connection.execute(query)
    )


def write_sample(
    connection: Connection, program_id: int, sample: Sample, elapsed_s: float, now: float
) -> None:
    """Insert a sample; the first one made with texts and cases, which the evaluation will have.

    Nothing happens to one that is there: another controller measured the same.
    """
    evaluation = sample.evaluation
    run_id = connection.scalars(select(programs.c.run_id).where(programs.c.id == program_id)).one()
    others = _of(program_id, evaluation.stage, evaluation.evaluator)
    this = select(samples.c.id).where(others, samples.c.repeat == sample.repeat)
    if connection.scalar(this) is not None:
        return
    first = connection.scalar(select(samples.c.id).where(others).limit(1)) is None
    details = json.dumps(_details(evaluation)) if first else None
    insert_row(
        connection,
        samples,
        {
            **numbers(evaluation),
            "run_id": run_id,
            "program_id": program_id,
            "stage": evaluation.stage,
            "evaluator": evaluation.evaluator,
            "repeat": sample.repeat,
            "against_id": sample.against,
            "reference": sample.reference,
            "message": evaluation.feedback,
            "environment": evaluation.environment or None,
            "elapsed_s": elapsed_s,
            "created_at": now,
            "details_blob": put_blob(connection, details) if details else None,
        },
    )


def read_sample(
    connection: Connection, program_id: int, stage: Stage, evaluator: str, repeat: int
) -> Sample | None:
    """Return one sample of a program, if it was measured."""
    this = _of(program_id, stage, evaluator) & (samples.c.repeat == repeat)
    row = connection.execute(select(samples).where(this)).one_or_none()
    return None if row is None else _sample(connection, row)


def read_samples(
    connection: Connection, program_id: int, stage: Stage, evaluator: str, first: int = 0
) -> tuple[Sample, ...]:
    """Return samples of a program by repeat, as many as there are from ``first`` without a gap."""
    of_program = _of(program_id, stage, evaluator) & (samples.c.repeat >= first)
    rows = connection.execute(select(samples).where(of_program).order_by(samples.c.repeat))
    found = [_sample(connection, row) for row in rows]
    return tuple(each for place, each in enumerate(found, start=first) if each.repeat == place)


def read_values(
    connection: Connection, program_id: int, stage: Stage, evaluator: str, first: int = 0
) -> tuple[SampleValue, ...]:
    """Return the numbers of `read_samples`."""
    rows = connection.execute(
        select(samples.c.repeat, samples.c.objective, samples.c.against_id, samples.c.reference)
        .where(_of(program_id, stage, evaluator), samples.c.repeat >= first)
        .order_by(samples.c.repeat)
    )
    return tuple(
        SampleValue(*values)
        for place, (repeat, *values) in enumerate(rows, start=first)
        if repeat == place
    )


def read_estimates(
    connection: Connection, run_id: int, stage: Stage, only: Collection[int] | None = None
) -> dict[int, Estimate]:
    """Return what all samples of a run's programs say, by program; failed ones are left out."""
    query = (
        select(samples.c.program_id, samples.c.objective)
        .where(
            samples.c.run_id == run_id,
            samples.c.stage == stage,
            samples.c.objective.is_not(None),
        )
        .order_by(samples.c.program_id)
    )
    ids = sorted(only or ())
    parts = [ids[start : start + AT_ONCE] for start in range(0, len(ids), AT_ONCE)]
    queries = [query] if only is None else [query.where(_PROGRAM.in_(part)) for part in parts]
    rows = [row for each in queries for row in connection.execute(each)]
    return {
        program: estimate([objective for _, objective in group])
        for program, group in groupby(rows, key=lambda row: row[0])
    }


def _of(program_id: int, stage: Stage, evaluator: str) -> ColumnElement[bool]:
    return and_(
        samples.c.program_id == program_id,
        samples.c.stage == stage,
        samples.c.evaluator == evaluator,
    )


def _details(evaluation: Evaluation) -> dict[str, object]:
    return {
        "texts": texts_of(evaluation),
        "signature": evaluation.signature,
        "cases": [{"name": case.case, **numbers(case)} for case in evaluation.cases],
    }


def _sample(connection: Connection, row: Row[Any]) -> Sample:
    details: Mapping[str, Any] = json.loads(get_blob(connection, row.details_blob) or "{}")
    texts = details.get("texts") or {"message": row.message}
    of_cases = texts.get("cases", {})
    evaluation = Evaluation(
        outcome=Outcome(row.outcome),
        score=read_score(row, texts),
        usage=read_usage(row),
        message=texts.get("message", ""),
        cases=tuple(
            read_case(SimpleNamespace(**case), of_cases.get(str(position), {}))
            for position, case in enumerate(details.get("cases", ()))
        ),
        stdout=texts.get("stdout", ""),
        stderr=texts.get("stderr", ""),
        evaluator=row.evaluator,
        stage=row.stage,
        signature=details.get("signature", ""),
        environment=row.environment or "",
    )
    return Sample(row.repeat, evaluation, row.against_id, row.reference)
