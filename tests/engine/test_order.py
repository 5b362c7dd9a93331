"""Strict order: the course of a run does not depend on slots, timing or interruptions."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import anyio
import numpy as np
import pytest

from evolve.archive.islands import Plan
from evolve.archive.selection.plain import mixed
from evolve.archive.selection.puct import puct
from evolve.archive.selection.weighted import weighted
from evolve.config.problem import Problem
from evolve.core.errors import InfrastructureError, RunFailed
from evolve.core.evaluation import Evaluation, Stage, Start
from evolve.core.program import Program
from evolve.engine.loop import Loop
from evolve.engine.population import Policy
from evolve.evaluate.probes import Alike, nobody
from evolve.propose.base import Candidate, Context, Rejected
from evolve.sandbox.base import Slot
from evolve.store.store import open_store
from tests.engine.laboratory import Laboratory
from tests.fakes import FakeEvaluate, FakeProposer, number_in, numbered, scored

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend(virtual_time: object) -> object:
    return virtual_time


def vary(context: Context, count: int) -> Candidate | Rejected:
    """Change the parent's number as chance and earlier attempts say; sometimes in vain."""
    if context.rng.random() < 0.2:
        return Rejected("syntax", "no")
    step = int(context.rng.integers(-4, 5)) + len(context.attempts) % 3
    return Candidate(numbered(number_in(context.parent.program) + step), (context.parent.id,))


def jitter(seed: int, longest_s: float) -> Callable[[], float]:
    """Return a source of delays: anything up to so many seconds, often nothing."""
    rng = np.random.default_rng(seed)
    return lambda: float(rng.choice([0.0, rng.uniform(0, longest_s)]))


def course(lab: Laboratory) -> list[tuple[object, ...]]:
    """Return what there is to know of a run that must not depend on timing."""
    programs = {entry.id: entry for entry in lab.store.programs(lab.run_id)}

    def name(program: int) -> str:
        return programs[program].hash[:8]

    steps: list[tuple[object, ...]] = [
        (p.iteration, p.status, p.reason, p.inserted, [name(n) for n in p.parents + p.inspirations])
        for p in lab.store.proposals(lab.run_id)
    ]
    steps += [(e.hash[:8], e.iteration, e.generation, e.objective) for e in programs.values()]
    events = lab.store.archive_events(lab.run_id)
    steps += [(name(e.program_id), e.island, e.cell, e.status, e.fitness) for e in events]
    return [*steps, (lab.store.archive_digest(lab.run_id),)]


@dataclass
class Late(FakeProposer):
    """Takes a random time."""

    delay: Callable[[], float] = lambda: 0.0

    async def propose(self, context: Context) -> Candidate | Rejected:
        await anyio.sleep(self.delay())
        return await super().propose(context)


@dataclass
class LateEvaluate(FakeEvaluate):
    """Takes a random time."""

    delay: Callable[[], float] = lambda: 0.0

    async def __call__(
        self,
        slot: Slot,
        program: Program,
        stage: Stage = "search",
        alike: Alike = nobody,
        seed: int | None = None,
        start: Start | None = None,
    ) -> Evaluation:
        await anyio.sleep(self.delay())
        return await super().__call__(slot, program, stage, alike, seed, start)


#: Plain selection, and the kinds that look at what is under way, at children and at islands.
POLICIES = {
    "mixed": Policy(mixed(), inspirations=2),
    "puct on islands": Policy(
        puct(),
        inspirations=2,
        islands=Plan(count=3, allocation="ucb", migration_interval=7, reset_interval=25),
    ),
    "weighted with spawning": Policy(
        weighted(), inspirations=2, islands=Plan(spawn_stagnation=4, spawn_limit=4)
    ),
}


def laboratory(
    problem: Problem, path: Path, slots: int, seed: int = 0, policy: str = "mixed"
) -> Laboratory:
    """Return one whose parts take a random time each."""
    return Laboratory(
        problem,
        open_store(str(path)),
        evaluate=LateEvaluate(delay=jitter(seed, 0.008)),
        proposer=Late(vary, delay=jitter(seed + 1, 0.004)),
        slots=slots,
        proposals=2 * slots,
        order="strict",
        window=5,
        policy=POLICIES[policy],
    )


@pytest.mark.parametrize("policy", POLICIES)
async def test_slots_and_timing_change_nothing_in_strict_order(
    problem: Problem, tmp_path: Path, policy: str
) -> None:
    courses = []
    for number, slots in enumerate((1, 2, 8, 8)):
        lab = laboratory(problem, tmp_path / f"{number}.db", slots, 10 * number, policy)
        with lab.store:
            assert await lab.search(evaluations=45) == "evaluations"
            assert lab.evaluations() == lab.counters.evaluations == 45
            assert lab.left_over() == (0, 0)
            courses.append(course(lab))
    assert len(courses[0]) > 100
    assert courses[1:] == courses[:1] * 3


@pytest.mark.parametrize("policy", POLICIES)
async def test_an_interrupted_strict_run_goes_on_as_if_nothing_had_happened(
    problem: Problem, tmp_path: Path, policy: str
) -> None:
    whole = laboratory(problem, tmp_path / "whole.db", 3, policy=policy)
    with whole.store:
        await whole.search(evaluations=45)
        expected = course(whole)
    for slots, at in ((2, 7), (8, 23), (4, 41)):
        lab = laboratory(problem, tmp_path / f"{at}.db", slots, at, policy)
        with lab.store:
            calls = 0

            def interrupt(loop: Loop, at: int = at, lab: Laboratory = lab) -> None:
                def make(context: Context, count: int) -> Candidate | Rejected:
                    nonlocal calls
                    calls += 1
                    if calls == at:
                        loop.interrupt("interrupted")
                    return vary(context, count)

                lab.proposer.make = make

            lab.on_start = interrupt
            assert await lab.search(evaluations=45) == "interrupted"
            assert 0 < lab.evaluations() < 45
            assert lab.counters.evaluations <= lab.evaluations()
            calls = -1000
            lab.slots = 9 - slots
            assert await lab.resume(evaluations=45) == "evaluations"
            assert lab.counters.evaluations == 45
            assert course(lab) == expected


async def test_what_timing_decides_in_arrival_order(problem: Problem, tmp_path: Path) -> None:
    courses = []
    for number in range(2):
        lab = laboratory(problem, tmp_path / f"{number}.db", 8, seed=number)
        lab.order = "arrival"
        with lab.store:
            await lab.search(evaluations=45)
            courses.append(course(lab))
    assert courses[0] != courses[1]


async def test_no_program_is_left_out_of_a_strict_run(lab: Laboratory) -> None:
    def judge(program: Program) -> Evaluation:
        if broken and number_in(program) == -5:
            raise InfrastructureError("the slot broke")
        return scored(program)

    lab.order, lab.evaluate.judge = "strict", judge
    broken = True
    with pytest.raises(RunFailed, match=r"the slot broke.*leaves none out"):
        await lab.search(evaluations=20)
    broken = False
    assert await lab.resume(evaluations=20) == "evaluations"
    assert lab.evaluations() == 20
    assert set(lab.store.totals(lab.run_id).evaluations) == {"ok"}


async def test_what_a_strict_run_gave_up_is_taken_up_again(lab: Laboratory) -> None:
    lab.order, lab.proposer.delay_s = "strict", 100
    async with anyio.create_task_group() as tasks:

        async def stop(loop: Loop) -> None:
            await anyio.sleep(0.05)
            loop.interrupt("interrupted")

        def begin(loop: Loop) -> None:
            tasks.start_soon(stop, loop)

        lab.on_start = begin
        assert await lab.search(evaluations=9, grace_s=0.05) == "interrupted"
    assert lab.left_over()[1] > 0
    lab.on_start, lab.proposer.delay_s = lambda _: None, 0
    assert await lab.resume(evaluations=9) == "evaluations"
    assert lab.left_over() == (0, 0)
    assert lab.store.totals(lab.run_id).rejected == {}


@pytest.mark.parametrize("at", [9, 15, 21])
async def test_proposals_in_vain_end_a_strict_run_at_the_same_iteration(
    problem: Problem, tmp_path: Path, at: int
) -> None:
    numbers = {int(np.random.default_rng([0, i, 1]).integers(2**31)): i for i in range(60)}

    def make(context: Context, _: int) -> Candidate | Rejected:
        iteration = numbers[context.seed]
        if iteration > 6 and iteration != 14:
            return Rejected("syntax", "no")
        return Candidate(numbered(-1 - iteration), (context.parent.id,))

    whole = laboratory(problem, tmp_path / "whole.db", 3)
    whole.proposer.make = make
    with whole.store:
        assert await whole.search(evaluations=45, fruitless=9) == "fruitless"
        expected = course(whole)
    lab = laboratory(problem, tmp_path / "evolve.db", 3, at)

    def interrupt(loop: Loop) -> None:
        def until(context: Context, count: int) -> Candidate | Rejected:
            if numbers[context.seed] == at:
                loop.interrupt("interrupted")
            return make(context, count)

        lab.proposer.make = until

    with lab.store:
        lab.on_start = interrupt
        assert await lab.search(evaluations=45, fruitless=9) == "interrupted"
        lab.on_start, lab.proposer.make = lambda _: None, make
        assert await lab.resume(evaluations=45, fruitless=9) == "fruitless"
        assert lab.counters.fruitless >= 9
        assert course(lab) == expected
