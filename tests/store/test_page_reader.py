"""Questions that pages ask: lists in pages, improvements, what entered since."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

from evolve.core.errors import StoreError
from evolve.core.evaluation import Outcome, Sample
from evolve.store.listing import Key, Order, Wanted
from evolve.store.page_reader import PageReader, open_page_reader
from evolve.store.records import ProgramEntry
from evolve.store.store import Store
from tests.store.samples import (
    SampleReply,
    entering,
    failed,
    new_run,
    program,
    propose,
    scored,
)

SIZE = 4
OBJECTIVES = [5.0, 7.0, 4.0, None, 4.0, 9.0, 3.5, None, 3.5, 1.0, 2.0, 6.0, 1.0]


@pytest.fixture
def reader(store: Store, url: str, run_id: int) -> Iterator[PageReader]:
    """Read a run of 13 programs: some have no score, some share one, one is a baseline."""
    for number, objective in enumerate(OBJECTIVES):
        if number == 0:
            added = store.add_program(
                run_id, program(0), parent_ids=[], generation=0, operator="seed", summary=""
            ).id
        else:
            added = propose(store, run_id, number - 1, number, 1)
        evaluation = failed() if objective is None else scored(objective)
        event = [] if objective is None else [entering(added, number, -objective)]
        store.commit_evaluation(added, evaluation, event)
    baseline = store.add_program(
        run_id, program(99), parent_ids=[], generation=0, operator="baseline:x", summary=""
    ).id
    store.commit_evaluation(baseline, scored(0.5), [])
    with open_page_reader(url) as opened:
        yield opened


ALL = Wanted()


def forwards(reader: PageReader, order: Order, wanted: Wanted = ALL) -> list[ProgramEntry]:
    """Read all pages, from the first to the last, and back again."""
    run = reader.run()
    start: Key | None = None
    found: list[ProgramEntry] = []
    pages = []
    while True:
        page = reader.listed(run, wanted, order, SIZE, start)
        pages.append(page.programs)
        found += page.programs
        if page.after is None:
            break
        start = page.after
    backwards = [page.programs]
    while page.before is not None:
        page = reader.listed(run, wanted, order, SIZE, page.before, back=True)
        backwards.append(page.programs)
    assert [len(each) for each in backwards[:-1]] == [len(each) for each in pages[::-1][:-1]]
    assert [e.id for each in backwards[::-1] for e in each] == [e.id for e in found]
    return found


@pytest.mark.parametrize("order", ["newest", "oldest", "best", "worst", "deepest"])
def test_pages_hold_every_program_once_in_order(reader: PageReader, order: Order) -> None:
    found = forwards(reader, order)
    ids = [entry.id for entry in found]
    assert len(set(ids)) == len(ids)
    if order in ("best", "worst"):
        objectives = [entry.objective for entry in found if entry.objective is not None]
        assert len(objectives) == len(found)
        assert objectives == sorted(objectives, reverse=order == "worst")  # it is minimised
        assert len(ids) == 12
    elif order == "deepest":
        assert sorted(ids) == list(range(1, 15))
        generations = [entry.generation for entry in found]
        assert generations == sorted(generations, reverse=True)
    else:
        assert ids == sorted(range(1, 15), reverse=order == "newest")


@pytest.mark.parametrize("order", ["newest", "oldest", "best", "worst", "deepest"])
@pytest.mark.parametrize(
    ("wanted", "ids"),
    [
        (Wanted(outcome=Outcome.EXCEPTION), {4, 8}),
        (Wanted(operator="seed"), {1}),
        (Wanted(text="x to 12"), {13}),
        (Wanted(text="%"), set()),
        (Wanted(island=3), set()),
        (Wanted(operator="diff", outcome=Outcome.EXCEPTION), {4, 8}),
    ],
)
def test_filters(reader: PageReader, order: Order, wanted: Wanted, ids: set[int]) -> None:
    scored_ids = {n for n in ids if n not in (4, 8)} if order in ("best", "worst") else ids
    assert {entry.id for entry in forwards(reader, order, wanted)} == scored_ids
    assert reader.count(1, wanted) == len(ids)


def test_a_hash_finds_its_program(reader: PageReader) -> None:
    wanted = Wanted(text=program(5).id[:10])
    assert [entry.id for entry in forwards(reader, "newest", wanted)] == [6]


def test_improvements_are_those_of_the_course(reader: PageReader) -> None:
    run = reader.run()
    improvements = reader.improvements(run)
    assert [each.objective for each in improvements] == [5.0, 4.0, 3.5, 1.0]
    assert [each.program for each in improvements] == [1, 3, 7, 10]
    latest = reader.latest(run.id)[0]
    at = reader.ordinals(run.id, [each.evaluation for each in improvements] + [latest])
    course = [(point.evaluations, point.best) for point in reader.progress(run.id)]
    assert course == [(at[each.evaluation], each.objective) for each in improvements] + [
        (at[latest], 1.0)
    ]
    assert reader.improvements(run, most=2) == improvements[-2:]


def test_counts_leave_baselines_out(reader: PageReader) -> None:
    counts = reader.counts(1)
    assert counts.evaluations == reader.totals(1).evaluations
    assert counts.evaluated == 13
    assert sum(counts.proposals.values()) == reader.totals(1).proposals


def test_changes_are_the_archive_events_and_can_be_continued(reader: PageReader) -> None:
    changes = reader.entered(1, 0)
    assert tuple(change.event for change in changes) == reader.archive_events(1)
    middle = changes[4].row
    assert reader.entered(1, 0, after=middle) == changes[5:]


def test_the_stamp_changes_with_the_run_only(reader: PageReader, store: Store) -> None:
    seen = [reader.stamp(1)]
    assert reader.stamp(1) == seen[0]

    def changed() -> bool:
        seen.append(reader.stamp(1))
        return seen[-1] not in seen[:-1]

    proposal = store.begin_proposal(1, 40, "diff", 0, [1], [])
    assert changed()
    call = store.send_completion(proposal, "openai/sample", '{"messages": []}', {}, 0.5)
    assert changed()
    store.receive_completion(call, SampleReply("x = 1"), 0.01)
    assert changed()
    store.reject(proposal, "no_op", "nothing was changed")
    assert changed()
    added = propose(store, 1, 41, 77, 1)
    assert changed()
    store.commit_evaluation(added, failed(), [])
    assert changed()
    assert not changed()


def test_calls_are_settled_up_to_the_first_of_the_run_that_has_not_ended(
    reader: PageReader, store: Store
) -> None:
    ended = reader.settled(1)
    other = store.create_run(new_run()).id
    lost = store.begin_proposal(other, 0, "diff", 0, [], [])
    call = store.send_completion(lost, "openai/sample", '{"messages": []}', {}, 0.5)
    assert (reader.settled(other), reader.settled(1)) == (ended, call)
    propose(store, 1, 40, 77, 1)
    assert (reader.settled(other), reader.settled(1)) == (ended, call + 1)


def test_relatives(reader: PageReader) -> None:
    assert [entry.id for entry in reader.ancestors(5)] == [5, 1]
    assert reader.descendants(1) == list(range(2, 14))
    assert reader.descendants(5) == []


def test_in_flight(reader: PageReader, store: Store) -> None:
    added = propose(store, 1, 40, 77, 1)
    store.begin_proposal(1, 41, "diff", 0, [1], [])
    assert [(each.program, each.operator) for each in reader.in_flight(1)] == [
        (added, "diff"),
        (None, "diff"),
    ]


def test_causes_come_with_their_messages(reader: PageReader) -> None:
    causes = reader.causes(1)
    assert [(each.what, each.kind, each.message, each.program) for each in causes] == [
        ("evaluation", "exception", "ValueError: no", 8),
        ("evaluation", "exception", "ValueError: no", 4),
    ]


def test_texts_of_a_call_belong_to_its_program(reader: PageReader) -> None:
    (call,) = reader.calls(2)
    assert reader.call_texts(2, call.id) == ('{"messages": []}', "x = 1")
    assert reader.call_texts(3, call.id) is None
    assert reader.calls(1) == ()
    calls, cost, unpriced = reader.cost(1)
    assert reader.cost(1, after=reader.settled(1)) == (0, 0.0, 0)
    assert (calls, unpriced) == (12, 0)
    assert cost == pytest.approx(0.12)


def test_held_out_marks_stand_at_the_search_evaluation(reader: PageReader, store: Store) -> None:
    for number, objective in ((7, 4.5), (3, 5.5)):
        store.commit_evaluation(number, scored(objective, stage="held_out"), [])
    store.commit_evaluation(1, scored(6.0, stage="held_out"), [])  # the seed program
    marks = reader.held_out_marks(1)
    assert [(mark.program, mark.objective) for mark in marks] == [(3, 5.5), (7, 4.5)]
    at = reader.ordinals(1, [mark.evaluation for mark in marks])
    assert [at[mark.evaluation] for mark in marks] == [3, 7]
    known = {each.program_id: each.evaluations for each in reader.held_out(1)}
    assert [known[mark.program] for mark in marks] == [3, 7]


def test_where_scores_vary_the_list_goes_by_all_samples(store: Store, url: str) -> None:
    noisy = store.create_run(replace(new_run(), provenance={"noise": {}})).id
    ids = [store.add_program(noisy, program(n), operator="seed").id for n in range(9)]
    for number, first in zip(ids, OBJECTIVES, strict=False):
        evaluation = failed() if first is None else scored(first)
        store.add_sample(number, Sample(0, evaluation), 1.0)
        store.commit_evaluation(number, evaluation, [])
    lucky, better = ids[6], ids[5]  # 3.5 was the best of the first samples, 9.0 the worst
    store.add_sample(lucky, Sample(1, scored(20.5)), 2.0)
    store.add_sample(better, Sample(1, scored(-8.0)), 2.0)
    with open_page_reader(url) as reader:
        run = reader.run(noisy)
        found: list[ProgramEntry] = []
        page = reader.listed(run, ALL, "best", SIZE)
        while page.after is not None:
            found += page.programs
            page = reader.listed(run, ALL, "best", SIZE, page.after)
        found += page.programs
    assert [(e.id, e.objective, e.samples) for e in found] == [
        (better, 0.5, 2),
        (ids[8], 3.5, 1),
        (ids[2], 4.0, 1),
        (ids[4], 4.0, 1),
        (ids[0], 5.0, 1),
        (ids[1], 7.0, 1),
        (lucky, 12.0, 2),
    ]
    assert found[0].error == pytest.approx(8.5)


@pytest.mark.parametrize("number", [2**31, 10**30])
def test_no_row_has_a_number_that_no_database_can_hold(reader: PageReader, number: int) -> None:
    assert reader.find_run(number) is None
    assert reader.entry(number) is None
    for ask in (reader.run, reader.program):
        with pytest.raises(StoreError, match=f"no (run|program) '{number}'"):
            ask(str(number))
