"""What operators and instructions of a run have come to."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass

from evolve.config.proposing import InstructionsConfig
from evolve.propose.credit import Tally
from evolve.propose.instructions import InstructionPool, Rated
from evolve.propose.tallies import tallies
from evolve.store.reader import Reader
from evolve.store.records import Ended, RunRecord


@dataclass(frozen=True, slots=True)
class Arm:
    """What an operator with a model has come to; ``model`` is empty where none is asked."""

    operator: str
    model: str
    tally: Tally

    def as_dict(self) -> dict[str, object]:
        """Return names and counts for JSON."""
        return {"operator": self.operator, "model": self.model, **asdict(self.tally)}


def arms(reader: Reader, run: RunRecord) -> list[Arm]:
    """Return what each operator with each model has come to, the most used first."""
    verdicts = reader.verdicts(run.id, run.problem_hash)
    found = [Arm(*key, tally) for key, tally in tallies(verdicts, run.objective).items()]
    return sorted(found, key=lambda arm: -arm.tally.pulls)


def instructions(reader: Reader, run: RunRecord) -> list[Rated]:
    """Return the instructions of a run with what each has come to, the best first."""
    section = json.loads(run.config_json).get("instructions")
    if section is None:
        return []
    pool = InstructionPool(InstructionsConfig.model_validate(section), run.objective)
    for ended in _told(reader, run):
        pool.tell(ended)
    return pool.rated()


def _told(reader: Reader, run: RunRecord) -> Iterable[Ended]:
    """Yield what ended in the order in which the run learnt of it."""
    strict = json.loads(run.config_json).get("order") == "strict"
    return (reader.ended_in_order if strict else reader.ended)(run.id, run.problem_hash)
