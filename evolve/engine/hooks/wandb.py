"""A hook that keeps a run of Weights & Biases."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Literal

from evolve.engine.hooks.base import Watched, need
from evolve.engine.hooks.tracker import Tracker

if TYPE_CHECKING:
    from wandb import Run


class WandbHook(Tracker):
    """Log to a run of Weights & Biases; a resumed run goes on in the same one.

    The resolved configuration goes along. Source code, console output, the state of git and the
    load of the machine do not.

    Args:
        project: Name of the project; default: the problem's.
        entity: User or team; default: that of the key.
        group: Shown together with other runs of this name.
        tags: Labels.
        mode: ``offline`` keeps everything in a folder ``wandb`` beside the database, for
            ``wandb sync``.
    """

    def __init__(
        self,
        *,
        project: str = "",
        entity: str | None = None,
        group: str | None = None,
        tags: Sequence[str] = (),
        mode: Literal["online", "offline"] = "online",
    ) -> None:
        need("wandb", "wandb")
        if mode not in {"online", "offline"}:
            raise ValueError(f"mode is {mode!r}, must be online or offline")
        super().__init__()
        self._project, self._entity, self._group = project, entity, group
        self._tags, self._mode = tuple(tags), mode
        self._run: Run | None = None

    def begin(self, watched: Watched) -> None:
        """Begin the run, or go on with that of an earlier session."""
        import wandb

        super().begin(watched)
        run = watched.run
        self._run = wandb.init(
            project=self._project or run.problem,
            entity=self._entity,
            group=self._group,
            tags=self._tags,
            mode=self._mode,
            id=watched.uid,
            resume="allow",
            name=run.name,
            dir=str(watched.folder),
            config={**json.loads(run.config_json), "run": run.id},
            settings=wandb.Settings(
                console="off",
                silent=True,
                disable_git=True,
                disable_code=True,
                save_code=False,
                x_disable_stats=True,
                x_disable_meta=True,
                x_save_requirements=False,
            ),
        )
        self._run.define_metric("evaluations")
        self._run.define_metric("*", step_metric="evaluations")

    def log(self, values: Mapping[str, float], step: int, at: float) -> None:  # noqa: ARG002 - it notes the time itself
        """Log one row."""
        assert self._run is not None
        self._run.log({**values, "evaluations": step})

    def finish(self, status: str) -> None:
        """End the run; one that was interrupted may go on."""
        assert self._run is not None
        self._run.finish(exit_code=int(status == "failed"))
