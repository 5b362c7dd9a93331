"""What pages keep is the same as folding everything; what they compare is soon compared."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from evolve.core.program import Program
from evolve.store.listing import Wanted
from evolve.store.page_reader import open_page_reader
from evolve.store.store import open_store
from evolve.view.report import archive_of
from evolve.view.web.code import changes
from evolve.view.web.folds import Folds
from evolve.view.web.maps import lay_out
from tests.store.samples import entering, new_run, program, scored

ALL = Wanted()


@pytest.mark.parametrize("islands", [1, 3])
def test_what_is_kept_is_what_a_fold_of_all_gives(tmp_path: Path, islands: int) -> None:
    path, rng = tmp_path / "evolve.db", np.random.default_rng(islands)
    folds = Folds()
    with open_store(str(path)) as store, open_page_reader(str(path)) as reader:
        run_id = store.create_run(new_run()).id
        store.claim(run_id, "here:1")
        best: dict[tuple[int, int], float] = {}
        for number in range(120):
            if number == 80:
                with folds.of(reader, reader.run(run_id)):
                    pass
            added = store.add_program(
                run_id, program(number), parent_ids=[], generation=0, operator="seed", summary=""
            ).id
            measures = {"length": float(rng.uniform(-20, 120)), "depth": float(rng.uniform(0, 1))}
            island, fitness = int(rng.integers(islands)), float(rng.integers(40))
            column = min(max(int(measures["length"] // 10), 0), 9)
            cell = column * 4 + min(int(measures["depth"] * 4), 3)
            events = []
            if fitness > best.get((island, cell), -1.0):
                best[island, cell] = fitness
                event = entering(added, cell, fitness)
                fields = {name: getattr(event, name) for name in event.__slots__}
                events = [type(event)(**{**fields, "island": island, "measures": measures})]
            store.commit_evaluation(added, scored(-fitness), events)
        run = reader.run(run_id)
        for kept in (folds, Folds()):
            with kept.of(reader, run) as folded:
                whole = archive_of(reader, run)
                assert folded.archive.elites() == whole.elites()
                notes = lay_out(folded.archive, run.objective, None, folded.clipped).notes
                assert notes == lay_out(whole, run.objective).notes
                assert "length" in notes[-1]
                for number, archive in folded.islands.items():
                    assert archive.elites() == archive_of(reader, run, island=number).elites()


def test_counts_are_asked_for_again_once_a_run_has_changed(tmp_path: Path) -> None:
    path, folds, asked = tmp_path / "evolve.db", Folds(), list[int]()
    with open_store(str(path)) as store, open_page_reader(str(path)) as reader:
        run_id, other = (store.create_run(new_run()).id for _ in range(2))

        def count() -> int:
            asked.append(len(reader.programs(run_id)))
            return asked[-1]

        def look() -> tuple[int, int, int]:
            counts = folds.counts(reader, run_id).evaluated
            return folds.kept(reader, run_id, "n", count), counts, folds.count(reader, run_id, ALL)

        assert look() == look() == (0, 0, 0)
        added = store.add_program(run_id, program(1), operator="seed").id
        assert look() == look() == (1, 0, 1)
        store.commit_evaluation(added, scored(), [])
        assert look() == look() == (1, 1, 1)
        store.add_program(other, program(1), operator="seed")
        assert look() == (1, 1, 1)
        assert asked == [0, 1, 1], "once for each state of the run"
        assert folds.count(reader, run_id, Wanted(operator="seed")) == 1
        assert folds.count(reader, run_id, Wanted(operator="other")) == 0


def test_a_table_of_equal_lines_is_compared_without_trying_all_pairs_of_them() -> None:
    def table(name: str) -> Program:
        lines = ("    0,\n" if number % 2 else f"    {name}{number},\n" for number in range(2900))
        return Program({"main.py": "".join(lines)})

    lines = changes(table("a"), table("b"))
    for kind, name in (("remove", "a"), ("add", "b")):
        told = [line.text for line in lines if line.kind == kind and name in line.text]
        assert told == [f"    {name}{number}," for number in range(0, 2900, 2)]
