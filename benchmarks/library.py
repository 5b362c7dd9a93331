"""Measure the bundled problems: what seed programs score, and evaluators say of published results.

Seed programs run as a user's would, in the process sandbox. Constructions are read from
``tests/evaluators/constructions`` and, the larger ones, from ``shared/constructions`` beside the
checkout; they are judged in this process, and the time is its CPU time. What an evaluator says is
compared with a value that another exact computation gave. Problems that need a GPU are measured
only when they are named. The figures go to
``docs/problems-library.json``, from which ``python docs/generate.py`` makes the tables. Figures of
problems that are not named stay. Usage::

    python benchmarks/library.py [PROBLEM ...]
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from evolve.config.file import load_problem_config
from evolve.config.plugins import resolve
from evolve.config.problem import Problem, list_problems
from evolve.core.values import Value
from evolve.engine.single import evaluate_file
from evolve.evaluate.evaluator import Evaluator

ROOT = Path(__file__).parents[1]
FIGURES = ROOT / "docs" / "problems-library.json"
FOLDERS = (ROOT / "tests/evaluators/constructions", ROOT.parent / "shared/constructions")


@dataclass(frozen=True)
class Known:
    """A published construction and what it is worth.

    Attributes:
        problem: Whose evaluator judges it.
        name: File of the construction, without its suffix.
        value: Its objective by another exact computation, all digits of it.
        options: Where it belongs to another instance than the bundled one.
        note: That instance in words.
    """

    problem: str
    name: str
    value: str
    options: Mapping[str, object] = field(default_factory=dict)
    note: str = ""


def matrices(size: str, rank: int) -> Known:
    """Return a published decomposition; its objective is 1 when the rank is the known one."""
    name = "x".join(size)
    return Known(
        "matrix_multiplication",
        f"tensor_{size}_alphaevolve1",
        "1",
        {"sizes": {name: rank}},
        f"{name}, rank {rank}",
    )


KNOWN = (
    Known("circle_packing_26", "circles_sq_26_alphaevolve1", "2.635862756413698"),
    Known("circle_packing_32", "circles_sq_32_alphaevolve1", "2.9379445262055"),
    Known("circles_rectangle_21", "circles_rect_21_alphaevolve1", "2.3658321334167631"),
    Known("hexagon_packing_11", "hex_11_alphaevolve1", "3.9300910662"),
    Known("hexagon_packing_12", "hex_12_alphaevolve1", "3.94191151711"),
    Known("max_min_distance_2d_16", "maxmin_2d_16_alphaevolve1", "12.8892661120346"),
    Known("max_min_distance_3d_14", "maxmin_3d_14_alphaevolve1", "4.1658497672256522"),
    Known("heilbronn_triangle_11", "heilbronn_tri_11_alphaevolve1", "0.0365298898800301"),
    Known("heilbronn_convex_13", "heilbronn_convex_13_alphaevolve1", "0.0309368890348956"),
    Known("heilbronn_convex_14", "heilbronn_convex_14_alphaevolve1", "0.0278355714584821"),
    Known("autocorrelation_1", "ac1_alphaevolve1", "1.5052939684"),
    Known("autocorrelation_2", "ac2_alphaevolve1", "0.8962799442"),
    Known("autocorrelation_3", "ac3_alphaevolve1", "1.4556427954"),
    Known("autocorrelation_3_absolute", "ac3abs_alphaevolve1", "1.4687620697"),
    Known("erdos_minimum_overlap", "erdos_alphaevolve1", "0.3809230351"),
    Known("uncertainty_inequality", "uncertainty_laguerre_alphaevolve1", "0.3215872334"),
    Known("sums_differences", "sumdiff_2003_alphaevolve1", "1.1479888965"),
    Known("cap_set_8", "capset_8_512_funsearch", "512"),
    Known("admissible_set", "admissible_12_7_792_funsearch", "792"),
    Known(
        "shannon_capacity_cycles",
        "shannon_11_4_754_funsearch",
        "754",
        {"cycle": 11, "power": 4},
        "11-cycle, power 4",
    ),
    *(matrices(str(size), rank) for size, rank in ((245, 32), (333, 23), (346, 54), (348, 74))),
    *(matrices(str(size), rank) for size, rank in ((357, 80), (444, 48), (456, 90), (555, 93))),
)


def construction(name: str) -> Value:
    """Return what a program would have returned, or None where the file is not at hand."""
    for folder in FOLDERS:
        path = folder / f"{name}.json"
        if path.is_file():
            return _output(json.loads(path.read_text(encoding="utf-8")))
    return None


def _output(data: Mapping[str, Any]) -> Value:
    if "inner" in data:
        return [*data["inner"], [*data["center"], data["angle"]]]
    if "factors" in data and isinstance(data["factors"][0][0][0], dict):
        return [
            np.array([[complex(entry["re"], entry["im"]) for entry in row] for row in factor])
            for factor in data["factors"]
        ]
    keys = ("points", "circles", "values", "vectors", "words", "U", "roots", "factors")
    output: Value = next(data[key] for key in keys if key in data)
    return output


def judge(known: Known, problem: Problem) -> tuple[float, float] | None:
    """Return the objective of a construction and the seconds it took; None without its file."""
    output = construction(known.name)
    if output is None:
        return None
    factory: Any = resolve(problem.evaluator, seam="evolve.evaluators", folder=problem.folder)
    evaluator = factory(**{**problem.evaluator_options, **known.options})
    assert isinstance(evaluator, Evaluator)
    case = next(iter(evaluator.cases("search")))
    started = time.process_time()
    score: Any = evaluator.score(case, output, None)  # type: ignore[arg-type]  # untimed
    return score.objective, time.process_time() - started


def agreement(objective: float, value: str) -> int:
    """Return how many digits of ``value``, after leading zeros, the objective has as well."""
    digits = len(value.replace(".", "").lstrip("0"))
    for count in range(digits, 0, -1):
        if f"{objective:.{count}g}" == f"{float(value):.{count}g}":
            return count
    return 0


def measure(names: list[str]) -> dict[str, Any]:
    """Return the figures of some problems, or of all."""
    figures: dict[str, Any] = {}
    for name, problem in list_problems():
        if isinstance(problem, Exception) or (names and name not in names):
            continue
        if problem.limits.gpus and name not in names:
            continue  # they are measured where there is one, by name
        seed = load_problem_config(problem.folder / "problem.yaml").config.seed_program
        evaluation = evaluate_file(name, problem.folder / seed)
        objective = evaluation.score.objective if evaluation.score else None
        found: dict[str, Any] = {"seed": objective, "published": []}
        for known in KNOWN:
            judged = judge(known, problem) if known.problem == name else None
            if judged:
                found["published"].append(
                    {
                        "name": known.name,
                        "note": known.note,
                        "value": known.value,
                        "objective": judged[0],
                        "digits": agreement(judged[0], known.value),
                        "seconds": float(f"{judged[1]:.1g}"),
                    }
                )
        figures[name] = found
        sys.stderr.write(f"{name}: {found}\n")
    return figures


def table() -> str:
    """Return the table of the problems, from their descriptions and the figures."""
    figures = json.loads(FIGURES.read_text(encoding="utf-8"))
    problems = [problem for _, problem in list_problems() if isinstance(problem, Problem)]
    lines = ["problem | improve | seed program | best known", "--- | --- | --- | ---"]
    for problem in sorted(problems, key=lambda problem: (problem.family, problem.id)):
        seed = figures.get(problem.id, {}).get("seed")
        record = f"{problem.record.value:.12g}" if problem.record else "-"
        improve = f"{problem.objective.direction} {problem.objective.name}"
        shown = "-" if seed is None else f"{seed:.8g}"
        lines.append(f"`{problem.id}` | {improve} | {shown} | {record}")
    lines.append("")
    lines += ["published construction | it is worth | our evaluator says | digits | seconds"]
    lines += ["--- | --- | --- | --- | ---"]
    lines += list(_published(problems, figures))
    return "\n".join(f"| {line} |" if line else "" for line in lines)


def _published(problems: list[Problem], figures: Mapping[str, Any]) -> Iterator[str]:
    for problem in sorted(problems, key=lambda problem: (problem.family, problem.id)):
        for each in figures.get(problem.id, {}).get("published", ()):
            what = f"`{problem.id}`" + (f", {each['note']}" if each["note"] else "")
            yield (
                f"{what} | {each['value']} | {each['objective']!r} | "
                f"{each['digits']} of {len(each['value'].replace('.', '').lstrip('0'))} | "
                f"{each['seconds']:g}"
            )


def main() -> None:
    names = sys.argv[1:]
    known = json.loads(FIGURES.read_text(encoding="utf-8")) if FIGURES.is_file() else {}
    figures = dict(sorted({**known, **measure(names)}.items()))
    FIGURES.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
