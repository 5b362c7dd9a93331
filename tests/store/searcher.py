"""A search in miniature, run as a process of its own so that it can be killed.

    python -m tests.store.searcher DATABASE ITERATIONS

It resumes whatever is in the database. Choices depend on the iteration alone, as in the engine.
Every commit is acknowledged on stdout, after it: ``table id``.
"""

from __future__ import annotations

import sys

import numpy as np

from evolve.core.evaluation import Evaluation, Outcome
from evolve.core.program import Program
from evolve.store.records import ArchiveEvent
from evolve.store.store import Store, open_store
from tests.store.samples import SampleReply, entering, failed, new_run, program, scored

CELLS = 8


def acknowledge(table: str, row: int) -> None:
    sys.stdout.write(f"{table} {row}\n")
    sys.stdout.flush()


class Search:
    def __init__(self, store: Store, run: int) -> None:
        self.store, self.run = store, run
        self.grid = {event.cell: event for event in store.archive_events(run)}

    def finish(self, program_id: int) -> None:
        """Evaluate a program; what it scores depends on its content alone."""
        record = self.store.program(program_id)
        number = int(record.entry.hash[:8], 16)
        evaluation: Evaluation = failed(Outcome.EXCEPTION)
        events: list[ArchiveEvent] = []
        if number % 5:
            fitness, cell = float(number % 97), number % CELLS
            evaluation, old = scored(-fitness), self.grid.get(cell)
            if old is None or fitness > old.fitness:
                self.grid[cell] = entering(
                    program_id, cell, fitness, None if old is None else old.program_id
                )
                events = [self.grid[cell]]
        acknowledge("evaluations", self.store.commit_evaluation(program_id, evaluation, events))

    def iterate(self, iteration: int, reply: str | None = None) -> None:
        """Take one iteration to its end, using the reply that is paid for already, if any."""
        rng = np.random.default_rng([1, iteration])
        number, useless = int(rng.integers(200)), rng.random() < 0.2
        parent = self.store.programs(self.run, limit=1)[0].id
        proposal = self.store.begin_proposal(self.run, iteration, "diff", 0, [parent], [])
        acknowledge("proposals", proposal)
        if reply is None:
            reply = f"x = {number}\n"
            call = self.store.send_completion(proposal, "m", "{}", {}, 1.0)
            acknowledge("completions", call)
            self.store.receive_completion(call, SampleReply(reply), 0.001)
            acknowledge("replies", call)
        if useless:
            self.store.reject(proposal, "patch", "does not apply")
            return
        added = self.store.add_program(
            self.run,
            Program({"main.py": reply}),
            proposal_id=proposal,
            parent_ids=[parent],
            operator="diff",
        )
        acknowledge("programs", added.id)
        if added.is_new:
            self.finish(added.id)


def main(url: str, iterations: int) -> None:
    """Resume the search in ``url`` and take it to so many iterations."""
    with open_store(url) as store:
        run = store.runs()[0].id if store.runs() else store.create_run(new_run()).id
        store.claim(run, "searcher")
        search = Search(store, run)
        recovery = store.recover(run)
        acknowledge("ready", 0)
        for program_id in recovery.pending:
            search.finish(program_id)
        seed = store.add_program(run, program(0), operator="seed")
        if seed.is_new:
            search.finish(seed.id)
        for left in recovery.replies:
            received = [call.text for call in left.completions if call.state == "received"]
            search.iterate(left.iteration, received[0])
        for left in recovery.unanswered:
            search.iterate(left.iteration)
        for iteration in range(recovery.next_iteration, iterations):
            search.iterate(iteration)
            store.heartbeat(run)
        store.release(run, "finished", "iterations")


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
