"""Images built by the engine from a Dockerfile: a problem's own, or ours on a base image."""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from evolve.core.errors import SandboxUnavailable
from evolve.core.recipe import ImageRecipe

if TYPE_CHECKING:
    import docker

_MOST_CONTEXT_BYTES = 64 << 20
#: Bytecode must not depend on dates, since the root of a container is read-only.
_OURS = """\
ARG BASE
FROM ${BASE}
COPY requirements.txt /tmp/requirements.txt
RUN python3 -m pip install --no-cache-dir --no-compile -r /tmp/requirements.txt \\
 && python3 -m compileall -q --invalidation-mode unchecked-hash \\
    "$(python3 -c 'import sysconfig; print(sysconfig.get_path("purelib"))')" \\
 && rm /tmp/requirements.txt
"""


def describe(recipe: ImageRecipe) -> tuple[list[str], str]:
    """Return what identifies an image, and what it holds in words.

    Raises:
        SandboxUnavailable: there is no such Dockerfile, or its folder is too large a context.
    """
    file, base = recipe.dockerfile, recipe.base
    if file is None:
        wanted = sorted(recipe.requirements or ())
        return [_OURS, base, *wanted], ", ".join([base, *wanted])
    if not file.is_file():
        raise SandboxUnavailable(f"there is no file {file} to build an image from")
    context = file.resolve().parent
    contents = f"{file.name} of {context.name}" + (f" on {base}" if base else "")
    return [file.name, base, *_files(context)], contents


def build(
    client: docker.DockerClient,
    recipe: ImageRecipe,
    tag: str,
    labels: Mapping[str, str],
    say: Callable[[str], None],
) -> None:
    """Have the engine build an image.

    Raises:
        SandboxUnavailable: it does not build.
    """
    file = recipe.dockerfile
    if file is not None:
        _build(client, file.resolve(), recipe.base, tag, labels, say)
        return
    with tempfile.TemporaryDirectory(prefix="evolve-image-") as folder:
        ours = Path(folder, "Dockerfile")
        ours.write_text(_OURS)
        Path(folder, "requirements.txt").write_text("\n".join(recipe.requirements or ()))
        _build(client, ours, recipe.base, tag, labels, say)


def _build(
    client: docker.DockerClient,
    file: Path,
    base: str,
    tag: str,
    labels: Mapping[str, str],
    say: Callable[[str], None],
) -> None:
    stream: Iterator[Mapping[str, Any]] = client.api.build(
        path=str(file.parent),
        dockerfile=file.name,
        tag=tag,
        buildargs={"BASE": base} if base else {},
        labels=dict(labels),
        rm=True,
        forcerm=True,
        decode=True,
    )
    for line in stream:
        if "error" in line:
            raise SandboxUnavailable(f"{file.name} does not build: {line['error'].strip()}")
        if text := str(line.get("stream", "")).strip():
            say(text)


def _files(folder: Path) -> Iterator[str]:
    """Yield what identifies the files of a build context."""
    total = 0
    for path in sorted(folder.rglob("*")):
        if path.is_file() and "__pycache__" not in path.parts:
            total += path.stat().st_size
            if total > _MOST_CONTEXT_BYTES:
                limit = _MOST_CONTEXT_BYTES >> 20
                raise SandboxUnavailable(
                    f"the folder of a Dockerfile is its context and holds at most {limit} MiB; "
                    f"{folder} holds more"
                )
            yield f"{path.relative_to(folder)} {hashlib.sha256(path.read_bytes()).hexdigest()}"
