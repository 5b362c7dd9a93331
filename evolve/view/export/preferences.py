"""Pairs of a better and a worse reply to one task, for preference optimisation.

The two kinds are those of Zhang et al., "CodeDPO: aligning code models with self generated and
verified source code", 2024: correctness and speed. What they rank by tests that a model wrote is
ranked here by the problem's own evaluator.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import groupby, islice
from pathlib import Path
from typing import Literal, TypeAlias

from evolve.core.evaluation import Outcome
from evolve.core.measures import Objective
from evolve.store.answers import Answer
from evolve.store.reader import Reader
from evolve.store.records import RunRecord
from evolve.store.text import printable

Kind: TypeAlias = Literal["correctness", "speed"]
KINDS: tuple[Kind, ...] = ("correctness", "speed")

#: Outcomes that do not say what a program comes to on all cases, or that it fails.
_NO_VERDICT = {
    Outcome.INFRASTRUCTURE.value,
    Outcome.EVALUATOR_ERROR.value,
    Outcome.BELOW_THRESHOLD.value,
}


@dataclass(frozen=True, slots=True)
class Rules:
    """What makes a pair.

    Attributes:
        kinds: ``correctness``: a program with a score over one that failed, or the better score
            over the worse. ``speed``: less CPU time at the same score.
        margin: How much better the score must be, in the objective's unit; more than this.
        speedup: How many times less CPU time at least.
        per_group: Pairs of a kind from one parent and operator at most.
        dedup: Whether each text of a reply counts once in a group, and each pair of texts once.
        same_prompt: Whether only replies to literally the same messages are paired.
    """

    kinds: tuple[Kind, ...] = KINDS
    margin: float = 0.0
    speedup: float = 1.2
    per_group: int = 4
    dedup: bool = True
    same_prompt: bool = False


@dataclass(frozen=True, slots=True)
class Pair:
    """A preference, by model calls."""

    kind: Kind
    chosen: Answer
    rejected: Answer


def export_preferences(
    reader: Reader, run: RunRecord, path: Path, rules: Rules
) -> dict[str, dict[str, int]]:
    """Write pairs as JSON lines in the conversational preference format that TRL's trainers read.

    The prompt is that of the chosen reply. The rejected one answered the same operator about the
    same parent, but may have been shown other programs beside it; ``same_prompt`` says so.

    Returns:
        ``pairs`` by kind; ``answers``: those used, and those left out by why.
    """
    counts: Counter[str] = Counter()
    pairs: Counter[str] = Counter(dict.fromkeys(rules.kinds, 0))
    seen: set[tuple[int | None, int | None]] = set()
    with path.open("w", encoding="utf-8", newline="") as file:
        for pair in _pairs(_usable(reader.answers(run.id), counts), run.objective, rules, counts):
            texts = pair.chosen.reply, pair.rejected.reply
            if rules.dedup and texts in seen:
                counts["pairs_of_the_same_texts"] += 1
                continue
            row = _row(reader, run, pair)
            if rules.same_prompt and not row["same_prompt"]:
                counts["pairs_of_other_prompts"] += 1
                continue
            seen.add(texts)
            pairs[pair.kind] += 1
            file.write(json.dumps(row, ensure_ascii=False) + "\n")
    return {"pairs": dict(pairs), "answers": dict(counts)}


def _usable(answers: Iterable[Answer], counts: Counter[str]) -> Iterator[Answer]:
    """Yield the answers that are one reply with a verdict on it."""
    for answer in answers:
        why = _left_out(answer)
        counts[why or "usable"] += 1
        if not why:
            yield answer


def _left_out(answer: Answer) -> str:
    if answer.calls != 1:
        return "several_calls"  # a conversation, or checks by other models: not one reply's merit
    if answer.reply is None:
        return "no_reply"
    if answer.program is None:
        return "duplicate" if answer.status == "duplicate" else "no_program"
    if answer.outcome is None or answer.outcome in _NO_VERDICT:
        return "no_verdict"
    return ""


def _pairs(
    answers: Iterable[Answer], objective: Objective, rules: Rules, counts: Counter[str]
) -> Iterator[Pair]:
    for _, group in groupby(answers, key=lambda answer: (answer.parent, answer.operator)):
        members = list(group)
        if rules.dedup:
            distinct = {answer.reply: answer for answer in reversed(members)}  # the first of each
            counts["the_same_text"] += len(members) - len(distinct)
            members = sorted(distinct.values(), key=lambda answer: answer.iteration)
        if "correctness" in rules.kinds:
            yield from _by_correctness(members, objective, rules)
        if "speed" in rules.kinds:
            yield from _by_speed(members, rules)


def _by_correctness(
    members: Sequence[Answer], objective: Objective, rules: Rules
) -> Iterator[Pair]:
    """Pair the best with the worst, the second best with the second worst, and so on."""
    ranked = sorted(members, key=partial(_rank, objective))
    ends = zip(ranked, reversed(ranked), strict=True)
    for better, worse in islice(ends, rules.per_group):
        if not _better(better, worse, objective, rules.margin):
            return  # all later ones are closer still
        yield Pair("correctness", better, worse)


def _rank(objective: Objective, answer: Answer) -> tuple[bool, float, int]:
    """Return a sort key: best first, what failed last."""
    if answer.objective is None:
        return (True, 0.0, answer.iteration)
    return (False, -objective.fitness(answer.objective), answer.iteration)


def _better(a: Answer, b: Answer, objective: Objective, margin: float) -> bool:
    if a.objective is None or b.objective is None:
        return a.objective is not None
    return objective.fitness(a.objective) - objective.fitness(b.objective) > margin


def _by_speed(members: Sequence[Answer], rules: Rules) -> Iterator[Pair]:
    """Pair the fastest with the slowest of one score, and so on."""
    scored = [answer for answer in members if answer.objective is not None and answer.cpu_ns]
    scored.sort(key=lambda answer: (answer.objective or 0.0, answer.cpu_ns or 0, answer.iteration))
    found = 0
    for _, group in groupby(scored, key=lambda answer: answer.objective):
        equal = list(group)
        for fast, slow in zip(equal, reversed(equal), strict=True):
            if found == rules.per_group or not _faster(fast, slow, rules.speedup):
                break
            found += 1
            yield Pair("speed", fast, slow)


def _faster(a: Answer, b: Answer, speedup: float) -> bool:
    assert a.cpu_ns is not None
    assert b.cpu_ns is not None
    return b.cpu_ns > a.cpu_ns and b.cpu_ns >= speedup * a.cpu_ns


def _row(reader: Reader, run: RunRecord, pair: Pair) -> dict[str, object]:
    """Return the line of a pair: TRL's three columns, then where it is from."""
    chosen, rejected = reader.exchange(pair.chosen.call), reader.exchange(pair.rejected.call)
    return {
        "prompt": [{name: printable(text) for name, text in m.items()} for m in chosen.messages],
        "chosen": [{"role": "assistant", "content": printable(chosen.reply)}],
        "rejected": [{"role": "assistant", "content": printable(rejected.reply)}],
        "kind": pair.kind,
        "same_prompt": chosen.messages == rejected.messages,
        "run": run.id,
        "parent": pair.chosen.parent,
        "operator": pair.chosen.operator,
        **_facts("chosen", pair.chosen, chosen.model),
        **_facts("rejected", pair.rejected, rejected.model),
    }


def _facts(side: str, answer: Answer, model: str) -> dict[str, object]:
    return {
        f"{side}_program": answer.program,
        f"{side}_model": model,
        f"{side}_outcome": answer.outcome,
        f"{side}_objective": answer.objective,
        f"{side}_cpu_ns": answer.cpu_ns,
    }
