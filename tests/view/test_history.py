"""The archive of a run as it was, rebuilt from the store."""

from __future__ import annotations

import math

import pytest

from evolve.archive.base import Archive
from evolve.core.errors import StoreError
from evolve.engine.run import run
from evolve.store.reader import Reader, open_reader
from evolve.store.records import RunRecord
from evolve.view.report import archive_of, evaluations, history
from tests.command import write_config

CUT = 20


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A database with a run whose quantile cells are cut, and one of three islands."""
    folder = tmp_path_factory.mktemp("history")
    db = str(folder / "evolve.db")
    axes = [
        {"name": "ast_nodes", "low": 0, "high": 60, "cells": 6, "scale": "quantile"},
        {"name": "mean", "low": -20, "high": 20, "cells": 8},
    ]
    run(
        write_config(folder, archive={"measures": axes, "warm_up": CUT}, stop={"evaluations": 60}),
        db=db,
    )
    islands = {"count": 3, "migration": {"interval": 10}, "reset": {"interval": 25}}
    run(write_config(folder, islands=islands, stop={"evaluations": 60}), db=db)
    return db


def held(archive: Archive) -> list[tuple[int, int, float]]:
    return [(elite.key, elite.cell, elite.fitness) for elite in archive.elites()]


def offered(reader: Reader, record: RunRecord, number: int, count: int) -> Archive:
    """Return an archive that was offered the first evaluations, from their scores alone."""
    archive = reader.archive(record.id, number).spec.build(
        record.objective.fitness(record.objective.offset)
    )
    order = [fact.program_id for fact in reader.facts(record.id, record.problem_hash)]
    offers = {offer.program_id: offer for offer in reader.offers(record.id)}
    for program in order[:count]:
        if program in offers:
            offer = offers[program]
            archive.add(program, record.objective.fitness(offer.objective), offer.measures)
    return archive


def test_it_is_what_offering_the_same_evaluations_gives(database: str) -> None:
    with open_reader(database) as reader:
        record = reader.run(1)
        count = evaluations(reader, record)
        assert (count, record.archive) == (60, 1)
        numbers = set()
        for after, archive in history(reader, record, range(1, count + 1)):
            number = int(any(axis.breaks for axis in archive.measures))
            numbers.add(number)
            assert held(archive) == held(offered(reader, record, number, int(after)))
        assert numbers == {0, 1}
        assert held(archive_of(reader, record, at=count)) == held(archive_of(reader, record))
        assert not archive_of(reader, record, at=0).elites()


def test_moments_of_islands_grow_into_what_they_hold_now(database: str) -> None:
    with open_reader(database) as reader:
        record = reader.run(2)
        for island in (None, 0, 2):
            sizes = []
            for after, archive in history(reader, record, [1, 20, 40, 60], island):
                assert held(archive) == held(archive_of(reader, record, int(after), island))
                sizes.append(len(archive))
            assert sizes == sorted(sizes)
            assert held(archive_of(reader, record, 60, island)) == held(
                archive_of(reader, record, None, island)
            )
        with pytest.raises(StoreError, match=r"no island 99; there are: 0, 1, 2"):
            archive_of(reader, record, island=99)


def test_an_archive_asked_for_by_number_is_never_another_one(database: str) -> None:
    with open_reader(database) as reader:
        record = reader.run(1)
        before, cut = (archive_of(reader, record, at=5, ref=ref) for ref in (None, 1))
        assert [axis.breaks for axis in before.measures] == [None, None]
        assert cut.measures[0].breaks is not None
        assert held(archive_of(reader, record, at=5, ref=0)) == held(before)
        assert held(cut) == held(offered(reader, record, 1, 5))
        assert held(next(history(reader, record, [math.inf], ref=1))[1]) == held(
            archive_of(reader, record)
        )
