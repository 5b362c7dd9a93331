"""Models behind the OpenAI responses API: ``api: responses``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from evolve.llm.base import Completion, Finish, Message, Request, Tokens
from evolve.llm.openai import OpenAIServer, completion
from evolve.llm.server import count_of, dig, text_of

_CUT: Mapping[str, Finish] = {"max_output_tokens": "length", "content_filter": "refusal"}


class ResponsesModel(OpenAIServer):
    """``openai/NAME`` at ``/responses``, safe for concurrent use within one event loop.

    The API has no seed and no stop texts. The server is asked not to keep the conversation.
    """

    dispensable = frozenset({"temperature", "top_p", "reasoning", "store"})

    def _settings(self, request: Request | None) -> dict[str, object]:
        config = self._config
        optional = self._wanted(
            {
                "temperature": config.temperature,
                "top_p": config.top_p,
                "reasoning": None if config.effort is None else {"effort": config.effort},
                "store": False,
            }
        )
        schema = self._schema(request)
        form = {"type": "json_schema", "name": "reply", "strict": True, "schema": schema}
        wanted = {} if schema is None else {"text": {"format": form}}
        return {"max_output_tokens": config.max_tokens, **optional, **wanted}

    async def _send(self, request: Request, settings: Mapping[str, object]) -> bytes:
        turns = [{"role": m.role, "content": _content(m)} for m in request.messages]
        answer = await self._client.responses.with_raw_response.create(
            model=self._model,
            input=cast("Any", turns),  # the SDK wants one TypedDict per role
            extra_body={**settings, **self._config.extra_body},
        )
        return answer.http_response.content

    def _read(self, body: Mapping[str, Any]) -> Completion:
        output = body.get("output")
        said = [
            dig(item, "content")
            for item in (output if isinstance(output, list) else [])
            if dig(item, "type") == "message"
        ]
        text = "".join(text_of(content, "output_text") for content in said)
        refusal = "".join(_refusals(content) for content in said)
        finish: Finish = "stop" if body.get("status") == "completed" else "other"
        finish = _CUT.get(str(dig(body, "incomplete_details", "reason")), finish)
        tokens = _tokens(body.get("usage"))
        return completion(text, refusal, finish, tokens, text_of(body.get("model")))


def _content(message: Message) -> object:
    if not message.images:
        return message.content
    images = [{"type": "input_image", "image_url": each.url} for each in message.images]
    return [*images, {"type": "input_text", "text": message.content}]


def _refusals(content: object) -> str:
    parts = content if isinstance(content, list) else []
    return "".join(text_of(dig(part, "refusal")) for part in parts)


def _tokens(usage: object) -> Tokens:
    """Read the token counts; without both main ones none of them is believed."""
    read, output = count_of(usage, "input_tokens"), count_of(usage, "output_tokens")
    if read is None or output is None:
        return Tokens()
    cached = count_of(usage, "input_tokens_details", "cached_tokens") or 0
    reasoning = count_of(usage, "output_tokens_details", "reasoning_tokens") or 0
    return Tokens(read, min(cached, read), output, min(reasoning, output))
