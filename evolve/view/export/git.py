"""The ancestry of a program as a git repository: a commit for every ancestor.

Only plumbing is used, with an environment of its own: no configuration, hook or template of the
user is read or run. The same ancestry gives the same commits, hash by hash.
"""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path, PurePosixPath

from evolve.core.errors import PrerequisiteError, StoreError
from evolve.store.reader import Reader
from evolve.store.records import ProgramRecord, RunRecord
from evolve.view.export.place import new_folder

BRANCH = "refs/heads/main"
_AUTHOR = "evolve <evolve@localhost>"


def export_git(reader: Reader, run: RunRecord, program_id: int, folder: Path) -> int:
    """Write the ancestry of a program as a repository with the program checked out.

    Every ancestor is a commit, its parents the commits of its parents: a crossover is a merge.
    Dates are those of the store.

    Args:
        reader: Reads the run.
        run: The run.
        program_id: The youngest program.
        folder: Where the repository goes; it must not exist or be empty.

    Returns:
        How many commits there are.

    Raises:
        PrerequisiteError: git is missing or failed, or the folder is in use.
        StoreError: a program has a path that no repository may hold.
    """
    line = [entry.id for entry in reversed(reader.lineage(program_id))]
    with new_folder(folder) as made, tempfile.TemporaryDirectory() as home:
        git = _Git(made, Path(home))
        git("init", "--quiet", "--template=", "--object-format=sha1", ".")
        git("symbolic-ref", "HEAD", BRANCH)
        git("fast-import", "--quiet", "--done", feed=_stream(reader, run, line))
        git("read-tree", "--reset", "-u", "HEAD")
    return len(line)


class _Git:
    """Calls git in a folder, with nothing of the user's around it."""

    def __init__(self, folder: Path, home: Path) -> None:
        self._folder = folder
        self._environment = {
            "PATH": os.environ.get("PATH", os.defpath),
            "HOME": str(home),
            "XDG_CONFIG_HOME": str(home),
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_CONFIG_GLOBAL": os.devnull,
            "GIT_CEILING_DIRECTORIES": str(folder.parent),
            "LC_ALL": "C",
        }

    def __call__(self, *arguments: str, feed: Iterable[bytes] = ()) -> None:
        """Run a command with an input.

        Raises:
            PrerequisiteError: there is no git, or the command failed.
        """
        with tempfile.TemporaryFile() as given:
            given.writelines(feed)
            given.seek(0)
            try:
                done = subprocess.run(  # noqa: S603 - fixed commands, no shell
                    ["git", *arguments],  # noqa: S607 - the git of this machine
                    cwd=self._folder,
                    env=self._environment,
                    stdin=given,
                    capture_output=True,
                    check=False,
                )
            except FileNotFoundError:
                raise PrerequisiteError("there is no git on this machine; install it") from None
        if done.returncode:
            said = done.stderr.decode("utf-8", "replace").strip()
            raise PrerequisiteError(f"git {arguments[0]} failed: {said}")


def _stream(reader: Reader, run: RunRecord, line: list[int]) -> Iterator[bytes]:
    """Yield what ``git fast-import`` reads: parents before their children."""
    for program_id in line:
        record = reader.program(program_id)
        entry = record.entry
        date = f"{_AUTHOR} {int(entry.created_at)} +0000"
        parents = [f":{parent}" for parent in dict.fromkeys(entry.parents)]
        if not parents:  # else the commit before it would count as its parent
            yield f"reset {BRANCH}\n".encode()
        yield f"commit {BRANCH}\nmark :{entry.id}\nauthor {date}\ncommitter {date}\n".encode()
        yield _data(message(record, run).encode())
        for word, parent in zip(("from", *["merge"] * len(parents)), parents, strict=False):
            yield f"{word} {parent}\n".encode()
        yield b"deleteall\n"
        _check_paths(entry.id, record.program.files)
        for path, text in record.program.files.items():
            quoted = path.replace('"', '\\"')  # a program's paths hold no backslash
            yield f'M 100644 inline "{quoted}"\n'.encode()
            yield _data(text.encode("utf-8", "surrogatepass"))
    yield b"done\n"


def _data(content: bytes) -> bytes:
    return b"data %d\n%b\n" % (len(content), content)


def message(record: ProgramRecord, run: RunRecord) -> str:
    """Return the message of a program's commit: a line to read, then trailers.

    What operators and models wrote is in one line, and cannot pass for a trailer.
    """
    entry = record.entry
    score = "-" if entry.objective is None else f"{entry.objective:.6g}"
    models = dict.fromkeys(call.server_model or call.model for call in record.completions)
    facts = {
        "Objective": f"{run.objective.name} {score}" if entry.objective is not None else "",
        "Outcome": "" if entry.outcome is None else str(entry.outcome),
        "Operator": entry.operator,
        "Model": ", ".join(models),
        "Measures": ", ".join(f"{name} {value:.6g}" for name, value in entry.measures.items()),
        "Program": f"{entry.id} {entry.hash}",
        "Iteration": "" if entry.iteration is None else str(entry.iteration),
    }
    trailers = [f"{name}: {_line(value)}" for name, value in facts.items() if value]
    subject = f"{score} {entry.operator}: {entry.summary or f'program {entry.id}'}"
    return "\n".join([_line(subject), "", *trailers, ""])


def _line(text: str) -> str:
    """Return ``text`` as one line without control characters."""
    words = " ".join(text.split())
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in words)


def _check_paths(program_id: int, paths: Iterable[str]) -> None:
    """Refuse paths that a repository must not hold: those of git's own files.

    Raises:
        StoreError: there is one.
    """
    for path in paths:
        for part in PurePosixPath(path).parts:
            if part.casefold().rstrip(". ") in {".git", "git~1"}:
                raise StoreError(
                    f"program {program_id} has the file {path}, which no git repository may hold; "
                    "`evolve best -o DIR` writes the program without its ancestry"
                )
