from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.path import Path as MplPath
from numpy.typing import NDArray

from evolve.archive.base import Archive
from evolve.archive.grid import GridArchive
from evolve.archive.spec import ArchiveSpec
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
    assert plot.get_title("left").startswith("a $ run\n3 of 12 cells")
    assert "best known 4" in plot.get_title("left")
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


TIMES = Measure("time", 1.0, 1000.0, 3, "log")
PARTS = Measure("parts", 0.0, 90.0, 3, "quantile", (10.0, 30.0))
CENTROIDS = ((0.25, 0.5), (0.75, 0.25), (0.75, 0.75))


def offered(spec: ArchiveSpec, *rows: tuple[float, float, float]) -> Archive:
    archive = spec.build()
    for key, (value, x, y) in enumerate(rows):
        archive.add(key, value, {spec.measures[0].name: x, spec.measures[1].name: y})
    return archive


def test_scaled_axes_have_true_edges_and_cells_that_look_equal() -> None:
    archive = offered(ArchiveSpec((TIMES, PARTS)), (1.0, 5.0, 20.0), (2.0, 500.0, 80.0))
    figure = heatmap_figure(archive, GAIN)
    plot = figure.axes[0]
    corners = plot.collections[0].get_coordinates()  # type: ignore[attr-defined] # a QuadMesh
    np.testing.assert_allclose(corners[0, :, 0], [1.0, 10.0, 100.0, 1000.0])
    assert corners[:, 0, 1].tolist() == [0.0, 10.0, 30.0, 90.0]
    assert (plot.get_xlabel(), plot.get_ylabel()) == ("time (log)", "parts (quantile)")
    assert (plot.get_xlim(), plot.get_ylim()) == ((1.0, 1000.0), (0.0, 90.0))
    shown = plot.transData.transform(np.column_stack([corners[0, :, 0], corners[:, 0, 1]]))
    for axis in (0, 1):
        widths = np.diff(shown[:, axis])
        np.testing.assert_allclose(widths, widths[0])
    star = np.asarray(plot.lines[0].get_xydata())
    np.testing.assert_allclose(star, [[10**2.5, 60.0]])


def test_cells_around_centroids_are_drawn_as_they_are() -> None:
    spec = ArchiveSpec((SPREAD, TIMES), kind="cvt", centroids=CENTROIDS)
    archive = offered(spec, (1.0, 0.1, 5.0), (2.0, 0.9, 900.0))
    plot = heatmap_figure(archive, GAIN).axes[0]
    polygons = plot.collections[0]
    values = polygons.get_array()
    assert isinstance(values, np.ma.MaskedArray)
    assert values.tolist() == [1.0, None, 2.0]
    corners = [np.asarray(path.vertices) for path in polygons.get_paths()]
    for x, y in np.random.default_rng(0).random((200, 2)).tolist():
        cell = int(np.square(np.array(CENTROIDS) - (x, y)).sum(axis=1).argmin())
        place = SPREAD.value(x), TIMES.value(y)
        log_corners = np.column_stack([corners[cell][:, 0], np.log(corners[cell][:, 1])])
        assert MplPath(log_corners).contains_point((place[0], np.log(place[1])), radius=1e-9)
    np.testing.assert_allclose(np.asarray(plot.lines[0].get_xydata()), [[0.75, 10**2.25]])


def test_niches_are_points_where_their_elites_lie() -> None:
    spec = ArchiveSpec((SPREAD, LENGTH), kind="novelty", threshold=0.2)
    archive = offered(spec, (1.0, 0.1, 100.0), (9.0, 0.9, 900.0))
    figure = heatmap_figure(archive, GAIN)
    points = figure.axes[0].collections[0]
    assert np.asarray(points.get_offsets()).tolist() == [[0.1, 100.0], [0.9, 600.0]]
    assert np.asarray(points.get_array()).tolist() == [1.0, 9.0]
    assert "2 niches" in figure.axes[0].get_title("left")
    assert heatmap_figure(spec.build(), GAIN)


def test_more_than_two_measures_around_centroids_are_points() -> None:
    spec = ArchiveSpec((SPREAD, LENGTH, DEPTH), kind="cvt", centroids=((0.2, 0.2, 0.2),))
    archive = spec.build()
    archive.add(1, 1.0, {"spread": 0.3, "code_length": 10.0, "depth": 2.0})
    plot = heatmap_figure(archive, GAIN, axes=("depth", "spread")).axes[0]
    assert np.asarray(plot.collections[0].get_offsets()).tolist() == [[2.0, 0.3]]
