"""What programs and models wrote is shown on a terminal, never obeyed by it."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest
from rich.panel import Panel
from rich.syntax import Syntax
from rich.text import Text

from evolve.cli import render
from evolve.core.visible import visible

HOSTILE = "\x1b]0;pwned\x07\x1b[2J\x9b31m\x7f\r\u202egnp.exe"
COMMANDS = ("\x1b]", "\x1b[2J", "\x07", "\x9b", "\x7f", "\r", "\u202e")


@pytest.mark.parametrize(
    "shown",
    [
        HOSTILE,
        Text(HOSTILE),
        Panel(HOSTILE),
        Syntax(HOSTILE, "python"),
        render.table("", ("a", ">b"), [(HOSTILE, HOSTILE)]),
        render.facts([(HOSTILE, HOSTILE)]),
    ],
    ids=["text", "Text", "Panel", "Syntax", "table", "facts"],
)
def test_control_characters_become_visible(shown: object, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    console = render.console()
    with console.capture() as capture:
        console.print(shown, markup=False)
    printed = capture.get()
    assert "pwned" in printed
    assert not [command for command in COMMANDS if command in printed]


def test_lines_and_tabs_stay() -> None:
    assert visible("a\tb\nc") == "a\tb\nc"
    assert visible("\x1b[2J") == "\u241b[2J"


def test_a_hostile_program_evaluated_on_a_terminal(tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(f"def pack(n):\n    print({HOSTILE!r})\n    raise ValueError({HOSTILE!r})\n")
    ours, theirs = pty.openpty()
    evolve = str(Path(sys.executable).with_name("evolve"))
    command = [evolve, "evaluate", "circle_packing_26", str(program)]
    done = subprocess.run(command, stdout=theirs, stderr=theirs, stdin=theirs, check=False)
    os.close(theirs)
    printed = b""
    while True:
        try:
            printed += os.read(ours, 65536)
        except OSError:
            break
    os.close(ours)
    text = printed.decode().replace("\r\n", "\n")
    assert done.returncode == 1, text
    assert "outcome: exception" in text
    assert "pwned" in text
    assert not [command for command in COMMANDS if command in text]
