"""Another archive from the evaluations a run has: other measures or cells, nothing evaluated."""

from __future__ import annotations

import math
from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from evolve.archive.base import AddStatus, Archive
from evolve.archive.bulk import contenders
from evolve.archive.spec import ArchiveSpec
from evolve.config.archive import ArchiveConfig
from evolve.core.code_measures import CODE_MEASURES, code_measures
from evolve.core.errors import ConfigError
from evolve.core.measures import Measure
from evolve.engine.archives import archive_spec
from evolve.store.reader import Reader
from evolve.store.records import ArchiveEvent, RunRecord


@dataclass(frozen=True, slots=True)
class Axis:
    """A measure asked for by name; bounds that are None are the extremes seen."""

    name: str
    low: float | None = None
    high: float | None = None
    cells: int = 10
    scale: str = "linear"


@dataclass(frozen=True, slots=True)
class Remapped:
    """An archive made anew.

    Attributes:
        spec: What it is made from.
        archive: It holds the programs.
        events: What entered it, in order.
        left_out: Programs with a score that lack a measure or an objective of it.
    """

    spec: ArchiveSpec
    archive: Archive
    events: tuple[ArchiveEvent, ...]
    left_out: int


def remap(
    reader: Reader, run: RunRecord, config: ArchiveConfig, axes: Sequence[Axis] = ()
) -> Remapped:
    """Fill another archive with a run's programs, in the order of their evaluations.

    Args:
        reader: Reads the run.
        run: Whose evaluations.
        config: What the archive is like; without measures it has those of the run.
        axes: The measures, before those of ``config``.

    Raises:
        ConfigError: no evaluation has a measure or an objective asked for, or parts of the
            configuration do not go together.
    """
    wanted = [axis.name for axis in axes or config.measures or run.measures]
    wanted += [each.name for each in config.objectives]
    table = _read(reader, run, wanted)
    whole = table.take(np.flatnonzero(~np.isnan(table.values).any(axis=1)))
    if not len(whole.keys):
        raise ConfigError(f"no program of run {run.id} has all of {', '.join(wanted)}")
    spec = archive_spec(config, run.objective, _measures(run, config, axes, whole), run.seed)
    if not spec.settled:
        spec = spec.settle([dict(zip(wanted, row, strict=True)) for row in whole.values.tolist()])
    archive = spec.build(run.objective.fitness(run.objective.offset))
    events = tuple(_fill(archive, spec, run, whole))
    return Remapped(spec, archive, events, len(table.keys) - len(whole.keys))


@dataclass(frozen=True, slots=True)
class _Table:
    """Programs with a score, in the order of their evaluations.

    Attributes:
        keys: Their ids.
        objectives: In the problem's own direction.
        names: Of the columns of ``values``.
        values: What is known of them, NaN for what is not, shape ``(programs, names)``.
    """

    keys: NDArray[np.int64]
    objectives: NDArray[np.float64]
    names: Sequence[str]
    values: NDArray[np.float64]

    def take(self, which: NDArray[np.intp]) -> _Table:
        """Return some of the programs."""
        return _Table(self.keys[which], self.objectives[which], self.names, self.values[which])

    def column(self, name: str) -> NDArray[np.float64]:
        """Return the values of one name."""
        return self.values[:, self.names.index(name)]


def _read(reader: Reader, run: RunRecord, wanted: Sequence[str]) -> _Table:
    """Read numbers of all programs with a score.

    Raises:
        ConfigError: no program has one of them.
    """
    keys, objectives, values = array("q"), array("d"), array("d")
    known: set[str] = set()
    for offer in reader.offers(run.id):
        keys.append(offer.program_id)
        objectives.append(offer.objective)
        known.update(offer.measures, offer.metrics)
        for name in wanted:
            value = offer.measures.get(name)
            if value is None:
                value = offer.metrics.get(name)
            if value is None:
                value = _built_in(reader, offer.program_id, name)
            values.append(value)
    rows = np.array(values).reshape(-1, len(wanted))
    for column, name in enumerate(wanted):
        if np.isnan(rows[:, column]).all():
            raise ConfigError(_unknown(run, name, known))
    return _Table(np.array(keys), np.array(objectives), wanted, rows)


def _built_in(reader: Reader, program_id: int, name: str) -> float:
    """Return a measure of the code itself; NaN for a name that is none."""
    if name not in CODE_MEASURES:
        return math.nan
    return code_measures(reader.program(program_id).program, [name])[name]


def _measures(
    run: RunRecord, config: ArchiveConfig, axes: Sequence[Axis], table: _Table
) -> tuple[Measure, ...]:
    if axes:
        return tuple(_measure(axis, table.column(axis.name)) for axis in axes)
    if config.measures:
        return tuple(Measure.from_dict(axis.model_dump()) for axis in config.measures)
    return run.measures


def _measure(axis: Axis, seen: NDArray[np.float64]) -> Measure:
    low = float(seen.min()) if axis.low is None else axis.low
    high = float(seen.max()) if axis.high is None else axis.high
    if axis.high is None and low == high:
        high = low + 1.0  # every program is the same in this
    try:
        return Measure.from_dict(
            {
                "name": axis.name,
                "low": low,
                "high": high,
                "cells": axis.cells,
                "scale": axis.scale,
            }
        )
    except ValueError as error:
        raise ConfigError(str(error)) from None


def _fill(
    archive: Archive, spec: ArchiveSpec, run: RunRecord, table: _Table
) -> Iterator[ArchiveEvent]:
    """Offer programs to an archive; yield what entered."""
    fitness = table.objectives if run.objective.direction == "maximize" else -table.objectives
    axes = np.stack([table.column(axis.name) for axis in spec.measures], axis=1)
    chosen = contenders(archive, fitness, axes)
    rows = zip(
        table.keys[chosen].tolist(),
        fitness[chosen].tolist(),
        table.values[chosen].tolist(),
        strict=True,
    )
    for key, worth, values in rows:
        numbers = dict(zip(table.names, values, strict=True))
        measures = {axis.name: numbers[axis.name] for axis in spec.measures}
        metrics = {each.name: numbers[each.name] for each in spec.objectives}
        added = archive.add(key, worth, measures, metrics)
        if added.status is not AddStatus.NOT_ADDED:
            yield ArchiveEvent(
                program_id=key,
                island=0,
                cell=added.cell,
                status="new" if added.status is AddStatus.NEW else "improve",
                fitness=worth,
                measures=measures,
                replaced=added.replaced,
                metrics=metrics,
            )


def _unknown(run: RunRecord, name: str, known: set[str]) -> str:
    if not known:
        return f"run {run.id} has no program with a score yet"
    names = ", ".join(sorted(known - CODE_MEASURES.keys())) or "none"
    return (
        f"no evaluation of run {run.id} has '{name}'; there are {names} from its evaluator, and "
        f"the built-in {', '.join(CODE_MEASURES)}"
    )
