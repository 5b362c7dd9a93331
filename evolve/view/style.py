"""One look for every picture, and files that come out the same every time.

Colours are told apart by colour-blind readers and, with dashes and markers, in greyscale; text in
PDF files is text (TrueType), in SVG files outlines, so that both print alike everywhere.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from evolve.core.errors import ConfigError, PrerequisiteError
from evolve.core.measures import Objective

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

FORMATS = (".png", ".svg", ".pdf")
DPI = 150
#: Inches; one column of a page.
WIDTH, HEIGHT = 6.4, 4.2
#: Characters of a line of the title and of the notes below a picture.
TITLE_CHARACTERS, NOTE_CHARACTERS = 72, 96

#: Beyond this, matplotlib's arithmetic overflows.
HUGE = 1e300
#: Inches from a plot to its legend: ticks and label lie between.
LEGEND_BELOW = 0.5

INK, QUIET, FAINT = "0.1", "0.4", "0.85"
#: What stands for nothing: hatched, so that in greyscale too it is no value of the colour map.
EMPTY_COLOR, HATCH, HATCH_COLOR = "white", "////", "0.82"


class Stroke(NamedTuple):
    """How one of several lines is drawn: by colour, dashes and marker at once."""

    color: str
    dashes: Any
    marker: str


#: Okabe and Ito's colours but yellow, darkest first.
STROKES = (
    Stroke("#0072b2", "-", "o"),
    Stroke("#d55e00", (0, (5, 1.5)), "s"),
    Stroke("#009e73", (0, (1, 1)), "^"),
    Stroke("#cc79a7", (0, (6, 1.5, 1, 1.5)), "D"),
    Stroke("#e69f00", (0, (3, 1, 1, 1, 1, 1)), "v"),
    Stroke("#56b4e9", (0, (8, 3)), "P"),
)
#: For areas and bars: the same colours with hatches that are told apart in greyscale.
HATCHES = ("", "////", "....", "\\\\\\\\", "xxxx", "----")
RECORD: dict[str, Any] = {"color": INK, "linewidth": 1.0, "linestyle": (0, (4, 2))}

_SETTINGS: Any = {
    "font.family": ["DejaVu Sans"],
    "font.size": 9.0,
    "axes.titlesize": 10.0,
    "axes.titlelocation": "left",
    "axes.labelsize": 9.0,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": QUIET,
    "axes.axisbelow": True,
    "axes.formatter.useoffset": False,
    "axes.formatter.limits": (-4, 6),
    "grid.color": "0.9",
    "grid.linewidth": 0.6,
    "xtick.color": QUIET,
    "ytick.color": QUIET,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "legend.frameon": False,
    "legend.fontsize": 8.0,
    "hatch.linewidth": 0.6,
    "figure.facecolor": "white",
    "savefig.facecolor": "white",
    "pdf.fonttype": 42,
    "svg.fonttype": "path",
    "svg.hashsalt": "evolve",
    "path.simplify": True,
}
#: Without dates, so that the same run gives the same file.
_METADATA: dict[str, dict[str, Any]] = {
    ".png": {"Software": None},
    ".svg": {"Date": None},
    ".pdf": {"CreationDate": None},
}


@contextmanager
def style() -> Iterator[None]:
    """Draw in the look of this package, whatever the reader's own settings are.

    Raises:
        PrerequisiteError: matplotlib is not installed.
    """
    try:
        import matplotlib as mpl
        import matplotlib.figure
    except ImportError:
        raise PrerequisiteError(
            "pictures need matplotlib: pip install 'evolve-engine[plot]'"
        ) from None
    with mpl.rc_context():
        mpl.rcdefaults()
        mpl.rcParams.update(_SETTINGS)
        yield


def new_figure(*, width: float = WIDTH, height: float = HEIGHT) -> Figure:
    """Return an empty figure, which needs no display and leaves no global state."""
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained")


def check_format(path: Path) -> None:
    """Refuse a file name whose suffix is no format of pictures.

    Raises:
        ConfigError: it is none of .png, .svg and .pdf.
    """
    if path.suffix.lower() not in FORMATS:
        raise ConfigError(f"cannot draw {path.name}; name it {', '.join(FORMATS)}")


def save(figure: Figure, path: Path) -> None:
    """Write a figure in the format that the file's suffix names; its folder is made.

    Raises:
        ConfigError: the suffix is none of .png, .svg and .pdf.
    """
    check_format(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    with style():
        figure.savefig(path, dpi=DPI, metadata=_METADATA[path.suffix.lower()])


def set_title(plot: Axes, title: str, figures: str = "") -> None:
    """Write a title above a plot, and in a lighter line below it what it comes to."""
    lines = [wrapped(line, TITLE_CHARACTERS) for line in (title, figures) if line]
    plot.set_title("\n".join(lines), parse_math=False)


def set_note(figure: Figure, *notes: str) -> None:
    """Write what a reader must know below a figure."""
    text = "; ".join(filter(None, notes))
    if text:
        text = wrapped(text, NOTE_CHARACTERS)
        figure.supxlabel(text, fontsize=8, color=QUIET, parse_math=False)


def set_legend(plot: Axes, columns: int, *others: Axes) -> None:
    """Put the legend of a plot, and of others, below it and its label, where it covers no data."""
    from matplotlib.transforms import ScaledTranslation

    assert plot.figure is not None
    below = ScaledTranslation(0, -LEGEND_BELOW, plot.figure.dpi_scale_trans)
    named: dict[str, Any] = {}
    for each in (*others, plot):
        for handle, name in zip(*each.get_legend_handles_labels(), strict=True):
            named.setdefault(name, handle)
    plot.legend(
        named.values(),
        named.keys(),
        loc="upper center",
        bbox_to_anchor=(0.5, 0.0),
        bbox_transform=plot.transAxes + below,
        ncols=columns,
        borderaxespad=0.0,
    )


def plain_log_ticks(axis: Any, low: float, high: float) -> None:  # noqa: ANN401 - an Axis
    """Write the values on a logarithmic axis as plain numbers; few decades have ticks within."""
    from matplotlib.ticker import LogLocator, NullFormatter

    axis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0) if high / low < 200 else (1.0,)))
    axis.set_major_formatter("{x:g}")
    axis.set_minor_formatter(NullFormatter())


def whole_ticks(axis: Any) -> None:  # noqa: ANN401 - an Axis of either direction
    """Put ticks at whole numbers only."""
    from matplotlib.ticker import MaxNLocator

    axis.set_major_locator(MaxNLocator(nbins="auto", integer=True, steps=[1, 2, 2.5, 5, 10]))


def set_label(axis: Any, text: str) -> None:  # noqa: ANN401 - an Axis of either direction
    """Name an axis; a name that is too long for it is broken."""
    axis.set_label_text(wrapped(text, 48), parse_math=False)


def drawable(values: ArrayLike) -> NDArray[np.float64]:
    """Return values with huge ones brought to where differences of two are still finite."""
    clipped: NDArray[np.float64] = np.clip(np.asarray(values, dtype=float), -HUGE, HUGE)
    return clipped


def wrapped(text: str, characters: int) -> str:
    """Return ``text`` in lines of at most so many characters, broken after underscores too."""
    parted = textwrap.fill(text.replace("_", "_ "), characters, break_on_hyphens=False)
    return parted.replace("_ ", "_")


def shortened(text: str, characters: int = 28) -> str:
    """Return ``text`` with its middle left out if it is longer: ends tell names apart."""
    if len(text) <= characters:
        return text
    tail = characters // 2
    return f"{text[: characters - tail - 1]}…{text[-tail:]}"


def counted(count: int, thing: str) -> str:
    """Return a number of things in words."""
    return f"{count} {thing}" if count == 1 else f"{count} {thing}s"


def better(objective: Objective) -> str:
    """Say which way an objective is better."""
    return f"{'higher' if objective.direction == 'maximize' else 'lower'} is better"
