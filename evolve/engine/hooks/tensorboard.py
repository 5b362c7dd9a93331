"""A hook that writes TensorBoard event files."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from evolve.engine.hooks.base import Watched, need
from evolve.engine.hooks.tracker import Tracker

if TYPE_CHECKING:
    from tensorboard.summary.writer.event_file_writer import EventFileWriter


class TensorBoardHook(Tracker):
    """Write scalars for ``tensorboard --logdir FOLDER``; sessions of a run share a folder.

    Args:
        logdir: Where runs get a folder each, relative to the database's folder.
    """

    def __init__(self, *, logdir: str = "tensorboard") -> None:
        need("tensorboard", "tensorboard")
        super().__init__()
        self._logdir = logdir
        self._writer: EventFileWriter | None = None

    def begin(self, watched: Watched) -> None:
        """Open a new file in the run's folder."""
        from tensorboard.summary.writer.event_file_writer import EventFileWriter

        super().begin(watched)
        folder = watched.folder / self._logdir / f"run-{watched.run.id}-{watched.uid}"
        folder.mkdir(parents=True, exist_ok=True)
        self._writer = EventFileWriter(str(folder), flush_secs=10)

    def log(self, values: Mapping[str, float], step: int, at: float) -> None:
        """Write an event with the values."""
        from tensorboard.compat.proto.event_pb2 import Event
        from tensorboard.compat.proto.summary_pb2 import Summary

        assert self._writer is not None
        pairs = [Summary.Value(tag=name, simple_value=value) for name, value in values.items()]
        self._writer.add_event(Event(wall_time=at, step=step, summary=Summary(value=pairs)))

    def finish(self, status: str) -> None:  # noqa: ARG002 - TensorBoard knows no end of a run
        """Have everything on the disk."""
        assert self._writer is not None
        self._writer.flush()

    def end(self) -> None:
        """Close the file."""
        assert self._writer is not None
        self._writer.close()
