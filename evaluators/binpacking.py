"""Online bin packing: a priority function chooses the bin of each item as it arrives.

The setting of Romera-Paredes et al., "Mathematical discoveries from program search with large
language models" (Nature, 2024).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from evolve import Call, Case, Evaluator, Invalid, Score, Usage
from evolve.core.evaluation import Stage
from evolve.core.values import Value

Integers = NDArray[np.int64]
Floats = NDArray[np.float64]

STAGES: Final[tuple[Stage, ...]] = ("search", "held_out")


def _weibull(rng: np.random.Generator, size: int) -> Integers:
    """Draw sizes from a Weibull distribution: shape 3, scale 45, rounded and clipped to 1..100."""
    return np.clip(np.rint(45 * rng.weibull(3, size)), 1, 100).astype(np.int64)


def _uniform(rng: np.random.Generator, size: int) -> Integers:
    """Draw sizes uniformly from 20..100, as in the OR-Library's bin packing sets."""
    return rng.integers(20, 101, size)


#: Class of instances to its generator and its bin capacity.
CLASSES: Final = {"weibull": (_weibull, 100), "uniform": (_uniform, 150)}


@dataclass(frozen=True, slots=True)
class Instance:
    """A sequence of items, known in full to the scorer only.

    Attributes:
        group: Class and number of items, such as ``weibull_5000``.
        items: Sizes in order of arrival, shape ``(n,)``, each between 1 and ``capacity``.
        capacity: What every bin holds.
    """

    group: str
    items: Integers = field(repr=False)
    capacity: int

    @property
    def is_scored(self) -> bool:
        """Whether it counts for the objective."""
        return self.group.startswith("weibull_")

    @property
    def lower_bound(self) -> int:
        """The L1 bound: no packing needs fewer bins than the total size fills."""
        return math.ceil(int(self.items.sum()) / self.capacity)


class OnlineBinPacking(Evaluator):
    """Score a packing by its excess over the L1 bound, in percent.

    The objective is the mean excess over a stage's Weibull instances; the uniform ones show what
    becomes of a program on sizes that it was not made for. The metrics ``excess_GROUP`` are the
    means of each group, the measure ``full_bins`` is the share of bins without any room left at
    the end.

    Args:
        search: Group to number of instances that steer the search, such as ``{"weibull_2000": 3}``.
        held_out: The same for the instances that selection never sees.
        seed: Origin of all instances. Those of the two stages are independent of each other.

    Raises:
        ValueError: a group is not ``CLASS_SIZE``, or a stage has no Weibull instance.
    """

    def __init__(
        self, search: Mapping[str, int], held_out: Mapping[str, int], seed: int = 0
    ) -> None:
        self._instances: dict[Stage, tuple[Instance, ...]] = {
            stage: tuple(
                _instance(group, (seed, number, index))
                for group, count in groups.items()
                for index in range(count)
            )
            for number, (stage, groups) in enumerate(zip(STAGES, (search, held_out), strict=True))
        }
        for stage, instances in self._instances.items():
            if not any(instance.is_scored for instance in instances):
                raise ValueError(f"{stage} needs at least one instance of a group weibull_SIZE")

    def cases(self, stage: Stage) -> Iterable[Case]:
        """Yield one case for each instance of ``stage``."""
        counts: dict[str, int] = {}
        for instance in self._instances[stage]:
            number = counts[instance.group] = counts.get(instance.group, 0) + 1
            yield Case(
                inputs={"items": instance.items, "capacity": instance.capacity},
                name=f"{instance.group}/{number}",
                secret=instance,
            )

    async def interact(self, case: Case, call: Call) -> Value:
        """Offer the items one at a time; the program never sees what is still to come."""
        instance = _known(case)
        remaining = np.full(len(instance.items) + 1, float(instance.capacity))
        assignment = np.empty(len(instance.items), dtype=np.int64)
        opened = 0
        for position, item in enumerate(instance.items.tolist()):
            fitting = np.flatnonzero(remaining[: opened + 1] >= item)
            reply = await call(item=float(item), bins=remaining[fitting])
            chosen = int(fitting[np.argmax(_priorities(reply, len(fitting), position))])
            remaining[chosen] -= item
            assignment[position] = chosen
            opened = max(opened, chosen + 1)
        return assignment

    def score(self, case: Case, output: Value, usage: Usage) -> Score:  # noqa: ARG002 - untimed
        """Verify the assignment of items to bins and count the bins it uses."""
        instance = _known(case)
        loads = _loads(output, instance)
        excess = 100 * (len(loads) / instance.lower_bound - 1)
        return Score(
            objective=excess,
            measures={"full_bins": float(np.mean(loads == instance.capacity))},
            feedback=f"{len(loads)} bins, bound {instance.lower_bound}, excess {excess:.3f} %",
        )

    def combine(self, scored: Sequence[tuple[Case, Score]]) -> Score:
        """Average over the Weibull instances, and the excess over each group besides."""
        groups: dict[str, list[float]] = {}
        for case, score in scored:
            groups.setdefault(_known(case).group, []).append(score.objective)
        total = super().combine([pair for pair in scored if _known(pair[0]).is_scored])
        return replace(
            total,
            metrics={
                f"excess_{group}": math.fsum(values) / len(values)
                for group, values in groups.items()
            },
        )


def _instance(group: str, entropy: tuple[int, ...]) -> Instance:
    """Generate the instance of ``group`` that belongs to ``entropy``."""
    name, _, size = group.partition("_")
    if name not in CLASSES or not size.isascii() or not size.isdigit() or not 0 < int(size) < 10**6:
        raise ValueError(
            f"{group!r} names no group of instances: "
            f"write CLASS_SIZE with a class of {', '.join(CLASSES)} and a size below a million"
        )
    draw, capacity = CLASSES[name]
    rng = np.random.default_rng([*entropy, list(CLASSES).index(name), int(size)])
    return Instance(group, draw(rng, int(size)), capacity)


def _known(case: Case) -> Instance:
    """Return the scorer's own copy of the case's instance."""
    assert isinstance(case.secret, Instance)
    return case.secret


def _priorities(reply: Value, count: int, position: int) -> Floats:
    """Check the program's reply for one item. NaN comes back as the lowest priority there is."""
    try:
        priorities = np.asarray(reply)
    except ValueError as error:
        raise Invalid(f"priority for item {position}: {error}") from None
    if priorities.shape != (count,) or priorities.dtype.kind not in "iuf":
        raise Invalid(
            f"priority must return {count} numbers, one for each bin, but for item {position} "
            f"it returned {priorities.dtype} of shape {priorities.shape}"
        )
    return np.where(np.isnan(priorities), -np.inf, priorities)


def _loads(output: Value, instance: Instance) -> Integers:
    """Check that ``output`` packs every item and return the load of each bin that it uses.

    Raises:
        Invalid: not one integer for each item, bins not numbered as opened, or a bin too full.
    """
    try:
        assignment = np.asarray(output)
    except ValueError as error:
        raise Invalid(f"the assignment is not an array: {error}") from None
    if assignment.shape != instance.items.shape or assignment.dtype.kind not in "iu":
        raise Invalid(
            f"the assignment must be {len(instance.items)} integers, the bin of each item, "
            f"not {assignment.dtype} of shape {assignment.shape}"
        )
    if int(assignment.min()) < 0 or int(assignment.max()) >= len(assignment):
        raise Invalid(
            f"bins are numbered from 0 in the order of opening, so at most {len(assignment) - 1}, "
            f"but the assignment has {assignment.min()} to {assignment.max()}"
        )
    bins = assignment.astype(np.int64)
    newest = np.maximum.accumulate(bins)
    skipped = np.flatnonzero(np.diff(newest, prepend=-1) > 1)
    if skipped.size:
        position = int(skipped[0])
        raise Invalid(f"item {position} goes to bin {bins[position]}, which skips a bin number")
    loads = np.zeros(int(newest[-1]) + 1, dtype=np.int64)
    np.add.at(loads, bins, instance.items)
    if loads.max() > instance.capacity:
        fullest = int(loads.argmax())
        raise Invalid(
            f"bin {fullest} holds {loads[fullest]}, more than its capacity {instance.capacity}"
        )
    return loads
