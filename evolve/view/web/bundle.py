"""A static copy of the pages: files in one folder that open from disk."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from evolve.core.errors import PrerequisiteError
from evolve.store.listing import Wanted
from evolve.store.page_reader import PageReader, open_page_reader
from evolve.store.records import ProgramEntry, RunRecord
from evolve.view.web import programs, runs
from evolve.view.web.folds import Folds
from evolve.view.web.links import FileLinks
from evolve.view.web.site import ASSETS, STATIC, Site, View, draw, environment


def write_bundle(url: str, folder: Path, run_id: int | None, best: int) -> int:
    """Write pages of runs and of their elites, best programs and the best one's ancestors.

    File names are made of numbers and of names that are the page's own.

    Args:
        url: The database.
        folder: Made if need be; it must be empty.
        run_id: Only this run; None for all.
        best: How many of the best programs of each run have a page.

    Returns:
        The number of pages.

    Raises:
        StoreError: the database cannot be read.
        PrerequisiteError: the folder holds something, or cannot be written.
    """
    with closing(open_page_reader(url, patience_s=30.0)) as reader:
        chosen = [run for run in reader.runs() if run_id in (None, run.id)]
        folds = Folds()
        members = {run.id: _members(reader, folds, run, best) for run in chosen}
        links = FileLinks([run.id for run in chosen], set().union(*members.values()))
        site, templates = Site(reader, folds, links), environment()
        try:
            _prepare(folder)
            written = 0
            for name, view in _views(site, chosen, members, best):
                text = draw(templates, view, links)
                (folder / name).write_text(text, encoding="utf-8")
                written += 1
                _write_images(folder, view, links)
        except OSError as error:
            raise PrerequisiteError(
                f"cannot write {folder}: {error.strerror}; name another place"
            ) from error
    return written


def _prepare(folder: Path) -> None:
    """Make the folder, with the pages' own files in it."""
    folder.mkdir(parents=True, exist_ok=True)
    if any(folder.iterdir()):
        raise PrerequisiteError(f"{folder} is not empty; name a new folder, or empty it")
    for name in ASSETS:
        if not name.startswith("vendor/"):  # a copy asks for nothing
            (folder / "static").mkdir(exist_ok=True)
            shutil.copyfile(STATIC / name, folder / "static" / name)


def _write_images(folder: Path, view: View, links: FileLinks) -> None:
    """Write the images of the page of a program beside it."""
    if view.template != "program.html":
        return
    entry, images = view.values["entry"], view.values["images"]
    assert isinstance(entry, ProgramEntry)
    assert isinstance(images, list)
    for place, of_evaluation in enumerate(images):
        for number, png in of_evaluation.items():
            (folder / links.image(entry.id, place, number)).write_bytes(png)


def _members(reader: PageReader, folds: Folds, run: RunRecord, best: int) -> set[int]:
    """Return the programs of a run that get a page."""
    members = {entry.id for entry in reader.leaderboard(run.id, best)}
    members |= {entry.id for entry in reader.planted_entries(run.id)}
    with folds.of(reader, run) as folded:
        members |= {elite.key for elite in folded.archive.elites()}
    if (top := reader.best(run.id)) is not None:
        members |= {entry.id for entry in reader.ancestors(top.id)}
    return members


def _views(
    site: Site, chosen: list[RunRecord], members: dict[int, set[int]], best: int
) -> Iterator[tuple[str, View]]:
    """Yield file names and pages."""
    reader, links = site.reader, site.links
    yield links.runs(), runs.runs_view(site, chosen=chosen)
    if links.compare():
        yield links.compare(), runs.compare_view(site, chosen)
    for run in chosen:
        yield links.run(run.id), runs.run_view(site, run, runs.MapChoice())
        search = programs.Search(Wanted(), "best", size=best)
        for page, view in {
            "programs": programs.programs_view(site, run, search),
            "lineage": programs.lineage_view(site, run, reader.best(run.id)),
            "failures": programs.failures_view(site, run),
            "spending": runs.spending_view(site, run),
            "settings": runs.settings_view(site, run),
        }.items():
            yield links.of_run(run.id, page), view
        for program_id in sorted(members[run.id]):
            if (entry := reader.entry(program_id)) is not None:
                yield links.program(program_id), programs.program_view(site, entry, run)
