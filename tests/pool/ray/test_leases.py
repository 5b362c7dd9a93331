"""Every lease ends exactly once, and nothing counts under one that has ended."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evolve.pool.ray.leases import Leases


def test_a_lease_is_given_back_once() -> None:
    leases = Leases()
    lease = leases.grant(7)
    assert leases.holds(lease.token)
    assert leases.counts(lease.token)
    assert leases.give_back(lease.token)
    assert not leases.give_back(lease.token)
    assert not leases.holds(lease.token)
    assert (leases.lost, leases.late) == (0, 0)


def test_a_place_that_is_lent_is_not_lent_again() -> None:
    leases = Leases()
    lease = leases.grant(7)
    with pytest.raises(ValueError, match="place 7 is lent"):
        leases.grant(7)
    leases.give_back(lease.token)
    assert leases.grant(7).token > lease.token


def test_what_comes_back_after_the_place_was_lost_does_not_count() -> None:
    leases = Leases()
    lost = leases.grant(1)
    assert leases.lose(1) == lost
    assert leases.lose(1) is None, "a lease is lost once"
    again = leases.grant(2)
    assert again.token > lost.token
    assert not leases.counts(lost.token)
    assert leases.counts(again.token)
    assert not leases.give_back(lost.token)
    assert (leases.lost, leases.late) == (1, 1)


@given(
    st.lists(
        st.tuples(st.sampled_from(["grant", "give_back", "lose", "answer"]), st.integers(0, 3))
    )
)
def test_whatever_happens_at_most_one_lease_of_a_place_counts(steps: list[tuple[str, int]]) -> None:
    leases = Leases()
    tokens: dict[int, list[int]] = {place: [] for place in range(4)}
    ended, late = list[int](), 0
    for what, place in steps:
        live = [token for token in tokens[place] if leases.holds(token)]
        assert len(live) <= 1
        if what == "grant" and not live:
            tokens[place].append(leases.grant(place).token)
        elif what == "give_back" and tokens[place]:
            if leases.give_back(tokens[place][-1]):
                ended.append(tokens[place][-1])
        elif what == "lose":
            lease = leases.lose(place)
            assert (lease is None) == (not live)
            ended += [lease.token] if lease else []
        elif what == "answer":
            for token in tokens[place]:
                late += not leases.counts(token)
    assert len(ended) == len(set(ended)), "a lease ended twice"
    everything = sorted(token for known in tokens.values() for token in known)
    assert everything == list(range(1, len(everything) + 1)), "tokens only grow"
    assert leases.late == late
