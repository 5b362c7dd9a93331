"""Which sandbox a configuration leads to."""

from __future__ import annotations

import pytest

from evolve.config.models import SandboxConfig
from evolve.core.errors import ConfigError, SandboxUnavailable
from evolve.engine.isolation import choose_sandbox


def test_options_of_containers_reach_the_sandbox_and_its_header() -> None:
    config = SandboxConfig(kind="docker", isolation="container", runtime="runsc")
    sandbox = choose_sandbox(config, arbitrary_code=True)
    assert sandbox.provenance()["isolation"] == "container"
    assert sandbox.provenance()["runtime"] == "runsc"
    assert "a container of its own for every program" in sandbox.guarantees()[0]


@pytest.mark.parametrize(
    "option", [{"isolation": "container"}, {"runtime": "runsc"}, {"image": "mine:1"}]
)
def test_whoever_asks_for_containers_gets_them(option: dict[str, str]) -> None:
    config = SandboxConfig.model_validate(option)
    assert choose_sandbox(config, arbitrary_code=False).name == "docker"
    with pytest.raises(ConfigError, match=f"sandbox.{next(iter(option))} is for containers"):
        choose_sandbox(config.model_copy(update={"kind": "process"}), arbitrary_code=False)


def test_programs_with_devices_get_containers_of_their_own_unless_told_otherwise() -> None:
    def isolation(**options: str) -> str:
        config = SandboxConfig.model_validate({"kind": "docker", **options})
        sandbox = choose_sandbox(config, arbitrary_code=True, gpus=True)
        return sandbox.provenance()["isolation"]

    assert isolation() == "container"
    assert isolation(isolation="slot") == "slot"


def test_without_options_the_kind_follows_the_programs() -> None:
    assert choose_sandbox(SandboxConfig(), arbitrary_code=False).name == "process"
    assert choose_sandbox(SandboxConfig(), arbitrary_code=True).name == "docker"
    with pytest.raises(SandboxUnavailable, match="allow_untrusted"):
        choose_sandbox(SandboxConfig(kind="process"), arbitrary_code=True)
