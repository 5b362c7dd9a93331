"""Model calls of one proposal, committed to the store as they happen."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TypeAlias, cast

from evolve.core.errors import BudgetExhausted
from evolve.engine.stop import Counters
from evolve.llm.base import Completion, Finish, Request, Tokens
from evolve.llm.ledger import Ledger
from evolve.propose.base import Complete
from evolve.store.calls import CompletionRecord
from evolve.store.store import Store

#: Returns the way to the models for a proposal, which has some calls already.
Completer: TypeAlias = Callable[[int, Sequence[CompletionRecord]], Complete]


@dataclass(frozen=True, slots=True)
class StoreRecorder:
    """The ledger's recorder over the store; see `evolve.llm.ledger.Recorder`."""

    store: Store
    counters: Counters
    proposal: int

    def sent(
        self,
        model: str,
        prompt: str,
        parameters: Mapping[str, object],
        most: Tokens,
        reserved_usd: float | None,
    ) -> int:
        """Commit that a request is about to leave."""
        self.counters.calls += 1
        return self.store.send_completion(
            self.proposal, model, prompt, parameters, reserved_usd, most
        )

    def received(self, call: int, completion: Completion) -> None:
        """Commit a reply before anyone uses it."""
        self._charge(completion.tokens, completion.cost_usd)
        self.store.receive_completion(call, completion, completion.cost_usd, completion.note)

    def failed(self, call: int, error: str, used: Tokens, charged_usd: float | None) -> None:
        """Commit that a call brought nothing."""
        self._charge(used, charged_usd)
        self.store.fail_completion(call, error, charged_usd, used)

    def _charge(self, used: Tokens, usd: float | None) -> None:
        self.counters.tokens += used.input + used.output
        if usd is None:
            self.counters.unpriced_calls += 1
        else:
            self.counters.cost_usd += usd


def completer(
    ledger: Ledger,
    store: Store,
    counters: Counters,
    proposal: int,
    replies: Sequence[CompletionRecord] = (),
) -> Complete:
    """Return the way to the models for one proposal.

    Args:
        ledger: Pays for calls.
        store: Where they are committed.
        counters: Of the run.
        proposal: What they are for.
        replies: Calls of an earlier session; those that were answered are not made again.
    """
    ask = partial(ledger.complete, record=StoreRecorder(store, counters, proposal))
    return _first(replies, ask)


def paid_for(replies: Sequence[CompletionRecord], reason: str) -> Complete:
    """Return the way to the replies that a proposal has, when the run ends for ``reason``."""

    async def refuse(model: str, _: Request) -> Completion:
        raise BudgetExhausted(f"{model} is asked nothing more: {reason}", rule=reason)

    return _first(replies, refuse)


def _first(replies: Sequence[CompletionRecord], then: Complete) -> Complete:
    """Return a way to stored replies, and from there on another one."""
    stored = deque(reply for reply in replies if reply.state == "received")

    async def complete(model: str, request: Request) -> Completion:
        while stored:
            reply = stored.popleft()
            if reply.model == model:
                return stored_completion(reply)
        return await then(model, request)

    return complete


def stored_completion(reply: CompletionRecord) -> Completion:
    """Return a stored reply as the model gave it."""
    return Completion(
        text=reply.text,
        finish=cast("Finish", reply.finish),
        tokens=Tokens(*reply.tokens),
        latency_s=reply.latency_s or 0.0,
        cost_usd=reply.cost_usd,
        model=reply.server_model,
    )
