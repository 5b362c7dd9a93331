"""What an archive is made from: a value that is stored with a run and builds it anew."""

from __future__ import annotations

from dataclasses import dataclass

from evolve.archive.base import Archive
from evolve.archive.grid import GridArchive
from evolve.core.measures import Measure


@dataclass(frozen=True, slots=True)
class ArchiveSpec:
    """The definition of an archive.

    Attributes:
        measures: The axes; at least one.
    """

    measures: tuple[Measure, ...]

    def build(self, offset: float = 0.0) -> Archive:
        """Return an empty archive.

        Args:
            offset: Fitness that counts zero in the QD score; best the lowest possible one.
        """
        return GridArchive(self.measures, offset=offset)
