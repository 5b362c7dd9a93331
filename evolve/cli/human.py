"""People in the loop: `hint` and `submit`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import typer

from evolve.cli import render
from evolve.cli.inspect import RUN

if TYPE_CHECKING:
    from evolve.engine.events import Event
    from evolve.store.records import RunRecord
    from evolve.store.store import Store


def hint(
    run: str = RUN,
    text: str = typer.Argument("", help="What later prompts shall say; none lists the hints."),
    remove: int | None = typer.Option(None, "--remove", metavar="ID", help="Tell it no more."),
    db: str = render.DATABASE,
    json: bool = render.JSON,
) -> None:
    """Add guidance to the prompts of a run, live or not; list it, or take it back.

    A live run tells it from its next proposal on; one that is resumed goes on telling it.

    JSON: a list of {id, text, created_at, withdrawn, first, last}; iterations from `first` on,
    before `last`, were told it.

    Example: evolve hint latest "Try a hexagonal arrangement near the corners."
    """
    from evolve.store.reader import open_reader
    from evolve.store.store import open_store

    if text or remove is not None:
        with open_store(db, create=False) as store:
            record = store.search(run)
            if remove is not None:
                store.inbox.withdraw(record.id, remove)
            if text:
                store.inbox.post_hint(record.id, text)
    with open_reader(db) as reader:
        record = reader.search(run)
        hints = reader.inbox.posts(record.id, "hint")
    if json:
        keys = ("id", "text", "created_at", "withdrawn", "first", "last")
        render.echo_json([{key: getattr(each, key) for key in keys} for each in hints])
        return
    rows = [
        (each.id, _state(each.first, each.last, withdrawn=each.withdrawn), each.text)
        for each in hints
    ]
    out = render.console()
    out.print(render.table(f"hints of run {record.id}", (">id", "told", "hint"), rows))
    if text and record.status == "finished":
        out.print(f"run {record.id} is finished and is not gone on with: nobody will be told this")


def submit(
    run: str = RUN,
    file: Path = typer.Argument(..., help="The program: a file, or a folder of its files."),
    db: str = render.DATABASE,
) -> None:
    """Put a program of your own through a run's checks, sandbox, evaluator and archive.

    A live run takes it up with its next iteration. Where nobody is writing the run, this command
    evaluates it. It must keep what the seed program has outside of its evolve blocks.

    Example: evolve submit latest better.py
    """
    from evolve.config.program_file import read_program
    from evolve.core.program import Program
    from evolve.engine.submit import check_takes
    from evolve.store.store import open_store

    program = read_program(file)
    with open_store(db, create=False) as store:
        record = store.search(run)
        check_takes(store, record)
        seeds = store.programs(record.id, operator="seed", limit=1)
        names = list(store.program(seeds[0].id).program.files) if seeds else []
        if len(names) == len(program.files) == 1:  # whatever the file is called here
            program = Program({names[0]: next(iter(program.files.values()))})
        post = store.inbox.post_program(record.id, program, file.name)
        if store.run(record.id).live:
            typer.echo(
                f"run {record.id} is live and takes program {post} up with its next iteration"
            )
        else:
            _evaluate(store, record)


def _evaluate(store: Store, record: RunRecord) -> None:
    """Be the writer of a run for as long as its submitted programs take."""
    from evolve.engine.events import ProgramEvaluated, ProposalRejected
    from evolve.engine.submit import evaluate_submitted

    def tell(event: Event) -> None:
        if isinstance(event, ProposalRejected):
            typer.echo(f"refused ({event.reason}): {event.message}")
        elif isinstance(event, ProgramEvaluated):
            score = event.evaluation.score
            ended = event.evaluation.outcome if score is None else render.text(score.objective)
            place = event.status.name.lower() if event.status is not None else "no score"
            typer.echo(f"program {event.program_id}: {ended} ({place})")

    evaluate_submitted(store, record, (tell,))


def _state(first: int | None, last: int | None, *, withdrawn: bool) -> str:
    """Say which iterations a hint is told."""
    if first is None:
        return "never" if withdrawn else "waits"
    if last is not None:
        return f"{first} to {last - 1}"
    return f"from {first}" + (", taken back" if withdrawn else "")
