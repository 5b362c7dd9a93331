"""Plays the machine. The program sees the waiting jobs and never the bookkeeping."""

from collections.abc import Iterable

import numpy as np

from evolve import Case, Evaluator, Invalid, Score

#: Jobs, and how tight due times are, of each instance.
INSTANCES = {"search": [(40, 0.6), (40, 0.8)] * 3, "held_out": [(80, 0.7), (80, 0.9)] * 3}
SEEDS = {"search": 1, "held_out": 2}


class Tardiness(Evaluator):
    """Weighted tardiness of dispatching rules."""

    def cases(self, stage: str) -> Iterable[Case]:
        """Yield instances drawn from a fixed seed; held-out ones are larger."""
        rng = np.random.default_rng(SEEDS[stage])
        for number, (jobs, tightness) in enumerate(INSTANCES[stage]):
            length = rng.integers(1, 100, size=jobs).astype(float)
            due = rng.uniform(0, 2 * (1 - tightness), size=jobs) * length.sum() + length
            weight = rng.integers(1, 10, size=jobs).astype(float)
            yield Case(
                {"length": length, "due": due, "weight": weight}, name=f"{jobs} jobs/{number}"
            )

    async def interact(self, case: Case, call: object) -> object:
        """Ask the program for every decision; what it answers is data, checked here."""
        length, due, weight = (case.inputs[key] for key in ("length", "due", "weight"))
        waiting, order, now = np.arange(len(length)), [], 0.0
        while len(waiting):
            numbers = await call(
                length=length[waiting], due=due[waiting], weight=weight[waiting], now=now
            )
            place = choice(numbers, len(waiting))
            order.append(int(waiting[place]))
            now += length[waiting[place]]
            waiting = np.delete(waiting, place)
        return order

    def score(self, case: Case, output: object, usage: object) -> Score:
        """Score the order in which the jobs were done."""
        length, due, weight = (case.inputs[key] for key in ("length", "due", "weight"))
        late = np.maximum(np.cumsum(length[output]) - due[output], 0)
        return Score(
            objective=float((weight[output] * late).mean() / length.mean()),
            measures={"late_jobs": float((late > 0).mean())},
            feedback=f"{(late > 0).sum()} of {len(late)} jobs late, the worst by {late.max():.0f}",
        )


def choice(numbers: object, jobs: int) -> int:
    """Return which job has the largest number; refuse what is not one finite number for each."""
    array = np.asarray(numbers)
    if array.shape != (jobs,) or array.dtype.kind not in "iuf":
        raise Invalid(f"priority must return {jobs} numbers, one for each waiting job")
    if not np.isfinite(array).all():
        raise Invalid("priority returned a number that is not finite")
    return int(array.argmax())
