from __future__ import annotations

import json

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from rich.console import Console

from evolve.archive.grid import GridArchive
from evolve.archive.spec import ArchiveSpec
from evolve.core.errors import ConfigError
from evolve.core.measures import Measure, Objective
from evolve.view.heatmap import heatmap, heatmap_data
from evolve.view.projection import Scale, project, scale
from evolve.view.raster import BEST_CHARACTER, BEST_COLOR, CHARACTERS, COLORS

EXCESS = Objective("excess", "minimize")
GAIN = Objective("gain", "maximize")
SPREAD, LENGTH = Measure("spread", 0.0, 1.0, 4), Measure("length", 0.0, 600.0, 3)
DEPTH = Measure("depth", 0.0, 8.0, 4)


def archive_of(
    measures: list[Measure], objective: Objective, *rows: tuple[float, ...]
) -> GridArchive:
    """Return an archive of rows ``(objective, *measures)``; the key is the row's number."""
    archive = GridArchive(measures)
    for key, (value, *position) in enumerate(rows):
        named = {m.name: x for m, x in zip(measures, position, strict=True)}
        archive.add(key, objective.fitness(value), named)
    return archive


def plain(archive: GridArchive, objective: Objective, **options: object) -> list[str]:
    text = heatmap(archive, objective, color=False, **options)  # type: ignore[arg-type] # keywords
    return text.plain.split("\n")


SMALL = archive_of(
    [SPREAD, LENGTH],
    GAIN,
    (1.0, 0.1, 100.0),
    (9.0, 0.9, 100.0),
    (5.0, 0.1, 500.0),
    (7.5, 0.6, 900.0),
)


def test_a_small_map_without_colour() -> None:
    assert plain(SMALL, GAIN) == [
        "gain (maximize): 4 elites in 12 cells, coverage 0.333, best 9",
        "length",
        "600 |++++++++++          %%%%%%%%%%          ",
        "    |++++++++++          %%%%%%%%%%          ",
        "    |                                        ",
        "    |                                        ",
        "    |..........                    XXXXXXXXXX",
        "  0 |..........                    XXXXXXXXXX<",
        "    +----------------------------------^-----",
        "     0                spread                1",
        "1 .:-=+*#%@ 9   X best   blank empty",
        "best: program 1 at spread 0.9, length 100",
        "clipped at the bounds: length 1 above",
    ]


def test_brighter_is_better_when_minimising() -> None:
    archive = archive_of([SPREAD], EXCESS, (0.5, 0.1), (4.0, 0.4), (2.4, 0.6))
    lines = plain(archive, EXCESS)
    assert lines[1].strip() == "|XXXXXXXXXX..........++++++++++"
    assert "4 .:-=+*#%@ 0.5   X best   blank empty" in lines
    assert "best 0.5" in lines[0]


def test_colour_shows_two_cells_in_one_line() -> None:
    text = heatmap(SMALL, GAIN, color=True, lines=2)
    lines = text.split("\n")
    assert [line.plain[5:45] for line in lines[2:4]] == [
        "▀" * 10 + "·" * 10 + "▀" * 10 + "·" * 10,
        "▀" * 10 + "·" * 20 + "▀" * 10,
    ]
    styles = {str(span.style) for line in lines[2:4] for span in line.spans}
    assert styles == {COLORS[4], COLORS[7], COLORS[0], BEST_COLOR, "dim"}


def test_colour_puts_one_cell_over_another() -> None:
    archive = archive_of([SPREAD, LENGTH], GAIN, (1.0, 0.1, 300.0), (2.0, 0.1, 500.0))
    line = heatmap(archive, GAIN, lines=2).split("\n")[2]
    assert f"{BEST_COLOR} on {COLORS[0]}" in {str(span.style) for span in line.spans}


def test_an_empty_archive_is_drawn_as_empty() -> None:
    lines = plain(GridArchive([SPREAD, LENGTH]), GAIN)
    assert lines[0] == "gain (maximize): 0 elites in 12 cells, coverage 0"
    assert not any(set(line) & {*CHARACTERS[2:], BEST_CHARACTER} for line in lines[2:-3])
    assert "best" not in "\n".join(lines)


@pytest.mark.parametrize("color", [True, False])
def test_a_single_elite_in_a_single_cell(color: bool) -> None:
    archive = archive_of([Measure("only", 0.0, 1.0, 1)], GAIN, (3.0, 0.5))
    text = heatmap(archive, GAIN, color=color).plain
    assert text.startswith("gain (maximize): 1 elite in 1 cells, coverage 1, best 3\n")
    assert ("█" if color else BEST_CHARACTER) * 40 in text


def test_more_than_two_measures_are_projected_on_the_best_over_the_others() -> None:
    archive = archive_of(
        [SPREAD, LENGTH, DEPTH],
        GAIN,
        (1.0, 0.1, 100.0, 1.0),
        (8.0, 0.1, 500.0, 1.0),
        (3.0, 0.9, 100.0, 7.0),
        (2.0, 0.9, 500.0, 7.0),
    )
    projection = project(archive, ("depth", "spread"))
    assert {place: elite.key for place, elite in projection.elites.items()} == {
        (0, 0): 1,
        (3, 3): 2,
    }
    lines = plain(archive, GAIN, axes=("depth", "spread"))
    assert "each cell shows the best over length" in lines
    assert lines[1] == "spread"
    assert "depth" in lines[-4]
    assert plain(archive, GAIN) == plain(archive, GAIN, axes=("spread", "length"))


def test_axes_that_do_not_exist_are_refused_with_the_nearest_name() -> None:
    with pytest.raises(ConfigError, match=r"'lenght' is no measure .* did you mean 'length'"):
        heatmap(SMALL, GAIN, axes=("spread", "lenght"))
    with pytest.raises(ConfigError, match="both axes are 'length'; name two of: spread, length"):
        heatmap_data(SMALL, GAIN, ("length", "length"))


def test_a_large_map_is_pooled_to_fit_and_says_so() -> None:
    measures = [Measure("x", 0.0, 1.0, 200), Measure("y", 0.0, 1.0, 100)]
    archive = archive_of(measures, GAIN, (1.0, 0.001, 0.999), (5.0, 0.004, 0.999), (2.0, 0.9, 0.0))
    lines = plain(archive, GAIN)
    assert "each mark shows the best of 3 x 5 cells" in lines
    assert lines[2].startswith("1 |X ")
    few = plain(archive, GAIN, lines=4)
    assert "each mark shows the best of 3 x 25 cells" in few
    assert len([line for line in few if " |" in line]) == 4


def test_a_few_terrible_values_share_the_lowest_level_and_the_bar_says_so() -> None:
    values = [1.0, 1.1, 1.2, 1.3, 1.4, 1.5, 1.6, 1e6]
    strip = [Measure("x", 0.0, 8.0, 8)]
    archive = archive_of(strip, EXCESS, *((v, i + 0.5) for i, v in enumerate(values)))
    assert ">= 2.05 .:-=+*#%@ 1 " in "\n".join(plain(archive, EXCESS))
    archive = archive_of(strip, GAIN, *((-v, i + 0.5) for i, v in enumerate(values)))
    assert "<= -2.05 .:-=+*#%@ -1 " in "\n".join(plain(archive, GAIN))


@given(st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=1, max_size=8))
@example([0.0, 1.0, 1.0, 1.0])
@example([1.5e-323, 2e-323, 2.5e-323])
@example([-1.7e308, 0.0, 1.7e308])
def test_any_finite_values_have_a_scale(values: list[float]) -> None:
    strip = [Measure("x", 0.0, 8.0, 8)]
    archive = archive_of(strip, GAIN, *((v, i + 0.5) for i, v in enumerate(values)))
    span = scale(archive)
    fractions = [span.fraction(elite.fitness) for elite in archive]
    assert all(0 <= fraction <= 1 for fraction in fractions)
    assert fractions == sorted(fractions, reverse=True)
    assert fractions[0] == 1
    assert heatmap(archive, GAIN, color=False)


def test_a_scale_without_range_is_full() -> None:
    assert Scale(2.0, 2.0, open_below=False).fraction(2.0) == 1.0


MEASURES = st.lists(
    st.builds(
        lambda name, low, size, cells: Measure(name, low, low + size, cells),
        st.text("ab_", min_size=1, max_size=80),
        st.floats(-1e9, 1e9),
        st.floats(1e-3, 1e9),
        st.integers(1, 150),
    ),
    min_size=1,
    max_size=3,
    unique_by=lambda measure: measure.name,
)


@settings(max_examples=40)
@given(
    measures=MEASURES,
    rows=st.lists(st.tuples(st.floats(-1e6, 1e6), *[st.floats(-0.2, 1.2)] * 3), max_size=20),
    width=st.integers(48, 80),
    color=st.booleans(),
    lines=st.integers(1, 30),
)
def test_it_stays_within_its_room_and_says_what_was_clipped(
    measures: list[Measure],
    rows: list[tuple[float, ...]],
    width: int,
    color: bool,
    lines: int,
) -> None:
    archive = archive_of(
        measures,
        EXCESS,
        *(
            (value, *(m.low + x * (m.high - m.low) for m, x in zip(measures, at, strict=False)))
            for value, *at in rows
        ),
    )
    text = heatmap(archive, EXCESS, width=width, color=color, lines=lines).plain
    drawn = text.split("\n")
    assert max(map(len, drawn)) <= width
    assert color or text.isascii()
    frame = "│" if color else "|"
    assert 1 <= sum(f" {frame}" in line for line in drawn) <= lines
    assert ("clipped" in text) == any(map(any, archive.clipped.values()))
    if len(archive):
        assert any(line.endswith("◂" if color else "<") for line in drawn)


def test_it_is_the_same_text_when_piped() -> None:
    console = Console(force_terminal=False, width=80, color_system=None)
    with console.capture() as capture:
        console.print(heatmap(SMALL, GAIN, color=False))
    assert capture.get().splitlines() == plain(SMALL, GAIN)


def test_data_has_documented_keys_and_true_values() -> None:
    archive = archive_of(
        [SPREAD, LENGTH, DEPTH], EXCESS, (4.0, 0.9, 900.0, 1.0), (3.0, 0.9, 100.0, 1.0)
    )
    data = heatmap_data(archive, EXCESS, ("length", "spread"))
    assert json.loads(json.dumps(data)) == data
    assert data == {
        "objective": {"name": "excess", "direction": "minimize", "unit": ""},
        "axes": [
            {
                "name": "length",
                "unit": "",
                "low": 0.0,
                "high": 600.0,
                "edges": [0.0, 200.0, 400.0, 600.0],
                "scale": "linear",
                "clipped": {"below": 0, "above": 1},
            },
            {
                "name": "spread",
                "unit": "",
                "low": 0.0,
                "high": 1.0,
                "edges": [0.0, 0.25, 0.5, 0.75, 1.0],
                "scale": "linear",
                "clipped": {"below": 0, "above": 0},
            },
        ],
        "cells": [
            {"x": 0, "y": 3, "objective": 3.0, "program": 1},
            {"x": 2, "y": 3, "objective": 4.0, "program": 0},
        ],
        "best": {"x": 0, "y": 3, "objective": 3.0, "program": 1},
        "hidden": ["depth"],
        "kind": "grid",
        "stats": {
            "num_elites": 2,
            "cells": 48,
            "coverage": 2 / 48,
            "qd_score": -7.0,
            "norm_qd_score": -7.0 / 48,
            "best": 3.0,
            "mean": 3.5,
        },
    }


def test_data_of_an_empty_archive_and_of_a_single_axis() -> None:
    data = heatmap_data(GridArchive([SPREAD]), GAIN)
    assert (data["cells"], data["best"], data["hidden"]) == ([], None, [])
    data = heatmap_data(archive_of([SPREAD], GAIN, (1.0, 0.6)), GAIN)
    assert data["cells"] == [{"x": 2, "y": 0, "objective": 1.0, "program": 0}]


def test_scales_and_kinds_are_named() -> None:
    sizes = Measure("size", 1.0, 1000.0, 3, "log")
    lines = plain(archive_of([sizes, LENGTH], GAIN, (1.0, 5.0, 1.0)), GAIN)
    assert any("size (log)" in line for line in lines)
    uncut = Measure("size", 1.0, 1000.0, 3, "quantile")
    assert "size (quantile, not cut yet)" in heatmap(GridArchive([uncut]), GAIN, color=False).plain
    novel = ArchiveSpec((SPREAD, LENGTH), kind="novelty", threshold=0.1).build()
    novel.add(1, 2.0, {"spread": 0.3, "length": 50.0})
    text = heatmap(novel, GAIN, color=False).plain
    assert text.startswith("gain (maximize): 1 elite, each in a niche of its own, best 2")
    assert "niches, shown where the measures of their elites lie" in text
    spec = ArchiveSpec((SPREAD, LENGTH), kind="cvt", centroids=((0.1, 0.1), (0.9, 0.9)))
    assert "CVT cells, shown where" in heatmap(spec.build(), GAIN, color=False).plain
    assert heatmap_data(novel, GAIN)["kind"] == "novelty"


def test_cells_of_several_elites_are_counted_apart() -> None:
    deep = GridArchive([SPREAD], depth=2)
    for key in range(3):
        deep.add(key, float(key), {"spread": 0.1 + 0.01 * key})
    assert "2 elites in 1 of 4 cells, coverage 0.25" in heatmap(deep, GAIN, color=False).plain
