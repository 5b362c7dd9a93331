"""Databases with many programs, written in bulk: the rows that the engine would have written.

A run of programs that each change one number of an elite. Everything in it follows from its size:
sources, scores, parents, and the archive, which the engine's own population folds in memory. A test
compares every table with that of a run that went through the store's transactions one by one.
"""

from __future__ import annotations

import ast
import hashlib
import json
from collections.abc import Iterator, Sequence
from pathlib import Path

from sqlalchemy import Connection

from evolve.archive.selection import SELECTORS
from evolve.archive.spec import ArchiveSpec
from evolve.core.evaluation import CaseResult, Evaluation, Outcome, Score
from evolve.core.measures import Measure, Objective
from evolve.core.program import Program
from evolve.engine.population import Policy, Population
from evolve.propose.base import Individual
from evolve.store.records import ArchiveEvent, NewRun
from evolve.store.store import Store, open_store
from evolve.store.text import pack

VERSION = "e" * 64
MEASURES = (Measure("a", 0.0, 1.0, 40), Measure("b", 0.0, 1.0, 40))
OBJECTIVE = Objective("value")
CASES = ("case 0", "case 1")
#: When everything happened.
NOW = 1e9
BATCH = 20_000
_NONE = json.dumps({})
_SYNTAX = ast.dump(ast.parse("x = 0"))


def source(number: int) -> str:
    """Return about 1 kB of Python that no other number has."""
    return f"# EVOLVE-BLOCK-START\nx = {number}\n# EVOLVE-BLOCK-END\n" + f"# {number:060d}\n" * 15


def score_of(number: int) -> Score:
    """Return a score that looks like chance."""
    a, b, value = (_fraction(number, salt) for salt in (1, 2, 3))
    return Score(value, {"a": a, "b": b})


def evaluation_of(number: int) -> Evaluation:
    """Return the evaluation of a program."""
    score = score_of(number)
    cases = tuple(CaseResult(name, Outcome.OK, score) for name in CASES)
    return Evaluation(Outcome.OK, score, cases=cases, evaluator=VERSION)


class Course:
    """Who descends from whom, and what enters the map: one program after the other."""

    def __init__(self) -> None:
        policy = Policy(SELECTORS["mixed"]())
        self._population = Population(_nobody, ArchiveSpec(MEASURES), OBJECTIVE, policy)
        self._entered: list[int] = []
        self._generations: dict[int, int] = {}

    def next(self, number: int, score: Score) -> tuple[int | None, int, tuple[ArchiveEvent, ...]]:
        """Return parent and generation of the next program, and what it changes in the map."""
        entered = self._entered
        parent = entered[int(_fraction(number, 4) * len(entered))] if entered else None
        generation = 0 if parent is None else self._generations[parent] + 1
        evaluation = Evaluation(Outcome.OK, score, evaluator=VERSION)
        events = self._population.insert(number, evaluation, parent=parent).events
        if events:
            entered.append(number)
            self._generations[number] = generation
        return parent, generation, events


def create(store: Store) -> int:
    """Add the run and return its id."""
    return store.create_run(
        NewRun(
            name="scale",
            problem="none",
            seed=0,
            config_json="{}",
            config_hash="c",
            problem_hash=VERSION,
            evaluator_ref="none",
            provenance={},
            objective=OBJECTIVE,
            measures=MEASURES,
        ),
        ArchiveSpec(MEASURES),
    ).id


def fill(path: Path, size: int) -> None:
    """Write a run of so many programs in bulk."""
    course = Course()
    with open_store(str(path), clock=lambda: NOW) as store:
        run_id = create(store)
        for start in range(1, size + 1, BATCH):
            with store._database.write() as connection:
                batch = range(start, min(start + BATCH, size + 1))
                for table, columns, rows in _tables(run_id, batch, course):
                    _insert(connection, table, columns, rows)
        with store._database.write() as connection:
            connection.exec_driver_sql("ANALYZE")


def fill_slowly(path: Path, size: int) -> None:
    """Write the same run through the transactions of the engine."""
    course = Course()
    with open_store(str(path), clock=lambda: NOW) as store:
        run_id = create(store)
        for number in range(1, size + 1):
            parent, generation, events = course.next(number, score_of(number))
            parents = [] if parent is None else [parent]
            proposal = None
            if parent is not None:
                proposal = store.begin_proposal(run_id, number - 2, "bulk", 0, parents, [])
            added = store.add_program(
                run_id,
                Program({"main.py": source(number)}),
                proposal_id=proposal,
                parent_ids=parents,
                generation=generation,
                operator="seed" if proposal is None else "bulk",
            )
            store.commit_evaluation(added.id, evaluation_of(number), events)


#: A table, its columns, and rows of it.
_Rows = tuple[str, str, list[tuple[object, ...]]]


def _tables(run_id: int, numbers: range, course: Course) -> Iterator[_Rows]:
    """Yield what one batch adds to each table; program, blob and evaluation n have the id n."""
    scores = [score_of(n) for n in numbers]
    measures = [json.dumps(dict(score.measures)) for score in scores]
    course_of = [course.next(n, score) for n, score in zip(numbers, scores, strict=True)]
    texts = [source(n) for n in numbers]
    yield (
        "blobs",
        "id, sha256, size, data",
        [(n, *pack(text)) for n, text in zip(numbers, texts, strict=True)],
    )
    yield (
        "proposals",
        "id, run_id, iteration, operator, island, parents, inspirations, status, reason, message, "
        "created_at, ended_at",
        [
            (n - 1, run_id, n - 2, "bulk", 0, json.dumps([parent]), "[]", "evaluated", "", "", NOW,
             NOW)
            for n, (parent, _, _) in zip(numbers, course_of, strict=True) if n > 1
        ],
    )  # fmt: skip
    yield (
        "programs",
        "id, run_id, hash, syntax, proposal_id, operator, generation, island, summary, created_at",
        [
            (n, run_id, _hash_of(text), _syntax_of(n), n - 1 or None, "bulk" if n > 1 else "seed",
             generation, 0, "", NOW)
            for n, text, (_, generation, _) in zip(numbers, texts, course_of, strict=True)
        ],
    )  # fmt: skip
    yield "program_files", "program_id, path, blob", [(n, "main.py", n) for n in numbers]
    yield (
        "parents",
        "program_id, position, parent_id",
        [(n, 0, parent) for n, (parent, _, _) in zip(numbers, course_of, strict=True) if parent],
    )
    yield (
        "evaluations",
        "id, run_id, program_id, stage, evaluator, outcome, objective, measures, metrics, message, "
        "wall_ns, cpu_ns, peak_memory_bytes, elapsed_s, created_at",
        [
            (n, run_id, n, "search", VERSION, "ok", score.objective, where, _NONE, "", 0, 0, 0, 0.0,
             NOW)
            for n, score, where in zip(numbers, scores, measures, strict=True)
        ],
    )  # fmt: skip
    yield (
        "case_results",
        "evaluation_id, position, name, outcome, objective, measures, metrics, message, wall_ns, "
        "cpu_ns, peak_memory_bytes",
        [
            (n, position, name, "ok", score.objective, where, _NONE, "", 0, 0, 0)
            for n, score, where in zip(numbers, scores, measures, strict=True)
            for position, name in enumerate(CASES)
        ],
    )
    yield (
        "archive_events",
        "run_id, evaluation_id, program_id, replaced_id, island, cell, status, fitness, measures",
        [
            (run_id, n, n, next(iter(event.replaced), None), 0, event.cell, event.status,
             event.fitness, where)
            for n, where, (_, _, events) in zip(numbers, measures, course_of, strict=True)
            for event in events
        ],
    )  # fmt: skip


def _insert(
    connection: Connection, table: str, columns: str, rows: Sequence[tuple[object, ...]]
) -> None:
    if rows:
        places = ", ".join("?" * len(rows[0]))
        connection.exec_driver_sql(f"INSERT INTO {table} ({columns}) VALUES ({places})", list(rows))


def _hash_of(text: str) -> str:
    """Return `Program.id` of a text in ``main.py``, without looking for its regions."""
    digest = hashlib.sha256()
    for part in (b"main.py", text.encode()):
        digest.update(len(part).to_bytes(8, "big") + part)
    return digest.hexdigest()


def _syntax_of(number: int) -> str:
    """Return `Program.syntax_id` of `source`, without parsing it."""
    body = _SYNTAX.replace("(value=0)", f"(value={number})")
    path, text = (hashlib.sha256(part).digest() for part in (b"main.py", body.encode()))
    return hashlib.sha256(path + text).hexdigest()


def _fraction(number: int, salt: int) -> float:
    """Return a number from 0 to 1 that follows from two integers (splitmix64, Steele 2014)."""
    z = (number * 0x9E3779B97F4A7C15 + salt * 0xD1B54A32D192ED03) & 0xFFFFFFFFFFFFFFFF
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & 0xFFFFFFFFFFFFFFFF
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & 0xFFFFFFFFFFFFFFFF
    return (z ^ (z >> 31)) / 2**64


def _nobody(number: int) -> Individual:
    raise AssertionError(f"program {number} is not needed to fold the map")
