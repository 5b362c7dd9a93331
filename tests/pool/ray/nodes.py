"""A Ray cluster of processes on this machine, whose nodes can be killed and cut off."""

from __future__ import annotations

import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

#: What makes a cluster quick to notice that a node is gone, and light: it shares two cores with
#: the tests.
SETTINGS = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_prestart_worker_first_driver": "0",
    "RAY_health_check_initial_delay_ms": "1000",
    "RAY_health_check_period_ms": "1000",
    "RAY_health_check_timeout_ms": "2000",
    "RAY_health_check_failure_threshold": "3",
}
_START_S = 90.0
#: The wire in everything that runs, by which its processes are known.
_MARK = "evolve-ray-"


def free_port() -> int:
    """Return a port that neither Ray gives to workers nor the kernel to whoever connects.

    While a head is down, everybody tries to connect to it: one that the kernel gave its very port
    would be connected to itself, and keep the next head from it.
    """
    while True:
        port = 20_000 + secrets.randbelow(12_000)
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("", port))
            return port


@dataclass
class Node:
    """A node: a session of processes."""

    process: subprocess.Popen[bytes]
    log: Path

    def wait(self) -> None:
        """Wait until it has joined."""
        deadline = time.monotonic() + _START_S
        while b"Ray runtime started" not in self.log.read_bytes():
            said = self.log.read_text(errors="replace")[-2000:]
            assert self.process.poll() is None, said
            assert time.monotonic() < deadline, said
            time.sleep(0.1)

    def kill(self) -> None:
        """Kill all of it at once, as a power failure does."""
        while pids := [pid for pid, _ in self.processes()]:
            _signal(pids, signal.SIGKILL)
            self.process.poll()
        self.process.wait()

    def actors(self) -> list[int]:
        """Return the process ids of the slots' actors on it."""
        return [pid for pid, what in self.processes() if what.startswith("ray::SlotActor")]

    @contextmanager
    def slowed(self) -> Iterator[None]:
        """Stop it three quarters of the time, as a machine does that has too much to do."""
        over = threading.Event()

        def stop_and_go() -> None:
            while not over.wait(0.2):
                pids = [pid for pid, _ in self.processes()]
                _signal(pids, signal.SIGSTOP)
                over.wait(0.6)
                _signal(pids, signal.SIGCONT)

        thread = threading.Thread(target=stop_and_go)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()

    def processes(self) -> Iterator[tuple[int, str]]:
        """Yield those of its session that live; workers have process groups of their own."""
        listed = subprocess.run(
            ["ps", "-eo", "pid=,sid=,stat=,args="], capture_output=True, text=True, check=True
        ).stdout
        for line in listed.splitlines():
            pid, session, state, what = line.split(None, 3)
            if int(session) == self.process.pid and not state.startswith("Z"):
                yield int(pid), what


def _signal(pids: Sequence[int], which: signal.Signals) -> None:
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, which)


@dataclass
class Nodes:
    """A cluster.

    Attributes:
        host: Address of its head.
        env: What everything that talks to it needs in its environment.
    """

    host: str = "127.0.0.1"
    port: int = field(default_factory=free_port)
    folder: Path = field(default_factory=lambda: Path(tempfile.mkdtemp(prefix=_MARK)))
    env: Mapping[str, str] = field(
        default_factory=lambda: {
            **SETTINGS,
            "RAY_AUTH_MODE": "token",
            "RAY_AUTH_TOKEN": secrets.token_hex(32),
        }
    )
    nodes: list[Node] = field(default_factory=list)

    @property
    def address(self) -> str:
        return f"{self.host}:{self.port}"

    def head(self, *more: str, **has: float) -> Node:
        """Start the head; ``more`` are further options of its command."""
        options = [f"--port={self.port}", "--head", "--include-dashboard=false", *more]
        node = self._start([*options, f"--temp-dir={self.folder}/t"], self.host, (), has)
        node.wait()
        return node

    def autoscaler(self, most: int, **has: float) -> Node:
        """Start a head that runs nothing, and starts and ends nodes itself as they are wanted.

        Args:
            most: How many there are at most, beside the head.
            has: What each of them has, such as ``CPU``.
        """
        cluster = {
            "cluster_name": "growing",
            "provider": {
                "type": "external",
                "module": "tests.pool.ray.growing.Provider",
                "gcs_address": self.address,
                "disable_node_updaters": True,
                "disable_launch_config_check": True,
                "foreground_node_launch": True,
            },
            "available_node_types": {
                "ray.head.default": {"resources": {}, "node_config": {}, "max_workers": 0},
                "worker": {
                    "resources": {**has, "memory": 1 << 30, "object_store_memory": 100_000_000},
                    "node_config": {},
                    "min_workers": 0,
                    "max_workers": most,
                },
            },
            "head_node_type": "ray.head.default",
            "max_workers": most,
            "idle_timeout_minutes": 0.1,
            "upscaling_speed": most,
            **{each: dict[str, str]() for each in ("auth", "docker", "file_mounts")},
            **{
                f"{each}_commands": list[str]()
                for each in (
                    "initialization",
                    "setup",
                    "head_setup",
                    "worker_setup",
                    "head_start_ray",
                    "worker_start_ray",
                )
            },
            "cluster_synced_files": [],
        }
        config = self.folder / "growing.json"
        config.write_text(json.dumps(cluster))
        self.env = {
            **self.env,
            "RAY_FAKE_CLUSTER": "1",
            "AUTOSCALER_UPDATE_INTERVAL_S": "1",
            "PYTHONPATH": str(Path(__file__).parents[3]),
        }
        return self.head(f"--autoscaling-config={config}", num_cpus=0)

    def join(self, host: str = "", inside: Sequence[str] = (), **has: float) -> Node:
        """Start another node; ``inside`` is what its command is run by. `Node.wait` for it."""
        return self._start([f"--address={self.address}"], host or self.host, inside, has)

    def _start(
        self, options: list[str], host: str, inside: Sequence[str], has: Mapping[str, float]
    ) -> Node:
        log = self.folder / f"node{len(self.nodes)}.log"
        resources = [f"--{name.replace('_', '-')}={number:g}" for name, number in has.items()]
        command = [
            *inside,
            *(sys.executable, "-m", "ray.scripts.scripts", "start", "--block"),
            *("--disable-usage-stats", "--object-store-memory=100000000"),
            "--include-log-monitor=false",
            f"--node-ip-address={host}",
            *options,
            *resources,
        ]
        with log.open("wb") as out:
            process = subprocess.Popen(
                command,
                env={**os.environ, **self.env},
                stdout=out,
                stderr=out,
                start_new_session=True,
            )
        node = Node(process, log)
        self.nodes.append(node)
        return node

    def stop(self) -> None:
        """Kill every node."""
        for node in self.nodes:
            node.kill()
        self.nodes.clear()


@contextmanager
def cluster(host: str = "127.0.0.1") -> Iterator[Nodes]:
    """Make a cluster without nodes; kill those it has in the end."""
    nodes = Nodes(host)
    try:
        yield nodes
    finally:
        nodes.stop()
        shutil.rmtree(nodes.folder, ignore_errors=True)


def ip(*words: str) -> None:
    """Run the command of that name."""
    subprocess.run(["ip", *words], check=True, capture_output=True)


@dataclass
class Wire:
    """A machine of its own, as far as the network goes.

    Attributes:
        host: Its address.
        inside: What runs a command there.
    """

    name: str
    host: str

    @property
    def inside(self) -> tuple[str, ...]:
        return ("ip", "netns", "exec", self.name)

    def cut(self) -> None:
        """Pull the plug."""
        ip("link", "set", self.name, "down")

    def heal(self) -> None:
        """Put it back."""
        ip("link", "set", self.name, "up")


@contextmanager
def network(machines: int) -> Iterator[tuple[str, list[Wire]]]:
    """Connect network namespaces to a bridge; yield this machine's address on it, and them."""
    tag, third = secrets.token_hex(2), 1 + secrets.randbelow(250)
    bridge, gateway = f"evb{tag}", f"10.213.{third}.1"
    rule = ["FORWARD", "-i", bridge, "-o", bridge, "-j", "ACCEPT"]
    wires = [
        Wire(f"evn{tag}{number}", f"10.213.{third}.{10 + number}") for number in range(machines)
    ]
    try:
        ip("link", "add", bridge, "type", "bridge")
        ip("addr", "add", f"{gateway}/24", "dev", bridge)
        ip("link", "set", bridge, "up")
        subprocess.run(["iptables", "-I", *rule], check=False, capture_output=True)  # Docker's
        for wire in wires:
            ip("netns", "add", wire.name)
            peer = f"p{wire.name}"
            ip("link", "add", wire.name, "type", "veth", "peer", "name", peer)
            ip("link", "set", peer, "netns", wire.name)
            ip("link", "set", wire.name, "master", bridge, "up")
            ip("-n", wire.name, "addr", "add", f"{wire.host}/24", "dev", peer)
            ip("-n", wire.name, "link", "set", peer, "up")
            ip("-n", wire.name, "link", "set", "lo", "up")
        yield gateway, wires
    finally:
        subprocess.run(["iptables", "-D", *rule], check=False, capture_output=True)
        for wire in wires:
            subprocess.run(["ip", "netns", "del", wire.name], check=False, capture_output=True)
        subprocess.run(["ip", "link", "del", bridge], check=False, capture_output=True)
