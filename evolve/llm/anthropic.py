"""Models behind the Anthropic messages protocol."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, cast

from evolve.config.models import ModelConfig
from evolve.llm.base import Completion, Finish, Message, Request, Tokens
from evolve.llm.server import ServerModel, count_of, text_of

if TYPE_CHECKING:
    from anthropic import AsyncAnthropic

_FINISH: Mapping[str, Finish] = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "refusal": "refusal",
}


class AnthropicModel(ServerModel):
    """``anthropic/NAME``, safe for concurrent use within one event loop.

    The protocol has no seed. A server that refuses a temperature is asked without it from then on.
    """

    default_key_env = "ANTHROPIC_API_KEY"
    dispensable = frozenset({"temperature", "top_p", "stop_sequences", "output_config"})
    _client: AsyncAnthropic

    def __init__(self, config: ModelConfig) -> None:
        import anthropic

        super().__init__(config, anthropic.AnthropicError)
        self._omit = anthropic.omit
        self._client = anthropic.AsyncAnthropic(
            **self._client_settings(anthropic.DefaultAsyncHttpxClient)
        )

    def _settings(self, request: Request | None) -> dict[str, object]:
        config, schema = self._config, self._schema(request)
        output = {
            "effort": config.effort,
            "format": None if schema is None else {"type": "json_schema", "schema": schema},
        }
        return self._wanted(
            {
                "max_tokens": config.max_tokens,
                "temperature": config.temperature,
                "top_p": config.top_p,
                "stop_sequences": list(config.stop) or None,
                "output_config": {name: each for name, each in output.items() if each} or None,
            }
        )

    async def _send(self, request: Request, settings: Mapping[str, object]) -> bytes:
        system = "\n\n".join(m.content for m in request.messages if m.role == "system")
        turns = [
            {"role": m.role, "content": _content(m)} for m in request.messages if m.role != "system"
        ]
        answer = await self._client.messages.with_raw_response.create(
            model=self._model,
            max_tokens=self._config.max_tokens,
            messages=cast("Any", turns),  # the SDK wants one TypedDict per role
            system=system or self._omit,
            extra_body={**settings, **self._config.extra_body},
        )
        return answer.http_response.content

    def _read(self, body: Mapping[str, Any]) -> Completion:
        text = text_of(body.get("content"))
        finish = _FINISH.get(str(body.get("stop_reason")), "other")
        if finish in ("stop", "other") and not text.strip():
            finish = "empty"
        return Completion(
            text, finish, _tokens(body.get("usage")), model=text_of(body.get("model"))
        )


def _content(message: Message) -> object:
    if not message.images:
        return message.content
    sources = [
        {"type": "base64", "media_type": "image/png", "data": each.base64}
        for each in message.images
    ]
    images = [{"type": "image", "source": source} for source in sources]
    return [*images, {"type": "text", "text": message.content}]


def _tokens(usage: object) -> Tokens:
    """Read the token counts; without both main ones none of them is believed.

    The protocol counts input that was read from or written to the cache apart from the rest.
    """
    fresh, output = count_of(usage, "input_tokens"), count_of(usage, "output_tokens")
    if fresh is None or output is None:
        return Tokens()
    cached = count_of(usage, "cache_read_input_tokens") or 0
    written = count_of(usage, "cache_creation_input_tokens") or 0
    reasoning = count_of(usage, "output_tokens_details", "thinking_tokens") or 0
    whole = fresh + cached + written
    return Tokens(whole, cached, output, min(reasoning, output), written)
