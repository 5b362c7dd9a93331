"""What the models of a run cost and what came of it, for `evolve show`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from evolve.cli import render

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

    from evolve.store.calls import Spending
    from evolve.store.reader import Reader
    from evolve.store.records import RunRecord
    from evolve.store.spending import By

GROUPS: tuple[By, ...] = ("model", "operator", "outcome")


def print_spending(out: Console, reader: Reader, run: RunRecord) -> None:
    """Print the prices reckoned with, then calls, tokens, money and yield by each group."""
    groups = {by: reader.spending(run.id, by) for by in GROUPS}
    if not groups["model"]:
        return
    for name, quoted in prices_of(run).items():
        out.print(f"price of {name}: {price_text(quoted)}", markup=False, soft_wrap=True)
    for by, spending in groups.items():
        shown = _outcomes(spending) if by == "outcome" else _yields(by, spending)
        out.print(shown)
    unpriced = sum(each.unpriced_calls for each in groups["model"])
    assumed = sum(each.assumed_calls for each in groups["model"])
    if unpriced:
        out.print(f"{unpriced} calls of UNKNOWN price are not in these sums", markup=False)
    if assumed:
        out.print(
            f"{assumed} calls whose tokens are assumed, the most possible: the server did not count"
            " them, or the reply was lost",
            markup=False,
            soft_wrap=True,
        )


def prices_of(run: RunRecord) -> Mapping[str, Mapping[str, Any]]:
    """Return the prices that were stored with a run, by model."""
    stored = run.provenance.get("prices")
    return stored if isinstance(stored, dict) else {}


def price_text(quoted: Mapping[str, Any]) -> str:
    """Return a stored or fresh quote in a few words."""
    price = quoted["price"]
    if price is None:
        return "UNKNOWN, not counted"
    parts = [f"${price[name]:g} {name}" for name in ("input", "cached", "output") if name in price]
    tiers = [f"above {tier['above']} other prices" for tier in price.get("tiers", ())]
    return f"{', '.join([*parts, *tiers])} per million tokens ({quoted['source']})"


def _yields(by: str, spending: tuple[Spending, ...]) -> RenderableType:
    heads = (
        by,
        ">calls",
        ">replies",
        ">input",
        ">cached",
        ">output",
        ">usd",
        ">proposals",
        ">applied",
        ">valid",
        ">improved",
        ">usd/improved",
        ">mean s",
    )
    rows = [
        (
            each.group,
            each.calls,
            each.replies,
            each.tokens.input,
            each.tokens.cached,
            each.tokens.output,
            each.cost_usd,
            each.proposals,
            each.applied,
            each.valid,
            each.improved,
            each.cost_usd / each.improved if each.improved else None,
            each.latency_s,
        )
        for each in spending
    ]
    return render.table(f"spending by {by}", heads, rows)


def _outcomes(spending: tuple[Spending, ...]) -> RenderableType:
    heads = ("outcome", ">proposals", ">calls", ">tokens", ">usd")
    rows = [
        (
            each.group,
            each.proposals,
            each.calls,
            each.tokens.input + each.tokens.output,
            each.cost_usd,
        )
        for each in spending
    ]
    return render.table("spending by outcome of the proposals", heads, rows)
