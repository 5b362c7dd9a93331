"""Whether a candidate is new: its embedding beside those of the programs it came from."""

from __future__ import annotations

from typing import Annotated

import numpy as np
from pydantic import Field

from evolve.config.section import Section
from evolve.core.program import Program
from evolve.llm.embeddings import embedding_request, vectors_of
from evolve.propose.base import Candidate, Context, Rejected

#: Characters of a program that are embedded; more would not fit into most models.
_LONGEST = 24_000


class Novelty(Section):
    """The check for novelty, as an operator's options give it."""

    model: str = Field(description="id of a configured model with api: embeddings")
    threshold: Annotated[float, Field(gt=0, le=1)] = Field(
        default=0.995, description="cosine similarity from which two programs are the same idea"
    )
    resamples: Annotated[int, Field(ge=0)] = Field(
        default=1, description="how often something else is asked for"
    )

    async def __call__(self, context: Context, candidate: Candidate) -> Rejected | None:
        """Return why a candidate is too similar to a program that was shown, or None.

        One call embeds the candidate, the parent and the inspirations.

        Raises:
            InfrastructureError: the call failed, or brought no vectors.
        """
        others = (context.parent, *context.inspirations)
        texts = [_text(program) for program in (candidate.program, *(o.program for o in others))]
        completion = await context.complete(self.model, embedding_request(texts))
        vectors = vectors_of(completion, len(texts))
        lengths = np.linalg.norm(vectors, axis=1)
        if not lengths.all():
            return None  # nothing to compare
        similarities = vectors[1:] @ vectors[0] / (lengths[1:] * lengths[0])
        nearest = int(np.argmax(similarities))
        if similarities[nearest] < self.threshold:
            return None
        which = "the program to improve" if nearest == 0 else f"program {nearest} shown beside it"
        return Rejected(
            "too_similar",
            f"the new program is nearly the same as {which} (similarity "
            f"{similarities[nearest]:.4f}); propose something that differs in its idea",
        )


def _text(program: Program) -> str:
    """Return what the evolve blocks hold."""
    return "\n".join(program.text(region) for region in program.regions)[:_LONGEST] or " "
