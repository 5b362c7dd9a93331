"""Programs that are commands: built once, run for every call, JSON in and out."""

from __future__ import annotations

import numpy as np
import pytest

from evolve.core.command import Command
from evolve.core.errors import EvaluatorError
from evolve.core.evaluation import Outcome
from evolve.core.limits import Limits
from evolve.core.program import Program
from evolve.core.values import Value
from evolve.sandbox.base import Job, Reply, Report, Slot
from tests.sandbox.conftest import SLOT_LIMITS

pytestmark = pytest.mark.anyio

RUN = Command(run=("python3", "main.py"))
ECHO = "import json, sys; json.dump(json.load(sys.stdin), sys.stdout)"
#: The CPU time of children that have ended is counted in ticks of 10 ms.
BUSY = "import time\nwhile time.process_time() < 0.05: pass\n"


async def call(
    slot: Slot,
    source: str,
    inputs: dict[str, Value] | None = None,
    command: Command = RUN,
    limits: Limits = SLOT_LIMITS,
) -> tuple[Reply, Report]:
    program = Program({"main.py": source, "inner/data.txt": "12"})
    async with slot.session(Job(program, "", limits, command=command)) as session:
        reply = await session.call(inputs or {})
    return reply, session.report


async def test_inputs_come_as_json_and_output_goes_back(slot: Slot) -> None:
    inputs: dict[str, Value] = {"n": 3, "xs": np.eye(2), "name": "ä", "deep": {"b": [np.arange(2)]}}
    reply, _ = await call(slot, BUSY + ECHO, inputs)
    assert reply.outcome is Outcome.OK, reply.message
    assert reply.value == {
        "n": 3,
        "xs": [[1.0, 0.0], [0.0, 1.0]],
        "name": "ä",
        "deep": {"b": [[0, 1]]},
    }
    assert reply.usage.wall_ns > 1_000_000
    assert reply.usage.cpu_ns > 20_000_000  # of the command, not of what waits for it


async def test_every_call_is_a_run_of_its_own_in_the_folder_of_the_files(slot: Slot) -> None:
    source = """
import os
with open("count", "a") as file: file.write("x")
print(len(open("count").read()) + int(open("inner/data.txt").read()))
"""
    program = Program({"main.py": source, "inner/data.txt": "12"})
    async with slot.session(Job(program, "", SLOT_LIMITS, command=RUN)) as session:
        assert [(await session.call({})).value for _ in range(3)] == [13, 14, 15]
    assert (await call(slot, source))[0].value == 13  # nothing is left to the next program


async def test_a_build_comes_first_and_its_failure_is_explained(slot: Slot) -> None:
    build = ("python3", "-c", "open('made.py', 'w').write('print(7)')")
    built = Command(run=("python3", "made.py"), build=build)
    assert (await call(slot, "", command=built))[0].value == 7
    broken = Command(run=RUN.run, build=("python3", "-m", "py_compile", "main.py"))
    reply, _ = await call(slot, "def f(:\n", command=broken)
    assert reply.outcome is Outcome.EXCEPTION
    assert reply.message.startswith("the build ended with status 1:")
    assert "SyntaxError" in reply.message


@pytest.mark.parametrize(
    ("source", "outcome", "message"),
    [
        ("import sys; sys.exit(3)", Outcome.EXIT, "python3 ended with status 3"),
        ("import os; os.abort()", Outcome.SIGNAL, "killed by signal 6"),
        ("print('hello')", Outcome.BAD_OUTPUT, "not one JSON value"),
        ("print(1); print(2)", Outcome.BAD_OUTPUT, "not one JSON value"),
        ("print('[' * 100000)", Outcome.BAD_OUTPUT, "not one JSON value"),
        ("print('1' * (5 << 20))", Outcome.OUTPUT_TOO_LARGE, "more than 4 MiB"),
        ("while True: pass", Outcome.WALL_TIMEOUT, "no answer"),
        ("import time; print(1, flush=True); time.sleep(99)", Outcome.WALL_TIMEOUT, "no answer"),
    ],
)
async def test_ways_to_fail_are_told_apart(
    slot: Slot, source: str, outcome: Outcome, message: str
) -> None:
    wall_s = 1.5 if outcome is Outcome.WALL_TIMEOUT else 30.0
    limits = Limits(wall_s=wall_s, memory_mb=192, processes=16, disk_mb=16, result_mb=4)
    reply, _ = await call(slot, source, limits=limits)
    assert reply.outcome is outcome, reply.message
    assert message in reply.message
    assert (await call(slot, "print(1)"))[0].value == 1


async def test_too_much_memory_or_cpu_is_seen_from_outside(slot: Slot) -> None:
    limits = Limits(wall_s=60.0, memory_mb=96, processes=16, disk_mb=16)
    reply, _ = await call(slot, "b = b'x' * (600 << 20); print(len(b))", limits=limits)
    assert reply.outcome in (Outcome.OUT_OF_MEMORY, Outcome.EXIT), reply.message
    limits = Limits(wall_s=60.0, cpu_s=0.5, memory_mb=96, processes=16, disk_mb=16)
    reply, _ = await call(slot, "while True: pass", limits=limits)
    assert reply.outcome is Outcome.CPU_TIMEOUT, reply.message


async def test_what_it_says_on_standard_error_is_kept_and_never_parsed(slot: Slot) -> None:
    reply, report = await call(slot, "import sys; print('2', file=sys.stderr); print(1)")
    assert (reply.value, report.stderr) == (1, "2\n")


async def test_a_command_cannot_write_to_the_protocol(slot: Slot) -> None:
    source = """
import os
for descriptor in range(3, 64):
    try: os.write(descriptor, b"\\x08" + bytes(8))
    except OSError: pass
print(1)
"""
    assert (await call(slot, source))[0].value == 1


async def test_a_program_that_is_not_there_is_named(slot: Slot) -> None:
    reply, _ = await call(slot, "", command=Command(run=("./nothing",)))
    assert reply.outcome is Outcome.EXCEPTION
    assert reply.message == "./nothing cannot be run here: No such file or directory"


async def test_a_command_has_no_functions_to_call(slot: Slot) -> None:
    job = Job(Program({"main.py": ECHO}), "", SLOT_LIMITS, command=RUN)
    async with slot.session(job) as session:
        with pytest.raises(EvaluatorError, match="no function 'other'"):
            await session.call({}, function="other")
        assert (await session.call({"a": 1})).value == {"a": 1}
        with pytest.raises(EvaluatorError, match="inputs of a command are JSON"):
            await session.call({"a": np.array([1j])})
