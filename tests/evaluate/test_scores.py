"""What a score must be, and how it travels."""

from __future__ import annotations

import math
from decimal import Decimal
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evolve.core.errors import EvaluatorError
from evolve.core.evaluation import Score
from evolve.core.png import encode_png
from evolve.evaluate.scores import (
    ARTIFACT_LIMIT,
    ENTRY_LIMIT,
    FEEDBACK_LIMIT,
    IMAGE_LIMIT,
    pack_score,
    score_data,
    unpack_score,
    with_measures,
)
from evolve.sandbox import wire

NUMBERS = st.floats(allow_nan=False, allow_infinity=False)
NAMED = st.dictionaries(st.text(max_size=5), NUMBERS, max_size=3)


@given(st.builds(Score, NUMBERS, NAMED, NAMED, st.text(), st.dictionaries(st.text(), st.text())))
def test_a_score_survives_the_way(score: Score) -> None:
    data: Any = wire.loads(wire.dumps(pack_score(score)))
    arrived = unpack_score(data)
    assert arrived == unpack_score(pack_score(score))
    assert (arrived.objective, arrived.measures) == (score.objective, score.measures)
    assert score_data(arrived) == data


@pytest.mark.parametrize("number", [1, 1.5, np.float32(0.5), np.int64(3), Fraction(1, 4)])
def test_real_numbers_of_any_kind_become_floats(number: Any) -> None:
    packed = pack_score(Score(number, {"m": number}, {"n": number}))
    assert packed["objective"] == float(number)
    assert type(packed["objective"]) is float
    assert packed["measures"] == {"m": float(number)}


@pytest.mark.parametrize(
    ("score", "message"),
    [
        (None, "gave a NoneType; return evolve.Score"),
        ({"objective": 1.0}, "gave a dict"),
        (1.0, "gave a float"),
        (Score(math.nan), "the objective is nan"),
        (Score(-math.inf), "the objective is -inf"),
        (Score(10**400), "the objective is inf"),
        (Score(True), "the objective is a bool"),
        (Score(np.bool_(True)), "the objective is a bool"),  # type: ignore[arg-type] # on purpose
        (Score("1.0"), "the objective is a str"),  # type: ignore[arg-type] # on purpose
        (Score(None), "the objective is a NoneType"),  # type: ignore[arg-type] # on purpose
        (Score(1 + 2j), "the objective is a complex"),  # type: ignore[arg-type] # on purpose
        (Score(np.array(1.0)), "the objective is a ndarray"),  # type: ignore[arg-type] # on purpose
        (Score(Decimal(1)), "the objective is a Decimal"),  # type: ignore[arg-type] # on purpose
        (Score(1.0, {"size": math.nan}), r"measures\['size'\] is nan"),
        (Score(1.0, {"size": True}), r"measures\['size'\] is a bool"),
        (Score(1.0, [1.0]), "measures is a list"),  # type: ignore[arg-type] # on purpose
        (Score(1.0, {3: 1.0}), "measures has the key 3"),  # type: ignore[dict-item] # on purpose
        (Score(1.0, {}, {"time": math.inf}), r"metrics\['time'\] is inf"),
        (Score(1.0, {}, {str(i): 0.0 for i in range(ENTRY_LIMIT + 1)}), "metrics has 1001 entries"),
        (Score(1.0, feedback=b"x"), "feedback is a bytes"),  # type: ignore[arg-type] # on purpose
        (Score(1.0, artifacts={"log": 3}), "artifact 'log' is a int"),  # type: ignore[dict-item] # on purpose
    ],
)
def test_anything_else_is_the_evaluators_error(score: Any, message: str) -> None:
    with pytest.raises(EvaluatorError, match=message):
        pack_score(score)


def test_long_and_broken_texts_are_cut_and_mended() -> None:
    long = Score(0.0, feedback="é" * 30_000, artifacts={"log": "x" * 300_000, "bad": "\ud800"})
    packed = unpack_score(pack_score(long))
    assert packed.feedback.startswith("é" * FEEDBACK_LIMIT + "\n[... 10000 characters cut")
    assert len(packed.artifacts["log"]) < ARTIFACT_LIMIT + 50
    assert packed.artifacts["bad"] == "?"


def test_declared_measures_are_kept_and_the_others_become_metrics() -> None:
    score = Score(1.0, {"size": 2.0, "spare": 3.0}, {"time": 4.0})
    completed = with_measures(score, {"code_length": 5.0}, ("size", "code_length"))
    assert completed.measures == {"size": 2.0, "code_length": 5.0}
    assert completed.metrics == {"spare": 3.0, "time": 4.0}


def test_a_missing_measure_is_named_with_what_there_is() -> None:
    with pytest.raises(EvaluatorError, match=r"lacks the measure 'size' .* it has 'sise'\. Return"):
        with_measures(Score(1.0, {"sise": 2.0}), {}, ("size",))


PNG = encode_png(np.zeros((3, 4), np.uint8))


def test_images_survive_the_way() -> None:
    score = Score(1.0, images={"drawing": PNG})
    arrived = unpack_score(wire.loads(wire.dumps(pack_score(score))))  # type: ignore[arg-type]  # a dict
    assert arrived == score
    again = unpack_score(wire.loads(wire.dumps(score_data(arrived))))  # type: ignore[arg-type]  # likewise
    assert again == score


@pytest.mark.parametrize(
    ("images", "why"),
    [
        ({"x": b"GIF89a"}, "image 'x' is no PNG"),
        ({"x": "text"}, "image 'x' is a str; give the bytes of a PNG file"),
        ({1: PNG}, "images has the key 1"),
        ({str(n): PNG for n in range(IMAGE_LIMIT + 1)}, "images has 9 entries; 8 are kept"),
    ],
)
def test_what_is_no_image_is_the_evaluators_mistake(images: Any, why: str) -> None:
    with pytest.raises(EvaluatorError, match=why):
        pack_score(Score(1.0, images=images))
