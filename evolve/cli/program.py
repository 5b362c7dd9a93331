"""`evolve program`: everything about one program."""

from __future__ import annotations

import json as json_module
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from evolve.cli import render

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rich.console import Console

    from evolve.core.evaluation import Evaluation
    from evolve.store.reader import Reader
    from evolve.store.records import ProgramRecord


def program(  # noqa: PLR0913, PLR0917 - one parameter per option
    ref: str = typer.Argument(..., metavar="ID", help="Its id, or the beginning of its hash."),
    source: bool = typer.Option(False, "--source", help="Only the source, as it is."),
    diff: bool = typer.Option(False, "--diff", help="Only the difference to its parent."),
    prompt: bool = typer.Option(False, "--prompt", help="Only the prompts it came from."),
    reply: bool = typer.Option(False, "--reply", help="Only the model's replies."),
    images: Path | None = typer.Option(
        None, "--images", metavar="FOLDER", help="Write the images that the evaluator drew there."
    ),
    db: str = render.DATABASE,
    json: bool = render.JSON,
) -> None:
    """Show a program: source, difference to its parent, prompt, reply, feedback, lineage.

    JSON: {entry, files, diff, evaluations, completions, inspirations, instruction,
    same_behaviour, lineage}.
    """
    from evolve.store.reader import open_reader

    with open_reader(db) as reader:
        record = reader.program(ref)
        if images is not None:
            for path in _write_images(images, record):
                render.echo(str(path))
            return
        changes = _diff(reader, record)
        if json:
            render.echo_json(
                {
                    "entry": asdict(record.entry),
                    "files": dict(record.program.files),
                    "diff": changes,
                    "evaluations": [_evaluation(each) for each in record.evaluations],
                    "completions": [asdict(call) for call in record.completions],
                    "inspirations": list(record.inspirations),
                    "instruction": reader.instructions.shown(record.entry.id),
                    "same_behaviour": _same_behaviour(reader, record),
                    "lineage": [asdict(entry) for entry in reader.lineage(record.entry.id)],
                }
            )
            return
        out = render.console()
        parts = {"source": source, "diff": diff, "prompt": prompt, "reply": reply}
        if any(parts.values()):
            for text in _chosen(record, changes, parts):
                render.echo(text)
            return
        _print(out, reader, record, changes)


def _write_images(folder: Path, record: ProgramRecord) -> list[Path]:
    """Write the images of a program's evaluations; names are made of letters, digits and dashes."""
    from evolve.core.errors import PrerequisiteError

    written: list[Path] = []
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for evaluation in record.evaluations:
            images = {} if evaluation.score is None else evaluation.score.images
            for number, (name, png) in enumerate(images.items(), start=1):
                safe = "".join(sign if sign.isalnum() else "-" for sign in name)[:60]
                path = folder / f"{record.entry.id}-{evaluation.stage}-{number}-{safe}.png"
                path.write_bytes(png)
                written.append(path)
    except OSError as error:
        raise PrerequisiteError(f"cannot write {folder}: {error.strerror}") from error
    return written


def _chosen(record: ProgramRecord, changes: str, parts: dict[str, bool]) -> list[str]:
    texts: list[str] = []
    if parts["source"]:
        texts += record.program.files.values()
    if parts["diff"]:
        texts.append(changes or "no parent")
    for call in record.completions:
        texts += [_messages(call.prompt)] if parts["prompt"] else []
        texts += [call.text] if parts["reply"] else []
    return texts or ["no model was asked for this program"]


def _print(out: Console, reader: Reader, record: ProgramRecord, changes: str) -> None:
    from rich.text import Text

    entry = record.entry
    where = "" if entry.iteration is None else f", iteration {entry.iteration}"
    out.print(
        f"program {entry.id} ({entry.hash[:12]}) of run {entry.run_id}: {entry.operator}{where}, "
        f"generation {entry.generation}, parents {list(entry.parents) or 'none'}",
        markup=False,
    )
    if entry.summary:
        out.print(Text(entry.summary))
    if number := reader.instructions.shown(entry.id):
        text = reader.instructions.texts(entry.run_id).get(number, "")
        out.print(Text(f"instruction {number}: {text}"))
    for evaluation in record.evaluations:
        _print_evaluation(out, evaluation)
    if (known := reader.estimates(entry.run_id).get(entry.id)) is not None:
        out.print(f"search, all samples: {render.estimate(known)}", markup=False)
    if alike := _same_behaviour(reader, record):
        named = ", ".join(map(str, alike[:10])) + (", ..." if len(alike) > 10 else "")
        out.print(f"the same outputs as {len(alike)} other programs: {named}", markup=False)
    for path, text in record.program.files.items():
        out.rule(path)
        _print_code(out, text, path)
    if changes:
        out.rule(f"difference to program {entry.parents[0]}")
        _print_code(out, changes, "changes.diff")
    for call in record.completions:
        cost = "price unknown" if call.cost_usd is None else f"${call.cost_usd:.4f}"
        out.rule(f"prompt to {call.model}")
        out.print(Text(_messages(call.prompt)))
        out.rule(f"reply: {call.state}, {call.tokens.output} tokens, {cost}")
        out.print(Text(call.text or call.error))
        if call.text and call.error:
            out.print(Text(f"note: {call.error}"))
    columns = (">program", ">generation", "operator", ">objective", "summary")
    rows = [
        (e.id, e.generation, e.operator, e.objective, e.summary) for e in reader.lineage(entry.id)
    ]
    out.print(render.table("lineage, newest first", columns, rows))


def _same_behaviour(reader: Reader, record: ProgramRecord) -> list[int]:
    """Return the other programs of the run that return the same for every search case."""
    searched = [e for e in record.evaluations if e.stage == "search" and e.signature]
    if not searched:
        return []
    alike = reader.behaving_like(record.entry.run_id, searched[-1].signature)
    return [number for number in alike if number != record.entry.id]


def _print_code(out: Console, text: str, path: str) -> None:
    """Print a source, highlighted where a person looks and as it is elsewhere."""
    from rich.syntax import Syntax

    if out.is_terminal:
        lexer = Syntax.guess_lexer(path, text)
        out.print(Syntax(text, lexer, background_color="default", word_wrap=True))
    else:
        out.print(text, markup=False, end="" if text.endswith("\n") else "\n")


def _print_evaluation(out: Console, evaluation: Evaluation) -> None:
    from rich.text import Text

    usage = evaluation.usage
    out.print(
        f"{evaluation.stage}: {evaluation.outcome}, wall {usage.wall_ns / 1e9:.3f} s, "
        f"CPU {usage.cpu_ns / 1e9:.3f} s, memory {usage.peak_memory_bytes / 2**20:.0f} MiB",
        markup=False,
    )
    if evaluation.behaves_like is not None:
        out.print(
            f"  behaves like program {evaluation.behaves_like} on the probes; scores of the other "
            "cases are taken over",
            markup=False,
        )
    if evaluation.start is not None:
        out.print(f"  began with what program {evaluation.start} built", markup=False)
    if evaluation.score is not None:
        numbers = {
            "objective": render.estimate(evaluation.estimate),
            **evaluation.score.measures,
            **evaluation.score.metrics,
        }
        out.print(
            "  " + ", ".join(f"{name} {render.text(value)}" for name, value in numbers.items()),
            markup=False,
        )
    if evaluation.score is not None and evaluation.score.images:
        names = ", ".join(evaluation.score.images)
        out.print(Text(f"  images: {names} (--images FOLDER writes them)"))
    for label, text in (
        ("feedback", evaluation.feedback),
        ("stdout", evaluation.stdout),
        ("stderr", evaluation.stderr),
    ):
        if text.strip():
            out.print(Text(f"  {label}: {text.strip()}"))


def _diff(reader: Reader, record: ProgramRecord) -> str:
    from evolve.core.patch import unified_diff

    if not record.entry.parents:
        return ""
    parent = reader.program(record.entry.parents[0]).program
    return unified_diff(parent, record.program)


def _messages(prompt: str) -> str:
    """Return a stored request as text."""
    messages = json_module.loads(prompt)["messages"]
    return "\n".join(map(_message, messages))


def _message(message: Mapping[str, object]) -> str:
    images = message.get("images")
    note = f"[with images: {json_module.dumps(images)}]\n" if images else ""
    return f"[{message['role']}]\n{message['content']}\n{note}"


def _evaluation(evaluation: Evaluation) -> dict[str, object]:
    return asdict(evaluation)
