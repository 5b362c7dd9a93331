"""`evolve replay`: make a run again from what it stored, and say whether the same comes of it."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from evolve.cli import render

if TYPE_CHECKING:
    from evolve.engine.replayed import Replayed

#: Differences and moved scores listed; --json has all.
LISTED = 20


def replay(
    run: str = typer.Argument("latest", help="A run: its id, its name, or 'latest'."),
    re_evaluate: bool = typer.Option(
        False,
        "--re-evaluate",
        help="Also run and score every program anew, and list every score that moved.",
    ),
    folder: Path | None = typer.Option(
        None,
        "--folder",
        help="Where the configuration's relative paths start; default: where they did then.",
    ),
    scratch: Path | None = typer.Option(
        None, "--scratch", help="Keep the run made again in this database; default: discard it."
    ),
    db: str = render.DATABASE,
    json: bool = render.JSON,
) -> None:
    """Make a run again from its stored replies and compare program by program, cell by cell.

    No model is asked, and without --re-evaluate no program is run: replies and evaluations come
    from the database, which is only read. In strict order every choice of parents is made again;
    in arrival order, where timing decided, the recorded parents and order of insertion are
    followed. Exit code 1 when anything differs.

    Example: evolve replay latest --re-evaluate

    JSON: {run_id, order, same, iterations, programs, replies, prompts, other_prompts, given, draws,
    evaluations, evaluated_again, moved, digest, digest_again, differences}.
    """
    from evolve.engine.replay import replay as make_again
    from evolve.store.reader import open_reader
    from evolve.store.store import open_store

    with _place(scratch) as place, open_reader(db) as reader, open_store(str(place)) as store:
        record = reader.search(run)
        report = make_again(reader, record, store, folder=folder, re_evaluate=re_evaluate)
    if json:
        render.echo_json({**asdict(report), "same": report.same})
    else:
        _print(report)
    if not report.same:
        raise typer.Exit(1)


@contextmanager
def _place(scratch: Path | None) -> Iterator[Path]:
    if scratch is not None:
        yield scratch
        return
    with tempfile.TemporaryDirectory(prefix="evolve-replay-") as place:
        yield Path(place) / "replay.db"


def _print(report: Replayed) -> None:
    out = render.console()
    for line in _lines(report):
        out.print(line, markup=False, soft_wrap=True)
    if report.differences:
        columns = (">iteration", "what", "stored", "made again")
        rows = [
            (d.iteration, d.what, d.stored[:60], d.again[:60]) for d in report.differences[:LISTED]
        ]
        out.print(render.table(f"{len(report.differences)} differences", columns, rows))
    render.print_moved(out, report.moved, LISTED)


def _lines(report: Replayed) -> Iterator[str]:
    """Say what was made again, and what was taken as it is stored."""
    yield f"run {report.run_id}, {report.order} order: {report.iterations} iterations made again"
    if report.replies:
        yield (
            f"{report.replies} stored replies used; {report.prompts} prompts as then, "
            f"{report.other_prompts} different"
        )
    if report.order == "strict":
        yield f"{report.draws} choices of operator, parents and inspirations made again"
    else:
        yield "parents, inspirations and the order of insertion taken as recorded"
    if report.given:
        yield f"{report.given} proposals that failed for a model's or a budget's sake as recorded"
    yield f"{report.programs} programs derived again, {report.evaluations} stored scores folded in"
    if report.evaluated_again:
        yield f"{report.evaluated_again} programs evaluated again, {len(report.moved)} scores moved"
    same = "the same" if report.digest == report.digest_again else "NOT the same"
    yield f"archive {report.digest_again[:16]}, stored {report.digest[:16]}: {same}"
