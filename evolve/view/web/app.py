"""The web application: from a request to a view. Read-only; it answers GET and nothing else."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import FileResponse, HTMLResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp

from evolve.core.errors import ConfigError, DatabaseBusy, StoreError
from evolve.core.evaluation import Outcome
from evolve.store.listing import Key, Order, Wanted
from evolve.store.records import ProgramEntry, RunRecord
from evolve.store.spending import By
from evolve.view.web import programs, runs
from evolve.view.web.guard import Guard
from evolve.view.web.links import Links
from evolve.view.web.site import ASSETS, STATIC, Crumb, Site, View, draw, environment
from evolve.view.web.source import Source, Vanished

#: Rows of SQLite are numbered up to here.
_LARGEST = 2**63 - 1
_ORDERS: tuple[Order, ...] = ("best", "worst", "newest", "oldest", "deepest")
_GROUPS: tuple[By, ...] = ("model", "operator", "outcome")

_Handler = Callable[[Site, Request], View | None]


def application(source: Source, token: str) -> ASGIApp:
    """Return the application over a database.

    Args:
        source: The database.
        token: The secret without which nothing is shown.
    """
    pages = _Pages(source)
    views: dict[str, _Handler] = {
        "/": _runs,
        "/live": _live_runs,
        "/compare": _compare,
        "/runs/{run}": _of_run(_run),
        "/runs/{run}/live": _of_run(_live),
        "/runs/{run}/programs": _of_run(_programs),
        "/runs/{run}/lineage": _of_run(_lineage),
        "/runs/{run}/failures": _of_run(lambda site, run, _: programs.failures_view(site, run)),
        "/runs/{run}/spending": _of_run(lambda site, run, _: runs.spending_view(site, run)),
        "/runs/{run}/spending/{by}": _of_run(_spending),
        "/runs/{run}/settings": _of_run(lambda site, run, _: runs.settings_view(site, run)),
        "/programs/{program}": _program,
        "/programs/{program}/diff/{number}": _diff,
        "/programs/{program}/call/{number}": _call,
    }
    routes = [Route(path, partial(_answer, pages, view)) for path, view in views.items()]
    routes += [
        Route("/programs/{program}/images/{evaluation}/{number}", partial(_image, pages)),
        Route("/static/{name:path}", _static),
        Route("/favicon.ico", _favicon),
    ]
    app = Starlette(
        routes=routes,
        exception_handlers={
            HTTPException: pages.http_error,
            StoreError: pages.store_error,
            ConfigError: pages.config_error,
            Exception: pages.bug,
        },
    )
    return Guard(app, token, pages.error)


class _Pages:
    """Draws views and errors."""

    def __init__(self, source: Source) -> None:
        self._source, self._templates, self._links = source, environment(), Links()

    def site(self) -> Site:
        """Return what views are made from."""
        return self._source.site()

    def draw(self, view: View) -> Response:
        """Return a page."""
        return HTMLResponse(draw(self._templates, view, self._links))

    def error(self, status: int, title: str, message: str) -> Response:
        """Return an error page."""
        crumbs = (Crumb("Runs", self._links.runs()), Crumb(title))
        values = {"status": status, "message": message}
        view = View("error.html", title, crumbs, values)
        return HTMLResponse(draw(self._templates, view, self._links), status)

    def http_error(self, _: Request, error: Exception) -> Response:
        """Explain that something is not there, or not to be asked so."""
        assert isinstance(error, HTTPException)
        if error.status_code == 405:
            return self.error(405, "Only for looking", "This page changes nothing.")
        return self.error(error.status_code, "Not here", error.detail)

    def store_error(self, _: Request, error: Exception) -> Response:
        """Explain that the database cannot be read now."""
        if isinstance(error, Vanished):
            return self.error(503, "Database gone", str(error))
        if isinstance(error, DatabaseBusy):
            message = "Another process has locked the database. Load the page again in a moment."
            return self.error(503, "Database busy", message)
        return self.error(503, "Database not readable", str(error))

    def config_error(self, _: Request, error: Exception) -> Response:
        """Explain that there is no such island or measure."""
        return self.error(404, "Not here", str(error))

    def bug(self, _: Request, error: Exception) -> Response:
        """Say that the page itself failed."""
        message = f"The page could not be made: {type(error).__name__}. The terminal says more."
        return self.error(500, "A mistake of this page", message)


def _answer(pages: _Pages, view: _Handler, request: Request) -> Response:
    made = view(pages.site(), request)
    return Response(status_code=204) if made is None else pages.draw(made)


def _of_run(view: Callable[[Site, RunRecord, Request], View | None]) -> _Handler:
    def handler(site: Site, request: Request) -> View | None:
        return view(site, _wanted_run(site, request.path_params["run"]), request)

    return handler


def _wanted_run(site: Site, text: str) -> RunRecord:
    run = site.reader.find_run(_row(text))
    if run is None:
        raise HTTPException(404, f"There is no run {text} in this database (any more).")
    return run


def _wanted_program(site: Site, text: str) -> ProgramEntry:
    entry = site.reader.entry(_row(text))
    if entry is None:
        raise HTTPException(404, f"There is no program {text} in this database (any more).")
    return entry


def _row(text: str) -> int:
    """Return a row number that a person may have typed."""
    if not (text.isascii() and text.isdecimal() and len(text) < 20) or int(text) > _LARGEST:
        raise HTTPException(404, f"{text[:50]!r} is no number of a run or a program.")
    return int(text)


def _runs(site: Site, request: Request) -> View:
    return runs.runs_view(site, _before(request))


def _live_runs(site: Site, request: Request) -> View | None:
    """Return what may have changed in the list of runs; None when nothing has."""
    before = _before(request)
    if request.query_params.get("stamp") == runs.runs_moment(site, before):
        return None
    return runs.runs_view(site, before, fragment=True)


def _before(request: Request) -> int | None:
    before = request.query_params.get("before", "")
    return _row(before) if before else None


def _compare(site: Site, request: Request) -> View:
    given = dict.fromkeys(request.query_params.getlist("run"))
    return runs.compare_view(site, [_wanted_run(site, text) for text in given])


def _run(site: Site, run: RunRecord, request: Request) -> View:
    return runs.run_view(site, run, _choice(request))


def _live(site: Site, run: RunRecord, request: Request) -> View | None:
    """Return what may have changed on a run's page; None when nothing has."""
    if request.query_params.get("stamp") == runs.moment(site, run):
        return None
    return runs.run_view(site, run, _choice(request), fragment=True)


def _choice(request: Request) -> runs.MapChoice:
    asked = request.query_params
    island = asked.get("island", "")
    return runs.MapChoice(_row(island) if island else None, asked.get("x", ""), asked.get("y", ""))


def _programs(site: Site, run: RunRecord, request: Request) -> View:
    asked = request.query_params
    island, outcome, order = (asked.get(name, "") for name in ("island", "outcome", "order"))
    wanted = Wanted(
        text=asked.get("text", "").strip()[:200],
        operator=asked.get("operator", ""),
        outcome=Outcome(outcome) if outcome in list(Outcome) else None,
        island=_row(island) if island else None,
    )
    chosen: Order = next((each for each in _ORDERS if each == order), "best")
    return programs.programs_view(
        site,
        run,
        programs.Search(wanted, chosen, _key(asked.get("start", "")), asked.get("back") == "1"),
    )


def _spending(site: Site, run: RunRecord, request: Request) -> View:
    by: By | None = next((each for each in _GROUPS if each == request.path_params["by"]), None)
    if by is None:
        raise HTTPException(404, f"Spending is grouped by {', '.join(_GROUPS)}.")
    return runs.spending_part(site, run, by)


def _key(text: str) -> Key | None:
    value, _, row = text.partition(",")
    try:
        return Key(float(value), int(row)) if text and len(row) < 19 else None
    except ValueError:
        return None


def _lineage(site: Site, run: RunRecord, request: Request) -> View:
    chosen = request.query_params.get("program", "")
    entry = _wanted_program(site, chosen) if chosen else site.reader.best(run.id)
    if entry is not None and entry.run_id != run.id:
        raise HTTPException(404, f"Program {entry.id} belongs to run {entry.run_id}.")
    return programs.lineage_view(site, run, entry)


def _program(site: Site, request: Request) -> View:
    entry = _wanted_program(site, request.path_params["program"])
    return programs.program_view(site, entry, _wanted_run(site, str(entry.run_id)))


def _diff(site: Site, request: Request) -> View:
    entry = _wanted_program(site, request.path_params["program"])
    other = _wanted_program(site, request.path_params["number"])
    return programs.diff_view(site, entry, other)


def _call(site: Site, request: Request) -> View:
    entry = _wanted_program(site, request.path_params["program"])
    view = programs.call_view(site, entry, _row(request.path_params["number"]))
    if view is None:
        raise HTTPException(404, "This program has no such model call.")
    return view


def _image(pages: _Pages, request: Request) -> Response:
    """Answer with an image of an evaluator, looked at once more: nothing else leaves as one."""
    asked = request.path_params
    site = pages.site()
    evaluations = site.reader.evaluations_of(_wanted_program(site, asked["program"]).id)
    images = dict(enumerate(map(programs.images_of, evaluations)))
    png = images.get(_row(asked["evaluation"]), {}).get(_row(asked["number"]))
    if png is None:
        raise HTTPException(404, "This program has no such image.")
    return Response(png, media_type="image/png")


def _static(request: Request) -> Response:
    name = request.path_params["name"]
    if name not in ASSETS:
        raise HTTPException(404, "There is no such file.")
    return FileResponse(STATIC / name)


def _favicon(_: Request) -> Response:
    return FileResponse(STATIC / "favicon.svg")
