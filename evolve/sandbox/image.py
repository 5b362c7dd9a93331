"""Sandbox images in an engine's store: found, made from a recipe, listed, removed.

An image is tagged by a hash of its recipe and of all that decides what the recipe leads to on this
machine, so that it is made once and found again. One made from this machine's own files is the same
image, to the digest, whenever and wherever it is made from the same files.
"""

from __future__ import annotations

import hashlib
import json
import platform
import sys
import tarfile
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from evolve.core.errors import SandboxUnavailable
from evolve.core.recipe import ImageRecipe
from evolve.sandbox import distributions, dockerfiles, rootfs
from evolve.sandbox.debian import SystemPackage, system_closure, system_files

if TYPE_CHECKING:
    import docker
    from docker.models.images import Image as EngineImage

REPOSITORY = "evolve-sandbox"
_SHORT_ID = len("sha256:") + 12  #: what the engine's own listings show, and takes as a name
CONTENTS = "evolve.image"  #: label: what the image holds, in words

#: Told what is being done, a line each.
Say: TypeAlias = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Image:
    """A sandbox image in the engine's store.

    Attributes:
        tag: Name to start containers from.
        digest: Content digest of its configuration, ``sha256:...``.
        size_bytes: Of its files.
        contents: What it was made from, in words; empty for one that was not made here.
        containers: How many containers there are of it, running or not; 0 unless listed.
    """

    tag: str
    digest: str
    size_bytes: int = 0
    contents: str = ""
    containers: int = 0


def _quiet(_: str) -> None:
    """Say nothing."""


def ensure_image(
    client: docker.DockerClient,
    recipe: ImageRecipe | None = None,
    *,
    tag: str = "",
    say: Say = _quiet,
) -> Image:
    """Return the image of a recipe, making it when it is not there.

    Args:
        client: Connection to the engine.
        recipe: What it is made from; default: this Python with numpy and scipy, if here.
        tag: What to call it besides the name made from its recipe.
        say: Told what is done, when something is.

    Raises:
        ConfigError: the recipe is wrong.
        SandboxUnavailable: something it needs is not here, or the engine refuses the image.
    """
    from docker.errors import APIError, ImageLoadError

    plan = _plan(recipe or ImageRecipe())
    found = find_image(client, plan.tag)
    if found is None:
        began = time.monotonic()
        say(f"making the sandbox image: {plan.contents}")
        try:
            plan.make(client, plan, say)
        except (APIError, ImageLoadError) as error:
            raise SandboxUnavailable(f"the engine refused the sandbox image: {error}") from error
        found = find_image(client, plan.tag)
        if found is None:
            raise SandboxUnavailable(f"the engine has lost the image {plan.tag} it was given")
        say(
            f"made {found.tag} in {time.monotonic() - began:.1f} s: "
            f"{found.size_bytes / 1e6:.0f} MB, {found.digest}"
        )
    if tag:
        client.images.get(found.digest).tag(*_split(tag))
        found = find_image(client, tag) or found
    return found


def find_image(client: docker.DockerClient, name: str) -> Image | None:
    """Return an image the engine has, or None."""
    from docker.errors import ImageNotFound

    try:
        return _as_image(name, client.images.get(name))
    except ImageNotFound:
        return None


def list_images(client: docker.DockerClient) -> list[Image]:
    """Return the images that were made here, by tag; one with two tags comes twice."""
    images = client.images.list(filters={"label": CONTENTS}) + client.images.list(REPOSITORY)
    used = [str(each.attrs["ImageID"]) for each in client.containers.list(all=True, sparse=True)]
    found = {
        tag: _as_image(tag, image, used.count(str(image.id)))
        for image in images
        for tag in image.tags or [str(image.id)[:_SHORT_ID]]
    }
    return [found[tag] for tag in sorted(found)]


def unused_images(client: docker.DockerClient, *, everything: bool = False) -> list[Image]:
    """Return the images that pruning removes: made here, without containers.

    Args:
        client: Connection to the engine.
        everything: The image for this Python and images with tags of their own, too.
    """
    kept = _plan(ImageRecipe()).tag
    return [
        image
        for image in list_images(client)
        if not image.containers
        and (everything or (image.tag != kept and image.tag.startswith(f"{REPOSITORY}:")))
    ]


def remove_image(client: docker.DockerClient, name: str) -> None:
    """Remove an image, or one of its tags.

    Raises:
        SandboxUnavailable: there is none of that name, or containers use it.
    """
    from docker.errors import APIError, ImageNotFound

    try:
        client.images.remove(name)
    except ImageNotFound:
        raise SandboxUnavailable(f"there is no image {name!r}; see `evolve image list`") from None
    except APIError as error:
        raise SandboxUnavailable(f"{name} was not removed: {error.explanation or error}") from error


@dataclass(frozen=True, slots=True)
class _Plan:
    """How an image is made: by which function, to be found under which tag."""

    tag: str
    contents: str
    make: Callable[[docker.DockerClient, _Plan, Say], None]


def _plan(recipe: ImageRecipe) -> _Plan:
    if recipe.dockerfile is not None or recipe.base:
        return _dockerfile_plan(recipe)
    texts = recipe.requirements
    wanted = distributions.parse_requirements(
        distributions.default_requirements() if texts is None else texts
    )
    here = distributions.installed_here(wanted)
    system = system_closure(recipe.system_packages)
    version = platform.python_version()
    parts = [sys.version, platform.machine(), *platform.libc_ver(), *map(str, wanted)]
    parts += [Path(str(module.__file__)).read_text() for module in (rootfs, distributions)]
    parts += [each.read_text("RECORD") or "" for each in here or ()]
    parts += [f"{package.name} {package.version}" for package in system]
    named = [f"Python {version}", *map(str, wanted), *recipe.system_packages]

    def make(client: docker.DockerClient, plan: _Plan, say: Say) -> None:
        with tempfile.TemporaryDirectory(prefix="evolve-image-") as folder:
            target = Path(folder, "packages")
            packages = distributions.install(wanted, target, say) if here is None else here
            layer = Path(folder, "layer.tar")
            _write_layer(layer, packages, system, say)
            _load(client, layer, plan, say)

    return _Plan(f"{REPOSITORY}:py{version}-{_key(parts)}", ", ".join(named), make)


def _write_layer(
    layer: Path, packages: list[metadata.Distribution], system: list[SystemPackage], say: Say
) -> None:
    say("copying files of this machine: " + _count(len(packages), len(system)))
    rootfs.write_archive(layer, packages, system_files(system))


def _count(python: int, system: int) -> str:
    return f"Python and {python} Python packages" + (f", {system} system packages" * bool(system))


def _load(client: docker.DockerClient, layer: Path, plan: _Plan, say: Say) -> None:
    """Hand the engine an image of one layer, with a configuration that has no date of its own."""
    with layer.open("rb") as stream:
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
    machine = {"x86_64": "amd64", "aarch64": "arm64"}.get(platform.machine(), platform.machine())
    config = {
        "architecture": machine,
        "os": "linux",
        "created": "1970-01-01T00:00:00Z",
        "config": {
            "Env": list(rootfs.ENVIRONMENT),
            "Cmd": ["python3", "--version"],
            "Labels": {CONTENTS: plan.contents},
        },
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{digest}"]},
        "history": [{"created": "1970-01-01T00:00:00Z", "created_by": "evolve"}],
    }
    text = json.dumps(config, sort_keys=True)
    name = f"{hashlib.sha256(text.encode()).hexdigest()}.json"
    manifest = [{"Config": name, "RepoTags": [plan.tag], "Layers": ["layer.tar"]}]
    folder = layer.parent
    (folder / name).write_text(text)
    (folder / "manifest.json").write_text(json.dumps(manifest))
    archive = folder / "image.tar"
    with tarfile.open(archive, "w") as out:
        for member in ("layer.tar", name, "manifest.json"):
            out.add(folder / member, member)
    say(f"handing {archive.stat().st_size / 1e6:.0f} MB to the engine")
    with archive.open("rb") as stream:
        client.images.load(stream)


def _dockerfile_plan(recipe: ImageRecipe) -> _Plan:
    recipe_key, contents = dockerfiles.describe(recipe)

    def make(client: docker.DockerClient, plan: _Plan, say: Say) -> None:
        dockerfiles.build(client, recipe, plan.tag, {CONTENTS: plan.contents}, say)

    return _Plan(f"{REPOSITORY}:file-{_key(recipe_key)}", contents, make)


def _key(parts: list[str]) -> str:
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:16]


def _split(tag: str) -> tuple[str, str]:
    """Return repository and tag of a name."""
    repository, colon, version = tag.rpartition(":")
    return (repository, version) if colon and "/" not in version else (tag, "latest")


def _as_image(tag: str, image: EngineImage, containers: int = 0) -> Image:
    attributes: dict[str, Any] = image.attrs
    size = int(attributes.get("Size") or 0)
    return Image(tag, str(image.id), size, image.labels.get(CONTENTS, ""), containers)
