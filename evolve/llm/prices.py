"""What models cost: from the configuration, else from a maintained table of list prices.

The table is the `genai-prices` package, imported only when it is needed. What it says is taken
over as a `PriceConfig`, so that the prices a run reckons with can be stored with it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, cast

from evolve.config.models import ModelConfig, PriceConfig, RatesConfig, TierConfig
from evolve.core.errors import ConfigError
from evolve.llm.base import Tokens

if TYPE_CHECKING:
    from genai_prices.types import ModelPrice

_MILLION = 1e6
_FREE = PriceConfig(input=0, output=0)


@dataclass(frozen=True, slots=True)
class Quote:
    """The price of a model and where it comes from; the price is None when nobody knows it."""

    price: PriceConfig | None
    source: str

    def as_dict(self) -> dict[str, object]:
        """Return the quote as JSON values, for `quote_from`."""
        price = None if self.price is None else self.price.model_dump(exclude_defaults=True)
        return {"source": self.source, "price": price}


def quote_from(stored: Mapping[str, Any]) -> Quote:
    """Undo `Quote.as_dict`."""
    price = stored["price"]
    return Quote(None if price is None else PriceConfig.model_validate(price), stored["source"])


def standing(began: object, now: Mapping[str, Quote]) -> dict[str, Quote]:
    """Return what a run's models cost: the configured prices, else those it began with.

    Args:
        began: What `Quote.as_dict` made of each when the run began; nothing for one just begun.
        now: The prices of today, which count where there are no others.
    """
    stored = began if isinstance(began, Mapping) else {}
    first = {name: quote_from(each) for name, each in stored.items() if each["price"]}
    given = {name: each for name, each in now.items() if each.source == "configuration"}
    return {**now, **first, **given}


def quotes(configs: Sequence[ModelConfig]) -> dict[str, Quote]:
    """Return the price of every model, by id."""
    return {config.id: quote(config) for config in configs}


def quote(config: ModelConfig) -> Quote:
    """Return a model's price: the configured one, else the table's of today."""
    if config.price is not None:
        return Quote(config.price, "configuration")
    kind, _, name = config.id.partition("/")
    if kind == "replay":
        return Quote(_FREE, "recorded replies are free")
    if kind not in ("openai", "anthropic"):
        return Quote(None, "unknown")
    return _from_table(kind, name, config.base_url, datetime.now(UTC)) or Quote(None, "unknown")


def check_prices(known: Mapping[str, Quote], limit_usd: float | None) -> None:
    """Check that a budget in money can be kept.

    Raises:
        ConfigError: there is a cap but a model's price is unknown.
    """
    unpriced = [name for name, quoted in known.items() if quoted.price is None]
    if limit_usd is not None and unpriced:
        raise ConfigError(
            "stop.cost_usd needs the price of every model; add price: {input: ..., output: ...} in "
            "US dollars per million tokens (0 for a server of your own) to " + ", ".join(unpriced)
        )


def cost_usd(tokens: Tokens, price: PriceConfig) -> float:
    """Return what a call cost in US dollars."""
    rates: RatesConfig = price
    for tier in sorted(price.tiers, key=lambda tier: tier.above):
        if tokens.input > tier.above:
            rates = tier
    fresh = tokens.input - tokens.cached - tokens.written
    return (
        fresh * rates.input
        + tokens.cached * _or(rates.cached, rates.input)
        + tokens.written * _or(rates.written, rates.input)
        + tokens.output * rates.output
    ) / _MILLION


def dearest_usd(most: Tokens, price: PriceConfig) -> float:
    """Return the most in US dollars that a call of up to ``most`` input and output can cost."""
    reachable = [price, *(tier for tier in price.tiers if most.input > tier.above)]
    return (
        max(
            most.input * max(rates.input, rates.cached or 0, rates.written or 0)
            + most.output * rates.output
            for rates in reachable
        )
        / _MILLION
    )


def _or(rate: float | None, default: float) -> float:
    return default if rate is None else rate


def _from_table(kind: str, name: str, url: str | None, now: datetime) -> Quote | None:
    """Look a model up by its vendor, or by the server it is asked at."""
    from importlib.metadata import version

    from genai_prices.data_snapshot import get_snapshot

    try:
        provider, model = get_snapshot().find_provider_model(name, None, None if url else kind, url)
    except LookupError:
        return None
    # Some prices depend on the time of day: a budget holds whenever the call is made.
    hours = {id(p): p for p in (model.get_prices(now.replace(hour=h)) for h in range(24))}
    found = [price for price in map(_price, hours.values()) if price is not None]
    if not found:
        return None
    source = f"genai-prices {version('genai-prices')}: {provider.id}/{model.id}"
    return Quote(max(found, key=lambda price: price.input + price.output), source)


def _price(table: ModelPrice) -> PriceConfig | None:
    """Take over a table entry; None when it bills something that tokens do not tell."""
    if table.input_mtok is None or table.requests_kcount is not None:
        return None
    keys = {
        "input": "input_mtok",
        "output": "output_mtok",
        "cached": "cache_read_mtok",
        "written": "cache_write_mtok",
    }
    entries = {name: getattr(table, key) for name, key in keys.items()}
    starts = sorted({start for entry in entries.values() for start in _starts(entry)})
    tiers = tuple(
        TierConfig(above=start, **_rates({k: _at(e, start) for k, e in entries.items()}))
        for start in starts
    )
    return PriceConfig(**_rates({k: _at(e, 0) for k, e in entries.items()}), tiers=tiers)


def _rates(found: Mapping[str, float | None]) -> dict[str, Any]:
    return {**found, "output": found["output"] or 0.0}


def _starts(entry: object) -> Iterator[int]:
    for tier in getattr(entry, "tiers", ()):
        yield tier.start


def _at(entry: object, start: int) -> float | None:
    """Return the rate of requests with a little more input than ``start``, 0 for short ones."""
    if entry is None:
        return None
    rate = getattr(entry, "base", entry)
    for tier in getattr(entry, "tiers", ()):  # in order of their starts
        if start and tier.start <= start:
            rate = tier.price
    return float(cast("Any", rate))
