"""Where pages lie: on the server, or in a folder of files."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from urllib.parse import urlencode


class Links:
    """Addresses on the server. An empty address means that there is no such page.

    Addresses are made of numbers and of names that are the page's own: nothing that a program, a
    model or an evaluator wrote is part of one, but for what a person types into a form.
    """

    live = True

    def static(self, name: str) -> str:
        """Return the address of a file of the page itself."""
        return f"/static/{name}"

    def runs(self) -> str:
        """Return the address of the list of runs."""
        return "/"

    def older_runs(self, before: int) -> str:
        """Return the address of runs before one."""
        return f"/?before={before}"

    def live_runs(self, before: int | None, stamp: str) -> str:
        """Return the address of what replaces a list of runs that is not true any more."""
        given = {"stamp": stamp} if before is None else {"before": before, "stamp": stamp}
        return f"/live?{urlencode(given)}"

    def run(self, run_id: int) -> str:
        """Return the address of a run."""
        return f"/runs/{run_id}"

    def of_run(self, run_id: int, page: str) -> str:
        """Return the address of a further page of a run."""
        return f"/runs/{run_id}/{page}"

    def query(self, run_id: int, page: str, **values: object) -> str:
        """Return the address of a page of a run with values that choose what it shows."""
        given = {name: value for name, value in values.items() if value not in ("", None)}
        address = self.of_run(run_id, page) if page else self.run(run_id)
        return f"{address}?{urlencode(given)}" if given else address

    def program(self, program_id: int) -> str:
        """Return the address of a program."""
        return f"/programs/{program_id}"

    def part(self, program_id: int, part: str, number: int = 0) -> str:
        """Return the address of a part of a program that is loaded when it is opened."""
        return f"/programs/{program_id}/{part}/{number}"

    def image(self, program_id: int, evaluation: int, number: int) -> str:
        """Return the address of an image: the place of its evaluation, and its place there."""
        return f"/programs/{program_id}/images/{evaluation}/{number}"

    def compare(self, run_ids: Sequence[int] = ()) -> str:
        """Return the address of a comparison of runs."""
        return "/compare" + "".join(
            f"{'&' if index else '?'}run={run_id}" for index, run_id in enumerate(run_ids)
        )


class FileLinks(Links):
    """Names of files in one folder.

    Args:
        runs: Runs that have pages.
        programs: Programs that have one.
    """

    live = False

    def __init__(self, runs: Collection[int], programs: Collection[int]) -> None:
        self._runs, self._programs = frozenset(runs), frozenset(programs)

    def static(self, name: str) -> str:
        """Return the name of a file of the page itself."""
        return f"static/{name}"

    def runs(self) -> str:
        """Return the name of the list of runs."""
        return "index.html"

    def older_runs(self, before: int) -> str:  # noqa: ARG002 - all are on one page
        """Return that there is no further list."""
        return ""

    def live_runs(self, before: int | None, stamp: str) -> str:  # noqa: ARG002 - as there
        """Return that files stay as they are."""
        return ""

    def run(self, run_id: int) -> str:
        """Return the file of a run."""
        return f"run-{run_id}.html" if run_id in self._runs else ""

    def of_run(self, run_id: int, page: str) -> str:
        """Return the file of a further page of a run."""
        return f"run-{run_id}-{page}.html" if run_id in self._runs else ""

    def query(self, run_id: int, page: str, **values: object) -> str:  # noqa: ARG002 - as there
        """Return that files answer no questions."""
        return ""

    def program(self, program_id: int) -> str:
        """Return the file of a program."""
        return f"program-{program_id}.html" if program_id in self._programs else ""

    def part(self, program_id: int, part: str, number: int = 0) -> str:  # noqa: ARG002 - as there
        """Return that the parts of a program are in its file."""
        return ""

    def image(self, program_id: int, evaluation: int, number: int) -> str:
        """Return the file of an image."""
        return f"image-{program_id}-{evaluation}-{number}.png"

    def compare(self, run_ids: Sequence[int] = ()) -> str:  # noqa: ARG002 - of all runs
        """Return the file of the comparison, where there is more than one run to compare."""
        return "compare.html" if len(self._runs) > 1 else ""
