"""The real SDK clients against a real local server that behaves, and misbehaves, on purpose."""

from __future__ import annotations

import logging
import socket
import traceback
from base64 import b64encode
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import anyio
import numpy as np
import pytest

from evolve.config.models import ModelConfig
from evolve.core.errors import CallRefused, InfrastructureError, ModelUnavailable, ReplyLost
from evolve.core.png import encode_png
from evolve.llm.anthropic import AnthropicModel
from evolve.llm.base import Completion, Image, Message, Request, Tokens
from evolve.llm.embeddings import embedding_request, vectors_of
from evolve.llm.openai import OpenAIModel, openai_model
from evolve.llm.server import ServerModel
from tests.fake_llm_server import Call, FakeLLMServer, Reply, failure

KEY = "sk-test-0123456789-secret"
REQUEST = Request((Message("system", "Be brief."), Message("user", "Grüße, 世界 🎲?")), seed=7)

BOTH = pytest.mark.parametrize("vendor", ["openai", "anthropic"])


@pytest.fixture(autouse=True)
def _keys(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OPENAI_API_KEY", "ANTHROPIC_API_KEY", "OPENAI_BASE_URL", "ANTHROPIC_BASE_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TEST_KEY", KEY)


def responses(
    text: str = "x", *, refusal: str = "", status: str = "completed", reason: str | None = None
) -> Reply:
    """Return an answer of the responses API with a reasoning item before the message."""
    content = [{"type": "output_text", "text": text}] if text else []
    content += [{"type": "refusal", "refusal": refusal}] if refusal else []
    message = {"type": "message", "role": "assistant", "content": content}
    return Reply(
        json_body={
            "model": "m-0001",
            "status": status,
            "incomplete_details": reason and {"reason": reason},
            "output": [{"type": "reasoning", "summary": []}, message],
            "usage": {
                "input_tokens": 100,
                "input_tokens_details": {"cached_tokens": 80},
                "output_tokens": 50,
                "output_tokens_details": {"reasoning_tokens": 30},
            },
        }
    )


def build(vendor: str, server: FakeLLMServer, **settings: Any) -> ServerModel:
    url = server.openai_url if vendor == "openai" else server.anthropic_url
    given = {"base_url": url, "api_key_env": "TEST_KEY", "retries": 1, "timeout_s": 30.0}
    config = ModelConfig.model_validate({"id": f"{vendor}/m", **given, **settings})
    return openai_model(config) if vendor == "openai" else AnthropicModel(config)


def ask(
    vendor: str,
    script: list[Reply] | Callable[[Call], Reply],
    *,
    times: int = 1,
    **settings: Any,
) -> tuple[list[Completion], list[Call]]:
    """Ask a model behind a scripted server, one request after the other."""

    async def main(server: FakeLLMServer) -> list[Completion]:
        model = build(vendor, server, **settings)
        try:
            return [await model.complete(REQUEST) for _ in range(times)]
        finally:
            await model.aclose()

    with FakeLLMServer(script) as server:
        return anyio.run(main, server), server.calls


@BOTH
def test_a_reply_comes_with_its_tokens_latency_and_the_servers_model_name(vendor: str) -> None:
    [reply], [call] = ask(vendor, [Reply("Hallo 🌍", tokens=(12, 3), delay_s=0.05)])
    assert reply.text == "Hallo 🌍"
    assert reply.finish == "stop"
    assert reply.tokens == Tokens(input=12, output=3)
    assert reply.model == "m-0001"
    assert 0.05 <= reply.latency_s < 30
    assert call.prompt == "Grüße, 世界 🎲?"


def test_openai_gets_messages_seed_and_limit_as_the_protocol_words_them() -> None:
    settings: dict[str, Any] = {"temperature": 0.5, "max_tokens": 99, "extra_body": {"top_k": 4}}
    more: dict[str, Any] = {"top_p": 0.9, "stop": ["END"], "effort": "low"}
    _, [call] = ask("openai", [Reply("x")], **settings, **more)
    assert call.path == "/v1/chat/completions"
    assert call.headers["authorization"] == f"Bearer {KEY}"
    assert [m["role"] for m in call.body["messages"]] == ["system", "user"]
    sent = {name: call.body[name] for name in call.body if name not in ("messages", "model")}
    assert sent == {
        "temperature": 0.5,
        "max_tokens": 99,
        "seed": 7,
        "top_k": 4,
        "top_p": 0.9,
        "stop": ["END"],
        "reasoning_effort": "low",
    }


def test_anthropic_gets_the_system_message_apart_and_no_seed() -> None:
    more: dict[str, Any] = {"top_p": 0.9, "stop": ["END"], "effort": "low"}
    _, [call] = ask("anthropic", [Reply("x")], temperature=0.5, max_tokens=99, **more)
    assert call.path == "/v1/messages"
    assert KEY in (call.headers.get("x-api-key"), call.headers.get("authorization", "")[7:])
    assert call.body["system"] == "Be brief."
    assert [m["role"] for m in call.body["messages"]] == ["user"]
    assert (call.body["temperature"], call.body["max_tokens"]) == (0.5, 99)
    assert "seed" not in call.body
    assert (call.body["top_p"], call.body["stop_sequences"]) == (0.9, ["END"])
    assert call.body["output_config"] == {"effort": "low"}


@BOTH
def test_rate_limits_and_server_errors_are_retried_by_the_sdk(vendor: str) -> None:
    script = [failure(429), failure(500), failure(503), Reply("at last")]
    [reply], calls = ask(vendor, script, retries=3)
    assert reply.text == "at last"
    assert len(calls) == 4


@BOTH
@pytest.mark.parametrize("status", [429, 500, 503])
def test_lasting_server_errors_are_infrastructure(vendor: str, status: int) -> None:
    with pytest.raises(InfrastructureError, match=f"{vendor}/m: .*{status}.*bad day") as caught:
        ask(vendor, lambda _: failure(status, "bad day"))
    assert not isinstance(caught.value, ReplyLost)


@BOTH
def test_a_stall_ends_at_the_time_limit_and_may_have_been_billed(vendor: str) -> None:
    with pytest.raises(ReplyLost, match=r"no full reply from .*timeout_s is 0.5"):
        ask(vendor, lambda _: Reply("late", delay_s=60), timeout_s=0.5, retries=0)


@BOTH
@pytest.mark.parametrize(
    ("lost", "timeout_s"),
    [(Reply(reset=True), 30.0), (Reply("x", cut_at=20), 30.0), (Reply("x", delay_s=60), 0.8)],
    ids=["reset", "cut off", "late"],
)
def test_a_try_that_may_have_been_billed_is_not_repeated(
    vendor: str, lost: Reply, timeout_s: float
) -> None:
    with FakeLLMServer([failure(500), lost, Reply("second")]) as server:

        async def main() -> None:
            model = build(vendor, server, retries=5, timeout_s=timeout_s)
            with pytest.raises(ReplyLost):
                await model.complete(REQUEST)
            await model.aclose()

        anyio.run(main)
        assert len(server.calls) == 2


@BOTH
def test_a_reply_that_trickles_ends_at_the_deadline(vendor: str) -> None:
    with pytest.raises(ReplyLost, match=r"0\.5 s are over"):
        ask(vendor, lambda _: Reply("slow", trickle_s=0.05), timeout_s=0.5, retries=0)


@BOTH
def test_a_connection_dropped_within_the_reply_may_have_been_billed(vendor: str) -> None:
    with pytest.raises(ReplyLost):
        ask(vendor, lambda _: Reply("a long reply", cut_at=20), retries=0)


@BOTH
@pytest.mark.parametrize("body", [b'{"choices": [{"mess', b"<html>hi</html>", b"[]", b"\xff", b""])
def test_an_answer_that_is_no_json_object_is_lost(vendor: str, body: bytes) -> None:
    with pytest.raises(ReplyLost, match="not a JSON object"):
        ask(vendor, [Reply(raw_body=body)])


@BOTH
def test_an_error_inside_a_success_is_an_error(vendor: str) -> None:
    with pytest.raises(InfrastructureError, match="no capacity"):
        ask(vendor, [Reply(json_body={"error": {"message": "no capacity"}})])


@BOTH
@pytest.mark.parametrize(
    ("reply", "finish"),
    [
        (Reply("def f(", finish="length"), "length"),
        (Reply(None, finish="length"), "length"),
        (Reply("I will not.", finish="content_filter"), "refusal"),
        (Reply(""), "empty"),
        (Reply(None), "empty"),
        (Reply(" \n "), "empty"),
        (Reply("text", finish="tool_calls"), "other"),
        (Reply(json_body={}), "empty"),
        (Reply(json_body={"choices": [], "content": []}), "empty"),
        (Reply(json_body={"choices": "no", "content": 5, "stop_reason": ["x"]}), "empty"),
        (Reply(json_body={"choices": [{"message": None}], "content": [None, {}]}), "empty"),
    ],
)
def test_truncated_refused_and_empty_replies_are_outcomes(
    vendor: str, reply: Reply, finish: str
) -> None:
    [completion], _ = ask(vendor, [reply])
    assert completion.finish == finish


def test_a_refusal_in_its_own_field_is_a_refusal() -> None:
    message = {"role": "assistant", "content": None, "refusal": "I cannot help."}
    body = {"choices": [{"finish_reason": "stop", "message": message}]}
    [completion], _ = ask("openai", [Reply(json_body=body)])
    assert (completion.finish, completion.text) == ("refusal", "I cannot help.")


def test_thinking_without_an_answer_is_empty() -> None:
    message = {"role": "assistant", "content": None, "reasoning_content": "Hmm ..."}
    body = {"choices": [{"finish_reason": "stop", "message": message}]}
    [completion], _ = ask("openai", [Reply(json_body=body)])
    assert completion.finish == "empty"


def test_content_in_parts_is_joined() -> None:
    parts = [{"type": "text", "text": "a"}, {"type": "image"}, {"type": "text", "text": "b"}]
    body = {"choices": [{"finish_reason": "stop", "message": {"content": parts}}]}
    [completion], _ = ask("openai", [Reply(json_body=body)])
    assert completion.text == "ab"


@BOTH
@pytest.mark.parametrize(
    "usage",
    [
        None,
        "lots",
        {},
        {"prompt_tokens": 5, "input_tokens": 5},
        {"prompt_tokens": "5", "completion_tokens": 1, "input_tokens": True, "output_tokens": 1},
        {"prompt_tokens": -5, "completion_tokens": 1, "input_tokens": 5, "output_tokens": 1.5},
    ],
)
def test_missing_and_wrong_usage_counts_as_unknown(vendor: str, usage: object) -> None:
    body = {
        "choices": [{"finish_reason": "stop", "message": {"content": "x"}}],
        "content": [{"type": "text", "text": "x"}],
        "usage": usage,
    }
    [completion], _ = ask(vendor, [Reply(json_body=body)])
    assert (completion.text, completion.tokens) == ("x", Tokens())


def test_cached_and_reasoning_tokens_are_parts_of_the_whole() -> None:
    usage = {
        "prompt_tokens": 100,
        "completion_tokens": 50,
        "prompt_tokens_details": {"cached_tokens": 80},
        "completion_tokens_details": {"reasoning_tokens": 30},
        "input_tokens": 15,
        "cache_read_input_tokens": 80,
        "cache_creation_input_tokens": 5,
        "output_tokens": 50,
        "output_tokens_details": {"thinking_tokens": 30},
    }
    for vendor in ("openai", "anthropic"):
        [completion], _ = ask(vendor, [Reply(json_body={"usage": usage})])
        written = 5 if vendor == "anthropic" else 0
        assert completion.tokens == Tokens(100, 80, 50, 30, written)


@BOTH
def test_a_large_reply_comes_through_whole(vendor: str) -> None:
    text = "naïve 🎲 line\n" * 150_000
    [completion], _ = ask(vendor, [Reply(text)])
    assert completion.text == text


@BOTH
def test_what_no_encoding_can_store_is_replaced(vendor: str) -> None:
    [completion], _ = ask(vendor, [Reply("a\ud800b")])
    assert completion.text == "a?b"


def test_a_refused_parameter_is_left_out_from_then_on(caplog: pytest.LogCaptureFixture) -> None:
    def picky(call: Call) -> Reply:
        for name in ("temperature", "max_tokens", "seed"):
            if name in call.body:
                return failure(400, f"Unsupported parameter: '{name}'", param=name)
        return Reply("fine")

    replies, calls = ask("openai", picky, times=2, temperature=0.5)
    assert [reply.text for reply in replies] == ["fine", "fine"]
    assert len(calls) == 5
    assert calls[-1].body["max_completion_tokens"] == 8192
    assert "refuses 'temperature'" in caplog.text


def test_anthropic_without_temperature_where_it_is_refused() -> None:
    def picky(call: Call) -> Reply:
        if "temperature" in call.body:
            return failure(400, "`temperature` is not supported by this model")
        return Reply("fine")

    replies, calls = ask("anthropic", picky, times=2, temperature=0.5)
    assert [reply.text for reply in replies] == ["fine", "fine"]
    assert len(calls) == 3


def test_a_limit_that_is_refused_under_both_names_is_an_error() -> None:
    message = "'max_tokens' or 'max_completion_tokens' is too large: 8192"
    with pytest.raises(ModelUnavailable, match="too large"):
        ask("openai", lambda _: failure(400, message))


@BOTH
@pytest.mark.parametrize(
    ("status", "advice"),
    [
        (400, "refuses the request"),
        (401, "refuses the key in TEST_KEY.*evolve models --ping"),
        (402, "no credit"),
        (403, "does not let the key"),
        (404, "does not know model 'm'"),
    ],
)
def test_lasting_refusals_say_what_to_do(vendor: str, status: int, advice: str) -> None:
    with pytest.raises(ModelUnavailable, match=rf"{vendor}/m: .*{advice}.*\({status}\): oh no"):
        ask(vendor, [failure(status, "oh no")])


def test_a_used_up_quota_is_not_a_rate_limit() -> None:
    with pytest.raises(ModelUnavailable, match="quota"):
        ask("openai", lambda _: failure(429, "pay", code="insufficient_quota"), retries=0)


@contextmanager
def unanswered(port: int) -> Iterator[None]:
    """Keep a port that others must not get, without listening there."""
    with socket.socket() as held:
        held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        held.bind(("127.0.0.1", port))
        yield


@BOTH
def test_no_server_at_first_is_a_mistake_later_a_fault(vendor: str) -> None:
    async def main() -> None:
        with FakeLLMServer([Reply("x", headers={"connection": "close"})]) as server:
            model = build(vendor, server, retries=0)
            fresh = build(vendor, server, retries=0)
            await model.complete(REQUEST)
        with unanswered(server.port):
            with pytest.raises(ModelUnavailable, match="is the server running"):
                await fresh.complete(REQUEST)
            with pytest.raises(InfrastructureError, match="cannot connect"):
                await model.complete(REQUEST)
        await model.aclose()
        await fresh.aclose()

    anyio.run(main)


@BOTH
def test_the_key_is_in_no_error_log_repr_or_parameter(
    vendor: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    scripts = [failure(401, f"bad key {KEY}"), Reply(raw_body=KEY.encode()), failure(500, KEY)]

    async def main() -> None:
        for reply in scripts:
            with FakeLLMServer([reply]) as server:
                model = build(vendor, server, retries=0)
                with pytest.raises((ModelUnavailable, InfrastructureError)) as caught:
                    await model.complete(REQUEST)
                await model.aclose()
            chain: list[BaseException | None] = [caught.value]
            while (error := chain[-1]) is not None:
                assert KEY not in "".join(traceback.format_exception(error))
                assert KEY not in str(vars(error))
                chain.append(error.__cause__ or error.__context__)
            assert KEY not in repr(model)
            assert KEY not in str(model.parameters())

    anyio.run(main)
    assert KEY not in caplog.text


@BOTH
def test_every_rate_limit_is_told_with_the_pause_asked_for(vendor: str) -> None:
    script = [failure(429, retry_after=0.01), failure(429, retry_after=None), Reply("x")]
    pauses: list[float] = []

    async def main(server: FakeLLMServer) -> None:
        model = build(vendor, server, retries=2)
        model.on_rate_limit(pauses.append)
        await model.complete(REQUEST)
        await model.aclose()

    with FakeLLMServer(script) as server:
        anyio.run(main, server)
    assert pauses == [0.01, 0.0]


@BOTH
def test_a_refusal_is_for_good_only_where_there_was_never_an_answer(vendor: str) -> None:
    script = [Reply("x"), failure(401), failure(403), Reply("y")]

    async def main(server: FakeLLMServer) -> None:
        model = build(vendor, server)
        await model.complete(REQUEST)
        for _ in range(2):
            with pytest.raises(CallRefused, match="TEST_KEY"):
                await model.complete(REQUEST)
        assert (await model.complete(REQUEST)).text == "y"
        await model.aclose()

    with FakeLLMServer(script) as server:
        anyio.run(main, server)


def test_an_own_server_needs_no_key_and_never_gets_the_vendors(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    _, [call] = ask("openai", [Reply("x")], api_key_env=None)
    assert KEY not in str(call.headers)


@pytest.mark.parametrize("value", ["", " ", "sk-ünreadable", "sk-a\nb"])
def test_a_missing_or_garbled_key_names_its_variable(
    value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", value)
    with pytest.raises(ModelUnavailable, match="OPENAI_API_KEY") as caught:
        OpenAIModel(ModelConfig(id="openai/gpt-x"))
    assert "sk-" not in str(caught.value)


def test_the_responses_api_gets_and_gives_what_it_words_differently() -> None:
    settings: dict[str, Any] = {
        "temperature": 0.5,
        "top_p": 0.9,
        "max_tokens": 99,
        "effort": "high",
    }
    [reply], [call] = ask("openai", [responses("Grüße")], api="responses", **settings)
    assert call.path == "/v1/responses"
    assert [turn["role"] for turn in call.body["input"]] == ["system", "user"]
    sent = {name: call.body[name] for name in call.body if name not in ("input", "model")}
    assert sent == {
        "temperature": 0.5,
        "top_p": 0.9,
        "max_output_tokens": 99,
        "reasoning": {"effort": "high"},
        "store": False,
    }
    assert (reply.text, reply.finish, reply.model) == ("Grüße", "stop", "m-0001")
    assert reply.tokens == Tokens(input=100, cached=80, output=50, reasoning=30)


@pytest.mark.parametrize(
    ("reply", "finish"),
    [
        (responses(""), "empty"),
        (responses("", refusal="I will not."), "refusal"),
        (responses("cut", status="incomplete", reason="max_output_tokens"), "length"),
        (responses("", status="incomplete", reason="content_filter"), "refusal"),
        (responses("odd", status="queued"), "other"),
        (Reply(json_body={"output": "no", "status": 3}), "empty"),
        (Reply(json_body={"output": [None, {"type": "message", "content": 5}]}), "empty"),
    ],
)
def test_what_the_responses_api_may_end_with_is_an_outcome(reply: Reply, finish: str) -> None:
    [completion], _ = ask("openai", [reply], api="responses")
    assert completion.finish == finish


def test_the_responses_api_is_asked_without_what_it_refuses() -> None:
    def picky(call: Call) -> Reply:
        for name in ("temperature", "store", "reasoning"):
            if name in call.body:
                return failure(400, f"Unsupported parameter: '{name}'", param=name)
        return responses("fine")

    [reply], calls = ask("openai", picky, api="responses", temperature=0.5, effort="low")
    assert reply.text == "fine"
    assert len(calls) == 4


@BOTH
def test_a_key_in_a_reply_is_taken_out(vendor: str) -> None:
    [reply], _ = ask(vendor, [Reply(f"Your key is {KEY}.")])
    assert reply.text == "Your key is [key]."


def test_embeddings_come_as_vectors_in_the_order_of_the_texts() -> None:
    data = [{"index": 1, "embedding": [0, 1.5]}, {"index": 0, "embedding": [1, 0.25]}]
    answer = {"data": data, "model": "e-1", "usage": {"prompt_tokens": 7, "total_tokens": 7}}

    async def main(server: FakeLLMServer) -> Completion:
        model = build("openai", server, api="embeddings")
        try:
            return await model.complete(embedding_request(["a", "b 🎲"]))
        finally:
            await model.aclose()

    with FakeLLMServer([Reply(json_body=answer)]) as server:
        completion = anyio.run(main, server)
    assert server.calls[0].path == "/v1/embeddings"
    assert server.calls[0].body["input"] == ["a", "b 🎲"]
    assert vectors_of(completion, 2).tolist() == [[1, 0.25], [0, 1.5]]
    assert (completion.tokens, completion.model) == (Tokens(input=7), "e-1")
    with pytest.raises(ReplyLost, match="3 texts"):
        vectors_of(completion, 3)


@pytest.mark.parametrize("data", [None, [], [{"embedding": None}], [{"embedding": ["x"]}], [5]])
def test_a_reply_without_vectors_is_lost(data: object) -> None:
    [completion], _ = ask("openai", [Reply(json_body={"data": data})], api="embeddings")
    with pytest.raises(ReplyLost, match="no vector"):
        vectors_of(completion, 1)


def test_images_go_as_each_protocol_words_them() -> None:
    image = Image("drawing", encode_png(np.zeros((3, 4), np.uint8)))
    asked = Request((Message("system", "s"), Message("user", "look", (image, image))))

    async def send(server: FakeLLMServer, vendor: str, **settings: Any) -> None:
        model = build(vendor, server, **settings)
        await model.complete(asked)
        await model.aclose()

    def content(vendor: str, **settings: Any) -> Any:
        with FakeLLMServer([Reply("x")]) as server:
            anyio.run(partial(send, server, vendor, **settings))
            body = server.calls[0].body
            system, user = (
                [None, *body["messages"]]
                if vendor == "anthropic"
                else body.get("messages") or body["input"]
            )
            assert system is None or system["content"] == "s"
            return user["content"]

    data = b64encode(image.png).decode()
    url = f"data:image/png;base64,{data}"
    chat = {"type": "image_url", "image_url": {"url": url}}
    assert content("openai") == [chat, chat, {"type": "text", "text": "look"}]
    part = {"type": "input_image", "image_url": url}
    said = {"type": "input_text", "text": "look"}
    assert content("openai", api="responses") == [part, part, said]
    source = {"type": "base64", "media_type": "image/png", "data": data}
    block = {"type": "image", "source": source}
    assert content("anthropic") == [block, block, {"type": "text", "text": "look"}]
