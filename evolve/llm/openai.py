"""Models behind the OpenAI chat-completions protocol: the vendor's, vLLM, Ollama, llama.cpp."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, cast

from evolve.config.models import ModelConfig
from evolve.llm.base import Completion, Finish, Message, Request, Tokens
from evolve.llm.server import ServerModel, count_of, dig, text_of

if TYPE_CHECKING:
    from openai import AsyncOpenAI

_FINISH: Mapping[str, Finish] = {"stop": "stop", "length": "length", "content_filter": "refusal"}
#: Servers differ in how wide a seed may be; all take this one.
_SEED_MASK = 2**31 - 1


def openai_model(config: ModelConfig) -> ServerModel:
    """Open ``openai/NAME`` at the endpoint that its ``api`` names."""
    from evolve.llm.embeddings import EmbeddingModel
    from evolve.llm.responses import ResponsesModel

    kinds: dict[str, type[OpenAIServer]] = {
        "chat": OpenAIModel,
        "responses": ResponsesModel,
        "embeddings": EmbeddingModel,
    }
    return kinds[config.api](config)


class OpenAIServer(ServerModel):
    """What the endpoints of the protocol share: client, key, and leaving out what is refused."""

    default_key_env = "OPENAI_API_KEY"
    _client: AsyncOpenAI

    def __init__(self, config: ModelConfig) -> None:
        import openai

        super().__init__(config, openai.OpenAIError)
        self._client = openai.AsyncOpenAI(**self._client_settings(openai.DefaultAsyncHttpxClient))


class OpenAIModel(OpenAIServer):
    """``openai/NAME``, safe for concurrent use within one event loop.

    The reply's length is limited by ``max_completion_tokens`` at the vendor and by ``max_tokens``
    at any other ``base_url``. A server that refuses the one, or an optional parameter, in an
    error that names the parameter is asked without it from then on.
    """

    dispensable = frozenset({"temperature", "top_p", "seed", "stop", "reasoning_effort"})

    def __init__(self, config: ModelConfig) -> None:
        super().__init__(config)
        limits = ("max_completion_tokens", "max_tokens")
        self._limits = limits if config.base_url is None else limits[::-1]

    def _settings(self, request: Request | None) -> dict[str, object]:
        config, seed = self._config, None if request is None else request.seed
        limit = self._limits[1 if self._limits[0] in self._refused else 0]
        optional = self._wanted(
            {
                "temperature": config.temperature,
                "top_p": config.top_p,
                "seed": None if seed is None else seed & _SEED_MASK,
                "stop": list(config.stop) or None,
                "reasoning_effort": config.effort,
            }
        )
        return {limit: config.max_tokens, **optional, **self._form(request)}

    def _form(self, request: Request | None) -> dict[str, object]:
        """Return the parameters of constrained decoding."""
        constraint = None if request is None else request.constraint
        if constraint is None:
            return {}
        if constraint.schema is None:
            return {self._config.grammar_field: constraint.grammar}
        schema = {"name": "reply", "strict": True, "schema": constraint.schema}
        return {"response_format": {"type": "json_schema", "json_schema": schema}}

    def _can_do_without(self, parameter: str) -> bool:
        return parameter == self._limits[0] or super()._can_do_without(parameter)

    async def _send(self, request: Request, settings: Mapping[str, object]) -> bytes:
        messages = [{"role": m.role, "content": _content(m)} for m in request.messages]
        answer = await self._client.chat.completions.with_raw_response.create(
            model=self._model,
            messages=cast("Any", messages),  # the SDK wants one TypedDict per role
            extra_body={**settings, **self._config.extra_body},
        )
        return answer.http_response.content

    def _read(self, body: Mapping[str, Any]) -> Completion:
        choice = dig(body, "choices", 0)
        text = text_of(dig(choice, "message", "content"))
        refusal = text_of(dig(choice, "message", "refusal"))
        finish = _FINISH.get(str(dig(choice, "finish_reason")), "other")
        tokens = _tokens(body.get("usage"))
        return completion(text, refusal, finish, tokens, text_of(body.get("model")))


def _content(message: Message) -> object:
    if not message.images:
        return message.content
    images = [{"type": "image_url", "image_url": {"url": each.url}} for each in message.images]
    return [*images, {"type": "text", "text": message.content}]


def completion(text: str, refusal: str, finish: Finish, tokens: Tokens, model: str) -> Completion:
    """Return what a reply comes to: a refusal, nothing at all, or its text."""
    if refusal:
        text, finish = text or refusal, "refusal"
    elif finish in ("stop", "other") and not text.strip():
        finish = "empty"
    return Completion(text, finish, tokens, model=model)


def _tokens(usage: object) -> Tokens:
    """Read the token counts; without both main ones none of them is believed."""
    prompt, output = count_of(usage, "prompt_tokens"), count_of(usage, "completion_tokens")
    if prompt is None or output is None:
        return Tokens()
    cached = count_of(usage, "prompt_tokens_details", "cached_tokens") or 0
    reasoning = count_of(usage, "completion_tokens_details", "reasoning_tokens") or 0
    return Tokens(prompt, min(cached, prompt), output, min(reasoning, output))
