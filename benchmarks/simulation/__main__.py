"""How many slots one controller keeps busy, and what several of them do: a simulation.

    python -m benchmarks.simulation [SLOTS ...] [--shards N ...] [--json FILE] [--picture FILE]

The controller is the real one: loop, prompts, patches, archive, journal and ledger, on a database
file. Slots, evaluations and model are simulated (`benchmarks/simulation/world.py`), and time is
virtual: it jumps where the controller would wait, and passes as the controller uses its CPU. So a
run on thousands of slots takes as long as the controller's own work does. A controller that is
saturated stays so however many slots it is given, so larger runs take no longer.

What the controller pays for calls and evaluations in libraries that the simulation leaves out is
measured first (`benchmarks/simulation/outside.py`) and charged to it; `--free` leaves it out.

With `--shards` the slots of every run are split among so many controllers, each with islands and a
database of its own: one of them is simulated, the others do the same.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from benchmarks.simulation.outside import measure
from benchmarks.simulation.point import Seen, simulate
from benchmarks.simulation.world import Latency, World

SLOTS = (1, 10, 100, 300, 1_000, 3_000, 10_000, 30_000, 100_000)


def table(points: Sequence[tuple[int, Seen]]) -> str:
    """Return what was seen as a table."""
    head = (
        "| slots | controllers | evaluations/s | slots busy | controller at work | "
        "ms of it for one |\n"
        "|---:|---:|---:|---:|---:|---:|"
    )
    rows = [
        f"| {shards * seen.slots:,} | {shards} | {shards * seen.rate:.1f} | "
        f"{seen.busy:.1%} | {seen.load:.1%} | {seen.cost_ms:.2f} |"
        for shards, seen in points
    ]
    return "\n".join([head, *rows])


def draw(points: Sequence[tuple[int, Seen]], evaluation_s: float, path: Path) -> None:
    """Draw the share of busy slots over their number, a line for each number of controllers."""
    from matplotlib.figure import Figure

    from evolve.view.style import HEIGHT, QUIET, STROKES, WIDTH

    figure = Figure(figsize=(WIDTH, HEIGHT), layout="constrained", dpi=150)
    axes = figure.add_subplot()
    for number, shards in enumerate(sorted({each for each, _ in points})):
        mine = [seen for each, seen in points if each == shards]
        stroke = STROKES[number % len(STROKES)]
        axes.plot(
            [shards * seen.slots for seen in mine],
            [100 * seen.busy for seen in mine],
            color=stroke.color,
            linestyle=stroke.dashes,
            marker=stroke.marker,
            label=f"{shards} controller{'s' if shards > 1 else ''}",
        )
    for mark in (95, 50):
        axes.axhline(mark, color=QUIET, linewidth=0.6, linestyle=":")
    axes.set_xscale("log")
    axes.set_xlabel("slots")
    axes.set_ylabel("slots busy, %")
    axes.set_ylim(0, 103)
    axes.set_title(f"Evaluations of {evaluation_s:g} s: what a controller keeps busy")
    axes.legend(frameon=False)
    figure.savefig(path)


def main() -> None:
    """Simulate, print a table, and write what is asked for."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("slots", type=int, nargs="*", default=SLOTS)
    parser.add_argument("--shards", type=int, nargs="+", default=[1], help="controllers")
    parser.add_argument("--evaluation", type=float, default=10.0, help="seconds, on average")
    parser.add_argument("--model", type=float, default=8.0, help="seconds, on average")
    parser.add_argument("--warm", type=float, default=40.0, help="virtual seconds not counted")
    parser.add_argument("--seconds", type=float, default=30.0, help="virtual seconds counted")
    parser.add_argument("--free", action="store_true", help="charge nothing for what is left out")
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    parser.add_argument("--picture", type=Path, help="draw them into this file")
    options = parser.parse_args()
    left_out = measure() if not options.free else None
    if left_out is not None:
        print(
            f"charged: {1e3 * left_out.call_s:.2f} ms for a model call, "
            f"{1e3 * left_out.slot_s:.2f} ms for an evaluation",
            file=sys.stderr,
        )
    world = World(
        evaluation=Latency(options.evaluation),
        model=Latency(options.model),
        call_cpu_s=left_out.call_s if left_out else 0.0,
        slot_cpu_s=left_out.slot_s if left_out else 0.0,
    )
    points: list[tuple[int, Seen]] = []
    for shards in options.shards:
        for slots in options.slots:
            if slots < shards:
                continue
            seen = simulate(slots // shards, world, warm_s=options.warm, seconds=options.seconds)
            points.append((shards, seen))
            print(f"{slots} slots, {shards} controllers: {seen.rate:.1f}/s each", file=sys.stderr)
    print(table(points))
    if options.json:
        figures = [{"controllers": shards, **asdict(seen)} for shards, seen in points]
        options.json.write_text(json.dumps(figures, indent=1) + "\n")
    if options.picture:
        draw(points, options.evaluation, options.picture)


if __name__ == "__main__":
    main()
