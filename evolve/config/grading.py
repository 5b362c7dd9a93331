"""An entry of the ``grades`` section of a configuration."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from evolve.config.section import Section

#: What the name of a metric ends with that is a model's opinion, wherever it is shown.
MODEL_GRADED = " (model-graded)"


class GradeConfig(Section):
    """A number that a model gives to programs with a score; it plays no part in selection."""

    name: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,39}$")] = Field(
        description="of the metric, which is called NAME (model-graded) wherever it is shown"
    )
    ask: Annotated[str, Field(min_length=10, max_length=4000)] = Field(
        description="what is graded, and what the ends of the scale mean"
    )
    low: float = Field(default=0.0, description="lowest grade")
    high: float = Field(default=10.0, description="highest grade")
    model: str | None = Field(
        default=None, description="id of the model that grades; default: the first of models"
    )
    programs: Literal["improved", "all"] = Field(
        default="improved",
        description="which programs with a score are graded: those better than their parent, or "
        "all; one call each",
    )

    @model_validator(mode="after")
    def _scale(self) -> GradeConfig:
        if not self.low < self.high:
            raise ValueError(f"low ({self.low:g}) must be less than high ({self.high:g})")
        return self

    @property
    def metric(self) -> str:
        """Name of the metric."""
        return self.name + MODEL_GRADED
