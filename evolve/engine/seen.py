"""What was offered to archives while quantile cells wait for their edges."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from evolve.archive.islands import Offer
from evolve.store.records import ArchiveEvent

#: ``status`` of the event that an island was given up.
RETIRED = "retired"


class Seen:
    """What was offered to archives while quantile cells wait for their edges.

    Attributes:
        measures: Of every program with a score, in the order of insertion.
        offers: The same programs with their island, and what entered other islands.
    """

    def __init__(self) -> None:
        self.measures: list[Mapping[str, float]] = []
        self.offers: list[tuple[int, Offer]] = []

    def score(self, island: int, offer: Offer) -> None:
        """Take in a program that was offered to its island."""
        self.measures.append(offer.measures)
        self.offers.append((island, offer))

    def changes(self, events: Iterable[ArchiveEvent]) -> None:
        """Take in what entered other islands, and leave out what was on one given up."""
        for event in events:
            if event.status == RETIRED:
                self.offers = [each for each in self.offers if each[0] != event.island]
            else:
                self.offers.append((event.island, offer_of(event)))


def offer_of(event: ArchiveEvent) -> Offer:
    """Return what was offered when an event happened."""
    return Offer(event.program_id, event.fitness, event.measures, event.metrics)
