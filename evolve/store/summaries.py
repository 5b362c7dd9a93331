"""Sums over a run: counters, spending, failures. Each is one step of a transaction."""

from __future__ import annotations

from sqlalchemy import ColumnElement, Connection, case, func, literal, select, union_all

from evolve.core.evaluation import Outcome
from evolve.store.calls import TokenCounts
from evolve.store.records import Failures, HeldOutPoint, RunRecord, Standing, Totals
from evolve.store.schema import completions, evaluations, programs, proposals, runs

#: Programs that are part of the search; baselines are there for comparison only.
FOUND = ~programs.c.operator.startswith("baseline:")

ENDED = completions.c.state != "sent"  # before, tokens and money are only reserved
TOKENS = tuple(
    func.coalesce(func.sum(case((ENDED, column), else_=0)), 0)
    for column in (
        completions.c.tokens_input,
        completions.c.tokens_cached,
        completions.c.tokens_output,
        completions.c.tokens_reasoning,
        completions.c.tokens_written,
    )
)
#: A call made after the proposal had ended: for a grade of its program, not for making it.
FOR_GRADES = completions.c.sent_at > proposals.c.ended_at
COST = func.coalesce(func.sum(completions.c.cost_usd), 0.0)
UNPRICED = func.coalesce(
    func.sum(case((completions.c.cost_usd.is_(None) & ENDED, 1), else_=0)),
    0,
)


def evaluations_by_island(connection: Connection, run_id: int) -> dict[int, int]:
    """Return the number of search evaluations by island."""
    rows = connection.execute(
        select(programs.c.island, func.count().label("many"))
        .join(evaluations, evaluations.c.program_id == programs.c.id)
        .where(programs.c.run_id == run_id, evaluations.c.stage == "search", FOUND)
        .group_by(programs.c.island)
    )
    return {row.island: row.many for row in rows}


def totals(connection: Connection, run: RunRecord) -> Totals:
    """Return the counters of ``run``."""
    mine = proposals.c.run_id == run.id
    ended = connection.execute(
        select(proposals.c.status, proposals.c.reason, func.count())
        .where(mine)
        .group_by(proposals.c.status, proposals.c.reason)
    ).all()
    outcomes = connection.execute(
        select(evaluations.c.outcome, func.count())
        .join(programs, programs.c.id == evaluations.c.program_id)
        .where(evaluations.c.run_id == run.id, evaluations.c.stage == "search", FOUND)
        .group_by(evaluations.c.outcome)
    )
    states = connection.execute(
        select(completions.c.state, func.count())
        .join(proposals)
        .where(mine)
        .group_by(completions.c.state)
    )
    *tokens, cost_usd, unpriced = connection.execute(
        select(*TOKENS, COST, UNPRICED).join_from(completions, proposals).where(mine)
    ).one()
    return Totals(
        proposals=sum(count for *_, count in ended),
        rejected={reason: count for status, reason, count in ended if status == "rejected"},
        duplicates=sum(count for status, _, count in ended if status == "duplicate"),
        evaluations={Outcome(outcome): count for outcome, count in outcomes},
        completions=dict(states.all()),
        tokens=TokenCounts(*tokens),
        cost_usd=cost_usd,
        unpriced_calls=unpriced,
        elapsed_s=run.elapsed_s,
    )


def standing(connection: Connection, run_id: int, before: int | None) -> Standing:
    """Return the best objective of the search, and how many evaluations there were after it.

    Args:
        connection: Of the caller's transaction.
        run_id: Which run.
        before: Look at the iterations before this one only, in their order; None to look at all
            evaluations in the order they were committed.
    """
    position: ColumnElement[int] = evaluations.c.id
    mine = (evaluations.c.run_id == run_id) & (evaluations.c.stage == "search") & FOUND
    if before is not None:
        position = func.coalesce(proposals.c.iteration, -1)
        mine &= position < before
    judged = evaluations.join(programs, programs.c.id == evaluations.c.program_id).outerjoin(
        proposals, proposals.c.id == programs.c.proposal_id
    )
    objective = evaluations.c.objective
    direction = connection.scalars(select(runs.c.direction).where(runs.c.id == run_id)).one()
    best_first = objective if direction == "minimize" else objective.desc()
    best = connection.scalar(
        select(objective)
        .select_from(judged)
        .where(mine, objective.is_not(None))
        .order_by(best_first)
        .limit(1)
    )
    if best is None:
        return Standing(None, 0)
    reached = select(func.min(position)).select_from(judged).where(mine, objective == best)
    later = position > connection.scalars(reached).one()
    verdict = evaluations.c.outcome != Outcome.INFRASTRUCTURE.value
    count = select(func.count()).select_from(judged).where(mine, verdict, later)
    return Standing(best, connection.scalars(count).one())


def fruitless(connection: Connection, run_id: int, before: int | None) -> int:
    """Return how many proposals in a row, the newest ones, came to no program.

    The arguments are those of `standing`.
    """
    position = proposals.c.ended_at if before is None else proposals.c.iteration
    mine = proposals.c.run_id == run_id
    if before is not None:
        mine &= position < before
    admitted = select(position).join(programs).where(mine, programs.c.run_id == run_id)
    last = connection.scalar(admitted.order_by(programs.c.id.desc()).limit(1))
    refused = mine & proposals.c.status.in_(["rejected", "duplicate"])
    if last is not None:
        refused &= position > last
    return connection.scalars(select(func.count()).where(refused)).one()


def failures(connection: Connection, run_id: int) -> tuple[Failures, ...]:
    """Return how things failed, most frequent first, each with its newest message."""
    kinds = union_all(
        select(
            literal("proposal").label("what"),
            proposals.c.reason.label("kind"),
            func.count().label("count"),
            func.max(proposals.c.id).label("newest"),
        )
        .where(proposals.c.run_id == run_id, proposals.c.status == "rejected")
        .group_by(proposals.c.reason),
        select(
            literal("evaluation"),
            evaluations.c.outcome,
            func.count(),
            func.max(evaluations.c.id),
        )
        .where(evaluations.c.run_id == run_id, evaluations.c.outcome != Outcome.OK.value)
        .group_by(evaluations.c.outcome),
        select(
            literal("model call"),
            completions.c.state,
            func.count(),
            func.max(completions.c.id),
        )
        .join_from(completions, proposals)
        .where(proposals.c.run_id == run_id, completions.c.state.in_(["failed", "unknown"]))
        .group_by(completions.c.state),
    ).subquery()
    rows = connection.execute(select(kinds).order_by(kinds.c.count.desc(), kinds.c.kind)).all()
    messages = {
        "proposal": (proposals.c.id, proposals.c.message),
        "evaluation": (evaluations.c.id, evaluations.c.message),
        "model call": (completions.c.id, completions.c.error),
    }
    found = []
    for what, kind, count, newest in rows:
        key, message = messages[what]
        example = connection.scalars(select(message).where(key == newest)).one()
        found.append(Failures(what, kind, count, example))
    return tuple(found)


def held_out(connection: Connection, run_id: int) -> tuple[HeldOutPoint, ...]:
    """Return the programs of a search that were measured on held-out cases, oldest first."""
    hidden, seen, before = evaluations.alias(), evaluations.alias(), evaluations.alias()
    position = (
        select(func.count())
        .select_from(before.join(programs, programs.c.id == before.c.program_id))
        .where(before.c.run_id == run_id, before.c.stage == "search", before.c.id <= seen.c.id)
        .where(before.c.outcome != Outcome.INFRASTRUCTURE.value, FOUND)
        .scalar_subquery()
    )
    rows = connection.execute(
        select(
            hidden.c.program_id,
            position,
            seen.c.objective,
            hidden.c.objective,
            seen.c.error,
            hidden.c.error,
        )
        .join_from(
            hidden,
            seen,
            (seen.c.program_id == hidden.c.program_id)
            & (seen.c.evaluator == hidden.c.evaluator)
            & (seen.c.stage == "search"),
        )
        .join(programs, programs.c.id == hidden.c.program_id)
        .where(
            hidden.c.run_id == run_id,
            hidden.c.stage == "held_out",
            hidden.c.objective.is_not(None),
            seen.c.objective.is_not(None),
            FOUND,
        )
        .order_by(seen.c.id)
    )
    return tuple(HeldOutPoint(*row) for row in rows)
