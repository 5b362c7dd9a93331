"""Looking at what a database holds: `ls`, `show`. Nothing here writes to it."""

from __future__ import annotations

import json as jsonlib
from dataclasses import asdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import typer

from evolve.cli import render
from evolve.cli.arms import print_instructions, print_operators
from evolve.cli.case_sets import case_sets, print_case_sets
from evolve.cli.held_out import print_held_out
from evolve.cli.plan import actual_of, print_expected
from evolve.cli.spending import GROUPS, print_spending

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import Console

    from evolve.archive.base import Archive
    from evolve.store.reader import Reader
    from evolve.store.records import RunRecord
    from evolve.view.report import ComparedRow

RUN = typer.Argument("latest", help="A run: its id, its name, or 'latest'.")
ARCHIVE = typer.Option(
    None, "--archive", help="Another archive of the run, by number or name: see `evolve remap`."
)


def ls(db: str = render.DATABASE, json: bool = render.JSON) -> None:
    """List the runs of a database, oldest first.

    JSON: a list of {id, name, problem, seed, status, reason, live, created_at, elapsed_s,
    evaluations, objective, direction, best, kind, controllers}.
    """
    from evolve.store.reader import open_reader

    with open_reader(db) as reader:
        runs = reader.runs()
        rows = [_run_row(reader, run) for run in runs]
        states = [_status(reader, run) for run in runs]
    if json:
        render.echo_json(rows)
        return
    columns = (">id", "problem", "name", ">seed", "status", "started", ">ran", ">evals", ">best")
    shown = [
        (
            run.id,
            run.problem,
            run.name,
            run.seed,
            state,
            _when(run.created_at),
            render.duration(run.elapsed_s),
            row["evaluations"],
            row["best"],
        )
        for run, row, state in zip(runs, rows, states, strict=True)
    ]
    render.console().print(render.table("", columns, shown))


def show(
    run: str = RUN,
    db: str = render.DATABASE,
    top: int = typer.Option(5, "--top", min=1, help="How many of the best programs to list."),
    provenance: bool = typer.Option(
        False,
        "--provenance",
        help="Print what the run was made with: versions, image, hashes, resolved configuration.",
    ),
    archive: str | None = ARCHIVE,
    json: bool = render.JSON,
) -> None:
    """Show a run: archive, measures, islands, best, operators, failures, spending, comparison.

    JSON: {run, totals, behaviours, archive, archives, measures, islands, best, operators,
    instructions, failures, spending {model, operator, outcome}, forecast {expected, actual},
    comparison, held_out, case_sets}.
    """
    from evolve.store.reader import open_reader
    from evolve.view.arms import arms, instructions
    from evolve.view.report import archive_of, comparison, islands

    with open_reader(db) as reader:
        record = reader.run(run)
        if provenance:
            _print_provenance(record, json=json)
            return
        shown = archive_of(reader, record, ref=archive)
        if not json:
            _print_run(render.console(), reader, record, shown, top)
            return
        data = {
            "run": _run_row(reader, record) | {"provenance": record.provenance},
            "totals": asdict(reader.totals(record.id)),
            "behaviours": reader.behaviours(record.id)._asdict(),
            "archive": _archive(reader, record, shown),
            "archives": [
                {"number": each.number, "name": each.name, **each.spec.as_dict()}
                for each in reader.archives(record.id)
            ],
            "measures": [
                each._asdict() for each in reader.measure_ranges(record.id, shown.measures)
            ],
            "islands": [asdict(row) for row in islands(reader, record)],
            "best": [asdict(entry) for entry in reader.leaderboard(record.id, limit=top)],
            "operators": [arm.as_dict() for arm in arms(reader, record)],
            "instructions": [each.as_dict() for each in instructions(reader, record)],
            "failures": [asdict(kind) for kind in reader.failures(record.id)],
            "spending": {
                by: [asdict(group) for group in reader.spending(record.id, by)] for by in GROUPS
            },
            "forecast": {
                "expected": record.provenance.get("forecast"),
                "actual": actual_of(reader, record),
            },
            "comparison": [asdict(row) for row in comparison(reader, record)],
            "held_out": [asdict(point) for point in reader.held_out(record.id)],
            "case_sets": [each._asdict() for each in case_sets(reader, record)],
        }
        render.echo_json(data)


def _status(reader: Reader, run: RunRecord) -> str:
    """Say how a run stands, and how many controllers work on it if there are several."""
    if run.status != "running":
        return run.status
    working = sum(each.live for each in reader.controllers(run.id))
    if working > 1:
        return f"running, {working} controllers"
    return "running" if run.live or working else "killed"


def _run_row(reader: Reader, run: RunRecord) -> dict[str, object]:
    found = reader.best(run.id)
    totals = reader.totals(run.id)
    return {
        "id": run.id,
        "name": run.name,
        "problem": run.problem,
        "seed": run.seed,
        "status": run.status,
        "reason": run.reason,
        "live": run.live,
        "controllers": [asdict(each) for each in reader.controllers(run.id)],
        "created_at": run.created_at,
        "elapsed_s": run.elapsed_s,
        "evaluations": sum(totals.evaluations.values()),
        "objective": run.objective.name,
        "direction": run.objective.direction,
        "best": None if found is None else found.objective,
        "kind": run.kind,
    }


def _state(run: RunRecord) -> str:
    """Return the state of a run in a word, or two where it is no search."""
    state = "killed" if run.status == "running" and not run.live else run.status
    return state if run.kind == "search" else f"{run.kind}, {state}"


def _behaviours(reader: Reader, run: RunRecord) -> list[str]:
    """Say how many programs do the same as others, and how many evaluations were taken over."""
    found = reader.behaviours(run.id)
    lines = [f"{found.distinct} behaviours of {found.scored} programs with a score"]
    if found.copied:
        lines.append(f"{found.copied} evaluations taken over from this database")
    if found.probed:
        lines.append(
            f"{found.probed} evaluations ended after the probes: they behave like a known program"
        )
    if found.ended_early:
        lines.append(
            f"{found.ended_early} evaluations ended early, below a threshold: "
            f"{found.cases_saved} cases not run"
        )
    return lines if found.scored else lines[1:]


def _print_provenance(run: RunRecord, *, json: bool) -> None:
    """Print all that a run was made with."""
    from evolve.config.file import dump_yaml
    from evolve.config.models import RunConfig

    made_with = {
        "run": run.id,
        "problem": run.problem,
        "evaluator_ref": run.evaluator_ref,
        "evaluator_version": run.problem_hash,
        "config_hash": run.config_hash,
        **{key: value for key, value in run.provenance.items() if key != "forecast"},
    }
    config = RunConfig.model_validate_json(run.config_json)
    if json:
        render.echo_json(made_with | {"config": config.model_dump(mode="json")})
        return
    for name, value in made_with.items():
        typer.echo(f"{name}: {value}")
    typer.echo(f"\n# resolved configuration\n{dump_yaml(config)}", nl=False)


def _archive(reader: Reader, run: RunRecord, archive: Archive) -> dict[str, object]:
    """Return the state of the map, and a digest that is the same for the same map."""
    from evolve.view.heatmap import heatmap_data

    stats = heatmap_data(archive, run.objective)["stats"]
    assert isinstance(stats, dict)
    return stats | {"digest": reader.archive_digest(run.id)}


def _print_run(out: Console, reader: Reader, run: RunRecord, archive: Archive, top: int) -> None:
    from evolve.view.heatmap import describe

    state = f"{run.status}{', live' if run.live else ''}{f' ({run.reason})' if run.reason else ''}"
    totals, stats = reader.totals(run.id), archive.stats()
    what = "run" if run.kind == "search" else run.kind
    lines = [
        f"{what} {run.id} ({run.name}): {run.problem}, seed {run.seed}, {state}",
        f"started {_when(run.created_at)}, ran {render.duration(totals.elapsed_s)}",
    ]
    if run.kind == "search":
        lines += [
            *_search(run),
            f"{sum(totals.evaluations.values())} evaluations of {totals.proposals} proposals "
            f"({totals.duplicates} duplicates)",
            *_behaviours(reader, run),
            f"archive: {describe(archive)}, QD score {render.text(stats.qd_score)}, "
            f"digest {reader.archive_digest(run.id)[:16]}",
        ]
    for line in lines:
        out.print(line, markup=False, soft_wrap=True)
    if run.kind != "search":  # nothing is evaluated in it
        print_spending(out, reader, run)
        return
    print_controllers(out, reader, run)
    _print_measures(out, reader, run, archive)
    print_islands(out, reader, run)
    columns = (">program", f">{run.objective.name}", "operator", ">generation", "summary")
    found = reader.leaderboard(run.id, limit=top)
    rows = [(e.id, render.estimate(e.estimate), e.operator, e.generation, e.summary) for e in found]
    out.print(render.table("best programs", columns, rows))
    print_held_out(out, reader, run)
    print_case_sets(out, reader, run)
    print_comparison(out, reader, run)
    print_operators(out, reader, run)
    print_instructions(out, reader, run)
    failures = reader.failures(run.id)
    if failures:
        kinds = ("what", "kind", ">count", "for example")
        shown = [(f.what, f.kind, f.count, _telling(f.example)) for f in failures]
        out.print(render.table("failures", kinds, shown))
    print_spending(out, reader, run)
    print_expected(out, reader, run)


def _search(run: RunRecord) -> list[str]:
    """Say how the run searches; nothing for a run of an engine that had no islands."""
    from evolve.cli.display import search_line

    config = jsonlib.loads(run.config_json)
    selection, islands = config.get("selection"), config.get("islands")
    if not isinstance(selection, dict) or not isinstance(islands, dict):
        return []
    line = search_line(config.get("preset", ""), selection["kind"], islands["count"])
    return [f"search: {line}"]


def print_controllers(out: Console, reader: Reader, run: RunRecord) -> None:
    """Print the controllers that share a run or shared it; nothing for a run of one."""
    found = reader.controllers(run.id)
    if not found:
        return
    columns = (">id", "controller", "status", "from", "last seen", ">evals")
    shown = [
        (
            each.id,
            each.holder,
            each.state,
            _when(each.started_at),
            _when(each.seen_at),
            each.evaluations,
        )
        for each in found
    ]
    out.print(render.table("controllers", columns, shown))


def print_islands(out: Console, reader: Reader, run: RunRecord) -> None:
    """Print the islands there are, if there is more than one, and how many were given up."""
    from evolve.view.report import islands

    rows = islands(reader, run)
    if len(rows) < 2:
        return
    columns = (">island", ">evals", ">elites", f">{run.objective.name}", ">program")
    shown = [
        (
            row.island,
            row.evaluations,
            row.elites,
            row.best,
            row.program_id,
        )
        for row in rows
        if not row.retired
    ]
    gone = len(rows) - len(shown)
    title = f"islands ({gone} were given up in resets)" if gone else "islands"
    out.print(render.table(title, columns, shown))


def _print_measures(out: Console, reader: Reader, run: RunRecord, archive: Archive) -> None:
    """Print what programs measured beside the bounds, those beyond them counted."""
    ranges = reader.measure_ranges(run.id, archive.measures)
    rows = [
        (axis.name, axis.scale, axis.low, axis.high, seen.least, seen.most, seen.below, seen.above)
        for axis, seen in zip(archive.measures, ranges, strict=True)
    ]
    columns = ("measure", "scale", ">low", ">high", ">least seen", ">most seen")
    out.print(render.table("", (*columns, ">below low", ">above high"), rows))
    others = [each for each in reader.archives(run.id) if each.number != run.archive]
    for each in others:
        kind = f"{each.spec.kind} over {', '.join(m.name for m in each.spec.measures)}"
        name = f" ({each.name})" if each.name else ""
        out.print(f"archive {each.number}{name}: {kind}", markup=False, soft_wrap=True)


def print_comparison(out: Console, reader: Reader, run: RunRecord) -> None:
    """Print the best program beside seed, baselines, on cases never searched, and the record."""
    from evolve.view.report import comparison, reported_entry

    rows = comparison(reader, run)
    if rows:
        _print_rows(out, run, rows)
    best = reported_entry(reader, run) if run.record else None
    if run.record and best and best.objective is not None:
        compared = run.record.against(best.objective, run.objective)
        out.print(f"best found: {compared} ({run.record.source})", markup=False, soft_wrap=True)


def _print_rows(out: Console, run: RunRecord, rows: Sequence[ComparedRow]) -> None:
    title = f"{run.objective.name} ({run.objective.direction})"
    columns = (title, *(f">{row.name}" for row in rows))
    lines: list[tuple[object, ...]] = [
        ("search cases", *(render.estimate(row.known[0]) for row in rows)),
        ("held-out cases", *(render.estimate(row.known[1]) for row in rows)),
    ]
    lines += (
        (f"  {metric}", *(row.metrics.get(metric) for row in rows))
        for metric in dict.fromkeys(name for row in rows for name in row.metrics)
    )
    out.print(render.table("", columns, lines))


def _telling(message: str) -> str:
    """Return the line that says most: the last one of a traceback, else the first."""
    lines = message.strip().splitlines() or [""]
    return lines[-1 if "Traceback" in lines[0] else 0][:80]


def _when(moment: float) -> str:
    return datetime.fromtimestamp(moment, UTC).astimezone().strftime("%m-%d %H:%M")
