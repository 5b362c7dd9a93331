"""The ``noise`` section, of a problem and of a configuration."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from evolve.config.fields import PositiveInt
from evolve.config.section import Section


class NoiseConfig(Section):
    """The score of a program varies from one evaluation to the next."""

    repeats: PositiveInt = Field(
        default=2, description="samples of every program; one sample is one evaluation of all cases"
    )
    most: PositiveInt = Field(
        default=12,
        description="samples of one program in all, when it races for a cell; as many "
        "as repeats: no racing",
    )
    compare: Literal["mean", "lcb", "probability"] = Field(
        default="mean",
        description="who wins a cell: the larger mean, the larger lower confidence bound, or who "
        "is better with probability confidence",
    )
    confidence: Annotated[float, Field(gt=0.5, lt=1)] = Field(
        default=0.9, description="probability of being better from which a program has won a race"
    )
    give_up: Annotated[float, Field(ge=0, le=0.5)] = Field(
        default=0.3,
        description="probability of being better below which it has lost; lower: more "
        "samples for programs that look worse",
    )
    shrink: bool = Field(
        default=True,
        description="draw estimates toward the elites' mean, as far as noise explains "
        "their differences; not when the problem is timed",
    )
    refresh: Annotated[int, Field(ge=0)] = Field(
        default=5, description="insertions after which one elite is measured again; 0: never"
    )

    @model_validator(mode="after")
    def _at_least_the_first(self) -> NoiseConfig:
        if self.most < self.repeats:
            raise ValueError(f"most ({self.most}) must be at least repeats ({self.repeats})")
        return self
