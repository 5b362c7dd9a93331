"""Whether the scores of a run come out again when its programs run anew."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

from evolve.archive.contests import Rules
from evolve.config.file import Loaded
from evolve.config.models import RunConfig
from evolve.core.errors import StoreError
from evolve.core.evaluation import Evaluation
from evolve.engine.assemble import open_bench
from evolve.engine.reexecute import compared, evaluate_again, evaluated_programs
from evolve.engine.replayed import Replayed
from evolve.engine.sampling import repeat_seed
from evolve.engine.stored import rules_of_run
from evolve.store.reader import Reader
from evolve.store.records import RunRecord


async def evaluate_run_again(
    reader: Reader, run: RunRecord, loaded: Loaded[RunConfig], report: Replayed
) -> None:
    """Run and score every program of a run anew, and report what came out differently.

    Where scores vary, the first sample is made again, with the seed that it had. A program of a
    problem in search mode goes on from where it did then.

    Raises:
        StoreError: the evaluator has changed since.
    """
    rules = rules_of_run(run)

    def first_of(rules: Rules, number: int) -> int:
        return rules.first(reader.iteration_of(number))

    async with open_bench(loaded) as bench:
        version = bench.evaluate.version
        if version != run.problem_hash:
            raise StoreError(
                f"the evaluator of run {run.id} has changed since ({run.problem_hash[:12]} then, "
                f"{version[:12]} now), so its scores cannot be compared; `evolve rescore` "
                "evaluates under the new version"
            )

        def each(number: int, evaluation: Evaluation) -> None:
            report.evaluated_again += 1
            found = reader.program(number)
            before = reader.evaluation_of(number, "search", version)
            if rules is not None:
                sample = reader.sample(number, "search", version, first_of(rules, number))
                before = None if sample is None else sample.evaluation
            assert before is not None
            moved = compared(number, found.entry.hash, before, evaluation)
            report.moved += [] if moved is None else [moved]

        numbers = evaluated_programs(reader, run.id, version)
        programs = ((number, reader.program(number).program) for number in numbers)

        def seed_of(number: int) -> int | None:
            if rules is None:
                return None
            return repeat_seed(loaded.config.seed, "search", first_of(rules, number))

        given = partial(reader.constructions.given, evaluator=version)
        parent_of = partial(reader.evaluation_of_parent, run.id, version)
        beside = replace(bench, evaluate=bench.evaluate.beside_parents(parent_of))
        await evaluate_again(beside, programs, each, seed_of=seed_of, given=given)
    report.moved.sort(key=lambda moved: moved.program)
