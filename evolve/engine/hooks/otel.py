"""A hook that sends OpenTelemetry spans: iterations, their proposals, model calls, evaluations."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, cast
from urllib.parse import urlsplit

from evolve.config.plugins import build, resolve
from evolve.core.evaluation import Outcome
from evolve.engine.events import Event, ProgramEvaluated, ProposalRejected
from evolve.engine.hooks.base import Hook, Watched, need
from evolve.store.reader import Reader, open_reader
from evolve.store.timings import CallTiming, EvaluationTiming, Timing

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import SpanExporter
    from opentelemetry.trace import Span, Tracer

#: Where spans may go, for the resolver of plug-in references.
EXPORTERS = {
    "otlp": "opentelemetry.exporter.otlp.proto.http.trace_exporter:OTLPSpanExporter",
    "console": "opentelemetry.sdk.trace.export:ConsoleSpanExporter",
}
#: Request settings by the names of OpenTelemetry's conventions for generative AI.
_SETTINGS = {
    "temperature": "gen_ai.request.temperature",
    "top_p": "gen_ai.request.top_p",
    "max_tokens": "gen_ai.request.max_tokens",
    "max_completion_tokens": "gen_ai.request.max_tokens",
    "max_output_tokens": "gen_ai.request.max_tokens",
    "stop": "gen_ai.request.stop_sequences",
    "stop_sequences": "gen_ai.request.stop_sequences",
}


class OtelHook(Hook):
    """Send a trace for every iteration once it has ended, with the times of the database.

    Spans: ``iteration`` at the top; below it ``proposal``, with a span for each model call
    below that, and ``evaluation``, which is as long as the program ran; one that was taken
    over from another program has no length.

    Args:
        exporter: ``otlp`` (over HTTP, set up by the usual ``OTEL_EXPORTER_OTLP_*`` variables),
            ``console``, or a reference to a class or function that makes one.
        service: The service's name.
    """

    def __init__(self, *, exporter: str = "otlp", service: str = "evolve") -> None:
        need("opentelemetry.sdk", "otel")
        self._exporter, self._service = exporter, service
        self._provider: TracerProvider | None = None
        self._tracer: Tracer | None = None
        self._reader: Reader | None = None
        self._run: Mapping[str, str | int] = {}

    def begin(self, watched: Watched) -> None:
        """Open the exporter and the database."""
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor

        factory = resolve(self._exporter, seam="evolve.hooks", builtin=EXPORTERS)
        exporter = cast("SpanExporter", build(factory, {}, what=f"exporter {self._exporter}"))
        run = watched.run
        self._run = {"evolve.run": run.id, "evolve.run.uid": watched.uid}
        about = {"evolve.run.name": run.name, "evolve.problem": run.problem}
        resource = Resource.create({"service.name": self._service, **about, **self._run})
        self._provider = TracerProvider(resource=resource)
        self._provider.add_span_processor(BatchSpanProcessor(exporter))
        self._tracer = self._provider.get_tracer("evolve")
        self._reader = open_reader(watched.database)

    def handle(self, event: Event, at: float) -> None:  # noqa: ARG002 - the database has the times
        """Send the spans of an iteration that has ended."""
        assert self._reader is not None
        run = int(self._run["evolve.run"])
        if isinstance(event, ProposalRejected):
            self._send(self._reader.timing(run, iteration=event.iteration))
        elif isinstance(event, ProgramEvaluated):
            program = event.program_id
            self._send(self._reader.timing(run, iteration=event.iteration, program=program))

    def end(self) -> None:
        """Send what is left."""
        assert self._provider is not None
        assert self._reader is not None
        self._provider.shutdown()
        self._reader.close()

    def _send(self, timing: Timing) -> None:
        evaluation = timing.evaluation
        ended = timing.proposed_at if evaluation is None else evaluation.committed_at
        root = self._start("iteration", _ns(timing.begun_at), None, self._about(timing))
        if timing.iteration is not None:
            proposal = self._start("proposal", _ns(timing.begun_at), root, _of_proposal(timing))
            for call in timing.calls:
                self._send_call(call, proposal)
            if timing.status == "rejected":
                _fail(proposal, timing.reason)
            _end(proposal, timing.proposed_at)
        if evaluation is not None:
            self._send_evaluation(evaluation, root)
        _end(root, ended)

    def _send_call(self, call: CallTiming, proposal: Span) -> None:
        attributes = _of_call(call)
        name = f"{attributes['gen_ai.operation.name']} {attributes['gen_ai.request.model']}"
        span = self._start(name, _ns(call.sent_at), proposal, attributes, client=True)
        if call.state != "received":
            _fail(span, call.state)
        _end(span, call.ended_at)

    def _send_evaluation(self, evaluation: EvaluationTiming, root: Span) -> None:
        end = _ns(evaluation.committed_at)
        begin = end if evaluation.copied else end - evaluation.wall_ns
        span = self._start("evaluation", begin, root, _of_evaluation(evaluation))
        if evaluation.outcome not in (Outcome.OK, Outcome.BELOW_THRESHOLD):
            _fail(span, evaluation.outcome)
        span.end(end)

    def _start(
        self,
        name: str,
        begin_ns: int,
        parent: Span | None,
        attributes: Mapping[str, object],
        *,
        client: bool = False,
    ) -> Span:
        """Start a span, a trace of its own where there is no parent."""
        from opentelemetry.context import Context
        from opentelemetry.trace import SpanKind, set_span_in_context

        assert self._tracer is not None
        context = Context() if parent is None else set_span_in_context(parent, Context())
        present = {key: value for key, value in attributes.items() if value is not None}
        return self._tracer.start_span(
            name,
            context=context,
            kind=SpanKind.CLIENT if client else SpanKind.INTERNAL,
            attributes=present,
            start_time=begin_ns,
        )

    def _about(self, timing: Timing) -> dict[str, object]:
        return {
            **self._run,
            "evolve.iteration": timing.iteration,
            "evolve.operator": timing.operator,
            "evolve.island": timing.island,
            "evolve.program": timing.program,
        }


def _of_proposal(timing: Timing) -> dict[str, object]:
    return {
        "evolve.operator": timing.operator,
        "evolve.model": timing.model or None,
        "evolve.status": timing.status,
        "evolve.reason": timing.reason or None,
    }


def _of_call(call: CallTiming) -> dict[str, object]:
    """Return the attributes of OpenTelemetry's conventions for generative AI, and ours."""
    provider, _, model = call.model.partition("/")
    parameters = call.parameters
    settings = {name: parameters[key] for key, name in _SETTINGS.items() if parameters.get(key)}
    return {
        "gen_ai.operation.name": "embeddings" if "encoding_format" in parameters else "chat",
        "gen_ai.provider.name": provider,
        "gen_ai.request.model": model or call.model,
        "server.address": urlsplit(str(parameters.get("base_url", ""))).hostname,
        **settings,
        "gen_ai.response.model": call.server_model or None,
        "gen_ai.response.finish_reasons": [call.finish] if call.finish else None,
        "gen_ai.usage.input_tokens": call.tokens.input,
        "gen_ai.usage.output_tokens": call.tokens.output,
        "gen_ai.usage.cache_read.input_tokens": call.tokens.cached,
        "gen_ai.usage.cache_creation.input_tokens": call.tokens.written,
        "gen_ai.usage.reasoning.output_tokens": call.tokens.reasoning,
        "evolve.cost_usd": call.cost_usd,
        "evolve.call": call.id,
    }


def _of_evaluation(evaluation: EvaluationTiming) -> dict[str, object]:
    return {
        "evolve.outcome": evaluation.outcome,
        "evolve.objective": evaluation.objective,
        "evolve.cpu_ns": evaluation.cpu_ns,
        "evolve.peak_memory_bytes": evaluation.peak_memory_bytes,
        "evolve.copied": evaluation.copied,
    }


def _fail(span: Span, kind: str) -> None:
    from opentelemetry.trace import Status, StatusCode

    span.set_status(Status(StatusCode.ERROR, kind))
    span.set_attribute("error.type", kind)


def _end(span: Span, moment: float | None) -> None:
    span.end(None if moment is None else _ns(moment))


def _ns(seconds: float) -> int:
    """Return Unix nanoseconds."""
    return round(seconds * 1e9)
