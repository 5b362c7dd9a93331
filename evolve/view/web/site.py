"""What pages are made with: the reader, archives in memory, addresses, templates."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import jinja2

from evolve.store.page_reader import PageReader
from evolve.store.records import RunRecord
from evolve.view.projection import scale
from evolve.view.web import text
from evolve.view.web.code import highlight
from evolve.view.web.folds import Folds
from evolve.view.web.links import Links
from evolve.view.web.maps import drawn

HERE = Path(__file__).parent
STATIC = HERE / "static"
#: Files of the page that a browser may ask for.
ASSETS = ("page.css", "page.js", "favicon.svg", "vendor/htmx-4.0.1.min.js")


class Crumb(NamedTuple):
    """A step of the way to a page; an empty ``href`` is the page itself."""

    label: str
    href: str = ""


@dataclass(frozen=True, slots=True)
class View:
    """A page before it is drawn.

    Attributes:
        template: Name of the template.
        title: Of the window.
        crumbs: The way here.
        values: What the template shows.
        fragment: Whether it is a part of another page.
    """

    template: str
    title: str
    crumbs: Sequence[Crumb] = ()
    values: Mapping[str, object] = field(default_factory=dict)
    fragment: bool = False


@dataclass(frozen=True, slots=True)
class Site:
    """What views are made from."""

    reader: PageReader
    folds: Folds
    links: Links


def run_name(run: RunRecord) -> str:
    """Return how a run is called on pages."""
    return f"{run.name} #{run.id}" if run.name else f"run #{run.id}"


def state(run: RunRecord) -> str:
    """Return the state of a run in one word; a probe is nothing else."""
    if run.kind != "search":
        return run.kind
    return "killed" if run.status == "running" and not run.live else run.status


def environment() -> jinja2.Environment:
    """Return the templates; everything they print is escaped, and texts cannot act."""
    made = jinja2.Environment(
        loader=jinja2.FileSystemLoader(HERE / "templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        finalize=text.shown,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters.update(
        number=text.number,
        interval=text.interval,
        varied=text.varied,
        money=text.money,
        percent=text.percent,
        duration=text.duration,
        nanoseconds=text.nanoseconds,
        mebibytes=text.mebibytes,
        when=text.when,
        iso=text.iso,
        short=text.short,
        cut=text.cut,
        marks=drawn,
    )
    made.globals.update(run_name=run_name, state=state)
    _load(made)
    return made


def _load(templates: jinja2.Environment) -> None:
    """Load now what the first page would have to wait for."""
    for name in templates.list_templates():
        templates.get_template(name)
    highlight("main.py", "")
    scale(())


def draw(templates: jinja2.Environment, view: View, links: Links) -> str:
    """Return a page as HTML."""
    return templates.get_template(view.template).render(
        links=links, title=view.title, crumbs=view.crumbs, **view.values
    )
