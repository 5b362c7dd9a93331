"""Three placement problems of systems research: experts on GPUs, rows of a table, broadcast trees.

Simulators and workloads were written for this project, after the problems of Cheng et al.,
*Barbarians at the Gate: How AI is Upending Systems Research* (arXiv:2510.06189, 2025). The data of
that work are not used, so figures cannot be compared with its own.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

import numpy as np
from numpy.typing import NDArray

from evolve import Case, Evaluator, Invalid, Score, Usage
from evolve.core.evaluation import Stage
from evolve.core.values import Value

Floats = NDArray[np.float64]
_SEEDS: Final[dict[Stage, int]] = {"search": 1, "held_out": 2}

#: Layers, experts, GPUs and places on each GPU of every case.
_MODELS: Final[dict[Stage, tuple[tuple[int, int, int, int], ...]]] = {
    "search": ((4, 64, 8, 10), (4, 64, 16, 5), (2, 128, 16, 9)),
    "held_out": ((4, 64, 8, 9), (3, 96, 12, 10), (2, 256, 32, 9)),
}


@dataclass(frozen=True, slots=True)
class _Experts:
    """Loads of all steps, shape ``(steps, layers, experts)``, and where experts may go."""

    loads: Floats
    gpus: int
    places: int


class ExpertBalance(Evaluator):
    """Place experts and replicas on GPUs so that the next step's load is balanced.

    The program sees the loads of the last steps and is scored on the step after them. Replicas of
    an expert share its load equally. The objective is mean over largest GPU load, between 0 and 1.
    """

    def cases(self, stage: Stage) -> Iterable[Case]:
        """Yield models with drifting, skewed loads drawn from a fixed seed."""
        rng = np.random.default_rng(_SEEDS[stage])
        for layers, experts, gpus, places in _MODELS[stage]:
            loads = _loads(rng, layers, experts, steps=5)
            yield Case(
                {"loads": loads[:-1], "gpus": gpus, "places": places},
                name=f"{experts} experts on {gpus} x {places}",
                secret=_Experts(loads, gpus, places),
            )

    def score(self, case: Case, output: Value, usage: Usage) -> Score:  # noqa: ARG002 - untimed
        """Check that every expert has a place, and add up the next step's loads."""
        secret = case.secret
        assert isinstance(secret, _Experts)
        before, after = secret.loads[:-1], secret.loads[-1]
        placed = _placement(output, after.shape, secret.gpus, secret.places)
        balance = _balance(placed, after)
        known = _balance(placed, before[-1])
        hottest = [
            int((layer == int(load.argmax())).sum())
            for layer, load in zip(placed, before[-1], strict=True)
        ]
        return Score(
            objective=balance,
            measures={
                "surprise": known - balance,
                "hot_replicas": float(np.mean(hottest)),
            },
            feedback=f"balance {balance:.4f} on the next step, {known:.4f} on the last one seen",
        )


def _loads(rng: np.random.Generator, layers: int, experts: int, steps: int) -> Floats:
    """Draw tokens per expert, shape ``(steps, layers, experts)``: Zipf-like, drifting."""
    logits = rng.permuted(
        np.tile(-0.8 * np.log(np.arange(1, experts + 1)), (layers, 1)), axis=1
    ) + rng.normal(0, 0.3, size=(layers, experts))
    steps_taken = []
    for _ in range(steps):
        logits = logits + rng.normal(0, 0.1, size=logits.shape)
        share = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
        steps_taken.append(np.rint(share * 100_000))
    return np.stack(steps_taken)


def _placement(output: Value, shape: tuple[int, ...], gpus: int, places: int) -> NDArray[np.int64]:
    """Return experts by layer, GPU and place, shape ``(layers, gpus, places)``, or refuse them."""
    layers, experts = shape
    try:
        array = np.asarray(output)
    except ValueError as error:
        raise Invalid(f"the placement is not an array: {error}") from None
    if array.shape != (layers, gpus, places) or array.dtype.kind not in "iu":
        raise Invalid(
            f"return integers of shape ({layers}, {gpus}, {places}): the expert in each place, not "
            f"{array.dtype} of shape {array.shape}"
        )
    if int(array.min()) < 0 or int(array.max()) >= experts:
        raise Invalid(f"experts are numbered from 0 to {experts - 1}")
    for number, layer in enumerate(array):
        missing = np.setdiff1d(np.arange(experts), layer)
        if missing.size:
            raise Invalid(f"layer {number}: expert {missing[0]} has no place")
    return array.astype(np.int64)


def _balance(placed: NDArray[np.int64], loads: Floats) -> float:
    """Return mean over largest GPU load, averaged over the layers."""
    ratios = []
    for layer, load in zip(placed, loads, strict=True):
        replicas = np.bincount(layer.ravel(), minlength=len(load))
        per_gpu = (load / replicas)[layer].sum(axis=1)
        ratios.append(per_gpu.mean() / per_gpu.max())
    return float(np.mean(ratios))


#: Number of rows of every table.
_TABLES: Final[dict[Stage, tuple[int, ...]]] = {"search": (120, 200), "held_out": (150, 300)}
_COLUMNS: Final = ("category", "brand", "region", "rating", "title", "review")


class RowOrder(Evaluator):
    """Order the rows of a table, and the fields of each, so that prompts share long prefixes.

    A prompt is the row's fields as ``name: value`` in the row's own order. The objective is the
    share of characters that a row has in common with the start of the one before it: what a cache
    of prefixes saves.
    """

    def cases(self, stage: Stage) -> Iterable[Case]:
        """Yield tables drawn from a fixed seed."""
        rng = np.random.default_rng(_SEEDS[stage])
        for size in _TABLES[stage]:
            rows = _table(rng, size)
            yield Case({"columns": list(_COLUMNS), "rows": rows}, name=f"{size} rows", secret=rows)

    def score(self, case: Case, output: Value, usage: Usage) -> Score:  # noqa: ARG002 - untimed
        """Write the rows anew from the scorer's own table, and compare neighbours."""
        rows: list[list[str]] = case.secret  # type: ignore[assignment]  # as made above
        order = _row_order(output, len(rows))
        texts = [
            "".join(f"{_COLUMNS[field]}: {rows[row][field]}\n" for field in fields)
            for row, fields in order
        ]
        shared = sum(_common(a, b) for a, b in pairwise(texts))
        total = sum(map(len, texts))
        usual = Counter(tuple(fields) for _, fields in order).most_common(1)[0][1]
        leaders = len({fields[0] for _, fields in order})
        return Score(
            objective=shared / total,
            measures={"own_order": 1 - usual / len(rows), "first_fields": leaders},
            feedback=f"{shared} of {total} characters are shared with the row before",
        )


def _table(rng: np.random.Generator, size: int) -> list[list[str]]:
    """Draw products with reviews: fields depend on each other, texts are long and mostly unique."""
    words = ["".join(rng.choice(list("abcdefghijklmnopqrstuvwxyz"), 7)) for _ in range(300)]

    def text(count: int) -> str:
        return " ".join(str(word) for word in rng.choice(words, count))

    products = [
        [f"category-{rng.integers(6)}", f"brand-{rng.integers(12)}", text(9)] for _ in range(25)
    ]
    reviews = [text(14) for _ in range(size // 2)]
    rows = []
    for _ in range(size):
        category, brand, title = products[int(rng.integers(len(products)))]
        region, rating = f"region-{rng.integers(4)}", f"{rng.integers(1, 6)} of 5 stars"
        review = reviews[int(rng.integers(len(reviews)))]
        rows.append([category, brand, region, rating, title, review])
    return rows


def _row_order(output: Value, rows: int) -> list[tuple[int, list[int]]]:
    """Return pairs of row and field order, or refuse what does not name all of both once."""
    if not isinstance(output, list) or len(output) != rows:
        raise Invalid(f"return a list of {rows} pairs [row, fields]")
    order, seen = [], set()
    for place, pair in enumerate(output):
        if not isinstance(pair, list) or len(pair) != 2:
            raise Invalid(f"entry {place} is no pair [row, fields]")
        row, fields = pair
        if isinstance(fields, np.ndarray):
            fields = fields.tolist()
        if type(row) is not int or not 0 <= row < rows or row in seen:
            raise Invalid(f"entry {place}: {str(row)[:40]} is no row, or comes twice")
        whole = isinstance(fields, list) and all(type(field) is int for field in fields)
        if not whole or sorted(fields) != list(range(len(_COLUMNS))):
            raise Invalid(f"entry {place}: fields must be all of 0 to {len(_COLUMNS) - 1}, once")
        seen.add(row)
        order.append((row, fields))
    return order


def _common(before: str, after: str) -> int:
    """Return how many characters two texts share at the start."""
    limit = min(len(before), len(after))
    return next((i for i in range(limit) if before[i] != after[i]), limit)


#: Destinations and partitions of every broadcast.
_BROADCASTS: Final[dict[Stage, tuple[tuple[int, int], ...]]] = {
    "search": ((5, 4), (8, 4), (10, 8)),
    "held_out": ((6, 4), (12, 8), (14, 4)),
}
_REGIONS, _GIGABYTES, _VM_DOLLARS_H, _VMS = 20, 300.0, 5.0, 2


@dataclass(frozen=True, slots=True)
class _Task:
    """A broadcast: prices and throughputs of all links, from where, to where."""

    price: Floats
    gbps: Floats
    source: int
    destinations: tuple[int, ...]
    partitions: int


class Broadcast(Evaluator):
    """Send data from one cloud region to several as cheaply as possible.

    Every partition travels along links of its own choice. The cost is what links charge for a
    gigabyte, and virtual machines in all regions that take part for as long as the slowest link
    needs. Prices and throughputs are the evaluator's own.
    """

    def cases(self, stage: Stage) -> Iterable[Case]:
        """Yield broadcasts on graphs drawn from a fixed seed."""
        rng = np.random.default_rng(_SEEDS[stage])
        for count, partitions in _BROADCASTS[stage]:
            task = _task(rng, count, partitions)
            yield Case(
                {
                    "price": task.price,
                    "gbps": task.gbps,
                    "source": task.source,
                    "destinations": list(task.destinations),
                    "partitions": partitions,
                    "gigabytes": _GIGABYTES,
                },
                name=f"{count} destinations, {partitions} partitions",
                secret=task,
            )

    def score(self, case: Case, output: Value, usage: Usage) -> Score:  # noqa: ARG002 - untimed
        """Check that every partition reaches every destination, and add up the cost."""
        task = case.secret
        assert isinstance(task, _Task)
        trees = [
            _links(links, task, number)
            for number, links in enumerate(_listed(output, task.partitions))
        ]
        dollars, hours = _cost(trees, task)
        direct = [(task.source, each) for each in task.destinations]
        alone, _ = _cost([direct] * task.partitions, task)
        share = len({frozenset(tree) for tree in trees}) / task.partitions
        relays = {a for tree in trees for a, _ in tree} - {task.source}
        return Score(
            objective=dollars / alone,
            measures={"distinct_trees": share, "relays": len(relays)},
            metrics={"dollars": dollars, "hours": hours},
            feedback=f"{dollars:.2f} dollars in {hours:.2f} h; straight to each costs {alone:.2f}",
        )


def _task(rng: np.random.Generator, count: int, partitions: int) -> _Task:
    """Draw regions of three clouds: cheap links within a cloud, dear and slow ones between."""
    cloud = rng.integers(3, size=_REGIONS)
    same = cloud[:, None] == cloud
    price = np.where(same, rng.uniform(0.01, 0.03, same.shape), rng.uniform(0.05, 0.15, same.shape))
    gbps = np.where(same, rng.uniform(4, 12, same.shape), rng.uniform(1, 6, same.shape))
    np.fill_diagonal(price, 0)
    np.fill_diagonal(gbps, 0)
    chosen = rng.choice(_REGIONS, size=count + 1, replace=False).tolist()
    return _Task(price.round(4), gbps.round(2), chosen[0], tuple(chosen[1:]), partitions)


def _listed(output: Value, partitions: int) -> Sequence[Value]:
    if not isinstance(output, list) or len(output) != partitions:
        raise Invalid(f"return a list of {partitions} lists of links, one for each partition")
    return output


def _links(links: Value, task: _Task, number: int) -> list[tuple[int, int]]:
    """Return the links of one partition, each once; refuse what reaches not all destinations."""
    if isinstance(links, np.ndarray):
        links = links.tolist()
    if not isinstance(links, list):
        raise Invalid(f"partition {number}: no list of links [from, to]")
    found: list[tuple[int, int]] = []
    for link in links:
        ends = tuple(link) if isinstance(link, list) else ()
        if len(ends) != 2 or not all(type(end) is int and 0 <= end < _REGIONS for end in ends):
            raise Invalid(f"partition {number}: {str(link)[:60]} is no link [from, to] of regions")
        if ends[0] == ends[1]:
            raise Invalid(f"partition {number}: a link from region {ends[0]} to itself")
        found.append((ends[0], ends[1]))
    found = list(dict.fromkeys(found))
    reached, before = {task.source}, 0
    while len(reached) > before:
        before = len(reached)
        reached |= {b for a, b in found if a in reached}
    missing = set(task.destinations) - reached
    if missing:
        raise Invalid(f"partition {number} does not reach region {min(missing)}")
    stray = next((link for link in found if link[0] not in reached), None)
    if stray is not None:
        raise Invalid(f"partition {number}: nothing arrives at region {stray[0]} to be sent on")
    return found


def _cost(trees: Sequence[Sequence[tuple[int, int]]], task: _Task) -> tuple[float, float]:
    """Return dollars and hours; partitions on the same link share its throughput."""
    part = _GIGABYTES / len(trees)
    load = Counter(link for tree in trees for link in tree)
    egress = sum(times * part * float(task.price[link]) for link, times in load.items())
    hours = max(times * part * 8 / (float(task.gbps[link]) * _VMS) for link, times in load.items())
    hours /= 3600
    regions = {end for link in load for end in link}
    return egress + hours * len(regions) * _VMS * _VM_DOLLARS_H, hours
