"""From the ``archive`` section of a configuration to the definition of an archive."""

from __future__ import annotations

from dataclasses import replace

from evolve.archive.cvt import spread_centroids
from evolve.archive.spec import ArchiveSpec
from evolve.config.archive import ArchiveConfig
from evolve.config.file import Loaded
from evolve.config.models import RunConfig
from evolve.config.problem import Problem
from evolve.core.errors import ConfigError
from evolve.core.measures import Measure, Objective

#: Defaults that depend on the kind: cells of ``cvt``, elites in a cell that holds a front.
CVT_CELLS, FRONT_DEPTH = 500, 10


def configured_archive(loaded: Loaded[RunConfig], problem: Problem) -> ArchiveSpec:
    """Return the archive of a run; see `archive_spec`, whose errors get their line here."""
    with loaded.at("archive"):
        config = loaded.config
        return archive_spec(config.archive, problem.objective, problem.measures, config.seed)


def archive_spec(
    config: ArchiveConfig, objective: Objective, axes: tuple[Measure, ...], seed: int
) -> ArchiveSpec:
    """Return the archive that a configuration describes; centroids are computed.

    Args:
        config: The section; what it says of measures is in ``axes`` already.
        objective: The declared one.
        axes: The map's axes.
        seed: Origin of the samples that centroids come from.

    Raises:
        ConfigError: parts of the section do not go with the problem or with each other.
        PrerequisiteError: the cells need scipy, and it is not installed.
    """
    for axis in axes:
        if axis.scale == "quantile" and config.kind != "grid":
            raise ConfigError(
                f"the measure {axis.name} has scale quantile, which is for kind grid; with "
                f"{config.kind} use linear, log or sqrt"
            )
    further = tuple(Objective(each.name, each.direction) for each in config.objectives)
    if objective.name in {each.name for each in further}:
        raise ConfigError(f"{objective.name} is the objective already; name other metrics")
    spec = ArchiveSpec(
        axes,
        kind=config.kind,
        depth=config.depth or (FRONT_DEPTH if further else 1),
        objectives=further,
        warm_up=config.warm_up,
    )
    spec = replace(
        spec,
        threshold=config.threshold or spec.threshold,
        neighbors=config.neighbors or spec.neighbors,
    )
    if config.kind == "cvt":
        points = spread_centroids(len(axes), config.cells or CVT_CELLS, seed)
        spec = replace(spec, centroids=tuple(map(tuple, points.tolist())))
    try:
        spec.build()
    except ValueError as error:
        raise ConfigError(str(error)) from None
    return spec
