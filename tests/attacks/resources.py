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
        wall_s=4.0,
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
    "inodes used up in shared memory": attack(
        """
        def solve():
            made = 0
            try:
                for i in range(20_000):
                    open(f"/dev/shm/file{i}", "w").close()
                    made += 1
            except OSError:
                pass
            return made < 9000
        """,
        value=True,
    ),
    "memory in files without a name": attack(
        """
        def solve():
            held = []
            for _ in range(100):
                held.append(os.memfd_create("held"))
                for _ in range(8):
                    os.write(held[-1], bytes(1 << 20))
            time.sleep(60)
        """,
        Outcome.OUT_OF_MEMORY,  # where a cgroup counts it
        Outcome.EXCEPTION,  # where nothing would: there is no such call
    ),
    "memory behind a dead first thread": attack(
        """
        import ctypes, mmap, threading
        def fill():
            held = []
            while True:
                held.append(mmap.mmap(-1, 8 << 20))  # shared: no limit of the process counts it
                held[-1].write(b"x" * (8 << 20))
                time.sleep(0.002)
        def solve():
            threading.Thread(target=fill).start()
            time.sleep(0.05)
            ctypes.CDLL(None).pthread_exit(None)
        """,
        Outcome.OUT_OF_MEMORY,
        Outcome.BAD_OUTPUT,
        Outcome.SIGNAL,
        wall_s=5.0,
    ),
    "children given to the fork server": attack(
        """
        def solve():
            CLONE_PARENT, SIGCHLD = 0x8000, 17
            import ctypes
            clone = ctypes.CDLL(None, use_errno=True).syscall
            for _ in range(10):
                if clone(56, CLONE_PARENT | SIGCHLD, 0, 0, 0, 0) == 0:
                    os._exit(0)
            return []
        """,
    ),
    "children nobody waits for": attack(
        """
        def solve():
            for _ in range(15):
                if os.fork() == 0:
                    os._exit(0)
            return []
        """,
    ),
    "an end by standing still": attack(
        """
        import signal
        def solve():
            if os.fork() == 0:
                os.kill(os.getpid(), signal.SIGSTOP)
            os.kill(os.getpid(), signal.SIGSTOP)
        """,
        Outcome.WALL_TIMEOUT,
        wall_s=0.4,
    ),
    "names that lie to the runner": attack(
        r"""
        import ctypes, signal
        def solve():
            for name in (b") Z 1 1 1 1 1", b"\nState:\tZ\nUid:\t0", b"((((", b"\xff\n\t)"):
                if os.fork() == 0:
                    ctypes.CDLL(None).prctl(15, name, 0, 0, 0)
                    time.sleep(60)
            time.sleep(0.1)
            return []
        """,
    ),
    "an adopter of orphans": attack(
        """
        import ctypes
        def solve():
            ctypes.CDLL(None).prctl(36, 1, 0, 0, 0)
            for _ in range(3):
                if os.fork() == 0:
                    if os.fork() == 0:
                        os.setsid()
                        time.sleep(60)
                    os._exit(0)
            return []
        """,
    ),
    "timers and signals to everybody": attack(
        """
        import fcntl, signal
        def solve():
            ours, theirs = os.pipe()
            for pid in (1, 2, os.getppid(), -os.getpgid(os.getppid())):
                try:
                    fcntl.fcntl(ours, fcntl.F_SETOWN, pid)
                    fcntl.fcntl(ours, fcntl.F_SETSIG, signal.SIGKILL)
                    fcntl.fcntl(ours, fcntl.F_SETFL, os.O_ASYNC | os.O_NONBLOCK)
                    os.write(theirs, b"x")
                except OSError:
                    pass
            return successes(
                queue=lambda: libc("syscall", 129, os.getppid(), signal.SIGTERM, bytes(128)),
                pidfd=lambda: signal.pidfd_send_signal(os.pidfd_open(os.getppid()), 9),
                limits=lambda: __import__("resource").prlimit(os.getppid(), 7, (1, 1)),
                hurry=lambda: os.sched_setaffinity(os.getppid(), {0}),
            )
        """,
    ),
    "a folder that grows as it is listed": attack(
        """
        def solve():
            if os.fork() == 0:
                i = 0
                while True:
                    try:
                        open(f"file{i % 5000}", "w").close()
                        os.unlink(f"file{(i + 2500) % 5000}")
                    except OSError:
                        pass
                    i += 1
            time.sleep(0.2)
            return []
        """,
    ),
    "file names that are no text": attack(
        r"""
        def solve():
            for name in (b"\xff\xfe", b"\n", b"\x1b[2J", b" ", b"-rf", b"\\", b"x" * 255):
                open(name, "w").close()
                os.mkdir(b"/dev/shm/" + name)
                open(b"/dev/shm/" + name + b"/" + name, "w").close()
            return []
        """,
    ),
    "memory bomb of many that look small": attack(
        """
        def solve():
            for _ in range(20):
                if os.fork() == 0:
                    with open("/proc/self/oom_score_adj", "w") as file:
                        file.write("0")  # the fork server is larger now
                    held = [b"x" * (1 << 20) for _ in range(60)]
                    time.sleep(60)
            time.sleep(60)
        """,
        Outcome.OUT_OF_MEMORY,
        wall_s=4.0,
    ),
}
