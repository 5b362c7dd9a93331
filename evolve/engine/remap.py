"""Another archive from the evaluations a run has: other measures or cells, nothing evaluated."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from evolve.archive.base import AddStatus, Archive
from evolve.archive.spec import ArchiveSpec
from evolve.config.archive import ArchiveConfig
from evolve.core.code_measures import CODE_MEASURES, code_measures
from evolve.core.errors import ConfigError
from evolve.core.measures import Measure
from evolve.engine.archives import archive_spec
from evolve.store.archives import Offer
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
    found = list(_numbers(reader, run, wanted))
    complete = [
        (offer, numbers) for offer, numbers in found if all(name in numbers for name in wanted)
    ]
    for name in wanted:
        if not any(name in numbers for _, numbers in found):
            raise ConfigError(_unknown(run, name, [numbers for _, numbers in found]))
    if not complete:
        raise ConfigError(f"no program of run {run.id} has all of {', '.join(wanted)}")
    values = [numbers for _, numbers in complete]
    spec = archive_spec(config, run.objective, _measures(run, config, axes, values), run.seed)
    spec = spec.settle(values)
    archive = spec.build(run.objective.fitness(run.objective.offset))
    events = tuple(_fill(archive, spec, run, complete))
    return Remapped(spec, archive, events, len(found) - len(complete))


def _numbers(
    reader: Reader, run: RunRecord, wanted: Sequence[str]
) -> Iterator[tuple[Offer, Mapping[str, float]]]:
    """Yield every program with a score and all that is known of it by name."""
    for offer in reader.offers(run.id):
        numbers = {**offer.metrics, **offer.measures}
        built_in = [name for name in wanted if name in CODE_MEASURES and name not in numbers]
        if built_in:
            numbers |= code_measures(reader.program(offer.program_id).program, built_in)
        yield offer, numbers


def _measures(
    run: RunRecord,
    config: ArchiveConfig,
    axes: Sequence[Axis],
    values: Sequence[Mapping[str, float]],
) -> tuple[Measure, ...]:
    if axes:
        return tuple(_measure(axis, [numbers[axis.name] for numbers in values]) for axis in axes)
    if config.measures:
        return tuple(Measure.from_dict(axis.model_dump()) for axis in config.measures)
    return run.measures


def _measure(axis: Axis, seen: Sequence[float]) -> Measure:
    low = min(seen) if axis.low is None else axis.low
    high = max(seen) if axis.high is None else axis.high
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
    archive: Archive,
    spec: ArchiveSpec,
    run: RunRecord,
    offers: Sequence[tuple[Offer, Mapping[str, float]]],
) -> Iterator[ArchiveEvent]:
    """Offer programs to an archive; yield what entered."""
    for offer, numbers in offers:
        measures = {axis.name: numbers[axis.name] for axis in spec.measures}
        metrics = {each.name: numbers[each.name] for each in spec.objectives}
        fitness = run.objective.fitness(offer.objective)
        added = archive.add(offer.program_id, fitness, measures, metrics)
        if added.status is not AddStatus.NOT_ADDED:
            yield ArchiveEvent(
                program_id=offer.program_id,
                island=0,
                cell=added.cell,
                status="new" if added.status is AddStatus.NEW else "improve",
                fitness=fitness,
                measures=measures,
                replaced=added.replaced,
                metrics=metrics,
            )


def _unknown(run: RunRecord, name: str, found: Sequence[Mapping[str, float]]) -> str:
    if not found:
        return f"run {run.id} has no program with a score yet"
    known = sorted({key for numbers in found for key in numbers} - CODE_MEASURES.keys())
    return (
        f"no evaluation of run {run.id} has '{name}'; there are {', '.join(known) or 'none'} from "
        f"its evaluator, and the built-in {', '.join(CODE_MEASURES)}"
    )
