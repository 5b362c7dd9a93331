"""Images in an engine's store: made once, the same every time, listed and removed."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import docker
import pytest
from typer.testing import CliRunner

from evolve.cli.app import app
from evolve.core.errors import ConfigError, SandboxUnavailable
from evolve.core.evaluation import Outcome
from evolve.core.limits import Limits
from evolve.core.program import Program
from evolve.core.recipe import ImageRecipe
from evolve.sandbox.base import Job, Reply
from evolve.sandbox.docker import DockerSandbox
from evolve.sandbox.image import ensure_image, find_image, list_images, remove_image, unused_images

pytestmark = [pytest.mark.anyio, pytest.mark.docker]

BARE = ImageRecipe(requirements=())


@pytest.fixture(scope="module")
def client() -> Iterator[docker.DockerClient]:
    connection = docker.from_env()
    yield connection
    connection.close()


@pytest.fixture
def base(client: docker.DockerClient) -> str:
    return ensure_image(client, BARE).tag


async def call(image: str | ImageRecipe, source: str) -> Reply:
    limits = Limits(wall_s=30.0)
    slot = await DockerSandbox(image=image).open_slot(0, limits)
    try:
        async with slot.session(Job(Program({"p.py": source}), "solve", limits)) as session:
            return await session.call({})
    finally:
        await slot.aclose()


def test_the_image_is_made_once(client: docker.DockerClient) -> None:
    first = ensure_image(client)
    began = time.monotonic()
    said: list[str] = []
    assert ensure_image(client, say=said.append) == first
    assert time.monotonic() - began < 5.0
    assert not said
    assert first.digest.startswith("sha256:")


def test_an_image_made_anew_is_the_same_image(client: docker.DockerClient) -> None:
    recipe = ImageRecipe(requirements=("packaging",))
    first = ensure_image(client, recipe)
    remove_image(client, first.tag)
    assert find_image(client, first.tag) is None
    said: list[str] = []
    assert ensure_image(client, recipe, say=said.append) == first
    assert said[0] == f"making the sandbox image: {first.contents}"
    assert said[-1].startswith(f"made {first.tag} in ")
    assert said[-1].endswith(first.digest)
    remove_image(client, first.tag)


async def test_what_is_not_installed_here_comes_from_pip(tmp_path: Path) -> None:
    package = tmp_path / "inlaid"
    package.mkdir()
    (package / "inlaid.py").write_text("VALUE = 41\n")
    (package / "pyproject.toml").write_text(
        '[project]\nname = "inlaid"\nversion = "1.0"\n[tool.setuptools]\npy-modules = ["inlaid"]\n'
    )
    recipe = ImageRecipe(requirements=(f"inlaid @ {package.as_uri()}",))
    reply = await call(recipe, "import inlaid\ndef solve(): return inlaid.VALUE + 1")
    assert reply.value == 42, reply.message
    connection = docker.from_env()
    remove_image(connection, ensure_image(connection, recipe).tag)
    connection.close()


async def test_python_that_a_program_starts_has_the_packages_of_the_image() -> None:
    source = """
import subprocess
def solve():
    ask = "import numpy; print(numpy.arange(7).sum())"
    return subprocess.run(["python3", "-c", ask], capture_output=True, text=True).stdout
"""
    reply = await call(ImageRecipe(), source)
    assert reply.value == "21\n", reply.message


def test_a_requirement_that_cannot_be_had_says_so(client: docker.DockerClient) -> None:
    with pytest.raises(SandboxUnavailable, match="no-such-package-anywhere could not be installed"):
        ensure_image(client, ImageRecipe(requirements=("no-such-package-anywhere",)))
    with pytest.raises(ConfigError, match="not a requirement"):
        ensure_image(client, ImageRecipe(requirements=("numpy numpy",)))
    with pytest.raises(SandboxUnavailable, match="apt-get install no-such-tool"):
        ensure_image(client, ImageRecipe(system_packages=("no-such-tool",)))


async def test_a_dockerfile_is_built_with_its_folder(
    client: docker.DockerClient, base: str, tmp_path: Path
) -> None:
    dockerfile = tmp_path / "Dockerfile"
    dockerfile.write_text("ARG BASE\nFROM ${BASE}\nCOPY inlaid.py /opt/python/packages/\n")
    (tmp_path / "inlaid.py").write_text(f"VALUE = 5  # {tmp_path}\n")
    recipe = ImageRecipe(dockerfile=dockerfile, base=base)
    said: list[str] = []
    first = ensure_image(client, recipe, tag="evolve-tests:file", say=said.append)
    assert any("COPY inlaid.py" in line for line in said)
    reply = await call("evolve-tests:file", "import inlaid\ndef solve(): return inlaid.VALUE")
    assert reply.outcome is Outcome.OK, reply.message
    assert reply.value == 5
    (tmp_path / "inlaid.py").write_text("VALUE = 6\n")
    second = ensure_image(client, recipe)
    assert second.digest != first.digest
    for name in (first.digest, second.digest):
        client.images.remove(name, force=True)
    dockerfile.write_text(f"FROM {base}\nCOPY nothing /\n")
    with pytest.raises(SandboxUnavailable, match="Dockerfile does not build: COPY failed"):
        ensure_image(client, recipe)


def test_pruning_spares_what_is_used_tagged_or_default(
    client: docker.DockerClient, base: str
) -> None:
    default = ensure_image(client)
    mine = ensure_image(client, BARE, tag="evolve-tests:mine")
    container = client.containers.create(base, ["python3"], network_mode="none")
    try:
        [used] = [each for each in list_images(client) if each.tag == base]
        assert used.containers == 1
        assert used.contents.startswith("Python 3")
        assert base not in {each.tag for each in unused_images(client)}
        with pytest.raises(SandboxUnavailable, match="was not removed"):
            remove_image(client, used.digest)
    finally:
        container.remove()
    spared = {each.tag for each in list_images(client)} - {
        each.tag for each in unused_images(client)
    }
    assert {default.tag, mine.tag} <= spared
    assert base in {each.tag for each in unused_images(client)}
    assert default.tag in {each.tag for each in unused_images(client, everything=True)}
    remove_image(client, mine.tag)
    with pytest.raises(SandboxUnavailable, match="evolve image list"):
        remove_image(client, mine.tag)


def test_the_commands_do_what_the_functions_do(client: docker.DockerClient) -> None:
    def evolve(*arguments: str) -> str:
        result = CliRunner().invoke(app, ["image", *arguments])
        assert result.exit_code == 0, result.output
        return result.output

    built = evolve("build", "--with", "packaging", "numpy", "--tag", "evolve-tests:cli")
    assert "evolve-tests:cli" in built
    assert "numpy, packaging" in built
    assert "evolve-tests:cli" in evolve("list")
    assert "evolve-tests:cli" not in evolve("prune", "--dry-run")
    assert "removed evolve-tests:cli" in evolve("remove", "evolve-tests:cli")
    assert "evolve-tests:cli" not in evolve("list", "--json")
