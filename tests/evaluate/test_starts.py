"""What programs of mode search begin with, in the scorer that makes their inputs."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from evolve.core.evaluation import Score
from evolve.evaluate.scorer_main import Channel, Scorer
from evolve.evaluate.scores import pack_score
from evolve.sandbox import wire

CASES = 20
EVALUATOR = f"""
from evolve import Case, Evaluator, Score

class Lists(Evaluator):
    def cases(self, stage):
        for number in range({CASES}):
            yield Case({{"start": None}}, name=f"list {{number}}")

    def score(self, case, output, usage):
        case.inputs["start"].clear()
        return Score(0.0)

    def combine(self, scored):
        return Score(float(sum(len(case.inputs["start"]) for case, _ in scored)))
"""


@pytest.fixture
def scorer(tmp_path: Path) -> Scorer:
    (tmp_path / "evaluate.py").write_text(EVALUATOR)
    found = Scorer(Channel(0, 0))  # nothing is sent
    found.load("./evaluate.py:Lists", str(tmp_path), {})
    return found


def test_all_starts_are_read_once_however_many_cases_there_are(
    scorer: Scorer, monkeypatch: pytest.MonkeyPatch
) -> None:
    starts = json.dumps({f"list {number}": [0.1] * 100 for number in range(CASES)})
    made: Any = scorer.cases("search")
    read, loads = [0], json.loads

    def counted(text: str) -> Any:
        read[0] += len(text)
        return loads(text)

    monkeypatch.setattr(json, "loads", counted)
    scores: list[Mapping[str, Any]] = [pack_score(Score(0.0))] * CASES
    folded: Any = scorer.combine("search", made["digest"], 0, scores, starts=starts)
    assert folded["objective"] == 100 * CASES
    assert read[0] <= 2 * len(starts)


def test_each_asking_gets_a_copy_of_its_own_and_the_newest(scorer: Scorer) -> None:
    made: Any = scorer.cases("search")
    digest = made["digest"]
    old, new = (json.dumps({f"list {n}": [start] for n in range(CASES)}) for start in (1.5, 2.5))

    def given(starts: str) -> Any:
        answer: Any = scorer.inputs("search", digest, 3, starts=starts)
        return wire.loads(answer["inputs"].tobytes())

    assert given(old) == {"start": [1.5]}
    scorer.output = wire.dumps(None)
    scorer.score("search", digest, 3, [0, 0, 0], starts=old)  # which empties what it has
    assert given(old) == {"start": [1.5]}
    assert given(new) == {"start": [2.5]}
