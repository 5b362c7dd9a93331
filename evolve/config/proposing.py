"""The sections of a configuration that say where new programs come from."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from evolve.config.fields import Options, Positive
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
