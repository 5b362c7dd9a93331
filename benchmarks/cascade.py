"""What a cascade saves, and whether the search is better for it.

    python -m benchmarks.cascade [--evaluations N] [--seeds K] [--first SEED] [--problem NAME]
                                 [--cases C] [--no-worse-than VALUE]

The genetic operator searches a bundled problem with one threshold after C cases, in strict order,
in a fresh database for each seed. Then the same search goes without it until it has run as many
cases: is its best program better?
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

from benchmarks.probes import best, copy_of, search
from evolve.store.reader import open_reader


def measure(
    problem: str, place: Path, seed: int, evaluations: int, folder: Path
) -> dict[str, float]:
    """Search once with the cascade and once without; return counts and objectives by name."""
    url = str(folder / f"{seed}.db")
    result = search(str(place), seed, evaluations, url)
    with open_reader(url) as reader:
        behaviours = reader.behaviours(result.run_id)
        ran = sum(
            len(evaluation.cases)
            for entry in reader.programs(result.run_id)
            for evaluation in reader.program(entry.id).evaluations
            if evaluation.stage == "search"
        )
        seed_program = reader.program(reader.programs(result.run_id, limit=1)[0].id)
        each = len(seed_program.evaluations[0].cases)
    plain = search(problem, seed, ran // each, str(folder / f"{seed}.plain.db"))
    return {
        "evaluations": evaluations,
        "ended early": behaviours.ended_early,
        "cases run": ran,
        "cases saved": behaviours.cases_saved,
        "best": best(result),
        "evaluations without, of as many cases": ran // each,
        "best without": best(plain),
    }


def main() -> None:
    """Print one line of figures for each seed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--problem", default="tsp_construct")
    parser.add_argument("--evaluations", type=int, default=600)
    parser.add_argument("--seeds", type=int, default=4)
    parser.add_argument("--first", type=int, default=0, help="the first seed")
    parser.add_argument("--cases", type=int, default=2)
    parser.add_argument("--no-worse-than", type=float, default=1.3)
    options = parser.parse_args()
    threshold = {"cases": options.cases, "no_worse_than": options.no_worse_than}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        place = copy_of(options.problem, "cascade", [threshold], folder)
        for seed in range(options.first, options.first + options.seeds):
            found = measure(options.problem, place, seed, options.evaluations, folder)
            print(seed, ", ".join(f"{key} {value:g}" for key, value in found.items()), flush=True)


if __name__ == "__main__":
    main()
