"""Embeddings behind the OpenAI protocol: ``api: embeddings``.

An embedding model is a model like any other, so that its calls are recorded, priced, bounded and
replayed like any others: a request holds one message per text, the reply's text is the vectors
as JSON. `embedding_request` and `vectors_of` translate.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evolve.core.errors import ReplyLost
from evolve.llm.base import Completion, Message, Request, Tokens
from evolve.llm.openai import OpenAIServer
from evolve.llm.server import count_of, dig, text_of


def embedding_request(texts: Sequence[str]) -> Request:
    """Return the request for one vector per text; ``texts`` must not be empty."""
    return Request(tuple(Message("user", text) for text in texts))


def vectors_of(completion: Completion, count: int | None = None) -> NDArray[np.float64]:
    """Return the vectors of a reply, shape ``(count, dimensions)``, not normalised.

    Args:
        completion: What an embedding model answered.
        count: The number of texts that were asked for; None for one at least.

    Raises:
        ReplyLost: the reply does not hold one vector of finite numbers per text.
    """
    try:
        found = np.array(json.loads(completion.text or "[]"), dtype=np.float64)
    except (ValueError, TypeError):
        found = np.empty(0)
    expected = max(len(found), 1) if count is None else count
    if found.ndim != 2 or len(found) != expected or not np.isfinite(found).all():
        raise ReplyLost(
            f"{completion.model or 'the model'}: no vector for each of {expected} texts"
        )
    return found


class EmbeddingModel(OpenAIServer):
    """``openai/NAME`` at ``/embeddings``, safe for concurrent use within one event loop."""

    def _settings(self, request: Request | None) -> dict[str, object]:
        del request  # nothing depends on it
        return {"encoding_format": "float"}

    async def _send(self, request: Request, settings: Mapping[str, object]) -> bytes:
        answer = await self._client.embeddings.with_raw_response.create(
            model=self._model,
            input=[message.content for message in request.messages],
            extra_body={**settings, **self._config.extra_body},
        )
        return answer.http_response.content

    def _read(self, body: Mapping[str, Any]) -> Completion:
        items = body.get("data")
        found = items if isinstance(items, list) else []
        ordered = sorted(found, key=lambda item: count_of(item, "index") or 0)
        vectors = [dig(item, "embedding") for item in ordered]
        return Completion(
            json.dumps(vectors) if vectors else "",
            "stop" if vectors else "empty",
            Tokens(input=count_of(body, "usage", "prompt_tokens") or 0),
            model=text_of(body.get("model")),
        )
