"""Known programs by what they do on the probe cases. Every function is a step of a transaction."""

from __future__ import annotations

from sqlalchemy import Connection, select

from evolve.core.evaluation import Outcome
from evolve.store.schema import evaluations, programs, proposals
from evolve.store.summaries import FOUND


def known_alike(
    connection: Connection,
    run_id: int,
    program_hash: str,
    probe: str,
    evaluator: str,
    environment: str,
) -> int | None:
    """Return the first program of a run that does the same on the probes; see `CourseReader.alike`.

    A strict run sees the iterations that were inserted when the program was drawn, so that the
    answer does not depend on timing.
    """
    mine = connection.execute(
        select(proposals.c.inserted)
        .join(programs, programs.c.proposal_id == proposals.c.id)
        .where(programs.c.run_id == run_id, programs.c.hash == program_hash)
    ).one_or_none()
    if mine is None:  # nobody proposed it: it is evaluated on all cases
        return None
    query = (
        select(programs.c.id)
        .select_from(
            evaluations.join(programs, programs.c.id == evaluations.c.program_id).outerjoin(
                proposals, proposals.c.id == programs.c.proposal_id
            )
        )
        .where(
            evaluations.c.run_id == run_id,
            evaluations.c.probe == probe,
            evaluations.c.stage == "search",
            evaluations.c.evaluator == evaluator,
            evaluations.c.environment == environment,
            evaluations.c.outcome == Outcome.OK.value,
            evaluations.c.behaves_like.is_(None),
            programs.c.hash != program_hash,
            FOUND,
        )
        .order_by(programs.c.id)
        .limit(1)
    )
    if mine.inserted is not None:
        query = query.where(
            proposals.c.iteration.is_(None) | (proposals.c.iteration < mine.inserted)
        )
    return connection.scalar(query)
