"""Update rules of optimisers: how many steps until a loss is reached, on small training tasks.

The way of measuring is AlgoPerf's in miniature (Dahl et al., *Benchmarking Neural Network Training
Algorithms*, arXiv:2306.07179, 2023): time to a fixed target, best learning rate of a grid. The
evaluator holds model, data and loss; a program gets gradients and returns changes.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from evolve import Call, Case, Evaluator, Invalid, Score, Usage
from evolve.core.evaluation import Stage
from evolve.core.values import Value

Floats: TypeAlias = NDArray[np.float64]

STEPS: Final = 300
RATES: Final = (0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0)
MAX_STATE: Final = 6
#: A rate is given up when a parameter gets larger than this, or is no number.
DIVERGED: Final = 1e50
#: The target is a loss that Adam has within so many steps with two rates of the grid.
_ADAM_STEPS: Final = 150


@dataclass(frozen=True)
class Task:
    """A model with its data.

    Attributes:
        name: What it is called.
        start: First parameters, flat.
        loss: The loss of all data; lower is better.
        gradient: A gradient of the loss, of a batch that the step number chooses.
    """

    name: str
    start: Floats
    loss: Callable[[Floats], float]
    gradient: Callable[[Floats, int], Floats]


class UpdateRule(Evaluator):
    """Compare the steps that a rule needs to reach a target with the steps that Adam needs."""

    def cases(self, stage: Stage) -> Iterable[Case]:
        """Yield one case for each task; other tasks are held out."""
        for index, task in enumerate(tasks(stage)):
            yield Case({}, name=task.name, secret=(stage, index))

    async def interact(self, case: Case, call: Call) -> Value:
        """Train with every learning rate until the target is reached, and not a step longer."""
        stage, index = _known(case)
        task, (target, _) = tasks(stage)[index], targets(stage)[index]
        state: list[Floats]
        best, kept, rate_of_best = STEPS * 2, 0, 0.0
        for rate in RATES:
            parameters, state = task.start.copy(), []
            for step in range(1, min(best, STEPS + 1)):
                reply = await call(
                    parameters=parameters,
                    gradient=task.gradient(parameters, step),
                    state=state,
                    rate=rate,
                    step=step,
                )
                change, state = checked(reply, len(parameters))
                kept = max(kept, len(state))
                parameters = parameters + change
                if not np.abs(parameters).max() <= DIVERGED:
                    break
                if task.loss(parameters) <= target:
                    best, rate_of_best = step, rate
                    break
        return [best, kept, rate_of_best]

    def score(self, case: Case, output: Value, usage: Usage) -> Score:  # noqa: ARG002 - untimed
        """Score the training that `interact` did."""
        stage, index = _known(case)
        _, adam = targets(stage)[index]
        assert isinstance(output, list)
        steps, kept, rate = (float(each) for each in output)
        reached = f"target after {steps:.0f} steps with rate {rate:g}"
        return Score(
            objective=adam / steps,
            measures={"state_arrays": kept, "won": float(steps < adam)},
            feedback=f"{reached if rate else 'target not reached'}; Adam needs {adam}",
        )

    def combine(self, scored: Sequence[tuple[Case, Score]]) -> Score:
        """Take the geometric mean of the speed-ups, and the most state of any task."""
        together = super().combine(scored)
        logs = [math.log(score.objective) for _, score in scored]
        most = max(score.measures["state_arrays"] for _, score in scored)
        return replace(
            together,
            objective=math.exp(math.fsum(logs) / len(logs)),
            measures={**together.measures, "state_arrays": most},
        )


def _known(case: Case) -> tuple[Stage, int]:
    """Return which task of which stage a case is."""
    assert isinstance(case.secret, tuple)
    return case.secret


def checked(reply: Value, size: int) -> tuple[Floats, list[Floats]]:
    """Return change and state as a rule gave them.

    A number that is not finite is allowed: with a large rate rules diverge, and the loss shows it.

    Raises:
        Invalid: it is no pair of an array of ``size`` floats and a list of such arrays.
    """
    if not isinstance(reply, list) or len(reply) != 2 or not isinstance(reply[1], list):
        raise Invalid("update must return [change, state], and state must be a list of arrays")
    change, state = reply
    if len(state) > MAX_STATE:
        raise Invalid(f"state has {len(state)} arrays, at most {MAX_STATE} are allowed")
    for array in (change, *state):
        if not isinstance(array, np.ndarray) or array.shape != (size,) or array.dtype.kind != "f":
            raise Invalid(f"change and state must be arrays of {size} floats")
    return change, state


@cache
def tasks(stage: Stage) -> tuple[Task, ...]:
    """Return the tasks of a stage, drawn from a fixed seed."""
    if stage == "search":
        rng = np.random.default_rng(1)
        return (
            softmax_regression(rng, features=20, classes=5, condition=100.0),
            spirals(rng, width=16),
            factorisation(rng, size=30, rank=3),
        )
    rng = np.random.default_rng(2)
    return (
        quadratic(rng, size=50, condition=300.0),
        spirals(rng, width=24),
        softmax_regression(rng, features=40, classes=8, condition=1000.0),
        factorisation(rng, size=24, rank=5),
    )


@cache
def targets(stage: Stage) -> tuple[tuple[float, int], ...]:
    """Return for each task the target, and the steps after which Adam reaches it."""
    found = []
    for task in tasks(stage):
        courses = [_adam(task, rate) for rate in RATES]
        target = sorted(min(course) for course in courses)[1]
        steps = min(
            next((i for i, loss in enumerate(course, 1) if loss <= target), STEPS * 2)
            for course in courses
        )
        found.append((target, steps))
    return tuple(found)


def _adam(task: Task, rate: float) -> list[float]:
    """Return the losses of Adam (Kingma and Ba, 2015) with the usual constants."""
    at, m, v = task.start.copy(), np.zeros_like(task.start), np.zeros_like(task.start)
    losses = []
    for step in range(1, _ADAM_STEPS + 1):
        gradient = task.gradient(at, step)
        m = 0.9 * m + 0.1 * gradient
        v = 0.999 * v + 0.001 * gradient**2
        at = at - rate * (m / (1 - 0.9**step)) / (np.sqrt(v / (1 - 0.999**step)) + 1e-8)
        losses.append(task.loss(at))
    return losses


def softmax_regression(
    rng: np.random.Generator, *, features: int, classes: int, condition: float
) -> Task:
    """Return a regression whose features differ in scale by the root of ``condition``."""
    count, batch = 400, 64
    x = rng.normal(size=(count, features)) * np.geomspace(1, condition**-0.5, features)
    truth = (
        rng.normal(size=(features, classes)) * np.geomspace(1, condition**0.5, features)[:, None]
    )
    y = (x @ truth + rng.gumbel(size=(count, classes))).argmax(axis=1)
    order = rng.integers(count, size=(STEPS + 1, batch))

    def parts(at: Floats, rows: NDArray[np.int64]) -> tuple[float, Floats]:
        logits = np.clip(x[rows] @ at.reshape(features, classes), -1e6, 1e6)
        logits -= logits.max(axis=1, keepdims=True)
        logs = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
        error = np.exp(logs)
        error[np.arange(len(rows)), y[rows]] -= 1
        mean = -logs[np.arange(len(rows)), y[rows]].mean()
        return float(mean), (x[rows].T @ error / len(rows)).ravel()

    everything = np.arange(count)
    return Task(
        f"softmax regression, {features} features",
        np.zeros(features * classes),
        lambda at: parts(at, everything)[0],
        lambda at, step: parts(at, order[step])[1],
    )


def spirals(rng: np.random.Generator, *, width: int) -> Task:
    """Return two interleaved spirals for a network with two hidden layers of tanh."""
    t = np.tile(np.linspace(0.3, 2.5, 80), 2)
    label = np.repeat([1.0, -1.0], 80)
    x = np.stack([t * np.cos(2.5 * t), t * np.sin(2.5 * t)], axis=1) * label[:, None]
    x += rng.normal(0, 0.03, size=x.shape)
    shapes = ((2, width), (width,), (width, width), (width,), (width, 1), (1,))
    sizes = [math.prod(shape) for shape in shapes]
    cuts = np.cumsum(sizes)[:-1]
    start = np.concatenate(
        [
            (
                rng.normal(size=shape) / math.sqrt(shape[0]) if len(shape) == 2 else np.zeros(shape)
            ).ravel()
            for shape in shapes
        ]
    )

    def parts(at: Floats) -> tuple[float, Floats]:
        w1, b1, w2, b2, w3, b3 = (
            part.reshape(shape) for part, shape in zip(np.split(at, cuts), shapes, strict=True)
        )
        h1 = np.tanh(x @ w1 + b1)
        h2 = np.tanh(h1 @ w2 + b2)
        margin = label * (h2 @ w3 + b3)[:, 0]
        slope = (-label / (1 + np.exp(np.clip(margin, -500, 500))) / len(x))[:, None]
        back2 = slope @ w3.T * (1 - h2**2)
        back1 = back2 @ w2.T * (1 - h1**2)
        gradient = [
            x.T @ back1,
            back1.sum(0),
            h1.T @ back2,
            back2.sum(0),
            h2.T @ slope,
            slope.sum(0),
        ]
        loss = np.logaddexp(0, -margin).mean()
        return float(loss), np.concatenate([each.ravel() for each in gradient])

    return Task(
        f"spirals, width {width}",
        start,
        lambda at: parts(at)[0],
        lambda at, _: parts(at)[1],
    )


def factorisation(rng: np.random.Generator, *, size: int, rank: int) -> Task:
    """Return a matrix of low rank, a third of whose entries are known, as a product of two."""
    truth = rng.normal(size=(size, rank)) @ rng.normal(size=(rank, size)) / math.sqrt(rank)
    known = rng.random((size, size)) < 0.33
    start = rng.normal(0, 0.1, size=2 * size * rank)

    def parts(at: Floats) -> tuple[float, Floats]:
        left, right = at[: size * rank].reshape(size, rank), at[size * rank :].reshape(rank, size)
        error = np.where(known, left @ right - truth, 0.0)
        gradient = np.concatenate([(error @ right.T).ravel(), (left.T @ error).ravel()])
        return float((error**2).sum() / size / 2), gradient / size

    return Task(
        f"factorisation, rank {rank}",
        start,
        lambda at: parts(at)[0],
        lambda at, _: parts(at)[1],
    )


def quadratic(rng: np.random.Generator, *, size: int, condition: float) -> Task:
    """Return a rotated quadratic whose gradients come with heavy-tailed noise."""
    rotation, _ = np.linalg.qr(rng.normal(size=(size, size)))
    matrix = rotation * np.geomspace(1, 1 / condition, size) @ rotation.T
    noise = rng.standard_t(2.5, size=(STEPS + 1, size)) * 0.02
    start = rotation @ rng.normal(size=size) * 3
    return Task(
        f"noisy quadratic, {size} parameters",
        start,
        lambda at: float(at @ matrix @ at / 2),
        lambda at, step: matrix @ at + noise[step],
    )
