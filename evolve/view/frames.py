"""A map as it filled: one picture after the other, as files or as an animation."""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from evolve.archive.base import Archive
from evolve.core.measures import Objective
from evolve.view.plots import heatmap_figure
from evolve.view.projection import Scale
from evolve.view.style import save, style

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from PIL.Image import Image

FRAMES = 48
#: Milliseconds that a frame is shown, and the last one.
SHOWN_MS, LAST_MS = 120, 3000
#: Dots per inch and colours of an animation: small enough for a page.
DPI, COLORS = 80, 64


def moments(evaluations: int, frames: int = FRAMES) -> list[int]:
    """Return numbers of evaluations from 1 on, ascending, more of them early when most happens.

    Args:
        evaluations: The last one; at least 1.
        frames: How many there are at most.
    """
    shares = ((index / frames) ** 2 for index in range(1, frames + 1))
    return sorted({max(1, round(evaluations * share)) for share in shares})


def frames(
    history: Iterable[tuple[float, Archive]],
    objective: Objective,
    span: Scale,
    *,
    axes: tuple[str, str] | None = None,
    title: str = "",
) -> Iterator[tuple[int, Figure]]:
    """Draw an archive at several moments, all on one scale.

    Args:
        history: After how many evaluations, and the archive as it was; see
            `evolve.view.report.history`.
        objective: Turns fitness back into the values shown.
        span: What colours are spread over in every picture.
        axes: See `evolve.view.plots.heatmap_figure`.
        title: First line above each picture; the evaluations are added.

    Yields:
        The number of evaluations, and the picture.
    """
    for after, archive in history:
        counted = f"after {after:.0f} evaluation{'' if after == 1 else 's'}"
        caption = f"{title}, {counted}" if title else counted
        yield int(after), heatmap_figure(archive, objective, axes=axes, title=caption, span=span)


def save_frames(drawn: Iterable[tuple[int, Figure]], folder: Path) -> list[Path]:
    """Write PNG files that are named by the number of evaluations; return their paths."""
    paths = []
    for after, figure in drawn:
        paths.append(folder / f"{after:08}.png")
        save(figure, paths[-1])
    return paths


def save_animation(drawn: Iterable[tuple[int, Figure]], path: Path) -> None:
    """Write a GIF that repeats."""
    from PIL.Image import Dither

    images = [_image(figure) for _, figure in drawn]
    palette = images[-1].quantize(COLORS)
    first, *others = [image.quantize(palette=palette, dither=Dither.NONE) for image in images]
    path.parent.mkdir(parents=True, exist_ok=True)
    first.save(
        path,
        format="GIF",
        save_all=True,
        append_images=others,
        duration=[*[SHOWN_MS] * len(others), LAST_MS],
        loop=0,
        optimize=True,
    )


def _image(figure: Figure) -> Image:
    from PIL.Image import open as open_image

    with style(), io.BytesIO() as drawn:
        figure.savefig(drawn, format="png", dpi=DPI)
        return open_image(drawn).convert("RGB")
