"""Hooks of a configuration: told of everything, in nobody's way."""

from __future__ import annotations

import json
import threading
import time
from contextlib import suppress
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from evolve.core.errors import ConfigError, EvolveError, PluginError, PrerequisiteError
from evolve.engine.events import (
    Event,
    FaultOccurred,
    Observer,
    ProgramEvaluated,
    Progress,
    RunFinished,
    Stopping,
)
from evolve.engine.hooks import base, delivery
from evolve.engine.hooks.base import Hook, Watched
from evolve.engine.hooks.delivery import Announcer, Delivery, announcing
from evolve.engine.run import run
from evolve.store.reader import open_reader
from evolve.view.export.tables import export_tables
from tests.engine.hooks.searches import interrupted, search
from tests.engine.test_end_to_end_models import KEY, configure
from tests.fake_llm_server import FakeLLMServer, failure

MINE = """
from evolve.engine.hooks.base import Hook

class Mine(Hook):
    def __init__(self, *, fail=False):
        self.fail, self.heard = fail, []
    def begin(self, watched):
        self.heard.append(f"{watched.run.name} {watched.evaluations} {watched.uid}")
        self.folder = watched.folder
    def handle(self, event, at):
        if self.fail:
            raise RuntimeError("no such luck")
        self.heard.append(type(event).__name__)
    def end(self):
        with open(self.folder / "heard.txt", "a") as file:
            file.write("\\n".join(self.heard) + "\\n")

def not_a_hook():
    return 3
"""


class Recording(Hook):
    """Remembers what it was told; fails on, or waits for, what a test says."""

    def __init__(self, *, fails: int = 0, gate: threading.Event | None = None) -> None:
        self.heard: list[Event] = []
        self.fails, self.gate, self.ended = fails, gate, False

    def handle(self, event: Event, at: float) -> None:
        if self.gate is not None:
            self.gate.wait(20)
        if self.fails:
            self.fails -= 1
            raise OSError("the tracker is away")
        self.heard.append(event)

    def end(self) -> None:
        self.ended = True


def watched() -> Watched:
    return Watched(None, "", Path(), 0)  # type: ignore[arg-type] # these hooks do not look at it


def announce(*hooks: Hook, capacity: int = 100) -> tuple[Announcer, list[Event]]:
    told: list[Event] = []
    deliveries = [Delivery(f"h{n}", hook, capacity) for n, hook in enumerate(hooks)]
    announcer = Announcer([told.append], deliveries)
    announcer.begin(watched)
    return announcer, told


def faults(told: list[Event]) -> list[str]:
    return [f"{e.where}: {e.message}" for e in told if isinstance(e, FaultOccurred)]


END = RunFinished(1, "finished", "")


def test_events_arrive_in_order_and_before_the_observers_hear_of_the_end() -> None:
    hook = Recording()
    announcer, told = announce(hook)
    events: list[Event] = [Progress(evaluations=n) for n in range(50)]

    for event in [*events, END]:
        announcer(event)

    assert hook.heard == [*events, END]
    assert told == [*events, END]
    assert hook.ended


def test_what_a_hook_fails_on_is_counted_and_reported_once() -> None:
    hook = Recording(fails=3)
    announcer, told = announce(hook)

    for n in range(10):
        announcer(Progress(evaluations=n))
    announcer(END)

    assert len(hook.heard) == 8
    assert faults(told) == [
        "hook h0: OSError: the tracker is away",
        "hook h0: 3 of 11 events were not delivered",
    ]
    assert told[-1] == END


def test_a_hook_that_always_fails_is_given_up_and_the_others_go_on() -> None:
    bad, good = Recording(fails=10_000), Recording()
    announcer, told = announce(bad, good)

    for n in range(50):
        announcer(Progress(evaluations=n))
    announcer(END)

    assert bad.fails == 10_000 - delivery.GIVE_UP
    assert bad.ended
    assert len(good.heard) == 51
    assert faults(told)[-1] == "hook h0: 51 of 51 events were not delivered"


def test_a_hook_that_cannot_begin_misses_everything() -> None:
    class Unable(Recording):
        def begin(self, watched: Watched) -> None:
            raise SystemExit("log in first")

    hook = Unable()
    announcer, told = announce(hook)
    announcer(END)

    assert (hook.heard, hook.ended) == ([], False)
    assert faults(told) == [
        "hook h0: SystemExit: log in first",
        "hook h0: 1 of 1 events were not delivered",
    ]


def test_a_slow_hook_holds_up_nobody_and_what_it_misses_is_counted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(delivery, "DRAIN_S", 0.2)
    gate = threading.Event()
    hook = Recording(gate=gate)
    announcer, told = announce(hook, capacity=10)
    started = time.monotonic()

    for n in range(1000):
        announcer(Progress(evaluations=n))
    announcer(END)

    assert time.monotonic() - started < 10
    gate.set()
    assert faults(told) == [
        "hook h0: it had not taken in everything 0.2 s after the run",
        "hook h0: 1001 of 1001 events were not delivered",
    ]


def test_every_event_is_delivered_or_counted() -> None:
    gate = threading.Event()
    hook = Recording(gate=gate)
    announcer, told = announce(hook, capacity=10)
    for n in range(100):
        announcer(Progress(evaluations=n))
    gate.set()
    announcer(END)

    (said,) = faults(told)
    missed = int(said.split()[2])
    assert missed >= 101 - 12
    assert len(hook.heard) + missed == 101


def test_keys_in_a_hooks_error_are_not_shown() -> None:
    class Telling(Recording):
        def handle(self, event: Event, at: float) -> None:
            raise OSError("refused sk-ant-api03-" + "a1B2" * 12)

    announcer, told = announce(Telling())
    announcer(END)

    assert "a1B2" not in faults(told)[0]


def test_hooks_are_closed_when_a_run_dies_without_a_word() -> None:
    hook = Recording()

    def die(observers: list[Observer]) -> None:
        with announcing(observers, [("h", hook)]) as announcer:
            announcer.begin(watched)
            announcer(Stopping("now"))
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        die([])
    assert hook.ended


def test_a_hook_of_ones_own_hears_of_both_sessions_of_a_run(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(MINE)
    hooks = [{"kind": "./mine.py:Mine"}]

    interrupted(tmp_path, hooks, after=4)
    result = search(tmp_path, hooks)

    heard = (tmp_path / "heard.txt").read_text().splitlines()
    begun = [line.split() for line in heard if line.startswith("search ")]
    assert result.run_id == 1
    assert [count for _, count, _ in begun] == ["0", "4"]
    assert begun[0][2] == begun[1][2], "one run, one name"
    assert heard.count("ProgramEvaluated") == 12
    assert heard.count("RunFinished") == 2


def test_a_failing_hook_does_not_change_what_a_run_finds(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(MINE)
    told: list[Event] = []
    plain = search(tmp_path, [])
    hooked = search(
        tmp_path, [{"kind": "./mine.py:Mine", "options": {"fail": True}}], [told.append]
    )

    assert [f"{each.fitness}" for each in hooked.archive] == [
        f"{each.fitness}" for each in plain.archive
    ]
    assert faults(told)[0] == "hook ./mine.py:Mine: RuntimeError: no such luck"


def test_another_hook_is_no_other_run(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(MINE)
    interrupted(tmp_path, [], after=4)

    assert search(tmp_path, [{"kind": "./mine.py:Mine"}]).run_id == 1


@pytest.mark.parametrize(
    ("hook", "message"),
    [
        ({"kind": "jsonI"}, "none of the hooks; did you mean 'jsonl'"),
        ({"kind": "jsonl", "options": {"file": "x"}}, "no option 'file'"),
        ({"kind": "./mine.py:not_a_hook"}, "makes a int, which is no"),
        ({"kind": "wandb", "options": {"api_key": "x"}}, "looks like a secret"),
    ],
)
def test_a_wrong_hook_is_refused_before_anything_is_paid_for(
    hook: dict[str, Any], message: str, tmp_path: Path
) -> None:
    (tmp_path / "mine.py").write_text(MINE)
    with pytest.raises((ConfigError, PluginError), match=message):
        search(tmp_path, [hook])
    assert not (tmp_path / "evolve.db").exists()


def test_a_missing_package_is_named_with_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(base, "find_spec", lambda _: None)
    with pytest.raises(PrerequisiteError, match=r"pip install 'evolve-engine\[mlflow\]'"):
        base.need("mlflow", "mlflow")


def test_events_go_into_a_file_that_a_resumed_run_goes_on_with(tmp_path: Path) -> None:
    hooks = [{"kind": "jsonl", "options": {"path": "log-{run}.jsonl"}}]
    interrupted(tmp_path, hooks, after=4)
    log = tmp_path / "log-1.jsonl"
    log.write_bytes(log.read_bytes() + b'{"event": "Prog')  # as a killed session leaves it
    search(tmp_path, hooks)

    lines = log.read_text().splitlines()
    events = [json.loads(line) for line in lines if line != '{"event": "Prog']
    assert len(events) == len(lines) - 1
    evaluated = [event for event in events if event["event"] == ProgramEvaluated.__name__]
    assert [event["iteration"] for event in evaluated] == [None, *range(11)]
    assert all(before["at"] <= after["at"] for before, after in pairwise(events))
    assert [e["status"] for e in events if e["event"] == "RunFinished"] == [
        "failed",
        "finished",
    ]


def test_no_key_is_in_any_event_or_export(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEST_KEY", KEY)

    def refuse(_: object) -> Any:
        return failure(500, message=f"the key {KEY} may not do that")

    with FakeLLMServer(refuse) as server:
        config = configure(
            tmp_path,
            server,
            hooks=[{"kind": "jsonl", "options": {"path": "log.jsonl"}}],
            stop={"evaluations": 3, "fruitless": 3},
        )
        with suppress(EvolveError):
            run(config, db=str(tmp_path / "evolve.db"))

    text = (tmp_path / "log.jsonl").read_text()
    assert "ProposalRejected" in text
    assert KEY not in text
    with open_reader(str(tmp_path / "evolve.db")) as reader:
        counts = export_tables(reader, reader.run(), tmp_path / "out", "jsonl")
    assert counts["calls"] > 0
    assert [file.name for file in (tmp_path / "out").iterdir() if KEY in file.read_text()] == []
