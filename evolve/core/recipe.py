"""What the image that programs run in is made from."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from evolve.core.errors import ConfigError


@dataclass(frozen=True, slots=True)
class ImageRecipe:
    """One way or another to an image; nothing given means one made from this Python.

    Attributes:
        name: An image the engine has already; the rest does not count then.
        dockerfile: File to build from, with its folder as context.
        base: Image to build on instead of this machine's Python; with a Dockerfile, what its
            argument ``BASE`` is set to.
        requirements: Python packages as pip writes them; None for numpy and scipy, if they are
            installed here.
        system_packages: Debian packages of this machine, with all they depend on.
    """

    name: str = ""
    dockerfile: Path | None = None
    base: str = ""
    requirements: tuple[str, ...] | None = None
    system_packages: tuple[str, ...] = ()

    @property
    def given(self) -> bool:
        """Whether it asks for anything that is not the default."""
        return self != DEFAULT_IMAGE

    @property
    def contents(self) -> str:
        """What is asked for, in words; empty for the default."""
        if self.name:
            return self.name
        file = self.dockerfile.name if self.dockerfile else ""
        return ", ".join(
            filter(None, [file, self.base, *(self.requirements or ()), *self.system_packages])
        )


DEFAULT_IMAGE = ImageRecipe()


def requirement_lines(text: str) -> tuple[str, ...]:
    """Return the requirements of a requirements file; comments do not count.

    Raises:
        ConfigError: a line is an option of pip's.
    """
    lines = [re.sub(r"(^|\s)#.*", "", line).strip() for line in text.splitlines()]
    for line in lines:
        if line.startswith("-"):
            raise ConfigError(f"an image's requirements are packages only, no options: {line}")
    return tuple(line for line in lines if line)
