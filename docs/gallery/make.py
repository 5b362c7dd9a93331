"""Make the pictures of docs/gallery.md: run two searches, then draw them. About six minutes.

python docs/gallery/make.py [--db FILE] [--noise-db FILE]
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

from PIL import Image

HERE = Path(__file__).parent
PICTURES = HERE.parent / "images" / "gallery"
RUN = "gallery"
#: A run whose scores vary, and what is drawn of it.
NOISE, NOISY = "noise", ("gap", "score")
#: Colours of a picture's palette: enough for a map and its smoothed text.
COLORS = 128
#: Further maps of the run, by name: the arguments of `evolve remap`.
MAPS = {
    "cvt": ("--kind", "cvt", "--set", "cells=150"),
    "scales": (
        "--measure", "asymmetry:0:1:16", "--measure", "ast_nodes:20:300:12:log",
        "--measure", "code_length:100:4000:12:sqrt", "--measure", "cyclomatic_complexity:0:12:12",
    ),
}  # fmt: skip


def evolve(*arguments: str | Path) -> None:
    """Run a command as a reader would."""
    print("evolve", *arguments, flush=True)
    command = "from evolve.cli.app import main; main()"
    subprocess.run([sys.executable, "-c", command, *map(str, arguments)], check=True)


def draw(db: Path) -> None:
    """Draw every picture of the run in a database."""
    at = ("--db", db)
    for name, options in MAPS.items():
        evolve("remap", RUN, *options, "--save", name, *at)
    evolve("plot", RUN, "-o", PICTURES, *at)
    for name in MAPS:
        evolve("heatmap", RUN, "--archive", name, "--png", PICTURES / f"map_{name}.png", *at)
    evolve("plot", RUN, "parallel", "--archive", "scales", "-o", PICTURES / "parallel.png", *at)
    evolve("heatmap", RUN, "--gif", PICTURES / "filling.gif", *at)


def draw_noise(db: Path) -> None:
    """Draw what is different about a run whose scores vary."""
    for kind in NOISY:
        evolve("plot", NOISE, kind, "-o", PICTURES / f"noise_{kind}.png", "--db", db)


def compress() -> None:
    """Give every picture a palette, which makes it a third as large."""
    for path in sorted(PICTURES.glob("*.png")):
        with Image.open(path) as image:
            small = image.convert("RGB").quantize(COLORS, dither=Image.Dither.NONE)
        small.save(path, optimize=True)
    total = sum(path.stat().st_size for path in PICTURES.iterdir())
    print(f"{total / 1000:.0f} kB in {PICTURES}")


def main() -> None:
    """Search, unless databases are given that hold the runs already, and draw."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--db", type=Path, help="database with the run; default: a new one")
    parser.add_argument("--noise-db", type=Path, help="the same of the noisy run")
    given = parser.parse_args()
    runs = ((RUN, given.db, draw), (NOISE, given.noise_db, draw_noise))
    with tempfile.TemporaryDirectory() as folder:
        for name, known, draws in runs:
            db = known or Path(folder) / f"{name}.db"
            if known is None:
                evolve("run", HERE / f"{name}.yaml", "--db", db)
            draws(db)
    compress()


if __name__ == "__main__":
    main()
