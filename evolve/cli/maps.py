"""A run's programs on maps: `heatmap` on its own or a saved one, `remap` on another."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, get_args

import typer

from evolve.cli import render
from evolve.cli.inspect import ARCHIVE, RUN
from evolve.cli.pictures import FRAMES, GIF, PDF, PNG, SVG, MapFiles, MapView, moment, write_map

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

    from evolve.archive.base import Archive
    from evolve.config.archive import ArchiveConfig
    from evolve.engine.remap import Axis, Remapped
    from evolve.store.reader import Reader
    from evolve.store.records import RunRecord


def heatmap(  # noqa: PLR0913, PLR0917 - one parameter per option
    run: str = RUN,
    measures: tuple[str, str] = typer.Option(
        ("", ""),
        "--measures",
        metavar="X Y",
        help="The two axes; default: the first two. Each cell shows the best over the others.",
    ),
    at: int | None = typer.Option(
        None, "--at", min=0, metavar="N", help="The map as it was after N evaluations."
    ),
    island: int | None = typer.Option(
        None, "--island", min=0, help="The map of one island, see `evolve show`; default: all."
    ),
    archive: str | None = ARCHIVE,
    png: Path | None = PNG,
    svg: Path | None = SVG,
    pdf: Path | None = PDF,
    gif: Path | None = GIF,
    frames: Path | None = FRAMES,
    watch: bool = typer.Option(
        False, "--watch", help="Draw it anew as it changes, until the run ends or Ctrl-C."
    ),
    db: str = render.DATABASE,
    json: bool = render.JSON,
) -> None:
    """Draw a run's archive: every cell holds the best program of its kind.

    On a terminal, or as files, which need matplotlib. `evolve plot` draws the course of a run.

    JSON: {objective, axes, hidden, kind, cells, best, stats}; see docs/results.md.
    """
    from evolve.cli.watch import follow
    from evolve.store.reader import open_reader
    from evolve.view.heatmap import heatmap_data

    files = MapFiles(png, svg, pdf, gif, frames)
    if watch and (json or at is not None or any(files)):
        raise typer.BadParameter(
            "it shows the map on a terminal, as it is now; leave out --json, --at and files",
            param_hint="--watch",
        )
    out = render.console()
    view = MapView(measures if all(measures) else None, at, island, archive)
    with open_reader(db) as reader:
        record = reader.search(run)
        if watch:
            follow(out, reader, record.id, lambda now: _drawn(out, reader, now, view))
        elif any(files):
            write_map(files, reader, record, view)
        elif not json:
            out.print(_drawn(out, reader, record, view))
            if at is not None:
                out.print(f"as it was {moment(reader, record, at)}", highlight=False)
        if json:
            render.echo_json(heatmap_data(view.of(reader, record), record.objective, view.axes))


def _drawn(out: Console, reader: Reader, record: RunRecord, view: MapView) -> Text:
    from evolve.view.heatmap import heatmap

    width, color = render.map_width(out), render.colored(out)
    shown = view.of(reader, record)
    return heatmap(shown, record.objective, axes=view.axes, width=width, color=color)


def remap(  # noqa: PLR0913, PLR0917 - one parameter per option
    run: str = RUN,
    measures: list[str] = typer.Option(
        [],
        "--measure",
        metavar="NAME[:LOW:HIGH[:CELLS[:SCALE]]]",
        help="An axis; repeatable. Without bounds those seen; SCALE is linear, log, sqrt or "
        "quantile. Default: the measures of the run.",
    ),
    kind: str = typer.Option("", "--kind", help="grid, cvt or novelty; default grid."),
    settings: list[str] = typer.Option(
        [],
        "--set",
        metavar="KEY=VALUE",
        help="Another key of the archive section, such as cells=200 or depth=3; repeatable.",
    ),
    config: str = typer.Option(
        "", "--config", metavar="FILE", help="Take the archive section of this configuration."
    ),
    save: str = typer.Option(
        "", "--save", metavar="NAME", help="Store it with the run, for --archive NAME."
    ),
    db: str = render.DATABASE,
    json: bool = render.JSON,
) -> None:
    """Show a run's programs on another map, made from stored evaluations; nothing is evaluated.

    Axes may be measures, metrics the evaluator returned, and built-in code measures. The search of
    the run keeps its own archive; a saved one is for looking at.

    JSON: {archive, remapped, left_out, number}; archive and remapped as of `evolve heatmap`.
    """
    from evolve.engine.remap import remap as make
    from evolve.store.reader import open_reader
    from evolve.store.store import open_store
    from evolve.view.heatmap import heatmap_data
    from evolve.view.report import archive_of

    section = _section(config, settings, kind)
    axes = [_axis(text) for text in measures]
    with open_reader(db) as reader:
        record = reader.search(run)
        before = archive_of(reader, record)
        made = make(reader, record, section, axes)
    number = None
    if save:
        with open_store(db, create=False) as store:
            number = store.add_archive(record.id, made.spec, made.events, name=save)
    if json:
        maps = {"archive": before, "remapped": made.archive}
        data = {name: heatmap_data(each, record.objective) for name, each in maps.items()}
        render.echo_json({**data, "left_out": made.left_out, "number": number})
        return
    _print(record, before, made)
    if number is not None:
        typer.echo(f"saved as archive {number}: evolve heatmap {record.id} --archive {save}")


def _print(run: RunRecord, before: Archive, made: Remapped) -> None:
    """Print the new map, and how it compares with the run's own."""
    from evolve.view.heatmap import heatmap

    out = render.console()
    color = render.colored(out)
    out.print(heatmap(made.archive, run.objective, width=render.map_width(out), color=color))
    columns = ("", ">elites", ">cells", ">coverage", ">QD score", f">mean {run.objective.name}")
    rows = []
    for name, archive in (("the run's archive", before), ("remapped", made.archive)):
        stats = archive.stats()
        mean = None if stats.mean is None else run.objective.fitness(stats.mean)
        cells = archive.cells
        rows.append((name, stats.num_elites, cells, stats.coverage, stats.qd_score, mean))
    out.print(render.table("", columns, rows))
    if made.left_out:
        typer.echo(f"{made.left_out} programs lack one of the numbers and are left out")


def _section(config: str, settings: list[str], kind: str) -> ArchiveConfig:
    """Return the archive section that the options describe."""
    from pydantic import ValidationError

    from evolve.config.archive import ArchiveConfig
    from evolve.config.explain import explain
    from evolve.config.file import load_run_config
    from evolve.config.overrides import apply_overrides
    from evolve.config.yaml12 import parse
    from evolve.core.errors import ConfigError

    if config:
        overrides = [f"archive.{setting}" for setting in settings]
        overrides += [f"archive.kind={kind}"] if kind else []
        return load_run_config(config, overrides).config.archive
    given = parse("{}", "--set")
    apply_overrides(given, [*settings, *([f"kind={kind}"] if kind else [])])
    try:
        return ArchiveConfig.model_validate(given.data)
    except ValidationError as error:
        found = [finding.message for finding in explain(error, ArchiveConfig)]
        raise ConfigError("\n".join(found)) from None


def _axis(text: str) -> Axis:
    """Read ``NAME[:LOW:HIGH[:CELLS[:SCALE]]]``."""
    from evolve.core.errors import ConfigError
    from evolve.core.measures import Spacing
    from evolve.engine.remap import Axis

    name, *rest = text.split(":")
    low, high, cells, scale = [*rest, "", "", "", ""][:4]
    try:
        bounds = [float(part) if part else None for part in (low, high)]
        count = int(cells or 10)
    except ValueError:
        bounds = []
        count = 0
    if not name or not bounds or len(rest) > 4 or (scale or "linear") not in get_args(Spacing):
        raise ConfigError(
            f"--measure {text}: write NAME, NAME:LOW:HIGH, NAME:LOW:HIGH:CELLS or "
            f"NAME:LOW:HIGH:CELLS:SCALE; leave LOW and HIGH empty for the bounds seen; a scale is "
            f"one of {', '.join(get_args(Spacing))}"
        )
    return Axis(name, bounds[0], bounds[1], count, scale or "linear")
