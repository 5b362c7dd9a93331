"""The section of a configuration that says where slots are."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, field_validator, model_validator

from evolve.config.fields import Positive, PositiveInt
from evolve.config.section import Section


class SlotResources(Section):
    """What Ray reserves on a node for a slot; what is not given follows from the limits."""

    num_cpus: Positive | None = Field(default=None, description="default: limits.cpus")
    num_gpus: Positive | None = Field(
        default=None,
        description="a part, such as 0.5, lets slots share a GPU, when the problem is not timed; "
        "default: limits.gpus",
    )
    memory_mb: PositiveInt | None = Field(default=None, description="default: limits.memory_mb")
    custom: dict[str, Positive] = Field(
        default_factory=dict,
        description="resources that nodes were given by name, such as {a100: 1}",
    )

    @field_validator("num_gpus")
    @classmethod
    def _whole_or_part(cls, number: float | None) -> float | None:
        if number is not None and number > 1 and number != int(number):
            raise ValueError("must be a whole number, or less than 1")
        return number


class PoolConfig(Section):
    """Where slots are, and how they share machines."""

    kind: Literal["local", "ray"] = Field(
        default="local", description="local: this machine; ray: the nodes of a Ray cluster"
    )
    pin_cpus: Literal["auto"] | bool = Field(
        default="auto",
        description="keep every slot to CPUs of its own; auto: when the problem is timed",
    )
    gpu_slots: PositiveInt = Field(
        default=1,
        description="local: slots that may share a GPU, when the problem is not timed",
    )
    exclusive: bool = Field(
        default=False,
        description="one evaluation at a time on a machine, of all runs that say so",
    )
    address: str = Field(
        default="auto",
        description="ray: auto (RAY_ADDRESS, or the cluster this machine belongs to), HOST:PORT, "
        "ray://HOST:PORT, or local for one of the run's own on this machine",
    )
    resources: SlotResources = SlotResources()
    lost_s: Annotated[float, Field(ge=1)] = Field(
        default=30.0, description="ray: seconds without a sign of life after which a slot is lost"
    )
    wait_s: Positive = Field(
        default=600.0, description="ray: seconds without any slot after which the run stops"
    )

    @model_validator(mode="after")
    def _of_one_kind(self) -> PoolConfig:
        if self.kind == "local":
            given = self.model_fields_set & {"address", "resources", "lost_s", "wait_s"}
            default = PoolConfig.model_construct()
            for name in sorted(given):
                if getattr(self, name) != getattr(default, name):
                    raise ValueError(f"{name} is for `kind: ray`: say so, or leave it out")
        elif self.gpu_slots != 1:
            raise ValueError("gpu_slots is for `kind: local`: use `resources: {num_gpus: 0.5}`")
        return self
