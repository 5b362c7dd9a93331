"""`evolve view`: the page in a browser, or a copy of it in a folder."""

from __future__ import annotations

from importlib import util
from pathlib import Path

import typer

from evolve.cli import render


def view(
    run: str = typer.Argument("", help="Begin with a run: its id, its name, or 'latest'."),
    port: int | None = typer.Option(
        None, "--port", min=0, max=65535, help="Port of 127.0.0.1; 0 for any free one."
    ),
    bundle: Path | None = typer.Option(
        None, "--bundle", help="Write a static copy into this folder instead, and end."
    ),
    programs: int = typer.Option(
        200,
        "--programs",
        min=1,
        help="Of a static copy: how many of the best programs of each run it holds, beside "
        "elites and the ancestors of the best.",
    ),
    db: str = render.DATABASE,
) -> None:
    """Look at runs in a browser: map, curves, programs, lineage, failures; live while they run.

    Serves 127.0.0.1 only, behind a token that is part of the address it prints, and never writes
    to the database. No request leaves the machine. Ctrl-C ends it.

    Needs the extra 'web'. A static copy (--bundle) opens from disk.
    """
    from evolve.core.errors import PrerequisiteError
    from evolve.store.opening import shown
    from evolve.store.reader import open_reader

    missing = [name for name in ("starlette", "uvicorn") if util.find_spec(name) is None]
    if missing:
        raise PrerequisiteError(
            f"the page needs {' and '.join(missing)}: pip install 'evolve-engine[web]'"
        )
    with open_reader(db) as reader:  # says what is wrong before anything is served
        chosen = reader.run(run).id if run else None
        count = len(reader.runs())
    if bundle is not None:
        from evolve.view.web.bundle import write_bundle

        written = write_bundle(db, bundle, chosen, programs)
        typer.echo(f"wrote {written} pages; open {bundle / 'index.html'}")
        return
    from evolve.view.web.serve import serve

    def announce(address: str) -> None:
        runs = "1 run" if count == 1 else f"{count} runs"
        typer.echo(f"{runs} of {shown(db)}; Ctrl-C ends this page\n{address}")

    serve(db, port, announce, "/" if chosen is None else f"/runs/{chosen}")
