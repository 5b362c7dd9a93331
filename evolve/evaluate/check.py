"""What the behaviour of an evaluator says about it: findings a person can act on."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal, TypeAlias

from evolve.config.problem import Problem
from evolve.core.evaluation import Evaluation, Outcome
from evolve.core.measures import Measure, Objective
from evolve.evaluate.hostile import Tampering
from evolve.evaluate.impostors import Impostor

Level: TypeAlias = Literal["ok", "note", "warning", "error"]

#: A nudged output may gain this share of the honest objective: a thousand times the nudge.
NUDGED_GAIN = 1e-6
#: What to do where answers known by heart are better than answers that were worked out.
BY_HEART = "make cases anew (`rotate:`), or go by held-out cases: a search can learn these by heart"
#: Rounding.
ROUNDING = 1e-12
#: Share of a limit from which the seed program is said to come close to it.
CLOSE = 0.5


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at.

    Attributes:
        level: ``error`` must be mended, ``warning`` should be looked at.
        about: What was looked at, such as ``seed program`` or ``output: NaN everywhere``.
        what: What was seen.
        advice: What to do about it; empty when there is nothing to do.
        hostile: Whether it is about a hostile output or program.
    """

    level: Level
    about: str
    what: str
    advice: str = ""
    hostile: bool = False


@dataclass(frozen=True, slots=True)
class Honest:
    """How the seed program scores.

    Attributes:
        objective: The first of its scores.
        spread: Largest minus smallest of its scores.
        better: The problem's objective.
        by_clock: Whether the program stops by the clock, as in mode search: each of its runs comes
            to something else, and few of them do not tell how far they lie apart.
    """

    objective: float
    spread: float
    better: Objective
    by_clock: bool = False

    @classmethod
    def of(cls, evaluations: Sequence[Evaluation], problem: Problem) -> Honest:
        """Read evaluations of one program, all of which have a score."""
        scores = [each.score.objective for each in evaluations if each.score is not None]
        spread, by_clock = max(scores) - min(scores), problem.mode == "search"
        return cls(scores[0], spread, problem.objective, by_clock)

    def gain(self, evaluation: Evaluation) -> float:
        """Return by how much a scored evaluation is better than honest ones; 0 within noise."""
        if evaluation.score is None:
            return 0.0
        gain = self.better.fitness(evaluation.score.objective) - self.better.fitness(self.objective)
        noise = 3 * self.spread + ROUNDING * abs(self.objective)
        return gain if abs(gain) > noise else 0.0


def judge_output(tampering: Tampering, honest: Honest, evaluation: Evaluation) -> Finding:
    """Return what it says of an evaluator that it judged a tampered output so."""
    return replace(_output(tampering, honest, evaluation), hostile=True)


def judge_impostor(impostor: Impostor, honest: Honest, evaluation: Evaluation) -> Finding:
    """Return what it says of an evaluator that it judged a hostile program so."""
    return replace(_impostor(impostor, honest, evaluation), hostile=True)


def judge_reciter(
    impostor: Impostor, honest: Honest, evaluation: Evaluation, beyond: str | None
) -> Finding:
    """Return what it says that answers known by heart were judged so.

    Args:
        impostor: The program that recites them.
        honest: How the seed program scores.
        evaluation: Of the reciter, on the search cases.
        beyond: Why it gains nothing on held-out cases; None where it does, or there are none.
    """
    found = judge_impostor(impostor, honest, evaluation)
    if found.level != "error" or evaluation.score is None:
        return found
    if beyond is not None:
        return replace(found, level="note", what=f"{found.what}; {beyond}", advice=BY_HEART)
    return replace(found, level="warning", advice=BY_HEART)


def _output(tampering: Tampering, honest: Honest, evaluation: Evaluation) -> Finding:
    about = f"output: {tampering.name}"
    if (refused := _refused(about, evaluation)) is not None:
        return refused
    score = evaluation.score.objective if evaluation.score else float("nan")
    gain = honest.gain(evaluation)
    told = f"scored {score:.12g}, honest is {honest.objective:.12g}"
    if tampering.kind == "malformed" and gain > 0:
        return Finding("error", about, f"{told}: better", "refuse it: raise Invalid(...)")
    if not tampering.finite:
        return Finding(
            "warning", about, told, "refuse what is not finite and real before any comparison"
        )
    if tampering.kind == "nudged" and gain > NUDGED_GAIN * abs(honest.objective):
        return Finding(
            "error",
            about,
            f"{told}: a thousand times more than the change explains",
            "judge without a tolerance, or take what is tolerated off the score",
        )
    if tampering.kind == "altered" and gain > 0:
        return Finding(
            "warning", about, f"{told}: better", "see whether such an answer is what you want"
        )
    return Finding("ok", about, told)


def _impostor(impostor: Impostor, honest: Honest, evaluation: Evaluation) -> Finding:
    about = f"program that {impostor.name}"
    if (refused := _refused(about, evaluation)) is not None:
        return refused
    score = evaluation.score.objective if evaluation.score else float("nan")
    told = f"scored {score:.12g}, honest is {honest.objective:.12g}"
    if honest.gain(evaluation) > 0 and honest.by_clock:
        return Finding(
            "warning",
            about,
            f"{told}: better",
            "programs stop by the clock: see whether it repeats",
        )
    if honest.gain(evaluation) > 0:
        return Finding("error", about, f"{told}: better", "find out how this can gain anything")
    return Finding("ok", about, told)


def _refused(about: str, evaluation: Evaluation) -> Finding | None:
    """Return what a missing score says; None when there is one."""
    if evaluation.outcome is Outcome.OK:
        return None
    message = " ".join(evaluation.message.split())[:200]
    if evaluation.outcome is Outcome.EVALUATOR_ERROR:
        return Finding(
            "error",
            about,
            f"the evaluator itself failed: {message}",
            "look at type, size and finiteness first, and raise Invalid(...)",
        )
    if evaluation.outcome is Outcome.INFRASTRUCTURE:
        return Finding("error", about, f"it could not be evaluated: {message}", "see evolve doctor")
    return Finding("ok", about, f"refused ({evaluation.outcome}: {message})")


def judge_seed(problem: Problem, evaluations: Sequence[Evaluation]) -> Iterator[Finding]:
    """Yield what several evaluations of the seed program say; the first one has a score."""
    honest = Honest.of(evaluations, problem)
    first = evaluations[0]
    about = "seed program"
    yield Finding("ok", about, f"{problem.objective.name} {honest.objective:.12g}")
    yield _repeats(problem, evaluations, honest)
    if first.score is not None:
        yield from (
            finding
            for measure in problem.measures
            if (finding := _measure(measure, first.score.measures[measure.name])) is not None
        )
    yield from _usage(problem, first)
    yield from _beaten_record(problem, "seed program", honest.objective)


def judge_reseeded(
    objective: Objective, honest: Honest, twice: Sequence[Evaluation], others: Sequence[Evaluation]
) -> Finding:
    """Say whether cases that are made from seeds can stand in for each other.

    Args:
        objective: Of the problem.
        honest: How the seed program scores on the cases as they are.
        twice: It on the cases of one seed, two times.
        others: It on those of other seeds.
    """
    about = "cases made from seeds"
    failed = [each for each in (*twice, *others) if each.score is None]
    if failed:
        message = " ".join(failed[0].message.split())[:200]
        what = f"the seed program has no score on some ({failed[0].outcome}: {message})"
        return Finding("error", about, what, "have reseed() make cases of the same kind and size")
    scores = [each.score.objective for each in (*twice, *others) if each.score is not None]
    if honest.spread == 0 and scores[0] != scores[1]:
        what = f"the same seed gave {scores[0]:.12g}, and {scores[1]:.12g} the second time"
        return Finding("error", about, what, "let reseed() follow from its arguments alone")
    if len(set(scores)) == 1 and scores[0] == honest.objective:
        what = "the same score on the cases of every seed"
        return Finding("note", about, what, "see whether reseed() uses its seed")
    told = f"{objective.name} from {min(scores):.6g} to {max(scores):.6g} on {len(others) + 1} sets"
    return Finding("ok", about, f"the seed program has {told}")


def judge_baseline(problem: Problem, name: str, evaluation: Evaluation) -> Iterator[Finding]:
    """Yield what the evaluation of a baseline says."""
    about = f"baseline {name}"
    if evaluation.score is None:
        message = " ".join(evaluation.message.split())[:200]
        what = f"no score ({evaluation.outcome}: {message})"
        yield Finding("error", about, what, "mend the program, or take it out of problem.yaml")
        return
    yield Finding("ok", about, f"{problem.objective.name} {evaluation.score.objective:.12g}")
    yield from _beaten_record(problem, about, evaluation.score.objective)


def judge_cascade(
    standings: Sequence[tuple[bool, str]], baseline: str | None = None
) -> Iterator[Finding]:
    """Yield how the seed program, or a baseline, stands beside the thresholds of the cascade.

    Args:
        standings: Whether it meets each threshold, in words.
        baseline: The name of the baseline; None for the seed program.
    """
    for met, told in standings:
        if baseline is None:
            advice = "lower the threshold: a run begins with the seed program"
            yield Finding("ok" if met else "error", "cascade", told, "" if met else advice)
        elif not met:
            advice = "lower the threshold, or a run compares with no score of it"
            yield Finding("warning", f"cascade, baseline {baseline}", told, advice)


def judge_description(
    problem: Problem, *, cases: int, held_out: bool, seen_before: int
) -> Iterator[Finding]:
    """Yield what can be seen of a problem without running anything.

    Args:
        problem: The problem.
        cases: Number of its search cases. Who has but one may have no other: a construction is the
            whole problem.
        held_out: Whether it has held-out cases.
        seen_before: Held-out cases with the inputs of a search case.
    """
    about = "held-out cases"
    if not held_out:
        yield Finding(
            "warning" if cases > 1 else "note",
            about,
            "none: nothing will tell whether a result holds beyond the cases it was made on",
            "yield others for stage 'held_out', unless the search cases are the whole problem",
        )
    elif seen_before:
        what = f"{seen_before} have the inputs of a search case"
        yield Finding("warning", about, what, "look at `stage` in cases(): hold other ones out")
    else:
        yield Finding("ok", about, "none of them has the inputs of a search case")
    function = problem.entrypoint.rpartition(":")[2]
    if function and function not in problem.statement:
        yield Finding(
            "warning",
            "prompt.md",
            f"does not name the function {function!r}",
            "tell models its name, its arguments and what it returns",
        )


def _repeats(problem: Problem, evaluations: Sequence[Evaluation], honest: Honest) -> Finding:
    """Say whether scores repeat, beside what the problem declares."""
    about, times = "repeated scoring", len(evaluations)
    failed = [each for each in evaluations if each.score is None]
    if failed:
        what = f"{len(failed)} of {times} evaluations have no score: {failed[0].message[:200]}"
        return Finding("error", about, what, "make the seed program reliable")
    if honest.spread == 0:
        return Finding("ok", about, f"{times} times the same score")
    share = f" ({honest.spread / abs(honest.objective):.2g} of it)" if honest.objective else ""
    what = f"scores of {times} evaluations differ by up to {honest.spread:.6g}{share}"
    if problem.deterministic:
        return Finding("error", about, what, "take 'deterministic: true' out of problem.yaml")
    if problem.timed or problem.mode == "search":  # it stops by the clock
        return Finding("note", about, what)
    return Finding("warning", about, what, "seed what is random, or declare that scores are noisy")


def _measure(measure: Measure, value: float) -> Finding | None:
    """Return a finding when a measure is outside of its bounds."""
    if not measure.locate(value).clipped:
        return None
    what = f"{value:.6g} is outside of {measure.low:g} to {measure.high:g}"
    return Finding("warning", f"measure {measure.name}", what, "widen its bounds in problem.yaml")


def _usage(problem: Problem, evaluation: Evaluation) -> Iterator[Finding]:
    """Yield how near the seed program comes to its limits."""
    wall = evaluation.usage.wall_ns / 1e9
    memory = evaluation.usage.peak_memory_bytes / 2**20
    limits = problem.limits
    for about, used, limit, unit, key in (
        ("time", wall, limits.wall_s, "s", "wall_s"),
        ("memory", memory, limits.memory_mb, "MiB", "memory_mb"),
    ):
        close = used > CLOSE * limit
        yield Finding(
            "warning" if close else "ok",
            about,
            f"{used:.3g} of {limit:g} {unit}",
            f"raise limits.{key}, or make the cases smaller" if close else "",
        )


def _beaten_record(problem: Problem, about: str, objective: float) -> Iterator[Finding]:
    """Yield an error when what is bundled beats what is said to be the record."""
    if problem.record is None:
        return
    fitness = problem.objective.fitness
    if fitness(objective) > fitness(problem.record.value):
        yield Finding(
            "error",
            about,
            f"{objective:.12g} beats the record, {problem.record.value:.12g}",
            "the evaluator is wrong, or the record is",
        )
