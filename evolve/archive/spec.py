"""What an archive is made from: a value that is stored with a run and builds it anew."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal, Self, TypeAlias

from evolve.archive.base import Archive
from evolve.archive.cells import CellArchive, Tessellation
from evolve.archive.cvt import Voronoi
from evolve.archive.front import FrontArchive
from evolve.archive.grid import Grid, GridArchive
from evolve.archive.novelty import NoveltyArchive
from evolve.core.measures import Measure, Objective

#: What cells are: boxes of a grid, the surroundings of centroids, or niches opened by novelty.
ArchiveKind: TypeAlias = Literal["grid", "cvt", "novelty"]


@dataclass(frozen=True, slots=True)
class ArchiveSpec:
    """The definition of an archive.

    Attributes:
        measures: The axes; at least one.
        kind: What cells are.
        depth: How many elites a cell holds.
        objectives: Metrics that are objectives beside the declared one; then cells hold fronts.
        centroids: Of ``cvt``: the cells' centres in the unit cube.
        threshold: Of ``novelty``: see `evolve.archive.novelty.NoveltyArchive`.
        neighbors: Of ``novelty``: see there.
        warm_up: Of ``quantile`` axes: how many programs the edges are cut from.
    """

    measures: tuple[Measure, ...]
    kind: ArchiveKind = "grid"
    depth: int = 1
    objectives: tuple[Objective, ...] = ()
    centroids: tuple[tuple[float, ...], ...] = ()
    threshold: float = 0.1
    neighbors: int = 1
    warm_up: int = 100

    def build(self, offset: float = 0.0) -> Archive:
        """Return an empty archive.

        Args:
            offset: Fitness that counts zero in the QD score; best the lowest possible one.

        Raises:
            ValueError: a number is out of its range, or two measures have one name.
        """
        if self.kind == "novelty":
            return NoveltyArchive(
                self.measures, threshold=self.threshold, neighbors=self.neighbors, offset=offset
            )
        if self.kind == "grid" and not self.objectives:
            return GridArchive(self.measures, offset=offset, depth=self.depth)
        cells: Tessellation = (
            Grid(self.measures) if self.kind == "grid" else Voronoi(self.measures, self.centroids)
        )
        if self.objectives:
            return FrontArchive(cells, self.objectives, offset=offset, depth=self.depth)
        return CellArchive(cells, offset=offset, depth=self.depth)

    @property
    def settled(self) -> bool:
        """Whether every axis' edges are known."""
        return all(measure.settled for measure in self.measures)

    def settle(self, seen: Sequence[Mapping[str, float]]) -> Self:
        """Return this definition with the edges of ``quantile`` axes cut from measures seen."""
        return replace(
            self,
            measures=tuple(
                axis if axis.settled else axis.cut(measures[axis.name] for measures in seen)
                for axis in self.measures
            ),
        )

    def as_dict(self) -> dict[str, Any]:
        """Return the attributes for JSON, without those that have their usual value."""
        usual = ArchiveSpec(self.measures)
        return {
            "measures": [measure.as_dict() for measure in self.measures],
            **{
                name: value
                for name, value in asdict(self).items()
                if name != "measures" and getattr(self, name) != getattr(usual, name)
            },
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """Undo `as_dict`, JSON's lists for tuples included."""
        return cls(
            **{
                **data,
                "measures": tuple(Measure.from_dict(axis) for axis in data["measures"]),
                "objectives": tuple(Objective(**each) for each in data.get("objectives", ())),
                "centroids": tuple(tuple(point) for point in data.get("centroids", ())),
            }
        )
