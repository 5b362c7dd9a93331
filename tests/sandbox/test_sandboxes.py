"""What every sandbox promises: how programs end, what they cost, that nothing stays behind."""

from __future__ import annotations

import textwrap
import time
from dataclasses import replace
from typing import Any

import anyio
import numpy as np
import pytest

from evolve.core.errors import EvaluatorError
from evolve.core.evaluation import Outcome
from evolve.core.program import Program
from evolve.sandbox.base import Job, Reply, Report, Sandbox, Slot
from tests.sandbox.conftest import SLOT_LIMITS

pytestmark = pytest.mark.anyio


def job(source: str, *, harness: str = "", **limits: Any) -> Job:
    program = Program({"program.py": textwrap.dedent(source)})
    return Job(program, "solve", replace(SLOT_LIMITS, **limits), textwrap.dedent(harness))


async def run(slot: Slot, source: str, **options: Any) -> tuple[Any, Report]:
    """Call ``solve()`` once."""
    async with slot.session(job(source, **options)) as session:
        reply = await session.call({})
    return reply, session.report


@pytest.fixture(autouse=True)
async def _slot_stays_usable(slot: Slot) -> Any:
    """After every test, the next honest program in the same slot is unaffected."""
    yield
    reply, report = await run(slot, "def solve():\n    print('here')\n    return 6 * 7")
    assert (reply.outcome, reply.value, report.stdout) == (Outcome.OK, 42, "here\n")


async def test_plain_data_goes_there_and_back(slot: Slot) -> None:
    inputs: dict[str, Any] = {"a": [1, 2.5, None, True], "b": {"key": "text"}, "c": np.eye(2)}
    async with slot.session(job("def solve(**inputs): return inputs")) as session:
        reply = await session.call(inputs)
    assert reply.outcome is Outcome.OK
    assert isinstance(reply.value, dict)
    assert reply.value["a"] == inputs["a"]
    assert reply.value["b"] == inputs["b"]
    np.testing.assert_array_equal(reply.value["c"], inputs["c"])


async def test_many_calls_keep_the_programs_state(slot: Slot) -> None:
    source = """
        total = 0
        def solve(x):
            global total
            total += x
            return total
        def other(): return -total
    """
    async with slot.session(job(source)) as session:
        replies = [await session.call({"x": 1}) for _ in range(50)]
        last = await session.call({}, function="other")
    assert [reply.value for reply in replies] == list(range(1, 51))
    assert last.value == -50
    assert session.report.usage.wall_ns > sum(reply.usage.wall_ns for reply in replies)


async def test_a_program_of_several_files_imports_its_own(slot: Slot) -> None:
    program = Program(
        {
            "main.py": "from parts.helper import f\ndef solve(): return f()",
            "parts/helper.py": "def f(): return __file__.rsplit('/', 1)[-1]",
        }
    )
    async with slot.session(Job(program, "main.py:solve", SLOT_LIMITS)) as session:
        assert (await session.call({})).value == "helper.py"


async def test_a_harness_runs_beside_the_program(slot: Slot) -> None:
    harness = """
        def run(function, n):
            return [function(i) for i in range(n)]
    """
    async with slot.session(job("def solve(i): return i * i", harness=harness)) as session:
        assert (await session.call({"n": 4})).value == [0, 1, 4, 9]


async def test_an_exception_comes_with_the_programs_own_frames(slot: Slot) -> None:
    reply, _ = await run(slot, "def solve():\n    return inner()\ndef inner():\n    return 1 / 0")
    assert reply.outcome is Outcome.EXCEPTION
    assert 'File "program.py", line 4, in inner' in reply.message
    assert reply.message.endswith("ZeroDivisionError: division by zero")
    assert "inside" not in reply.message
    assert reply.message.count("File") == 2


@pytest.mark.parametrize(
    ("source", "says"),
    [
        ("def solve(:\n", "SyntaxError"),
        ("raise RuntimeError('on import')", "on import"),
        ("import no_such_module", "ModuleNotFoundError"),
        ("def other(): pass", "defines no function 'solve'"),
        ("def solve(x): pass", "missing 1 required positional argument"),
    ],
)
async def test_what_cannot_be_loaded_or_called_is_an_exception(
    slot: Slot, source: str, says: str
) -> None:
    reply, _ = await run(slot, source)
    assert reply.outcome is Outcome.EXCEPTION
    assert says in reply.message
    assert "/" not in reply.message


async def test_long_messages_are_cut(slot: Slot) -> None:
    reply, _ = await run(slot, "def solve():\n    raise ValueError('x' * 100_000)")
    assert reply.outcome is Outcome.EXCEPTION
    assert len(reply.message.encode()) <= 4096


ENDINGS = [
    ("def solve():\n    while True: pass", {"wall_s": 0.4}, Outcome.WALL_TIMEOUT),
    ("import time\ntime.sleep(60)\ndef solve(): pass", {"wall_s": 0.3}, Outcome.WALL_TIMEOUT),
    ("def solve():\n    while True: pass", {"cpu_s": 0.2}, Outcome.CPU_TIMEOUT),
    ("import os\ndef solve(): os._exit(3)", {}, Outcome.EXIT),
    ("import sys\ndef solve(): sys.exit('bye')", {}, Outcome.EXIT),
    ("import os\ndef solve(): os.kill(os.getpid(), 9)", {}, Outcome.SIGNAL),
    ("import ctypes\ndef solve(): ctypes.string_at(0)", {}, Outcome.SIGNAL),
    ("def solve(): return object()", {}, Outcome.BAD_OUTPUT),
    ("def solve(): return 'x' * 8_000_000", {}, Outcome.OUTPUT_TOO_LARGE),
    ("def solve():\n    while True: print('x' * 1000)", {}, Outcome.OUTPUT_TOO_LARGE),
    ("def solve(): return len(bytearray(b'x') * 500_000_000)", {}, Outcome.OUT_OF_MEMORY),
    (
        "import threading, time\n"
        "def solve():\n"
        "    for _ in range(99): threading.Thread(target=time.sleep, args=(9,)).start()",
        {},
        Outcome.PROCESS_LIMIT,
    ),
]


@pytest.mark.parametrize(("source", "limits", "outcome"), ENDINGS)
async def test_ways_to_end_are_told_apart(
    slot: Slot, source: str, limits: dict[str, float], outcome: Outcome
) -> None:
    began = time.monotonic()
    reply, _ = await run(slot, source, **limits)
    assert reply.outcome is outcome, reply.message
    assert reply.message
    assert time.monotonic() - began < 20.0, "some would take a minute"


async def test_after_a_failed_call_all_others_fail_alike(slot: Slot) -> None:
    async with slot.session(job("def solve(x): return 1 / x")) as session:
        replies = [await session.call({"x": x}) for x in (1, 0, 1)]
    assert [reply.outcome for reply in replies] == [Outcome.OK, *[Outcome.EXCEPTION] * 2]
    assert replies[1] == replies[2]


async def test_output_is_captured_and_cut(slot: Slot) -> None:
    source = """
        import sys
        def solve():
            print("out" * 5000)
            sys.stderr.write("err")
            sys.stdout.buffer.write(b"\\xff")
    """
    reply, report = await run(slot, source)
    assert reply.outcome is Outcome.OK
    assert report.stdout == ("out" * 5000)[:4096]
    assert report.stderr == "err"


async def test_cpu_time_is_measured_outside(slot: Slot) -> None:
    source = """
        import os, time
        time.process_time_ns = time.monotonic_ns = time.perf_counter_ns = lambda: 0
        def spin(seconds):
            end = time.thread_time() + seconds
            while time.thread_time() < end: pass
        def solve():
            spin(0.2)
            if os.fork() == 0:
                spin(0.2)
                os._exit(0)
            os.wait()
    """
    reply, report = await run(slot, source)
    assert reply.outcome is Outcome.OK
    assert 0.35e9 < reply.usage.cpu_ns < 1.5e9
    assert reply.usage.cpu_ns <= report.usage.cpu_ns
    assert reply.usage.wall_ns >= reply.usage.cpu_ns * 0.9


#: Seconds for work of a fraction of a second; a machine that is busy gets more.
ENOUGH_S = (0.4, 1.5, 8.0)


async def test_work_between_calls_is_counted(slot: Slot) -> None:
    source = """
        import threading
        def burn():
            while True: pass
        def solve():
            threading.Thread(target=burn, daemon=True).start()
    """
    used_ns = 0
    for seconds in ENOUGH_S:
        async with slot.session(job(source)) as session:
            await session.call({})
            await anyio.sleep(seconds)
        used_ns = session.report.usage.cpu_ns
        if used_ns > 0.05e9:
            break
    assert used_ns > 0.05e9


async def test_work_between_calls_is_charged_to_the_next_call(slot: Slot) -> None:
    source = """
        import threading, time
        def burn():
            end = time.thread_time() + 0.15
            while time.thread_time() < end: pass
        burner = threading.Thread(target=burn)
        def solve(x):
            if x: burner.start()
            return burner.is_alive()
    """
    replies: list[Reply] = []
    used_ns = 0
    for seconds in ENOUGH_S:
        async with slot.session(job(source)) as session:
            replies = [await session.call({"x": True})]
            await anyio.sleep(seconds)
            replies += [await session.call({"x": False}) for _ in range(2)]
        used_ns = session.report.usage.cpu_ns
        second = replies[1].usage
        charged = second.cpu_ns > max(0.05e9, second.wall_ns)
        if charged and not replies[1].value:
            break
    first, second, third = (reply.usage for reply in replies)
    assert replies[1].value is False, "it is through"
    assert first.cpu_ns + second.cpu_ns > 0.13e9
    assert second.cpu_ns > max(0.05e9, second.wall_ns)
    assert third.cpu_ns < 0.05e9
    assert used_ns > 0.13e9


async def test_the_clock_stands_still_between_calls(slot: Slot) -> None:
    outcomes = []
    for wall_s in ENOUGH_S:
        async with slot.session(job("def solve(): return 1", wall_s=wall_s)) as session:
            await session.call({})
            await anyio.sleep(1.2 * wall_s)
            outcomes.append((await session.call({})).outcome)
        if outcomes[-1] is Outcome.OK:
            break
    assert outcomes[-1] is Outcome.OK


async def test_peak_memory_is_measured(slot: Slot) -> None:
    _, small = await run(slot, "def solve(): pass")
    _, large = await run(slot, "def solve(): return len(bytearray(b'x') * 80_000_000)")
    assert large.usage.peak_memory_bytes - small.usage.peak_memory_bytes > 60_000_000


@pytest.mark.parametrize(
    "hidden",
    [
        """
        def solve():
            if os.fork() == 0:
                held = b"x" * 80_000_000
                time.sleep(SECONDS)
                os._exit(0)
            os.wait()
        """,
        """
        def solve():
            held = bytearray(b"x") * 80_000_000
            time.sleep(SECONDS)
            del held
            with open("/proc/self/clear_refs", "w") as file:
                file.write("5")  # resets the peak that the kernel keeps
        """,
    ],
    ids=["in a child", "by resetting the kernel's peak"],
)
async def test_peak_memory_cannot_be_hidden(slot: Slot, hidden: str) -> None:
    _, small = await run(slot, "import os, time\ndef solve(): pass")
    more = 0
    for seconds in ENOUGH_S:
        source = textwrap.dedent(hidden).replace("SECONDS", str(seconds))
        reply, large = await run(slot, "import os, time\n" + source)
        assert reply.outcome is Outcome.OK, reply.message
        more = large.usage.peak_memory_bytes - small.usage.peak_memory_bytes
        if more > 60_000_000:
            break
    assert more > 60_000_000


async def test_an_error_that_only_looks_like_the_process_limit_is_an_exception(slot: Slot) -> None:
    source = """
        import os
        def solve():
            end, _ = os.pipe()
            os.set_blocking(end, False)
            os.read(end, 1)
    """
    reply, _ = await run(slot, source)
    assert reply.outcome is Outcome.EXCEPTION
    assert "BlockingIOError" in reply.message


async def test_the_environment_is_empty_and_the_folder_private(
    slot: Slot, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "secret")
    source = """
        import os, sys
        def solve():
            open("mine", "w").write("text")
            return [sorted(os.environ), sorted(os.listdir(".")), os.getcwd(), sys.argv]
    """
    reply, _ = await run(slot, source)
    names, files, folder, _ = reply.value
    assert "OPENAI_API_KEY" not in names
    assert files == ["mine", "program.py"]
    again, _ = await run(slot, source)
    assert again.value[1] == files
    assert again.value[2] != folder


async def test_random_numbers_start_the_same_in_every_session(slot: Slot) -> None:
    source = """
        import random
        import numpy as np
        def solve(): return [random.random(), float(np.random.rand()), hash("text")]
    """
    first, _ = await run(slot, source)
    second, _ = await run(slot, source)
    assert first.outcome is Outcome.OK, first.message
    assert first.value == second.value


async def test_scipy_is_there(slot: Slot) -> None:
    source = """
        from scipy.optimize import brentq
        def solve(): return brentq(lambda x: x * x - 2, 0, 2)
    """
    reply, _ = await run(slot, source)
    assert reply.value == pytest.approx(2**0.5)


async def test_large_values_cross(slot: Slot) -> None:
    big = np.arange(300_000, dtype=np.float64)
    async with slot.session(job("def solve(a): return a + 1")) as session:
        reply = await session.call({"a": big})
    assert isinstance(reply.value, np.ndarray)
    np.testing.assert_array_equal(reply.value, big + 1)


async def test_inputs_must_be_plain(slot: Slot) -> None:
    async with slot.session(job("def solve(a): return a")) as session:
        with pytest.raises(EvaluatorError, match="not plain data"):
            await session.call({"a": object()})  # type: ignore[dict-item]


async def test_a_cancelled_call_leaves_the_slot_clean(slot: Slot) -> None:
    with anyio.move_on_after(0.2) as scope:
        async with slot.session(job("def solve():\n    while True: pass")) as session:
            await session.call({})
    assert scope.cancelled_caught


async def test_a_session_without_a_call_costs_nothing(slot: Slot) -> None:
    async with slot.session(job("def solve(): pass")) as session:
        pass
    assert session.report == Report()


async def test_a_session_left_by_an_error_is_cleaned_up(slot: Slot) -> None:
    async def fail() -> None:
        async with slot.session(job("def solve(): pass")) as session:
            await session.call({})
            raise KeyError

    with pytest.raises(KeyError):
        await fail()


async def test_it_tells_what_it_guarantees_and_what_it_is(sandbox: Sandbox, slot: Slot) -> None:
    assert sandbox.guarantees()
    assert sandbox.provenance()["sandbox"] == sandbox.name
    assert sandbox.provenance()["python"].startswith("3.")
