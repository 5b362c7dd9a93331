"""The pages are true: their files and commands run, and what is generated is up to date."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from docs.generate import stale

ROOT = Path(__file__).parents[2]
#: A comment that says what to do with the code block below it.
BLOCK = re.compile(
    r"<!-- (file|append|run)(?:: (\S+))? -->\n```\w+\n(.*?)^```$", re.DOTALL | re.MULTILINE
)
LINK = re.compile(r"\]\(([^)#:]+)(?:#[^)]*)?\)")


def blocks(page: str) -> list[tuple[str, str, str]]:
    """Return kind, file name and text of the marked code blocks of a page."""
    found = BLOCK.findall((ROOT / "docs" / page).read_text())
    assert found
    return found


def run(command: str, folder: Path) -> str:
    """Run a page's commands as a reader would, with this environment's `evolve` and `python`."""
    environment = dict(os.environ, PATH=f"{Path(sys.executable).parent}:{os.environ['PATH']}")
    environment.pop("EVOLVE_DB", None)
    done = subprocess.run(
        ["sh", "-e", "-c", command],
        cwd=folder,
        env=environment,
        text=True,
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def follow(page: str, folder: Path) -> list[str]:
    """Do all that a page says, in order; return what its commands printed."""
    outputs = []
    for kind, name, text in blocks(page):
        if kind == "run":
            outputs.append(run(text, folder))
            continue
        file = folder / name
        file.parent.mkdir(exist_ok=True)
        before = file.read_text() if kind == "append" else ""
        file.write_text(before + text)
    return outputs


def test_the_generated_parts_of_the_reference_pages_are_up_to_date() -> None:
    assert stale() == [], "run: python docs/generate.py"


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_what_the_pages_tell_a_reader_to_do_works(tmp_path: Path) -> None:
    evaluated, checked, searched, ran, read = follow("problems.md", tmp_path)
    assert "objective: 6.657269542558757" in evaluated
    assert "my_problem: 0 errors, 0 warnings" in checked
    assert float(searched.splitlines()[0]) < 6.657269542558757
    assert "EVOLVE-BLOCK-START" in searched
    assert "OK: ellipse.yaml" in ran
    assert "finished: evaluations" in ran
    assert "Ramanujan" in ran
    assert "outcome: ok" in read

    (asked,) = follow("models.md", tmp_path)
    assert "iteration 0, diff" in asked
    assert "finished: evaluations" in asked

    slow, fast = follow("devices.md", tmp_path)
    assert slow.startswith("outcome: ok")
    assert "seed 1: " in fast
    assert "seed 0: " not in fast, "the first case is for warming up"

    (noted,) = follow("hooks.md", tmp_path)
    assert noted.splitlines()[-1].isdecimal()

    watched, opened, looked = follow("library.md", tmp_path)
    assert watched.startswith("1 6.657269542558757\n")
    assert watched.endswith("finished evaluations\n")
    assert "finished" in opened
    assert "programs by the genetic operator" in looked


def test_the_example_of_an_edit_works(tmp_path: Path) -> None:
    assert follow("edits.md", tmp_path) == ["def f(x):\n    return 2 * x + 1\n\n"]


def test_the_readme_and_the_tutorial_show_the_same_ten_lines() -> None:
    script = next(text for _, name, text in blocks("problems.md") if name == "search.py")

    assert script in (ROOT / "README.md").read_text()


@pytest.mark.parametrize("page", ["README.md", "CONTRIBUTING.md"])
def test_links_of_the_front_pages_lead_somewhere(page: str) -> None:
    links = LINK.findall((ROOT / page).read_text())

    assert [link for link in links if not (ROOT / link).exists()] == []
