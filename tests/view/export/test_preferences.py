"""Pairs of replies: which are made, in what shape, and an honest count of the rest."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from evolve.core.evaluation import Evaluation, Outcome, Usage
from evolve.store.reader import open_reader
from evolve.store.store import Store, open_store
from evolve.view.export.preferences import Rules, export_preferences
from tests.store.samples import SampleReply, failed, new_run, program, scored

Made = tuple[list[dict[str, Any]], dict[str, dict[str, int]]]


class Author:
    """Adds answered proposals about the seed to a run that minimises a loss."""

    def __init__(self, store: Store) -> None:
        self.store, self.iteration = store, 0
        self.run_id = store.create_run(new_run()).id
        store.claim(self.run_id, "here:1")
        self.seed = store.add_program(self.run_id, program(0), operator="seed").id
        store.commit_evaluation(self.seed, scored(9.0), [])

    def answer(
        self,
        reply: str,
        verdict: Evaluation | None,
        *,
        prompt: str = "improve it",
        operator: str = "diff",
        calls: int = 1,
    ) -> None:
        number = self.iteration
        self.iteration += 1
        proposal = self.store.begin_proposal(self.run_id, number, operator, 0, [self.seed], [])
        for _ in range(calls):
            request = json.dumps(
                {"messages": [{"role": "user", "content": prompt}], "seed": number}
            )
            call = self.store.send_completion(proposal, "openai/m", request, {}, 0.1)
            self.store.receive_completion(call, SampleReply(reply), 0.01)
        if verdict is None:
            self.store.reject(proposal, "no_hunk", "no edit")
            return
        added = self.store.add_program(
            self.run_id,
            program(100 + number),
            proposal_id=proposal,
            parent_ids=[self.seed],
            generation=1,
            operator=operator,
        ).id
        self.store.commit_evaluation(added, verdict, [])


@pytest.fixture
def make(tmp_path: Path) -> Callable[..., Made]:
    def run(fill: Callable[[Author], None], **rules: Any) -> Made:
        with open_store(str(tmp_path / "evolve.db")) as store:
            fill(Author(store))
        with open_reader(str(tmp_path / "evolve.db")) as reader:
            path = tmp_path / "pairs.jsonl"
            counts = export_preferences(reader, reader.run(), path, Rules(**rules))
        return [json.loads(line) for line in path.read_text().splitlines()], counts

    return run


def replies(rows: list[dict[str, Any]], kind: str) -> list[tuple[str, str]]:
    return [
        (row["chosen"][0]["content"], row["rejected"][0]["content"])
        for row in rows
        if row["kind"] == kind
    ]


def timed(loss: float, cpu_ns: int) -> Evaluation:
    return replace(scored(loss), usage=Usage(1, cpu_ns, 1))


def test_the_best_is_paired_with_the_worst_and_what_failed_is_worst(
    make: Callable[..., Made],
) -> None:
    def fill(author: Author) -> None:
        author.answer("middling", scored(5.0))
        author.answer("broken", failed())
        author.answer("good", scored(1.0))
        author.answer("bad", scored(7.0))
        author.answer("fair", scored(4.0))

    rows, counts = make(fill, kinds=("correctness",))

    assert replies(rows, "correctness") == [("good", "broken"), ("fair", "bad")]
    assert counts == {
        "pairs": {"correctness": 2},
        "answers": {"usable": 5, "the_same_text": 0},
    }
    assert (rows[0]["chosen_objective"], rows[0]["rejected_outcome"]) == (1.0, "exception")


def test_lines_have_the_shape_that_trl_reads(make: Callable[..., Made]) -> None:
    def fill(author: Author) -> None:
        author.answer("good", scored(1.0), prompt="task A")
        author.answer("broken", failed(), prompt="task B")

    (row,), _ = make(fill)

    assert row["prompt"] == [{"role": "user", "content": "task A"}]
    assert row["chosen"] == [{"role": "assistant", "content": "good"}]
    assert row["rejected"] == [{"role": "assistant", "content": "broken"}]
    assert row["same_prompt"] is False


def test_only_literally_equal_prompts_on_request(make: Callable[..., Made]) -> None:
    def fill(author: Author) -> None:
        author.answer("good", scored(1.0), prompt="task A")
        author.answer("fine", scored(2.0), prompt="task B")
        author.answer("weak", scored(3.0), prompt="task B")
        author.answer("broken", failed(), prompt="task B")

    rows, counts = make(fill, kinds=("correctness",), same_prompt=True)

    assert replies(rows, "correctness") == [("fine", "weak")]
    assert counts["answers"]["pairs_of_other_prompts"] == 1


def test_a_margin_is_to_be_passed(make: Callable[..., Made]) -> None:
    def fill(author: Author) -> None:
        author.answer("a", scored(1.0))
        author.answer("b", scored(1.5))

    assert replies(make(fill, margin=0.5)[0], "correctness") == []
    assert replies(make(fill, margin=0.4)[0], "correctness") == [("a", "b")]


def test_equal_scores_are_paired_by_time(make: Callable[..., Made]) -> None:
    def fill(author: Author) -> None:
        author.answer("slow", timed(1.0, 300))
        author.answer("fast", timed(1.0, 100))
        author.answer("taken over", replace(timed(1.0, 1), copied_from=1))
        author.answer("fast but worse", timed(2.0, 10))

    rows, _ = make(fill, kinds=("speed",))
    assert replies(rows, "speed") == [("fast", "slow")]
    assert replies(make(fill, kinds=("speed",), speedup=3.5)[0], "speed") == []


def test_operators_are_not_mixed_and_groups_are_bounded(make: Callable[..., Made]) -> None:
    def fill(author: Author) -> None:
        for number in range(8):
            author.answer(f"diff {number}", scored(float(number)))
        author.answer("rewrite", failed(), operator="rewrite")

    rows, _ = make(fill, per_group=2)
    assert replies(rows, "correctness") == [("diff 0", "diff 7"), ("diff 1", "diff 6")]


def test_a_text_counts_once(make: Callable[..., Made]) -> None:
    def fill(author: Author) -> None:
        author.answer("good", scored(1.0))
        author.answer("good", scored(1.0))
        author.answer("broken", failed())
        author.answer("broken", failed())

    rows, counts = make(fill)
    assert replies(rows, "correctness") == [("good", "broken")]
    assert counts["answers"]["the_same_text"] == 2
    assert len(make(fill, dedup=False)[0]) == 2


def test_what_is_no_reply_with_a_verdict_is_left_out_and_counted(
    make: Callable[..., Made],
) -> None:
    def fill(author: Author) -> None:
        author.answer("good", scored(1.0))
        author.answer("does not apply", None)
        author.answer("mended", failed(), calls=2)
        author.answer("unlucky", failed(Outcome.INFRASTRUCTURE))
        author.answer("ended early", failed(Outcome.BELOW_THRESHOLD))

    rows, counts = make(fill)
    assert rows == []
    assert counts == {
        "pairs": {"correctness": 0, "speed": 0},
        "answers": {
            "usable": 1,
            "no_program": 1,
            "several_calls": 1,
            "no_verdict": 2,
            "the_same_text": 0,
        },
    }
