"""Harbor tasks, imported and judged by their own tests in the process sandbox."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from evolve.cli.app import app
from evolve.config.foreign.harbor import import_task, look_at_task
from evolve.config.foreign.harbor_installs import Installs, installs_of
from evolve.config.problem import load_problem
from evolve.core.errors import ConfigError
from evolve.core.evaluation import Evaluation, Outcome
from evolve.engine.single import evaluate_file

TASK = {
    "task.toml": """
schema_version = "1.1"
[task]
name = "somebody/sorting"
[verifier]
timeout_sec = 20.0
env = { SCALE = "2" }
[environment]
cpus = 1
memory = "1G"
storage_mb = 512
""",
    "instruction.md": "Write the numbers of /app/data/numbers.txt to /app/out.txt, sorted.\n",
    "environment/Dockerfile": """
FROM python:3.12-slim
RUN echo one \\
    && echo two
WORKDIR /app
COPY --chown=root data /app/data/
COPY solver.py ./
""",
    "environment/data/numbers.txt": "30 100 2\n",
    "environment/not_copied.txt": "of no use\n",
    "environment/solver.py": """
# EVOLVE-BLOCK-START
order = list
# EVOLVE-BLOCK-END
open("/app/out.txt", "w").write(" ".join(order(open("/app/data/numbers.txt").read().split())))
""",
    "tests/test.sh": """
#!/bin/bash
python3 solver.py   # in /app, where the image's WORKDIR is
python3 /tests/judge/check.py > /logs/verifier/reward.txt
echo "looked at /app/out.txt"
""",
    "tests/judge/check.py": """
import os
got, given = (open(f"/app/{name}.txt").read().split() for name in ("out", "data/numbers"))
right = [a == b for a, b in zip(got, sorted(given, key=int))]
print(float(os.environ["SCALE"]) * sum(right) / len(given))
""",
    "solution/solve.sh": "echo 2 30 100 > /app/out.txt\n",
}


def write(folder: Path, **changes: str | None) -> Path:
    """Write the task; ``changes`` replace files by name, the suffix left out, or leave them out."""
    task = folder / "task"
    for name, text in TASK.items():
        changed = changes.get(Path(name).stem, text)
        if changed is not None:
            (task / name).parent.mkdir(parents=True, exist_ok=True)
            (task / name).write_text(changed.lstrip("\n"))
    return task


def judged(folder: Path, program: str, text: str | None = None) -> Evaluation:
    file = folder / program
    if text is not None:
        file.write_text(text)
    return evaluate_file(str(folder), file)


def test_a_file_of_the_environment_is_judged_by_the_tests(tmp_path: Path) -> None:
    task = write(tmp_path)
    place = tmp_path / "mine"
    result = CliRunner().invoke(app, ["import", str(task), "-o", str(place), "--json"])
    assert result.exit_code == 0, result.output
    said = json.loads(result.output)
    assert (said["kind"], said["program"], said["place"]) == (
        "harbor",
        "solver.py",
        "/app/solver.py",
    )
    assert said["metric"] == "reward"
    assert any("network" in note for note in said["notes"])

    problem = load_problem(str(place))
    assert problem.objective.name == "reward (forgeable)"
    assert problem.objective.direction == "maximize"
    assert (problem.limits.wall_s, problem.limits.memory_mb, problem.limits.disk_mb) == (
        20,
        1024,
        512,
    )
    assert problem.image.dockerfile == place / "environment/Dockerfile"
    assert "/app/solver.py" in problem.statement
    assert TASK["instruction.md"].strip() in problem.statement
    assert "of no use" not in (place / "evaluate.py").read_text()
    assert "2 30 100" not in (place / "evaluate.py").read_text(), "the solution stays behind"

    seed = judged(place, "solver.py")
    assert seed.outcome is Outcome.OK, seed.message
    assert seed.score is not None
    assert seed.score.objective == 0.0
    assert "looked at" in seed.score.artifacts["verifier"]
    better = problem.seed_program.files["solver.py"].replace("order = list", "order = sorted")
    texts = judged(place, "solver.py", better)
    assert texts.score is not None
    assert texts.score.objective == 0.0, "as texts, 100 comes first"
    best = better.replace("order = sorted", "order = lambda each: sorted(each, key=int)")
    found = judged(place, "solver.py", best)
    assert found.score is not None
    assert found.score.objective == 2.0


def test_a_script_that_solves_the_task_is_run_before_the_tests(tmp_path: Path) -> None:
    tests = "#!/bin/bash\npython3 /tests/judge/check.py > /logs/verifier/reward.txt\n"
    script = "#!/bin/bash\necho 2 30 > /app/out.txt\nmkdir -p /logs/verifier\n"
    script += "echo 99 > /logs/verifier/reward.txt; echo 'print(99)' > /tests/judge/check.py\n"
    task = write(tmp_path, solver=None, test=tests, solve=script)
    found = look_at_task(task)
    assert (found.program.name, found.place) == ("solve.sh", "")
    place = tmp_path / "mine"
    import_task(found, place)
    text = (place / "solve.sh").read_text()
    assert text.startswith("#!/bin/bash\n# EVOLVE-BLOCK-START\n")
    evaluation = judged(place, "solve.sh")
    assert evaluation.score is not None, evaluation.message
    assert evaluation.score.objective == pytest.approx(4 / 3), "planted rewards and tests are gone"


def test_named_rewards_and_none(tmp_path: Path) -> None:
    tests = """echo '{"speed": 3, "right": 0.5, "passed": true}' > /logs/verifier/reward.json"""
    place = tmp_path / "mine"
    import_task(look_at_task(write(tmp_path, test=tests), metric="speed"), place)
    evaluation = judged(place, "solver.py")
    assert evaluation.score is not None, evaluation.message
    assert evaluation.score.objective == 3.0
    assert evaluation.score.metrics["right"] == 0.5

    silent = tmp_path / "silent"
    import_task(look_at_task(write(tmp_path, test="echo nothing came; exit 3\n")), silent)
    evaluation = judged(silent, "solver.py")
    assert evaluation.outcome is Outcome.INVALID
    assert "wrote no reward (exit status 3): nothing came" in evaluation.message

    broken = tmp_path / "broken"
    import_task(
        look_at_task(write(tmp_path, test="echo nan > /logs/verifier/reward.txt\n")), broken
    )
    assert judged(broken, "solver.py").outcome is not Outcome.OK


def test_what_cannot_be_had_here_is_refused_all_at_once(tmp_path: Path) -> None:
    described = TASK["task.toml"].replace('SCALE = "2"', 'JUDGE_KEY = "${OPENAI_API_KEY}"')
    tests = "#!/bin/bash\n# apt-get install x\napk add curl\nuv run pytest /tests\n"
    task = write(tmp_path, task=described + '[[steps]]\nname = "one"\n', test=tests)
    (task / "environment/docker-compose.yaml").write_text("services: {}\n")
    with pytest.raises(ConfigError) as raised:
        look_at_task(task)
    said = str(raised.value)
    assert "several steps" in said
    assert "docker-compose.yaml" in said
    assert "verifier.env.JUDGE_KEY = '${OPENAI_API_KEY}'" in said
    assert "tests/test.sh:3 runs 'apk add'" in said
    assert "tests/test.sh:4 runs 'uv run'" in said
    assert "tests/test.sh:2" not in said
    separate = TASK["task.toml"].replace("[verifier]", '[verifier]\nenvironment_mode = "separate"')
    with pytest.raises(ConfigError, match="tests run beside the program"):
        look_at_task(write(tmp_path / "b", task=separate))
    with pytest.raises(ConfigError, match=r"no tests/test\.sh"):
        look_at_task(write(tmp_path / "c", test=None))
    with pytest.raises(ConfigError, match=r"no instruction\.md: it is no Harbor task"):
        look_at_task(write(tmp_path / "d", instruction=None))
    with pytest.raises(ConfigError, match="not TOML"):
        look_at_task(write(tmp_path / "e", task="[verifier\n"))


#: As most published tasks have it.
CUSTOMARY = """
#!/bin/bash
set -e
apt-get update > /dev/null 2>&1
apt-get install -y curl gcc
curl -LsSf https://astral.sh/uv/0.9.5/install.sh | sh
source $HOME/.local/bin/env
pip install --break-system-packages 'numpy>=1.26' > /dev/null 2>&1
python3 solver.py
if uvx \\
  -p 3.13 \\
  --from pytest==8.4.1 \\
  unittest discover -v -s /tests/judge
then
  echo 1 > /logs/verifier/reward.txt
else
  echo 0 > /logs/verifier/reward.txt
fi
"""
CHECK = """
import unittest

class Order(unittest.TestCase):
    def test_the_order(self):
        self.assertEqual(open("/app/out.txt").read(), "2 30 100")
"""


def test_what_tests_install_when_they_run_is_in_the_image(tmp_path: Path) -> None:
    task = write(tmp_path, test=CUSTOMARY, check=None)
    (task / "tests/judge").mkdir()
    (task / "tests/judge/test_order.py").write_text(CHECK)
    found = look_at_task(task)
    assert any("curl, gcc, numpy>=1.26, pytest==8.4.1" in note for note in found.notes)
    place = tmp_path / "mine"
    import_task(found, place)
    assert found.task["files"]["/tests/test.sh"] == CUSTOMARY.lstrip(), "they stay as they are"
    original = TASK["environment/Dockerfile"].strip()
    built = (place / "environment/Dockerfile").read_text()
    assert built.startswith(original)
    more = built.removeprefix(original)
    assert "\nUSER root\nRUN apt-get update && apt-get install -y curl gcc\n" in more
    assert "python3 -m pip install --no-cache-dir 'numpy>=1.26'\n" in more
    assert "/bin/pip install --no-cache-dir pytest==8.4.1\n" in more

    seed = judged(place, "solver.py")
    assert seed.score is not None, seed.message
    assert seed.score.objective == 0.0
    assert "AssertionError: '30 100 2'" in seed.score.artifacts["verifier"], "it ran, no network"
    sorts = "order = lambda each: sorted(each, key=int)"
    better = (place / "solver.py").read_text().replace("order = list", sorts)
    found_out = judged(place, "solver.py", better)
    assert found_out.score is not None, found_out.message
    assert found_out.score.objective == 1.0, found_out.score.artifacts

    described = TASK["task.toml"] + 'docker_image = "somebody/sorting:1"\n'
    named = tmp_path / "named"
    import_task(look_at_task(write(tmp_path / "b", test=CUSTOMARY, task=described)), named)
    assert (named / "environment/Dockerfile").read_text().startswith("FROM somebody/sorting:1\n")
    assert load_problem(str(named)).image.dockerfile == named / "environment/Dockerfile"


@pytest.mark.parametrize(
    ("script", "system", "python", "tools"),
    [
        (
            "DEBIAN_FRONTEND=noninteractive apt-get install -y -qq a-b=1.0+x c",
            "a-b=1.0+x c",
            "",
            "",
        ),
        ("if ! apt-get update && apt install --yes d; then exit 1; fi", "d", "", ""),
        ("python3 -m pip install -q pytest pytest", "", "pytest", ""),
        (
            'pip3 install "requests[socks]>=2,<3" >/dev/null 2>&1 || exit 1',
            "",
            "requests[socks]>=2,<3",
            "",
        ),
        ("uvx --with pytest==8.4.1 --with=a,b pytest@8 /tests -w", "", "", "pytest==8.4.1 a b"),
        ("uvx --from pytest==8 py.test", "", "", "pytest==8"),
        ("uvx -p 3.13 -w pytest-cov pytest@8.4.1", "", "", "pytest-cov pytest==8.4.1"),
        ("wget -qO- https://astral.sh/uv/install.sh | sh; echo '' # curl x", "", "", ""),
    ],
)
def test_installs_are_read(script: str, system: str, python: str, tools: str) -> None:
    assert installs_of(script) == Installs(
        tuple(system.split()), tuple(python.split()), tuple(tools.split())
    )


@pytest.mark.parametrize(
    "script",
    [
        "apt-get install -y $PACKAGES",
        "apt-get install -y -t backports git",
        "apt-get remove curl && apt-get install",
        "pip install -r requirements.txt",
        "pip install -U pytest",
        "pip install git+https://example.org/x",
        "x=$(curl https://example.org/answers)",
        "curl -LsSf https://example.org/install.sh | sh",
        "uvx --index-url https://example.org pytest",
        "uvx --with",
        "echo 'begun; curl https://example.org",
        "git clone https://example.org/x",
    ],
)
def test_what_cannot_be_told_is_refused(script: str) -> None:
    assert [line for line, _ in installs_of(f"true\n{script}\n").refused] == [2]


def test_of_several_sources_one_is_to_be_named(tmp_path: Path) -> None:
    task = write(tmp_path)
    (task / "environment/data/other.py").write_text("x = 1\n")
    with pytest.raises(ConfigError, match=r"environment/data/other\.py, environment/solver\.py"):
        look_at_task(task)
    found = look_at_task(task, program="environment/data/other.py")
    assert found.place == "/app/data/other.py"
    with pytest.raises(ConfigError, match="has no file nowhere"):
        look_at_task(task, program="nowhere.py")


def test_an_image_that_the_task_names_is_used(tmp_path: Path) -> None:
    described = TASK["task.toml"] + 'docker_image = "somebody/sorting:1"\ngpus = 1\n'
    place = tmp_path / "mine"
    import_task(look_at_task(write(tmp_path, task=described)), place)
    made = yaml.safe_load((place / "problem.yaml").read_text())
    assert (made["image"], made["limits"]["gpus"]) == ("somebody/sorting:1", 1)
    assert not (place / "environment").exists()
    with pytest.raises(ConfigError, match="exists already"):
        import_task(look_at_task(write(tmp_path)), place)
