"""System packages for an image: the files of Debian packages that are installed on this machine."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from shutil import which

from evolve.core.errors import SandboxUnavailable

_FIELDS = "${db:Status-Abbrev}\t${Package}\t${Version}\t${Provides}\t${Pre-Depends}, ${Depends}\n"
_UNWANTED = re.compile(
    r"/usr/share/(doc|man|info|locale|lintian|bug|gdb|gcc)/|/usr/(lib/debug|src)/|/var/|/etc/init"
)


@dataclass(frozen=True, slots=True)
class SystemPackage:
    """An installed package.

    Attributes:
        name: As `apt` calls it.
        version: With epoch and revision.
        needs: Alternatives for each package it depends on.
    """

    name: str
    version: str
    needs: tuple[tuple[str, ...], ...]


def system_closure(names: Sequence[str]) -> list[SystemPackage]:
    """Return installed packages and all they depend on, by name.

    Raises:
        SandboxUnavailable: this machine is no Debian, or a package is not installed.
    """
    if not names:
        return []
    known = _installed()
    found: dict[str, SystemPackage] = {}
    todo = list(names)
    while todo:
        name = todo.pop()
        package = known.get(name)
        if package is None:
            raise SandboxUnavailable(
                f"the system package {name} is not installed here, so no image can be made with "
                f"it: `apt-get install {name}`, or name an image of your own: `sandbox: {{image: "
                "NAME}`"
            )
        if package.name not in found:
            found[package.name] = package
            todo += [_choose(needed, known) for needed in package.needs]
    return [found[name] for name in sorted(found)]


def system_files(packages: Iterable[SystemPackage]) -> dict[str, Path]:
    """Map the places of the packages' files, documentation left out, to the files."""
    names = [package.name for package in packages]
    if not names:
        return {}
    listing = _dpkg("-L", *names)
    paths = [line for line in listing.splitlines() if line.startswith("/")]
    return {
        path: Path(path)
        for path in paths
        if not _UNWANTED.match(path) and (Path(path).is_symlink() or Path(path).is_file())
    }


def _installed() -> dict[str, SystemPackage]:
    """Return what is installed, by its name and by the names it provides."""
    packages: dict[str, SystemPackage] = {}
    provided: dict[str, SystemPackage] = {}
    for line in _dpkg("-W", "-f", _FIELDS).splitlines():
        status, name, version, provides, needs = line.split("\t")
        if not status.startswith("ii"):
            continue
        alternatives = (tuple(_names(each, "|")) for each in needs.split(",") if each.strip())
        package = SystemPackage(name, version, tuple(alternatives))
        packages[name] = package
        provided |= dict.fromkeys(_names(provides), package)
    return provided | packages


def _names(text: str, separator: str = ",") -> list[str]:
    """Return the names in a list of packages, versions and architectures left out."""
    return [re.split(r"[ :(]", each.strip())[0] for each in text.split(separator) if each.strip()]


def _choose(alternatives: tuple[str, ...], known: dict[str, SystemPackage]) -> str:
    return next((name for name in alternatives if name in known), alternatives[0])


def _dpkg(*arguments: str) -> str:
    program = which("dpkg-query")
    if program is None:
        raise SandboxUnavailable(
            "system packages are copied from a Debian system, and this machine has no dpkg-query; "
            "use a Dockerfile, or name an image of your own: `sandbox: {image: NAME}`"
        )
    done = subprocess.run(  # noqa: S603 - our own arguments
        [program, *arguments], capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise SandboxUnavailable(f"dpkg-query: {done.stderr.strip()}")
    return done.stdout
