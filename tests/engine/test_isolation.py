"""Which sandbox a configuration leads to."""

from __future__ import annotations

from pathlib import Path

import pytest

from evolve.config.models import SandboxConfig
from evolve.core.errors import ConfigError, InfrastructureError, SandboxUnavailable
from evolve.core.recipe import ImageRecipe
from evolve.engine.events import Event, ProgramEvaluated, RunStarted
from evolve.engine.isolation import specify_sandbox
from evolve.engine.run import run
from tests.command import write_config


def test_options_of_containers_reach_the_sandbox_and_its_header() -> None:
    config = SandboxConfig(kind="docker", isolation="container", runtime="runsc")
    sandbox = specify_sandbox(config, arbitrary_code=True).make()
    assert sandbox.provenance()["isolation"] == "container"
    assert sandbox.provenance()["runtime"] == "runsc"
    assert "a container of its own for every program" in sandbox.guarantees()[0]


@pytest.mark.parametrize(
    "option", [{"isolation": "container"}, {"runtime": "runsc"}, {"image": "mine:1"}]
)
def test_whoever_asks_for_containers_gets_them(option: dict[str, str]) -> None:
    config = SandboxConfig.model_validate(option)
    assert specify_sandbox(config, arbitrary_code=False).kind == "docker"
    with pytest.raises(ConfigError, match=f"sandbox.{next(iter(option))} is for containers"):
        specify_sandbox(config.model_copy(update={"kind": "process"}), arbitrary_code=False)


def test_programs_with_devices_get_containers_of_their_own_unless_told_otherwise() -> None:
    def isolation(**options: str) -> str:
        config = SandboxConfig.model_validate({"kind": "docker", **options})
        sandbox = specify_sandbox(config, arbitrary_code=True, gpus=True).make()
        return sandbox.provenance()["isolation"]

    assert isolation() == "container"
    assert isolation(isolation="slot") == "slot"


def test_a_problem_with_an_image_of_its_own_gets_a_container() -> None:
    image = ImageRecipe(name="solver:2")
    assert specify_sandbox(SandboxConfig(), arbitrary_code=False, image=image).kind == "docker"
    said: list[str] = []
    process = SandboxConfig(kind="process")
    specify_sandbox(process, arbitrary_code=False, image=image, say=said.append)
    assert said == [
        "the process sandbox has no images: programs see this machine's own files, not those of "
        "solver:2"
    ]
    tools = ImageRecipe(system_packages=("g++",))  # this machine has them as well
    assert specify_sandbox(SandboxConfig(), arbitrary_code=False, image=tools).kind == "process"


def test_without_options_the_kind_follows_the_programs() -> None:
    assert specify_sandbox(SandboxConfig(), arbitrary_code=False).kind == "process"
    assert specify_sandbox(SandboxConfig(), arbitrary_code=True).kind == "docker"
    with pytest.raises(SandboxUnavailable, match="allow_untrusted"):
        specify_sandbox(SandboxConfig(kind="process"), arbitrary_code=True)


SANDBOX = """
from pathlib import Path
from tests.fakes import InProcessSandbox

class Imaged(InProcessSandbox):
    def provenance(self):
        return {"digest": Path(__file__).with_name("digest").read_text()}
"""


def test_a_resumed_run_says_that_its_image_has_changed(tmp_path: Path) -> None:
    (tmp_path / "imaged.py").write_text(SANDBOX)
    config = write_config(tmp_path, sandbox={"kind": "./imaged.py:Imaged"})
    notes: list[tuple[str, ...]] = []
    evaluated = 0

    def observe(event: Event) -> None:
        nonlocal evaluated
        if isinstance(event, RunStarted):
            notes.append(event.notes)
        elif isinstance(event, ProgramEvaluated):
            evaluated += 1
            if evaluated in (3, 6):
                raise InfrastructureError("the lights went out")

    for digest in ("sha256:a", "sha256:a"):
        (tmp_path / "digest").write_text(digest)
        with pytest.raises(InfrastructureError):
            run(config, db=str(tmp_path / "run.db"), observers=[observe])
    (tmp_path / "digest").write_text("sha256:b")
    assert run(config, db=str(tmp_path / "run.db"), observers=[observe]).run_id == 1
    assert notes[:2] == [(), ()]
    assert notes[2][0].startswith(
        "the sandbox image has changed since this run began: sha256:a then, sha256:b now"
    )
