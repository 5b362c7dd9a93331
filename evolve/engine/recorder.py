"""Model calls of one proposal, committed to the store as they happen."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from evolve.engine.stop import Counters
from evolve.llm.base import Completion, Request
from evolve.llm.ledger import Ledger
from evolve.propose.base import Complete
from evolve.store.store import Store


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
        reserved_usd: float | None,
    ) -> int:
        """Commit that a request is about to leave."""
        self.counters.calls += 1
        return self.store.send_completion(self.proposal, model, prompt, parameters, reserved_usd)

    def received(self, call: int, completion: Completion, charged_usd: float | None) -> None:
        """Commit a reply before anyone uses it."""
        self._charge(charged_usd)
        self.store.receive_completion(call, completion, charged_usd)

    def failed(self, call: int, error: str, charged_usd: float | None) -> None:
        """Commit that a call brought nothing."""
        self._charge(charged_usd)
        self.store.fail_completion(call, error, charged_usd)

    def _charge(self, usd: float | None) -> None:
        if usd is None:
            self.counters.unpriced_calls += 1
        else:
            self.counters.cost_usd += usd


def completer(ledger: Ledger, store: Store, counters: Counters, proposal: int) -> Complete:
    """Return the way to the models for one proposal."""
    recorder = StoreRecorder(store, counters, proposal)

    async def complete(model: str, request: Request) -> Completion:
        return await ledger.complete(model, request, record=recorder)

    return complete
