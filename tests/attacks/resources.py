"""Attacks on the machine: take everything, never stop, never let go."""

from __future__ import annotations

from evolve.core.evaluation import Outcome
from tests.attacks.catalogue import attack

RESOURCES = {
    "fork bomb": attack(
        """
        def solve():
            for _ in range(400):
                if os.fork() == 0:
                    time.sleep(60)
        """,
        Outcome.PROCESS_LIMIT,
    ),
    "forks that respawn": attack(
        """
        def respawn():
            while True:
                try:
                    if os.fork():
                        os._exit(0)
                except OSError:
                    pass
        def solve():
            for _ in range(8):
                if os.fork() == 0:
                    os.setsid()
                    respawn()
            return []
        """,
        Outcome.OK,
        Outcome.PROCESS_LIMIT,
    ),
    "threads without end": attack(
        """
        import threading
        def solve():
            while True:
                threading.Thread(target=time.sleep, args=(60,)).start()
        """,
        Outcome.PROCESS_LIMIT,
    ),
    "memory bomb": attack(
        "def solve(): return len(b'x' * (1 << 31))",
        Outcome.OUT_OF_MEMORY,
    ),
    "memory bomb in slices": attack(
        """
        def solve():
            held = []
            while True:
                held.append(bytearray(os.urandom(1 << 20)))
        """,
        Outcome.OUT_OF_MEMORY,
    ),
    "memory bomb in children": attack(
        """
        def solve():
            for _ in range(6):
                if os.fork() == 0:
                    held = b"x" * (120 << 20)
                    time.sleep(60)
            time.sleep(60)
        """,
        Outcome.OUT_OF_MEMORY,
        wall_s=1.5,
    ),
    "disk filled": attack(
        """
        def solve():
            written = 0
            try:
                for i in range(100):
                    with open(f"file{i}", "wb") as file:
                        for _ in range(10):
                            written += file.write(bytes(1 << 20))
            except OSError:
                pass
            return written <= 32 << 20
        """,
        value=True,
    ),
    "one endless file": attack(
        """
        def solve():
            with open("file", "wb") as file:
                while True:
                    file.write(bytes(1 << 20))
        """,
        Outcome.EXCEPTION,
    ),
    "shared memory filled": attack(
        """
        def solve():
            written = 0
            try:
                for i in range(100):
                    with open(f"/dev/shm/file{i}", "wb") as file:
                        written += file.write(bytes(1 << 20))
            except OSError:
                pass
            return written <= 32 << 20
        """,
        value=True,
    ),
    "inodes used up": attack(
        """
        def solve():
            made = 0
            try:
                for i in range(20_000):
                    open(f"file{i}", "w").close()
                    made += 1
            except OSError:
                pass
            return made < 9000
        """,
        value=True,
    ),
    "a tree too deep for recursion and for paths": attack(
        """
        def solve():
            for i in range(3000):
                os.mkdir("folder")
                os.chdir("folder")
            return []
        """,
    ),
    "loop that ignores signals": attack(
        """
        import signal
        for number in range(1, 32):
            try:
                signal.signal(number, signal.SIG_IGN)
            except OSError:
                pass
        def solve():
            while True:
                pass
        """,
        Outcome.WALL_TIMEOUT,
        wall_s=0.5,
    ),
    "sleep at import": attack(
        "time.sleep(60)\ndef solve(): return []", Outcome.WALL_TIMEOUT, wall_s=0.3
    ),
    "threads beside the CPU limit": attack(
        """
        import hashlib, threading
        def burn():
            while True:
                hashlib.sha256(bytes(1 << 20)).digest()
        def solve():
            for _ in range(4):
                threading.Thread(target=burn).start()
            time.sleep(60)
        """,
        Outcome.CPU_TIMEOUT,
        cpu_s=0.3,
    ),
    "children beside the CPU limit": attack(
        """
        def solve():
            for _ in range(3):
                if os.fork() == 0:
                    while True:
                        pass
            time.sleep(60)
        """,
        Outcome.CPU_TIMEOUT,
        cpu_s=0.5,
    ),
    "orphan that outlives": attack(
        """
        import signal
        def solve():
            if os.fork() == 0:
                os.setsid()
                if os.fork() == 0:
                    for number in (1, 2, 15):
                        signal.signal(number, signal.SIG_IGN)
                    while True:
                        time.sleep(0.01)
                os._exit(0)
            os.wait()
            return []
        """,
    ),
    "gigabytes on stdout": attack(
        """
        def solve():
            while True:
                os.write(1, b"x" * 65536)
        """,
        Outcome.OUTPUT_TOO_LARGE,
    ),
    "gigabytes on stderr": attack(
        """
        def solve():
            while True:
                os.write(2, b"\\xff" * 65536)
        """,
        Outcome.OUTPUT_TOO_LARGE,
    ),
    "descriptors used up": attack(
        """
        def solve():
            held = []
            try:
                while True:
                    held.append(os.open("/dev/null", os.O_RDONLY))
            except OSError:
                pass
            return len(held) < 300
        """,
        value=True,
    ),
    "stack overflow": attack(
        """
        def solve():
            sys.setrecursionlimit(10 ** 9)
            nested = []
            for _ in range(100_000):
                nested = [nested]
            return repr(nested) and f(0)
        def f(n): return f(n + 1)
        """,
        Outcome.SIGNAL,
        Outcome.EXCEPTION,
        Outcome.OUT_OF_MEMORY,
    ),
    "priority": attack(
        """
        def solve():
            return successes(
                nice=lambda: os.setpriority(os.PRIO_PROCESS, 0, -10),
                fifo=lambda: os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(50)),
                lock=lambda: libc("mlockall", 3),
            )
        """,
    ),
    "limits raised": attack(
        """
        import resource
        def solve():
            def lift(kind):
                _, hard = resource.getrlimit(kind)
                resource.setrlimit(kind, (hard * 2, hard * 2))
            return successes(
                files=lambda: lift(resource.RLIMIT_NOFILE),
                size=lambda: lift(resource.RLIMIT_FSIZE),
                cpu=lambda: lift(resource.RLIMIT_CPU),
            )
        """,
    ),
}
