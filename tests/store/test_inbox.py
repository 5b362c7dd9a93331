"""Posts to a run: from any process, seen by iterations, and read back as they were seen."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from evolve.core.errors import StoreError
from evolve.store.inbox import Inbox
from evolve.store.reader import open_reader
from evolve.store.store import Store, open_store
from tests.store.samples import new_run, program


@pytest.fixture
def store(url: str) -> Iterator[Store]:
    with open_store(url) as opened:
        yield opened


@pytest.fixture
def run(store: Store) -> int:
    return store.create_run(new_run()).id


def test_a_hint_is_told_from_the_next_iteration_until_it_is_taken_back(
    store: Store, run: int
) -> None:
    inbox = store.inbox
    first = inbox.post_hint(run, " Try\n a grid. ")
    inbox.collect(run, 3)
    inbox.post_hint(run, "Corners matter.")
    assert inbox.hints(run, 3) == ("Try a grid.",)
    inbox.collect(run, 4)
    assert inbox.hints(run, 4) == ("Try a grid.", "Corners matter.")
    inbox.withdraw(run, first)
    assert inbox.hints(run, 4) == ("Try a grid.", "Corners matter."), "iteration 4 was told"
    inbox.collect(run, 5)
    told = [inbox.hints(run, iteration) for iteration in range(6)]
    assert [len(hints) for hints in told] == [0, 0, 0, 1, 2, 1]
    assert inbox.hints(run, 5) == ("Corners matter.",)


def test_an_iteration_takes_one_program_and_keeps_it(store: Store, run: int) -> None:
    inbox = store.inbox
    for number in range(3):
        inbox.post_program(run, program(number), f"{number}.py")
    inbox.withdraw(run, inbox.posts(run)[1].id)
    assert inbox.waiting(run) == 2
    inbox.collect(run, 7)
    inbox.collect(run, 8)
    inbox.collect(run, 9)
    taken = [inbox.program(run, iteration) for iteration in (6, 7, 8, 9)]
    assert taken == [None, (program(0), "0.py"), (program(2), "2.py"), None]
    with pytest.raises(StoreError, match="has taken the program"):
        inbox.withdraw(run, inbox.posts(run)[0].id)


def test_posts_belong_to_their_run(store: Store, run: int) -> None:
    other = store.create_run(new_run()).id
    post = store.inbox.post_hint(run, "here")
    store.inbox.collect(other, 0)
    assert store.inbox.hints(other, 0) == ()
    assert store.inbox.posts(other) == ()
    with pytest.raises(StoreError, match=f"has no hint {post}"):
        store.inbox.withdraw(other, post)
    with pytest.raises(StoreError, match="needs words"):
        store.inbox.post_hint(run, " \n")


def test_another_process_may_post_while_the_run_is_claimed(
    store: Store, run: int, url: str
) -> None:
    store.claim(run, "somebody")
    with open_store(url) as other:
        other.inbox.post_hint(run, "from outside")
    store.inbox.collect(run, 0)
    assert store.inbox.hints(run, 0) == ("from outside",)
    with open_reader(url) as reader:
        inbox: Inbox = reader.inbox
        assert [post.text for post in inbox.posts(run, "hint")] == ["from outside"]
