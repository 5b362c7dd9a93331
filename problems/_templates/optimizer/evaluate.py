"""Trains the models itself: the program sees gradients, never losses, data or models."""

from collections.abc import Iterable

import numpy as np

from evolve import Case, Evaluator, Invalid, Score

STEPS = 100
MAX_STATE = 4
#: Parameters and condition number of each task.
TASKS = {"search": [(10, 10.0), (20, 100.0), (40, 30.0)], "held_out": [(15, 300.0), (80, 30.0)]}
SEEDS = {"search": 1, "held_out": 2}


class UpdateRule(Evaluator):
    """How far an update rule brings logistic and linear regressions in a hundred steps."""

    def cases(self, stage: str) -> Iterable[Case]:
        """Yield tasks drawn from a fixed seed; the data are secret."""
        rng = np.random.default_rng(SEEDS[stage])
        for size, condition in TASKS[stage]:
            for kind in ("linear", "logistic"):
                secret = (kind, *_data(rng, size, condition))
                yield Case({}, name=f"{kind}, {size} parameters", secret=secret)

    async def interact(self, case: Case, call: object) -> object:
        """Train with the program's changes, which are checked one by one."""
        kind, inputs, targets = case.secret
        parameters, state = np.zeros(inputs.shape[1]), []
        first, gradient = loss_and_gradient(kind, inputs, targets, parameters)
        kept = 0
        for step in range(1, STEPS + 1):
            change, state = checked(
                await call(gradient=gradient, state=state, step=step), len(parameters)
            )
            kept = max(kept, len(state))
            parameters = parameters + change
            loss, gradient = loss_and_gradient(kind, inputs, targets, parameters)
            if not np.isfinite(loss) or not np.isfinite(gradient).all():
                raise Invalid(f"diverged at step {step}")
        return [first, loss, kept]

    def score(self, case: Case, output: object, usage: object) -> Score:
        """Score the training that `interact` saw."""
        first, last, kept = output
        return Score(
            objective=float(np.log10(max(last, 1e-12) / first)),
            measures={"state_size": kept},
            feedback=f"loss from {first:.3g} to {last:.3g}",
        )


def checked(answer: object, size: int) -> tuple[np.ndarray, list[np.ndarray]]:
    """Return change and state, or refuse what is not made of finite numbers of the right shape."""
    if not isinstance(answer, list) or len(answer) != 2 or not isinstance(answer[1], list):
        raise Invalid("update must return [change, state], and state must be a list")
    change, state = answer
    if len(state) > MAX_STATE:
        raise Invalid(f"state has {len(state)} arrays, at most {MAX_STATE} are allowed")
    for array in (change, *state):
        if not isinstance(array, np.ndarray) or array.shape != (size,) or array.dtype.kind != "f":
            raise Invalid(f"change and state must be arrays of {size} floats")
        if not np.isfinite(array).all() or np.abs(array).max() > 1e9:
            raise Invalid("change or state holds a number that is not finite, or above 1e9")
    return change, state


def loss_and_gradient(
    kind: str, inputs: np.ndarray, targets: np.ndarray, parameters: np.ndarray
) -> tuple[float, np.ndarray]:
    """Return the mean loss over all examples, and its gradient."""
    outputs = inputs @ parameters
    if kind == "linear":
        errors = outputs - targets
        return float(errors @ errors / (2 * len(errors))), inputs.T @ errors / len(errors)
    margins = targets * outputs
    slopes = -targets / (1 + np.exp(np.clip(margins, -700, 700)))
    return float(np.logaddexp(0, -margins).mean()), inputs.T @ slopes / len(slopes)


def _data(rng: np.random.Generator, size: int, condition: float) -> tuple[np.ndarray, np.ndarray]:
    """Return inputs whose directions differ in scale, and targets of two classes, some wrong."""
    inputs = rng.normal(size=(8 * size, size)) * np.geomspace(1, condition**-0.5, size)
    truth = rng.normal(size=size) / np.geomspace(1, condition**-0.5, size)
    targets = np.where(inputs @ truth + rng.normal(size=len(inputs)) > 0, 1.0, -1.0)
    return inputs, targets
