"""`evolve image`: the images that programs run in."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from evolve.cli import render

if TYPE_CHECKING:
    import docker

    from evolve.core.recipe import ImageRecipe

app = typer.Typer(no_args_is_help=True)


@app.command()
def build(  # noqa: PLR0913 - one argument per option
    *,
    packages: list[str] = typer.Argument(
        None, metavar="[PACKAGE]...", show_default=False, help="More of --with."
    ),
    with_: list[str] = typer.Option(
        [], "--with", metavar="PACKAGE", help="A Python package, as pip writes it; repeatable."
    ),
    requirements: Path | None = typer.Option(
        None, "--requirements", metavar="FILE", help="Python packages, one a line."
    ),
    system: list[str] = typer.Option(
        [], "--system", metavar="PACKAGE", help="A Debian package of this machine; repeatable."
    ),
    dockerfile: Path | None = typer.Option(
        None, "--dockerfile", metavar="FILE", help="Build from this, with its folder as context."
    ),
    base: str = typer.Option(
        "",
        "--base",
        metavar="IMAGE",
        help="Build on this image instead, which needs python3 and pip and is pulled if need be, "
        "such as python:3.12-slim@sha256:...; with --dockerfile, the value of its argument BASE.",
    ),
    problem: str = typer.Option(
        "", "--problem", metavar="NAME", help="Build what this problem asks for, and nothing else."
    ),
    tag: str = typer.Option("", "--tag", help="Name it; `sandbox: {image: TAG}` then uses it."),
    json: bool = render.JSON,
) -> None:
    """Make the image that programs run in, unless it is there already.

    Without options: this Python with numpy and scipy, if installed here. Packages are copied from
    this environment if they are installed here in a fitting version, else pip installs them.
    Nothing is pulled, except for --base and --dockerfile.

    JSON: {tag, digest, size_bytes, contents, containers}.

    Example: evolve image build --with numpy networkx --tag mine:1
    """
    from evolve.sandbox.image import ensure_image

    chosen = (*with_, *(packages or ()))
    recipe = _recipe(chosen, requirements, tuple(system), dockerfile, base, problem)
    with _engine() as client:
        image = ensure_image(client, recipe, tag=tag, say=lambda text: typer.echo(text, err=True))
    if json:
        render.echo_json(asdict(image))
    else:
        out = render.console()
        out.print(f"{image.tag}  {image.size_bytes / 1e6:.0f} MB  {image.contents}", markup=False)
        out.print(image.digest, markup=False)


@app.command("list")
def list_(json: bool = render.JSON) -> None:
    """List the images made here, what is in them, and how many containers use them.

    JSON: a list of {tag, digest, size_bytes, contents, containers}.
    """
    from evolve.sandbox.image import list_images

    with _engine() as client:
        images = list_images(client)
    if json:
        render.echo_json([asdict(image) for image in images])
        return
    columns = ("tag", ">MB", ">containers", "digest", "contents")
    rows = [
        (each.tag, each.size_bytes // 10**6, each.containers, each.digest[7:19], each.contents)
        for each in images
    ]
    render.console().print(render.table("", columns, rows))


@app.command()
def remove(
    names: list[str] = typer.Argument(..., metavar="TAG...", help="What to remove."),
) -> None:
    """Remove images by tag or digest. One that containers use is kept, with an error."""
    from evolve.sandbox.image import remove_image

    with _engine() as client:
        for name in names:
            remove_image(client, name)
            typer.echo(f"removed {name}")


@app.command()
def prune(
    everything: bool = typer.Option(
        False, "--all", help="Also this Python's own image, and those with a tag of yours."
    ),
    dry_run: bool = typer.Option(False, "--dry-run", help="Only say what would be removed."),
) -> None:
    """Remove the images made here that no container uses; runs make theirs again when needed.

    The image for this version of Python and its packages stays, and so do images that you have
    tagged.
    """
    from evolve.sandbox.image import remove_image, unused_images

    with _engine() as client:
        images = unused_images(client, everything=everything)
        for image in images:
            if not dry_run:
                remove_image(client, image.tag)
            verb = "would remove" if dry_run else "removed"
            typer.echo(f"{verb} {image.tag}  {image.size_bytes / 1e6:.0f} MB  {image.contents}")
    if not images:
        typer.echo("nothing to remove")


@contextmanager
def _engine() -> Iterator[docker.DockerClient]:
    """Yield a connection to the engine; its complaints become errors of ours."""
    from docker.errors import DockerException

    from evolve.core.errors import SandboxUnavailable
    from evolve.sandbox.engine import Engine

    client = Engine().client
    try:
        yield client
    except DockerException as error:
        raise SandboxUnavailable(f"the Docker engine: {error}") from error
    finally:
        client.close()


def _recipe(
    packages: tuple[str, ...],
    requirements: Path | None,
    system: tuple[str, ...],
    dockerfile: Path | None,
    base: str,
    problem: str,
) -> ImageRecipe:
    from evolve.config.machinery import MAX_FILE_BYTES
    from evolve.config.problem import load_problem
    from evolve.config.text_file import read_text
    from evolve.core.errors import ConfigError
    from evolve.core.recipe import ImageRecipe, requirement_lines

    local = bool(packages or requirements or system)
    if local + (dockerfile is not None) + bool(problem) > 1:
        raise ConfigError(
            "give packages (--with, --requirements, --system), --dockerfile or --problem: each "
            "is a way of its own"
        )
    if problem:
        recipe = load_problem(problem, Path.cwd()).image
        if recipe.name:
            raise ConfigError(f"{problem} names the image {recipe.name}; pull or build that")
        return recipe
    listed = requirement_lines(read_text(requirements, MAX_FILE_BYTES)) if requirements else ()
    wanted = (*packages, *listed)
    if base and system:
        raise ConfigError("--system copies from this machine, which is no --base; leave one out")
    return ImageRecipe(
        dockerfile=dockerfile, base=base, requirements=wanted or None, system_packages=system
    )
