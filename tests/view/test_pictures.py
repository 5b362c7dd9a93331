"""Every kind of picture beside one that was looked at, and what is hard to draw.

`python -m tests.view.test_pictures` writes the pictures of ``baseline`` anew; look at them then.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from evolve.view.plots import heatmap_figure
from evolve.view.style import FORMATS, save, style
from tests.view.samples import BASELINES, GAIN, GRID, HARD, TITLE, filled

if TYPE_CHECKING:
    from matplotlib.figure import Figure

BASELINE = Path(__file__).with_name("baseline")
DPI, COLORS = 60, 48
#: Root mean square of what may differ, of 255: how text is smoothed, not where lines are.
TOLERANCE = 4.0


def drawn(figure: Figure) -> Image.Image:
    """Return a small picture of a figure, in few colours."""
    with style(), io.BytesIO() as file:
        figure.savefig(file, format="png", dpi=DPI)
        image = Image.open(file).convert("RGB")
    return image.quantize(COLORS, dither=Image.Dither.NONE)


def difference(one: Image.Image, other: Image.Image) -> float:
    """Return the root mean square difference of two pictures, their finest detail blurred."""
    if one.size != other.size:
        return 255.0
    a, b = (_blurred(image) for image in (one, other))
    return float(np.sqrt(np.mean((a - b) ** 2)))


def _blurred(image: Image.Image) -> NDArray[np.float64]:
    return np.asarray(image.convert("RGB").filter(ImageFilter.BoxBlur(2)), dtype=float)


@pytest.mark.parametrize("name", BASELINES)
def test_it_looks_as_it_did(name: str, tmp_path: Path) -> None:
    now = drawn(BASELINES[name]())
    with Image.open(BASELINE / f"{name}.png") as before:
        differs = difference(now, before)
    if differs > TOLERANCE:
        now.save(tmp_path / f"{name}.png")
    assert differs <= TOLERANCE, f"see {tmp_path / name}.png"


def test_pictures_that_differ_are_told_apart() -> None:
    """One elite more in a full map is enough, and so is every other picture of the same size."""
    archive = filled(GRID)
    before = drawn(heatmap_figure(archive, GAIN, title=TITLE))
    free = next(cell for cell in range(108) if not archive.occupants(cell))
    row, column = divmod(free, 9)
    archive.add(1000, 5.0, {"spread": (row + 0.5) / 12, "size": (column + 0.5) / 9 * 600})
    assert len(archive.occupants(free)) == 1
    after = drawn(heatmap_figure(archive, GAIN, title=TITLE))
    assert difference(before, after) > TOLERANCE
    pictures = {}
    for name in BASELINES:
        with Image.open(BASELINE / f"{name}.png") as image:
            pictures[name] = image.copy()
    for one, other in combinations(pictures.values(), 2):
        assert difference(one, other) > 2 * TOLERANCE


def test_baselines_are_small_and_all_are_used() -> None:
    files = list(BASELINE.iterdir())
    assert {file.stem for file in files} == set(BASELINES)
    assert sum(file.stat().st_size for file in files) < 500_000


@pytest.mark.parametrize("name", HARD)
def test_what_is_hard_to_draw_is_drawn(name: str, tmp_path: Path) -> None:
    save(HARD[name](), tmp_path / "hard.png")
    with Image.open(tmp_path / "hard.png") as image:
        assert len(np.unique(np.asarray(image.convert("L")))) > 20


@pytest.mark.parametrize("suffix", FORMATS)
@pytest.mark.parametrize("name", ["map_cvt", "score"])
def test_the_same_numbers_give_the_same_file(name: str, suffix: str, tmp_path: Path) -> None:
    make: Callable[[], Figure] = BASELINES[name]
    for number in range(2):
        save(make(), tmp_path / f"{number}{suffix}")
    first, second = ((tmp_path / f"{number}{suffix}").read_bytes() for number in range(2))
    assert first == second


def test_the_readers_own_settings_change_nothing(tmp_path: Path) -> None:
    import matplotlib as mpl

    make = BASELINES["score"]
    save(make(), tmp_path / "usual.svg")
    with mpl.rc_context({"font.size": 30, "axes.grid": True, "axes.facecolor": "red"}):
        save(make(), tmp_path / "other.svg")
        assert mpl.rcParams["font.size"] == 30
    assert (tmp_path / "usual.svg").read_bytes() == (tmp_path / "other.svg").read_bytes()


if __name__ == "__main__":
    BASELINE.mkdir(exist_ok=True)
    for name, make in BASELINES.items():
        drawn(make()).save(BASELINE / f"{name}.png", optimize=True)
