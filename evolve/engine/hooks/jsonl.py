"""A hook that appends events to a file, one JSON object per line."""

from __future__ import annotations

import json
from typing import TextIO

from evolve.engine.events import Event, RunFinished, as_dict
from evolve.engine.hooks.base import Hook, Watched


class JsonlHook(Hook):
    """Append every event to a file: its class name, its fields, and when it happened.

    A resumed run goes on in the same file.

    Args:
        path: The file, relative to the database's folder; ``{run}`` becomes the run's number.
        progress: Whether the state of the run, once a second, is wanted too.
    """

    def __init__(self, *, path: str = "events-{run}.jsonl", progress: bool = True) -> None:
        self._path, self._progress = path, progress
        self._file: TextIO | None = None

    def begin(self, watched: Watched) -> None:
        """Open the file, and end the line that a killed session may have left half written."""
        path = watched.folder / self._path.replace("{run}", str(watched.run.id))
        torn = False
        if path.exists() and path.stat().st_size:
            with path.open("rb") as file:
                file.seek(-1, 2)
                torn = file.read() != b"\n"
        self._file = path.open("a", encoding="utf-8", newline="\n")
        if torn:
            self._file.write("\n")

    def handle(self, event: Event, at: float) -> None:
        """Write a line."""
        assert self._file is not None
        values = as_dict(event)
        if values["event"] == "Progress" and not self._progress:
            return
        line = json.dumps({"at": at, **values}, ensure_ascii=False, default=str)
        self._file.write(line.encode("utf-8", "replace").decode() + "\n")
        if values["event"] in {"Progress", "ProgramEvaluated", RunFinished.__name__}:
            self._file.flush()

    def end(self) -> None:
        """Close the file."""
        assert self._file is not None
        self._file.close()
