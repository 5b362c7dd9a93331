"""Pages of programs: the search, one program and its parts, ancestry, failures."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import get_args

from evolve.core.evaluation import Evaluation, Outcome
from evolve.core.png import png_size
from evolve.store.listing import COUNTED, Key, Order, Wanted
from evolve.store.page_reader import Cause
from evolve.store.program_reader import RELATIVES
from evolve.store.records import ProgramEntry, RunRecord
from evolve.view.web.code import DiffLine, changes, highlight, line_numbers
from evolve.view.web.runs import run_crumbs
from evolve.view.web.site import Crumb, Site, View, run_name
from evolve.view.web.text import cause, cut, messages
from evolve.view.web.trees import Tree, ancestry

SIZE = 50
#: Relatives and examples listed on a page.
LISTED = 12
EXAMPLES = 5
#: Steps of a line of ancestors that are drawn with their differences.
STEPS = 200


@dataclass(frozen=True, slots=True)
class Search:
    """What was asked of the list of programs; ``size`` None for the usual one."""

    wanted: Wanted = Wanted()  # noqa: RUF009 - immutable
    order: Order = "best"
    start: Key | None = None
    back: bool = False
    size: int | None = None


@dataclass(frozen=True, slots=True)
class Step:
    """A program of a line of ancestors beside the one that was varied.

    Attributes:
        gain: By how much its fitness is larger; None when one of both has no score.
        diff: What was changed, where it is shown at once; None where it is loaded.
    """

    entry: ProgramEntry
    parent: ProgramEntry | None
    gain: float | None
    diff: list[DiffLine] | None


@dataclass(frozen=True, slots=True)
class Group:
    """Failures of one cause; ``newest`` is the newest message, ``examples`` are programs."""

    what: str
    kind: str
    cause: str
    count: int
    newest: str
    examples: tuple[int, ...]


def programs_view(site: Site, run: RunRecord, search: Search) -> View:
    """Return one page of the programs of a run."""
    wanted, links = search.wanted, site.links
    kept = partial(site.folds.kept, site.reader, run.id)
    count = site.folds.count(site.reader, run.id, wanted)
    page = site.reader.listed(
        run,
        wanted,
        search.order,
        search.size or SIZE,
        search.start,
        back=search.back,
        matching=count,
    )
    asked = {
        "text": wanted.text,
        "operator": wanted.operator,
        "outcome": wanted.outcome,
        "island": wanted.island,
        "order": search.order,
    }

    def address(key: Key | None, *, back: bool = False) -> str:
        if key is None:
            return ""
        start = f"{key.value!r},{key.row}"
        return links.query(run.id, "programs", **asked, start=start, back="1" if back else "")

    values = {
        "run": run,
        "programs": page.programs,
        "search": search,
        "count": count,
        "more": count > COUNTED,
        "previous": address(page.before, back=True),
        "next": address(page.after),
        "first": links.query(run.id, "programs", **asked) if page.before else "",
        "operators": kept("operators", lambda: site.reader.operators(run.id)),
        "islands": kept("islands", lambda: sorted(site.reader.programs_by_island(run.id))),
        "outcomes": [outcome.value for outcome in Outcome],
        "orders": get_args(Order),
    }
    crumbs = run_crumbs(site, run, Crumb("Programs"))
    return View("programs.html", f"Programs of {run_name(run)}", crumbs, values)


def program_view(site: Site, entry: ProgramEntry, run: RunRecord) -> View:
    """Return everything about a program; long parts are loaded when they are opened.

    In a static copy, where nothing can be loaded, all parts are there.
    """
    reader = site.reader
    program = reader.sources(entry.id)
    evaluations = reader.evaluations_of(entry.id)
    descendants = reader.descendants(entry.id)
    calls = reader.calls(entry.id)
    parents = reader.entries_of(entry.parents)
    live = site.links.live
    diffs = {
        parent.id: changes(reader.sources(parent.id), program)
        for index, parent in enumerate(parents)
        if index == 0 or not live
    }
    values = {
        "run": run,
        "entry": entry,
        "files": [
            (path, highlight(path, text), line_numbers(text), text)
            for path, text in program.files.items()
        ],
        "parents": parents,
        "diffs": diffs,
        "evaluations": evaluations,
        "images": [images_of(each) for each in evaluations],
        "known": reader.estimates(run.id, only=[entry.id]).get(entry.id) if run.noisy else None,
        "calls": calls,
        "texts": {} if live else {call.id: call_values(site, entry, call.id) for call in calls},
        "inspirations": reader.entries_of(reader.inspirations(entry.id)),
        "alike": _alike(site, entry, evaluations),
        "descendants": reader.entries_of(descendants[:LISTED]),
        "descendant_count": len(descendants),
        "most": RELATIVES,
    }
    crumbs = run_crumbs(
        site,
        run,
        Crumb("Programs", site.links.of_run(run.id, "programs")),
        Crumb(f"Program {entry.id}"),
    )
    return View("program.html", f"Program {entry.id}", crumbs, values)


def images_of(evaluation: Evaluation) -> dict[int, bytes]:
    """Return the images of an evaluation that are images, by their place among all."""
    score = evaluation.score
    found: dict[int, bytes] = {}
    for number, png in enumerate(() if score is None else score.images.values()):
        with suppress(ValueError):
            png_size(png)
            found[number] = png
    return found


def diff_view(site: Site, entry: ProgramEntry, other: ProgramEntry) -> View:
    """Return what was changed from one program to another."""
    diff = changes(site.reader.sources(other.id), site.reader.sources(entry.id))
    return View("_diff.html", "Difference", values={"diff": diff}, fragment=True)


def call_view(site: Site, entry: ProgramEntry, call: int) -> View | None:
    """Return the prompt and the reply of a model call, or None when the program has no such."""
    values = call_values(site, entry, call)
    return None if values is None else View("_call.html", "Call", values=values, fragment=True)


def call_values(site: Site, entry: ProgramEntry, call: int) -> dict[str, object] | None:
    """Return the texts of a model call for a template."""
    texts = site.reader.call_texts(entry.id, call)
    if texts is None:
        return None
    prompt, reply = texts
    return {"messages": messages(prompt), "reply": reply}


def lineage_view(site: Site, run: RunRecord, entry: ProgramEntry | None) -> View:
    """Return the ancestry of a program: a tree, and the line of parents with what each changed."""
    tree: Tree | None = None
    line: list[Step] = []
    if entry is not None:
        found = site.reader.ancestors(entry.id)
        tree = ancestry(entry, found, run.objective, site.links)
        line = _line(site, run, entry, found)
    values = {"run": run, "entry": entry, "tree": tree, "steps": line, "most": STEPS}
    crumbs = run_crumbs(site, run, Crumb("Lineage"))
    title = "Lineage" if entry is None else f"Lineage of program {entry.id}"
    return View("lineage.html", title, crumbs, values)


def failures_view(site: Site, run: RunRecord) -> View:
    """Return how things failed: by kind, and within a kind by cause, most frequent first."""
    kinds = site.reader.failures(run.id)
    causes = site.reader.causes(run.id)
    groups = {
        (kind.what, kind.kind): _groups(
            [each for each in causes if (each.what, each.kind) == (kind.what, kind.kind)]
        )
        for kind in kinds
    }
    values = {"run": run, "kinds": kinds, "groups": groups}
    crumbs = run_crumbs(site, run, Crumb("Failures"))
    return View("failures.html", f"Failures of {run_name(run)}", crumbs, values)


def _groups(causes: Sequence[Cause]) -> list[Group]:
    """Group failures of one kind, newest first, by what their messages say."""
    together: dict[str, list[Cause]] = {}
    for each in causes:
        together.setdefault(cause(each.message), []).append(each)
    groups = [
        Group(
            what=members[0].what,
            kind=members[0].kind,
            cause=name,
            count=len(members),
            newest=cut(members[0].message),
            examples=tuple(each.program for each in members[:EXAMPLES] if each.program is not None),
        )
        for name, members in together.items()
    ]
    return sorted(groups, key=lambda group: (-group.count, group.cause))


def _line(
    site: Site, run: RunRecord, entry: ProgramEntry, found: Sequence[ProgramEntry]
) -> list[Step]:
    """Return the line of first parents, the program itself first."""
    known = {each.id: each for each in found}
    line: list[Step] = []
    current: ProgramEntry | None = entry
    while current is not None and len(line) < STEPS:
        parent = known.get(current.parents[0]) if current.parents else None
        gain = None
        if parent is not None and None not in (parent.objective, current.objective):
            assert parent.objective is not None
            assert current.objective is not None
            fitness = run.objective.fitness
            gain = fitness(current.objective) - fitness(parent.objective)
        diff = None
        if parent is not None and not site.links.live:
            diff = changes(site.reader.sources(parent.id), site.reader.sources(current.id))
        line.append(Step(current, parent, gain, diff))
        current = parent
    return line


def _alike(site: Site, entry: ProgramEntry, evaluations: Sequence[Evaluation]) -> list[int]:
    """Return the other programs of the run that return the same for every search case."""
    signed = [each.signature for each in evaluations if each.stage == "search" and each.signature]
    if not signed:
        return []
    alike = site.reader.behaving_like(entry.run_id, signed[-1])
    return [number for number in alike if number != entry.id]
