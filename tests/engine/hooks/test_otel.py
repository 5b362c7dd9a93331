"""Spans of iterations: who is whose child, as long as the database says, by the conventions."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from evolve.engine.run import run
from tests.engine.hooks.searches import search
from tests.engine.test_end_to_end_models import KEY, configure
from tests.fake_llm_server import FakeLLMServer, Reply, failure

pytestmark = pytest.mark.integration

EXPORTER = """
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

MADE = []

def make():
    MADE.append(InMemorySpanExporter())
    return MADE[-1]
"""


@pytest.fixture
def spans(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A function that returns the spans of the last run."""
    import sys

    (tmp_path / "memory_exporter.py").write_text(EXPORTER)
    monkeypatch.syspath_prepend(str(tmp_path))
    sys.modules.pop("memory_exporter", None)

    def read() -> list[Any]:
        return list(sys.modules["memory_exporter"].MADE[-1].get_finished_spans())

    return read


HOOKS = [{"kind": "otel", "options": {"exporter": "memory_exporter:make"}}]


def query(folder: Path, sql: str) -> list[Any]:
    with closing(sqlite3.connect(folder / "evolve.db")) as connection:
        return connection.execute(sql).fetchall()


def ns(seconds: float) -> int:
    return round(seconds * 1e9)


def test_every_iteration_is_a_trace_with_the_times_of_the_database(
    tmp_path: Path, spans: Any
) -> None:
    search(tmp_path, HOOKS)

    found = spans()
    roots = {span.attributes.get("evolve.iteration"): span for span in found if not span.parent}
    iterations = query(tmp_path, "SELECT iteration, created_at, ended_at FROM proposals")
    assert set(roots) == {None, *(iteration for iteration, _, _ in iterations)}
    assert len({span.context.trace_id for span in roots.values()}) == len(roots)
    for iteration, begun, ended in iterations:
        children = [
            s for s in found if s.parent and s.parent.span_id == roots[iteration].context.span_id
        ]
        (proposal,) = [span for span in children if span.name == "proposal"]
        assert (proposal.start_time, proposal.end_time) == (ns(begun), ns(ended))
        assert roots[iteration].start_time == ns(begun)
        assert all(span.context.trace_id == roots[iteration].context.trace_id for span in children)
    evaluated = query(
        tmp_path,
        "SELECT program_id, wall_ns, evaluations.created_at, outcome FROM evaluations"
        " JOIN programs ON programs.id = program_id WHERE stage = 'search'"
        " AND copied_from IS NULL AND operator NOT LIKE 'baseline%'",
    )
    by_program = {
        span.attributes["evolve.program"]: span
        for span in roots.values()
        if "evolve.program" in span.attributes
    }
    for program, wall, committed, outcome in evaluated:
        root = by_program[program]
        (span,) = [
            s for s in found
            if s.name == "evaluation" and s.parent.span_id == root.context.span_id
        ]  # fmt: skip
        assert span.end_time - span.start_time == wall
        assert span.end_time == ns(committed) == root.end_time
        assert span.attributes["evolve.outcome"] == outcome


def test_model_calls_follow_the_conventions_for_generative_ai(
    tmp_path: Path, spans: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from opentelemetry.semconv._incubating.attributes import gen_ai_attributes as conventions
    from opentelemetry.trace import SpanKind, StatusCode

    monkeypatch.setenv("TEST_KEY", KEY)
    edit = "    return 0.5 * x + 2.0\n=======\n    return x * x\n"
    good = Reply(f"Steeper.\n<<<<<<< SEARCH\n{edit}>>>>>>> REPLACE\n", tokens=(120, 7))
    with FakeLLMServer([failure(500), failure(500), good, *[Reply("nothing")] * 20]) as server:
        config = configure(tmp_path, server, hooks=HOOKS, stop={"evaluations": 2, "fruitless": 4})
        run(config, db=str(tmp_path / "evolve.db"))

    found = spans()
    calls = [span for span in found if span.name == "chat tiny"]
    stored = query(tmp_path, "SELECT sent_at, ended_at, state FROM completions ORDER BY id")
    assert [(c.start_time, c.end_time) for c in calls] == [(ns(s), ns(e)) for s, e, _ in stored]
    proposals = {span.context.span_id: span for span in found if span.name == "proposal"}
    assert all(call.parent.span_id in proposals for call in calls)
    lost = [call for call in calls if call.status.status_code is StatusCode.ERROR]
    assert [call.attributes["error.type"] for call in lost] == [
        state for _, _, state in stored if state != "received"
    ]
    assert lost
    answered = next(
        call for call in calls if call.attributes.get("gen_ai.usage.input_tokens") == 120
    )
    assert answered.kind is SpanKind.CLIENT
    attributes = answered.attributes
    assert attributes[conventions.GEN_AI_OPERATION_NAME] == "chat"
    assert attributes[conventions.GEN_AI_PROVIDER_NAME] == "openai"
    assert attributes[conventions.GEN_AI_REQUEST_MODEL] == "tiny"
    assert attributes[conventions.GEN_AI_REQUEST_MAX_TOKENS] == 8192
    assert attributes[conventions.GEN_AI_USAGE_OUTPUT_TOKENS] == 7
    assert attributes[conventions.GEN_AI_RESPONSE_FINISH_REASONS] == ("stop",)
    assert attributes["server.address"] == "127.0.0.1"
    known = {value for name, value in vars(conventions).items() if name.startswith("GEN_AI")}
    for call in calls:
        assert {name for name in call.attributes if name.startswith("gen_ai.")} <= known
        assert KEY not in str(dict(call.attributes))
