"""Model calls as values: what a call brought, what it used, and what calls came to together."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal, NamedTuple, Protocol, TypeAlias

#: A completion is ``unknown`` when the process died between the request and its reply.
CompletionState: TypeAlias = Literal["sent", "received", "failed", "unknown"]


class TokenCounts(NamedTuple):
    """``cached`` and ``written`` are parts of ``input``, ``reasoning`` is part of ``output``."""

    input: int = 0
    cached: int = 0
    output: int = 0
    reasoning: int = 0
    written: int = 0


NO_TOKENS = TokenCounts()


class ReplyTokens(Protocol):
    """Token counts as a model reports them; `evolve.llm.base.Tokens` is one."""

    @property
    def input(self) -> int: ...  # noqa: D102 - see TokenCounts
    @property
    def cached(self) -> int: ...  # noqa: D102 - see TokenCounts
    @property
    def output(self) -> int: ...  # noqa: D102 - see TokenCounts
    @property
    def reasoning(self) -> int: ...  # noqa: D102 - see TokenCounts
    @property
    def written(self) -> int: ...  # noqa: D102 - see TokenCounts


class Reply(Protocol):
    """What is kept of a model's reply; `evolve.llm.base.Completion` is one."""

    @property
    def text(self) -> str: ...  # noqa: D102 - see evolve.llm.base.Completion
    @property
    def finish(self) -> str: ...  # noqa: D102 - see evolve.llm.base.Completion
    @property
    def tokens(self) -> ReplyTokens: ...  # noqa: D102 - see evolve.llm.base.Completion
    @property
    def latency_s(self) -> float: ...  # noqa: D102 - see evolve.llm.base.Completion
    @property
    def model(self) -> str: ...  # noqa: D102 - see evolve.llm.base.Completion


@dataclass(frozen=True, slots=True)
class CompletionRecord:
    """One model call.

    Attributes:
        model: The reference asked for; ``server_model`` is the name the server gave.
        prompt: The request as JSON.
        text: The reply; empty when there is none.
        finish: Why the reply ended.
        error: Why there is no reply, or why its tokens are assumed.
        tokens: As the server counted them, or the most possible where ``assumed``.
        cost_usd: What counts as spent; None while or when it is not known.
    """

    id: int
    model: str
    server_model: str
    state: CompletionState
    prompt: str
    text: str
    finish: str
    error: str
    tokens: TokenCounts
    assumed: bool
    cost_usd: float | None
    latency_s: float | None


def answered(calls: Iterable[CompletionRecord]) -> bool:
    """Return whether a reply was paid for."""
    return any(call.state == "received" for call in calls)


@dataclass(frozen=True, slots=True)
class Spending:
    """Model calls of one group, and what came of the proposals that they were made for.

    Attributes:
        group: A model, an operator, or an outcome.
        replies: Calls that brought one.
        assumed_calls: Ended calls whose tokens are assumed.
        unpriced_calls: Ended calls whose cost is not known.
        latency_s: Mean of the replies', or None.
        proposals: Proposals that made at least one of the calls.
        applied: Those whose edit made a program, a duplicate included.
        valid: Those whose program has a score.
        improved: Those whose program is better than its parent.
    """

    group: str
    calls: int
    replies: int
    tokens: TokenCounts
    assumed_calls: int
    cost_usd: float
    unpriced_calls: int
    latency_s: float | None
    proposals: int
    applied: int
    valid: int
    improved: int
