"""What probe cases save, and how often they misjudge a program.

    python benchmarks/probes.py [--evaluations N] [--seeds K] [--first SEED] [--problem NAME]
                                [--probes P]

The genetic operator searches a bundled problem with P probe cases, in strict order, in a fresh
database for each seed. Then every program is run on all cases after all, and compared. At last the
same search goes without probes until it has run as many cases: is its best program better?
"""

from __future__ import annotations

import argparse
import json
import shutil
import tempfile
from pathlib import Path

from evolve.config.bundled import bundled
from evolve.core.measures import Objective
from evolve.engine.reexecute import Moved
from evolve.engine.replay import replay
from evolve.engine.run import Result, run
from evolve.store.reader import open_reader
from evolve.store.store import open_store


def copy_of(problem: str, key: str, value: object, folder: Path) -> Path:
    """Copy a bundled problem and its evaluator, with another value of one key."""
    place = folder / "problems" / problem
    shutil.copytree(bundled("problems") / problem, place)
    text = (place / "problem.yaml").read_text()
    kept = [line for line in text.splitlines() if not line.startswith(f"{key}:")]
    (place / "problem.yaml").write_text("\n".join([*kept, f"{key}: {json.dumps(value)}", ""]))
    return place


def search(problem: str, seed: int, evaluations: int, url: str) -> Result:
    """Search once with the genetic operator, as the quickstart does."""
    config = {
        "problem": problem,
        "seed": seed,
        "order": "strict",
        "proposers": [{"kind": "genetic", "options": {"growth": 100, "crossover": 0.2}}],
        "stop": {"evaluations": evaluations},
    }
    return run(config, db=url)


def best(result: Result) -> float:
    """Return the objective of the best program."""
    score = result.best.evaluation.score
    assert score is not None
    return score.objective


def measure(
    problem: str, place: Path, seed: int, evaluations: int, folder: Path
) -> dict[str, float]:
    """Search once with probes and once without; return counts and seconds by name."""
    url = str(folder / f"{seed}.db")
    result = search(str(place), seed, evaluations, url)
    with open_reader(url) as reader:
        record = reader.run(result.run_id)
        behaviours = reader.behaviours(record.id)
        cases = [
            case
            for entry in reader.programs(record.id)
            for evaluation in reader.program(entry.id).evaluations
            if evaluation.stage == "search"
            for case in evaluation.cases
        ]
        ran = [case for case in cases if case.usage.wall_ns]
        with open_store(str(folder / f"{seed}.again.db")) as scratch:
            again = replay(reader, record, scratch, re_evaluate=True)
    better = [each for each in again.moved if _better(record.objective, each)]
    each = len(cases) // evaluations
    plain = search(problem, seed, len(ran) // each, str(folder / f"{seed}.plain.db"))
    mean_s = sum(case.usage.wall_ns for case in ran) / 1e9 / len(ran)
    return {
        "evaluations": evaluations,
        "ended after the probes": behaviours.probed,
        "cases not run": len(cases) - len(ran),
        "of": len(cases),
        "seconds of a case": mean_s,
        "misjudged": len(again.moved),
        "better than they were taken for": len(better),
        "differences of the replay": len(again.differences),
        "best": best(result),
        "best without probes after as many cases": best(plain),
    }


def _better(objective: Objective, moved: Moved) -> bool:
    now, then = moved.objective_again, moved.objective
    return now is not None and then is not None and objective.better(now, then)


def main() -> None:
    """Print one line of figures for each seed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--problem", default="online_bin_packing")
    parser.add_argument("--evaluations", type=int, default=1000)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--first", type=int, default=0, help="the first seed")
    parser.add_argument("--probes", type=int, default=1)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        place = copy_of(options.problem, "probes", options.probes, folder)
        for seed in range(options.first, options.first + options.seeds):
            found = measure(options.problem, place, seed, options.evaluations, folder)
            print(seed, ", ".join(f"{key} {value:g}" for key, value in found.items()), flush=True)


if __name__ == "__main__":
    main()
