"""The tables of a run and what their columns mean: a table is made for one run and its measures."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

from sqlalchemy import Column, ColumnElement, FromClause, Select, select
from sqlalchemy.sql.base import ReadOnlyColumnCollection

from evolve.core.measures import Measure
from evolve.store.entries import with_newest_evaluation
from evolve.store.schema import (
    archive_events,
    archives,
    blobs,
    case_results,
    completions,
    constructions,
    evaluations,
    instructions,
    parents,
    program_files,
    programs,
    proposals,
    runs,
    samples,
)

#: A column: its name, what it is read from, and what its values say.
Field: TypeAlias = tuple[str, ColumnElement[Any], str]
#: A table: its name, what a row is, its columns, and the query for its rows in a fixed order.
Definition: TypeAlias = tuple[str, str, list[Field], Select[Any]]


def _table(
    name: str,
    meaning: str,
    fields: list[Field],
    source: FromClause,
    where: ColumnElement[bool],
    *order: ColumnElement[Any],
) -> Definition:
    query = select(*(element.label(column) for column, element, _ in fields))
    return name, meaning, fields, query.select_from(source).where(where).order_by(*order)


def _runs(run_id: int, _: tuple[Measure, ...]) -> Definition:
    table = runs.c
    return _table(
        "runs",
        "The run itself: one row.",
        [
            ("id", table.id, "the run"),
            ("name", table.name, "its label"),
            ("problem", table.problem, "id of its problem"),
            ("seed", table.seed, "origin of every random choice"),
            ("kind", table.kind, "search or probe"),
            ("status", table.status, "new, running, finished, interrupted or failed"),
            ("reason", table.reason, "why it ended"),
            ("created_at", table.created_at, "Unix seconds"),
            ("ended_at", table.ended_at, "Unix seconds"),
            ("elapsed_s", table.elapsed_s, "seconds of running, all sessions"),
            ("objective", table.objective, "name of the objective"),
            ("direction", table.direction, "maximize or minimize"),
            ("objective_offset", table.objective_offset, "zero of the QD score"),
            ("objective_unit", table.objective_unit, "unit of the objective"),
            ("record", table.record, "best value known elsewhere, and its source"),
            ("measures", table.measures, "the axes of the map"),
            ("evaluator", table.evaluator, "reference of the evaluator"),
            ("evaluator_version", table.problem_hash, "hash of all that can change a score"),
            ("config", table.config, "the resolved configuration as JSON"),
            ("config_hash", table.config_hash, "hash of what steers the search"),
            ("provenance", table.provenance, "versions, image, hardware, prices"),
        ],
        runs,
        table.id == run_id,
        table.id,
    )


def _programs(run_id: int, measures: tuple[Measure, ...]) -> Definition:
    table, first = programs.c, parents.alias("first")
    source = (
        with_newest_evaluation(isouter=True)
        .outerjoin(proposals, proposals.c.id == table.proposal_id)
        .outerjoin(first, (first.c.program_id == table.id) & (first.c.position == 0))
    )
    axes = [
        (
            f"measure_{axis.name}",
            evaluations.c.measures[axis.name].as_float(),
            f"measure {axis.name}, bounds {axis.low:g} to {axis.high:g}, not clipped",
        )
        for axis in measures
    ]
    return _table(
        "programs",
        "Every program, with its newest evaluation on the search cases.",
        [
            ("id", table.id, "the program"),
            ("hash", table.hash, "SHA-256 of its paths and sources"),
            ("iteration", proposals.c.iteration, "of its proposal; none: seed, baselines"),
            ("operator", table.operator, "what made it"),
            ("model", proposals.c.model, "the model that its operator asks; empty: none"),
            ("generation", table.generation, "1 + the largest of its parents"),
            ("island", table.island, "what it was proposed for"),
            ("parent", first.c.parent_id, "the program that was varied; all: `parents`"),
            ("summary", table.summary, "what the operator says it did"),
            ("created_at", table.created_at, "Unix seconds"),
            ("outcome", evaluations.c.outcome, "ok, or why there is no score; none: not evaluated"),
            ("objective", evaluations.c.objective, "in the problem's own direction"),
            *axes,
            ("message", evaluations.c.message, "beginning of the feedback, or of the error"),
        ],
        source,
        table.run_id == run_id,
        table.id,
    )


def _parents(run_id: int, _: tuple[Measure, ...]) -> Definition:
    table = parents.c
    return _table(
        "parents",
        "Every program and each of its parents.",
        [
            ("program", table.program_id, "the program"),
            ("position", table.position, "0: the one that was varied"),
            ("parent", table.parent_id, "the parent"),
        ],
        parents.join(programs, programs.c.id == table.program_id),
        programs.c.run_id == run_id,
        table.program_id,
        table.position,
    )


def _files(run_id: int, _: tuple[Measure, ...]) -> Definition:
    table = program_files.c
    return _table(
        "files",
        "The sources of every program.",
        [
            ("program", table.program_id, "the program"),
            ("path", table.path, "where the file lies in the program"),
            ("text", blobs.c.data, "what is in it"),
        ],
        program_files.join(programs, programs.c.id == table.program_id).join(
            blobs, blobs.c.id == table.blob
        ),
        programs.c.run_id == run_id,
        table.program_id,
        table.path,
    )


def _usage(table: ReadOnlyColumnCollection[str, Column[Any]]) -> list[Field]:
    return [
        ("wall_ns", table.wall_ns, "wall time, nanoseconds"),
        ("cpu_ns", table.cpu_ns, "CPU time, nanoseconds"),
        ("peak_memory_bytes", table.peak_memory_bytes, "most memory at once"),
    ]


def _scores(table: ReadOnlyColumnCollection[str, Column[Any]]) -> list[Field]:
    return [
        ("outcome", table.outcome, "ok, or why there is no score"),
        ("objective", table.objective, "in the problem's own direction; none: no score"),
        ("measures", table.measures, "by name, not clipped"),
        ("metrics", table.metrics, "further numbers of the evaluator, by name"),
        ("message", table.message, "beginning of the feedback, or of the error"),
    ]


def _evaluations(run_id: int, _: tuple[Measure, ...]) -> Definition:
    table, texts, built = evaluations.c, blobs.alias("texts"), blobs.alias("built")
    return _table(
        "evaluations",
        "Every evaluation: a program on the cases of a stage by one evaluator version.",
        [
            ("id", table.id, "the evaluation"),
            ("program", table.program_id, "the program"),
            ("stage", table.stage, "search, or held_out for cases the search never saw"),
            ("evaluator", table.evaluator, "hash of the evaluator version"),
            *_scores(table),
            *_usage(table),
            ("signature", table.signature, "equal for programs that returned the same"),
            ("environment", table.environment, "hash of sandbox and packages"),
            ("samples", table.samples, "measurements that the objective is the mean of"),
            ("error", table.error, "standard error of the objective over them"),
            ("copied_from", table.copied_from, "the evaluation it was taken over from"),
            ("probe", table.probe, "hash of the outputs on the probe cases"),
            ("behaves_like", table.behaves_like, "the program that the probes found it to equal"),
            ("start", table.start, "mode search: the program whose construction it was given"),
            ("elapsed_s", table.elapsed_s, "running seconds of the run when it was committed"),
            ("created_at", table.created_at, "Unix seconds when it was committed"),
            ("texts", texts.c.data, "JSON: feedback, artifacts, output, messages in full, by case"),
            ("construction", built.c.data, "mode search: what it built, JSON by case"),
        ],
        evaluations.outerjoin(texts, texts.c.id == table.texts_blob)
        .outerjoin(constructions, constructions.c.evaluation_id == table.id)
        .outerjoin(built, built.c.id == constructions.c.blob),
        table.run_id == run_id,
        table.id,
    )


def _cases(run_id: int, _: tuple[Measure, ...]) -> Definition:
    table = case_results.c
    return _table(
        "cases",
        "Every case of every evaluation.",
        [
            ("evaluation", table.evaluation_id, "the evaluation"),
            ("position", table.position, "ordinal of the case, from 0"),
            ("name", table.name, "the case"),
            *_scores(table),
            *_usage(table),
        ],
        case_results.join(evaluations, evaluations.c.id == table.evaluation_id),
        evaluations.c.run_id == run_id,
        table.evaluation_id,
        table.position,
    )


def _samples(run_id: int, _: tuple[Measure, ...]) -> Definition:
    table = samples.c
    return _table(
        "samples",
        "Every measurement of a program whose scores are noisy.",
        [
            ("id", table.id, "the measurement"),
            ("program", table.program_id, "the program"),
            ("stage", table.stage, "search or held_out"),
            ("evaluator", table.evaluator, "hash of the evaluator version"),
            ("repeat", table.repeat, "from 0; equal ones have equal seeds"),
            ("against", table.against_id, "the program measured beside it"),
            ("reference", table.reference, "the objective of that one"),
            *_scores(table),
            *_usage(table),
            ("environment", table.environment, "hash of sandbox and packages"),
            ("elapsed_s", table.elapsed_s, "running seconds of the run when it was committed"),
            ("created_at", table.created_at, "Unix seconds when it was committed"),
            ("details", blobs.c.data, "JSON, of the first one: texts and cases"),
        ],
        samples.outerjoin(blobs, blobs.c.id == table.details_blob),
        table.run_id == run_id,
        table.id,
    )


def _instructions(run_id: int, _: tuple[Measure, ...]) -> Definition:
    table = instructions.c
    return _table(
        "instructions",
        "Guidance for models that is itself evolved.",
        [
            ("number", table.number, "as in `proposals`"),
            ("proposal", table.proposal_id, "what wrote it; none: the configuration"),
            ("text", table.text, "what models are told"),
            ("created_at", table.created_at, "Unix seconds"),
        ],
        instructions,
        table.run_id == run_id,
        table.number,
    )


def _proposals(run_id: int, _: tuple[Measure, ...]) -> Definition:
    table = proposals.c
    return _table(
        "proposals",
        "Every iteration: what was tried, and what came of it.",
        [
            ("id", table.id, "the proposal"),
            ("iteration", table.iteration, "its ordinal in the run"),
            ("operator", table.operator, "who proposed"),
            ("model", table.model, "the model that the operator asks; empty: none"),
            ("island", table.island, "whose archive the parent is from"),
            ("parents", table.parents, "programs to vary"),
            ("inspirations", table.inspirations, "programs shown beside them"),
            ("instruction", table.instruction, "number of the instruction in its prompt; 0: none"),
            ("start", table.start, "mode search: the program whose construction it is given"),
            ("status", table.status, "open, rejected, duplicate, added, evaluated, wrote, probed"),
            ("reason", table.reason, "why nothing came of it, in a word"),
            ("message", table.message, "why nothing came of it"),
            ("created_at", table.created_at, "Unix seconds"),
            ("ended_at", table.ended_at, "Unix seconds"),
        ],
        proposals,
        table.run_id == run_id,
        table.iteration,
    )


def _calls(run_id: int, _: tuple[Measure, ...]) -> Definition:
    table = completions.c
    prompt, reply = blobs.alias("prompt"), blobs.alias("reply")
    return _table(
        "calls",
        "Every model call.",
        [
            ("id", table.id, "the call"),
            ("proposal", table.proposal_id, "what it was made for"),
            ("model", table.model, "the model asked for"),
            ("server_model", table.server_model, "the name the server gave"),
            ("parameters", table.parameters, "settings sent along, without secrets"),
            ("state", table.state, "sent, received, failed, unknown"),
            ("finish", table.finish, "why the reply ended"),
            ("error", table.error, "why there is no reply, or why tokens are assumed"),
            ("reserved_usd", table.reserved_usd, "US dollars held before it left"),
            ("cost_usd", table.cost_usd, "US dollars; none: not known"),
            ("tokens_input", table.tokens_input, "tokens of the prompt"),
            ("tokens_cached", table.tokens_cached, "those read from the cache"),
            ("tokens_written", table.tokens_written, "those written to the cache"),
            ("tokens_output", table.tokens_output, "tokens of the reply"),
            ("tokens_reasoning", table.tokens_reasoning, "those spent on reasoning"),
            ("tokens_assumed", table.tokens_assumed, "1: the most possible, not counted"),
            ("latency_s", table.latency_s, "seconds to the full reply"),
            ("sent_at", table.sent_at, "Unix seconds"),
            ("ended_at", table.ended_at, "Unix seconds"),
            ("prompt", prompt.c.data, "the request as JSON"),
            ("reply", reply.c.data, "what the model answered"),
        ],
        completions.join(proposals, proposals.c.id == table.proposal_id)
        .join(prompt, prompt.c.id == table.prompt_blob)
        .outerjoin(reply, reply.c.id == table.reply_blob),
        proposals.c.run_id == run_id,
        table.id,
    )


def _archives(run_id: int, _: tuple[Measure, ...]) -> Definition:
    table = archives.c
    return _table(
        "archives",
        "What each archive of the run is made from.",
        [
            ("number", table.number, "0: the one the run began with"),
            ("name", table.name, "its label"),
            ("definition", table.definition, "kind, measures, edges, centroids"),
            ("created_at", table.created_at, "Unix seconds"),
        ],
        archives,
        table.run_id == run_id,
        table.number,
    )


def _archive_events(run_id: int, _: tuple[Measure, ...]) -> Definition:
    table = archive_events.c
    return _table(
        "archive_events",
        "Every change of an archive; folding them in order gives it.",
        [
            ("id", table.id, "the event"),
            ("archive", table.archive, "number of the archive"),
            ("evaluation", table.evaluation_id, "the evaluation that caused it"),
            ("program", table.program_id, "the new elite"),
            ("replaced", table.replaced_id, "the elite that left"),
            ("island", table.island, "whose map"),
            ("cell", table.cell, "flat cell index"),
            (
                "status",
                table.status,
                "new, improve; left: who else left for the entry before; retired: its island ended",
            ),
            ("fitness", table.fitness, "the objective, turned so that larger is better"),
            ("samples", table.samples, "measurements that the fitness is made of"),
            ("measures", table.measures, "by name, not clipped"),
            ("metrics", table.metrics, "further objectives of a Pareto front, by name"),
        ],
        archive_events,
        table.run_id == run_id,
        table.id,
    )


TABLES: tuple[Callable[[int, tuple[Measure, ...]], Definition], ...] = (
    _runs,
    _programs,
    _parents,
    _files,
    _evaluations,
    _cases,
    _samples,
    _proposals,
    _instructions,
    _calls,
    _archives,
    _archive_events,
)
