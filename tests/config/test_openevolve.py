"""OpenEvolve's own examples, unmodified: the adapter's scores beside those of their evaluators.

The examples are not shipped here, and no distribution of the project holds them; ``OPENEVOLVE``
names a clone.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from evolve.config.foreign.importing import import_problem, look_at
from evolve.engine.single import evaluate_file

CLONE = os.environ.get("OPENEVOLVE", "")
EXAMPLES = ("circle_packing", "function_minimization", "min_max_distance")
#: Calls an example's evaluator as the other project does: stage by stage, or all at once.
OWN = """
import contextlib, importlib.util, io, json, sys
evaluator, program, thresholds = sys.argv[1], sys.argv[2], json.loads(sys.argv[3])
spec = importlib.util.spec_from_file_location("evaluator", evaluator)
module = importlib.util.module_from_spec(spec)
spec.loader.exec_module(module)
names = ["evaluate"] if thresholds is None else ["evaluate_stage1", "evaluate_stage2"]
metrics = {}
with contextlib.redirect_stdout(io.StringIO()):
    for name in names:
        found = getattr(module, name)(program)
        metrics.update(getattr(found, "metrics", None) or found)
        merit = metrics.get("combined_score", sum(metrics.values()) / len(metrics))
        if thresholds and merit < thresholds[0]:
            break
print(json.dumps(metrics))
"""


@pytest.mark.integration
@pytest.mark.timeout(900)
@pytest.mark.skipif(not CLONE, reason="OPENEVOLVE names no clone of the project")
@pytest.mark.parametrize("name", EXAMPLES)
def test_an_example_scores_in_the_sandbox_what_it_scores_outside(tmp_path: Path, name: str) -> None:
    example = Path(CLONE).resolve() / "examples" / name
    if not (example / "initial_program.py").is_file():
        pytest.skip(f"the clone has no example {name} of the usual form")
    found = look_at(example)
    import_problem(found, tmp_path / name)
    unmodified = evaluate_file(str(tmp_path / name), tmp_path / name / "initial_program.py")
    assert unmodified.score is not None, unmodified.message

    seeded = tmp_path / "initial_program.py"
    text = (example / "initial_program.py").read_text()
    seeded.write_text(f"import numpy\nnumpy.random.seed(3)\n{text}")
    inside = evaluate_file(str(tmp_path / name), seeded)
    assert inside.score is not None, inside.message
    thresholds = None if found.thresholds is None else list(found.thresholds)
    command = [sys.executable, "-c", OWN, str(found.evaluator), str(seeded), json.dumps(thresholds)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    outside = json.loads(done.stdout.splitlines()[-1])
    assert inside.score.metrics.keys() == outside.keys() == unmodified.score.metrics.keys()
    for metric in outside.keys() - {"eval_time", "speed_score"}:
        assert inside.score.metrics[metric] == outside[metric], metric
