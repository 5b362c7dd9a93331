"""Curves of a run whose scores vary: the best elite by all its samples, not the luckiest score."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from evolve.core.estimates import Estimate
from evolve.store.page_reader import open_page_reader
from evolve.store.reader import Reader, open_reader
from evolve.store.records import HeldOutPoint
from evolve.view.course import course, island_courses
from evolve.view.curves import VARY
from evolve.view.pictures import PICTURES, Material
from evolve.view.report import evaluations
from evolve.view.web.text import interval, varied
from tests.engine.test_noise import search, write
from tests.view.conftest import TOKEN, client_of


@pytest.fixture(scope="module")
def noisy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database with a run of two islands in strict order."""
    folder = tmp_path_factory.mktemp("noisy")
    write(folder)
    islands = {"count": 2, "migration": {"interval": 10}}
    search(
        folder,
        order="strict",
        islands=islands,
        stop={"evaluations": 60},
    )
    return folder / "evolve.db"


def luckiest(reader: Reader) -> float:
    """Return the best of all first scores, which is what curves once showed."""
    return min(e.objective for e in reader.programs(1) if e.objective is not None)


def test_the_curve_ends_at_the_best_elite_by_all_its_samples(noisy: Path) -> None:
    with open_reader(str(noisy)) as reader:
        run, best, known = reader.run(1), reader.best(1), reader.estimates(1)
        assert best is not None
        of = course(reader, run)
        assert of.led is not None
        curve = of.best(run.objective)
        assert curve[-1] == best.objective == known[best.id].mean
        assert of.led[1][-1] == known[best.id].half_width()
        assert luckiest(reader) < np.nanmin(curve)  # the luck is not in it
        assert (np.diff(curve) > 0).any()  # an elite that was measured again fell
        assert set(curve.tolist()) <= {each.mean for each in known.values()}
        assert set(of.objective[np.isfinite(of.objective)].tolist()) <= {
            each.mean for each in known.values()
        }
        points = reader.progress(1)
        assert points[-1].best == best.objective
        assert points[-1].evaluations == evaluations(reader, run) == 60
        assert [each.evaluations for each in points] == sorted({e.evaluations for e in points})
        assert reader.rises(1, "evaluations")[-1] == (60.0, best.objective)
        for island in island_courses(reader, run, 60):
            held = [e for e in reader.elites(1) if e.island == island.island]
            top = max(held, key=lambda each: (each.fitness, -each.program_id))
            assert island.best[-1] == known[top.program_id].mean


def test_the_picture_says_so_and_shades_the_interval(noisy: Path) -> None:
    with open_reader(str(noisy)) as reader:
        material = Material(reader, reader.run(1))
        best = reader.best(1)
        points = [
            HeldOutPoint(number, number, known.mean, known.mean + 1)
            for number, known in material.known("search").items()
        ]
        material.__dict__["held_out"] = tuple(points)
        drawn = {kind: PICTURES[kind].draw(material) for kind in ("score", "time", "gap")}
    assert best is not None
    assert best.estimate is not None
    for kind in ("score", "time"):
        figure = drawn[kind]
        assert not isinstance(figure, str)
        assert VARY in figure.get_supxlabel().replace("\n", " ")
        half = best.estimate.half_width()
        assert f"best {best.objective:.6g} ± {half:.2g} after" in figure.axes[0].get_title("left")
        assert len(figure.axes[1].collections) == 1
    assert not isinstance(drawn["gap"], str)
    assert "95 % intervals, n=2 to 6" in drawn["gap"].get_supxlabel()


def test_the_page_shows_intervals_and_the_same_curve(noisy: Path) -> None:
    with open_page_reader(str(noisy)) as reader:
        best, known = reader.best(1), reader.estimates(1)
        elites = {elite.program_id for elite in reader.elites(1)}
    assert best is not None
    raced = max(known, key=lambda number: known[number].n)
    with client_of(noisy, Authorization=f"Bearer {TOKEN}") as client:
        page = client.get("/runs/1").text
        program = client.get(f"/programs/{raced}").text
        compared = client.get("/compare?run=1").text
    tips = re.findall(r'data-tip="program (\d+)\nerror ([^"\n]+)\nast_nodes', page)
    assert len(tips) > 2
    for number, score in tips:
        assert int(number) in elites
        assert score == varied(known[int(number)])
        assert "± " in score
    curve = f"program {best.id}\nerror {varied(best.estimate)}\nbest elite from evaluation"
    assert curve in page
    assert curve in compared
    assert page.count(interval(best.estimate)) >= 4  # headline, leaders, map, curve
    assert known[raced].n == 6
    assert f"by all samples</dt><dd>{varied(known[raced])}" in program


def test_a_number_without_an_interval_has_none() -> None:
    assert varied(Estimate(0.713, 0.005, 8)) == "0.713 ± 0.012 (n=8)"
    assert varied(Estimate(0.713, None, 1)) == "0.713"
    assert interval(None) == ""
