"""Experiment trackers, each read back with what its users read it with."""

from __future__ import annotations

import json
import struct
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from evolve.engine.events import Progress
from evolve.engine.hooks.tracker import numbers
from evolve.store.reader import open_reader
from tests.engine.hooks.searches import interrupted, search


def improvements(folder: Path) -> list[tuple[int, float]]:
    """Return after how many evaluations a better best was found, and what it was."""
    with open_reader(str(folder / "evolve.db")) as reader:
        return [(point.evaluations, point.best) for point in reader.progress(1)[:-1]]


def both_sessions(folder: Path, hook: dict[str, Any], pause_s: float = 0.0) -> None:
    interrupted(folder, [hook], after=4)
    time.sleep(pause_s)
    search(folder, [hook])


def check_best(logged: list[tuple[int, float]], folder: Path) -> None:
    """The best at every step is that of the database, and steps never fall."""
    assert [step for step, _ in logged] == sorted(step for step, _ in logged)
    assert logged[-1][0] == 12
    for step, best in improvements(folder):
        assert any(s == step and b == pytest.approx(best, rel=1e-6) for s, b in logged)


def test_numbers_of_a_run_have_the_names_that_are_documented() -> None:
    progress = Progress(
        evaluations=5, best=1.5, failures={"timeout": 2}, utilisation=(0.5, 1.0), coverage=None
    )

    found = numbers(progress)

    assert (found["best"], found["failures/timeout"], found["utilisation"]) == (1.5, 2, 0.75)
    assert "coverage" not in found
    page = (Path(__file__).parents[3] / "docs/hooks.md").read_text()
    assert [
        name
        for name in numbers(Progress(coverage=0.0, best=0.0, mean=0.0))
        if f"`{name}`" not in page
    ] == []


@pytest.mark.integration
def test_tensorboard_reads_both_sessions_as_one_run(tmp_path: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    both_sessions(tmp_path, {"kind": "tensorboard"})

    (folder,) = (tmp_path / "tensorboard").iterdir()
    assert len(list(folder.iterdir())) == 2
    read = EventAccumulator(str(folder))
    read.Reload()
    assert {"best", "coverage", "qd_score"} <= set(read.Tags()["scalars"])
    check_best([(each.step, each.value) for each in read.Scalars("best")], tmp_path)


@pytest.mark.integration
@pytest.mark.filterwarnings("default")  # those of mlflow and what it imports
def test_mlflow_keeps_both_sessions_in_one_run(tmp_path: Path) -> None:
    from mlflow import MlflowClient

    store = f"sqlite:///{tmp_path / 'mlflow.db'}"
    options = {"tracking_uri": store, "experiment": "parabolas"}
    both_sessions(tmp_path, {"kind": "mlflow", "options": options})

    client = MlflowClient(tracking_uri=store)
    experiment = client.get_experiment_by_name("parabolas")
    assert experiment is not None
    (run,) = client.search_runs([experiment.experiment_id])
    assert (run.info.status, run.info.run_name) == ("FINISHED", "search")
    assert run.data.params["stop.evaluations"] == "12"
    history = client.get_metric_history(run.info.run_id, "best")
    check_best([(each.step, each.value) for each in history], tmp_path)


@pytest.mark.integration
@pytest.mark.filterwarnings("default")  # those of wandb and what it imports
def test_wandb_offline_keeps_both_sessions_under_one_id(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WANDB_API_KEY", "0123456789abcdef" * 3)
    both_sessions(
        tmp_path,
        {"kind": "wandb", "options": {"mode": "offline", "project": "parabolas", "tags": ["a"]}},
        pause_s=1.0,  # it names folders by the second
    )

    files = sorted((tmp_path / "wandb").glob("offline-run-*/*.wandb"))
    assert len(files) == 2
    assert len({file.name for file in files}) == 1, "one id: `wandb sync` makes one run of them"
    logged = []
    for file in files:
        assert b"0123456789abcdef" not in file.read_bytes()
        for record in wandb_records(file.read_bytes()):
            if record.HasField("run"):
                assert record.run.project == "parabolas"
                config = {
                    each.key: json.loads(each.value_json) for each in record.run.config.update
                }
                assert config["stop"]["evaluations"] == 12
            if record.HasField("history"):
                row = {tuple(i.nested_key) or (i.key,): i.value_json for i in record.history.item}
                logged.append((int(row["evaluations",]), float(row["best",])))
    check_best(logged, tmp_path)
    left = {path.name for path in (tmp_path / "wandb").rglob("*") if path.is_file()}
    assert not {"requirements.txt", "wandb-metadata.json", "output.log", "diff.patch"} & left


def wandb_records(data: bytes) -> Iterator[Any]:
    """Yield the records of a `.wandb` file: LevelDB's log format behind a header of seven bytes."""
    from wandb.proto import wandb_internal_pb2

    at, whole = 7, b""
    while at + 7 <= len(data):
        if 32768 - at % 32768 < 7:
            at += 32768 - at % 32768
            continue
        _, length, kind = struct.unpack("<IHB", data[at : at + 7])
        whole += data[at + 7 : at + 7 + length]
        at += 7 + length
        if kind in (1, 4):  # whole, or the last part
            record = wandb_internal_pb2.Record()
            record.ParseFromString(whole)
            yield record
            whole = b""
