"""Reading the course of a run: what the engine asks to go on with it, or to make it again."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Literal, NamedTuple

from sqlalchemy import Connection, Select, bindparam, func, literal, select, true, union_all

from evolve.core.errors import StoreError
from evolve.core.evaluation import Evaluation, Outcome, Stage
from evolve.core.program import Program
from evolve.store import summaries
from evolve.store.calls import CompletionRecord
from evolve.store.database import Database
from evolve.store.ended import ended, ended_in_order
from evolve.store.patience import Patient
from evolve.store.probes import known_alike
from evolve.store.records import Drawn, Ended, EvaluatedProgram, ProposalRecord, Standing
from evolve.store.recovery import is_strict, read_draws, read_proposals
from evolve.store.results import read_evaluation
from evolve.store.rows import (
    get_blob,
    known_program,
    read_completions,
    read_program,
    read_reply,
    same,
)
from evolve.store.schema import case_results, completions, evaluations, parents, programs, proposals
from evolve.store.verdicts import Verdicts, read_verdicts

#: Outcomes that follow from a program alone, where its evaluator is declared deterministic.
REPEATABLE = (
    Outcome.OK.value,
    Outcome.BELOW_THRESHOLD.value,
    Outcome.INVALID.value,
    Outcome.BAD_OUTPUT.value,
    Outcome.EXCEPTION.value,
)

# What every iteration asks is made once: making a statement takes longer than executing it.
_GENERATION = select(programs.c.generation).where(programs.c.id == bindparam("id"))
_EVALUATION = select(evaluations).where(
    *same(evaluations.c.program_id, evaluations.c.stage, evaluations.c.evaluator)
)
_KNOWN = (
    select(evaluations)
    .join(programs, programs.c.id == evaluations.c.program_id)
    .where(
        *same(
            programs.c.hash,
            evaluations.c.stage,
            evaluations.c.evaluator,
            evaluations.c.environment,
        ),
        evaluations.c.outcome.in_(REPEATABLE),
        evaluations.c.copied_from.is_(None),
        evaluations.c.behaves_like.is_(None),
    )
    .limit(1)
)


class Behaviours(NamedTuple):
    """What search evaluations of a run say of behaviours.

    Attributes:
        scored: Those with a signature.
        distinct: Different signatures.
        copied: Taken over from this database.
        probed: Ended after the probes, because the program behaves like a known one.
        ended_early: Ended at a threshold of the cascade, by an evaluation of this run.
        cases_saved: Search cases that were not run for that.
    """

    scored: int
    distinct: int
    copied: int
    probed: int
    ended_early: int
    cases_saved: int


def _cases_run(run_id: int, outcome: Outcome) -> Select[int]:
    """Select how many search cases each evaluation of a run with that outcome has."""
    return (
        select(func.count(case_results.c.position))
        .join_from(evaluations, case_results)
        .where(
            evaluations.c.run_id == run_id,
            evaluations.c.stage == "search",
            evaluations.c.outcome == outcome.value,
        )
        .group_by(evaluations.c.id)
    )


class CourseReader(Patient):
    """Questions about the iterations of a run. Safe to use from several threads."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def individual(self, program_id: int, evaluator: str) -> EvaluatedProgram:
        """Return a program with its search evaluation under one evaluator version.

        Raises:
            StoreError: it has none.
        """
        with self._database.read() as connection:
            evaluation = _read_evaluation_of(connection, program_id, "search", evaluator)
            if evaluation is None:
                raise StoreError(f"program {program_id} has no evaluation by evaluator {evaluator}")
            generation = connection.scalars(_GENERATION, {"id": program_id}).one()
            program = read_program(connection, program_id)
        return EvaluatedProgram(program_id, program, evaluation, generation)

    def evaluation_of(self, program_id: int, stage: Stage, evaluator: str) -> Evaluation | None:
        """Return the evaluation of a program by one evaluator version, or None."""
        with self._database.read() as connection:
            return _read_evaluation_of(connection, program_id, stage, evaluator)

    def evaluation_of_parent(
        self, run_id: int, evaluator: str, program: Program
    ) -> Evaluation | None:
        """Return the search evaluation of what a program of a run was made from, or None."""
        query = (
            select(parents.c.parent_id)
            .join(programs, programs.c.id == parents.c.program_id)
            .where(
                programs.c.run_id == run_id,
                programs.c.hash == program.id,
                parents.c.position == 0,
            )
        )
        with self._database.read() as connection:
            parent = connection.scalar(query)
        return None if parent is None else self.evaluation_of(parent, "search", evaluator)

    def proposals(self, run_id: int) -> tuple[ProposalRecord, ...]:
        """Return every proposal of a run with its model calls, in order of iterations."""
        with self._database.read() as connection:
            return read_proposals(connection, run_id, true())

    def is_strict(self, run_id: int) -> bool:
        """Return whether the iterations of a run were drawn in strict order."""
        with self._database.read() as connection:
            return is_strict(connection, run_id)

    def draws(self, run_id: int) -> Iterator[Drawn]:
        """Yield who varied what in each iteration of a run in strict order, in their order."""
        with self._database.read() as connection:
            yield from read_draws(connection, run_id)

    def ended(
        self,
        run_id: int,
        evaluator: str,
        *,
        program: int | None = None,
        proposal: int | None = None,
    ) -> Iterator[Ended]:
        """Yield what came of proposals, in the order it became known.

        Args:
            run_id: The run.
            evaluator: Version of the evaluator whose verdicts count.
            program: Only the evaluation of this program.
            proposal: Only this proposal, if it came to nothing.
        """
        with self._database.read() as connection:
            yield from ended(connection, run_id, evaluator, program=program, proposal=proposal)

    def ended_in_order(self, run_id: int, evaluator: str) -> Iterator[Ended]:
        """Yield what came of proposals of a strict run in the order of iterations."""
        with self._database.read() as connection:
            yield from ended_in_order(connection, run_id, evaluator)

    def verdicts(self, run_id: int, evaluator: str) -> Verdicts:
        """Return as columns what came of the proposals of a run."""
        with self._database.read() as connection:
            return read_verdicts(connection, run_id, evaluator)

    def replies(self, run_id: int, iteration: int, model: str) -> tuple[tuple[str, str], ...]:
        """Return the answered requests of an iteration to a model, each with its reply."""
        with self._database.read() as connection:
            rows = connection.execute(
                select(completions.c.prompt_blob, completions.c.reply_blob)
                .join(proposals)
                .where(
                    proposals.c.run_id == run_id,
                    proposals.c.iteration == iteration,
                    completions.c.model == model,
                    completions.c.state == "received",
                )
                .order_by(completions.c.id)
            ).all()
            return tuple(
                (get_blob(connection, row[0]), get_blob(connection, row[1])) for row in rows
            )

    def standing(self, run_id: int, before: int | None = None) -> Standing:
        """Return the best objective of a run's search and how many evaluations came after it.

        Args:
            run_id: The run.
            before: Only iterations before this one, in their order; None: all, as committed.
        """
        with self._database.read() as connection:
            return summaries.standing(connection, run_id, before)

    def fruitless(self, run_id: int, before: int | None = None) -> int:
        """Return how many proposals in a row came to no program, `before` as in `standing`."""
        with self._database.read() as connection:
            return summaries.fruitless(connection, run_id, before)

    def known_evaluation(
        self, program_hash: str, stage: Stage, evaluator: str, environment: str
    ) -> Evaluation | None:
        """Return an evaluation of the same sources by the same evaluator in the same sandbox.

        Any run of the database may have made it. What may have been the fault of a busy machine,
        such as a time limit, does not count.
        """
        looked_for = {
            "hash": program_hash,
            "stage": stage,
            "evaluator": evaluator,
            "environment": environment,
        }
        with self._database.read() as connection:
            row = connection.execute(_KNOWN, looked_for).one_or_none()
            if row is None:
                return None
            return replace(read_evaluation(connection, row), copied_from=row.id)

    def alike(
        self, run_id: int, program_hash: str, probe: str, evaluator: str, environment: str
    ) -> EvaluatedProgram | None:
        """Return the known program that a proposed one behaves like on the probes, if any does.

        Known are the programs of the run that ran all cases in the same sandbox and have a score by
        the same evaluator; in strict order those inserted when the other was drawn. The first one
        that does the same is returned.

        Args:
            run_id: The run.
            program_hash: The program in question, which the run has.
            probe: Signature of its outputs on the probes.
            evaluator: The version.
            environment: Hash of the sandbox and of packages.
        """
        with self._database.read() as connection:
            found = known_alike(connection, run_id, program_hash, probe, evaluator, environment)
        return None if found is None else self.individual(found, evaluator)

    def behaving_like(self, run_id: int, signature: str) -> tuple[int, ...]:
        """Return the programs of a run whose outputs on the search cases have that signature."""
        with self._database.read() as connection:
            return tuple(
                connection.scalars(
                    select(evaluations.c.program_id)
                    .where(
                        evaluations.c.run_id == run_id,
                        evaluations.c.signature == signature,
                        evaluations.c.stage == "search",
                    )
                    .order_by(evaluations.c.program_id)
                )
            )

    def behaviours(self, run_id: int) -> Behaviours:
        """Return how many programs of a run do something that no other does, and the rest."""
        with self._database.read() as connection:
            counts = connection.execute(
                select(
                    func.count(evaluations.c.signature),
                    func.count(evaluations.c.signature.distinct()),
                    func.count(evaluations.c.copied_from),
                    func.count(evaluations.c.behaves_like),
                ).where(evaluations.c.run_id == run_id, evaluations.c.stage == "search")
            ).one()
            early = connection.scalars(
                _cases_run(run_id, Outcome.BELOW_THRESHOLD).where(
                    evaluations.c.copied_from.is_(None)
                )
            ).all()
            whole = connection.scalar(_cases_run(run_id, Outcome.OK).limit(1)) or 0
        return Behaviours(*counts, len(early), len(early) * whole - sum(early))

    def case_objectives(self, run_id: int) -> dict[int, tuple[float, tuple[float, ...]]]:
        """Return the objective of every program that a search found, with those of its cases.

        Programs without a score are left out, baselines too; cases are in their order.
        """
        scored = (
            (evaluations.c.run_id == run_id)
            & (evaluations.c.stage == "search")
            & evaluations.c.objective.is_not(None)
        )
        query = (
            select(programs.c.id, evaluations.c.objective, case_results.c.objective.label("case"))
            .join_from(evaluations, programs)
            .join(case_results, isouter=True)
            .where(scored, summaries.FOUND)
            .order_by(programs.c.id, case_results.c.position)
        )
        found: dict[int, tuple[float, tuple[float, ...]]] = {}
        with self._database.read() as connection:
            for row in connection.execute(query):
                _, before = found.get(row.id, (0.0, ()))
                cases = before if row.case is None else (*before, row.case)
                found[row.id] = (row.objective, cases)
        return found

    def planted(self, run_id: int) -> tuple[int, ...]:
        """Return the evaluated programs that no proposal made, baselines left out, by id."""
        judged = select(evaluations.c.program_id).where(evaluations.c.stage == "search")
        with self._database.read() as connection:
            return tuple(
                connection.scalars(
                    select(programs.c.id)
                    .where(
                        programs.c.proposal_id.is_(None),
                        programs.c.run_id == run_id,
                        summaries.FOUND,
                        programs.c.id.in_(judged),
                    )
                    .order_by(programs.c.id)
                )
            )

    def completions_of(self, proposal_id: int) -> tuple[CompletionRecord, ...]:
        """Return the model calls that were made for a proposal, oldest first."""
        with self._database.read() as connection:
            return read_completions(connection, proposal_id)

    def replied(
        self, model: str, prompt: str, proposal_id: int | None = None
    ) -> CompletionRecord | None:
        """Return a call whose request was ``prompt`` and that ``model`` answered, if there is one.

        Args:
            model: The model.
            prompt: The request as JSON.
            proposal_id: Only calls for this proposal; None for those of all runs.
        """
        with self._database.read() as connection:
            return read_reply(connection, model, prompt, proposal_id)

    def has_program(self, run_id: int, program: Program) -> bool:
        """Return whether a run has a program, or one that differs in layout only."""
        with self._database.read() as connection:
            return known_program(connection, run_id, program, alike=True) is not None

    def steps(self, run_id: int) -> tuple[tuple[Literal["begun", "ended", "evaluated"], int], ...]:
        """Return the steps of a run in the order they were committed.

        Returns:
            Pairs: a proposal was ``begun`` or has ``ended`` (its id), or a program that was
            proposed was ``evaluated`` on the search cases (its id).
        """
        mine = proposals.c.run_id == run_id
        verdict = evaluations.c.outcome != Outcome.INFRASTRUCTURE.value
        steps = union_all(
            select(
                literal("begun").label("what"), proposals.c.id, proposals.c.created_at.label("at")
            ).where(mine),
            select(literal("ended"), proposals.c.id, proposals.c.ended_at).where(
                mine, proposals.c.ended_at.is_not(None)
            ),
            select(literal("evaluated"), programs.c.id, evaluations.c.created_at)
            .join_from(evaluations, programs)
            .where(
                evaluations.c.run_id == run_id,
                evaluations.c.stage == "search",
                verdict,
                programs.c.proposal_id.is_not(None),
            ),
        ).subquery()
        with self._database.read() as connection:
            rows = connection.execute(
                select(steps.c.what, steps.c.id).order_by(steps.c.at, steps.c.what, steps.c.id)
            )
            return tuple((row.what, row.id) for row in rows)


def _read_evaluation_of(
    connection: Connection, program_id: int, stage: Stage, evaluator: str
) -> Evaluation | None:
    place = {"program_id": program_id, "stage": stage, "evaluator": evaluator}
    row = connection.execute(_EVALUATION, place).one_or_none()
    return None if row is None else read_evaluation(connection, row)
