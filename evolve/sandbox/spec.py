"""A sandbox as data: what it takes to make the same one on another machine."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, cast

from evolve.config.plugins import build, resolve
from evolve.core.recipe import ImageRecipe
from evolve.sandbox.base import SANDBOXES, Sandbox


@dataclass(frozen=True, slots=True)
class SandboxSpec:
    """A kind of sandbox and its options.

    Attributes:
        kind: A built-in name or a plug-in reference.
        options: Arguments of its constructor.
        folder: What a relative reference is relative to.
    """

    kind: str
    options: Mapping[str, object] = field(default_factory=dict)
    folder: Path | None = None

    def make(self, say: Callable[[str], None] | None = None) -> Sandbox:
        """Make the sandbox, which opens nothing yet.

        Args:
            say: Told what takes time when a slot is opened, such as making an image.

        Raises:
            ConfigError: there is no such sandbox, or an option is wrong.
        """
        factory = resolve(self.kind, seam="evolve.sandboxes", builtin=SANDBOXES, folder=self.folder)
        options = dict(self.options)
        if self.kind == "docker" and say is not None:
            options["say"] = say
        return cast("Sandbox", build(factory, options, what=f"sandbox {self.kind}"))

    def as_dict(self) -> dict[str, Any]:
        """Return the specification as plain data."""
        options = {
            name: {"recipe": _plain(value)} if isinstance(value, ImageRecipe) else value
            for name, value in self.options.items()
        }
        folder = str(self.folder.resolve()) if self.folder else None
        return {"kind": self.kind, "options": options, "folder": folder}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> SandboxSpec:
        """Undo `as_dict`."""
        options = {
            name: _recipe(value["recipe"]) if isinstance(value, dict) else value
            for name, value in data["options"].items()
        }
        return cls(data["kind"], options, Path(data["folder"]) if data["folder"] else None)


def _plain(recipe: ImageRecipe) -> dict[str, object]:
    dockerfile = str(recipe.dockerfile) if recipe.dockerfile else None
    return {**asdict(recipe), "dockerfile": dockerfile}


def _recipe(data: Mapping[str, Any]) -> ImageRecipe:
    wanted, file = data["requirements"], data["dockerfile"]
    return ImageRecipe(
        name=data["name"],
        dockerfile=Path(file) if file else None,
        base=data["base"],
        requirements=None if wanted is None else tuple(wanted),
        system_packages=tuple(data["system_packages"]),
    )
