"""A cluster of three nodes on this machine: places, devices, and every way to lose them."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import textwrap
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, closing
from pathlib import Path
from tempfile import gettempdir
from typing import Any, Self

import anyio
import pytest

from evolve.core.errors import InfrastructureError, PrerequisiteError, SandboxUnavailable, SlotLost
from evolve.core.evaluation import Evaluation, Outcome
from evolve.core.limits import Limits
from evolve.core.program import Program
from evolve.engine.assess import Assessor
from evolve.engine.events import Event, FaultOccurred
from evolve.engine.patience import LOSSES
from evolve.pool.ray import cluster as cluster_module
from evolve.pool.ray import door, shortage
from evolve.pool.ray.blueprint import Blueprint
from evolve.pool.ray.cluster import RayCluster
from evolve.pool.ray.leases import Leases
from evolve.pool.ray.place import LARGE_BYTES
from evolve.pool.ray.pool import RayPool
from evolve.pool.ray.survey import survey
from evolve.sandbox.base import Job, Slot
from evolve.sandbox.engine import Engine
from evolve.sandbox.reaper import LABEL
from evolve.sandbox.spec import SandboxSpec
from tests.command import evolve, start, write_config
from tests.engine.test_resume import check_database
from tests.pool.ray import plugins
from tests.pool.ray.nodes import Node, Nodes, Wire, cluster, network

pytestmark = [pytest.mark.ray, pytest.mark.timeout(240)]

LIMITS = Limits(wall_s=20, memory_mb=64)
RESOURCES: Mapping[str, Any] = {"num_cpus": 1}
JOB = Job(Program({"p.py": "def f(x):\n    return x\n"}), "f", LIMITS)
#: Exit code of a run after Ctrl-C.
INTERRUPTED = 130
PLUGINS = str(Path(plugins.__file__).resolve())
#: Every one of the four cases takes 40 ms, wherever the genetic operator takes the rest.
SLOW_SEED = """\
    import time
    # EVOLVE-BLOCK-START
    def g(x):
        return 0.5 * x + 2.0
    # EVOLVE-BLOCK-END
    def f(x):
        time.sleep(0.04)
        return g(x)
    """


@pytest.fixture(scope="module")
def nodes() -> Iterator[Nodes]:
    with cluster() as found:
        found.head(num_cpus=1)
        found.join(num_cpus=2, num_gpus=2).wait()
        found.join(num_cpus=2).wait()
        yield found


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> None:
    if "nodes" in request.fixturenames:
        found: Nodes = request.getfixturevalue("nodes")
        for name, value in found.env.items():
            monkeypatch.setenv(name, value)


@asynccontextmanager
async def opened(
    address: str,
    slots: int = 1,
    *,
    sandbox: str = "process",
    limits: Limits = LIMITS,
    resources: Mapping[str, Any] = RESOURCES,
    shared: bool = False,
    **options: Any,
) -> AsyncIterator[RayPool]:
    leases = Leases()
    blueprint = Blueprint(
        SandboxSpec(sandbox),
        limits,
        pool={"pin_cpus": False, "gpu_slots": 2 if shared else 1},
        shared=shared,
        devices=f"{PLUGINS}:FakeDevices",
    )
    async with (
        RayCluster(address, blueprint, resources, leases.counts) as connected,
        RayPool(connected, slots, leases, **options) as pool,
    ):
        yield pool


async def ask(pool: RayPool, value: Any = 1, job: Job = JOB) -> Any:
    async with pool.lease() as slot, slot.session(job) as session:
        reply = await session.call({"x": value})
        assert reply.outcome is Outcome.OK, reply
        return reply.value


async def until(true: Callable[[], object], within_s: float = 60.0) -> None:
    with anyio.fail_after(within_s):
        while not true():  # noqa: ASYNC110 - what is waited for tells nobody
            await anyio.sleep(0.05)


@pytest.mark.anyio
async def test_slots_on_every_node_run_programs_in_their_sandbox(nodes: Nodes) -> None:
    async with opened(nodes.address, 5) as pool:
        await until(lambda: pool.size == 5)
        assert [await ask(pool, number) for number in range(10)] == list(range(10))
        large = "x" * (3 * LARGE_BYTES)
        for _ in range(10):
            assert await ask(pool, large) == large
        assert "own file system" in " ".join(pool.facts["guarantees"])
        with pytest.raises(InfrastructureError, match="broken on purpose"):
            async with pool.lease():
                raise InfrastructureError("broken on purpose")
        await until(lambda: pool.size == 4)
        await until(lambda: pool.size == 5)
        assert pool.leases.lost == pool.leases.late == 0


@pytest.mark.docker
@pytest.mark.anyio
async def test_containers_of_a_node_go_with_their_actor(nodes: Nodes) -> None:
    def containers(pid: int) -> int:
        client = Engine().client
        labels = [each.labels[LABEL] for each in client.containers.list(filters={"label": LABEL})]
        client.close()
        return sum(f":{pid}:" in label for label in labels)

    async with opened(nodes.address, 1, sandbox="docker") as pool:
        assert await ask(pool) == 1
        (actor,) = (pid for node in nodes.nodes for pid in node.actors())
        assert containers(actor) == 1
        os.kill(actor, signal.SIGKILL)
        await until(lambda: not containers(actor))
        assert await ask(pool) == 1


@pytest.mark.anyio
async def test_the_devices_that_ray_assigns_are_those_programs_see(nodes: Nodes) -> None:
    gpu = Limits(memory_mb=64, gpus=1)
    telling = f"{PLUGINS}:TellingSandbox"
    for share, slots, seen in (
        (1, 2, {"GPU-0000", "GPU-0001"}),
        (0.5, 4, {"GPU-0000", "GPU-0001"}),
    ):
        resources = {"num_cpus": 0, "num_gpus": share}
        async with opened(
            nodes.address,
            slots,
            sandbox=telling,
            limits=gpu,
            resources=resources,
            shared=share < 1,
        ) as pool:
            await until(lambda wanted=slots: pool.size == wanted)  # type: ignore[misc]  # its default
            told = [await ask(pool) for _ in range(slots)]
            assert {each for answer in told for each in answer["gpus"]} == seen
            assert {len(answer["gpus"]) for answer in told} == {1}
            assert len({answer["pid"] for answer in told}) == slots, "an actor each"


@pytest.mark.anyio
async def test_a_slot_for_which_no_node_is_large_enough_is_waited_for_and_told(
    nodes: Nodes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shortage, "SAY_S", 1.0)
    reports: list[str] = []
    with pytest.raises(SandboxUnavailable, match="no node of 3 is large enough") as caught:
        async with opened(
            nodes.address, resources={"num_cpus": 64}, wait_s=3.0, report=reports.append
        ):
            pytest.fail("there is room")
    assert "a slot (CPU 64); at most there is CPU 2" in str(caught.value)
    assert reports[0].startswith("slots 0 of 1, 1 waiting for the cluster; none for 1")


@pytest.mark.anyio
async def test_a_program_that_takes_its_slots_down_is_found_out(nodes: Nodes) -> None:
    events: list[Event] = []

    class Ask:
        version = "v" * 64

        async def __call__(self, slot: Slot, program: Program, *_: Any, **__: Any) -> Evaluation:
            async with slot.session(Job(program, "f", LIMITS)) as session:
                reply = await session.call({})
            return Evaluation(reply.outcome)

    killer = Program({"p.py": "# take it down\n"})
    telling = f"{PLUGINS}:TellingSandbox"
    async with opened(nodes.address, 2, sandbox=telling) as pool:
        assess = Assessor(pool, Ask(), events.append, lambda _: None)
        found = await assess(killer)
        assert found.outcome is Outcome.RUNNER_LOST
        assert f"{LOSSES + 1} slots were lost with it" in found.message
        assert (await assess(JOB.program)).outcome is Outcome.OK
    assert len([each for each in events if isinstance(each, FaultOccurred)]) == LOSSES + 1


@pytest.mark.anyio
async def test_other_versions_are_refused(nodes: Nodes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster_module, "this_version", lambda: "0.0.1 (abc), Python 3.11")
    with pytest.raises(PrerequisiteError, match=r"the controller 0\.0\.1 \(abc\)") as caught:
        async with opened(nodes.address):
            pytest.fail("it was opened")
    assert "install the same on both" in str(caught.value)


@pytest.mark.anyio
async def test_every_node_is_looked_at(nodes: Nodes) -> None:
    found = await survey(nodes.address)
    assert [each.trouble for each in found] == [""] * 3
    assert sum("GPU 2" in each.resources for each in found) == 1


@pytest.mark.anyio
async def test_a_cluster_of_the_run_s_own_has_none_of_its_secrets(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-secret")
    async with opened("local", sandbox=f"{PLUGINS}:TellingSandbox") as pool:
        names = (await ask(pool))["environment"]
    assert "PATH" in names
    assert "OPENAI_API_KEY" not in names


@pytest.mark.anyio
async def test_no_cluster_is_told_with_what_to_do() -> None:
    with pytest.raises(PrerequisiteError, match=r"no Ray cluster at address 127\.0\.0\.1:1: "):
        async with opened("127.0.0.1:1"):
            pytest.fail("it was opened")


def configure(folder: Path, address: str, evaluations: int, **pool: Any) -> Path:
    """Write a configuration with slots on Ray; its evaluations take a quarter of a second."""
    config = write_config(
        folder,
        sandbox={"kind": "process"},
        slots=4,
        pool={
            "kind": "ray",
            "address": address,
            "lost_s": 5,
            "wait_s": 120,
            "resources": {"num_cpus": 1, "memory_mb": 64},
            **pool,
        },
        stop={"evaluations": evaluations},
    )
    (folder / "parabola" / "seed.py").write_text(textwrap.dedent(SLOW_SEED))
    return config


class Watched:
    """A run as a process, told of by its events."""

    def __init__(self, folder: Path, config: Path, env: Mapping[str, str]) -> None:
        self.process = start(folder, "run", config, "--json", **env)
        self.evaluated, self.faults = 0, list[str]()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.communicate()

    def read(self, until: Callable[[], bool] = lambda: False) -> None:
        """Take events until something is true or the run has ended."""
        assert self.process.stdout is not None
        while not until():
            line = self.process.stdout.readline()
            if not line:
                return
            event = json.loads(line)
            self.evaluated += event.get("event") == "ProgramEvaluated"
            if event.get("event") == "FaultOccurred":
                self.faults.append(f"{event['where']}: {event['message']}")

    def end(self) -> None:
        """See it to its end."""
        self.read()
        _, said = self.process.communicate(timeout=60)
        assert self.process.returncode == 0, said + "\n".join(self.faults)


def check_run(folder: Path, budget: int) -> None:
    """Check that every candidate was evaluated, none twice, and that the archive follows."""
    check_database(folder / "evolve.db", budget)
    with closing(sqlite3.connect(folder / "evolve.db")) as connection:
        lost = "SELECT count(*) FROM evaluations WHERE outcome IN ('infrastructure', 'runner_lost')"
        assert connection.execute(lost).fetchone() == (0,)


def test_a_slow_node_keeps_its_slots_and_its_work(tmp_path: Path, nodes: Nodes) -> None:
    """All that runs there has a quarter of the time; nothing is given up for that."""
    config = configure(tmp_path, nodes.address, 50, lost_s=30)
    with Watched(tmp_path, config, nodes.env) as run:
        run.read(lambda: run.evaluated >= 10)
        slow = max(nodes.nodes[1:], key=lambda node: len(node.actors()))
        assert slow.actors()
        with slow.slowed():
            run.end()
    check_run(tmp_path, 50)
    assert [fault for fault in run.faults if "lost" in fault] == []


def test_a_run_survives_its_slots_and_nodes(tmp_path: Path, nodes: Nodes) -> None:
    """An actor is killed, then a node with all that is on it; another joins."""
    config = configure(tmp_path, nodes.address, 90)
    with Watched(tmp_path, config, nodes.env) as run:
        run.read(lambda: run.evaluated >= 15)
        killed = next(pid for node in nodes.nodes for pid in node.actors())
        os.kill(killed, signal.SIGKILL)
        run.read(lambda: bool(run.faults) and run.evaluated >= 30)
        victim = max(nodes.nodes[1:], key=lambda node: len(node.actors()))
        assert victim.actors()
        victim.kill()
        nodes.nodes.remove(victim)
        nodes.join(num_cpus=2, num_gpus=2)
        run.end()
    check_run(tmp_path, 90)
    assert any(fault.startswith("evaluation: slot ") for fault in run.faults)


def test_a_killed_controller_leaves_nothing_and_resumes(tmp_path: Path, nodes: Nodes) -> None:
    config = configure(tmp_path, nodes.address, 50)
    with Watched(tmp_path, config, nodes.env) as run:
        run.read(lambda: run.evaluated >= 15)
        actors = [pid for node in nodes.nodes for pid in node.actors()]
        assert actors
        run.process.kill()
        run.process.wait()
    deadline = time.monotonic() + 90
    while left := [pid for node in nodes.nodes for pid in node.actors()] + private_folders(actors):
        assert time.monotonic() < deadline, left
        time.sleep(0.2)
    ended = evolve(tmp_path, "run", config, **nodes.env)
    assert ended.returncode == 0, ended.stderr
    assert "resuming run 1" in ended.stdout
    check_run(tmp_path, 50)


def private_folders(pids: list[int]) -> list[Any]:
    return [path for pid in pids for path in Path(gettempdir()).glob(f"evolve-{pid}-*")]


def test_a_run_goes_on_without_a_head_and_waits_for_another(tmp_path: Path, nodes: Nodes) -> None:
    """The head is killed, then all nodes; another head at the same address takes over."""
    config = configure(tmp_path, nodes.address, 80)
    with Watched(tmp_path, config, nodes.env) as run:
        run.read(lambda: run.evaluated >= 15)
        nodes.nodes[0].kill()
        run.read(lambda: run.evaluated >= 50)
        nodes.stop()
        nodes.head(num_cpus=1)
        nodes.join(num_cpus=2).wait()
        nodes.join(num_cpus=2)
        run.end()
    check_run(tmp_path, 80)


def test_nodes_that_an_autoscaler_starts_join_the_run_and_go_after_it(tmp_path: Path) -> None:
    """Ray's own autoscaler, with a provider whose machines are processes here."""
    with cluster() as found:
        head = found.autoscaler(2, CPU=1)
        config = configure(tmp_path, found.address, 100_000)
        with Watched(tmp_path, config, found.env) as run:
            run.read(lambda: len(head.actors()) == 2)
            seen = run.evaluated
            run.read(lambda: run.evaluated >= seen + 10)
            run.process.send_signal(signal.SIGINT)
            run.read()
            assert run.process.wait(60) == INTERRUPTED
        deadline = time.monotonic() + 120
        while (count := len(raylets(head))) > 1:
            assert time.monotonic() < deadline, count
            time.sleep(0.5)
    with closing(sqlite3.connect(tmp_path / "evolve.db")) as connection:
        twice = "SELECT count(*) - count(DISTINCT program_id) FROM evaluations"
        assert connection.execute(twice).fetchone() == (0,)
        lost = "SELECT count(*) FROM evaluations WHERE outcome IN ('infrastructure', 'runner_lost')"
        assert connection.execute(lost).fetchone() == (0,)


def raylets(head: Node) -> list[str]:
    """Return the nodes that were started by one."""
    return [what for _, what in head.processes() if "/raylet/raylet " in what]


async def nowhere(_: object) -> None:
    """Find no way in."""


@pytest.fixture(scope="module")
def wired() -> Iterator[tuple[Nodes, list[Wire]]]:
    """A head on this machine, and a node in each of two networks of their own."""
    with network(2) as (host, wires), cluster(host) as found:
        found.head(num_cpus=0)
        for wire in wires:
            found.join(wire.host, wire.inside, num_cpus=2).wait()
        yield found, wires


@pytest.mark.anyio
async def test_an_answer_from_beyond_a_partition_comes_too_late(
    wired: tuple[Nodes, list[Wire]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The program goes on while its node is cut off; its work is leased again meanwhile."""
    monkeypatch.setattr(door, "knock", nowhere)  # answers come through Ray, late or not
    nodes, wires = wired
    for name, value in nodes.env.items():
        monkeypatch.setenv(name, value)
    slow = Job(
        Program({"p.py": "import time\ndef f(x):\n    time.sleep(2)\n    return x\n"}), "f", LIMITS
    )
    async with opened(nodes.address, 4, lost_s=1.5) as pool:
        await until(lambda: pool.size == 4)
        lost: list[SlotLost] = []
        answers: list[int] = []

        async def work(number: int) -> None:
            while True:
                try:
                    answers.append(await ask(pool, number, slow))
                except SlotLost as error:
                    lost.append(error)
                else:
                    return

        async with anyio.create_task_group() as tasks:
            for number in range(4):
                tasks.start_soon(work, number)
            await anyio.sleep(0.5)
            wires[0].cut()
            await until(lambda: len(lost) == 2)
            wires[0].heal()
        assert sorted(answers) == [0, 1, 2, 3]
        assert all("no sign of life for 1.5 s" in str(error) for error in lost)
        assert pool.leases.lost == 2
        await until(lambda: pool.leases.late == 2)
        await until(lambda: pool.size == 4)


def test_a_run_survives_a_partition(tmp_path: Path, wired: tuple[Nodes, list[Wire]]) -> None:
    """One node is cut off until it is given up, and then joins again."""
    nodes, wires = wired
    config = configure(tmp_path, nodes.address, 90)
    with Watched(tmp_path, config, nodes.env) as run:
        run.read(lambda: run.evaluated >= 15)
        wires[1].cut()
        run.read(lambda: any("is lost" in fault for fault in run.faults))
        seen = run.evaluated
        run.read(lambda: run.evaluated >= seen + 15)
        wires[1].heal()
        nodes.nodes[2].kill()  # it has been given up, and ends by itself: be sure that it has
        nodes.join(wires[1].host, wires[1].inside, num_cpus=2)
        run.end()
    check_run(tmp_path, 90)
    assert any("no sign of life" in fault for fault in run.faults)
