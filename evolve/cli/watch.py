"""Drawing something of a run anew while the run goes on."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

    from evolve.store.reader import Reader
    from evolve.store.records import RunRecord

#: Seconds between two looks, and the share of the time that drawing may take.
INTERVAL, SHARE = 2.0, 0.2


def follow(out: Console, reader: Reader, run_id: int, draw: Callable[[RunRecord], Text]) -> None:
    """Show what ``draw`` makes of a run until no process writes it any more.

    On a terminal it is drawn in place; elsewhere every one that differs from the last is printed.
    """
    with _shown(out) as show:
        while True:
            began = time.monotonic()
            record = reader.run(run_id)
            show(draw(record))
            if not record.live:
                break
            took = time.monotonic() - began
            time.sleep(max(INTERVAL, took / SHARE - took))
    ended = record.status if record.status != "running" else "killed: the same command resumes it"
    out.print(f"run {run_id}: {ended}", markup=False, soft_wrap=True)


@contextmanager
def _shown(out: Console) -> Iterator[Callable[[Text], None]]:
    """Yield what shows a text in the place of the one before."""
    if out.is_terminal:
        from rich.live import Live

        with Live(console=out, auto_refresh=False, vertical_overflow="visible") as live:
            yield lambda text: live.update(text, refresh=True)
        return
    last = ""

    def show(text: Text) -> None:
        nonlocal last
        if text.plain != last:
            out.print(text)
            out.print()
            last = text.plain

    yield show
