"""What a stored run was made with: its configuration, how it dealt with noise, a run like it."""

from __future__ import annotations

from pathlib import Path

from evolve.archive.contests import Rules
from evolve.config.file import Loaded, loaded_run_config
from evolve.config.models import RunConfig
from evolve.store.records import NewRun, RunRecord


def configuration_of(run: RunRecord, folder: Path | None) -> Loaded[RunConfig]:
    """Return the configuration a run was made with, found where it lay unless told otherwise."""
    there = folder or Path(str(run.provenance.get("folder", Path.cwd())))
    return loaded_run_config(RunConfig.model_validate_json(run.config_json), there)


def rules_of_run(run: RunRecord) -> Rules | None:
    """Return by what rules the noisy scores of a run were compared; None where it had none."""
    noise = run.provenance.get("noise")
    return Rules(**noise) if isinstance(noise, dict) else None


def same_run(run: RunRecord) -> NewRun:
    """Return what makes a run like another one."""
    return NewRun(**{name: getattr(run, name) for name in NewRun.__dataclass_fields__})
