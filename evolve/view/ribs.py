"""A run's archive as one of pyribs, and as a file that pyribs' users load without `evolve`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from evolve.archive.base import Elite
from evolve.archive.spec import ArchiveSpec
from evolve.core.errors import PrerequisiteError, StoreError
from evolve.core.measures import Measure
from evolve.store.reader import Reader
from evolve.store.records import RunRecord
from evolve.view.report import archive_of

if TYPE_CHECKING:
    from ribs.archives import CVTArchive, GridArchive

#: How far from the edges of its cell an elite is put on an axis that is not linear.
_INSET = 0.01


@dataclass(frozen=True, slots=True)
class RibsData:
    """What a pyribs archive is made from, row by row the fittest elite of every occupied cell.

    Attributes:
        kind: ``grid`` or ``cvt``.
        dims: Of a grid: cells along each axis.
        ranges: Bounds of each axis, shape ``(axes, 2)``; 0 and 1 for axes in cells' own scale.
        centroids: Of a CVT: shape ``(cells, axes)``.
        measure_names: Names of the axes.
        qd_score_offset: The objective that counts zero.
        solution: Ids of programs.
        objective: Turned so that larger is better, as pyribs maximises.
        measures: Shape ``(elites, axes)``. Linear axes of a grid have the measured values; others
            the place between the bounds on the axis' scale, 0 to 1.
        index: Cells.
    """

    kind: str
    dims: NDArray[np.int64]
    ranges: NDArray[np.float64]
    centroids: NDArray[np.float64]
    measure_names: tuple[str, ...]
    qd_score_offset: float
    solution: NDArray[np.int64]
    objective: NDArray[np.float64]
    measures: NDArray[np.float64]
    index: NDArray[np.int64]


def ribs_data(
    reader: Reader, run: RunRecord, ref: int | str | None = None, island: int | None = None
) -> RibsData:
    """Return the data of an archive of a run.

    Args:
        reader: Reads the run.
        run: The run.
        ref: Number or name of the archive; None for the one that the search uses.
        island: Of this island; None for that of the whole run.

    Raises:
        StoreError: there is no such archive, or pyribs has none of its kind.
    """
    spec = reader.archive(run.id, ref).spec
    if spec.kind == "novelty":
        raise StoreError(
            "pyribs has no archive of the kind novelty; save the programs on another one first: "
            "`evolve remap --kind grid --save NAME`, then --archive NAME"
        )
    champions = archive_of(reader, run, island=island, ref=ref).champions()
    unit = [spec.kind == "cvt" or axis.scale != "linear" for axis in spec.measures]
    ranges = [
        (0.0, 1.0) if u else (m.low, m.high) for m, u in zip(spec.measures, unit, strict=True)
    ]
    return RibsData(
        kind=spec.kind,
        dims=np.array([axis.cells for axis in spec.measures], dtype=np.int64),
        ranges=np.array(ranges, dtype=np.float64),
        centroids=np.array(spec.centroids, dtype=np.float64).reshape(-1, len(spec.measures)),
        measure_names=tuple(axis.name for axis in spec.measures),
        qd_score_offset=run.objective.fitness(run.objective.offset),
        solution=np.array([elite.key for elite in champions], dtype=np.int64),
        objective=np.array([elite.fitness for elite in champions], dtype=np.float64),
        measures=np.array(
            [_place(elite, spec, unit) for elite in champions], dtype=np.float64
        ).reshape(-1, len(spec.measures)),
        index=np.array([elite.cell for elite in champions], dtype=np.int64),
    )


def _place(elite: Elite, spec: ArchiveSpec, unit: list[bool]) -> list[float]:
    """Return where an elite lies, certainly in its cell."""
    if spec.kind == "cvt":
        return [m.fraction(v) for m, v in zip(spec.measures, elite.measures, strict=True)]
    return [
        _inside(axis, value) if in_unit else value
        for axis, value, in_unit in zip(spec.measures, elite.measures, unit, strict=True)
    ]


def _inside(axis: Measure, value: float) -> float:
    cell = axis.cell(value)
    low, high = (cell + _INSET) / axis.cells, (cell + 1 - _INSET) / axis.cells
    return min(max(axis.fraction(value), low), high)


def save_ribs(data: RibsData, path: Path) -> None:
    """Write the data as a NumPy archive of plain arrays, for ``numpy.load`` without pickle."""
    arrays: dict[str, Any] = {
        name: np.array(getattr(data, name)) for name in RibsData.__dataclass_fields__
    }
    with path.open("wb") as file:
        np.savez_compressed(file, **arrays)


def load_ribs(path: str | Path) -> GridArchive | CVTArchive:
    """Make a pyribs archive from a file of `save_ribs`.

    Raises:
        PrerequisiteError: pyribs is not installed.
    """
    with np.load(path, allow_pickle=False) as arrays:
        read = {name: arrays[name] for name in RibsData.__dataclass_fields__}
    read["kind"], read["qd_score_offset"] = str(read["kind"]), float(read["qd_score_offset"])
    return make_ribs(RibsData(**{**read, "measure_names": tuple(map(str, read["measure_names"]))}))


def to_ribs(
    reader: Reader, run: RunRecord, ref: int | str | None = None, island: int | None = None
) -> GridArchive | CVTArchive:
    """Return an archive of a run as one of pyribs; its solutions are the ids of programs.

    Args:
        reader: Reads the run.
        run: The run.
        ref: Number or name of the archive; None for the one that the search uses.
        island: Of this island; None for that of the whole run.

    Raises:
        StoreError: see `ribs_data`.
        PrerequisiteError: pyribs is not installed.
    """
    return make_ribs(ribs_data(reader, run, ref, island))


def make_ribs(data: RibsData) -> GridArchive | CVTArchive:
    """Return a pyribs archive of the data.

    Raises:
        PrerequisiteError: pyribs is not installed.
    """
    try:
        from ribs.archives import CVTArchive, GridArchive
    except ImportError:
        raise PrerequisiteError(
            "archives of pyribs need it: pip install 'evolve-engine[ribs]'"
        ) from None
    shared: dict[str, Any] = {
        "solution_dim": (),
        "solution_dtype": np.int64,
        "ranges": [tuple(bounds) for bounds in data.ranges],
        "qd_score_offset": data.qd_score_offset,
    }
    archive = (
        GridArchive(dims=data.dims.tolist(), **shared)
        if data.kind == "grid"
        else CVTArchive(centroids=data.centroids, **shared)
    )
    if len(data.solution):
        archive.add(data.solution, data.objective, data.measures)
    return archive
