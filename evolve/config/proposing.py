"""The sections of a configuration that say where new programs come from."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from evolve.config.fields import Options, Positive, PositiveInt
from evolve.config.section import Section

_Share = Annotated[float, Field(ge=0, le=1)]


class ProposerConfig(Section):
    """A variation operator and how often it is used."""

    kind: str = Field(
        description="diff, rewrite, crossover, repair, plan, pseudocode, genetic, simplify, "
        "tune, agent, or a plug-in"
    )
    weight: Positive = Field(default=1.0, description="relative frequency")
    options: Options = Field(default_factory=dict, description="keyword arguments of the operator")


class PortfolioConfig(Section):
    """How the next operator and model are chosen among the configured ones."""

    kind: Literal["fixed", "bandit"] = Field(
        default="fixed", description="by weight, or learnt from what came of earlier proposals"
    )
    explore: _Share = Field(
        default=0.05, description="bandit: share of proposals that are drawn by weight all the same"
    )
    discount: Annotated[float, Field(gt=0, le=1)] = Field(
        default=0.99, description="bandit: what a proposal counts for less with each later one"
    )
    money: _Share = Field(default=0.5, description="bandit: 0 improves per proposal, 1 per dollar")


class InstructionsConfig(Section):
    """Short texts on how to go about an improvement, credited by the programs they led to."""

    every: Annotated[int, Field(ge=0)] = Field(
        default=20, description="every so many iterations one writes an instruction; 0: none does"
    )
    keep: PositiveInt = Field(
        default=8, description="instructions to choose from, beside the empty one"
    )
    length: Annotated[int, Field(ge=40, le=2000)] = Field(
        default=600, description="characters of an instruction at most"
    )
    model: str | None = Field(
        default=None, description="id of the model that writes; default: the first of models"
    )
    texts: tuple[Annotated[str, Field(min_length=1, max_length=2000)], ...] = Field(
        default=(), description="instructions to begin with"
    )
    template_dir: str | None = Field(
        default=None, description="folder whose instruct.j2 replaces the built-in one"
    )

    @model_validator(mode="after")
    def _room(self) -> InstructionsConfig:
        if self.every == 1:
            raise ValueError("every: with 1 no iteration would be left to use an instruction")
        if len(self.texts) > self.keep:
            raise ValueError(f"{len(self.texts)} texts do not fit into keep: {self.keep}")
        return self
