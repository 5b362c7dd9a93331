"""The ``held_out`` section of a configuration."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from evolve.config.section import Section


class HeldOutConfig(Section):
    """When cases that selection never sees are measured while a run goes on."""

    best: bool = Field(default=False, description="every new best program, beside the search")
    every: Annotated[int, Field(ge=0)] = Field(
        default=0, description="the best program after every so many evaluations; 0: never"
    )
