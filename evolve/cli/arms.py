"""What operators and instructions have come to, for `evolve show`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from evolve.cli import render

if TYPE_CHECKING:
    from rich.console import Console

    from evolve.propose.credit import Tally
    from evolve.store.reader import Reader
    from evolve.store.records import RunRecord

_HEADS = (">applied", ">valid", ">better", ">records", ">reward")


def print_operators(out: Console, reader: Reader, run: RunRecord) -> None:
    """Print what each operator with each model has come to."""
    from evolve.view.arms import arms

    rows = [
        (
            arm.operator,
            arm.model,
            arm.tally.pulls,
            *_shares(arm.tally),
            arm.tally.cost_usd,
            arm.tally.reward_per_usd,
        )
        for arm in arms(reader, run)
    ]
    heads = ("operator", "model", ">proposals", *_HEADS, ">usd", ">reward/usd")
    if rows:
        out.print(render.table("operators", heads, rows))


def print_instructions(out: Console, reader: Reader, run: RunRecord) -> None:
    """Print the instructions, if the run has any, the best first."""
    from evolve.view.arms import instructions

    rated = instructions(reader, run)
    rows = [
        (
            each.instruction.number,
            each.tally.pulls,
            *_shares(each.tally),
            each.instruction.text or "(none)",
        )
        for each in rated
        if each.live
    ]
    gone = len(rated) - len(rows)
    title = f"instructions ({gone} were given up)" if gone else "instructions"
    if rows:
        out.print(render.table(title, (">number", ">proposals", *_HEADS, "instruction"), rows))


def _shares(tally: Tally) -> tuple[object, ...]:
    """Return how often each stage was reached, the records, and the mean reward."""
    if not tally.pulls:
        return ("", "", "", tally.records, None)
    stages = (tally.applied, tally.valid, tally.improved)
    shares = (f"{count / tally.pulls:.0%}" for count in stages)
    return (*shares, tally.records, tally.reward / tally.pulls)
