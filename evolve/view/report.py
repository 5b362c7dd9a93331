"""What tables and pictures show of a run, made from the store alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from evolve.archive.base import Archive, fold
from evolve.core.errors import StoreError
from evolve.core.evaluation import Evaluation
from evolve.engine.reported import reported, select_of
from evolve.propose.credit import Arm, Credit
from evolve.store.reader import Reader
from evolve.store.records import ProgramEntry, RunRecord


@dataclass(frozen=True, slots=True)
class ComparedRow:
    """A program beside others: objectives on search and held-out cases, None where there is none.

    ``metrics`` are those of the held-out cases.
    """

    name: str
    program_id: int
    search: float | None
    held_out: float | None
    metrics: Mapping[str, float]


def archive_of(
    reader: Reader,
    run: RunRecord,
    at: int | None = None,
    island: int | None = None,
    ref: int | str | None = None,
) -> Archive:
    """Rebuild an archive of a run from what entered it, now or as it was after ``at`` changes.

    Args:
        reader: Reads the run.
        run: The run.
        at: After so many changes; None for now.
        island: Of this island; None for that of the whole run.
        ref: Number or name of the archive; None for the one that the search uses.

    Raises:
        StoreError: there is no such island, or no such archive.
    """
    record = reader.archive(run.id, ref)
    archive = record.spec.build(run.objective.fitness(run.objective.offset))
    changes = reader.archive_events(run.id, record.number)[:at]
    events = [event for event in changes if event.status != "retired"]
    if island is not None:
        numbers = sorted({event.island for event in events})
        if island not in numbers:
            known = ", ".join(map(str, numbers)) or "none"
            raise StoreError(f"run {run.id} has no island {island}; there are: {known}")
        events = [event for event in events if event.island == island]
    fold(archive, events)
    return archive


@dataclass(frozen=True, slots=True)
class IslandRow:
    """What became of an island; ``retired`` when a reset gave it up."""

    island: int
    retired: bool
    evaluations: int
    elites: int
    best: float | None
    program_id: int | None


def islands(reader: Reader, run: RunRecord) -> list[IslandRow]:
    """Return the islands of a run by number; one row when it has only one."""
    spec, offset = reader.archive(run.id).spec, run.objective.fitness(run.objective.offset)
    archives: dict[int, Archive] = {}
    retired = set()
    for event in reader.archive_events(run.id):
        if event.status == "retired":
            retired.add(event.island)
        else:
            fold(archives.setdefault(event.island, spec.build(offset)), [event])
    evaluations = reader.evaluations_by_island(run.id)
    return [
        IslandRow(
            island=number,
            retired=number in retired,
            evaluations=evaluations.get(number, 0),
            elites=len(archive),
            best=None if archive.best is None else run.objective.fitness(archive.best.fitness),
            program_id=None if archive.best is None else archive.best.key,
        )
        for number, archive in sorted(archives.items())
    ]


def reported_entry(reader: Reader, run: RunRecord, rule: str = "") -> ProgramEntry | None:
    """Return the program to report of a run: its best, or what its problem's rule selects.

    Args:
        reader: Reads the run.
        run: The run.
        rule: Takes the place of that rule.

    Raises:
        ConfigError: there is no such rule.
    """
    select = select_of(run, rule)
    if select.rule == "objective":
        return reader.best(run.id)
    chosen = reported(reader, run.id, run.objective, select)
    return None if chosen is None else reader.program(chosen).entry


def comparison(reader: Reader, run: RunRecord) -> list[ComparedRow]:
    """Return the best program, the seed program and the baselines, as far as they were compared."""
    best = reported_entry(reader, run)
    named = [] if best is None else [("best found", best)]
    named += [("seed program", entry) for entry in reader.programs(run.id, operator="seed")]
    named += [
        (entry.operator.removeprefix("baseline:"), entry)
        for entry in reader.programs(run.id, operator="baseline:")
    ]
    rows = []
    for name, entry in named:
        evaluations = reader.program(entry.id).evaluations
        held_out = [e for e in evaluations if e.stage == "held_out"]
        search = [e for e in evaluations if e.stage == "search"]
        if held_out:
            metrics = held_out[-1].score.metrics if held_out[-1].score else {}
            rows.append(
                ComparedRow(name, entry.id, _objective(search), _objective(held_out), metrics)
            )
    return rows


def arms(reader: Reader, run: RunRecord) -> list[Arm]:
    """Return what each operator with each model has come to, the most used first."""
    credit = Credit(run.objective)
    for ended in reader.ended(run.id, run.problem_hash):
        credit.tell(ended)
    return sorted(credit.arms.values(), key=lambda arm: -arm.pulls)


def _objective(evaluations: list[Evaluation]) -> float | None:
    score = evaluations[-1].score if evaluations else None
    return score.objective if score else None
