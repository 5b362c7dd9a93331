"""The check for novelty in whole runs: embeddings are paid for once, and runs repeat."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from evolve.engine.events import Event, ProgramEvaluated
from evolve.engine.replay import replay
from evolve.engine.run import run
from evolve.store.reader import open_reader
from evolve.store.store import open_store
from tests.command import QUICK_SANDBOX
from tests.engine.test_end_to_end_models import configure
from tests.fake_llm_server import Call, FakeLLMServer, Reply

FEW = 7  # directions that embeddings point in


class Server:
    """Writes programs, and embeds each in one of few directions."""

    def __init__(self) -> None:
        self.embedded: Counter[str] = Counter()

    def __call__(self, call: Call) -> Reply:
        if not call.path.endswith("/embeddings"):
            number = int(hashlib.sha256(str(call.body).encode()).hexdigest()[:6], 16)
            block = f"def f(x):\n    return x**2 + {number}\n"
            return Reply(f"```\n# EVOLVE-BLOCK-START\n{block}# EVOLVE-BLOCK-END\n```\n")
        texts = call.body["input"]
        self.embedded.update(texts)
        data = [{"index": n, "embedding": direction(text)} for n, text in enumerate(texts)]
        return Reply(json_body={"data": data, "usage": {"prompt_tokens": 10}, "model": "e"})


def direction(text: str) -> list[float]:
    number = int(hashlib.sha256(text.encode()).hexdigest()[:6], 16) % FEW
    return [float(number == place) for place in range(FEW)]


@pytest.fixture(autouse=True)
def _key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEST_KEY", "sk-test-0123456789-secret")


def begin(folder: Path, server: FakeLLMServer, calls: int, **changes: Any) -> Path:
    folder.mkdir(exist_ok=True)
    url = {"base_url": server.openai_url, "price": {"input": 1.0, "output": 1.0}}
    models = [{"id": "openai/tiny", **url}, {"id": "openai/e", "api": "embeddings", **url}]
    novelty = {"model": "openai/e", "threshold": 0.9, "resamples": 1}
    options = {"model": "openai/tiny", "novelty": novelty, "mends": 0}
    return configure(
        folder,
        server,
        models=models,
        proposers=[{"kind": "rewrite", "options": options}],
        sandbox={**QUICK_SANDBOX, "allow_untrusted": True},
        stop={"calls": calls},
        **changes,
    )


def test_no_text_is_embedded_twice_and_near_programs_are_refused(tmp_path: Path) -> None:
    server = Server()
    with FakeLLMServer(server) as fake:
        config = begin(tmp_path, fake, 60, order="strict", window=1)  # one thing at a time
        run(config, db=str(tmp_path / "evolve.db"))
    assert server.embedded
    assert set(server.embedded.values()) == {1}
    with open_reader(str(tmp_path / "evolve.db")) as reader:
        programs = [reader.program(e.id).program for e in reader.programs(1)]
        refused = reader.totals(1).rejected["too_similar"]
        asked = [
            json.loads(call.prompt)["messages"]
            for each in reader.proposals(1)
            for call in each.completions
            if call.model == "openai/e"
        ]
    assert refused > 3
    assert [len(texts) for texts in asked] == [2, *[1] * (len(asked) - 1)], "the seed, once"
    found = [
        direction("\n".join(each.text(region) for region in each.regions)) for each in programs[:-1]
    ]
    assert len({tuple(each) for each in found}) == len(found) <= FEW, "each has a direction"


def stop_at_five(event: Event) -> None:
    if isinstance(event, ProgramEvaluated) and event.program_id == 5:
        raise RuntimeError("five")


@pytest.mark.parametrize("order", ["arrival", "strict"])
def test_a_run_with_the_check_goes_on_and_is_made_again(tmp_path: Path, order: str) -> None:
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    settings = {"order": order, "window": 3, "proposals": 3, "slots": 2}
    with FakeLLMServer(Server()) as fake:
        run(begin(whole, fake, 60, **settings), db=str(whole / "evolve.db"))
        config = begin(parts, fake, 60, **settings)
        with pytest.raises(RuntimeError, match="five"):
            run(config, db=str(parts / "evolve.db"), observers=[stop_at_five])
        run(config, db=str(parts / "evolve.db"))
    for folder in (whole, parts):
        with (
            open_reader(str(folder / "evolve.db")) as reader,
            open_store(str(folder / "again.db")) as scratch,
        ):
            report = replay(reader, reader.run(), scratch)
            assert (report.same, report.differences) == (True, [])
            assert report.other_prompts == 0 or order == "arrival"
    if order == "strict":
        with (
            open_reader(str(whole / "evolve.db")) as one,
            open_reader(str(parts / "evolve.db")) as two,
        ):
            programs = [[e.hash for e in each.programs(1)] for each in (one, two)]
            shorter = min(map(len, programs))
            assert shorter > 5
            assert programs[0][: shorter - 1] == programs[1][: shorter - 1]
