"""All attacks by chapter, and the table of them in the documentation.

    python -m tests.attacks.table

runs the suite against every sandbox there is here, keeps how each attack ended in
`docs/attacks.json`, and writes `docs/attacks.md` anew.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path

from tests.attacks.catalogue import Attack
from tests.attacks.forgery import FORGERY
from tests.attacks.intrusion import INTRUSION
from tests.attacks.resources import RESOURCES
from tests.attacks.words import WORDS

CHAPTERS: Mapping[str, Mapping[str, Attack]] = {
    "resources": RESOURCES,
    "intrusion": INTRUSION,
    "forgery": FORGERY,
    "words": WORDS,
}
ATTACKS: Mapping[str, Attack] = {
    name: attack for attacks in CHAPTERS.values() for name, attack in attacks.items()
}
ROOT = Path(__file__).parents[2]
SEEN = ROOT / "docs" / "attacks.json"
#: Column heads, by the kinds of `tests.attacks.conftest`.
KINDS = {
    "process": "`process`",
    "docker": "`docker`",
    "docker, a container each": "`docker`, `isolation: container`",
}
_TITLES = {
    "resources": "On the machine: take everything, never stop, never let go",
    "intrusion": "On others: secrets, the runner, the kernel, the network, the next program",
    "forgery": "On the score: forge a result, a time, a frame, or the code that judges",
    "words": "On the reader: messages, names and output that do something to who reads them",
}


def seen() -> dict[str, dict[str, list[str]]]:
    """Return the recorded outcomes: attack, sandbox, outcomes."""
    recorded: dict[str, dict[str, list[str]]] = json.loads(SEEN.read_text())
    return recorded


def tables() -> str:
    """Return one table for each chapter."""
    return "\n".join("\n".join(_table(chapter)) + "\n" for chapter in CHAPTERS)


def _table(chapter: str) -> Iterator[str]:
    recorded = seen()
    yield f"## {_TITLES[chapter]}\n"
    yield "| attack | " + " | ".join(KINDS.values()) + " |"
    yield "|---|" + "---|" * len(KINDS)
    for name in CHAPTERS[chapter]:
        ended = recorded.get(name, {})
        cells = (", ".join(f"`{outcome}`" for outcome in ended.get(kind, [])) for kind in KINDS)
        yield f"| {name} | " + " | ".join(cell or "-" for cell in cells) + " |"


def main() -> int:
    """Run the suite, keep what was seen, write the page."""
    from docs.generate import main as generate

    with tempfile.NamedTemporaryFile("r", suffix=".jsonl") as file:
        environment = dict(os.environ, ATTACKS_SEEN=file.name)
        command = [sys.executable, "-m", "pytest", "-q", "-m", "", "tests/attacks/test_attacks.py"]
        done = subprocess.run(command, cwd=ROOT, env=environment, check=False)
        rows = [json.loads(line) for line in file]
    ended: defaultdict[str, defaultdict[str, set[str]]] = defaultdict(lambda: defaultdict(set))
    for name, kind, outcome in rows:
        ended[name][kind].add(outcome)
    kept = {
        name: {kind: sorted(ended[name][kind]) for kind in KINDS if kind in ended[name]}
        for name in ATTACKS
        if name in ended
    }
    SEEN.write_text(json.dumps(kept, indent=1) + "\n")
    generate()
    return done.returncode


if __name__ == "__main__":
    sys.exit(main())
