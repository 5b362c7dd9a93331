"""What the scripts of a Harbor task install when they run: it goes into the image instead.

Most published tasks begin their tests by fetching what these need. A sandbox has no network, so the
same packages are installed when the image is built, and inside it stand-ins for the installers do
nothing (`evolve.config.foreign.harbor_adapter`): the scripts stay as they are.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from evolve.config.foreign.harbor_adapter import TOOLS
from evolve.config.text_file import read_text

#: The most that a text of a task may hold.
READ_BYTES = 1 << 20

#: What needs the network when a script runs it.
_NETWORK = re.compile(
    r"\b(?:apt-get|apt|apk|dnf|yum)\s+(?:-\S+\s+)*(?:update|install|add)\b|\b(?:curl|wget|uvx)\b"
    r"|\bpip3?\s+(?:install|download)\b|\buv\s+(?:pip|tool|add|sync|run)\b|\bgit\s+clone\b"
    r"|\bnpm\s+(?:install|i|ci)\b|\bnpx\b"
)
#: Words before a command that do not change what it is.
_BEFORE = re.compile(r"if|then|else|do|while|!|\{|sudo|time|exec|-E|[A-Z_]+=.*", re.IGNORECASE)
_UV_INSTALLER = "astral.sh/uv"
_SYSTEM_FLAG = re.compile(r"-[yq]+|--yes|--assume-yes|--quiet|--no-install-recommends")
_SYSTEM_PACKAGE = re.compile(r"[a-z0-9][a-z0-9.+-]*(?:=[\w.+:~-]+)?")
_PIP_FLAG = re.compile(
    r"-q+|--quiet|--no-cache-dir|--break-system-packages|--user|--root-user-action=ignore"
    r"|--disable-pip-version-check|--no-input"
)
_UVX_VALUE, _UVX_FLAG = (
    ("-p", "--python", "-w", "--with", "--from"),
    ("-q", "--quiet", "--isolated"),
)
_REQUIREMENT = re.compile(
    r"[A-Za-z0-9][\w.-]*(?:\[[\w,-]+\])?(?:(?:==|>=|<=|~=|!=|<|>)[\w.*+!,<>=~-]+)?"
)


@dataclass(frozen=True, slots=True)
class Installs:
    """What scripts install, each once, and what cannot be told or had.

    Attributes:
        system: Packages by ``apt-get``.
        python: Packages by ``pip``, into the Python of the image.
        tools: Packages by ``uvx``, apart from that Python.
        refused: What else needs the network: line, and the words.
    """

    system: tuple[str, ...] = ()
    python: tuple[str, ...] = ()
    tools: tuple[str, ...] = ()
    refused: tuple[tuple[int, str], ...] = ()

    def __add__(self, other: Installs) -> Installs:
        return Installs(
            tuple(dict.fromkeys(self.system + other.system)),
            tuple(dict.fromkeys(self.python + other.python)),
            tuple(dict.fromkeys(self.tools + other.tools)),
            self.refused + other.refused,
        )

    @property
    def names(self) -> tuple[str, ...]:
        """All packages."""
        return (*self.system, *self.python, *self.tools)


def installs_of_tests(folder: Path) -> tuple[Installs, list[str]]:
    """Return what the scripts among a task's tests install, and why not what else they fetch."""
    found, reasons = Installs(), []
    for script in sorted((folder / "tests").rglob("*.sh")):
        installs = installs_of(read_text(script, READ_BYTES))
        found += replace(installs, refused=())
        where = script.relative_to(folder).as_posix()
        reasons += [
            f"{where}:{number} runs {used!r}, and a sandbox has no network: put what it fetches "
            "into environment/Dockerfile and take the line out"
            for number, used in installs.refused
        ]
    return found, reasons


def installs_of(script: str) -> Installs:
    """Return what a shell script installs.

    Args:
        script: Its text; nothing of it is executed.
    """
    found = Installs()
    for number, line in _lines(script):
        for command in _commands(line):
            used = _NETWORK.search(" ".join(command))
            if used is not None:
                found += _read(command) or Installs(refused=((number, used[0]),))
    return found


def image_lines(installs: Installs) -> str:
    """Return lines of a Dockerfile that install the same."""
    lines = [
        "",
        "# What the task's scripts install when they run: a sandbox has no network.",
        "USER root",
    ]
    system, python, tools = (
        shlex.join(each) for each in (installs.system, installs.python, installs.tools)
    )
    if system:
        lines.append(f"RUN apt-get update && apt-get install -y {system}")
    if python:
        lines.append(
            f"RUN PIP_BREAK_SYSTEM_PACKAGES=1 python3 -m pip install --no-cache-dir {python}"
        )
    if tools:
        lines += [
            f"RUN python3 -m venv {TOOLS} || (apt-get update && apt-get install -y python3-venv \\",
            f"    && python3 -m venv {TOOLS})",
            f"RUN {TOOLS}/bin/pip install --no-cache-dir {tools}",
        ]
    return "\n".join(lines) + "\n"


def _lines(script: str) -> Iterator[tuple[int, str]]:
    """Yield lines with the number of the first, those that go on below as one."""
    number, begun = 0, ""
    for at, line in enumerate(script.splitlines(), start=1):
        number = number if begun else at
        begun += line
        if begun.endswith("\\"):
            begun = begun[:-1] + " "
            continue
        yield number, begun
        begun = ""
    if begun:
        yield number, begun


def _commands(line: str) -> list[list[str]]:
    """Return the simple commands of a line as words, without where their output goes."""
    if line.lstrip().startswith("#"):
        return []
    words = shlex.shlex(line, posix=True, punctuation_chars="|&;<>()")
    words.whitespace_split = True
    commands: list[list[str]] = [[]]
    try:
        for word in words:
            if word.startswith(("<", ">", "&>")):
                if commands[-1] and commands[-1][-1].isdigit():  # the 2 of 2>&1
                    commands[-1].pop()
                next(words, None)
            elif word and set(word) <= set("|&;()"):
                commands.append([])
            elif commands[-1] or not _BEFORE.fullmatch(word):
                commands[-1].append(word)
    except ValueError:  # a quote that is closed on a later line
        return [line.split()]
    return commands


def _read(command: Sequence[str]) -> Installs | None:
    """Return what a command installs; None where that cannot be told or had."""
    name, *rest = command
    if name.startswith("python") and rest[:2] == ["-m", "pip"]:
        name, rest = "pip", rest[2:]
    if name in {"curl", "wget"}:
        return Installs() if any(_UV_INSTALLER in word for word in rest) else None
    if name in {"apt-get", "apt"}:
        return _system([word for word in rest if not _SYSTEM_FLAG.fullmatch(word)])
    if name in {"pip", "pip3"} and rest[:1] == ["install"]:
        return _python([word for word in rest[1:] if not _PIP_FLAG.fullmatch(word)])
    return _tools(rest) if name == "uvx" else None


def _system(words: Sequence[str]) -> Installs | None:
    verb, *packages = words
    if verb == "update":
        return None if packages else Installs()
    told = verb == "install" and all(_SYSTEM_PACKAGE.fullmatch(each) for each in packages)
    return Installs(system=tuple(packages)) if told else None


def _python(packages: Sequence[str]) -> Installs | None:
    told = all(_REQUIREMENT.fullmatch(each) for each in packages)
    return Installs(python=tuple(packages)) if told else None


def _tools(words: Sequence[str]) -> Installs | None:
    """Read the options of uvx, up to the tool that it runs."""
    left, packages, named = list(words), [], False
    while left and left[0].startswith("-"):
        option, _, value = left.pop(0).partition("=")
        if option in _UVX_VALUE:
            value = value or (left.pop(0) if left else "")
            if option not in {"-p", "--python"}:
                packages += value.split(",")
                named |= option == "--from"
        elif option not in _UVX_FLAG:
            return None
    if not left:
        return None
    tool, _, version = left[0].partition("@")
    named |= any(re.match(rf"{re.escape(tool)}(?![\w.-])", each) for each in packages)
    if not named:
        packages.append(f"{tool}=={version}" if version and version != "latest" else tool)
    told = all(_REQUIREMENT.fullmatch(each) for each in packages)
    return Installs(tools=tuple(packages)) if told else None
