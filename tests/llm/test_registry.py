from __future__ import annotations

from pathlib import Path

import anyio
import pytest

from evolve.config.models import ModelConfig
from evolve.core.errors import ConfigError, ModelUnavailable
from evolve.llm.base import Message, Request
from evolve.llm.registry import open_models
from tests.fake_llm_server import FakeLLMServer, Reply

PING = Request((Message("user", "Reply with the single word: ok"),))
OWN_MODEL = """
from evolve.llm.base import Completion

class Echo:
    closed = False
    def __init__(self, config):
        self.name = config.id
    async def complete(self, request):
        return Completion(request.messages[-1].content)
    def parameters(self):
        return {}
    async def aclose(self):
        Echo.closed = True
"""


def open_and_ping(folder: Path, *configs: ModelConfig) -> dict[str, str]:
    async def main() -> dict[str, str]:
        async with open_models(configs, folder) as models:
            return {name: (await model.complete(PING)).text for name, model in models.items()}

    return anyio.run(main)


def test_models_of_every_kind_open_by_their_ids(tmp_path: Path) -> None:
    (tmp_path / "calls.jsonl").write_text('{"text": "recorded"}\n')
    (tmp_path / "own.py").write_text(OWN_MODEL)
    with FakeLLMServer([Reply("one"), Reply("two")]) as server:
        answers = open_and_ping(
            tmp_path,
            ModelConfig(id="openai/org/name:free", base_url=server.openai_url),
            ModelConfig(id="anthropic/x", base_url=server.anthropic_url),
            ModelConfig(id="replay/calls.jsonl"),
            ModelConfig(id="./own.py:Echo"),
        )
    assert list(answers.values()) == ["one", "two", "recorded", "Reply with the single word: ok"]
    assert server.calls[0].body["model"] == "org/name:free"


def test_a_misspelt_kind_of_model_is_corrected(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"'opnai'.*did you mean 'openai'"):
        open_and_ping(tmp_path, ModelConfig(id="opnai/gpt-x"))


def test_a_model_without_a_name_or_given_twice_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="write openai/NAME"):
        open_and_ping(tmp_path, ModelConfig(id="openai"))
    (tmp_path / "f").touch()
    with pytest.raises(ConfigError, match="'replay/f' is given twice"):
        open_and_ping(tmp_path, ModelConfig(id="replay/f"), ModelConfig(id="replay/f"))


def test_a_missing_key_is_told_before_any_call(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("ANTHROPIC_API_KEY", raising=False)
    with pytest.raises(ModelUnavailable, match="ANTHROPIC_API_KEY is not set"):
        open_and_ping(tmp_path, ModelConfig(id="anthropic/x"))


def test_models_are_closed_when_the_run_is_cancelled(tmp_path: Path) -> None:
    (tmp_path / "own.py").write_text(OWN_MODEL)

    async def main() -> bool:
        with anyio.CancelScope() as scope:
            async with open_models([ModelConfig(id="./own.py:Echo")], tmp_path) as models:
                scope.cancel()
                await anyio.sleep(1)
        [model] = models.values()
        return bool(getattr(model, "closed", False))

    assert anyio.run(main)
