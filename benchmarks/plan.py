"""How far off are the forecasts of `evolve plan`? Real runs, predicted and then made.

    python benchmarks/plan.py [--evaluations 100]

Bin packing with the genetic operator, and a problem of eight numbers with a model behind HTTP that
answers after some time, one reply in four being of no use. Every run is planned three ways: with
nothing known, with two calls made to find out, and with an earlier run in the database.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from benchmarks.compare.scripted import edit
from evolve.cli.plan import actual_of
from evolve.config.bundled import bundled
from evolve.config.file import Loaded, load_run_config
from evolve.config.models import RunConfig
from evolve.engine.forecast import Range
from evolve.engine.plan import plan
from evolve.engine.run import run
from evolve.store.reader import open_reader
from tests.fake_llm_server import Call, FakeLLMServer, Reply

VALLEY = Path(__file__).parent / "compare" / "valley.yaml"
HEADS = (
    "run",
    "known",
    "time predicted, s",
    "actual",
    "tokens predicted",
    "actual",
    "USD predicted",
    "actual",
)


class Slow:
    """A model behind HTTP that answers after a while; one reply in four says nothing."""

    def __init__(self, delay_s: float) -> None:
        self.delay_s, self.count = delay_s, 0

    def __call__(self, call: Call) -> Reply:
        """Answer one request."""
        self.count += 1
        prompt = "\n".join(str(message["content"]) for message in call.body["messages"])
        text = "I do not know." if self.count % 4 == 0 else edit(prompt, self.count)
        return Reply(text, tokens=(len(prompt) // 4, len(text) // 4), delay_s=self.delay_s)


class Row(NamedTuple):
    """One run, planned in one way."""

    run: str
    known: str
    cells: tuple[str, ...]


def rows(name: str, loaded: Loaded[RunConfig], db: str, calls: int) -> Iterator[Row]:
    """Plan a run in each way, make it, and set one beside the other."""
    expected = {"nothing": plan(loaded, db).forecast}
    if calls:
        expected[f"{calls} calls"] = plan(loaded, db, calls).forecast
    run(loaded, db=db)
    again = loaded.config.model_copy(update={"seed": 1, "reuse": False})
    loaded = Loaded(again, loaded.path)
    expected["an earlier run"] = plan(loaded, db).forecast
    run(loaded, db=db)
    with open_reader(db) as reader:
        first, second = (actual_of(reader, reader.run(number)) for number in (1, 2))
    for known, found in expected.items():
        actual = second if known == "an earlier run" else first
        cells = []
        for key, form in (("wall_s", ".1f"), ("tokens", ".0f"), ("cost_usd", ".3f")):
            span: Range | None = getattr(found, key)
            seen = actual[key]
            assert span is not None
            assert seen is not None
            cells += [f"{span.low:{form}} to {span.high:{form}}", f"{seen:{form}}"]
        yield Row(name, known, tuple(cells))


def main() -> None:
    """Print a row for each run and way."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--evaluations", type=int, default=100)
    options = parser.parse_args()
    stop = f"stop={{evaluations: {options.evaluations}}}"
    print("| " + " | ".join(HEADS) + " |")
    print("|---|---|" + "---:|" * (len(HEADS) - 2))
    quick = load_run_config(bundled("configs") / "quickstart.yaml", [stop])
    for delay_s in (None, 0.2, 2.0):
        with tempfile.TemporaryDirectory() as folder, FakeLLMServer(Slow(delay_s or 0)) as server:
            name, loaded, calls = "bin packing, genetic", quick, 0
            if delay_s is not None:
                model = (
                    f"models=[{{id: openai/slow, base_url: '{server.openai_url}', api_key_env: "
                    "PATH, price: {input: 1.0, output: 4.0}, concurrency: 4}]"
                )
                loaded = load_run_config(VALLEY, [stop, model])
                name, calls = f"eight numbers, a model of {delay_s:g} s", 2
            for row in rows(name, loaded, str(Path(folder) / "plan.db"), calls):
                print(f"| {row.run} | {row.known} | " + " | ".join(row.cells) + " |", flush=True)


if __name__ == "__main__":
    main()
