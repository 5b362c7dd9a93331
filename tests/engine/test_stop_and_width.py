"""Stop rules, counters and the number of iterations in flight: pure parts of the loop."""

from __future__ import annotations

import heapq
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evolve.config.models import StopConfig
from evolve.core.evaluation import Evaluation, Outcome, Score
from evolve.core.measures import Objective
from evolve.engine.stop import Counters, stop_reason, used_fraction
from evolve.engine.width import MOST_PER_SLOT, Width

ERROR = Objective("error", "minimize")


@pytest.mark.parametrize(
    ("rule", "limit", "below", "reached"),
    [
        ("evaluations", 10, {"evaluations": 9}, {"evaluations": 10}),
        ("wall_s", 60, {"earlier_s": 50.0}, {"earlier_s": 60.0}),
        ("cost_usd", 1.5, {"cost_usd": 1.4}, {"cost_usd": 1.5}),
        ("tokens", 900, {"tokens": 899}, {"tokens": 900}),
        ("calls", 9, {"calls": 8}, {"calls": 9}),
        ("no_improvement", 3, {"since_improvement": 2}, {"since_improvement": 3}),
        ("fruitless", 5, {"fruitless": 4}, {"fruitless": 5}),
        ("target", 2.0, {"best": 2.1}, {"best": 2.0}),
        ("target", 2.0, {"best": None}, {"best": 1.0}),
    ],
)
def test_each_rule_says_stop_at_its_limit_and_not_before(
    rule: str, limit: float, below: dict[str, Any], reached: dict[str, Any]
) -> None:
    rules = StopConfig.model_validate({"evaluations": 1000, rule: limit})
    assert stop_reason(rules, Counters(**below), ERROR) == ""
    assert stop_reason(rules, Counters(**reached), ERROR) == rule


def test_a_target_is_reached_from_the_objectives_own_side() -> None:
    rules = StopConfig(target=2.0)
    assert stop_reason(rules, Counters(best=3.0), Objective("radius", "maximize")) == "target"
    assert stop_reason(rules, Counters(best=3.0), ERROR) == ""


def test_time_goes_on_from_earlier_sessions(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1000.0
    monkeypatch.setattr("time.monotonic", lambda: now)
    counters = Counters(earlier_s=100.0)
    now += 5
    assert counters.elapsed_s == 105
    assert used_fraction(StopConfig(wall_s=210, evaluations=1000), counters) == 0.5


def test_there_is_no_fraction_without_a_budget() -> None:
    assert used_fraction(StopConfig(target=1.0), Counters()) is None


def test_counters_tell_scores_failures_and_faults_apart() -> None:
    counters = Counters()
    counters.evaluated(Evaluation(Outcome.OK, Score(3.0)), is_best=True)
    counters.evaluated(Evaluation(Outcome.WALL_TIMEOUT), is_best=False)
    counters.evaluated(Evaluation(Outcome.INFRASTRUCTURE), is_best=False)
    assert (counters.evaluations, counters.since_improvement, counters.best) == (2, 1, 3.0)
    assert counters.failures == {"wall_timeout": 1, "infrastructure": 1}


def test_rejections_in_a_row_are_counted() -> None:
    counters = Counters()
    for reason in ("duplicate", "model_error", "model_error"):
        counters.rejected(reason)
    assert counters.fruitless == 3
    counters.admitted()
    assert counters.fruitless == 0


def observed(slots: int, proposal_s: float, evaluation_s: float, *, fruitful: bool = True) -> Width:
    width = Width(slots)
    for _ in range(50):
        width.proposed(proposal_s, fruitful=fruitful)
        width.evaluated(evaluation_s)
    return width


def test_without_observations_slots_are_filled_with_one_to_spare() -> None:
    assert Width(4).limit == 5


@given(
    slots=st.integers(1, 64),
    proposal_s=st.floats(0.0001, 100),
    evaluation_s=st.floats(0.0001, 100),
)
def test_the_width_keeps_slots_busy_and_no_more(
    slots: int, proposal_s: float, evaluation_s: float
) -> None:
    limit = observed(slots, proposal_s, evaluation_s).limit
    proposing = limit - slots
    needed = slots * proposal_s / evaluation_s  # Little's law: arrival rate times latency
    assert slots + 1 <= limit <= slots * (1 + MOST_PER_SLOT) + 1
    assert proposing >= min(needed, slots * MOST_PER_SLOT) * 0.999
    assert proposing <= math.ceil(needed * 1.001) + 1


def test_proposals_that_come_to_nothing_call_for_more_of_them() -> None:
    width = Width(2)
    for number in range(100):
        width.proposed(1.0, fruitful=number % 2 == 0)
        width.evaluated(1.0)
    assert width.limit > observed(2, 1.0, 1.0).limit


def test_while_the_first_model_call_lasts_its_age_tells_how_slow_models_are(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = 1000.0
    monkeypatch.setattr("time.monotonic", lambda: now)
    width = Width(2)
    width.asked()
    now += 10.0
    assert width.limit == 3, "how long evaluations take is not known either"
    width.evaluated(1.0)
    assert width.limit == 2 + 1 + 20
    now += 5.0
    width.asked()
    assert width.limit == 2 + 1 + 30
    width.proposed(15.0, fruitful=True)
    now += 100.0
    assert width.limit == 2 + 1 + 30


def test_until_the_first_reply_the_width_says_when_it_grows_next(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """So proposals leave as evenly as slots will take them."""
    now = 1000.0
    monkeypatch.setattr("time.monotonic", lambda: now)
    width = Width(2, answered=4)
    width.evaluated(1.0)
    assert width.grows_in_s == math.inf, "nobody was asked"
    width.asked()
    limits = []
    while (wait_s := width.grows_in_s) < math.inf:
        assert wait_s <= 0.5
        now += wait_s + 1e-6
        limits.append(width.limit)
    assert limits == [4, 5, 6, 7], "at last as many as models answer at once"
    width.proposed(2.0, fruitful=True)
    assert width.grows_in_s == math.inf


def test_a_width_the_user_fixed_stays() -> None:
    width = Width(2, 7)
    width.proposed(100.0, fruitful=True)
    width.evaluated(0.001)
    assert width.limit == 9
    assert width.grows_in_s == math.inf


def utilisation(slots: int, latency_s: tuple[float, float], evaluation_s: float) -> float:
    """Simulate a search whose proposals take a time between two bounds, log-uniformly.

    Returns:
        The share of slot time in use, the first 50 evaluations left out.
    """
    rng, width = np.random.default_rng(slots), Width(slots)
    low, high = np.log(latency_s)
    events: list[tuple[float, int, float]] = []  # when, what number, proposal time or 0
    now, begun, in_flight, waiting, free, done, start = 0.0, 0, 0, 0, slots, 0, 0.0
    while done < 1550:
        while in_flight < width.limit:
            took = float(np.exp(rng.uniform(low, high)))
            in_flight, begun = in_flight + 1, begun + 1
            heapq.heappush(events, (now + took, begun, took))
        now, _, took = heapq.heappop(events)
        if took:
            width.proposed(took, fruitful=True)
            waiting += 1
        else:
            width.evaluated(evaluation_s)
            free, in_flight, done = free + 1, in_flight - 1, done + 1
            start = now if done == 50 else start
        while waiting and free:
            waiting, free, begun = waiting - 1, free - 1, begun + 1
            heapq.heappush(events, (now + evaluation_s, begun, 0.0))
    return 1500 * evaluation_s / (slots * (now - start))


@pytest.mark.parametrize("slots", [1, 2, 8])
@pytest.mark.parametrize(
    ("latency_s", "evaluation_s"), [((0.15, 1.5), 0.2), ((1.0, 10.0), 0.2), ((3.0, 30.0), 1.0)]
)
def test_slots_do_not_starve_when_latency_varies_tenfold(
    slots: int, latency_s: tuple[float, float], evaluation_s: float
) -> None:
    assert utilisation(slots, latency_s, evaluation_s) > 0.92


def test_slots_are_busy_when_latency_is_steady() -> None:
    assert utilisation(2, (0.5, 0.5), 0.2) > 0.97
