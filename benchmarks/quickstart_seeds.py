"""Does the quickstart beat best fit on instances it never saw? Once for every seed.

python benchmarks/quickstart_seeds.py [--seeds 5] [--wall 110] [--picture FILE]
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

from evolve.config.bundled import bundled
from evolve.config.file import load_run_config
from evolve.config.problem import load_problem
from evolve.core.evaluation import Evaluation
from evolve.engine.run import run
from evolve.view.plots import save_heatmap

EXCESS = load_problem("online_bin_packing").objective
METRICS = ("excess_weibull_1000", "excess_weibull_5000", "excess_uniform_500")


def figures(evaluation: Evaluation) -> list[float]:
    """Return the held-out excess by group, in percent; NaN without a score."""
    score = evaluation.score
    return [score.metrics[name] if score else float("nan") for name in METRICS]


def main() -> None:
    """Run the seeds one after the other and print a row for each."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--wall", type=float, default=110.0, help="seconds of search per seed")
    parser.add_argument("--picture", type=Path, help="draw the archive of seed 0 there")
    options = parser.parse_args()
    wins = 0
    print("| program | " + " | ".join(METRICS) + " | evaluations |")
    print("|---|---:|---:|---:|---:|")
    for seed in range(options.seeds):
        settings = [f"seed={seed}", f"stop.wall_s={options.wall}"]
        loaded = load_run_config(bundled("configs") / "quickstart.yaml", settings)
        with tempfile.TemporaryDirectory() as folder:
            result = run(loaded, db=str(Path(folder) / "run.db"))
        rows = {row.name: figures(row.stages["held_out"]) for row in result.comparison}
        if seed == 0:
            for name in ("first fit", "best fit"):
                print(f"| {name} | " + " | ".join(f"{x:.2f}" for x in rows[name]) + " | |")
        if seed == 0 and options.picture:
            title = f"evolve run quickstart, seed 0, {result.progress.elapsed_s:.0f} s"
            save_heatmap(result.archive, EXCESS, options.picture, title=title)
        found = rows["best found"]
        wins += all(a < b for a, b in zip(found[:2], rows["best fit"][:2], strict=True))
        shown = " | ".join(f"{x:.2f}" for x in found)
        print(f"| seed {seed} | {shown} | {result.progress.evaluations} |", flush=True)
    print(f"\n{wins} of {options.seeds} seeds beat best fit on both held-out Weibull groups")


if __name__ == "__main__":
    main()
