from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from evolve.core.errors import StoreError
from evolve.core.evaluation import CaseResult, Evaluation, Outcome, Score
from evolve.core.program import Program
from evolve.store.calls import TokenCounts
from evolve.store.store import Store, open_store
from evolve.store.text import TEXT_LIMIT
from tests.store.samples import (
    EVALUATOR,
    Clock,
    SampleReply,
    entering,
    failed,
    new_run,
    program,
    propose,
    scored,
)


def test_a_run_comes_back_as_it_was_given(store: Store, clock: Clock) -> None:
    given = new_run()
    run = store.create_run(given)
    for name in type(given).__slots__:
        assert getattr(run, name) == getattr(given, name)
    assert (run.status, run.created_at, run.elapsed_s, run.live) == ("new", clock.now, 0.0, False)
    assert store.run(run.id) == run


def test_the_newest_unfinished_run_of_a_configuration_is_found(store: Store) -> None:
    older, newer = store.create_run(new_run()), store.create_run(new_run())
    store.create_run(new_run(config_hash="another"))
    assert store.unfinished_run("c" * 64, "p" * 64) == newer
    store.claim(newer.id, "here:1")
    store.release(newer.id, "finished", "evaluations")
    found = store.unfinished_run("c" * 64, "p" * 64)
    assert found is not None
    assert found.id == older.id
    assert store.unfinished_run("c" * 64, "changed") is None


def test_an_interrupted_or_failed_run_is_unfinished(store: Store, run_id: int) -> None:
    store.release(run_id, "failed", "the disk was full")
    found = store.unfinished_run("c" * 64, "p" * 64)
    assert found is not None
    assert (found.status, found.reason) == ("failed", "the disk was full")
    store.claim(run_id, "here:1")
    assert (store.run(run_id).status, store.run(run_id).reason) == ("running", "")


def test_a_proposal_leads_to_an_evaluated_program(store: Store, run_id: int) -> None:
    seed = store.add_program(run_id, program(0), operator="seed")
    store.commit_evaluation(seed.id, scored(2.0), [entering(seed.id, 3, -2.0)])
    child = propose(store, run_id, 0, 1, seed.id)
    store.commit_evaluation(child, scored(1.0), [entering(child, 3, -1.0, seed.id)])

    record = store.program(child)
    assert record.program == program(1)
    assert record.evaluations == (scored(1.0),)
    entry = record.entry
    assert (entry.iteration, entry.operator, entry.generation) == (0, "diff", 1)
    assert (entry.parents, entry.summary) == ((seed.id,), "set x to 1")
    assert (entry.outcome, entry.objective) == (Outcome.OK, 1.0)
    assert entry.message == "case 2 is the worst"
    (call,) = record.completions
    assert (call.state, call.prompt, call.text) == ("received", '{"messages": []}', "x = 1")
    assert (call.model, call.server_model) == ("openai/sample", "sample-1-2026")
    assert (call.tokens, call.cost_usd) == (TokenCounts(100, 20, 30, 5), 0.01)
    assert store.recover(run_id).pending == ()


def test_an_iteration_is_begun_once(store: Store, run_id: int) -> None:
    seed = store.add_program(run_id, program(0), operator="seed").id
    proposal = store.begin_proposal(run_id, 4, "diff", 0, [], [])
    assert store.begin_proposal(run_id, 4, "rewrite", 0, [seed], []) == proposal
    (reopened,) = store.recover(run_id).unanswered
    assert (reopened.operator, reopened.parents) == ("rewrite", (seed,)), "it began anew"
    store.reject(proposal, "patch", "hunk 1 does not apply")
    with pytest.raises(StoreError, match="iteration 4 of run 1 is rejected already"):
        store.begin_proposal(run_id, 4, "diff", 0, [], [])
    other = store.create_run(new_run()).id
    assert store.begin_proposal(other, 4, "diff", 0, [], []) != proposal


def test_a_known_program_is_not_added_again(store: Store, run_id: int) -> None:
    seed = store.add_program(run_id, program(0), operator="seed")
    assert seed.is_new
    proposal = store.begin_proposal(run_id, 0, "diff", 0, [seed.id], [])
    again = store.add_program(run_id, program(0), proposal_id=proposal, operator="diff")
    assert again == (seed.id, False)
    totals = store.totals(run_id)
    assert (totals.duplicates, totals.rejected) == (1, {})
    other = store.create_run(new_run()).id
    assert store.add_program(other, program(0), operator="seed").is_new


def test_a_program_of_several_files_shares_what_did_not_change(store: Store, run_id: int) -> None:
    shared = {"lib/a.py": "a = 1\n", "lib/b.py": ""}
    first = Program({**shared, "main.py": "x = 1\n"})
    second = Program({**shared, "main.py": "x = 2\n"})
    ids = [store.add_program(run_id, each, operator="seed").id for each in (first, second)]
    assert [store.program(each).program for each in ids] == [first, second]
    with store._database.read() as connection:
        assert connection.exec_driver_sql("SELECT count(*) FROM blobs").scalar() == 4


def test_an_evaluation_is_committed_once(store: Store, run_id: int) -> None:
    seed = store.add_program(run_id, program(0), operator="seed").id
    first = store.commit_evaluation(seed, scored(2.0), [entering(seed, 3, -2.0)])
    assert store.commit_evaluation(seed, scored(9.0), [entering(seed, 4, -9.0)]) == first
    assert store.evaluation_of(seed, "search", EVALUATOR) == scored(2.0)
    assert [event.cell for event in store.archive_events(run_id)] == [3]


def test_zero_has_no_sign_in_any_database(store: Store, run_id: int) -> None:
    seed = store.add_program(run_id, program(0), operator="seed").id
    store.commit_evaluation(seed, scored(-0.0), [entering(seed, 3, -0.0)])
    with store._database.read() as connection:
        stored = [
            connection.exec_driver_sql(f"SELECT {column} FROM {table}").scalar_one()
            for table, column in (("evaluations", "objective"), ("archive_events", "fitness"))
        ]
    assert [math.copysign(1, each) for each in stored] == [1, 1]


def test_an_infrastructure_fault_is_no_verdict(store: Store, run_id: int) -> None:
    seed = store.add_program(run_id, program(0), operator="seed").id
    child = propose(store, run_id, 0, 1, seed)
    fault = replace(
        failed(Outcome.INFRASTRUCTURE, "the sandbox is gone"),
        cases=(CaseResult("easy", Outcome.INFRASTRUCTURE),),
    )
    store.commit_evaluation(child, fault, [])
    assert store.evaluation_of(child, "search", EVALUATOR) == fault
    assert store.recover(run_id).pending == (seed, child)
    store.commit_evaluation(child, scored(2.0), [entering(child, 3, -2.0)])
    store.commit_evaluation(child, fault, [])
    assert store.program(child).evaluations == (scored(2.0),)
    assert [elite.program_id for elite in store.elites(run_id)] == [child]
    assert store.recover(run_id).pending == (seed,)


def test_stages_and_evaluator_versions_are_kept_apart(store: Store, run_id: int) -> None:
    seed = store.add_program(run_id, program(0), operator="seed").id
    judged = [scored(2.0), scored(3.0, stage="held_out"), scored(4.0, evaluator="newer")]
    assert len({store.commit_evaluation(seed, each, []) for each in judged}) == 3
    assert store.program(seed).evaluations == tuple(judged)
    assert store.evaluation_of(seed, "held_out", EVALUATOR) == judged[1]
    assert store.evaluation_of(seed, "held_out", "newer") is None
    assert store.program(seed).entry.objective == 4.0
    assert store.individual(seed, EVALUATOR).evaluation == judged[0]
    with pytest.raises(StoreError, match="no evaluation by evaluator unknown"):
        store.individual(seed, "unknown")


def test_a_failed_evaluation_keeps_its_message_and_cases(store: Store, run_id: int) -> None:
    seed = store.add_program(run_id, program(0), operator="seed").id
    case = CaseResult("hard", Outcome.WALL_TIMEOUT, message="no answer in 1 s")
    evaluation = Evaluation(
        Outcome.WALL_TIMEOUT, message="hard: no answer in 1 s", cases=(case,), evaluator=EVALUATOR
    )
    store.commit_evaluation(seed, evaluation, [])
    assert store.evaluation_of(seed, "search", EVALUATOR) == evaluation
    assert store.program(seed).entry.message == "hard: no answer in 1 s"


def test_numbers_of_other_types_are_stored_and_nan_is_refused(store: Store, run_id: int) -> None:
    seed = store.add_program(run_id, program(0), operator="seed").id
    score = Score(np.float64(2), {"length": np.float32(0.5)}, {"count": 3})  # type: ignore[dict-item] # an evaluator may do so
    with pytest.raises(ValueError, match="length is nan, must be finite"):
        store.commit_evaluation(
            seed, scored(score=Score(1.0, {"length": math.nan})), [entering(seed, 1, 1.0)]
        )
    assert store.recover(run_id).pending == (seed,)
    store.commit_evaluation(seed, scored(score=score, cases=()), [])
    assert store.evaluation_of(seed, "search", EVALUATOR) == scored(score=score, cases=())


def test_calls_end_once(store: Store, run_id: int) -> None:
    proposal = store.begin_proposal(run_id, 0, "diff", 0, [], [])
    call = store.send_completion(proposal, "openai/sample", "{}", {"temperature": 0.5}, None)
    store.fail_completion(call, "the server is gone")
    with pytest.raises(StoreError, match=f"model call {call} has ended already"):
        store.receive_completion(call, SampleReply(), 0.1)
    with pytest.raises(StoreError, match="model call 99 "):
        store.fail_completion(99, "lost")


def test_totals_count_everything(store: Store, run_id: int) -> None:
    seed = store.add_program(run_id, program(0), operator="seed").id
    baseline = store.add_program(run_id, program(50), operator="baseline:best_fit").id
    store.commit_evaluation(seed, scored(2.0), [])
    store.commit_evaluation(baseline, scored(0.1), [])
    child = propose(store, run_id, 0, 1, seed)
    store.commit_evaluation(child, failed(), [])
    store.commit_evaluation(child, scored(stage="held_out"), [])
    for iteration, reason in enumerate(["patch", "patch", "syntax"], start=1):
        store.reject(store.begin_proposal(run_id, iteration, "diff", 0, [], []), reason, "no")
    proposal = store.begin_proposal(run_id, 4, "diff", 0, [], [])
    store.fail_completion(store.send_completion(proposal, "m", "{}", {}, 1.0), "gone", 0.25)
    call = store.send_completion(proposal, "m", "{}", {}, None)
    store.receive_completion(call, SampleReply(), None)
    store.send_completion(proposal, "m", "{}", {}, 1.0)

    totals = store.totals(run_id)
    assert totals.proposals == 5
    assert totals.rejected == {"patch": 2, "syntax": 1}
    assert totals.duplicates == 0
    assert totals.evaluations == {Outcome.OK: 1, Outcome.EXCEPTION: 1}
    assert totals.completions == {"received": 2, "failed": 1, "sent": 1}
    assert totals.tokens == TokenCounts(200, 40, 60, 10)
    assert totals.cost_usd == pytest.approx(0.26)
    assert totals.unpriced_calls == 1


def test_an_empty_run_has_totals(store: Store, run_id: int) -> None:
    totals = store.totals(run_id)
    assert (totals.proposals, totals.evaluations, totals.cost_usd) == (0, {}, 0.0)
    assert totals.tokens == TokenCounts()


def test_recovery_lists_what_is_to_be_finished(store: Store, run_id: int) -> None:
    seed = store.add_program(run_id, program(0), operator="seed").id
    store.commit_evaluation(seed, scored(), [])
    pending = propose(store, run_id, 0, 1, seed)
    store.reject(store.begin_proposal(run_id, 1, "diff", 0, [seed], []), "patch", "no")
    answered = store.begin_proposal(run_id, 2, "plan", 1, [seed], [pending])
    call = store.send_completion(answered, "m", '{"step": 1}', {}, 0.5)
    store.receive_completion(call, SampleReply("first plan"), 0.1)
    lost = store.send_completion(answered, "m", '{"step": 2}', {}, 0.5)
    silent = store.begin_proposal(run_id, 3, "diff", 0, [seed], [])
    unpriced = store.send_completion(silent, "m", "{}", {}, None)

    recovery = store.recover(run_id)
    assert recovery.pending == (pending,)
    assert recovery.next_iteration == 4
    (reply,) = recovery.replies
    assert (reply.id, reply.iteration, reply.operator, reply.island) == (answered, 2, "plan", 1)
    assert (reply.parents, reply.inspirations) == ((seed,), (pending,))
    assert [(c.id, c.state, c.text, c.cost_usd) for c in reply.completions] == [
        (call, "received", "first plan", 0.1),
        (lost, "unknown", "", 0.5),
    ]
    (unanswered,) = recovery.unanswered
    assert unanswered.id == silent
    assert [(c.id, c.state) for c in unanswered.completions] == [(unpriced, "unknown")]
    totals = store.totals(run_id)
    assert totals.cost_usd == pytest.approx(0.01 + 0.1 + 0.5)
    assert totals.unpriced_calls == 1
    assert store.recover(run_id) == recovery, "recovering twice changes nothing"


def test_recovery_of_a_new_run_is_empty(store: Store, run_id: int) -> None:
    recovery = store.recover(run_id)
    assert (recovery.pending, recovery.replies, recovery.unanswered) == ((), (), ())
    assert recovery.next_iteration == 0


def test_one_run_does_not_recover_another(store: Store, run_id: int) -> None:
    other = store.create_run(new_run()).id
    proposal = store.begin_proposal(other, 0, "diff", 0, [], [])
    store.send_completion(proposal, "m", "{}", {}, 1.0)
    store.add_program(other, program(0), operator="seed")
    assert store.recover(run_id).pending == ()
    assert store.totals(other).completions == {"sent": 1}


def test_hostile_texts_are_stored_whole_or_visibly_cut(store: Store, run_id: int) -> None:
    nasty = "\0\ud800 \udcff \N{PILE OF POO} \r\n"
    huge = nasty + "y" * (TEXT_LIMIT + 1_000_000) + "the end"
    sources = Program({"a b/ü.py": nasty + "z" * 2_000_000})
    proposal = store.begin_proposal(run_id, 0, nasty, 0, [], [])
    call = store.send_completion(proposal, "m", nasty, {"stop": nasty}, 0.0)
    store.receive_completion(call, SampleReply(huge, model=nasty), 0.0)
    added = store.add_program(run_id, sources, proposal_id=proposal, operator=nasty, summary=huge)
    score = Score(1.0, {nasty: 1.0}, feedback=nasty, artifacts={nasty: huge})
    evaluation = scored(score=score, stdout=huge, stderr=nasty, message=nasty, cases=())
    store.commit_evaluation(added.id, evaluation, [])

    record = store.program(added.id)
    assert record.program == sources
    assert record.completions[0].prompt == nasty
    assert record.completions[0].text == huge
    (kept,) = record.evaluations
    assert (kept.stderr, kept.message) == (nasty, nasty)
    assert kept.score is not None
    assert (kept.score.feedback, kept.score.measures) == (nasty, {nasty: 1.0})
    for cut in (kept.stdout, kept.score.artifacts[nasty]):
        assert len(cut) <= TEXT_LIMIT
        assert cut.startswith(nasty)
        assert cut.endswith("the end")
        assert "characters left out" in cut
    assert "\0" not in record.entry.summary
    assert len(record.entry.summary) <= 1000


def test_what_is_written_is_there_for_the_next_process(url: str) -> None:
    with open_store(url) as store:
        run = store.create_run(new_run())
        seed = store.add_program(run.id, program(0), operator="seed").id
    with open_store(url, create=False) as store:
        assert store.runs() == (run,)
        assert store.program(seed).program == program(0)


def test_a_draw_tells_how_many_iterations_had_their_turn(store: Store, run_id: int) -> None:
    for iteration, inserted in ((0, 0), (1, 0), (2, 1), (3, 2)):
        proposal = store.begin_proposal(run_id, iteration, "diff", 0, [], [], inserted=inserted)
        if iteration < 3:
            store.reject(proposal, "syntax", "no")
    recovery = store.recover(run_id)
    assert store.run(run_id).inserted == 2, "the first two were refused and had been counted"
    assert [ended.iteration for ended in recovery.ended] == [2]
    assert [begun.iteration for begun in recovery.unanswered] == [3]
