"""Python packages for an image: copied from this environment, or else installed by pip."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterable, Sequence
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path
from shutil import which

from packaging.requirements import InvalidRequirement, Requirement

from evolve.core.errors import ConfigError, SandboxUnavailable

_DEFAULT = ("numpy", "scipy")
_LAST_LINES = 2000  #: characters of an installer's complaint that are shown


def default_requirements() -> tuple[str, ...]:
    """Return what programs may import besides the standard library: numpy and scipy if here."""
    return tuple(name for name in _DEFAULT if _distribution(name) is not None)


def parse_requirements(texts: Iterable[str]) -> list[Requirement]:
    """Return requirements in order of name.

    Raises:
        ConfigError: a text is no requirement.
    """
    try:
        found = [Requirement(text) for text in texts]
    except InvalidRequirement as error:
        raise ConfigError(f"not a requirement as pip writes them: {error}") from None
    return sorted(found, key=str)


def installed_here(wanted: Sequence[Requirement]) -> list[metadata.Distribution] | None:
    """Return the distributions of this environment that fulfil ``wanted``, by name.

    What they require is among them. None when one is not installed, or in another version.
    """
    found: dict[str, metadata.Distribution] = {}
    todo = [(requirement, "") for requirement in wanted]
    while todo:
        requirement, extra = todo.pop()
        if requirement.marker and not requirement.marker.evaluate({"extra": extra}):
            continue
        distribution = _distribution(requirement.name)
        if distribution is None or not requirement.specifier.contains(
            distribution.version, prereleases=True
        ):
            return None
        name = re.sub(r"[-_.]+", "-", requirement.name).lower()
        if name in found and not requirement.extras:
            continue
        found[name] = distribution
        inner = [Requirement(text) for text in distribution.requires or ()]
        todo += [(each, extra) for extra in ("", *requirement.extras) for each in inner]
    return [found[name] for name in sorted(found)]


def install(
    wanted: Sequence[Requirement], target: Path, say: Callable[[str], None]
) -> list[metadata.Distribution]:
    """Install ``wanted`` and what they require into the empty folder ``target``.

    Raises:
        SandboxUnavailable: there is no installer, or it failed.
    """
    texts = [str(requirement) for requirement in wanted]
    command = [*_installer(), "--target", str(target), *texts]
    say(f"installing {', '.join(texts)} with {Path(command[0]).name}: not all of it is here")
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - ours
    if done.returncode:
        raise SandboxUnavailable(
            f"{', '.join(texts)} could not be installed for the image:\n"
            + (done.stderr or done.stdout).strip()[-_LAST_LINES:]
        )
    found = {each.metadata["Name"]: each for each in metadata.distributions(path=[str(target)])}
    return [found[name] for name in sorted(found)]


def _installer() -> list[str]:
    """Return the command that installs for this interpreter; environments of uv have no pip."""
    options = ["--no-compile", "--quiet", "--disable-pip-version-check"]
    if find_spec("pip"):
        return [sys.executable, "-m", "pip", "install", *options]
    uv = which("uv")
    if uv:
        return [uv, "pip", "install", "--quiet", "--python", sys.executable]
    base = str(getattr(sys, "_base_executable", sys.executable))
    environment = {"PATH": os.environ.get("PATH", "")}
    probe = [base, "-m", "pip", "--version"]
    if subprocess.run(probe, env=environment, capture_output=True, check=False).returncode:  # noqa: S603 - likewise
        raise SandboxUnavailable("no pip and no uv here: install one, or name an image of your own")
    return [base, "-m", "pip", "install", *options]


def _distribution(name: str) -> metadata.Distribution | None:
    try:
        return metadata.distribution(name)
    except metadata.PackageNotFoundError:
        return None
