"""What `evolve run` shows: a live display on a terminal, plain lines elsewhere, or JSON events."""

from __future__ import annotations

import json as jsonlib
import shlex
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeAlias

from evolve.cli import render
from evolve.engine.events import (
    ArchiveSettled,
    CasesRotated,
    Event,
    FaultOccurred,
    HeldOutScored,
    InstructionWritten,
    Observer,
    Preparing,
    ProgramEvaluated,
    Progress,
    ProposalRejected,
    RunFinished,
    RunStarted,
    Stopping,
    Warned,
    as_dict,
)

if TYPE_CHECKING:
    from rich.console import Console, RenderableType
    from rich.live import Live

    from evolve.archive.base import Archive
    from evolve.engine.run import Result

#: Events that are worth a line.
News: TypeAlias = (
    ProgramEvaluated | InstructionWritten | FaultOccurred | HeldOutScored | Warned | CasesRotated
)
#: Seconds between progress lines where there is no terminal.
PLAIN_INTERVAL = 10.0


@contextmanager
def observer_for(*, json: bool) -> Iterator[Observer]:
    """Yield the observer that fits where the output goes."""
    console = render.console()
    if json:
        yield print_event
    elif console.is_terminal:
        from rich.live import Live

        with Live(console=console, auto_refresh=False, transient=True) as live:
            yield LiveDisplay(console, live)
    else:
        yield PlainDisplay(console)


def print_event(event: Event) -> None:
    """Print one event as a line of JSON: its class name under ``event``, then its fields."""
    render.echo(jsonlib.dumps(as_dict(event), ensure_ascii=False, default=str))


class PlainDisplay:
    """Lines for logs and pipes: the start, every new best, progress now and then, the end."""

    def __init__(self, console: Console) -> None:
        self._console, self._printed = console, time.monotonic()
        self._refused = False

    def __call__(self, event: Event) -> None:
        """Print what is worth a line."""
        match event:
            case Preparing():
                self._print(event.text)
            case RunStarted():
                for line in start_lines(event):
                    self._print(line)
            case ProgramEvaluated(is_best=True) | InstructionWritten() | FaultOccurred():
                self._print(news_line(event))
            case HeldOutScored() | Warned() | CasesRotated():
                self._print(news_line(event))
            case Progress() if time.monotonic() - self._printed >= PLAIN_INTERVAL:
                self._printed = time.monotonic()
                self._print(progress_line(event))
            case Stopping():
                self._print(f"stopping: {event.reason}; finishing what is in flight")
            case ProposalRejected(reason="budget") if not self._refused:
                self._refused = True
                self._print(refusal_line(event))
            case _:
                pass

    def _print(self, line: str) -> None:
        self._console.print(line, markup=False, soft_wrap=True)


class LiveDisplay:
    """The search as it happens: numbers, the map, the last events."""

    def __init__(self, console: Console, live: Live) -> None:
        self._console, self._live = console, live
        self._started: RunStarted | None = None
        self._archive: Archive | None = None
        self._note = ""
        self._refused = False

    def __call__(self, event: Event) -> None:
        """Take in one event; the screen is redrawn on progress."""
        match event:
            case Preparing():
                self._console.print(event.text, markup=False, soft_wrap=True)
            case RunStarted():
                self._started, self._archive = event, event.archive
                for line in start_lines(event):
                    self._console.print(line, markup=False, soft_wrap=True)
            case (
                ProgramEvaluated(is_best=True)
                | InstructionWritten()
                | FaultOccurred()
                | HeldOutScored()
                | Warned()
                | CasesRotated()
            ):
                self._console.print(news_line(event), markup=False, soft_wrap=True)
            case Stopping():
                self._note = f"stopping: {event.reason}; finishing what is in flight"
            case ArchiveSettled():
                self._archive = event.archive
            case Progress():
                self._live.update(self._screen(event), refresh=True)
            case ProposalRejected(reason="budget") if not self._refused:
                self._refused = True
                self._console.print(refusal_line(event), markup=False, soft_wrap=True)
            case ProposalRejected() | ProgramEvaluated() | RunFinished():
                pass

    def _screen(self, progress: Progress) -> RenderableType:
        from rich.console import Group
        from rich.text import Text

        from evolve.view.heatmap import heatmap

        parts: list[RenderableType] = [Text(line) for line in progress_lines(progress)]
        if self._started is not None and self._archive is not None and progress.elites:
            width = render.map_width(self._console)
            color = render.colored(self._console)
            parts.append(
                heatmap(
                    self._archive,
                    self._started.objective,
                    width=width,
                    color=color,
                    lines=6,
                )
            )
        if self._note:
            parts.append(Text(self._note, style="bold"))
        return Group(*parts)


def start_lines(event: RunStarted) -> list[str]:
    """Return the header of a run."""
    verb = "resuming" if event.resumed else "starting"
    return [
        f"{verb} run {event.run_id} ({event.name}): {event.problem}, seed {event.seed}, "
        f"{event.slots} slots, {event.sandbox} sandbox",
        f"  search: {search_line(event.preset, event.selection, event.islands)}",
        *(f"  {guarantee}" for guarantee in event.guarantees),
        *(f"  slot {number}: {place}" for number, place in enumerate(event.places) if place),
        *(f"  note: {note}" for note in event.notes),
        *(
            f"  the price of {model} is unknown: what its calls cost is NOT counted; give it price:"
            for model in event.unpriced
        ),
    ]


def search_line(preset: str, selection: str, islands: int) -> str:
    """Say how a run searches."""
    named = f"preset {preset}, " if preset else ""
    several = f", {islands} islands" if islands > 1 else ""
    return f"{named}{selection} selection{several}"


def news_line(event: News) -> str:
    """Return the line that announces what is new."""
    match event:
        case HeldOutScored():
            held_out, search = render.text(event.held_out), render.text(event.search)
            return f"held-out {held_out}  program {event.program_id}, search {search}"
        case Warned():
            return f"warning: {event.text}"
        case CasesRotated():
            best = render.text(event.best)
            return f"new cases, set {event.epoch}  {event.elites} elites measured, best now {best}"
        case FaultOccurred():
            return f"fault in {event.where}: {event.message}"
        case InstructionWritten():
            return f"new instruction  iteration {event.iteration}: {event.text}"
    known = event.evaluation.estimate
    where = "seed" if event.iteration is None else f"iteration {event.iteration}"
    return (
        f"new best {render.estimate(known)}  {where}, {event.operator}, program {event.program_id}"
    )


def refusal_line(event: ProposalRejected) -> str:
    """Return the line that says which call the budget did not allow."""
    return f"a model was not asked: {event.message}"


def progress_line(progress: Progress) -> str:
    """Return the state of a run in one line."""
    return "; ".join(progress_lines(progress))


def progress_lines(progress: Progress, *, ended: bool = False) -> list[str]:
    """Return the state of a run, most wanted first; time is left unless it has ``ended``."""
    left = "" if ended else f", about {render.duration(progress.eta_s)} left"
    elites = f"{progress.elites} elites"
    if progress.coverage is not None:
        elites = f"coverage {progress.coverage:.1%} ({elites})"
    lines = [
        f"best {render.text(progress.best)}  mean {render.text(progress.mean)}  "
        f"{elites}  "
        + (f"{progress.islands} islands  " if progress.islands > 1 else "")
        + f"QD score {render.text(progress.qd_score)}",
        f"{progress.evaluations} evaluations, {progress.rate:.1f}/s, "
        f"slots {_slots(progress)}, "
        f"{render.duration(progress.elapsed_s)} gone{left}",
        f"failures: {render.counts(progress.failures)}",
    ]
    if progress.calls:
        unpriced = f" + {progress.unpriced_calls} calls of unknown price"
        lines.append(
            f"{progress.calls} model calls, ${progress.cost_usd:.4f}"
            + (unpriced if progress.unpriced_calls else "")
        )
    return lines


def _slots(progress: Progress) -> str:
    """Return how many slots are busy, and have been."""
    now = f"{progress.slots_busy}/{progress.slots} busy"
    if progress.slots_waiting:
        wanted = progress.slots + progress.slots_waiting
        now += f", {progress.slots} of {wanted} there, {progress.slots_waiting} waiting"
    if not progress.utilisation:
        return now
    share = sum(progress.utilisation) / len(progress.utilisation)
    return f"{now} ({share:.0%} of the time)"


def print_result(result: Result, *, db: str, json: bool) -> None:
    """Print what a run came to: the comparison, the map, and where to look further."""
    if json:
        render.echo(jsonlib.dumps(result_dict(result), ensure_ascii=False))
        return
    from evolve.cli.inspect import print_comparison
    from evolve.store.opening import shown
    from evolve.store.reader import open_reader
    from evolve.view.heatmap import heatmap, sides

    out = render.console()
    with open_reader(db) as reader:
        record = reader.run(result.run_id)
        color = render.colored(out)
        width = render.map_width(out)
        out.print(heatmap(result.archive, record.objective, width=width, color=color))
        print_comparison(out, reader, record)
        seen = reader.measure_ranges(record.id, result.archive.measures)
    outside = [
        f"{each.name} {sides(each.below, each.above)}" for each in seen if each.below or each.above
    ]
    beyond = [f"programs beyond the bounds: {', '.join(outside)}"] if outside else []
    ended = result.status if result.reason == result.status else f"finished: {result.reason}"
    for line in (*progress_lines(result.progress, ended=True), *beyond, ended):
        out.print(line, markup=False, soft_wrap=True)
    flag = "" if db == render.DEFAULT_DATABASE else f" --db {shlex.quote(shown(db))}"
    out.print(
        f"look further: evolve show {result.run_id}{flag}; evolve best {result.run_id}{flag}; "
        f"evolve program {result.best.id}{flag}",
        markup=False,
        soft_wrap=True,
    )


def result_dict(result: Result) -> dict[str, object]:
    """Return a run's result for JSON, under ``event: Result``."""
    score = result.best.evaluation.score
    return {
        "event": "Result",
        "run_id": result.run_id,
        "status": result.status,
        "reason": result.reason,
        "best": {
            "program_id": result.best.id,
            "objective": score.objective if score else None,
            "files": dict(result.best.program.files),
        },
        "comparison": [
            {
                "name": row.name,
                "program_id": row.program_id,
                "stages": {
                    stage: {
                        "outcome": evaluation.outcome,
                        "objective": evaluation.score.objective if evaluation.score else None,
                        "metrics": dict(evaluation.score.metrics) if evaluation.score else {},
                    }
                    for stage, evaluation in row.stages.items()
                },
            }
            for row in result.comparison
        ],
    }
