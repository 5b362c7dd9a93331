"""The description of a problem, ``problem.yaml``, as frozen pydantic models."""

from __future__ import annotations

from itertools import pairwise
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, model_validator

from evolve.config.archive import Measures
from evolve.config.fields import Name, Options, Positive, PositiveInt, Unit, distinct_names
from evolve.config.noise import NoiseConfig
from evolve.config.rotate import RotateConfig
from evolve.config.section import Section


class ObjectiveConfig(Section):
    """The one number to improve."""

    name: Name
    direction: Literal["maximize", "minimize"] = "maximize"
    offset: float = Field(
        default=0.0, description="worst value worth counting: the zero of the QD score"
    )
    unit: Unit = Field(default="", description="as tables and axes show it, such as s or %")


class LimitsConfig(Section):
    """What one evaluation may use; see `evolve.core.limits.Limits`."""

    wall_s: Positive = Field(default=60.0, description="seconds for import and all cases together")
    cpu_s: Positive | None = Field(default=None, description="CPU seconds; default wall_s * cpus")
    memory_mb: PositiveInt = 1024
    cpus: Positive = 1.0
    processes: PositiveInt = Field(default=64, description="processes and threads alive at once")
    disk_mb: PositiveInt = Field(default=256, description="size of the private folder")
    output_kb: PositiveInt = Field(default=64, description="kept of stdout and of stderr")
    result_mb: PositiveInt = Field(default=64, description="size of returned data")
    gpus: Annotated[int, Field(ge=0)] = Field(default=0, description="devices lent to it")
    gpu_memory_mb: PositiveInt | None = Field(
        default=None, description="on each device, looked at every 0.1 s; default: no limit"
    )

    @model_validator(mode="after")
    def _memory_of_some_device(self) -> LimitsConfig:
        if self.gpu_memory_mb is not None and not self.gpus:
            raise ValueError("gpu_memory_mb limits nothing without gpus: 1 or more")
        return self


class FigureConfig(Section):
    """A value of the objective that is known, and from where."""

    value: float
    source: str


class SelectConfig(Section):
    """Which of the programs found is reported; see `evolve.archive.plausible`."""

    rule: Literal["objective", "b4", "codet", "max_pass", "mutual"] = Field(
        default="objective",
        description="objective: the best one; the others choose by who passes which search case, "
        "for cases that were generated and may be wrong",
    )
    passes: float = Field(
        default=1.0, description="objective of a case that is as good as passed, or better"
    )


class RecordConfig(FigureConfig):
    """The best value known, and from where."""

    margin: Annotated[float, Field(ge=0)] = Field(
        default=0.0, description="how much better a value must be to count as a new record"
    )


class BaselineConfig(Section):
    """A known program that results are compared with."""

    name: Name
    program: str = Field(description="file or folder beside problem.yaml")


class CommandConfig(Section):
    """How a program that is not a Python function is built and run; see `docs/languages.md`."""

    build: tuple[str, ...] = Field(
        default=(), description="program and arguments, run once in the program's folder"
    )
    run: tuple[str, ...] = Field(
        min_length=1, description="program and arguments, run for every call: JSON in, JSON out"
    )


class ThresholdConfig(Section):
    """What the first search cases must come to, or the others are not run."""

    cases: PositiveInt = Field(description="after so many of the search cases")
    no_worse_than: float | None = Field(
        default=None,
        description="the score combined over them must be as good, in the objective's unit",
    )
    of_parent: Annotated[float, Field(gt=0, le=1)] | None = Field(
        default=None,
        description="instead: as good as the parent over the same cases, less this share's rest of "
        "its size: 0.9 allows a tenth of it",
    )

    @model_validator(mode="after")
    def _one_bound(self) -> ThresholdConfig:
        if (self.no_worse_than is None) == (self.of_parent is None):
            raise ValueError("a threshold has either no_worse_than or of_parent")
        return self


class FormulaConfig(Section):
    """What a program pays for not being a formula; see `evolve.evaluate.modes`."""

    weight: Annotated[float, Field(ge=0)] = Field(
        description="objective lost for each unit of length and for each power that time grows by"
    )
    nodes: PositiveInt = Field(
        default=100, description="syntax nodes in the evolved part that make one unit of length"
    )
    floor_ms: Positive = Field(
        default=100.0, description="CPU milliseconds of a case that count as no time at all"
    )


class ProblemConfig(Section):
    """``problem.yaml``."""

    title: str
    family: str = Field(default="", description="what it is listed under, such as packing")
    seed_program: str = Field(description="file or folder beside problem.yaml")
    entrypoint: str | None = Field(
        default=None, description="function called once per case; FILE.py:FUNCTION for many files"
    )
    command: CommandConfig | None = Field(
        default=None, description="instead of an entrypoint, for programs in any language"
    )
    evaluator: str = Field(description="plug-in reference of an Evaluator class")
    evaluator_options: Options = Field(default_factory=dict)
    objective: ObjectiveConfig
    measures: Measures
    limits: LimitsConfig = LimitsConfig()
    mode: Literal["construct", "search", "generalise"] = Field(
        default="construct",
        description="search: programs improve on the best construction so far, their input start; "
        "generalise: one program for many sizes pays for not being a formula",
    )
    formula: FormulaConfig | None = Field(
        default=None, description="what it pays, in mode generalise"
    )
    deterministic: bool = Field(
        default=False,
        description="the score follows from program and cases alone, so that an evaluation in the "
        "database is taken over where the same sources come up again",
    )
    probes: Annotated[int, Field(ge=0)] = Field(
        default=0,
        description="so many of the first search cases are probes: a candidate whose outputs on "
        "them equal those of a known program takes over its scores on the other cases; needs "
        "deterministic: true",
    )
    cascade: tuple[ThresholdConfig, ...] = Field(
        default=(),
        description="thresholds, by number of cases: an evaluation ends, without a score, at the "
        "first one that it does not meet",
    )
    forgeable: bool = Field(
        default=False,
        description="scores are made beside the program, within its reach: the objective is then "
        "called NAME (forgeable) wherever it is shown",
    )
    timed: bool = Field(
        default=False,
        description="the score is made of time: CPUs and GPUs of a slot's own, clocks checked",
    )
    noise: NoiseConfig | None = Field(
        default=None, description="how scores that vary are measured; default: they do not vary"
    )
    rotate: RotateConfig | None = Field(
        default=None,
        description="search cases are made anew from other seeds now and then; default: they stay",
    )
    warmup: Annotated[int, Field(ge=0)] = Field(
        default=0,
        description="when timed: calls of every stage's first case before the others; it does not "
        "count",
    )
    record: RecordConfig | None = Field(default=None, description="the best value known")
    baseline: FigureConfig | None = Field(
        default=None, description="what a simple method comes to, for lists"
    )
    select: SelectConfig = SelectConfig()
    baselines: Annotated[tuple[BaselineConfig, ...], AfterValidator(distinct_names)] = ()
    image: str | None = Field(default=None, description="Docker image that programs run in")
    dockerfile: str | None = Field(
        default=None, description="file beside problem.yaml to build that image from"
    )
    requirements: tuple[str, ...] | str | None = Field(
        default=None,
        description="Python packages of that image, or the requirements file beside problem.yaml; "
        "default: numpy and scipy, if installed here",
    )
    system_packages: tuple[str, ...] = Field(
        default=(), description="Debian packages of this machine that the image gets a copy of"
    )

    @model_validator(mode="after")
    def _one_way(self) -> ProblemConfig:
        if (self.entrypoint is None) == (self.command is None):
            raise ValueError("give either an entrypoint, or a command for another language")
        made = self.requirements is not None or bool(self.system_packages)
        if (self.image is not None) + (self.dockerfile is not None) + made > 1:
            raise ValueError(
                "give one of image, dockerfile, and requirements with system_packages: they are "
                "different ways to one image"
            )
        return self

    @model_validator(mode="after")
    def _mode_has_what_it_needs(self) -> ProblemConfig:
        if (self.mode == "generalise") != (self.formula is not None):
            raise ValueError("mode: generalise and formula: {weight: ...} go together")
        if self.mode == "search" and (self.deterministic or self.noise is not None):
            raise ValueError(
                "in mode search a score depends on what the program began with: leave out "
                f"{'deterministic: true' if self.deterministic else 'noise'}"
            )
        return self

    @model_validator(mode="after")
    def _noise_is_chance(self) -> ProblemConfig:
        if self.noise is not None and self.deterministic:
            raise ValueError("a deterministic problem has no noise: leave one of the two out")
        return self

    @model_validator(mode="after")
    def _warmth_is_for_times(self) -> ProblemConfig:
        if self.warmup and not self.timed:
            raise ValueError("warmup changes nothing unless the problem is timed: true")
        return self

    @model_validator(mode="after")
    def _equal_outputs_equal_scores(self) -> ProblemConfig:
        if self.probes and (self.timed or self.formula is not None or not self.deterministic):
            raise ValueError(
                "probes take over scores where outputs are equal: they need deterministic: true, "
                "and neither timed: true nor mode: generalise, by which scores depend on time"
            )
        return self

    @model_validator(mode="after")
    def _thresholds_by_cases(self) -> ProblemConfig:
        counts = [threshold.cases for threshold in self.cascade]
        if any(after <= before for before, after in pairwise(counts)):
            raise ValueError("thresholds of the cascade come by their number of cases, ascending")
        if self.cascade and (self.timed or self.noise is not None):
            raise ValueError(
                "a cascade would end programs for a slow moment or bad luck: leave it out, or "
                f"{'timed: true' if self.timed else 'noise'}"
            )
        return self
