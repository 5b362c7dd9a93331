"""Online bin packing by the genetic operator, through the whole engine with sandbox and scorer."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path

from pydantic import JsonValue

from evolve.config.bundled import bundled
from evolve.config.file import load_run_config
from evolve.config.yaml12 import dump, parse
from evolve.engine.events import Event, ProgramEvaluated
from evolve.engine.run import run

#: The bundled problem's search cases; one held-out case, since that is not looked at here.
OPTIONS: JsonValue = {"search": {"weibull_1000": 2}, "held_out": {"weibull_1000": 1}}
CONFIG = """
problem: ./packing
slots: 1
proposals: 1
proposers: [{kind: genetic, options: {mutations: 2.0, crossover: 0.2, growth: 100}}]
sandbox: {kind: process}
stop: {evaluations: 1}
"""


def course(preset: str, seed: int, marks: Sequence[int]) -> list[float]:
    """Search; return the smallest excess, in percent, after each of some numbers of evaluations."""
    bests: list[float] = []

    def observe(event: Event) -> None:
        if isinstance(event, ProgramEvaluated):
            score = event.evaluation.score
            bests.append(score.objective if score is not None and event.is_best else bests[-1])

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        _write_problem(folder / "packing")
        file = folder / "search.yaml"
        file.write_text(CONFIG, encoding="utf-8")
        settings = [f"seed={seed}", f"stop.evaluations={max(marks)}"]
        run(load_run_config(file, settings, preset), db=str(folder / "run.db"), observers=[observe])
    return [bests[mark - 1] for mark in marks]


def _write_problem(folder: Path) -> None:
    """Copy the bundled problem with other held-out cases and no baselines."""
    source = bundled("problems") / "online_bin_packing"
    folder.mkdir()
    for name in ("seed.py", "harness.py", "prompt.md"):
        (folder / name).write_text((source / name).read_text(encoding="utf-8"), encoding="utf-8")
    file = source / "problem.yaml"
    data = parse(file.read_text(encoding="utf-8"), str(file)).data
    assert isinstance(data, dict)
    changed = {key: value for key, value in data.items() if key != "baselines"}
    (folder / "problem.yaml").write_text(dump(changed | {"evaluator_options": OPTIONS}))
