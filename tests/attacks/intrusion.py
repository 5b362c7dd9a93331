"""Attacks on others: secrets, the runner, the kernel, the network, the next program."""

from __future__ import annotations

from evolve.core.evaluation import Outcome
from tests.attacks.catalogue import attack

INTRUSION = {
    "secrets on the disk": attack(
        """
        def solve():
            return ANSWER.findall(readable("/tmp", "/home", "/var", "/mnt", "/srv", "/run", "/etc"))
        """,
    ),
    "secrets in environments": attack(
        """
        def solve():
            text = repr(dict(os.environ))
            for pid in filter(str.isdigit, os.listdir("/proc")):
                for name in ("environ", "cmdline", "maps"):
                    try:
                        text += open(f"/proc/{pid}/{name}", errors="replace").read()
                    except OSError:
                        pass
            return ANSWER.findall(text)
        """,
    ),
    "frames, collector and heap": attack(
        """
        import gc
        def solve():
            frame, texts = sys._getframe(), []
            while frame:
                texts += [repr(value) for value in [*frame.f_locals.values(), *frame.f_globals]]
                frame = frame.f_back
            texts += [str(o) for o in gc.get_objects() if isinstance(o, (str, bytes))]
            heap = ""
            with open("/proc/self/maps") as maps, open("/proc/self/mem", "rb") as memory:
                for line in maps:
                    if "[heap]" in line:
                        start, end = (int(x, 16) for x in line.split()[0].split("-"))
                        memory.seek(start)
                        heap = memory.read(end - start).decode("latin-1")
            return ANSWER.findall(" ".join([*texts, heap]))
        """,
    ),
    "the system's own secrets": attack(
        """
        def solve():
            return successes(
                shadow=lambda: open("/etc/shadow").read(),
                docker=lambda: os.stat("/var/run/docker.sock"),
                kmsg=lambda: open("/dev/kmsg"),
                kcore=lambda: open("/proc/kcore", "rb"),
                memory=lambda: open("/dev/mem", "rb"),
                disks=lambda: [open(f"/dev/{d}", "rb") for d in ("vda", "sda", "nvme0n1", "xvda")],
            )
        """,
    ),
    "network": attack(
        """
        import socket
        def reach(family, address):
            with socket.socket(family) as s:
                s.settimeout(0.5)
                s.connect(address)
        def solve():
            return successes(
                local=lambda: reach(socket.AF_INET, ("127.0.0.1", SECRET_PORT)),
                local6=lambda: reach(socket.AF_INET6, ("::1", SECRET_PORT)),
                world=lambda: reach(socket.AF_INET, ("1.1.1.1", 53)),
                listen=lambda: socket.create_server(("", 0)),
                packet=lambda: socket.socket(socket.AF_PACKET, socket.SOCK_RAW),
                netlink=lambda: socket.socket(socket.AF_NETLINK, socket.SOCK_RAW),
                docker=lambda: reach(socket.AF_UNIX, "/var/run/docker.sock"),
                runner=lambda: reach(socket.AF_UNIX, "/run/evolve.sock"),
            )
        """,
    ),
    "tracing the runner": attack(
        """
        import ctypes
        def solve():
            ATTACH, SEIZE, TRACEME = 16, 0x4206, 0
            pids = [1, 2, os.getppid()]
            return successes(
                attach=lambda: any(libc("ptrace", ATTACH, pid, 0, 0) for pid in pids),
                seize=lambda: any(libc("ptrace", SEIZE, pid, 0, 0) for pid in pids),
                memory=lambda: [open(f"/proc/{pid}/mem", "r+b") for pid in pids],
                descriptors=lambda: [os.listdir(f"/proc/{pid}/fd") for pid in pids],
                pidfd=lambda: libc("syscall", 438, os.pidfd_open(pids[0]), 0, 0),
                vm=lambda: libc("process_vm_readv", pids[0], 0, 0, 0, 0, 0),
            )
        """,
    ),
    "killing everybody": attack(
        """
        import signal
        def solve():
            hit = successes(
                init=lambda: os.kill(1, signal.SIGKILL),
                template=lambda: os.kill(2, signal.SIGKILL),
                parent=lambda: os.kill(os.getppid(), signal.SIGKILL),
                stop=lambda: os.kill(os.getppid(), signal.SIGSTOP),
            )
            for everybody in (-1, -os.getpgid(os.getppid())):  # says "done" even if it hit nobody
                try:
                    os.kill(everybody, signal.SIGKILL)
                except OSError:
                    pass
            return hit
        """,
        Outcome.OK,
        Outcome.SIGNAL,  # by its own hand: where the runner's group is out of sight, its own is hit
    ),
    "becoming root again": attack(
        """
        def solve():
            open("shell", "w").write("#!/bin/sh")
            return successes(
                uid=lambda: os.setuid(0),
                all_uids=lambda: os.setresuid(0, 0, 0),
                neighbour=lambda: os.setuid(os.getuid() - 1),
                gid=lambda: os.setgid(0),
                groups=lambda: os.setgroups([0]),
                owner=lambda: os.chown("shell", 0, 0),
            )
        """,
    ),
    "leaving the namespace": attack(
        """
        def solve():
            NEWUSER, NEWNS, NEWPID = 0x10000000, 0x20000, 0x20000000
            return successes(
                user=lambda: libc("unshare", NEWUSER),
                mounts=lambda: libc("unshare", NEWNS),
                processes=lambda: libc("unshare", NEWPID),
                enter=lambda: libc("setns", os.open("/proc/1/ns/mnt", os.O_RDONLY), 0),
                mount=lambda: libc("mount", b"none", b"/dev/shm", b"tmpfs", 0, 0),
                remount=lambda: libc("mount", b"none", b"/", 0, 32 | 4096, 0),
                unmount=lambda: libc("umount2", b"/proc", 2),
                chroot=lambda: os.chroot("."),
                clone=lambda: libc("syscall", 56, NEWUSER | 17, 0, 0, 0, 0),
                clone3=lambda: libc("syscall", 435, 0, 0),
            )
        """,
    ),
    "kernel interfaces": attack(
        """
        def solve():
            return successes(
                keyring=lambda: libc("syscall", 250, 1, 0),
                add_key=lambda: libc("syscall", 248, b"user", b"k", b"v", 1, -3),
                io_uring=lambda: libc("syscall", 425, 8, b"\\0" * 120),
                bpf=lambda: libc("syscall", 321, 0, b"\\0" * 128, 128),
                userfaultfd=lambda: libc("syscall", 323, 1),
                perf=lambda: libc("syscall", 298, b"\\0" * 128, 0, -1, -1, 0),
                modules=lambda: libc("syscall", 175, b"", 0, b""),
                reboot=lambda: libc("syscall", 169, 0xFEE1DEAD, 672274793, 0, 0),
                personality=lambda: libc("personality", 0x0040000),
                sysv=lambda: libc("shmget", 1234, 4096, 0o1666),
                queue=lambda: libc("mq_open", b"/q", 66, 0o666, 0),
                x32=lambda: libc("syscall", 0x40000000 + 39),
            )
        """,
    ),
    "kernel files": attack(
        """
        def write(path, text):
            with open(path, "w") as file:
                file.write(text)
        def solve():
            return successes(
                core=lambda: write("/proc/sys/kernel/core_pattern", "|/tmp/x"),
                sysrq=lambda: write("/proc/sysrq-trigger", "h"),
                immortal=lambda: write("/proc/self/oom_score_adj", "-1000"),
                limit=lambda: write("/sys/fs/cgroup/memory/memory.limit_in_bytes", "-1"),
                limit2=lambda: write("/sys/fs/cgroup/memory.max", "max"),
                escape=lambda: write("/sys/fs/cgroup/memory/release_agent", "/x"),
                hostname=lambda: write("/proc/sys/kernel/hostname", "mine"),
            )
        """,
    ),
    "rewriting the interpreter and the runner": attack(
        """
        def solve():
            import json
            runner = [m.__file__ for n, m in sys.modules.items() if n.startswith("evolve.s")]
            places = [json.__file__, *runner, "/etc/passwd", "/usr/lib/x", "/opt/x", "/x"]
            return successes(**{place: (lambda place=place: open(place, "a")) for place in places})
        """,
    ),
    "set-user-id files": attack(
        """
        def solve():
            found = []
            for top in ("/usr/bin", "/usr/sbin", "/bin", "/opt/python/bin"):
                for folder, _, files in os.walk(top):
                    for name in files:
                        path = os.path.join(folder, name)
                        try:
                            if os.lstat(path).st_mode & 0o6000 and os.access(path, os.X_OK):
                                found.append(path)
                        except OSError:
                            pass
            pid = os.fork()
            if pid == 0:
                for path in found:
                    if path.endswith("/su"):
                        os.execv(path, [path, "-c", "true"])
                os._exit(1)
            return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
        """,
        value=False,
    ),
    "planting for the next program": attack(
        """
        def solve():
            for place in ("/dev/shm", "/dev/mqueue", "/tmp", "/run", "..", "/var/tmp"):
                try:
                    open(place + "/planted", "w").write("for the next one")
                    os.mkdir(place + "/planted.d", 0)
                except OSError:
                    pass
            return []
        """,
    ),
    "links and unreadable folders": attack(
        """
        def solve():
            for i, target in enumerate(["/", "/etc", "/dev/shm", "..", "/proc/1/root", "."]):
                os.symlink(target, f"link{i}")
                os.symlink(target, f"/dev/shm/link{i}")
            os.makedirs("a/b/c")
            os.symlink("/", "a/b/root")
            open("a/b/c/file", "w").close()
            os.mkfifo("a/pipe")
            for path in ("a/b/c", "a/b", "a"):
                os.chmod(path, 0)
            os.chmod(".", 0)
            return []
        """,
    ),
    "own folder moved or replaced": attack(
        """
        def solve():
            here = os.getcwd()
            moved = successes(
                rename=lambda: os.rename(here, here + "x"),
                remove=lambda: (os.remove("program.py"), os.rmdir(here)),
                link=lambda: os.symlink("/", here + "y"),
            )
            return moved
        """,
    ),
    "own memory and runner's code in it": attack(
        """
        import ctypes
        def solve():
            with open("/proc/self/maps") as maps:
                ranges = [line.split() for line in maps]
            for fields in ranges:
                if "w" in fields[1]:
                    start, end = (int(x, 16) for x in fields[0].split("-"))
                    ctypes.memset(start, 0xAA, end - start)
        """,
        Outcome.SIGNAL,
        Outcome.EXIT,
        Outcome.BAD_OUTPUT,
        Outcome.EXCEPTION,
        Outcome.WALL_TIMEOUT,
        wall_s=1.0,
    ),
    "pipes opened the other way round": attack(
        """
        def solve():
            return successes(
                results=lambda: os.read(os.open("/proc/self/fd/4", os.O_RDONLY | os.O_NONBLOCK), 1),
                calls=lambda: os.open("/proc/self/fd/3", os.O_WRONLY | os.O_NONBLOCK),
                owner=lambda: os.fchown(4, os.getuid(), -1),
                mode=lambda: os.fchmod(4, 0o666),
            )
        """,
    ),
    "a terminal to type on": attack(
        """
        import fcntl
        def solve():
            def type_on(path):
                with open(path, "wb") as terminal:
                    fcntl.ioctl(terminal, 0x5412, b"x")  # TIOCSTI
            return successes(
                own=lambda: type_on("/dev/tty"),
                console=lambda: type_on("/dev/console"),
                first=lambda: type_on("/dev/tty1"),
                slave=lambda: type_on("/dev/pts/0"),
                control=lambda: fcntl.ioctl(0, 0x540E, 0),
            )
        """,
    ),
    "another interpreter in its place": attack(
        """
        def solve():
            code = (
                "import os; body = b'\\\\0\\\\0\\\\0\\\\x02[]';"
                "os.write(4, b'\\\\x08' + len(body).to_bytes(8, 'big') + body);"
                "os.read(3, 1)"
            )
            os.execv(sys.executable, [sys.executable, "-c", code])
        """,
        Outcome.OK,
        Outcome.EXCEPTION,
    ),
    "modules of the runner under its own names": attack(
        """
        def solve():
            os.makedirs("evolve/sandbox/inside")
            for name in ("json", "struct", "evolve/__init__", "evolve/sandbox/wire"):
                with open(name + ".py", "w") as file:
                    file.write("raise SystemExit('mine')")
            here = os.getcwd()
            return successes(
                site=lambda: open(os.path.join(sys.prefix, "usercustomize.py"), "w"),
                home=lambda: open("/root/.pythonrc", "w"),
                lib=lambda: open("/opt/evolve/json.py", "w"),
                preload=lambda: open("/etc/ld.so.preload", "w"),
                above=lambda: open(os.path.dirname(here) + "/json.py", "w"),
            )
        """,
    ),
    "loading a kernel module, setting the clock": attack(
        """
        def solve():
            return successes(
                module=lambda: libc("syscall", 313, 0, b"", 0),
                clock=lambda: time.clock_settime(time.CLOCK_REALTIME, 0),
                host=lambda: __import__("socket").sethostname("mine"),
                log=lambda: libc("syscall", 103, 3, bytes(4096), 4096),
                ports=lambda: libc("syscall", 172, 3),
                segments=lambda: libc("syscall", 154, 0, bytes(4096), 4096),
                watch=lambda: libc("syscall", 300, 0, 0),
                swap=lambda: libc("syscall", 167, b"file", 0),
                account=lambda: libc("syscall", 163, b"file"),
                madvise=lambda: libc("syscall", 440, 0, 0, 0, 0, 0),
            )
        """,
    ),
    "a second filter on top": attack(
        """
        import ctypes, struct
        def solve():
            code = struct.pack("HBBI", 0x20, 0, 0, 0) + struct.pack("HBBI", 0x15, 0, 1, 101)
            code += struct.pack("HBBI", 6, 0, 0, 0x7FFF0000) * 2
            buffer = ctypes.create_string_buffer(code, len(code))
            program = struct.pack("HxxxxxxP", 4, ctypes.addressof(buffer))
            libc("prctl", 22, 2, program, 0, 0)
            return successes(trace=lambda: libc("ptrace", 16, os.getppid(), 0, 0))
        """,
    ),
}
