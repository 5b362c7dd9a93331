from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import update

from evolve.core.errors import StoreError
from evolve.core.evaluation import Outcome
from evolve.store.calls import TokenCounts
from evolve.store.reader import Reader, open_reader
from evolve.store.records import ArchiveEvent
from evolve.store.schema import runs
from evolve.store.store import Store
from tests.store.samples import SampleReply, entering, failed, new_run, program, propose, scored


@pytest.fixture
def reader(url: str, store: Store) -> Iterator[Reader]:
    with open_reader(url) as opened:
        yield opened


@pytest.fixture
def family(store: Store, run_id: int) -> list[int]:
    """A seed, a failing child, a better child, and the child's better child."""
    seed = store.add_program(run_id, program(0), operator="seed").id
    store.commit_evaluation(seed, scored(4.0), [entering(seed, 3, -4.0)])
    broken = propose(store, run_id, 0, 1, seed)
    store.commit_evaluation(broken, failed(), [])
    child = propose(store, run_id, 1, 2, seed)
    store.commit_evaluation(child, scored(3.0), [entering(child, 5, -3.0)])
    proposal = store.begin_proposal(run_id, 2, "crossover", 0, [child, seed], [seed])
    grandchild = store.add_program(
        run_id,
        program(3),
        proposal_id=proposal,
        parent_ids=[child, seed],
        generation=2,
        operator="crossover",
    ).id
    store.commit_evaluation(grandchild, scored(1.0), [entering(grandchild, 3, -1.0, seed)])
    return [seed, broken, child, grandchild]


def test_runs_are_found_by_id_name_or_age(store: Store, reader: Reader) -> None:
    first = store.create_run(new_run("alpha"))
    second = store.create_run(new_run("beta"))
    third = store.create_run(new_run("alpha"))
    fourth = store.create_run(new_run("99"))
    assert reader.runs() == (first, second, third, fourth)
    assert reader.run("beta") == second
    assert reader.run("alpha") == third
    assert reader.run(first.id) == reader.run(str(first.id)) == first
    assert reader.run() == reader.run("latest") == reader.run("99") == fourth


def test_an_unknown_run_is_answered_with_those_there_are(store: Store, reader: Reader) -> None:
    with pytest.raises(StoreError, match="holds no run yet"):
        reader.run()
    store.create_run(new_run("alpha"))
    store.create_run(new_run("beta"))
    with pytest.raises(
        StoreError, match=r"no run 'gamma'; there are 2 \(beta, sphere\), 1 \(alpha"
    ):
        reader.run("gamma")
    with pytest.raises(StoreError, match="no run 7"):
        reader.totals(7)


def test_programs_can_be_paged_and_filtered(
    reader: Reader, store: Store, run_id: int, family: list[int]
) -> None:
    pending = propose(store, run_id, 3, 9, family[0])
    everything = reader.programs(run_id)
    assert [entry.id for entry in everything] == [*family, pending]
    assert everything[-1].outcome is None
    assert everything[-1].message == ""
    assert [e.id for e in reader.programs(run_id, newest_first=True, limit=2)] == [
        pending,
        family[3],
    ]
    assert reader.programs(run_id, limit=2, offset=1) == everything[1:3]
    assert [e.id for e in reader.programs(run_id, operator="cross")] == [family[3]]
    assert reader.programs(run_id, operator="%") == ()
    assert [e.id for e in reader.programs(run_id, outcome=Outcome.EXCEPTION)] == [family[1]]
    assert [e.parents for e in everything[:4]] == [
        (),
        (family[0],),
        (family[0],),
        (family[2], family[0]),
    ]


@pytest.mark.parametrize(("direction", "order"), [("minimize", [3, 2, 0]), ("maximize", [0, 2, 3])])
def test_the_leaderboard_follows_the_direction(
    reader: Reader, store: Store, run_id: int, family: list[int], direction: str, order: list[int]
) -> None:
    with store._database.write() as connection:
        connection.execute(update(runs).values(direction=direction))
    baseline = store.add_program(run_id, program(50), operator="baseline:best_fit").id
    store.commit_evaluation(baseline, scored(0.0), [])
    expected = [family[i] for i in order]
    assert [entry.id for entry in reader.leaderboard(run_id)] == expected
    assert [entry.id for entry in reader.leaderboard(run_id, limit=1, offset=1)] == expected[1:2]
    best = reader.best(run_id)
    assert best is not None
    assert best.id == expected[0]
    assert [e.id for e in reader.programs(run_id, operator="baseline:")] == [baseline]


def test_a_new_score_takes_the_place_of_an_old_one(
    reader: Reader, store: Store, run_id: int, family: list[int]
) -> None:
    store.commit_evaluation(family[0], scored(0.5, evaluator="newer"), [])
    assert [(e.id, e.objective) for e in reader.leaderboard(run_id)] == [
        (family[0], 0.5),
        (family[3], 1.0),
        (family[2], 3.0),
    ]


def test_an_empty_run_has_nothing_to_show(reader: Reader, run_id: int) -> None:
    assert reader.best(run_id) is None
    assert reader.programs(run_id) == ()
    assert reader.elites(run_id) == ()
    assert reader.progress(run_id) == ()
    assert reader.failures(run_id) == ()
    assert reader.spending(run_id, "model") == ()


def test_a_program_is_found_by_id_or_by_the_beginning_of_its_hash(
    reader: Reader, store: Store, run_id: int, family: list[int]
) -> None:
    record = reader.program(family[3])
    assert record.program == program(3)
    assert record.inspirations == (family[0],)
    assert reader.program(str(family[3])) == record
    assert reader.program(program(3).id) == record
    assert reader.program(program(3).id[:12].upper()) == record
    other = store.create_run(new_run()).id
    twin = store.add_program(other, program(3), operator="seed").id
    with pytest.raises(StoreError, match=rf"may be any of the programs {twin} \("):
        reader.program(program(3).id[:12])
    assert reader.program(program(3).id[:12], run_id=run_id) == record
    for unknown in ("zz", 0):
        with pytest.raises(StoreError, match=f"no program {unknown!r}"):
            reader.program(unknown)
    with pytest.raises(StoreError, match=f"run {other}: no program {family[0]}"):
        reader.program(family[0], run_id=other)


def test_lineage_has_every_ancestor_once(reader: Reader, family: list[int]) -> None:
    seed, broken, child, grandchild = family
    assert [entry.id for entry in reader.lineage(grandchild)] == [grandchild, child, seed]
    assert [entry.id for entry in reader.lineage(broken)] == [broken, seed]
    assert reader.lineage(999) == ()


def test_elites_at_any_moment(reader: Reader, run_id: int, family: list[int]) -> None:
    seed, _, child, grandchild = family
    now = {elite.cell: elite.program_id for elite in reader.elites(run_id)}
    assert now == {3: grandchild, 5: child}
    assert [e.program_id for e in reader.elites(run_id, at=1)] == [seed]
    assert [e.program_id for e in reader.elites(run_id, at=2)] == [seed, child]
    assert reader.elites(run_id, at=0) == ()
    (first, _) = reader.elites(run_id)
    assert (first.objective, first.fitness) == (1.0, -1.0)
    assert first.measures == {"length": 12.0, "depth": 0.25}


def test_progress_has_a_point_per_improvement_and_the_last(
    reader: Reader, store: Store, run_id: int, family: list[int]
) -> None:
    assert [(p.evaluations, p.best) for p in reader.progress(run_id)] == [
        (1, 4.0),
        (3, 3.0),
        (4, 1.0),
    ]
    worse = propose(store, run_id, 3, 9, family[0])
    store.commit_evaluation(worse, scored(8.0), [])
    points = reader.progress(run_id)
    assert (points[-1].evaluations, points[-1].best) == (5, 1.0)
    seconds = [point.elapsed_s for point in points]
    assert seconds == sorted(seconds)


def test_spending_by_model_operator_and_outcome(
    reader: Reader, store: Store, run_id: int, family: list[int]
) -> None:
    proposal = store.begin_proposal(run_id, 3, "rewrite", 0, [family[0]], [])
    call = store.send_completion(proposal, "anthropic/other", "{}", {}, None)
    store.receive_completion(call, SampleReply(), None)
    store.reject(proposal, "syntax", "line 1: invalid syntax")
    call = store.send_completion(proposal, "anthropic/other", "{}", {}, 2.0)

    sample, other = reader.spending(run_id, "model")
    assert (sample.group, sample.calls, sample.unpriced_calls) == ("openai/sample", 2, 0)
    assert sample.cost_usd == pytest.approx(0.02)
    assert sample.tokens == TokenCounts(200, 40, 60, 10)
    assert (sample.proposals, sample.applied, sample.valid, sample.improved) == (2, 2, 1, 1)
    assert (sample.replies, sample.latency_s) == (2, 0.5)
    assert (other.group, other.calls, other.cost_usd) == ("anthropic/other", 2, 0.0)
    assert (other.unpriced_calls, other.replies, other.assumed_calls) == (1, 1, 0)
    assert (other.proposals, other.applied, other.valid, other.improved) == (1, 0, 0, 0)
    by_operator = {each.group: each.calls for each in reader.spending(run_id, "operator")}
    assert by_operator == {"diff": 2, "rewrite": 2}
    by_outcome = {each.group: each.calls for each in reader.spending(run_id, "outcome")}
    assert by_outcome == {"exception": 1, "improved": 1, "syntax": 2}


def test_failures_are_grouped_with_an_example(
    reader: Reader, store: Store, run_id: int, family: list[int]
) -> None:
    proposal = 0
    for iteration in (3, 4):
        proposal = store.begin_proposal(run_id, iteration, "diff", 0, [], [])
        store.reject(proposal, "patch", f"hunk {iteration} does not apply")
    call = store.send_completion(proposal, "m", "{}", {}, 0.0)
    store.fail_completion(call, "connection refused")
    assert [(f.what, f.kind, f.count, f.example) for f in reader.failures(run_id)] == [
        ("proposal", "patch", 2, "hunk 4 does not apply"),
        ("evaluation", "exception", 1, "ValueError: no"),
        ("model call", "failed", 1, "connection refused"),
    ]


VIEWS = {
    "elites": "SELECT cell, program, objective, operator FROM elites ORDER BY cell",
    "leaderboard": "SELECT rank, program, objective FROM leaderboard ORDER BY rank",
    "lineage": "SELECT program, parent, parent_objective FROM lineage WHERE program = 4",
    "spend_by_model": "SELECT model, calls, cost_usd FROM spend_by_model",
    "failures": "SELECT what, kind, iteration, program, message FROM failures",
}


def test_views_say_the_same_in_plain_sql(store: Store, run_id: int, family: list[int]) -> None:
    with store._database.read() as connection:
        seen = {
            name: [tuple(row) for row in connection.exec_driver_sql(query)]
            for name, query in VIEWS.items()
        }
    assert seen == {
        "elites": [(3, 4, 1.0, "crossover"), (5, 3, 3.0, "diff")],
        "leaderboard": [(1, 4, 1.0), (2, 3, 3.0), (3, 1, 4.0)],
        "lineage": [(4, 3, 3.0), (4, 1, 4.0)],
        "spend_by_model": [("openai/sample", 2, 0.02)],
        "failures": [("evaluation", "exception", 0, 2, "ValueError: no")],
    }


@settings(
    max_examples=25,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(tries=st.lists(st.tuples(st.integers(0, 4), st.integers(-3, 3)), max_size=20))
def test_the_elites_view_is_the_fold_of_the_events(
    store: Store, tries: list[tuple[int, int]]
) -> None:
    """Any search whose insertions are strict improvements gives the same map in both ways."""
    run = store.create_run(new_run()).id
    grid: dict[int, ArchiveEvent] = {}
    for number, (cell, fitness) in enumerate(tries):
        added = store.add_program(run, program(number), operator="seed").id
        old = grid.get(cell)
        if old is not None and fitness <= old.fitness:
            store.commit_evaluation(added, scored(-fitness), [])
            continue
        grid[cell] = entering(added, cell, fitness, None if old is None else old.program_id)
        store.commit_evaluation(added, scored(-fitness), [grid[cell]])
    folded = {elite.cell: elite.program_id for elite in store.elites(run)}
    with store._database.read() as connection:
        rows = connection.exec_driver_sql(f"SELECT cell, program FROM elites WHERE run = {run}")
        viewed = dict(tuple(row) for row in rows)
    assert folded == viewed == {cell: entered.program_id for cell, entered in grid.items()}


def test_reading_and_writing_do_not_wait_for_each_other(
    url: str, store: Store, run_id: int
) -> None:
    """A reader in the middle of a transaction sees one state while the writer goes on."""
    written = threading.Event()
    counts: list[int] = []
    seed = store.add_program(run_id, program(0), operator="seed").id

    def read() -> None:
        with open_reader(url) as reader, reader._database.read() as connection:
            count = "SELECT count(*) FROM programs"
            counts.append(connection.exec_driver_sql(count).scalar_one())
            written.wait(10)
            counts.append(connection.exec_driver_sql(count).scalar_one())

    thread = threading.Thread(target=read)
    thread.start()
    while not counts:
        thread.join(0.01)
    for number in range(1, 20):
        propose(store, run_id, number, number, seed)
    written.set()
    thread.join(10)
    assert counts == [1, 1]
    assert len(store.programs(run_id)) == 20


def test_a_reader_cannot_write(url: str, store: Store) -> None:
    with (
        open_reader(url) as reader,
        pytest.raises(StoreError, match="cannot be written"),
        reader._database.read() as connection,
    ):
        connection.exec_driver_sql("DELETE FROM runs")
