"""Prices: configured, from the table, or unknown; and what calls cost by them."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal

import pytest
from genai_prices import Usage, calc_price
from genai_prices.data_snapshot import DataSnapshot, get_snapshot
from genai_prices.types import (
    ClauseEquals,
    ConditionalPrice,
    ModelInfo,
    ModelPrice,
    Provider,
    Tier,
    TieredPrices,
    TimeOfDateConstraint,
)
from hypothesis import given
from hypothesis import strategies as st

from evolve.config.models import ModelConfig, PriceConfig, TierConfig
from evolve.llm import prices
from evolve.llm.base import Tokens
from evolve.llm.prices import cost_usd, dearest_usd, quote, quote_from

TIERED = PriceConfig(
    input=3,
    output=15,
    cached=0.3,
    written=3.75,
    tiers=(TierConfig(above=200_000, input=6, output=22.5, cached=0.6, written=7.5),),
)


def test_a_configured_price_wins_over_the_table() -> None:
    price = PriceConfig(input=1, output=2)
    quoted = quote(ModelConfig(id="openai/gpt-4o-mini", price=price))
    assert (quoted.price, quoted.source) == (price, "configuration")


@pytest.mark.parametrize(
    ("name", "known"),
    [
        ("openai/gpt-4o-mini", True),
        ("anthropic/claude-sonnet-4-5", True),
        ("openai/text-embedding-3-small", True),
        ("openai/no-such-model", False),
        ("command/cat", False),
        ("plug.in:Model", False),
    ],
)
def test_the_table_knows_vendors_models_and_says_so(name: str, known: bool) -> None:
    quoted = quote(ModelConfig(id=name))
    assert (quoted.price is not None) == known
    assert ("genai-prices " in quoted.source) == known


def test_a_server_is_looked_up_by_its_address_and_never_by_the_vendors_name() -> None:
    local = ModelConfig(id="openai/gpt-4o-mini", base_url="http://127.0.0.1:8000/v1")
    assert quote(local).price is None
    other = ModelConfig(id="openai/deepseek-chat", base_url="https://api.deepseek.com/v1")
    assert "deepseek/" in quote(other).source


def test_a_quote_survives_being_stored() -> None:
    quoted = quote(ModelConfig(id="anthropic/claude-sonnet-4-5"))
    assert quoted.price is not None
    assert quoted.price.tiers, "this one has a price for long requests"
    assert quote_from(quoted.as_dict()) == quoted
    unknown = quote(ModelConfig(id="openai/no-such-model"))
    assert quote_from(unknown.as_dict()) == unknown


Usages = st.builds(
    lambda fresh, cached, written, output: Tokens(
        fresh + cached + written, cached, output, 0, written
    ),
    *[st.integers(0, 300_000)] * 3,
    st.integers(0, 50_000),
)


@given(used=Usages)
@pytest.mark.parametrize(
    ("vendor", "name"),
    [("anthropic", "claude-sonnet-4-5"), ("anthropic", "claude-haiku-4-5"), ("openai", "gpt-5")],
)
def test_costs_are_those_of_the_library(vendor: str, name: str, used: Tokens) -> None:
    quoted = quote(ModelConfig(id=f"{vendor}/{name}"))
    assert quoted.price is not None
    usage = Usage(
        input_tokens=used.input,
        cache_read_tokens=used.cached,
        cache_write_tokens=used.written,
        output_tokens=used.output,
    )
    expected = calc_price(usage, name, provider_id=vendor).total_price
    assert cost_usd(used, quoted.price) == pytest.approx(float(expected))


@given(used=Usages)
@pytest.mark.parametrize("price", [TIERED, PriceConfig(input=1, output=2)])
def test_no_use_costs_more_than_the_bound(price: PriceConfig, used: Tokens) -> None:
    most = Tokens(input=used.input + 5, output=used.output + 5)
    assert cost_usd(used, price) <= dearest_usd(most, price)


def test_a_long_request_is_dearer_as_a_whole() -> None:
    assert cost_usd(Tokens(200_000), TIERED) == pytest.approx(0.6)
    assert cost_usd(Tokens(200_001), TIERED) == pytest.approx(1.2, rel=1e-4)


def table(**price: Decimal | TieredPrices) -> list[ConditionalPrice]:
    return [ConditionalPrice(prices=ModelPrice(**price))]


@pytest.mark.parametrize(
    ("entries", "expected"),
    [
        (table(input_mtok=Decimal(2)), PriceConfig(input=2, output=0)),
        (table(output_mtok=Decimal(2)), None),
        (table(input_mtok=Decimal(2), requests_kcount=Decimal(5)), None),
        (
            table(
                input_mtok=TieredPrices(Decimal(1), [Tier(100, Decimal(2)), Tier(200, Decimal(4))]),
                output_mtok=Decimal(3),
            ),
            PriceConfig(
                input=1,
                output=3,
                tiers=(
                    TierConfig(above=100, input=2, output=3),
                    TierConfig(above=200, input=4, output=3),
                ),
            ),
        ),
    ],
)
def test_what_the_table_says_is_taken_over(
    monkeypatch: pytest.MonkeyPatch,
    entries: list[ConditionalPrice],
    expected: PriceConfig | None,
) -> None:
    _use(monkeypatch, entries)
    assert quote(ModelConfig(id="openai/m")).price == expected


def test_of_prices_that_depend_on_the_hour_the_dearest_is_taken(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    cheap = ConditionalPrice(
        TimeOfDateConstraint(
            datetime(2026, 1, 1, 0, tzinfo=UTC).timetz(),
            datetime(2026, 1, 1, 23, tzinfo=UTC).timetz(),
        ),
        prices=ModelPrice(input_mtok=Decimal(1), output_mtok=Decimal(1)),
    )
    _use(monkeypatch, [*table(input_mtok=Decimal(5), output_mtok=Decimal(5)), cheap])
    assert quote(ModelConfig(id="openai/m")).price == PriceConfig(input=5, output=5)


def _use(monkeypatch: pytest.MonkeyPatch, entries: list[ConditionalPrice]) -> None:
    """Have the table hold one model."""
    model = ModelInfo(id="m", match=ClauseEquals(equals="m"), prices=entries)
    provider = Provider(id="openai", name="x", api_pattern="x", models=[model])
    snapshot = DataSnapshot(providers=[provider], from_auto_update=False)
    monkeypatch.setattr("genai_prices.data_snapshot.get_snapshot", lambda: snapshot)
    assert get_snapshot is not None
    assert prices.quote is quote
