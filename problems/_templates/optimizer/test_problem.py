"""Run by `pytest` in this folder."""

import numpy as np
import pytest
from evaluate import UpdateRule, checked, loss_and_gradient

from evolve import Invalid


def test_gradients_are_those_of_the_losses() -> None:
    for case in UpdateRule().cases("search"):
        kind, inputs, targets = case.secret
        at = np.full(inputs.shape[1], 0.1)
        _, gradient = loss_and_gradient(kind, inputs, targets, at)
        step = np.zeros_like(at)
        step[3] = 1e-6
        above, below = (loss_and_gradient(kind, inputs, targets, at + s)[0] for s in (step, -step))
        assert gradient[3] == pytest.approx((above - below) / 2e-6, rel=1e-4, abs=1e-9)


ONES = np.ones(3)


@pytest.mark.parametrize(
    "bad",
    [None, [ONES], [ONES] * 2, [ONES * np.nan, []], [ONES[:2], []], [ONES, [ONES] * 5], ["1", []]],
)
def test_what_is_no_change_and_state_is_refused(bad: object) -> None:
    with pytest.raises(Invalid):
        checked(bad, 3)
