"""The parabola in real runs that count how often a case is judged."""

from __future__ import annotations

from pathlib import Path

from evolve.engine.run import run
from tests.command import write_config
from tests.fakes import PROBLEM, write_problem


def search(folder: Path, kind: str, *, db: str = "evolve.db", **changes: object) -> int:
    """Run the parabola in real processes, scores counted in a file; return the run's id."""
    problem = PROBLEM["problem.yaml"].rstrip() + f"\n        {kind}\n        "
    first = "                if not isinstance"
    count = f"                open(__file__ + '.calls', 'a').write('x')\n{first}"
    evaluate = PROBLEM["evaluate.py"].replace(first, count)
    write_problem(folder / "parabola", problem=problem, evaluate=evaluate)
    settings: dict[str, object] = {"order": "strict", "window": 4, "stop": {"evaluations": 40}}
    config = write_config(folder, **{**settings, "sandbox": {"kind": "process"}, **changes})
    return run(config, db=str(folder / db), new=True).run_id


def calls(folder: Path) -> int:
    """Return how many outputs have been judged."""
    return len((folder / "parabola/evaluate.py.calls").read_text())
