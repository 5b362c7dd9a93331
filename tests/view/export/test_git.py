"""The ancestry of a program as a repository: what is in it, and what is kept out of it."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from evolve.core.errors import PrerequisiteError, StoreError
from evolve.core.program import Program
from evolve.store.reader import Reader, open_reader
from evolve.store.store import Store
from evolve.view.export.git import export_git
from tests.store.samples import scored


def git(folder: Path, *arguments: str) -> str:
    done = subprocess.run(
        ["git", *arguments],
        cwd=folder,
        env={"PATH": os.environ["PATH"], "HOME": str(folder), "GIT_CONFIG_NOSYSTEM": "1"},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.strip()


def export(reader: Reader, folder: Path, program_id: int = 4) -> int:
    return export_git(reader, reader.run(), program_id, folder)


def test_the_ancestry_becomes_commits_and_a_crossover_a_merge(
    reader: Reader, tmp_path: Path
) -> None:
    assert export(reader, tmp_path / "repo") == 3

    repo = tmp_path / "repo"
    git(repo, "fsck", "--strict")
    assert git(repo, "status", "--porcelain") == ""
    assert git(repo, "branch", "--show-current") == "main"
    oldest = git(repo, "log", "--reverse", "--topo-order", "--format=%h %s").splitlines()
    assert [line.split(" ", 1)[1] for line in oldest[:2]] == [
        "3 seed: program 1",
        "2 diff: set x to 2",
    ]
    hashes = {line.split()[1]: line.split()[0] for line in oldest}
    parents = git(repo, "log", "-1", "--format=%p").split()
    assert parents == [hashes["2"], hashes["3"]], "the varied one first"
    assert git(repo, "show", f"{hashes['2']}:main.py") == "x = 2"
    for name, text in reader.program(4).program.files.items():
        assert (repo / name).read_bytes() == text.encode("utf-8", "surrogatepass")


def test_messages_say_who_made_it_and_what_it_scored(reader: Reader, tmp_path: Path) -> None:
    export(reader, tmp_path / "repo", 2)

    trailers = git(tmp_path / "repo", "log", "-1", "--format=%(trailers)").splitlines()
    found = dict(line.split(": ", 1) for line in trailers)
    assert found == {
        "Objective": "loss 2",
        "Outcome": "ok",
        "Operator": "diff",
        "Model": "sample-1-2026",
        "Measures": "length 12, depth 0.25",
        "Program": f"2 {reader.program(2).entry.hash}",
        "Iteration": "0",
    }
    assert git(tmp_path / "repo", "log", "-1", "--format=%an <%ae> %ad|%cd", "--date=unix") == (
        "evolve <evolve@localhost> 1000000|1000000"
    )


def test_a_hostile_summary_stays_in_its_line(reader: Reader, tmp_path: Path) -> None:
    export(reader, tmp_path / "repo")

    body = git(tmp_path / "repo", "log", "-1", "--format=%B")
    subject = body.splitlines()[0]
    assert subject.startswith('1 crossover: =HYPERLINK("http://x") --')
    assert body.splitlines()[1] == ""
    assert subject.isprintable()


def test_the_same_ancestry_gives_the_same_hashes(reader: Reader, tmp_path: Path) -> None:
    export(reader, tmp_path / "one")
    export(reader, tmp_path / "two")

    one, two = (git(tmp_path / name, "rev-parse", "HEAD") for name in ("one", "two"))
    assert one == two


def test_nothing_of_the_users_git_is_read_or_run(
    reader: Reader, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    export(reader, tmp_path / "plain")
    home, template, touched = tmp_path / "home", tmp_path / "template", tmp_path / "touched"
    for hook in ("post-checkout", "reference-transaction", "post-index-change"):
        for folder in (template / "hooks", home / "hooks"):
            folder.mkdir(parents=True, exist_ok=True)
            (folder / hook).write_text(f"#!/bin/sh\ntouch {touched}\n")
            (folder / hook).chmod(0o755)
    (home / ".gitconfig").write_text(
        f"[init]\n templateDir = {template}\n defaultBranch = other\n[core]\n autocrlf = true\n"
        f" hooksPath = {home}/hooks\n fsmonitor = touch {touched}\n[user]\n name = Me\n"
    )
    monkeypatch.setenv("HOME", str(home))
    for name, value in {
        "GIT_DIR": str(tmp_path / "elsewhere"),
        "GIT_TEMPLATE_DIR": str(template),
        "GIT_AUTHOR_NAME": "Me",
        "GIT_CONFIG_COUNT": "1",
        "GIT_CONFIG_KEY_0": "core.hooksPath",
        "GIT_CONFIG_VALUE_0": str(home / "hooks"),
    }.items():
        monkeypatch.setenv(name, value)

    export(reader, tmp_path / "repo")

    assert not touched.exists()
    assert not (tmp_path / "elsewhere").exists()
    assert not list((tmp_path / "repo/.git").glob("hooks/*"))
    one, two = (git(tmp_path / name, "rev-parse", "HEAD") for name in ("plain", "repo"))
    assert one == two


@pytest.mark.parametrize("name", [".git/hooks/post-checkout", "a/.GIT/config", "GIT~1/x"])
def test_a_program_cannot_write_into_the_repository_itself(
    name: str, path: Path, store: Store, run_id: int, tmp_path: Path
) -> None:
    added = store.add_program(run_id, Program({name: "#!/bin/sh\n"}), operator="submit").id
    store.commit_evaluation(added, scored(0.0), [])

    with open_reader(str(path)) as reader, pytest.raises(StoreError, match="no git repository"):
        export(reader, tmp_path / "repo", added)
    assert sorted(each.name for each in tmp_path.iterdir() if "repo" in each.name) == []


def test_a_folder_in_use_is_left_alone(reader: Reader, tmp_path: Path) -> None:
    (tmp_path / "repo").mkdir()
    export(reader, tmp_path / "repo")
    with pytest.raises(PrerequisiteError, match="not empty"):
        export(reader, tmp_path / "repo")


def test_a_machine_without_git_is_told_so(
    reader: Reader, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(PrerequisiteError, match="no git on this machine"):
        export(reader, tmp_path / "repo")
