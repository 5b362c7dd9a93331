from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure
from numpy.typing import NDArray

from evolve.archive.grid import GridArchive
from evolve.core.errors import ConfigError, PrerequisiteError
from evolve.core.measures import Measure, Objective
from evolve.view.plots import heatmap_figure, save_heatmap

SPREAD, LENGTH = Measure("spread", 0.0, 1.0, 4), Measure("code_length", 0.0, 600.0, 3)
DEPTH = Measure("depth", 0.0, 8.0, 4)
GAIN, EXCESS = Objective("gain"), Objective("excess", "minimize")


def archive_of(
    measures: list[Measure], objective: Objective, *rows: tuple[float, ...]
) -> GridArchive:
    archive = GridArchive(measures)
    for key, (value, *position) in enumerate(rows):
        named = {m.name: x for m, x in zip(measures, position, strict=True)}
        archive.add(key, objective.fitness(value), named)
    return archive


def values_of(figure: Figure) -> NDArray[np.float64]:
    """Return what the cells show, NaN where they are empty."""
    array = figure.axes[0].collections[0].get_array()
    assert isinstance(array, np.ma.MaskedArray)
    return np.asarray(array.filled(np.nan))


ROWS = ((1.0, 0.1, 100.0), (9.0, 0.9, 100.0), (5.0, 0.1, 900.0))


@pytest.mark.parametrize("objective", [GAIN, EXCESS])
def test_cells_edges_labels_and_the_best_are_where_they_belong(objective: Objective) -> None:
    archive = archive_of([SPREAD, LENGTH], objective, *ROWS)
    figure = heatmap_figure(archive, objective, title="a $ run", record=4.0)
    plot, bar = figure.axes
    assert (plot.get_xlabel(), plot.get_ylabel()) == ("spread", "code_length")
    mesh = plot.collections[0]
    expected = np.full((3, 4), np.nan)
    expected[0, 0], expected[0, 3], expected[2, 0] = 1.0, 9.0, 5.0
    np.testing.assert_array_equal(values_of(figure), expected)
    assert mesh.get_clim() == (1.0, 9.0)
    corners = mesh.get_coordinates()  # type: ignore[attr-defined] # a QuadMesh
    assert corners[0, :, 0].tolist() == SPREAD.edges()
    assert corners[:, 0, 1].tolist() == LENGTH.edges()
    star = plot.lines[0].get_xydata()
    best_x = 0.875 if objective is GAIN else 0.125
    assert np.asarray(star).tolist() == [[best_x, 100.0]]
    assert plot.get_title().startswith("a $ run\n3 of 12 cells")
    assert "best known 4" in plot.get_title()
    direction = "higher" if objective is GAIN else "lower"
    assert bar.get_ylabel() == f"{objective.name}\n({direction} is better)"
    assert [line.get_ydata() for line in bar.lines if line.get_color() == "black"] == [[4.0, 4.0]]
    assert "code_length 1" in figure.get_supxlabel()


@pytest.mark.parametrize("objective", [GAIN, EXCESS])
def test_better_is_brighter(objective: Objective) -> None:
    archive = archive_of([SPREAD, LENGTH], objective, *ROWS)
    mesh = heatmap_figure(archive, objective).axes[0].collections[0]
    low, high = (np.sum(mesh.to_rgba(np.array([value]))[0, :3]) for value in (1.0, 9.0))
    assert (high > low) == (objective is GAIN)


def test_very_bad_values_lie_beyond_a_pointed_end() -> None:
    strip = Measure("x", 0.0, 9.0, 9)
    rows = [(float(i), i + 0.5) for i in range(8)] + [(1e6, 8.5)]
    figure = heatmap_figure(archive_of([strip], EXCESS, *rows), EXCESS)
    assert figure.axes[0].collections[0].get_clim() == (0.0, 12.0)


def test_one_measure_is_a_strip_and_three_are_projected() -> None:
    strip = heatmap_figure(archive_of([SPREAD], GAIN, (1.0, 0.6)), GAIN)
    assert strip.axes[0].get_ylabel() == ""
    assert values_of(strip).shape == (1, 4)
    archive = archive_of([SPREAD, LENGTH, DEPTH], GAIN, (1.0, 0.1, 1.0, 1.0), (2.0, 0.1, 1.0, 7.0))
    figure = heatmap_figure(archive, GAIN, axes=("code_length", "spread"))
    assert figure.axes[0].get_xlabel() == "code_length"
    assert values_of(figure)[0].tolist() == pytest.approx([2.0, *[np.nan] * 2], nan_ok=True)
    assert "best over depth" in figure.get_supxlabel()


@pytest.mark.parametrize("suffix", [".png", ".svg", ".pdf"])
def test_files_of_each_format_are_made(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / "new" / f"map{suffix}"
    save_heatmap(archive_of([SPREAD, LENGTH], GAIN, *ROWS), GAIN, path, title="run 1")
    start = {".png": b"\x89PNG", ".svg": b"<?xml", ".pdf": b"%PDF"}[suffix]
    assert path.read_bytes().startswith(start)


@pytest.mark.parametrize("values", [[3.0], [2.0, 2.0], [0.0, 1.0, 1.0, 1.0]])
def test_values_without_a_range_make_a_picture(values: list[float], tmp_path: Path) -> None:
    rows = [(value, index + 0.5) for index, value in enumerate(values)]
    archive = archive_of([Measure("x", 0.0, 9.0, 9)], GAIN, *rows)
    save_heatmap(archive, GAIN, tmp_path / "map.png", record=2.0)
    assert (tmp_path / "map.png").stat().st_size > 1000


def test_an_empty_archive_makes_a_picture(tmp_path: Path) -> None:
    save_heatmap(GridArchive([SPREAD, LENGTH]), GAIN, tmp_path / "map.png")
    assert (tmp_path / "map.png").stat().st_size > 1000


def test_another_suffix_is_refused_before_anything_is_drawn(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"cannot draw map\.bmp; name it \.png, \.svg, \.pdf"):
        save_heatmap(GridArchive([SPREAD]), GAIN, tmp_path / "map.bmp")


def test_without_matplotlib_the_error_names_the_extra(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(PrerequisiteError, match=r"pip install 'evolve-engine\[plot\]'"):
        save_heatmap(GridArchive([SPREAD]), GAIN, tmp_path / "map.png")
