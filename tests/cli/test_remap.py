"""`evolve remap`: a run's programs on other maps, beside a fold of its evaluations by hand."""

from __future__ import annotations

from pathlib import Path

import pytest

from evolve.core.code_measures import code_length
from evolve.core.measures import Measure
from evolve.store.reader import open_reader
from evolve.view.report import archive_of
from tests.cli.conftest import Invoke


def test_programs_are_placed_by_other_numbers_and_nothing_is_evaluated(
    invoke: Invoke, copied: Path
) -> None:
    before = copied.read_bytes()
    axes = ("--measure", "code_length:0:200:4", "--measure", "residual:0.5:60:5:log")
    data = invoke("remap", *axes, "--db", copied, "--json").json
    length, residual = Measure("l", 0, 200, 4), Measure("r", 0.5, 60, 5, "log")
    best: dict[tuple[int, int], tuple[float, int]] = {}
    with open_reader(str(copied)) as reader:
        for offer in reader.offers(1):
            program = reader.program(offer.program_id).program
            place = (
                length.locate(code_length(program)).cell,
                residual.locate(offer.metrics["residual"]).cell,
            )
            found = (offer.objective, offer.program_id)
            best[place] = min(best.get(place, found), found)
    cells = {(c["x"], c["y"]): (c["objective"], c["program"]) for c in data["remapped"]["cells"]}
    assert cells == best
    assert len(cells) > 2
    assert (data["number"], data["left_out"]) == (None, 0)
    assert data["archive"] == invoke("heatmap", "--db", copied, "--json").json
    assert copied.read_bytes() == before


def test_a_saved_map_is_there_for_views_and_the_search_keeps_its_own(
    invoke: Invoke, copied: Path
) -> None:
    own = invoke("heatmap", "--db", copied, "--json").json
    shown = invoke("show", "--db", copied, "--json").json
    options = ("--kind", "cvt", "--set", "cells=6", "--set", "depth=2", "--save", "cells around")
    saved = invoke("remap", *options, "--db", copied, "--json").json
    assert saved["number"] == 1
    for ref in ("1", "cells around"):
        again = invoke("heatmap", "--archive", ref, "--db", copied, "--json").json
        assert again == saved["remapped"]
        assert (again["kind"], again["stats"]["cells"]) == ("cvt", 6)
    assert invoke("heatmap", "--db", copied, "--json").json == own
    later = invoke("show", "--db", copied, "--json").json
    assert later["archive"] == shown["archive"]
    assert [each["number"] for each in later["archives"]] == [0, 1]
    assert len(later["archives"][1]["centroids"]) == 6
    assert (
        "archive 1 (cells around): cvt over ast_nodes, mean" in invoke("show", "--db", copied).out
    )
    assert invoke("show", "--archive", "1", "--db", copied, "--json").code == 0
    with open_reader(str(copied)) as reader:
        run = reader.run()
        fronts = archive_of(reader, run, ref=1)
        assert run.archive == 0
        assert max(len(fronts.occupants(cell)) for cell in range(6)) == 2


def test_it_shows_the_map_and_both_archives(invoke: Invoke) -> None:
    shown = invoke("remap", "--kind", "novelty", "--set", "threshold=0.3")
    assert "niches, shown where the measures of their elites lie" in shown.out
    assert "the run's archive" in shown.out
    fronts = invoke("remap", "--set", "objectives=[{name: code_length, direction: minimize}]")
    assert fronts.code == 0


def test_bounds_left_out_are_those_seen(invoke: Invoke, searched: Path) -> None:
    data = invoke("remap", "--measure", "residual:::3:quantile", "--json").json
    (axis,) = data["remapped"]["axes"]
    with open_reader(str(searched / "evolve.db")) as reader:
        values = [offer.metrics["residual"] for offer in reader.offers(1)]
    assert (axis["low"], axis["high"]) == (min(values), max(values))
    assert axis["scale"] == "quantile"
    assert 2 <= len(axis["edges"]) <= 4


def test_the_section_of_a_configuration_can_be_taken(invoke: Invoke, tmp_path: Path) -> None:
    config = tmp_path / "other.yaml"
    config.write_text(
        "problem: x\nproposers: [{kind: genetic}]\nstop: {evaluations: 1}\narchive:\n"
        "  measures: [{name: nesting_depth, low: 0, high: 6, cells: 3}]\n"
    )
    data = invoke("remap", "--config", config, "--set", "depth=3", "--json").json
    assert [axis["name"] for axis in data["remapped"]["axes"]] == ["nesting_depth"]


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (("--measure", "speed"), "no evaluation of run 1 has 'speed'; there are mean, residual"),
        (("--measure", "mean:a"), "write NAME, NAME:LOW:HIGH"),
        (("--measure", "mean:0:1:4:cubic"), "one of linear, log, sqrt, quantile"),
        (("--measure", "mean:5:1"), "low 5.0 must be below high 1.0"),
        (("--measure", "mean:0:1:0"), "cells is 0, must be at least 1"),
        (("--measure", "mean:0:5:3:log"), "scale log needs low above 0"),
        (("--set", "dept=3"), "unknown key 'dept'; did you mean 'depth'"),
        (("--set", "cells=3"), "cells is for kind cvt"),
        (("--kind", "cvt", "--measure", "mean:::3:quantile"), "scale quantile, which is for kind"),
    ],
)
def test_what_cannot_be_mapped_is_said_in_a_sentence(
    invoke: Invoke, arguments: tuple[str, ...], complaint: str
) -> None:
    failed = invoke("remap", *arguments)
    assert failed.code == 2
    assert complaint in failed.err


def test_an_archive_that_is_not_there_is_named_with_those_that_are(invoke: Invoke) -> None:
    failed = invoke("heatmap", "--archive", "long")
    assert "run 1 has no archive 'long'; there are 0 (grid)" in failed.err


def test_measures_are_shown_beside_their_bounds(invoke: Invoke, searched: Path) -> None:
    rows = {row["name"]: row for row in invoke("show", "--json").json["measures"]}
    with open_reader(str(searched / "evolve.db")) as reader:
        means = [offer.measures["mean"] for offer in reader.offers(1)]
        middle = sorted(means)[len(means) // 2]
        narrow = [Measure("mean", middle, middle + 0.1, 3), Measure("residual", 0.0, 0.1, 3)]
        mean, residual = reader.measure_ranges(1, narrow)
        errors = [offer.metrics["residual"] for offer in reader.offers(1)]
    assert rows["mean"] == {
        "name": "mean",
        "least": min(means),
        "most": max(means),
        "below": sum(each < -20 for each in means),
        "above": sum(each > 20 for each in means),
    }
    assert mean.below == sum(each < middle for each in means) > 0
    assert mean.above == sum(each > middle + 0.1 for each in means) > 0
    assert (residual.least, residual.most) == (min(errors), max(errors))
    assert "above high" in invoke("show").out
