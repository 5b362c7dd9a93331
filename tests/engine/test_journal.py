"""What an iteration writes: choices, admission, the archive as a fold over its events."""

from __future__ import annotations

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from evolve.archive.islands import ALONE, Plan
from evolve.archive.selection import SELECTORS
from evolve.archive.spec import ArchiveSpec
from evolve.config.problem import Problem
from evolve.core.evaluation import Evaluation, Outcome, Score
from evolve.engine.draw import draw
from evolve.engine.events import ProgramEvaluated, ProposalRejected
from evolve.engine.history import History
from evolve.engine.journal import Judged, Pending, Proposal, Refused
from evolve.engine.population import Policy, Population
from evolve.propose.base import Candidate, Individual, Rejected
from evolve.propose.portfolio import Portfolio
from evolve.store.facts import EvaluationFact
from tests.engine.laboratory import Laboratory
from tests.fakes import FakeProposer, numbered, scored


def refuse(lab: Laboratory, proposal: Proposal, result: Candidate | Rejected) -> None:
    """Have a proposal come to nothing."""
    refused = lab.journal.admit(proposal, result)
    assert isinstance(refused, Refused)
    lab.journal.refuse(refused)


PORTFOLIO = Portfolio((FakeProposer(name="a"), FakeProposer(name="b")), (1.0, 1.0))


def test_a_new_program_is_committed_with_its_parents_and_awaits_its_evaluation(
    lab: Laboratory,
) -> None:
    seed = lab.plant()
    drawn = draw(0, 0, PORTFOLIO, lab.journal.population, lab.history)
    proposal = lab.journal.begin(0, drawn)
    pending = lab.journal.admit(proposal, Candidate(numbered(-1), (seed.program_id,), "changed it"))
    assert isinstance(pending, Pending)
    assert lab.left_over() == (1, 0)
    entry = lab.store.program(pending.program_id).entry
    assert (entry.operator, entry.iteration, entry.generation) == (drawn.operator.name, 0, 1)
    assert (entry.parents, entry.summary) == ((seed.program_id,), "changed it")

    lab.journal.record(Judged(pending, scored(pending.program)))
    assert lab.left_over() == (0, 0)
    event = lab.of(ProgramEvaluated)[-1]
    assert event.is_best
    assert event.iteration == 0
    assert lab.store.archive_events(lab.run_id)[-1].program_id == pending.program_id
    assert lab.journal.population.best == lab.individual(pending.program_id)


def test_a_program_the_run_has_already_is_no_work_but_a_word_in_the_tables(lab: Laboratory) -> None:
    seed = lab.plant()
    proposal = lab.journal.begin(0, draw(0, 0, PORTFOLIO, lab.journal.population, lab.history))
    refuse(lab, proposal, Candidate(seed.program, (seed.program_id,)))
    assert lab.store.totals(lab.run_id).duplicates == 1
    assert lab.counters.failures == {"duplicate": 1}
    (event,) = lab.of(ProposalRejected)
    assert event.reason == "duplicate"
    assert event.message == f"the same program as {seed.program_id}"
    assert lab.left_over() == (0, 0)


def test_a_rejected_proposal_keeps_its_reason_and_message(lab: Laboratory) -> None:
    lab.plant()
    proposal = lab.journal.begin(0, draw(0, 0, PORTFOLIO, lab.journal.population, lab.history))
    refuse(lab, proposal, Rejected("syntax", "line 3: invalid syntax"))
    (kind,) = lab.store.failures(lab.run_id)
    assert (kind.kind, kind.example) == ("syntax", "line 3: invalid syntax")
    assert lab.counters.fruitless == 1
    assert lab.left_over() == (0, 0)


def test_a_program_without_a_score_is_kept_and_changes_no_map(lab: Laboratory) -> None:
    seed = lab.plant()
    before = lab.store.archive_events(lab.run_id)
    proposal = lab.journal.begin(0, draw(0, 0, PORTFOLIO, lab.journal.population, lab.history))
    pending = lab.journal.admit(proposal, Candidate(numbered(-1), (seed.program_id,)))
    assert isinstance(pending, Pending)
    failed = Evaluation(Outcome.EXCEPTION, message="ValueError", evaluator=lab.evaluate.version)
    lab.journal.record(Judged(pending, failed))
    assert lab.store.archive_events(lab.run_id) == before
    assert lab.store.program(pending.program_id).evaluations == (failed,)
    assert lab.of(ProgramEvaluated)[-1].status is None


SCORES = st.lists(
    st.tuples(
        st.none() | st.floats(-9, 9), st.floats(-10, 70), st.floats(-30, 30), st.integers(0, 99)
    ),
    min_size=1,
    max_size=60,
)
PLANS = st.sampled_from(
    [
        Plan(),
        Plan(count=3, migration_interval=4, migrants=2, topology="full"),
        Plan(count=3, migration_stagnation=2, topology="random", allocation="random"),
        Plan(count=4, reset_interval=7, migration_interval=5, allocation="ucb"),
        Plan(count=1, spawn_stagnation=3, spawn_limit=4, reset_interval=11, topology="star"),
    ]
)
one_problem = settings(
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    max_examples=60,
)


def empty(problem: Problem, plan: Plan = ALONE, kind: str = "mixed") -> Population:
    def load(program_id: int) -> Individual:
        program = numbered(-program_id)
        measures = {"ast_nodes": 7.0 * (program_id % 9), "mean": float(program_id % 5)}
        return Individual(program_id, program, Evaluation(Outcome.OK, Score(0.0, measures)))

    policy = Policy(SELECTORS[kind](), islands=plan)
    return Population(load, ArchiveSpec(problem.measures), problem.objective, policy)


def fill(
    population: Population, scores: list[tuple[float | None, float, float, int]]
) -> list[EvaluationFact]:
    """Evaluate a program for each (objective, two measures, island); return what is stored.

    The first is the seed program.
    """
    facts = []
    for number, (objective, nodes, mean, place) in enumerate(scores, start=1):
        score = Score(1.0 if objective is None else objective, {"ast_nodes": nodes, "mean": mean})
        good = objective is not None or number == 1
        evaluation = Evaluation(Outcome.OK, score) if good else Evaluation(Outcome.EXIT)
        parent = None if number == 1 else 1 + place % (number - 1)
        island = place % 6 if number > 1 else 0
        placed = population.insert(number, evaluation, parent=parent, island=island)
        stored = score.objective if good else None
        facts.append(EvaluationFact(number, parent, island, stored, placed.events))
    return facts


@one_problem
@given(scores=SCORES, plan=PLANS)
def test_archives_and_census_are_a_fold_over_what_is_stored(
    problem: Problem, scores: list[tuple[float | None, float, float, int]], plan: Plan
) -> None:
    population, restored = empty(problem, plan), empty(problem, plan)
    facts = fill(population, scores)
    restored.restore(facts)
    assert restored.archive.elites() == population.archive.elites()
    assert restored.archive.stats() == population.archive.stats()
    live = population.islands.live
    assert list(restored.islands.live) == list(live)
    assert all(restored.islands.live[n].elites() == each.elites() for n, each in live.items())
    assert restored.census == population.census
    objectives = [fact.objective for fact in facts if fact.objective is not None]
    assert population.archive.best is not None
    assert population.archive.best.fitness == population.census.best == -min(objectives)


@one_problem
@given(
    scores=SCORES,
    plan=PLANS,
    kind=st.sampled_from(sorted(SELECTORS)),
    seed=st.integers(0, 2**63 - 1),
    iteration=st.integers(0, 10**6),
)
def test_seed_iteration_and_what_is_stored_alone_decide_every_choice(
    problem: Problem,
    scores: list[tuple[float | None, float, float, int]],
    plan: Plan,
    kind: str,
    seed: int,
    iteration: int,
) -> None:
    population, restored = empty(problem, plan, kind), empty(problem, plan, kind)
    restored.restore(fill(population, scores))
    one, two = (
        draw(seed, iteration, PORTFOLIO, each, History()) for each in (population, restored)
    )
    assert one.operator is two.operator
    assert (one.island, one.parent.id, one.seed) == (two.island, two.parent.id, two.seed)
    assert [each.id for each in one.inspirations] == [each.id for each in two.inspirations]
    assert one.rng.random() == two.rng.random()


def test_iterations_and_seeds_choose_differently(problem: Problem) -> None:
    population = empty(problem)
    fill(population, [(1.0, nodes, mean, 0) for nodes in range(0, 60, 5) for mean in (-15, 15)])

    def course(seed: int) -> list[tuple[str, int, int]]:
        drawn = [draw(seed, iteration, PORTFOLIO, population, History()) for iteration in range(30)]
        return [(each.operator.name, each.parent.id, each.seed) for each in drawn]

    assert len(set(course(0))) == 30
    assert {operator for operator, *_ in course(0)} == {"a", "b"}
    assert course(0) != course(1)
