"""Archives of runs as archives of pyribs: the same elites in the same cells, by either way."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from evolve.archive.base import Archive
from evolve.archive.spec import ArchiveKind, ArchiveSpec
from evolve.core.errors import StoreError
from evolve.core.measures import Measure
from evolve.store.reader import Reader, open_reader
from evolve.store.records import ArchiveEvent
from evolve.store.store import open_store
from evolve.view.report import archive_of
from evolve.view.ribs import load_ribs, ribs_data, save_ribs, to_ribs
from tests.store.samples import new_run, program, scored

AXES = (Measure("length", 0, 100, 10), Measure("depth", 0.0, 1.0, 4))

CENTROIDS = tuple((float(x), float(y)) for x, y in np.random.default_rng(1).random((30, 2)))


def fill(path: Path, spec: ArchiveSpec, count: int = 60) -> None:
    """Make a run whose archive was offered so many programs, some beyond the bounds."""
    rng = np.random.default_rng(4)
    with open_store(str(path)) as store:
        run_id = store.create_run(new_run(), spec).id
        store.claim(run_id, "here:1")
        archive = spec.build(-10.0)
        for number in range(count):
            added = store.add_program(run_id, program(number), operator="diff").id
            loss = float(rng.normal())
            measures = {
                m.name: float(rng.uniform(m.low - (m.low == 0), m.high * 1.1))
                for m in spec.measures
            }
            result = archive.add(added, -loss, measures)
            entered = ArchiveEvent(
                added, 0, result.cell, result.status.name.lower(), -loss, measures, result.replaced
            )
            store.commit_evaluation(added, scored(loss), [entered] if result.status else [])


def check(reader: Reader, archive: Archive, file: Path) -> None:
    run = reader.run()
    save_ribs(ribs_data(reader, run), file)
    for made in (to_ribs(reader, run), load_ribs(file)):
        found = made.data()
        wanted = {elite.cell: (elite.key, elite.fitness) for elite in archive.champions()}
        assert {
            int(cell): (int(key), float(fitness))
            for cell, key, fitness in zip(
                found["index"], found["solution"], found["objective"], strict=True
            )
        } == wanted
        stats = archive.stats()
        assert made.stats.num_elites == len(wanted)
        assert float(made.stats.coverage) == pytest.approx(stats.coverage)
        assert made.stats.obj_max == stats.best


@pytest.mark.parametrize(
    "spec",
    [
        ArchiveSpec(AXES),
        ArchiveSpec((Measure("a", 1.0, 1000.0, 12, "log"), Measure("b", 0.0, 1.0, 3, "sqrt"))),
        ArchiveSpec((Measure("length", 0.0, 100.0, 3, "quantile", (20.0, 90.0)), AXES[1])),
        ArchiveSpec(AXES, depth=3),
        ArchiveSpec(AXES, "cvt", centroids=CENTROIDS),
    ],
    ids=["linear", "log and sqrt", "quantile", "deep", "cvt"],
)  # fmt: skip
def test_pyribs_has_the_same_elites_in_the_same_cells(spec: ArchiveSpec, tmp_path: Path) -> None:
    fill(tmp_path / "x.db", spec)
    with open_reader(str(tmp_path / "x.db")) as reader:
        check(reader, archive_of(reader, reader.run()), tmp_path / "archive.npz")


def test_the_qd_score_is_the_same(tmp_path: Path) -> None:
    fill(tmp_path / "x.db", ArchiveSpec(AXES))
    with open_reader(str(tmp_path / "x.db")) as reader:
        made = to_ribs(reader, reader.run())
        assert float(made.stats.qd_score) == pytest.approx(
            archive_of(reader, reader.run()).stats().qd_score
        )


def test_the_file_is_plain_arrays(tmp_path: Path) -> None:
    fill(tmp_path / "x.db", ArchiveSpec(AXES), count=5)
    with open_reader(str(tmp_path / "x.db")) as reader:
        save_ribs(ribs_data(reader, reader.run()), tmp_path / "archive.npz")
    with np.load(tmp_path / "archive.npz", allow_pickle=False) as arrays:
        assert arrays["measure_names"].tolist() == ["length", "depth"]
        assert arrays["dims"].tolist() == [10, 4]


def test_an_empty_archive_and_a_kind_that_pyribs_lacks(tmp_path: Path) -> None:
    kinds: list[ArchiveKind] = ["grid", "novelty"]
    for kind in kinds:
        fill(tmp_path / f"{kind}.db", ArchiveSpec(AXES, kind), count=0)
    with open_reader(str(tmp_path / "grid.db")) as reader:
        assert to_ribs(reader, reader.run()).stats.num_elites == 0
    with (
        open_reader(str(tmp_path / "novelty.db")) as reader,
        pytest.raises(StoreError, match="evolve remap --kind grid"),
    ):
        to_ribs(reader, reader.run())
