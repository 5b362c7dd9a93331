"""How many slots one controller keeps busy, and what several of them do: a simulation.

    python -m benchmarks.simulation [SLOTS ...] [--shards N ...] [--json FILE] [--picture FILE]

The controller is the real one: loop, prompts, patches, archive, journal and ledger, on a database
file. Slots, evaluations and model are simulated (`benchmarks/simulation/world.py`), and time is
virtual: it jumps where the controller would wait, and passes as the controller uses its CPU. So a
run on thousands of slots takes as long as the controller's own work does. A controller that is
saturated stays so however many slots it is given, so larger runs take no longer.

What the controller pays for calls and evaluations in libraries that the simulation leaves out is
measured first (`benchmarks/simulation/outside.py`) and charged to it; `--free` leaves it out.

With `--shards` the slots of every run are split among so many controllers, each with an island and
a database of its own: one of them is simulated, the others do the same. Controllers that share one
database cannot write at the same time, so how long that takes bounds all of them together.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
from functools import cache, partial
from pathlib import Path

import numpy as np

from benchmarks.simulation.outside import measure
from benchmarks.simulation.point import Seen, simulate
from benchmarks.simulation.world import Latency, World

#: Share of its time that a controller is at work when it is what everything waits for.
SATURATED = 0.97
SLOTS = (1, 10, 100, 300, 1_000, 3_000, 10_000, 30_000, 100_000)


def table(points: Sequence[tuple[int, Seen]]) -> str:
    """Return what was seen as a table."""
    head = (
        "| slots | controllers | evaluations/s | slots busy | controller at work | "
        "ms of it for one | of them writing | prompting |\n"
        "|---:|---:|---:|---:|---:|---:|---:|---:|"
    )
    rows = [
        f"| {shards * seen.slots:,} | {shards} | {shards * seen.rate:.1f} | "
        f"{seen.busy:.1%} | {seen.load:.1%} | {seen.cost_ms:.2f} | "
        f"{seen.each_ms(seen.writing_s):.2f} | {seen.each_ms(seen.prompting_s):.2f} |"
        for shards, seen in points
    ]
    return "\n".join([head, *rows])


def limits(points: Sequence[tuple[int, Seen]], evaluation_s: float) -> str:
    """Return in words how many slots a saturated controller keeps busy, and a database could."""
    _, most = max(points, key=lambda point: point[1].load)
    text = f"the controller was at work {most.load:.0%} of the time and made {most.rate:.1f}/s"
    if most.load > SATURATED:
        full, half = (most.rate * evaluation_s / share for share in (0.95, 0.5))
        text += f": 95 % of {full:,.0f} slots, or 50 % of {half:,.0f}, are busy"
    limit = one_database(points)
    busy = f"{limit * evaluation_s:,.0f} slots"
    return f"{text}\none database, written by many: at most {limit:.0f}/s, which is {busy}"


def one_database(points: Sequence[tuple[int, Seen]]) -> float:
    """Return evaluations per second when a database does nothing but be written, one by one."""
    _, most = max(points, key=lambda point: point[1].evaluated)
    return 1e3 / most.each_ms(most.writing_s)


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
            label=f"{shards} controller{'s, a database each' if shards > 1 else ''}",
        )
    most = max(shards * seen.slots for shards, seen in points)
    slots = np.geomspace(min(shards * seen.slots for shards, seen in points), most, 200)
    shared = np.minimum(100 * one_database(points) * evaluation_s / slots, 100)
    axes.plot(slots, shared, color=QUIET, linestyle=":", label="all that one database could take")
    axes.set_xscale("log")
    axes.set_xlabel("slots")
    axes.set_ylabel("slots busy, %")
    axes.set_ylim(0, 103)
    axes.set_title(f"Evaluations of {evaluation_s:g} s: how many slots are kept busy")
    axes.legend(frameon=False, loc="lower left")
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
            f"{1e3 * left_out.slot_s:.2f} ms for an evaluation (and "
            f"{1e3 * left_out.megabyte_s:.2f} ms for each MB of output, of which there is none)",
            file=sys.stderr,
        )
    world = World(
        evaluation=Latency(options.evaluation),
        model=Latency(options.model),
        call_cpu_s=left_out.call_s if left_out else 0.0,
        slot_cpu_s=left_out.slot_s if left_out else 0.0,
    )
    one = cache(partial(simulate, world=world, warm_s=options.warm, seconds=options.seconds))
    points: list[tuple[int, Seen]] = []
    for shards in options.shards:
        for slots in options.slots:
            if slots < shards:
                continue
            seen = one(slots // shards)
            points.append((shards, seen))
            print(f"{slots} slots, {shards} controllers: {seen.rate:.1f}/s each", file=sys.stderr)
    print(table(points))
    print(limits(points, options.evaluation))
    if options.json:
        figures = [{"controllers": shards, **asdict(seen)} for shards, seen in points]
        options.json.write_text(json.dumps(figures, indent=1) + "\n")
    if options.picture:
        draw(points, options.evaluation, options.picture)


if __name__ == "__main__":
    main()
