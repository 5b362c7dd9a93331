from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from pydantic import JsonValue

from evolve.config.models import ProposerConfig
from evolve.core.errors import ConfigError
from evolve.propose.diff import DiffProposer
from evolve.propose.portfolio import Portfolio, open_proposers
from evolve.propose.rewrite import RewriteProposer

MODELS = ["openai/a", "anthropic/b"]


def opened(
    kind: str = "diff",
    options: dict[str, JsonValue] | None = None,
    *,
    models: Sequence[str] = MODELS,
    folder: Path = Path(),
) -> Portfolio:
    return open_proposers([ProposerConfig(kind=kind, options=options or {})], models, folder)


def test_operators_are_drawn_by_weight_and_seed() -> None:
    portfolio = open_proposers(
        [ProposerConfig(kind="diff", weight=3), ProposerConfig(kind="rewrite")], MODELS, Path()
    )
    draws = [portfolio.choose(np.random.default_rng([0, i])).name for i in range(2000)]
    assert 0.72 < draws.count("diff") / 2000 < 0.78
    assert draws == [portfolio.choose(np.random.default_rng([0, i])).name for i in range(2000)]


def test_the_first_model_is_the_default() -> None:
    [first], [second] = opened().proposers, opened(options={"model": "anthropic/b"}).proposers
    assert isinstance(first, DiffProposer)
    assert isinstance(second, DiffProposer)
    assert (first.model, second.model) == ("openai/a", "anthropic/b")


def test_what_a_model_writes_is_arbitrary_code() -> None:
    assert opened().arbitrary_code
    assert not opened("genetic").arbitrary_code
    both = [ProposerConfig(kind="genetic"), ProposerConfig(kind="rewrite")]
    portfolio = open_proposers(both, MODELS, Path())
    assert portfolio.arbitrary_code
    assert isinstance(portfolio.proposers[1], RewriteProposer)


def test_genetic_needs_no_model() -> None:
    assert opened("genetic", models=[]).proposers[0].name == "genetic"


def test_templates_lie_relative_to_the_configuration(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "diff.j2").write_text("{% broken %}")
    with pytest.raises(ConfigError, match=r"mine/diff\.j2"):
        opened("diff", {"template_dir": "mine"}, folder=tmp_path)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"model": "openai/c"}, "'openai/c' is not configured; configured: openai/a, anthropic/b"),
        ({"model": 5}, "5 is not configured"),
        ({"modle": "openai/a"}, "did you mean 'model'"),
        ({"template_dir": "absent"}, "not a folder"),
        ({"template_dir": 5}, "template_dir"),
        ({"tokens": {"sauce": 5}}, r"^proposer diff: unknown key 'sauce' in tokens$"),
        ({"tokens": {"source": -5}, "mends": -1}, r"tokens\.source must [^;]+, not -5; mends must"),
    ],
)
def test_wrong_options_are_configuration_errors(
    options: dict[str, JsonValue], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        opened("diff", options)


def test_an_operator_that_asks_a_model_needs_one() -> None:
    with pytest.raises(ConfigError, match="proposer diff asks a model, but none is configured"):
        opened(models=[])


def test_an_unknown_operator_is_corrected() -> None:
    with pytest.raises(ConfigError, match="did you mean 'rewrite'"):
        opened("rewrit")
