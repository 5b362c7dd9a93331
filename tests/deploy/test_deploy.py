"""What lies in deploy/ says things that exist, and is well-formed for the programs that read it."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import time
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.main import get_command

from evolve.cli.app import app
from evolve.config.pool import PoolConfig

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
COMPOSE = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
CLUSTER, JOB = yaml.safe_load_all((DEPLOY / "kuberay.yaml").read_text())
#: The fields of KubeRay's RayCluster (ray.io/v1) that are used, beside templates of pods.
OF_CLUSTER = {"rayVersion", "enableInTreeAutoscaling", "headGroupSpec", "workerGroupSpecs"}
OF_GROUP = {
    "groupName",
    "replicas",
    "minReplicas",
    "maxReplicas",
    "rayStartParams",
    "template",
}
#: Options of sbatch(1).
OF_SLURM = {
    "job-name",
    "nodes",
    "ntasks-per-node",
    "cpus-per-task",
    "gpus-per-node",
    "mem",
    "time",
    "signal",
    "output",
}


def options_of(command: str) -> set[str]:
    """Return the long options of an `evolve` command."""
    commands = get_command(app).commands  # type: ignore[attr-defined]  # it is a group
    return {name for each in commands[command].params for name in each.opts}


def lines() -> list[str]:
    return [line for path in DEPLOY.iterdir() for line in path.read_text().splitlines()]


def test_commands_have_the_options_they_are_given() -> None:
    used = [
        (match[1], option)
        for line in lines()
        for match in re.finditer(r"evolve (run|view) (.*)", line)
        for option in re.findall(r"--[a-z-]+", match[2])
    ]
    assert used
    assert [(name, option) for name, option in used if option not in options_of(name)] == []
    assert set(COMPOSE["services"]["page"]["command"][1::2]) <= options_of("view")


def test_keys_that_are_set_are_keys_of_the_configuration() -> None:
    keys = re.findall(r"pool\.(\w+)=", (DEPLOY / "slurm.sh").read_text())
    assert keys
    assert set(keys) <= set(PoolConfig.model_fields)


def test_the_image_has_extras_that_exist() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    found = re.search(r"^ARG EXTRAS=(.*)$", (DEPLOY / "Dockerfile").read_text(), re.MULTILINE)
    assert found
    assert set(found[1].split(",")) <= set(project["optional-dependencies"])


def test_secrets_come_from_outside() -> None:
    for service in COMPOSE["services"].values():
        for name, value in service.get("environment", {}).items():
            if name.endswith(("PASSWORD", "KEY", "TOKEN")):
                assert re.fullmatch(r"\$\{\w+:[-?][^}]*\}", value), name
    (controller,) = JOB["spec"]["template"]["spec"]["containers"]
    assert all(set(each) == {"name", "valueFrom"} for each in controller["env"])


def test_whoever_starts_or_joins_a_cluster_has_its_token() -> None:
    started = {
        name: service["environment"]
        for name, service in COMPOSE["services"].items()
        if "ray start" in " ".join([*service.get("entrypoint", []), *service.get("command", [])])
    }
    assert set(started) == {"ray-head", "ray-worker", "controller"}
    assert all(each["RAY_AUTH_MODE"] == "token" for each in started.values())
    assert len({each["RAY_AUTH_TOKEN"] for each in started.values()}) == 1


@pytest.mark.parametrize("nodes", [1, 3])
def test_the_slurm_job_starts_nodes_and_then_the_run(tmp_path: Path, nodes: int) -> None:
    with slurm_job(tmp_path, nodes, "sleep 1; exit 3") as job:
        assert job.wait(60) == 3
    said = (tmp_path / "said").read_text()
    assert said.count("\nray start --head") == 1
    workers = said.count("\nray start --address=")
    assert said.count(f"--nodes={nodes - 1} --exclude") == workers == (nodes > 1)
    assert re.search(r"evolve run search.yaml --db sqlite:////\S+/evolve.db", said)
    assert re.search(r"pool.kind=ray --set pool.address=\S+:20007 --new", said)
    (token,) = set((tmp_path / "tokens").read_text().splitlines())
    assert re.fullmatch(r"token [0-9a-f]{64}", token)
    assert token.split()[1] not in said


def test_a_slurm_job_whose_time_is_up_lets_the_run_finish(tmp_path: Path) -> None:
    run = f"trap 'sleep 0.5; exit 130' TERM; touch {tmp_path}/runs; while :; do sleep 0.1; done"
    with slurm_job(tmp_path, 1, run) as job:
        while not ((tmp_path / "runs").exists() and catches(job.pid, signal.SIGTERM)):
            time.sleep(0.05)
        job.send_signal(signal.SIGTERM)
        assert job.wait(60) == 130


def catches(pid: int, number: signal.Signals) -> bool:
    """Return whether a process has a handler for a signal."""
    status = Path(f"/proc/{pid}/status").read_text()
    caught = re.search(r"^SigCgt:\t([0-9a-f]+)$", status, re.MULTILINE)
    assert caught
    return bool(int(caught[1], 16) >> (number - 1) & 1)


def slurm_job(folder: Path, nodes: int, run: str) -> subprocess.Popen[bytes]:
    """Start the job where srun, ray and evolve are stand-ins that note what they are asked."""
    (folder / "said").touch()
    note = (
        f'#!/bin/bash\necho "$(basename "$0") $*" >> {folder}/said\n'
        f'echo "$RAY_AUTH_MODE $RAY_AUTH_TOKEN" >> {folder}/tokens\n'
    )
    step = 'while [ "${1#--}" != "$1" ]; do shift; done\n"$@"\n'
    for name, more in {"srun": step, "ray": "", "evolve": run}.items():
        (folder / name).write_text(note + more)
        (folder / name).chmod(0o755)
    return subprocess.Popen(
        ["bash", DEPLOY / "slurm.sh", "search.yaml", "--new"],
        env={
            "PATH": f"{folder}:{os.environ['PATH']}",
            "SLURM_JOB_ID": "7",
            "SLURM_JOB_NUM_NODES": str(nodes),
            "SLURM_SUBMIT_DIR": str(folder),
        },
    )


def test_directives_of_slurm_are_its_own() -> None:
    text = (DEPLOY / "slurm.sh").read_text()
    head, _, rest = text.partition("set -euo")
    found = re.findall(r"^#SBATCH --([a-z-]+)=\S+$", head, re.MULTILINE)
    assert len(found) == text.count("\n#SBATCH")
    assert "#SBATCH" not in rest  # it would not be read there
    assert set(found) <= OF_SLURM


def test_fields_of_the_cluster_are_kuberays() -> None:
    assert (CLUSTER["apiVersion"], CLUSTER["kind"]) == ("ray.io/v1", "RayCluster")
    assert f"\nray=={CLUSTER['spec']['rayVersion']}" in (ROOT / "requirements.lock").read_text()
    assert set(CLUSTER["spec"]) <= OF_CLUSTER
    for group in (CLUSTER["spec"]["headGroupSpec"], *CLUSTER["spec"]["workerGroupSpecs"]):
        assert set(group) <= OF_GROUP
        assert all(isinstance(value, str) for value in group["rayStartParams"].values())


def tool(name: str, *arguments: str | Path) -> None:
    """Run a checker, which says what is wrong."""
    found = shutil.which(name, path=f"{Path(sys.executable).parent}:{os.environ['PATH']}")
    assert found, f"{name} is not installed: uv pip install --group integrations"
    done = subprocess.run([found, *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.integration
def test_the_dockerfile_is_as_hadolint_wants_it() -> None:
    tool("hadolint", DEPLOY / "Dockerfile")


@pytest.mark.integration
def test_the_compose_file_follows_the_compose_specification() -> None:
    schema = ("--builtin-schema", "vendor.compose-spec")
    tool("check-jsonschema", *schema, DEPLOY / "compose.yaml")


@pytest.mark.integration
def test_the_slurm_script_is_as_shellcheck_wants_it() -> None:
    tool("shellcheck", DEPLOY / "slurm.sh")


@pytest.mark.integration
def test_kubernetes_takes_the_job_and_the_pods_of_the_cluster() -> None:
    import kubernetes_validate

    spec = CLUSTER["spec"]
    pods: list[dict[str, Any]] = [
        {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "pod"}, **group["template"]}
        for group in (spec["headGroupSpec"], *spec["workerGroupSpecs"])
    ]
    for resource in (*pods, JOB):
        kubernetes_validate.validate(resource, kubernetes_validate.latest_version(), strict=True)
    broken = {**JOB, "spec": {**JOB["spec"], "paralelism": 1}}
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(broken, kubernetes_validate.latest_version(), strict=True)
