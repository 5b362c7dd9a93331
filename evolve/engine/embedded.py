"""The embeddings that a run has paid for, folded from what ended."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable

from evolve.core.errors import ReplyLost
from evolve.llm.base import Completion
from evolve.llm.embeddings import vectors_of
from evolve.propose.base import Proposer
from evolve.propose.vectors import VectorIndex, VectorView
from evolve.store.records import Ended

#: Reads requests and replies of an iteration to a model, in their order.
Calls = Callable[[int, str], Iterable[tuple[str, str]]]


class Embedded:
    """What is known of embeddings at any moment; see `evolve.propose.novelty`.

    Args:
        operators: Those that check for novelty say which model they ask.
        calls: Where requests and replies are; None for a run that asks nobody.
    """

    def __init__(self, operators: Iterable[Proposer], calls: Calls | None) -> None:
        self._index, self._calls = VectorIndex(), calls
        self._models = {
            (each.name, str(getattr(each, "model", ""))): novelty.model
            for each in operators
            if (novelty := getattr(each, "novelty", None)) is not None
        }

    def tell(self, ended: Ended) -> None:
        """Take in the embeddings that a proposal paid for.

        That of a candidate counts once it has become a program.
        """
        model = self._models.get((ended.operator, ended.model))
        if model is None or self._calls is None or ended.iteration is None:
            return
        calls = list(self._calls(ended.iteration, model))
        for number, (request, reply) in enumerate(calls, start=1):
            texts = [message["content"] for message in json.loads(request)["messages"]]
            try:
                vectors = vectors_of(Completion(reply), len(texts)).tolist()
            except ReplyLost:
                continue
            is_program = ended.program_id is not None and number == len(calls)
            for text, vector in list(zip(texts, vectors, strict=True))[0 if is_program else 1 :]:
                self._index.add(model, text, vector, ended.island)

    def view(self, island: int) -> VectorView:
        """Return what is known now, as seen from an island."""
        return self._index.view(island)
