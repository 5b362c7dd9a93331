"""The gallery shows every kind of picture, and what makes it can be made again."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from evolve.config.file import load_run_config
from evolve.view.pictures import PICTURES

DOCS = Path(__file__).parents[2] / "docs"
PROMPT = """\
# The program to improve

BEGIN abc file seed.py
import math
# EVOLVE-BLOCK-START
x = {number} * math.pi
# EVOLVE-BLOCK-END
END abc
"""


def test_every_picture_is_in_it_and_all_are_small() -> None:
    page = (DOCS / "gallery.md").read_text()
    shown = set(re.findall(r"\]\(images/gallery/([^)]+)\)", page))
    files = list((DOCS / "images" / "gallery").iterdir())
    assert shown == {file.name for file in files}
    assert {f"{kind}.png" for kind in PICTURES} <= {name.removeprefix("noise_") for name in shown}
    assert sum(file.stat().st_size for file in files) < 1_000_000


def test_its_run_can_be_made() -> None:
    loaded = load_run_config(DOCS / "gallery" / "gallery.yaml")
    assert loaded.config.name == "gallery"
    model = DOCS / "gallery" / "model.py"
    replies = {
        number: subprocess.run(
            [sys.executable, model],
            input=PROMPT.format(number=number),
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for number in ("2.5", "math.tau")
    }
    (changed,) = re.findall(r"^x = ([\d.]+) \* math\.pi$", replies["2.5"], re.MULTILINE)
    assert float(changed) != 2.5
    assert "x = math.tau * math.pi" in replies["math.tau"]
    assert all("import math\n# EVOLVE-BLOCK-START\n" in reply for reply in replies.values())
