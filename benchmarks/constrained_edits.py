"""How many edits of a model apply, compile and score, with and without constrained decoding.

Needs a server of your own that takes grammars; docs/models.md shows one with a small model::

    python benchmarks/constrained_edits.py http://127.0.0.1:8080/v1 --calls 40

Both ways get the same prompts in the same run. The problem is the tests' parabola, whose prompt is
short, so that a model on a CPU answers in seconds.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

from evolve.engine.run import run
from evolve.store.reader import open_reader
from tests.fakes import write_problem


def measure(folder: Path, url: str, constrain: str, calls: int, tokens: int) -> dict[str, float]:
    """Make so many calls, one after the other, and return what came of them."""
    parts = {"statement": 100, "feedback": 60, "attempts": 0, "cases": 0}
    config = {
        "problem": str(folder / "parabola"),
        "models": [
            {
                "id": "openai/local",
                "base_url": url,
                "max_tokens": tokens,
                "temperature": 0.8,
                "timeout_s": 600,
                "retries": 0,
                "concurrency": 1,
                "price": {"input": 0, "output": 0},
            }
        ],
        "proposers": [
            {"kind": "diff", "options": {"constrain": constrain, "mends": 0, "tokens": parts}}
        ],
        "selection": {"inspirations": 0},
        "sandbox": {"kind": "process", "allow_untrusted": True},
        "slots": 1,
        "proposals": 1,
        "stop": {"calls": calls},
    }
    db = str(folder / f"{constrain}.db")
    run(config, db=db)
    with open_reader(db) as reader:
        (spent,) = reader.spending(1, "model")
        print(f"  {constrain}: {dict(reader.totals(1).rejected)}")
    names = ("applied", "valid", "improved")
    shares = {name: getattr(spent, name) / spent.proposals for name in names}
    return {"proposals": spent.proposals, "mean_s": spent.latency_s or 0.0, **shares}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("url")
    parser.add_argument("--calls", type=int, default=40)
    parser.add_argument("--tokens", type=int, default=120)
    parser.add_argument("--constrain", nargs="+", default=["none", "grammar", "json_schema"])
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_problem(folder / "parabola")
        for constrain in given.constrain:
            found = measure(folder, given.url, constrain, given.calls, given.tokens)
            print(
                f"{constrain}: " + ", ".join(f"{key} {value:.3g}" for key, value in found.items())
            )


if __name__ == "__main__":
    main()
