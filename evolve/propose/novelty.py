"""Whether a candidate is new: its embedding beside those of the programs that there are."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from evolve.config.section import Section
from evolve.core.program import Program
from evolve.llm.embeddings import embedding_request, vectors_of
from evolve.propose.base import Candidate, Context, Rejected
from evolve.propose.vectors import Among, Vector

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
    among: Among = Field(
        default="island",
        description="programs that a candidate is compared with: those of the island, of the run, "
        "or only those that were shown",
    )

    async def __call__(self, context: Context, candidate: Candidate) -> Rejected | None:
        """Return why a candidate is too similar to a program, or None.

        One call embeds the candidate, and of the programs that were shown those whose embeddings
        are not known.

        Raises:
            InfrastructureError: the call failed, or brought no vectors.
        """
        shown = [_text(each.program) for each in (context.parent, *context.inspirations)]
        own = await self._embedded(context, _text(candidate.program), shown)
        if not own.any():
            return None  # nothing to compare
        known = context.vectors
        vectors = (known.vector(self.model, text) for text in shown)
        similar = [-1.0 if each is None else float(each @ own) for each in vectors]
        nearest = max(range(len(similar)), key=similar.__getitem__)
        anywhere = known.nearest(self.model, own, self.among)
        if max(similar[nearest], anywhere) < self.threshold:
            return None
        which = "the program to improve" if nearest == 0 else f"program {nearest} shown beside it"
        if anywhere > similar[nearest] + 1e-6:
            which = "a program that was tried before"
        return Rejected(
            "too_similar",
            f"the new program is nearly the same as {which} (similarity "
            f"{max(similar[nearest], anywhere):.4f}); propose something that differs in its idea",
        )

    async def _embedded(self, context: Context, text: str, shown: list[str]) -> Vector:
        """Return the vector of a text; ask for it, and for those of ``shown``, where unknown."""
        known = context.vectors
        found = known.vector(self.model, text)
        if found is not None:
            return found
        missing = [each for each in dict.fromkeys(shown) if known.vector(self.model, each) is None]
        asked = [text, *missing]
        completion = await context.complete(self.model, embedding_request(asked))
        vectors = vectors_of(completion)
        # A resumed proposal may have asked for others then: only the first is sure to be meant.
        meant = asked if len(vectors) == len(asked) else asked[:1]
        for each, vector in zip(meant, vectors.tolist(), strict=False):
            known.remember(self.model, each, vector)
        own = known.vector(self.model, text)
        assert own is not None  # it was asked for
        return own


def _text(program: Program) -> str:
    """Return what the evolve blocks hold."""
    return "\n".join(program.text(region) for region in program.regions)[:_LONGEST] or " "
