"""A hook that keeps a run of MLflow."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, ClassVar

from evolve.engine.hooks.base import Watched, need
from evolve.engine.hooks.tracker import Tracker
from evolve.store.opening import shown

if TYPE_CHECKING:
    from mlflow import MlflowClient

#: The tag by which the run of MLflow that belongs to ours is found again.
UID = "evolve.uid"
#: MLflow takes so many parameters at once, and so many characters of each.
_PARAMETERS, _CHARACTERS = 100, 500


class MlflowHook(Tracker):
    """Log to a run of MLflow; a resumed run goes on in the same one.

    Args:
        tracking_uri: A server or store; default: what MLflow takes by itself, such as
            ``MLFLOW_TRACKING_URI``.
        experiment: Name of the experiment, made if there is none; default: the problem's.
    """

    statuses: ClassVar[Mapping[str, str]] = {
        "finished": "FINISHED",
        "interrupted": "KILLED",
        "failed": "FAILED",
    }

    def __init__(self, *, tracking_uri: str | None = None, experiment: str = "") -> None:
        need("mlflow", "mlflow")
        super().__init__()
        self._uri, self._experiment = tracking_uri, experiment
        self._client: MlflowClient | None = None
        self._run = ""

    def begin(self, watched: Watched) -> None:
        """Find the run of MLflow that an earlier session began, or begin one."""
        from mlflow import MlflowClient
        from mlflow.entities import Param

        super().begin(watched)
        run = watched.run
        self._client = client = MlflowClient(tracking_uri=self._uri)
        name = self._experiment or run.problem
        known = client.get_experiment_by_name(name)
        experiment = known.experiment_id if known else client.create_experiment(name)
        found = client.search_runs([experiment], f"tags.`{UID}` = '{watched.uid}'", max_results=1)
        if found:
            self._run = found[0].info.run_id
            client.update_run(self._run, status="RUNNING")
            return
        tags = {
            UID: watched.uid,
            "evolve.run": str(run.id),
            "evolve.database": shown(watched.database),
        }
        begun = client.create_run(experiment, tags=tags, run_name=run.name)
        self._run = begun.info.run_id
        parameters = [
            Param(key, value[:_CHARACTERS]) for key, value in _flat(json.loads(run.config_json))
        ]
        for start in range(0, len(parameters), _PARAMETERS):
            client.log_batch(self._run, params=parameters[start : start + _PARAMETERS])

    def log(self, values: Mapping[str, float], step: int, at: float) -> None:
        """Log a batch of metrics."""
        from mlflow.entities import Metric

        assert self._client is not None
        moment = int(at * 1000)
        metrics = [Metric(name, value, moment, step) for name, value in values.items()]
        self._client.log_batch(self._run, metrics=metrics)

    def finish(self, status: str) -> None:
        """End the run of MLflow."""
        assert self._client is not None
        self._client.set_terminated(self._run, status=self.statuses[status])


def _flat(value: object, key: str = "") -> Iterator[tuple[str, str]]:
    """Yield the leaves of a configuration with dotted names."""
    if isinstance(value, dict) and value:
        for name, inner in value.items():
            yield from _flat(inner, f"{key}.{name}" if key else str(name))
    elif isinstance(value, list) and value:
        for number, inner in enumerate(value):
            yield from _flat(inner, f"{key}.{number}")
    else:
        yield key, value if isinstance(value, str) else json.dumps(value)
