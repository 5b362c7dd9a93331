"""The ``rotate`` section, of a problem and of a configuration."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from evolve.config.section import Section


class RotateConfig(Section):
    """Search cases are made anew now and then, so that a search cannot fit them."""

    every: Annotated[int, Field(ge=0)] = Field(
        default=200,
        description="iterations on one set of cases; then all elites are measured on the next one; "
        "0: the cases stay",
    )
