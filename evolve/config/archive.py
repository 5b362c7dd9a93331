"""The ``archive`` section of a configuration, and the measures that archives are over."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, Field, model_validator

from evolve.archive.spec import ArchiveKind
from evolve.config.fields import Name, Positive, PositiveInt, Unit, distinct_names
from evolve.config.section import Section
from evolve.core.measures import Spacing, spacing_problem


class MeasureConfig(Section):
    """One axis of the map."""

    name: Name = Field(description="as the evaluator returns it, or a built-in code measure")
    low: float = Field(description="lower bound, in the measure's unit")
    high: float = Field(description="upper bound; values beyond it are clipped and counted")
    cells: PositiveInt = Field(default=10, description="cells between the bounds")
    scale: Spacing = Field(
        default="linear",
        description="cells of equal width in the value, its logarithm (log) or its square root "
        "(sqrt), or with equally many programs each (quantile)",
    )
    unit: Unit = Field(default="", description="as axes show it, such as s or %")

    @model_validator(mode="after")
    def _ordered(self) -> MeasureConfig:
        if self.low >= self.high:
            raise ValueError(f"low ({self.low}) must be below high ({self.high})")
        if problem := spacing_problem(self.scale, self.low):
            raise ValueError(problem)
        return self


Measures = Annotated[tuple[MeasureConfig, ...], Field(min_length=1), AfterValidator(distinct_names)]


class FrontObjectiveConfig(Section):
    """A further objective: a metric, a measure or a built-in code measure."""

    name: Name
    direction: Literal["maximize", "minimize"] = "maximize"


class ArchiveConfig(Section):
    """The map; its axes come from the problem unless given here."""

    measures: Measures | None = None
    kind: ArchiveKind = Field(
        default="grid",
        description="grid: boxes between the measures' edges; cvt: cells around centroids; "
        "novelty: a niche for whatever differs enough",
    )
    cells: PositiveInt | None = Field(default=None, description="cvt: how many; default 500")
    depth: PositiveInt | None = Field(
        default=None, description="elites in a cell; default 1, with objectives 10 at most"
    )
    objectives: Annotated[tuple[FrontObjectiveConfig, ...], AfterValidator(distinct_names)] = Field(
        default=(), description="each cell holds a Pareto front over these and the objective"
    )
    threshold: Positive | None = Field(
        default=None,
        description="novelty: distance that opens a niche, where each measure spans 1; default 0.1",
    )
    neighbors: PositiveInt | None = Field(
        default=None, description="novelty: nearest elites the distance is a mean over; default 1"
    )
    warm_up: PositiveInt = Field(
        default=100, description="scored programs that the edges of quantile cells are cut from"
    )

    @model_validator(mode="after")
    def _fitting(self) -> ArchiveConfig:
        if self.cells is not None and self.kind != "cvt":
            raise ValueError(
                "cells is for kind cvt; a grid has those of its measures, and novelty has no end"
            )
        if self.kind != "novelty" and (self.threshold, self.neighbors) != (None, None):
            raise ValueError(f"threshold and neighbors are for kind novelty, not {self.kind}")
        if self.kind == "novelty" and (self.depth is not None or self.objectives):
            raise ValueError("a niche of novelty holds one elite: no depth, no objectives")
        if self.objectives and self.depth == 1:
            raise ValueError("a front needs room: with objectives depth is at least 2")
        return self
