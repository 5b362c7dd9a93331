"""Models behind the OpenAI chat-completions protocol: the vendor's, vLLM, Ollama, llama.cpp."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from evolve.config.models import ModelConfig
from evolve.llm.base import Completion, Finish, Request, Tokens
from evolve.llm.server import ServerModel, count_of, dig, text_of

_FINISH: Mapping[str, Finish] = {"stop": "stop", "length": "length", "content_filter": "refusal"}
#: Servers differ in how wide a seed may be; all take this one.
_SEED_MASK = 2**31 - 1


class OpenAIModel(ServerModel):
    """``openai/NAME``, safe for concurrent use within one event loop.

    The reply's length is limited by ``max_completion_tokens`` at the vendor and by ``max_tokens``
    at any other ``base_url``. A server that refuses the one, or a temperature or a seed, in an
    error that names the parameter is asked without it from then on.
    """

    default_key_env = "OPENAI_API_KEY"

    def __init__(self, config: ModelConfig) -> None:
        super().__init__(config)
        import openai

        self._sdk = openai
        self._client = openai.AsyncOpenAI(
            api_key=self._key,
            base_url=config.base_url,
            timeout=config.timeout_s,
            max_retries=config.retries,
        )
        limits = ("max_completion_tokens", "max_tokens")
        self._limits = limits if config.base_url is None else limits[::-1]

    @property
    def _sdk_error(self) -> type[Exception]:
        return self._sdk.OpenAIError

    @property
    def _base_url(self) -> str:
        return str(self._client.base_url)

    def _settings(self, seed: int | None) -> dict[str, object]:
        first, second = self._limits
        wanted = {
            second if first in self._refused else first: self._config.max_tokens,
            "temperature": self._config.temperature,
            "seed": None if seed is None else seed & _SEED_MASK,
        }
        return {
            name: value
            for name, value in wanted.items()
            if value is not None and (name in self._limits or name not in self._refused)
        }

    def _can_do_without(self, parameter: str) -> bool:
        return parameter == self._limits[0] or parameter in ("temperature", "seed")

    async def _send(self, request: Request, settings: Mapping[str, object]) -> bytes:
        messages = [{"role": m.role, "content": m.content} for m in request.messages]
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
        if refusal:
            text, finish = text or refusal, "refusal"
        elif finish in ("stop", "other") and not text.strip():
            finish = "empty"
        return Completion(
            text, finish, _tokens(body.get("usage")), model=text_of(body.get("model"))
        )

    async def aclose(self) -> None:
        """Close connections."""
        await self._client.close()


def _tokens(usage: object) -> Tokens:
    """Read the token counts; without both main ones none of them is believed."""
    prompt, output = count_of(usage, "prompt_tokens"), count_of(usage, "completion_tokens")
    if prompt is None or output is None:
        return Tokens()
    cached = count_of(usage, "prompt_tokens_details", "cached_tokens") or 0
    reasoning = count_of(usage, "completion_tokens_details", "reasoning_tokens") or 0
    return Tokens(prompt, min(cached, prompt), output, min(reasoning, output))
