"""Writing pictures of a run to files."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import typer

from evolve.cli.best import writing

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from evolve.archive.base import Archive
    from evolve.store.reader import Reader
    from evolve.store.records import RunRecord

PNG = typer.Option(None, "--png", metavar="FILE", help="Write a PNG picture.")
SVG = typer.Option(None, "--svg", metavar="FILE", help="Write an SVG picture.")
PDF = typer.Option(None, "--pdf", metavar="FILE", help="Write a PDF picture.")
GIF = typer.Option(
    None, "--gif", metavar="FILE", help="Write an animation of the map as it filled."
)
FRAMES = typer.Option(
    None, "--frames", metavar="DIR", help="Write the pictures of that animation as PNG files."
)


class MapFiles(NamedTuple):
    """Where pictures of a map go; ``frames`` is a folder."""

    png: Path | None
    svg: Path | None
    pdf: Path | None
    gif: Path | None
    frames: Path | None


class MapView(NamedTuple):
    """Which map of a run, and its axes; see `evolve.view.report.archive_of`."""

    axes: tuple[str, str] | None
    at: int | None
    island: int | None
    archive: str | None

    def of(self, reader: Reader, run: RunRecord) -> Archive:
        """Return that map."""
        from evolve.view.report import archive_of

        return archive_of(reader, run, self.at, self.island, self.archive)


def write_map(files: MapFiles, reader: Reader, run: RunRecord, view: MapView) -> None:
    """Draw a map into every file that is asked for, and say which were written."""
    from evolve.view.frames import save_animation, save_frames
    from evolve.view.pictures import run_title
    from evolve.view.plots import save_heatmap

    title = run_title(run, view.island)
    still = title if view.at is None else f"{title}, {moment(reader, run, view.at)}"
    for path in filter(None, files[:3]):
        record = run.record.value if run.record else None
        with writing(path):
            save_heatmap(
                view.of(reader, run),
                run.objective,
                path,
                axes=view.axes,
                title=still,
                record=record,
            )
        _wrote(path)
    if files.gif is not None:
        with writing(files.gif):
            save_animation(_filling(reader, run, view, title), files.gif)
        _wrote(files.gif)
    if files.frames is not None:
        with writing(files.frames):
            paths = save_frames(_filling(reader, run, view, title), files.frames)
        typer.echo(f"wrote {len(paths)} pictures to {files.frames}", err=True)


def moment(reader: Reader, run: RunRecord, at: int) -> str:
    """Return after how many evaluations a map is shown, and how many there are."""
    from evolve.view.report import evaluations

    count = evaluations(reader, run)
    return f"after {min(at, count)} of {count} evaluations"


def _filling(
    reader: Reader, run: RunRecord, view: MapView, title: str
) -> Iterator[tuple[int, Figure]]:
    """Yield the pictures of a map as it filled, up to the moment asked for."""
    from evolve.core.errors import StoreError
    from evolve.view.frames import frames, moments
    from evolve.view.projection import project, scale
    from evolve.view.report import evaluations, history

    count = evaluations(reader, run)
    count = count if view.at is None else min(view.at, count)
    if not count:
        raise StoreError(f"run {run.id} has no evaluation yet: there is nothing to animate")
    last = view._replace(at=count).of(reader, run)
    span = scale(project(last, view.axes).elites.values())
    course = history(reader, run, moments(count), view.island, view.archive)
    return frames(course, run.objective, span, axes=view.axes, title=title)


def _wrote(path: Path) -> None:
    typer.echo(f"wrote {path}", err=True)
