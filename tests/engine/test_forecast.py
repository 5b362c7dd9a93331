"""What a run is expected to take: right where all is known, wide where not, kept with the run."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from evolve.cli.app import app
from evolve.cli.plan import actual_of
from evolve.config.file import load_run_config
from evolve.config.models import PriceConfig, StopConfig
from evolve.core.errors import ConfigError
from evolve.engine.forecast import (
    Beside,
    Facts,
    Forecast,
    ModelFacts,
    Operator,
    Range,
    Rotation,
    Span,
    forecast,
    forecast_from,
)
from evolve.engine.foresight import expected_of
from evolve.engine.plan import plan
from evolve.engine.run import run
from evolve.engine.turns import NO_TURNS, Turns
from evolve.store.reader import open_reader
from tests.command import write_config
from tests.fake_llm_server import Call, FakeLLMServer, Reply

KEY = "sk-test-0123456789-secret"


def exactly(value: float) -> Span:
    return Span(value, value)


#: 100 evaluations of 2 s on 4 slots; a model that takes one call of 1 s for each.
KNOWN = Facts(
    first_s=exactly(2.0),
    evaluation_s=exactly(2.0),
    slots=4,
    operators=(Operator("diff", 1.0, "m", exactly(1.0)),),
    models={
        "m": ModelFacts(
            exactly(1000), exactly(100), exactly(1.0), PriceConfig(input=1, output=10), 8
        )
    },
    fruitful=exactly(1.0),
    overhead_s=exactly(0.001),
    in_flight=None,
    closing=0,
    closing_s=exactly(1.0),
    stop=StopConfig(evaluations=101),
)


def expect(**changes: Any) -> Forecast:
    """Return the forecast of `KNOWN` with changes."""
    found: Forecast | None = forecast(replace(KNOWN, **changes))
    assert found is not None
    return found


def test_what_is_known_is_reckoned_exactly() -> None:
    found = expect()
    assert found.wall_s.middle == pytest.approx(3.0 + 101 * 2.0 / 4)
    assert found.evaluations.low == found.evaluations.high == 101
    assert found.calls.middle == pytest.approx(100)
    assert found.tokens.middle == pytest.approx(110_000)
    assert found.cost_usd is not None
    assert found.cost_usd.middle == pytest.approx(0.2)
    assert (found.ends, found.limits) == ({"evaluations": 1.0}, {"slots": 1.0})


@pytest.mark.parametrize(
    ("changes", "limit", "pace"),
    [
        ({"slots": 100}, "models", 8 / 1.0),
        ({"slots": 100, "fruitful": exactly(0.5)}, "models", 8 * 0.5),
        ({"in_flight": 2, "slots": 100}, "width", 2 / 3.0),
        ({"slots": 100, "operators": (Operator("genetic", 1.0),)}, "slots", 50.0),
        ({"slots": 9999, "operators": (Operator("genetic", 1.0),)}, "engine", 1000.0),
    ],
)
def test_the_narrowest_place_sets_the_pace(
    changes: dict[str, Any], limit: str, pace: float
) -> None:
    found = expect(**changes)
    assert found.limits == {limit: 1.0}
    waiting = 0.0 if changes.get("operators") else 1.0
    assert found.wall_s.middle == pytest.approx(2.0 + waiting + 101 / pace)


@pytest.mark.parametrize(
    ("stop", "ends", "evaluations"),
    [
        ({"cost_usd": 0.1}, "cost_usd", 50),
        ({"tokens": 11_000}, "tokens", 10),
        ({"calls": 7, "evaluations": 50}, "calls", 7),
        ({"wall_s": 23.0}, "wall_s", 40),
    ],
)
def test_the_first_rule_to_be_met_ends_it(
    stop: dict[str, float], ends: str, evaluations: float
) -> None:
    found = expect(stop=StopConfig.model_validate(stop))
    assert found.ends == {ends: 1.0}
    assert found.evaluations.middle == pytest.approx(evaluations)


def test_calls_that_write_no_program_are_part_of_it() -> None:
    small = ModelFacts(exactly(50), exactly(10), exactly(3.0), PriceConfig(input=1, output=10), 2)
    check = Beside("checks", "m", replace(small, concurrency=8), proposals=exactly(0.5))
    grade = Beside("grades", "judge", small, evaluations=exactly(1.0))
    found = expect(beside=(check, grade), fruitful=exactly(0.5), slots=100)
    assert found.calls.middle == pytest.approx(100 * (2 + 1 + 1))
    assert found.tokens.middle == pytest.approx(100 * (2 * 1100 + 2 * 60))
    assert found.cost_usd is not None
    assert found.cost_usd.middle == pytest.approx(100 * (2 * 2e-3 + 2 * 1.5e-4))
    assert found.limits == {"models": 1.0}
    first, pace = 2.0 + 1.0 + 0.5 * 3.0, 2 / 3.0
    assert found.wall_s.middle == pytest.approx(first + 101 / pace), "the judge is the narrowest"
    unpriced = replace(grade, call=replace(small, price=None))
    assert expect(beside=(unpriced,)).cost_usd is None


def test_turns_of_rotating_cases_take_measurements() -> None:
    turns = Turns(every=4.0, most=30.0, first=0.8, seconds=2.0)
    at_turns = [30 * (1 - math.exp(-0.8 * 4 * turn / 30)) for turn in range(1, 101)]
    assert turns.measurements(400.0) == pytest.approx(sum(at_turns), rel=0.01)
    assert turns.measurements(0.0) == 0.0
    assert NO_TURNS.measurements(1e6) == 0.0

    rotation = Rotation(
        8, exactly(30.0), exactly(0.8), exactly(2.0)
    )  # every 8 iterations, 4 fruitful
    genetic = (Operator("genetic", 1.0),)
    changes = {"operators": genetic, "fruitful": exactly(0.5), "rotation": rotation}
    found = expect(**changes, stop=StopConfig(evaluations=400))
    again_s = turns.measurements(400.0) * 2.0 / 4
    assert found.wall_s.middle == pytest.approx(2.0 + 400 * 2.0 / 4 + again_s)
    for stop in (
        StopConfig(samples=round(400 + turns.measurements(400.0))),
        StopConfig(wall_s=found.wall_s.middle),
    ):
        ended = expect(**changes, stop=stop)
        assert ended.evaluations.middle == pytest.approx(400, rel=0.001)


def test_what_is_not_known_makes_ranges_and_what_has_no_price_has_no_cost() -> None:
    model = replace(KNOWN.models["m"], output=Span(50, 2000), latency_s=None, price=None)
    found = expect(models={"m": model}, fruitful=Span(0.5, 1.0), slots=100)
    assert found.cost_usd is None
    assert found.tokens.high > 1.5 * found.tokens.low
    assert found.wall_s.high > 3 * found.wall_s.low
    assert found == forecast_from(found.as_dict())


def test_a_target_alone_bounds_nothing() -> None:
    assert forecast(replace(KNOWN, stop=StopConfig(target=1.0))) is None


class Counting:
    """A model that takes a while, and three of whose four replies are another program each.

    Asked again, it has one.
    """

    def __init__(self, delay_s: float) -> None:
        self.delay_s, self.count = delay_s, 0

    def __call__(self, call: Call) -> Reply:
        self.count += 1
        tokens = (len(str(call.body["messages"])) // 4, 40)
        if self.count % 4 == 0 and "could not be used" not in call.prompt:
            return Reply("I have no idea.", tokens=tokens, delay_s=self.delay_s)
        body = f"# EVOLVE-BLOCK-START\ndef f(x):\n    return {self.count}\n# EVOLVE-BLOCK-END\n"
        return Reply(f"```python\n{body}```", tokens=tokens, delay_s=self.delay_s)


def _price(call: Call) -> float:
    return len(str(call.body["messages"])) // 4 * 1e-6 + 40 * 10e-6


def within(value: float | None, span: Range | None) -> bool:
    assert value is not None
    assert span is not None
    return span.low * 0.98 <= value <= span.high * 1.02


def test_a_run_is_put_beside_what_was_expected_of_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TEST_KEY", KEY)
    db = str(tmp_path / "evolve.db")
    with FakeLLMServer(Counting(0.15)) as server:
        model = {
            "id": "openai/tiny",
            "base_url": server.openai_url,
            "api_key_env": "TEST_KEY",
            "price": {"input": 1.0, "output": 10.0},
            "concurrency": 2,
        }
        changes = {
            "models": [model],
            "proposers": [{"kind": "rewrite"}],
            "stop": {"evaluations": 25},
        }
        loaded = load_run_config(write_config(tmp_path, **changes))
        unasked = plan(loaded, db)
        assert not server.calls, "nothing is asked unless one says so"
        assert unasked.spent_usd == 0
        asked = plan(loaded, db, calls=2)
        assert len(server.calls) == asked.calls == 2
        assert asked.spent_usd
        assert asked.spent_usd == pytest.approx(sum(_price(call) for call in server.calls))
        assert asked.run_id == 1
        run(loaded, db=db)
    with open_reader(db) as reader:
        record = reader.run()
        actual, stored = actual_of(reader, record), expected_of(record)
    assert stored is not None
    for expected in (unasked.forecast, asked.forecast, stored):
        assert within(actual["evaluations"], expected.evaluations)
        assert within(actual["calls"], expected.calls)
    assert within(actual["cost_usd"], asked.forecast.cost_usd)
    assert actual["wall_s"] is not None
    assert asked.forecast.wall_s.low / 2 < actual["wall_s"] < asked.forecast.wall_s.high * 3
    later = plan(load_run_config(write_config(tmp_path, **changes)), db).forecast
    assert within(actual["tokens"], later.tokens), "as the run before it"
    assert within(actual["calls"], later.calls)
    assert any("of 24 earlier proposals 100% led" in text for text in later.sources)
    shown = CliRunner().invoke(app, ["show", "--db", db]).stdout
    assert "predicted" in shown
    assert "actual" in shown


def test_the_command_needs_no_key_and_refuses_what_has_no_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    config = write_config(tmp_path, stop={"evaluations": 9})
    db = str(tmp_path / "none.db")
    command = ["plan", str(config), "--model", "openai/gpt-4o-mini", "--db", db]
    shown = CliRunner().invoke(app, [*command, "--set", "sandbox.allow_untrusted=true"])
    assert shown.exit_code == 0, shown.output
    assert "of its replies nothing is known" in shown.stdout
    assert "US dollars" in shown.stdout
    assert not Path(db).exists()
    with pytest.raises(ConfigError, match="nothing bounds this run"):
        plan(load_run_config(write_config(tmp_path, stop={"target": 0.0})), db)
