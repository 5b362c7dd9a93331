"""`evolve plan`: what a run will take, before it is spent; and, afterwards, how it came out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import typer

from evolve.cli import render
from evolve.cli.run import PRESET, load

if TYPE_CHECKING:
    from rich.console import Console

    from evolve.engine.forecast import Forecast
    from evolve.store.reader import Reader
    from evolve.store.records import RunRecord


def plan(
    config: str = typer.Argument(
        ..., help="Configuration file, or the name of a bundled one, such as 'quickstart'."
    ),
    settings: list[str] = typer.Option(
        [], "--set", metavar="KEY=VALUE", help="Override a key, such as --set slots=8."
    ),
    model: str = typer.Option("", "--model", help="Evolve with this model, see `evolve run`."),
    preset: str = PRESET,
    calls: int = typer.Option(
        0,
        "--calls",
        min=0,
        help="Ask every model so many times to find out: this COSTS MONEY, within the caps of "
        "'stop'. The calls are committed to the database as a run of kind 'probe'. Without it "
        "nothing is asked, and what is not known of replies is assumed from a wide range.",
    ),
    db: str = render.DATABASE,
    json: bool = render.JSON,
) -> None:
    """Predict wall time, tokens and money of a run, as ranges, before anything is spent.

    Evaluates the seed program three times, renders the first prompts, and looks up prices and what
    earlier runs of the database came to. One run in ten is expected below a range, one above.
    `evolve show` later puts the run beside what was predicted at its beginning.

    Example: evolve plan quickstart --set stop.evaluations=500
    """
    from evolve.engine.plan import plan as find_out

    found = find_out(load(config, settings, model, preset), db, calls)
    if json:
        render.echo_json(found.as_dict())
        return
    out = render.console()
    for source in found.forecast.sources:
        out.print(source, markup=False, soft_wrap=True)
    print_forecast(out, found.forecast)
    if found.calls:
        cost = "an unknown price" if found.spent_usd is None else f"${found.spent_usd:.4f}"
        kept = f"`evolve show {found.run_id}` says what came of them"
        out.print(f"to find out, {found.calls} calls were made for {cost}; {kept}", markup=False)
    if found.stopped:
        out.print(f"not all were made: {found.stopped}", markup=False, soft_wrap=True)


def print_forecast(
    out: Console, expected: Forecast, actual: Mapping[str, float | None] | None = None
) -> None:
    """Print what is expected of a run, beside what it came to if it has ended."""
    heads = ("", ">low", ">middle", ">high", *((">actual", "") if actual else ()))
    rows = []
    for name, label in _LABELS.items():
        span = getattr(expected, name)
        ends = ("-", "UNKNOWN price", "-") if span is None else [_text(name, end) for end in span]
        row = [label, *ends]
        if actual:
            seen = actual[name]
            row += ["-" if seen is None else _text(name, seen), _where(seen, span)]
        rows.append(row)
    out.print(render.table("predicted: one run in ten is below, one above", heads, rows))
    out.print(f"ends by {_shares(expected.ends)}; held up by {_shares(expected.limits)}")


def print_expected(out: Console, reader: Reader, run: RunRecord) -> None:
    """Print what was expected of a run at its beginning beside what it came to."""
    from evolve.engine.foresight import expected_of

    expected = expected_of(run)
    if expected is not None:
        print_forecast(out, expected, actual_of(reader, run))


def actual_of(reader: Reader, run: RunRecord) -> dict[str, float | None]:
    """Return what a run came to, by the names of a forecast."""
    totals = reader.totals(run.id)
    return {
        "wall_s": totals.elapsed_s,
        "evaluations": sum(totals.evaluations.values()),
        "calls": sum(totals.completions.values()),
        "tokens": totals.tokens.input + totals.tokens.output,
        "cost_usd": None if totals.unpriced_calls else totals.cost_usd,
    }


_LABELS = {
    "wall_s": "time",
    "evaluations": "evaluations",
    "calls": "model calls",
    "tokens": "tokens",
    "cost_usd": "US dollars",
}


def _text(name: str, value: float) -> str:
    if name == "wall_s":
        return render.duration(value)
    return f"{value:.4f}" if name == "cost_usd" else f"{value:.0f}"


def _where(seen: float | None, span: tuple[float, float, float] | None) -> str:
    """Say where a value lies that was seen; a thousandth beyond counts as within."""
    if seen is None or span is None:
        return ""
    low, _, high = span
    if seen < low * 0.999:
        return "below"
    return "above" if seen > high * 1.001 else "within"


def _shares(shares: Mapping[str, float]) -> str:
    return ", ".join(f"{name} ({share:.0%})" for name, share in shares.items())
