"""Run another project's evaluator on the program beside it; `evolve import` copies this file.

All of it happens in the program's own process and its children: whatever comes out, the program
can have forged. The scorer outside only reads the numbers.
"""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import subprocess
import sys
import types
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

#: Set by `evolve import` at the end of the copy: kind, program, evaluator, thresholds.
SETTINGS: dict[str, Any] = {}
#: The evaluator's files: path to text.
FILES: dict[str, str] = {}

_SHINKA = """
import importlib.util, json, os, time
def run_shinka_eval(program_path, results_dir, experiment_fn_name, num_runs=1,
                    get_experiment_kwargs=None, aggregate_metrics_fn=None, validate_fn=None,
                    **_):
    os.makedirs(results_dir, exist_ok=True)
    metrics, correct, error = {"combined_score": 0.0}, False, None
    try:
        spec = importlib.util.spec_from_file_location("program", program_path)
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        experiment = getattr(module, experiment_fn_name)
        results, correct, started = [], True, time.time()
        for index in range(num_runs):
            arguments = get_experiment_kwargs(index) if get_experiment_kwargs else {}
            results.append(experiment(**arguments))
            if validate_fn is not None:
                valid, message = validate_fn(results[-1])
                if not valid:
                    correct, error = False, error or message or "validation failed"
        metrics = aggregate_metrics_fn(results) if aggregate_metrics_fn else {}
        metrics.setdefault("execution_time_mean", (time.time() - started) / max(num_runs, 1))
    except Exception as failure:
        correct, error = False, f"{type(failure).__name__}: {failure}"
    with open(os.path.join(results_dir, "metrics.json"), "w") as file:
        json.dump(metrics, file, default=float)
    with open(os.path.join(results_dir, "correct.json"), "w") as file:
        json.dump({"correct": correct, "error": error}, file)
    return metrics, correct, error
"""


def run(_function: Callable[..., Any]) -> dict[str, Any]:
    """Return what the evaluator says of the program: metrics, artifacts, error."""
    here = Path.cwd()
    folder = here / "_evaluator"
    for name, text in FILES.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    sys.path.insert(0, str(folder))
    os.environ["PYTHONPATH"] = os.pathsep.join(sys.path)
    ways = {"openevolve": _openevolve, "shinka": _shinka, "alphaevolve": _alphaevolve}
    os.chdir(folder)
    try:
        return ways[SETTINGS["kind"]](folder, here / SETTINGS["program"])
    finally:
        os.chdir(here)


def _openevolve(folder: Path, program: Path) -> dict[str, Any]:
    """Call ``evaluate(program_path)``, or its stages one after the other while they are passed."""
    for package in ("openevolve", "skydiscover"):
        _provide_result(package)
    path = folder / SETTINGS["evaluator"]
    spec = importlib.util.spec_from_file_location("evaluator", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["evaluator"] = module
    spec.loader.exec_module(module)
    together: dict[str, Any] = {"metrics": {}, "artifacts": {}, "error": ""}
    for stage, threshold in _stages(module):
        result = stage(str(program))
        metrics = dict(getattr(result, "metrics", None) or result)
        together["error"] = str(metrics.pop("error", "") or "")
        together["metrics"].update(_numbers(metrics))
        together["artifacts"].update(_texts(getattr(result, "artifacts", None) or {}))
        if threshold is not None and _merit(together["metrics"]) < threshold:
            break
    return together


def _stages(module: types.ModuleType) -> list[tuple[Callable[..., Any], float | None]]:
    """Return what to call, and what must be reached to go on."""
    thresholds = SETTINGS.get("thresholds")
    stages = [getattr(module, f"evaluate_stage{n}", None) for n in (1, 2, 3)]
    if thresholds is None or stages[0] is None:
        return [(module.evaluate, None)]
    given = [stage for stage in stages if stage is not None]
    return [
        (stage, thresholds[index] if index < min(len(thresholds), len(given) - 1) else None)
        for index, stage in enumerate(given)
    ]


def _provide_result(package: str) -> None:
    """Let evaluators import the result class of a package that is not installed here."""
    if importlib.util.find_spec(package) is not None:
        return

    class EvaluationResult:
        def __init__(
            self, metrics: dict[str, Any], artifacts: dict[str, Any] | None = None
        ) -> None:
            self.metrics, self.artifacts = metrics, artifacts or {}

    for name in (package, f"{package}.evaluation_result", f"{package}.evaluation"):
        module = types.ModuleType(name)
        module.__dict__.update(EvaluationResult=EvaluationResult, __path__=[])
        sys.modules[name] = module


def _shinka(folder: Path, program: Path) -> dict[str, Any]:
    """Run ``evaluate.py --program_path P --results_dir D`` and read what it wrote."""
    if importlib.util.find_spec("shinka") is None:
        package = folder / "shinka" / "core"
        package.mkdir(parents=True)
        (package.parent / "__init__.py").write_text("")
        (package / "__init__.py").write_text(_SHINKA)
    results = folder / "results"
    results.mkdir()
    done = _run("--program_path", str(program), "--results_dir", str(results))
    metrics = _read(results / "metrics.json")
    verdict = _read(results / "correct.json")
    error = "" if verdict.get("correct") else str(verdict.get("error") or done or "not correct")
    artifacts = _texts({"text_feedback": metrics.pop("text_feedback", "")})
    flat = {**metrics, **(metrics.get("public") or {}), **(metrics.get("private") or {})}
    return {"metrics": _numbers(flat), "artifacts": artifacts, "error": error}


def _alphaevolve(folder: Path, program: Path) -> dict[str, Any]:
    """Run ``evaluator --program-dir D --output-file F`` and read what it wrote."""
    output = folder / "output.json"
    done = _run("--program-dir", str(program.parent), "--output-file", str(output))
    said = _read(output)
    scores = said.get("scores", said.get("score"))
    if isinstance(scores, list):
        scores = {str(each.get("metric", i)): each.get("score") for i, each in enumerate(scores)}
    metrics = dict(scores) if isinstance(scores, dict) else {"score": scores}
    insights = said.get("insights") or ""
    text = insights if isinstance(insights, str) else json.dumps(insights)
    error = "" if _numbers(metrics) else done or "no score"
    return {"metrics": _numbers(metrics), "artifacts": _texts({"insights": text}), "error": error}


def _run(*arguments: str) -> str:
    """Run the evaluator in a process of its own; return how it failed, or nothing."""
    command = [sys.executable, SETTINGS["evaluator"], *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - in the sandbox
    sys.stdout.write(done.stdout)
    sys.stderr.write(done.stderr)
    return f"exit status {done.returncode}: {done.stderr[-1500:]}" if done.returncode else ""


def _read(path: Path) -> dict[str, Any]:
    with contextlib.suppress(OSError, ValueError):
        read = json.loads(path.read_text(encoding="utf-8"))
        return read if isinstance(read, dict) else {}
    return {}


def _numbers(values: Mapping[str, Any]) -> dict[str, float]:
    """Keep what is a number; what it is worth is for the scorer to say."""
    found = {}
    for name, value in values.items():
        if not isinstance(value, str | bytes):
            with contextlib.suppress(TypeError, ValueError, OverflowError):
                found[str(name)] = float(value)
    return found


def _texts(values: Mapping[str, Any]) -> dict[str, str]:
    return {str(name): str(value) for name, value in values.items() if value}


def _merit(metrics: Mapping[str, float]) -> float:
    """Return the combined score, or the mean of all numbers, as the other project does."""
    if "combined_score" in metrics:
        return metrics["combined_score"]
    return sum(metrics.values()) / len(metrics) if metrics else 0.0
