"""A projected archive as characters: levels of pixels, then lines of text."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import groupby

import numpy as np
from numpy.typing import NDArray
from rich.text import Text

from evolve.view.projection import Projection, Scale

#: The colour map viridis (van der Walt and Smith) without its darkest end, worst to best.
COLORS = (
    "#472a7a",
    "#3e4c8a",
    "#306a8e",
    "#25848e",
    "#1f9f88",
    "#37b878",
    "#6ece58",
    "#b5de2b",
    "#fde725",
)
BEST_COLOR = "#ff3030"
#: The same levels where there is no colour.
CHARACTERS = ".:-=+*#%@"
BEST_CHARACTER = "X"
EMPTY, BEST = -1, len(COLORS)

#: Columns that a map with few cells is widened to.
COMFORTABLE_COLUMNS = 40


@dataclass(frozen=True, slots=True)
class Raster:
    """A map in pixels: half characters in colour, whole ones without.

    Attributes:
        pixels: `EMPTY`, a level (0 worst), or `BEST`; top row first.
        pooled: How many cells across and up share one pixel, which shows the best of them.
        color: Whether it is to be drawn in colour.
    """

    pixels: NDArray[np.int_]
    pooled: tuple[int, int]
    color: bool

    def lines(self) -> list[Text]:
        """Draw the pixels."""
        if not self.color:
            glyphs = dict(enumerate(CHARACTERS)) | {EMPTY: " ", BEST: BEST_CHARACTER}
            return [Text("".join(glyphs[level] for level in row)) for row in self.pixels.tolist()]
        padded = np.pad(self.pixels, ((0, len(self.pixels) % 2), (0, 0)), constant_values=EMPTY)
        return [
            Text.assemble(
                *(
                    _block(upper, lower, len(list(run)))
                    for (upper, lower), run in groupby(zip(*pair, strict=True))
                )
            )
            for pair in padded.reshape(-1, 2, padded.shape[1]).tolist()
        ]

    def best(self) -> tuple[int, int] | None:
        """Return line and column of the middle of the best cell; None on an empty map."""
        rows, columns = np.nonzero(self.pixels == BEST)
        if not len(rows):
            return None
        row, column = int(rows[len(rows) // 2]), int(np.median(columns))
        return (row // 2 if self.color else row), column


def rasterize(
    projection: Projection, span: Scale, *, columns: int, lines: int, color: bool
) -> Raster:
    """Turn a projected archive into at most ``columns`` by ``lines`` characters."""
    rows = lines * 2 if color else lines
    pool_x, pool_y = -(-projection.columns // columns), -(-projection.rows // rows)
    shape = -(-projection.rows // pool_y), -(-projection.columns // pool_x)
    levels = np.full(shape, EMPTY)
    for index, ((x, y), elite) in enumerate(projection.elites.items()):
        pixel = shape[0] - 1 - y // pool_y, x // pool_x
        level = min(int(span.fraction(elite.fitness) * len(COLORS)), len(COLORS) - 1)
        levels[pixel] = max(levels[pixel], level if index else BEST)
    wide = max(1, min(columns, COMFORTABLE_COLUMNS) // shape[1])
    # A character is about twice as high as wide; cells are drawn about twice as wide as high.
    high = max(1, min(rows // shape[0], wide // 2 if color else wide // 4))
    return Raster(levels.repeat(high, axis=0).repeat(wide, axis=1), (pool_x, pool_y), color)


def ramp(*, color: bool) -> Text:
    """Return the levels in a row, worst to best."""
    if not color:
        return Text(CHARACTERS)
    return Text.assemble(*(("██", shade) for shade in COLORS))


def _block(upper: int, lower: int, length: int) -> tuple[str, str]:
    """Return ``length`` characters that show one level above another, and their style."""
    shades = (*COLORS, BEST_COLOR)
    if upper == lower:
        return ("·" * length, "dim") if upper == EMPTY else ("█" * length, shades[upper])
    if lower == EMPTY:
        return "▀" * length, shades[upper]
    if upper == EMPTY:
        return "▄" * length, shades[lower]
    return "▀" * length, f"{shades[upper]} on {shades[lower]}"
