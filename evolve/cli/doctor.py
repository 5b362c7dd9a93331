"""`evolve doctor`: what this machine has of what a run may need."""

from __future__ import annotations

from dataclasses import asdict

import typer

from evolve.cli import render


def doctor(
    ping: list[str] = typer.Option(
        [],
        "--ping",
        metavar="MODEL",
        help="Also ask this model for one word, such as openai/NAME; the call is committed.",
    ),
    ray: str = typer.Option(
        "",
        metavar="ADDRESS",
        help="Also look at every node of this Ray cluster: auto, HOST:6379, ray://HOST:10001.",
    ),
    db: str = render.DATABASE,
    json: bool = render.JSON,
) -> None:
    """Check Python, sandboxes, GPUs, keys, disk and database, and say how to mend what is wrong.

    JSON: a list of {name, verdict, detail}; verdict is ok, missing (needed by some runs only) or
    problem. The exit code is 3 when there is a problem.
    """
    from evolve.engine.doctor import examine

    checks = examine(db, tuple(ping), ray)
    if json:
        render.echo_json([asdict(check) for check in checks])
    else:
        columns = ("", "what", "detail")
        signs = {"ok": "ok", "missing": "--", "problem": "!!"}
        rows = [(signs[check.verdict], check.name, check.detail) for check in checks]
        render.console().print(render.table("", columns, rows))
    if any(check.verdict == "problem" for check in checks):
        raise typer.Exit(3)
