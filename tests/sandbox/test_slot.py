"""The controller's side: a runner that dies, hangs or lies costs one session, never the slot."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable

import anyio
import pytest
from anyio.abc import ByteStream

from evolve.core.errors import InfrastructureError, SandboxUnavailable
from evolve.core.evaluation import Outcome, Usage
from evolve.core.limits import Limits
from evolve.core.program import Program
from evolve.sandbox import session as session_module
from evolve.sandbox import wire
from evolve.sandbox.base import Job, Reply, Report
from evolve.sandbox.inside.session import CLOSED, REPLY
from evolve.sandbox.slot import RunnerSlot
from evolve.sandbox.wire import FrameReader, Kind

pytestmark = pytest.mark.anyio

JOB = Job(Program({"program.py": "def solve(): return 1"}), "solve", Limits(wall_s=0.2))
GREETING = wire.pack(Kind.HELLO, json.dumps({"python": "3.0", "obtained": ["all"]}).encode())
GOOD = wire.pack(Kind.REPLY, REPLY.pack(0, 7, 8, 9) + wire.dumps(1))
CLEAN = wire.pack(Kind.CLOSED, CLOSED.pack(True, 70, 80, 90, 3) + b"outerr")
UNCLEAN = wire.pack(Kind.CLOSED, CLOSED.pack(False, 0, 0, 0, 0))
HANG_UP = b"hang up"


class ScriptedRunner(ByteStream):
    """Answers each frame with the bytes that stand for its kind; `HANG_UP` closes instead."""

    def __init__(self, greeting: bytes, answers: dict[Kind, bytes]) -> None:
        self._answers = answers
        self.asked: list[Kind] = []
        self._reader = FrameReader(1 << 20)
        self._put, self._take = anyio.create_memory_object_stream[bytes](100)
        self._put.send_nowait(greeting)

    async def send(self, item: bytes) -> None:
        for kind, _ in self._reader.feed(item):
            self.asked.append(kind)
            answer = self._answers.get(kind, b"")
            if answer == HANG_UP:
                self._put.close()
            elif answer:
                self._put.send_nowait(answer)

    async def receive(self, max_bytes: int = 65536) -> bytes:
        return await self._take.receive()

    async def send_eof(self) -> None:
        self._put.close()

    async def aclose(self) -> None:
        self._put.close()
        self._take.close()


class ScriptedHost:
    """Starts scripted runners and counts them."""

    def __init__(self, **answers: bytes) -> None:
        self.recycle_after = 3
        self.answers = {Kind.CALL: GOOD, Kind.CLOSE: CLEAN}
        self.answers |= {Kind[name]: answer for name, answer in answers.items()}
        self.greeting = answers.get("HELLO", GREETING)
        self.runners: list[ScriptedRunner] = []
        self.running = False
        self.refuses = False
        self.verdict = Outcome.RUNNER_LOST

    async def start(self) -> ByteStream:
        if self.refuses:
            raise SandboxUnavailable("the engine is gone")
        self.running = True
        self.runners.append(ScriptedRunner(self.greeting, self.answers))
        return self.runners[-1]

    async def stop(self) -> None:
        self.running = False

    async def post_mortem(self) -> Outcome:
        return self.verdict

    async def aclose(self) -> None:
        await self.stop()


SlotOn = Callable[[ScriptedHost], RunnerSlot]


@pytest.fixture
async def slot_on() -> AsyncIterator[SlotOn]:
    """Make slots that are closed after the test."""
    made: list[RunnerSlot] = []

    def make(host: ScriptedHost) -> RunnerSlot:
        made.append(RunnerSlot(host))
        return made[-1]

    yield make
    for slot in made:
        await slot.aclose()


async def call_once(slot: RunnerSlot) -> tuple[Reply, Report]:
    async with slot.session(JOB) as session:
        reply = await session.call({})
    return reply, session.report


async def test_a_reply_and_a_report_are_what_the_runner_says(slot_on: SlotOn) -> None:
    reply, report = await call_once(slot_on(ScriptedHost()))
    assert reply == Reply(Outcome.OK, 1, usage=Usage(7, 8, 9))
    assert report == Report(Usage(70, 80, 90), "out", "err")


@pytest.mark.parametrize(
    "answer",
    [
        HANG_UP,
        b"\xff" * 100,
        wire.HEADER.pack(Kind.REPLY, 1 << 50),
        wire.pack(Kind.REPLY, b"short"),
        wire.pack(Kind.REPLY, REPLY.pack(200, 0, 0, 0)),
        wire.pack(Kind.CLOSED, b""),
        GREETING,
    ],
    ids=[
        "hangs up",
        "noise",
        "lies about length",
        "is short",
        "has no outcome",
        "closes",
        "greets",
    ],
)
async def test_a_runner_that_makes_no_sense_is_replaced(slot_on: SlotOn, answer: bytes) -> None:
    host = ScriptedHost(CALL=answer)
    slot = slot_on(host)
    reply, _ = await call_once(slot)
    assert reply.outcome is Outcome.RUNNER_LOST
    assert not host.running
    host.answers[Kind.CALL] = GOOD
    reply, _ = await call_once(slot)
    assert reply.outcome is Outcome.OK
    assert len(host.runners) == 2


async def test_a_lost_runner_that_was_not_the_programs_doing_is_an_infrastructure_fault(
    slot_on: SlotOn,
) -> None:
    host = ScriptedHost(CALL=HANG_UP)
    host.verdict = Outcome.INFRASTRUCTURE
    with pytest.raises(InfrastructureError):
        await call_once(slot_on(host))


async def test_a_silent_runner_is_replaced(
    slot_on: SlotOn, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(session_module, "GRACE_S", 0.1)
    host = ScriptedHost(CALL=b"")
    slot = slot_on(host)
    with anyio.fail_after(5):
        reply, _ = await call_once(slot)
    assert reply.outcome is Outcome.RUNNER_LOST
    assert "deadline" in reply.message
    assert not host.running


@pytest.mark.parametrize("answer", [UNCLEAN, HANG_UP, b"\xff" * 100, GREETING])
async def test_a_runner_that_could_not_clean_up_is_replaced(slot_on: SlotOn, answer: bytes) -> None:
    host = ScriptedHost(CLOSE=answer)
    slot = slot_on(host)
    reply, _ = await call_once(slot)
    assert reply.outcome is Outcome.OK
    assert not host.running
    await call_once(slot)
    assert len(host.runners) == 2


async def test_a_runner_serves_only_so_many_programs(slot_on: SlotOn) -> None:
    host = ScriptedHost()
    slot = slot_on(host)
    for _ in range(7):
        await call_once(slot)
    assert len(host.runners) == 3


async def test_when_every_program_has_a_runner_the_next_is_started_ahead(slot_on: SlotOn) -> None:
    host = ScriptedHost()
    host.recycle_after = 1
    slot = slot_on(host)
    await call_once(slot)
    assert len(host.runners) == 2
    assert host.running


async def test_a_value_that_is_no_value_is_the_programs_fault(slot_on: SlotOn) -> None:
    host = ScriptedHost(CALL=wire.pack(Kind.REPLY, REPLY.pack(0, 0, 0, 0) + b"\xff" * 9))
    reply, _ = await call_once(slot_on(host))
    assert reply.outcome is Outcome.BAD_OUTPUT
    assert host.running


async def test_a_slot_whose_runner_cannot_be_replaced_says_so(slot_on: SlotOn) -> None:
    host = ScriptedHost(CLOSE=UNCLEAN)
    slot = slot_on(host)
    await call_once(slot)
    host.refuses = True
    with pytest.raises(InfrastructureError, match="the engine is gone"):
        await call_once(slot)
    host.refuses = False
    assert (await call_once(slot))[0].outcome is Outcome.OK


@pytest.mark.parametrize("greeting", [b"\xff" * 20, wire.pack(Kind.HELLO, b"[]"), GOOD])
async def test_a_runner_that_does_not_greet_is_not_started(
    slot_on: SlotOn, greeting: bytes
) -> None:
    host = ScriptedHost(HELLO=greeting)
    with pytest.raises(SandboxUnavailable):
        await slot_on(host).open()
    assert not host.running


async def test_a_runner_that_runs_no_programs_is_refused_at_once(slot_on: SlotOn) -> None:
    host = ScriptedHost(CALL=wire.pack(Kind.REPLY, REPLY.pack(7, 0, 0, 0) + b"exit"))
    with pytest.raises(SandboxUnavailable, match="returns 1"):
        await slot_on(host).open()
    assert not host.running


async def test_after_a_cancelled_call_the_session_is_over(slot_on: SlotOn) -> None:
    host = ScriptedHost(CALL=b"")
    async with slot_on(host).session(JOB) as session:
        with anyio.move_on_after(0.05):
            await session.call({})
        host.answers[Kind.CALL] = GOOD
        with pytest.raises(InfrastructureError, match="given up"):
            await session.call({})


async def test_a_cancelled_call_is_closed_before_the_slot_is_free(slot_on: SlotOn) -> None:
    host = ScriptedHost(CALL=b"")
    slot = slot_on(host)
    with anyio.move_on_after(0.05):
        await call_once(slot)
    assert host.running  # it reported clean, so it stays
    host.answers[Kind.CALL] = GOOD
    assert (await call_once(slot))[0].outcome is Outcome.OK
    assert len(host.runners) == 1


async def test_a_spare_is_ready_only_when_its_libraries_are_imported(slot_on: SlotOn) -> None:
    host = ScriptedHost(PREPARE=wire.pack(Kind.PREPARED))
    host.recycle_after = 1
    slot = slot_on(host)
    source = "import numpy\ndef solve(): return 1"
    job = Job(Program({"program.py": source}), "solve", Limits(wall_s=0.2))
    async with slot.session(job) as session:
        await session.call({})
    assert [runner.asked for runner in host.runners] == [
        [Kind.PREPARE, Kind.OPEN, Kind.CALL, Kind.CLOSE],
        [Kind.PREPARE],
    ]
    host.answers[Kind.PREPARE] = b""  # it imports for ever
    with anyio.move_on_after(0.2) as waiting:
        async with slot.session(job) as session:
            assert (await session.call({})).value == 1  # by the spare, which is ready
    assert waiting.cancelled_caught
