"""Pictures of the course of a run: `evolve plot`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import typer

from evolve.cli import render
from evolve.cli.best import writing
from evolve.cli.inspect import ARCHIVE

if TYPE_CHECKING:
    from evolve.store.reader import Reader
    from evolve.store.records import RunRecord
    from evolve.view.pictures import Material

#: Where pictures go unless told otherwise.
FOLDER = Path("plots")


class _Wanted(NamedTuple):
    run: str
    kinds: tuple[str, ...]
    every: bool


def plot(
    words: list[str] = typer.Argument(
        None,
        metavar="[RUN] [KIND]...",
        help="A run (its id, its name, or 'latest', the default) and kinds of pictures, see "
        "--list; no kind: all that there are.",
    ),
    output: Path = typer.Option(
        FOLDER,
        "-o",
        "--output",
        metavar="PATH",
        help="A folder, or for one kind a file that ends in .png, .svg or .pdf.",
    ),
    formats: list[str] = typer.Option(
        ["png"], "--format", metavar="FORMAT", help="png, svg or pdf; repeatable."
    ),
    archive: str | None = ARCHIVE,
    list_: bool = typer.Option(False, "--list", help="List the kinds of pictures and stop."),
    db: str = render.DATABASE,
    json: bool = render.JSON,
) -> None:
    """Draw pictures of a run: scores, gap, spending, growth, operators, failures, times.

    They need matplotlib: pip install 'evolve-engine[plot]'. `evolve heatmap` has more to set for
    pictures of the map. The same run gives the same files.

    `evolve plot` draws all of the latest run into the folder plots; `evolve plot 3 score money`
    two of run 3; `evolve plot score -o score.pdf` one file. A run that is called like a kind is
    named by its id.

    JSON: the numbers behind: {run, course, growth, islands, held_out, operators}; see
    docs/results.md.
    """
    from evolve.store.reader import open_reader
    from evolve.view.pictures import PICTURES, Material

    if list_:
        rows = [(name, picture.shows) for name, picture in PICTURES.items()]
        if json:
            render.echo_json([{"kind": name, "shows": shows} for name, shows in rows])
        else:
            render.console().print(render.table("", ("kind", "what it shows"), rows))
        return
    wanted = _wanted(words or [], list(PICTURES))
    with open_reader(db) as reader:
        material = Material(reader, _run(reader, wanted, list(PICTURES)), archive)
        if json:
            render.echo_json(_numbers(material))
        else:
            _draw(material, wanted, output, formats)


def _wanted(words: list[str], known: list[str]) -> _Wanted:
    """Tell the run from the kinds among what was typed."""
    from evolve.config.nearest import did_you_mean
    from evolve.core.errors import ConfigError

    named = bool(words) and words[0] not in known
    run, kinds = (words[0], words[1:]) if named else ("latest", words)
    for kind in kinds:
        if kind not in known:
            raise ConfigError(f"there is no picture '{kind}'{did_you_mean(kind, known)}")
    return _Wanted(run, tuple(kinds or known), not kinds)


def _run(reader: Reader, wanted: _Wanted, known: list[str]) -> RunRecord:
    """Return the run; a word alone that names none may have been meant for a kind of picture."""
    from evolve.config.nearest import did_you_mean
    from evolve.core.errors import StoreError

    try:
        return reader.search(wanted.run)
    except StoreError as error:
        if not wanted.every or wanted.run.isdecimal() or wanted.run == "latest":
            raise
        near = did_you_mean(wanted.run, known)
        raise StoreError(f"{error}\nThere is no picture '{wanted.run}' either{near}") from None


def _draw(material: Material, wanted: _Wanted, output: Path, formats: list[str]) -> None:
    """Write the pictures; one that was asked for by name must be possible."""
    from evolve.core.errors import StoreError
    from evolve.view.pictures import PICTURES
    from evolve.view.style import save

    places = {kind: _places(kind, wanted, output, formats) for kind in wanted.kinds}
    for kind, paths in places.items():
        drawn = PICTURES[kind].draw(material)
        if isinstance(drawn, str):
            if not wanted.every:
                raise StoreError(f"run {material.run.id} has no picture '{kind}': {drawn}")
            typer.echo(f"left out {kind}: {drawn}", err=True)
            continue
        for path in paths:
            with writing(path):
                save(drawn, path)
            typer.echo(f"wrote {path}", err=True)


def _places(kind: str, wanted: _Wanted, output: Path, formats: list[str]) -> list[Path]:
    """Return the files that a picture goes to."""
    from evolve.core.errors import ConfigError
    from evolve.view.style import FORMATS, check_format

    if len(wanted.kinds) == 1 and output.suffix and not output.is_dir():
        check_format(output)
    if output.suffix.lower() in FORMATS:
        if len(wanted.kinds) > 1:
            raise ConfigError(
                f"{output} is one file for {len(wanted.kinds)} pictures; name a folder"
            )
        return [output]
    paths = [output / f"{kind}.{form.removeprefix('.')}" for form in formats]
    for path in paths:
        check_format(path)
    return paths


def _numbers(material: Material) -> dict[str, object]:
    """Return what the pictures are made of, ready for JSON."""
    from dataclasses import asdict

    course = material.course
    arrays = ("evaluations", "objective", "island", "spent_usd", "elapsed_s", "wall_s")
    return {
        "run": material.run.id,
        "course": {name: getattr(course, name).tolist() for name in arrays}
        | {"ended": list(course.ended), "best": course.best(material.run.objective).tolist()},
        "growth": [asdict(moment) for moment in material.growth],
        "islands": [asdict(island) for island in material.islands],
        "held_out": [asdict(point) for point in material.held_out],
        "operators": [arm.as_dict() for arm in material.arms],
    }
