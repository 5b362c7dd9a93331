"""The course of a run as numbers, beside what the store says of it otherwise."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from evolve.core.estimates import Estimate
from evolve.core.measures import Objective
from evolve.engine.aside import gap
from evolve.engine.run import run
from evolve.store.reader import open_reader
from evolve.view.course import course, growth, island_courses, shares
from evolve.view.gap import MEASURED, gap_figure
from evolve.view.pictures import PICTURES, Material
from evolve.view.report import archive_of, evaluations, islands
from tests.command import write_config
from tests.view.samples import LOSS, fitting, searched


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A database with a run of three islands, one of which a reset gave up now and then."""
    folder = tmp_path_factory.mktemp("course")
    plan = {"count": 3, "migration": {"interval": 10}, "reset": {"interval": 25}}
    config = write_config(folder, islands=plan, stop={"evaluations": 60})
    run(config, db=str(folder / "evolve.db"))
    return str(folder / "evolve.db")


def test_it_agrees_with_the_counters_and_the_archive(database: str) -> None:
    with open_reader(database) as reader:
        record = reader.run(1)
        of = course(reader, record)
        totals = reader.totals(1)
        assert of.evaluations[-1] == evaluations(reader, record) == 60
        assert len(of) == 1 + totals.proposals
        assert of.ended.count("duplicate") == totals.duplicates
        best = reader.best(1)
        assert best is not None
        assert of.best(record.objective)[-1] == best.objective
        assert np.isfinite(of.wall_s).sum() == 60
        assert (np.diff(of.elapsed_s) >= 0).all()
        stats, last = archive_of(reader, record).stats(), growth(reader, record, 60)[-1]
        assert (last.evaluations, last.elites) == (60, stats.num_elites)
        assert last.qd_score == pytest.approx(stats.qd_score)
        now = {row.island: row.best for row in islands(reader, record) if not row.retired}
        courses = {each.island: each for each in island_courses(reader, record, 60)}
        assert {island: courses[island].best[-1] for island in now} == now
        for each in courses.values():
            falls = [record.objective.better(a, b) for a, b in pairwise(each.best)]
            assert not any(falls)
            assert (each.evaluations[-1] == 60) == (each.island in now)


def test_the_best_so_far_is_the_best_of_what_was_before() -> None:
    for direction in ("minimize", "maximize"):
        objective = Objective("x", direction)
        of = searched(80)
        best = of.best(objective)
        pick = np.nanmin if direction == "minimize" else np.nanmax
        assert [pick(of.objective[: n + 1]) for n in range(80)] == best.tolist()


def test_shares_of_windows_are_of_all_that_ended_in_them() -> None:
    of = searched(101)
    windows = list(shares(of, 7))
    assert [part.start for part, _ in windows[1:]] == [part.stop for part, _ in windows[:-1]]
    assert (windows[0][0].start, windows[-1][0].stop) == (0, 101)
    for part, kinds in windows:
        assert sum(kinds.values()) == pytest.approx(1.0)
        assert kinds["ok"] * (part.stop - part.start) == pytest.approx(of.ended[part].count("ok"))


def test_money_is_drawn_as_far_as_it_is_known(database: str) -> None:
    with open_reader(database) as reader:
        material = Material(reader, reader.run(1))
        asked = replace(material.totals, completions={"received": 3}, unpriced_calls=2)
        drawn = []
        for cost, unpriced in ((0.0, 3), (0.0, 0), (1.5, 2), (1.5, 0)):
            totals = replace(asked, cost_usd=cost, unpriced_calls=unpriced)
            material.__dict__["totals"] = totals
            drawn.append(PICTURES["money"].draw(material))
    unknown, nothing, partly, wholly = drawn
    assert unknown == "what its models cost is not known; give them a `price`"
    assert nothing == "its models cost nothing"
    assert not isinstance(partly, str)
    assert not isinstance(wholly, str)
    assert "2 calls of unknown price are not in it" in partly.get_supxlabel()
    assert "unknown price" not in wholly.get_supxlabel()


def test_every_picture_is_drawn_of_a_run_or_says_why_not(database: str) -> None:
    with open_reader(database) as reader:
        material = Material(reader, reader.run(1))
        drawn = {kind: picture.draw(material) for kind, picture in PICTURES.items()}
    reasons = {kind: made for kind, made in drawn.items() if isinstance(made, str)}
    assert reasons == {
        "money": "no model was asked",
        "durations": "no evaluation has a measured time",
        "gap": "2 programs measured on held-out cases; `held_out: {best: true}` in the "
        "configuration measures every new best one",
    }


def test_the_gap_is_drawn_with_intervals_where_scores_vary() -> None:
    points = fitting(5)
    known = {each.program_id: Estimate(each.search, 0.1, 2 + each.program_id) for each in points}
    others = {999: Estimate(0.0, 1.0, 99)}
    plain = gap_figure(points, LOSS)
    noisy = gap_figure(points, LOSS, search=known, held_out=others)
    assert [len(figure.axes[0].collections) for figure in (plain, noisy)] == [0, 1]
    bars = noisy.axes[0].collections[0].get_paths()
    width = known[1].half_width()
    assert width is not None
    bar = np.asarray(bars[0].vertices)
    assert bar[:, 1].tolist() == pytest.approx([5 - width, 5 + width])
    assert plain.get_supxlabel() == ""
    assert noisy.get_supxlabel() == "bars are 95 % intervals, n=3 to 7"
    steps = noisy.axes[1].lines[0]
    assert np.asarray(steps.get_ydata()).tolist() == [gap(each, LOSS) for each in points]


def test_the_gap_of_a_run_is_drawn_from_three_programs_on(database: str) -> None:
    with open_reader(database) as reader:
        material = Material(reader, reader.run(1))
        assert len(material.held_out) == 2  # those measured at the end
        for count in (MEASURED, 12):
            points = material.__dict__["held_out"] = tuple(fitting(count))
            drawn = PICTURES["gap"].draw(material)
            assert not isinstance(drawn, str)
            last = gap(points[-1], material.run.objective)
            assert f"gap {last:.4g} at program {count}" in drawn.axes[0].get_title("left")
            assert ("the gap grows" in drawn.get_supxlabel()) == (count > MEASURED)
