"""What a problem's programs run in and by: its image and, in another language, its commands."""

from __future__ import annotations

import hashlib
from pathlib import Path

from evolve.config.file import Loaded
from evolve.config.problem_file import ProblemConfig
from evolve.config.text_file import read_text
from evolve.core.command import Command
from evolve.core.recipe import ImageRecipe, requirement_lines

MAX_FILE_BYTES = 256 * 1024


def command_of(config: ProblemConfig) -> Command | None:
    """Return how programs are built and run, or None for a Python function."""
    command = config.command
    return None if command is None else Command(command.run, command.build)


def image_of(loaded: Loaded[ProblemConfig]) -> ImageRecipe:
    """Return what the problem's image is made from.

    Raises:
        ConfigError: a file beside problem.yaml is named that is not there.
    """
    config = loaded.config
    return ImageRecipe(
        name=config.image or "",
        dockerfile=_dockerfile(loaded),
        requirements=_requirements(loaded),
        system_packages=config.system_packages,
    )


def machinery(loaded: Loaded[ProblemConfig]) -> dict[str, object]:
    """Return what of it can change a score; empty for what every problem has by default."""
    config, recipe = loaded.config, image_of(loaded)
    found: dict[str, object] = {}
    if config.command is not None:
        found["command"] = config.command.model_dump(mode="json")
    if recipe.given:
        dockerfile = recipe.dockerfile
        text = read_text(dockerfile, MAX_FILE_BYTES) if dockerfile else ""
        found["image"] = {
            "name": recipe.name,
            "dockerfile": hashlib.sha256(text.encode()).hexdigest(),
            "requirements": recipe.requirements,
            "system_packages": sorted(recipe.system_packages),
        }
    return found


def _dockerfile(loaded: Loaded[ProblemConfig]) -> Path | None:
    name = loaded.config.dockerfile
    if name is None:
        return None
    with loaded.at("dockerfile"):
        read_text(loaded.folder / name, MAX_FILE_BYTES)
    return loaded.folder.resolve() / name


def _requirements(loaded: Loaded[ProblemConfig]) -> tuple[str, ...] | None:
    given = loaded.config.requirements
    if not isinstance(given, str):
        return given
    with loaded.at("requirements"):
        return requirement_lines(read_text(loaded.folder / given, MAX_FILE_BYTES))
