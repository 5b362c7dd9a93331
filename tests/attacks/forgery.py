"""Attacks on the score: forge a result, a time, a frame, or the code that judges."""

from __future__ import annotations

from evolve.core.evaluation import Outcome
from tests.attacks.catalogue import ANYTHING, attack

FORGERY = {
    "frames for calls to come": attack(
        """
        def solve():
            body = b"\\0\\0\\0\\x031.0"
            os.write(4, (b"\\x08" + len(body).to_bytes(8, "big") + body) * 5)
            time.sleep(0.2)
            return []
        """,
        Outcome.BAD_OUTPUT,
    ),
    "a frame at import": attack(
        """
        body = b"\\0\\0\\0\\x031.0"
        os.write(4, b"\\x08" + len(body).to_bytes(8, "big") + body)
        def solve(): return []
        """,
        Outcome.BAD_OUTPUT,
    ),
    "a failure that claims to be a success": attack(
        """
        def solve():
            os.write(4, b"\\x09" + (5).to_bytes(8, "big") + b"\\x00done")
            time.sleep(60)
        """,
        Outcome.BAD_OUTPUT,
    ),
    "a failure that blames the machine": attack(
        """
        def solve():
            os.write(4, b"\\x09" + (5).to_bytes(8, "big") + b"\\x0asorry"[:5])
            time.sleep(60)
        """,
        Outcome.BAD_OUTPUT,
    ),
    "frames of the runner": attack(
        """
        def solve():
            os.write(4, b"\\x05" + (30).to_bytes(8, "big") + bytes(30))
            time.sleep(60)
        """,
        Outcome.BAD_OUTPUT,
    ),
    "a lying length": attack(
        """
        def solve():
            os.write(4, b"\\x08" + (1 << 60).to_bytes(8, "big"))
            time.sleep(60)
        """,
        Outcome.OUTPUT_TOO_LARGE,
    ),
    "half a frame": attack(
        """
        def solve():
            os.write(4, b"\\x08" + (100).to_bytes(8, "big") + b"x")
            time.sleep(60)
        """,
        Outcome.WALL_TIMEOUT,
        wall_s=0.4,
    ),
    "bytes on every descriptor": attack(
        """
        def solve():
            for number in range(3, 300):
                try:
                    os.write(number, b"\\x08\\0\\0\\0\\0\\0\\0\\0\\x07\\0\\0\\0\\x031.0" * 50)
                except OSError:
                    pass
            return []
        """,
        Outcome.BAD_OUTPUT,
    ),
    "every descriptor closed": attack(
        """
        def solve():
            os.closerange(0, 300)
            while True: pass
        """,
        Outcome.BAD_OUTPUT,
    ),
    "a written result and a quick exit": attack(
        """
        def solve():
            for name in ("result.json", "results.json", "score.json", "metrics.json", "output.npy"):
                open(name, "w").write('{"objective": 1e9, "combined_score": 1e9}')
            print('{"objective": 1e9}')
            os._exit(0)
        """,
        Outcome.EXIT,
    ),
    "patched modules and builtins": attack(
        """
        import builtins, json, struct
        json.loads = json.dumps = lambda *a, **k: 1e9
        json.JSONEncoder.encode = lambda *a: "1e9"
        builtins.len = lambda *a: 1
        builtins.isinstance = lambda *a: True
        builtins.sum = builtins.max = lambda *a, **k: 1e9
        def solve(): return []
        """,
        Outcome.OK,
        Outcome.BAD_OUTPUT,
        Outcome.EXCEPTION,
        Outcome.EXIT,
        Outcome.OUTPUT_TOO_LARGE,
        Outcome.WALL_TIMEOUT,
        value=1e9,  # its own output, and no more than that
        wall_s=0.5,
    ),
    "patched protocol": attack(
        """
        def solve():
            from evolve.sandbox import wire
            wire.dumps = lambda value: b"\\xff\\xff\\xff\\xff"
            return []
        """,
        Outcome.BAD_OUTPUT,
    ),
    "fake clocks": attack(
        """
        for name in ("time", "monotonic", "perf_counter", "process_time"):
            setattr(time, name, lambda: 0.0)
            setattr(time, name + "_ns", lambda: 0)
        def solve():
            time.sleep(60)
        """,
        Outcome.WALL_TIMEOUT,
        wall_s=0.4,
    ),
    "an object equal to everything": attack(
        """
        class Perfect:
            def __eq__(self, other): return True
            def __len__(self): return 26
            def __float__(self): return 1e9
            def __iter__(self): return iter([1e9] * 26)
        def solve(): return Perfect()
        """,
        Outcome.BAD_OUTPUT,
    ),
    "a number equal to everything": attack(
        """
        class Perfect(float):
            def __eq__(self, other): return True
            def __lt__(self, other): return True
            __hash__ = None
        def solve(): return Perfect(0.5)
        """,
        value=0.5,
    ),
    "a class that claims to be a list": attack(
        """
        class Fake:
            __class__ = list
            def __iter__(self): return iter(range(10 ** 12))
        def solve(): return Fake()
        """,
        Outcome.BAD_OUTPUT,
        Outcome.EXCEPTION,
        Outcome.OUT_OF_MEMORY,
        Outcome.WALL_TIMEOUT,
        Outcome.OUTPUT_TOO_LARGE,
        wall_s=1.0,
    ),
    "a pickle bomb": attack(
        """
        class Bomb:
            def __reduce__(self): return os.system, ("touch MARK",)
        def solve(): return Bomb()
        """,
        Outcome.BAD_OUTPUT,
    ),
    "a pickle in an array": attack(
        """
        import numpy as np
        class Bomb:
            def __reduce__(self): return os.system, ("touch MARK",)
        def solve(): return np.array([Bomb()], dtype=object)
        """,
        Outcome.BAD_OUTPUT,
    ),
    "a dictionary that claims to be an array": attack(
        'def solve(): return {"$": ["<f8", [1000000]]}', value={"$": ["<f8", [1000000]]}
    ),
    "nested without end": attack(
        """
        def solve():
            text = b"[" * 1_000_000
            body = len(text).to_bytes(4, "big") + text
            view = memoryview(b"\\x08" + len(body).to_bytes(8, "big") + body)
            while view:
                view = view[os.write(4, view):]
            time.sleep(60)
        """,
        Outcome.BAD_OUTPUT,
    ),
    "a number of a million digits": attack(
        """
        def solve():
            text = b"9" * 1_000_000
            body = len(text).to_bytes(4, "big") + text
            view = memoryview(b"\\x08" + len(body).to_bytes(8, "big") + body)
            while view:
                view = view[os.write(4, view):]
            time.sleep(60)
        """,
        Outcome.BAD_OUTPUT,
    ),
    "a result too large": attack("def solve(): return 'x' * 8_000_000", Outcome.OUTPUT_TOO_LARGE),
    "last words": attack(
        """
        import atexit, gc, threading
        class Late:
            def __del__(self): os.write(4, b"\\x08" * 100)
        late = Late()
        atexit.register(os.write, 4, b"\\x08" * 100)
        gc.callbacks.append(lambda *a: None)
        def solve():
            threading.Thread(target=lambda: (time.sleep(2), os.write(4, b"\\x08" * 100))).start()
            return []
        """,
    ),
    "tracing the harness": attack(
        """
        stolen = []
        def tracer(frame, event, argument):
            stolen.append(sorted(frame.f_locals))
            return tracer
        sys.settrace(tracer)
        sys.setprofile(lambda *a: None)
        def solve():
            sys.settrace(None)
            sys.setprofile(None)
            return not {"expected", "secret", "answer"}.isdisjoint(sum(stolen, []))
        """,
        value=False,
    ),
    "import hooks": attack(
        """
        class Hook:
            def find_spec(self, name, path=None, target=None):
                raise SystemExit(0) if name.startswith("evolve") else ImportError(name)
        sys.meta_path.insert(0, Hook())
        sys.path_hooks.clear()
        sys.path_importer_cache.clear()
        sys.modules.pop("json", None)
        def solve(): return []
        """,
    ),
    "a program in place of the main module": attack(
        """
        import types
        main = types.ModuleType("__main__")
        main.__dict__.update(score=lambda *a: 1e9, evaluate=lambda *a: 1e9)
        sys.modules["__main__"] = sys.modules["evolve.sandbox.inside.runner"] = main
        def solve(): return []
        """,
    ),
    "a mapping without end": attack(
        """
        class Endless(dict):
            def items(self):
                i = 0
                while True:
                    yield str(i), i
                    i += 1
        def solve(): return Endless()
        """,
        Outcome.OUT_OF_MEMORY,
        Outcome.WALL_TIMEOUT,
        Outcome.OUTPUT_TOO_LARGE,
        wall_s=2.0,
    ),
    "a list that holds itself": attack(
        """
        def solve():
            held = []
            held.append(held)
            return held
        """,
        Outcome.BAD_OUTPUT,
    ),
    "an array that lies about itself": attack(
        """
        import numpy as np
        class Liar(np.ndarray):
            shape = (1 << 20, 1 << 10)
            nbytes = 1 << 40
            def tobytes(self, *a): return b"\\0" * 16
            def astype(self, *a, **k): return self
        def solve(): return np.zeros(3).view(Liar)
        """,
        Outcome.OK,
        Outcome.BAD_OUTPUT,
        Outcome.EXCEPTION,
        value=ANYTHING,  # the array as it is, or nothing
    ),
    "shapes that overflow": attack(
        """
        def solve():
            text = b'{"$":["<f8",[2147483647,2147483647,2147483647,4]]}'
            body = len(text).to_bytes(4, "big") + text
            os.write(4, b"\\x08" + len(body).to_bytes(8, "big") + body)
            time.sleep(60)
        """,
        Outcome.BAD_OUTPUT,
    ),
    "a shape of nothing, too large to be had": attack(
        """
        def solve():
            text = b'{"$":["<f8",[2147483647,2147483647,2147483647,0]]}'
            body = len(text).to_bytes(4, "big") + text
            os.write(4, b"\\x08" + len(body).to_bytes(8, "big") + body)
            time.sleep(60)
        """,
        Outcome.BAD_OUTPUT,
        Outcome.OK,
        value=ANYTHING,
    ),
    "more items than a list may have": attack(
        """
        def solve():
            text = b"[" + b"[]," * 1_200_000 + b"[]]"
            body = len(text).to_bytes(4, "big") + text
            view = memoryview(b"\\x08" + len(body).to_bytes(8, "big") + body)
            while view:
                view = view[os.write(4, view):]
            time.sleep(60)
        """,
        Outcome.BAD_OUTPUT,
    ),
    "keys twice": attack(
        """
        def solve():
            text = b'{"a":1,"a":2,"$":["<f8",[0]],"$":["<f8",[0]]}'
            body = len(text).to_bytes(4, "big") + text
            os.write(4, b"\\x08" + len(body).to_bytes(8, "big") + body)
            time.sleep(60)
        """,
        Outcome.BAD_OUTPUT,
    ),
    "a claim to have met a limit": attack(
        """
        def solve():
            os.write(4, b"\\x09" + (5).to_bytes(8, "big") + b"\\x09sorry"[:5])
            time.sleep(60)
        """,
        Outcome.EXCEPTION,
    ),
    "an answer from a child after the end": attack(
        """
        import fcntl, termios
        def unread():
            return int.from_bytes(fcntl.ioctl(4, termios.FIONREAD, bytes(4)), sys.byteorder)
        def solve():
            ours, theirs = os.pipe()
            if os.fork() == 0:
                body = b"\\0\\0\\0\\x031.0"
                os.write(theirs, b"ready")
                while not unread():
                    pass
                while unread():
                    pass
                while True:
                    os.write(4, b"\\x08" + len(body).to_bytes(8, "big") + body)
            os.read(ours, 5)
            return []
        """,
    ),
    "a score among the results": attack(
        """
        def solve():
            return {"objective": 1e9, "score": 1e9, "combined_score": 1e9, "secret": True,
                    "result": {"objective": 1e9}, "error": None, "outcome": "ok"}
        """,
        value={
            "objective": 1e9,
            "score": 1e9,
            "combined_score": 1e9,
            "secret": True,
            "result": {"objective": 1e9},
            "error": None,
            "outcome": "ok",
        },
    ),
    "a float that runs code when it is copied": attack(
        """
        class Bomb(float):
            def __reduce__(self): return os.system, ("touch MARK",)
            __reduce_ex__ = lambda self, protocol: (os.system, ("touch MARK",))
        def solve(): return Bomb(0.0)
        """,
        value=0.0,
    ),
}
