"""Pages of runs: the list, one run, its settings, its spending, several side by side."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import get_args

from evolve.archive.base import Archive
from evolve.archive.stats import ArchiveStats
from evolve.core.errors import ConfigError
from evolve.core.estimates import Estimate
from evolve.core.evaluation import Outcome
from evolve.store.calls import Spending
from evolve.store.page_reader import Counts
from evolve.store.records import RunRecord
from evolve.store.spending import By
from evolve.view.heatmap import describe
from evolve.view.projection import qualified
from evolve.view.web.charts import Line, steps
from evolve.view.web.courses import known_of, score_lines
from evolve.view.web.folds import Folded
from evolve.view.web.maps import Map, lay_out
from evolve.view.web.site import Crumb, Site, View, run_name, state

RUNS = 50
LEADERS = 8
#: Runs that are drawn side by side.
COMPARED = 8


@dataclass(frozen=True, slots=True)
class Figures:
    """A run in numbers."""

    run: RunRecord
    counts: Counts
    best: float | None
    best_program: int | None
    known: Estimate | None
    calls: int
    cost_usd: float
    unpriced: int
    elapsed_s: float

    @property
    def failed(self) -> int:
        """Search evaluations without a score."""
        return self.counts.evaluated - self.counts.evaluations.get(Outcome.OK, 0)


@dataclass(frozen=True, slots=True)
class IslandRow:
    """What became of an island; the objective is in the problem's own direction."""

    island: int
    retired: bool
    programs: int
    elites: int
    best: float | None
    program: int | None


@dataclass(frozen=True, slots=True)
class MapChoice:
    """What the map of a run shows: an island or all, and which measures across and up."""

    island: int | None = None
    x: str = ""
    y: str = ""


def runs_view(
    site: Site,
    before: int | None = None,
    chosen: Sequence[RunRecord] | None = None,
    *,
    fragment: bool = False,
) -> View:
    """Return a list of runs, newest first.

    Args:
        site: What pages are made from.
        before: Only runs older than this one.
        chosen: These runs, all on one page.
        fragment: Only what may have changed.
    """
    found = site.reader.run_page(RUNS + 1, before) if chosen is None else chosen[::-1]
    shown = found[:RUNS] if chosen is None else found
    older = shown[-1].id if len(found) > len(shown) else None
    values = {
        "rows": [figures(site, run) for run in shown],
        "older": None if older is None else site.links.older_runs(older),
        "first": before is None,
        "query": site.links.live_runs(before, _moment_of(site, shown)),
    }
    template = "_runs.html" if fragment else "runs.html"
    return View(template, "Runs", (Crumb("Runs"),), values, fragment)


def runs_moment(site: Site, before: int | None) -> str:
    """Return a text that changes whenever the list of runs does."""
    return _moment_of(site, site.reader.run_page(RUNS, before))


def _moment_of(site: Site, shown: Sequence[RunRecord]) -> str:
    return ".".join(f"{run.id}-{moment(site, run) if run.live else state(run)}" for run in shown)


def moment(site: Site, run: RunRecord) -> str:
    """Return a text that changes whenever a page of a run does.

    That nobody is heard of any more is no change in the database.
    """
    heard = "".join("01"[each.live] for each in site.reader.controllers(run.id))
    return f"{site.reader.stamp(run.id)}-{state(run)}-{heard}"


def run_view(site: Site, run: RunRecord, choice: MapChoice, *, fragment: bool = False) -> View:
    """Return a run: map, curves, leaders, what is in flight, islands, held-out comparison.

    Raises:
        ConfigError: the run has no such island or measure.
    """
    reader, stamp = site.reader, moment(site, run)
    with site.folds.of(reader, run) as folded:
        known = known_of(site, run, folded)
        drawn, shown = _map(run, folded, choice, known)
        stats, summary = folded.archive.stats(), describe(folded.archive)
        islands = _islands(site, run, folded)
        curves = score_lines(site, run, folded, known)
        names = [measure.name for measure in folded.archive.measures]
    values = {
        "figures": figures(site, run),
        "run": run,
        "stamp": stamp,
        "map": drawn,
        "stats": stats,
        "shown": shown,
        "summary": summary,
        "choice": choice,
        "measure_names": names,
        "islands": islands,
        "chart": steps(
            "evaluations", axis_name(run), curves, run.record.value if run.record else None
        ),
        "leaders": reader.leaderboard(run.id, LEADERS),
        "in_flight": reader.in_flight(run.id),
        "slots": _slots(run),
        "controllers": reader.controllers(run.id),
        "comparison": site.folds.comparison(reader, run) if run.status == "finished" else [],
        "query": site.links.query(
            run.id, "live", island=choice.island, x=choice.x, y=choice.y, stamp=stamp
        ),
    }
    template = "_live.html" if fragment else "run.html"
    return View(template, run_name(run), run_crumbs(site, run), values, fragment)


def run_crumbs(site: Site, run: RunRecord, *further: Crumb) -> tuple[Crumb, ...]:
    """Return the way to a run, and to a page of it."""
    here = Crumb(run_name(run), site.links.run(run.id) if further else "")
    return Crumb("Runs", site.links.runs()), here, *further


def figures(site: Site, run: RunRecord) -> Figures:
    """Return a run in numbers."""
    best = site.reader.best(run.id)
    calls, cost, unpriced = site.folds.cost(site.reader, run.id)
    return Figures(
        run=run,
        counts=site.folds.counts(site.reader, run.id),
        best=None if best is None else best.objective,
        best_program=None if best is None else best.id,
        known=None if best is None else best.estimate,
        calls=calls,
        cost_usd=cost,
        unpriced=unpriced,
        elapsed_s=max(run.elapsed_s, site.reader.latest(run.id)[1]),
    )


def settings_view(site: Site, run: RunRecord) -> View:
    """Return the resolved configuration of a run, and what it was made with."""
    made_with = {
        "problem": run.problem,
        "evaluator": run.evaluator_ref,
        "evaluator version": run.problem_hash,
        "configuration hash": run.config_hash,
        **{
            name: value for name, value in run.provenance.items() if value not in ("", None, {}, [])
        },
    }
    values = {"run": run, "made_with": made_with, "settings": flat_settings(run)}
    crumbs = run_crumbs(site, run, Crumb("Settings"))
    return View("settings.html", f"Settings of {run_name(run)}", crumbs, values)


def spending_view(site: Site, run: RunRecord) -> View:
    """Return what model calls cost; on the server each table is loaded when the page is there."""
    tables: dict[By, tuple[Spending, ...] | None] = dict.fromkeys(get_args(By))
    if not site.links.live:
        tables = {by: site.folds.spending(site.reader, run.id, by) for by in tables}
    values = {"run": run, "tables": tables, "cost": site.folds.cost(site.reader, run.id)}
    crumbs = run_crumbs(site, run, Crumb("Spending"))
    return View("spending.html", f"Spending of {run_name(run)}", crumbs, values)


def spending_part(site: Site, run: RunRecord, by: By) -> View:
    """Return one table of what model calls cost and what came of them."""
    groups = site.folds.spending(site.reader, run.id, by)
    return View("_spending.html", "Spending", values={"groups": groups, "by": by}, fragment=True)


def compare_view(site: Site, chosen: Sequence[RunRecord]) -> View:
    """Return runs side by side: figures, curves, and the settings that differ."""
    shown = list(chosen[:COMPARED])
    lines: list[Line] = []
    archives: list[ArchiveStats] = []
    for run in shown:
        with site.folds.of(site.reader, run) as folded:
            archives.append(folded.archive.stats())
            if run.objective.name == shown[0].objective.name:
                best = score_lines(site, run, folded, known_of(site, run, folded))[0]
                lines.append(Line(run_name(run), best.points))
    columns = [flat_settings(run) for run in shown]
    keys = list(dict.fromkeys(key for column in columns for key in column))
    differing = [
        (key, [column.get(key, "\N{EN DASH}") for column in columns])
        for key in keys
        if len({column.get(key) for column in columns}) > 1
    ]
    values = {
        "columns": list(zip([figures(site, run) for run in shown], archives, strict=True)),
        "chart": steps("evaluations", axis_name(shown[0]), lines) if shown else None,
        "differing": differing,
        "left_out": len(chosen) - len(shown),
        "mixed": len(lines) < len(shown),
    }
    crumbs = (Crumb("Runs", site.links.runs()), Crumb("Compare"))
    return View("compare.html", "Compare runs", crumbs, values)


def axis_name(run: RunRecord) -> str:
    """Return the name of the objective, with its unit."""
    return qualified(run.objective.name, run.objective.unit)


def flat_settings(run: RunRecord) -> dict[str, str]:
    """Return the resolved configuration as dotted keys and values."""
    try:
        config = json.loads(run.config_json)
    except ValueError:
        return {}
    found: dict[str, str] = {}

    def walk(value: object, path: str) -> None:
        if isinstance(value, Mapping) and value:
            for name, inner in value.items():
                walk(inner, f"{path}.{name}" if path else str(name))
        elif isinstance(value, list) and any(isinstance(each, Mapping) for each in value):
            for index, inner in enumerate(value):
                walk(inner, f"{path}[{index}]")
        else:
            found[path] = value if isinstance(value, str) else json.dumps(value)

    walk(config, "")
    return found


def _map(
    run: RunRecord, folded: Folded, choice: MapChoice, known: Mapping[int, Estimate]
) -> tuple[Map, ArchiveStats]:
    archive: Archive = folded.archive
    if choice.island is not None:
        if choice.island not in folded.islands:
            raise ConfigError(f"run {run.id} has no island {choice.island}")
        archive = folded.islands[choice.island]
    axes = (choice.x, choice.y) if choice.x and choice.y else None
    clipped = folded.clipped if archive is folded.archive else {}
    return lay_out(archive, run.objective, axes, clipped, known), archive.stats()


def _islands(site: Site, run: RunRecord, folded: Folded) -> list[IslandRow]:
    if len(folded.islands) < 2:
        return []
    made = site.reader.programs_by_island(run.id)
    return [
        IslandRow(
            island=number_,
            retired=number_ in folded.retired,
            programs=made.get(number_, 0),
            elites=len(archive),
            best=None if archive.best is None else run.objective.fitness(archive.best.fitness),
            program=None if archive.best is None else archive.best.key,
        )
        for number_, archive in sorted(folded.islands.items())
    ]


def _slots(run: RunRecord) -> str:
    return flat_settings(run).get("slots", "")
