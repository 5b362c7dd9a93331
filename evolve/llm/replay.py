"""Recorded replies: a model that costs nothing and always says the same.

The file holds one JSON object a line (JSONL)::

    {"text": "...", "prompt_sha256": "...", "finish": "stop", "tokens": {"input": 9, "output": 5}}

Only ``text`` is needed. A request is answered by the first unused line whose ``prompt_sha256``
is the request's (`evolve.llm.base.Request.sha256`), else by the next unused line without one.
"""

from __future__ import annotations

import json
from collections import defaultdict, deque
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from evolve.config.models import ModelConfig
from evolve.core.errors import ConfigError, ModelUnavailable
from evolve.llm.base import Completion, Finish, Request, Tokens

_Count = Annotated[int, Field(ge=0)]


class _TokensLine(BaseModel):
    model_config = ConfigDict(extra="forbid")

    input: _Count = 0
    cached: _Count = 0
    output: _Count = 0
    reasoning: _Count = 0


class _Line(BaseModel):
    model_config = ConfigDict(extra="forbid")

    text: str
    prompt_sha256: str = ""
    finish: Finish = "stop"
    tokens: _TokensLine = _TokensLine()
    model: str = ""

    def completion(self) -> Completion:
        tokens = Tokens(**self.tokens.model_dump())
        return Completion(self.text, self.finish, tokens, model=self.model)


class ReplayModel:
    """``replay/FILE``; the file is relative to the configuration's folder.

    Args:
        config: Its id names the file.
        folder: Where the configuration lies.

    Raises:
        ModelUnavailable: the file cannot be read.
        ConfigError: a line is not a recorded reply.
    """

    def __init__(self, config: ModelConfig, folder: Path) -> None:
        self.name = config.id
        self._path = folder / config.id.partition("/")[2]
        #: Unused replies by the hash of their request; "" for those recorded without.
        self._replies: defaultdict[str, deque[_Line]] = defaultdict(deque)
        for line in _read(self._path):
            self._replies[line.prompt_sha256].append(line)

    async def complete(self, request: Request) -> Completion:
        """Return the recorded reply.

        Raises:
            ModelUnavailable: no unused line fits the request.
        """
        for key in (request.sha256, ""):
            if self._replies[key]:
                return self._replies[key].popleft().completion()
        raise ModelUnavailable(
            f"{self.name}: {self._path.name} holds no further reply for the request with "
            f"prompt_sha256 {request.sha256}; record more, or stop the run earlier"
        )

    def parameters(self) -> Mapping[str, object]:
        """Return the file's name."""
        return {"file": self._path.name}

    async def aclose(self) -> None:
        """Do nothing: the file is read at the start."""


def write_replies(path: Path, replies: Iterable[tuple[str, Completion]]) -> int:
    """Write completions as a file for ``replay/FILE``.

    Args:
        path: The file; replaced when it exists.
        replies: The SHA-256 of each request, or "" to have replies served in order, with what
            the model answered.

    Returns:
        The number of lines written.
    """
    count = 0
    with path.open("w", encoding="utf-8") as file:
        for count, (prompt_sha256, reply) in enumerate(replies, start=1):  # noqa: B007 - returned
            tokens = _TokensLine(
                input=reply.tokens.input,
                cached=reply.tokens.cached,
                output=reply.tokens.output,
                reasoning=reply.tokens.reasoning,
            )
            line = _Line(
                text=reply.text,
                prompt_sha256=prompt_sha256,
                finish=reply.finish,
                tokens=tokens,
                model=reply.model,
            )
            file.write(line.model_dump_json(exclude_defaults=True) + "\n")
    return count


def _read(path: Path) -> list[_Line]:
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ModelUnavailable(f"cannot read the recorded replies in {path}: {error}") from error
    lines = []
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        try:
            lines.append(_Line.model_validate(json.loads(line)))
        except (ValueError, ValidationError) as error:
            raise ConfigError(
                f"not a recorded reply: {error}", path=str(path), line=number
            ) from error
    return lines
