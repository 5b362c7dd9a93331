"""A database in which all that others write carries markup, scripts and control characters."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np

from evolve.core.evaluation import CaseResult, Evaluation, Outcome, Score, Usage
from evolve.core.png import encode_png
from evolve.core.program import Program
from evolve.store.store import Store, open_store
from tests.store.samples import EVALUATOR, SampleReply, entering, new_run

#: Breaks out of text, attributes, comments, styles and JavaScript strings, where it can.
ATTACK = (
    "</pre></script><script>window.hacked=1</script><img src=x onerror=window.hacked=1>"
    "\"'><svg onload=window.hacked=1><a href=javascript:window.hacked=1 hx-get=/x hx-trigger=load>"
    "{{7*7}}{%raw%}--><style>*{display:none}</style>\x1b[2J\u202e\ud800&lt;b&gt;"
)
DRAWING = encode_png(np.arange(48, dtype=np.uint8).reshape(6, 8))
#: File names must be printable, so they carry less.
NAME = "<img src=x onerror=window.hacked=1>'\"`{{7*7}}.py"
#: How it is shown, in part.
SHOWN = "<script>window.hacked=1</script>"


def score(objective: float, measures: tuple[float, float] = (12.0, 0.25)) -> Score:
    """Return a score whose texts are hostile."""
    return Score(
        objective,
        measures={"length": measures[0], "depth": measures[1]},
        metrics={ATTACK: 1.0},
        feedback=ATTACK,
        artifacts={ATTACK: ATTACK},
        images={ATTACK: b"<svg onload=window.hacked=1>", "drawing": DRAWING},
    )


def evaluation(objective: float, measures: tuple[float, float] = (12.0, 0.25)) -> Evaluation:
    """Return an evaluation whose texts are hostile."""
    found = score(objective, measures)
    return Evaluation(
        outcome=Outcome.OK,
        score=found,
        usage=Usage(2_000_000, 1_500_000, 5_000_000),
        cases=(
            CaseResult(ATTACK, Outcome.OK, found, Usage(1, 2, 3)),
            CaseResult("plain", Outcome.EXCEPTION, message=ATTACK),
        ),
        stdout=ATTACK,
        stderr=ATTACK,
        evaluator=EVALUATOR,
    )


def source(number: int) -> Program:
    """Return a program whose text and file name are hostile."""
    return Program({NAME: f"x = {number}\n# {ATTACK}\ns = '''{ATTACK}'''\n", "b.txt": ATTACK})


def add(
    store: Store,
    run_id: int,
    seed: int,
    iteration: int,
    judged: Evaluation,
    cell: int | None = None,
) -> int:
    """Take one proposal of a model from its prompt to its evaluation."""
    proposal = store.begin_proposal(run_id, iteration, ATTACK, 0, [seed], [seed])
    prompt = json.dumps({"messages": [{"role": ATTACK, "content": ATTACK}]})
    call = store.send_completion(proposal, ATTACK, prompt, {}, 0.5)
    store.receive_completion(call, SampleReply(ATTACK), 0.01)
    added = store.add_program(
        run_id,
        source(iteration + 1),
        proposal_id=proposal,
        parent_ids=[seed],
        generation=1,
        operator=ATTACK,
        summary=ATTACK,
    ).id
    events = []
    if cell is not None and judged.score is not None:
        event = entering(added, cell, -judged.score.objective)
        events = [replace(event, measures=dict(judged.score.measures))]
    store.commit_evaluation(added, judged, events)
    return added


def fill(path: Path, programs: int = 6) -> None:
    """Write a finished run and one that goes on, both hostile."""
    with open_store(str(path)) as store:
        for name in (ATTACK, "second"):
            run = replace(new_run(name), problem=ATTACK, config_json=json.dumps({ATTACK: ATTACK}))
            run_id = store.create_run(run).id
            store.claim(run_id, "here:1")
            seed = store.add_program(
                run_id, source(0), parent_ids=[], generation=0, operator="seed", summary=ATTACK
            ).id
            store.commit_evaluation(seed, evaluation(9.0), [entering(seed, 4, -9.0)])
            for iteration in range(programs):
                spread = (5.0 + 15 * (iteration % 6), 0.1 + 0.25 * (iteration % 4))
                add(store, run_id, seed, iteration, evaluation(8.0 - iteration, spread), iteration)
            bad = Evaluation(Outcome.EXCEPTION, message=ATTACK, evaluator=EVALUATOR)
            add(store, run_id, seed, programs, bad)
            rejected = store.begin_proposal(run_id, programs + 1, ATTACK, 0, [seed], [])
            store.reject(rejected, "no_match", ATTACK)
            if run_id == 1:
                store.release(run_id, "finished", ATTACK)
