from __future__ import annotations

from pathlib import Path

import anyio
import pytest

from evolve.config.models import ModelConfig
from evolve.core.errors import ConfigError, ModelUnavailable
from evolve.llm.base import Completion, Message, Request, Tokens
from evolve.llm.replay import ReplayModel, write_replies


def asked(text: str, seed: int | None = None) -> Request:
    return Request((Message("user", text),), seed)


def answers(folder: Path, *requests: Request) -> list[Completion]:
    async def main() -> list[Completion]:
        model = ReplayModel(ModelConfig(id="replay/calls.jsonl"), folder)
        return [await model.complete(request) for request in requests]

    return anyio.run(main)


def test_replies_without_a_hash_come_in_order(tmp_path: Path) -> None:
    (tmp_path / "calls.jsonl").write_text('{"text": "one"}\n\n{"text": "two"}\n')
    assert [reply.text for reply in answers(tmp_path, asked("?"), asked("?"))] == ["one", "two"]


def test_written_replies_are_found_by_their_request(tmp_path: Path) -> None:
    first = Completion("é\u2028\n🎲", "length", Tokens(5, 1, 3, 2), model="m-1")
    second = Completion("b")
    path = tmp_path / "calls.jsonl"
    written = [(asked("a").sha256, first), (asked("b", seed=1).sha256, second)]
    assert write_replies(path, written) == 2
    assert answers(tmp_path, asked("b", seed=1), asked("a")) == [second, first]


def test_a_request_differs_by_every_part_of_it() -> None:
    requests = [asked("a"), asked("b"), asked("a", 1), Request((Message("system", "a"),))]
    assert len({request.sha256 for request in requests}) == 4


def test_the_end_of_the_file_says_so(tmp_path: Path) -> None:
    request = asked("a")
    write_replies(tmp_path / "calls.jsonl", [(request.sha256, Completion("x"))])
    with pytest.raises(ModelUnavailable, match=request.sha256):
        answers(tmp_path, request, request)


def test_a_missing_file_and_a_bad_line_are_named(tmp_path: Path) -> None:
    with pytest.raises(ModelUnavailable, match=r"calls\.jsonl"):
        answers(tmp_path)
    for line in ('{"txt": "x"}', "{", "[]", '{"text": 5}', '{"text": "x", "finish": "??"}'):
        (tmp_path / "calls.jsonl").write_text(f'{{"text": "fine"}}\n{line}\n')
        with pytest.raises(ConfigError, match=r"calls\.jsonl:2: not a recorded reply"):
            answers(tmp_path)
