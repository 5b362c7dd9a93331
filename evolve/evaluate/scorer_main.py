"""The inside of a scorer process: it imports the evaluator, never a program.

It speaks frames of `evolve.sandbox.wire` over what were its standard input and output; whatever
the evaluator prints goes to standard error. A request is a `Kind.CALL` and its answer a
`Kind.REPLY`. The output to be scored comes before its request, as a `Kind.VALUE`, so that it may be
nested as deeply as programs' values may be.

While an evaluator interacts, the process sends calls of its own (`Kind.CALL`) and gets a
`Kind.VALUE` for each, or a `Kind.FAILED` when the program failed and the interaction is over.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import select
import sys
import threading
import traceback
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NoReturn

import numpy as np

from evolve.config.plugins import build, resolve
from evolve.core.errors import ConfigError, EvaluatorError
from evolve.core.evaluation import Case, Stage, Usage
from evolve.core.values import Value
from evolve.evaluate.behaviour import digest_of
from evolve.evaluate.evaluator import Evaluator, Invalid
from evolve.evaluate.scores import clean, pack_construction, pack_score, unpack_score
from evolve.sandbox import wire
from evolve.sandbox.wire import FrameReader, Kind, WireError

_MAX_MESSAGE = 1 << 40  #: the controller is trusted
_MESSAGE_CHARACTERS = 4000
_NAME_CHARACTERS = 200
_CHUNK = 1 << 20


class _ProgramFailed(BaseException):
    """A call of the program failed; no `Exception`, so that evaluators let it pass."""


class _BadOutput(Exception):
    """What a program returned is not plain data."""


class Channel:
    """Frames over two file descriptors, blocking."""

    def __init__(self, source: int, sink: int) -> None:
        self._source, self._sink = source, sink
        self._reader = FrameReader(_MAX_MESSAGE)
        self._frames: list[tuple[Kind, bytes]] = []

    def send(self, kind: Kind, body: bytes) -> None:
        """Write one frame."""
        rest = memoryview(wire.pack(kind, body))
        while rest:
            rest = rest[os.write(self._sink, rest) :]

    def receive(self) -> tuple[Kind, bytes]:
        """Return the next frame; end the process when the controller has gone."""
        while not self._frames:
            data = os.read(self._source, _CHUNK)
            if not data:
                os._exit(0)
            self._frames = self._reader.feed(data)
        return self._frames.pop(0)


@dataclass(frozen=True)
class _Cases:
    """The cases of a stage, and what identifies them."""

    cases: list[Case]
    encoded: list[dict[str, Value]]
    digest: str


class Scorer:
    """Answer requests about one evaluator."""

    def __init__(self, channel: Channel) -> None:
        self._channel = channel
        self._evaluator: Evaluator
        self._made: dict[Stage, _Cases] = {}
        self.output: bytes | None = None  #: what a program returned and is to be scored next
        self._interacted: Value = None  #: or what came of an interaction
        self._starts: tuple[str, dict[str, str]] = "", {}  #: the latest, and each of them by case

    def load(self, reference: str, folder: str, options: dict[str, object]) -> Value:
        """Import and construct the evaluator; tell what it overrides."""
        what = f"evaluator {reference}"
        factory = resolve(reference, seam="evolve.evaluators", folder=Path(folder))
        evaluator = build(factory, options, what=what)
        if not isinstance(evaluator, Evaluator):
            raise ConfigError(f"{what} makes a {type(evaluator).__name__}, no evolve.Evaluator")
        self._evaluator = evaluator
        kind = type(evaluator)
        return {
            "interacts": kind.interact is not Evaluator.interact,
            "reseeds": kind.reseed is not Evaluator.reseed,
        }

    def prepare(self, stage: Stage) -> Value:
        """Make the cases of a stage."""
        self._cases(stage)
        return None

    def cases(self, stage: Stage) -> Value:
        """Return names and encoded inputs; what is secret stays here."""
        made = self._cases(stage)
        return {"cases": made.encoded, "digest": made.digest}

    def inputs(
        self, stage: Stage, digest: str, index: int, seed: int | None = None, starts: str = ""
    ) -> Value:
        """Return the encoded inputs of one case, as a repeat with that seed runs it."""
        case = self._case(stage, digest, index, seed, starts)
        return {"inputs": _encoded(case, index + 1)["inputs"]}

    def score(
        self,
        stage: Stage,
        digest: str,
        index: int,
        usage: list[int],
        seed: int | None = None,
        starts: str = "",
    ) -> Value:
        """Judge the output that came before this request, or of the interaction before it.

        Returns:
            The score, a digest of the output, and what was built.
        """
        encoded, self.output = self.output, None
        output, self._interacted = self._interacted, None
        if encoded is not None:
            output = _decoded(encoded)
        case = self._case(stage, digest, index, seed, starts)
        digest_of_output = digest_of(output)  # before the evaluator could change it
        score = self._evaluator.score(case, output, Usage(*usage))
        packed: dict[str, Value] = {"score": pack_score(score), "behaviour": digest_of_output}
        return packed | {"construction": pack_construction(score.construction)}

    def interact(
        self, stage: Stage, digest: str, index: int, seed: int | None = None, starts: str = ""
    ) -> Value:
        """Drive the program through one case and keep what comes of it."""
        case = self._case(stage, digest, index, seed, starts)
        call = _Caller(self._channel)
        import anyio

        try:
            self._interacted = anyio.run(self._evaluator.interact, case, call)
        finally:
            if call.bad_output is not None:  # whatever the evaluator made of it
                raise call.bad_output
        return None

    def combine(
        self,
        stage: Stage,
        digest: str,
        first: int,
        scores: list[Mapping[str, Any]],
        seed: int | None = None,
        starts: str = "",
    ) -> Value:
        """Fold the scores of cases of a stage, from the ``first`` that counts."""
        until = first + len(scores)
        cases = [self._case(stage, digest, index, seed, starts) for index in range(first, until)]
        pairs = zip(cases, map(unpack_score, scores), strict=True)
        return pack_score(self._evaluator.combine(list(pairs)))

    def _case(self, stage: Stage, digest: str, index: int, seed: int | None, starts: str) -> Case:
        """Return one case, as it is, as a repeat runs it, or with another construction to begin."""
        made = self._checked(stage, digest)
        case = made.cases[index]
        if starts:
            start = self._start(starts, str(made.encoded[index]["name"]))
            case = replace(case, inputs={**case.inputs, "start": start})
        if seed is None:
            return case
        again = self._evaluator.reseed(case, case_seed(seed, index))
        if not isinstance(again, Case):
            raise EvaluatorError(f"reseed() gave a {type(again).__name__}; return evolve.Case(...)")
        return again

    def _start(self, starts: str, name: str) -> Value:
        """Return what a case begins with, a copy of its own; the JSON of all cases is read once."""
        if self._starts[0] != starts:
            each = {case: json.dumps(start) for case, start in json.loads(starts).items()}
            self._starts = starts, each
        start: Value = json.loads(self._starts[1][name])
        return start

    def _checked(self, stage: Stage, digest: str) -> _Cases:
        """Return the cases of a stage, the very ones that programs get."""
        made = self._cases(stage)
        if made.digest != digest:
            raise EvaluatorError(
                f"cases({stage!r}) gave other cases than in an earlier process; make them from a "
                "fixed seed"
            )
        return made

    def _cases(self, stage: Stage) -> _Cases:
        if stage not in self._made:
            cases = list(self._evaluator.cases(stage))
            encoded = [_encoded(case, number) for number, case in enumerate(cases, start=1)]
            counts = Counter(str(each["name"]) for each in encoded)
            for name, count in counts.most_common(1):
                if count > 1:
                    raise EvaluatorError(f"cases({stage!r}) gave {count} cases the name {name!r}")
            digest = hashlib.sha256(wire.dumps(encoded)).hexdigest()
            self._made[stage] = _Cases(cases, encoded, digest)
        return self._made[stage]


class _Caller:
    """What an interacting evaluator calls the program with."""

    def __init__(self, channel: Channel) -> None:
        self._channel = channel
        self._failed = False
        self.bad_output: _BadOutput | None = None

    async def __call__(self, *, function: str = "", **inputs: Value) -> Value:
        """Send one call and block until it is answered: nothing else happens in this process."""
        if self._failed:
            raise _ProgramFailed
        try:
            encoded = wire.dumps(inputs)
        except WireError as error:
            raise TypeError(f"in the inputs of a call: {error}") from None
        self._channel.send(Kind.CALL, wire.pack_call(function, encoded))
        kind, body = self._channel.receive()
        if kind is Kind.FAILED:
            self._failed = True
            raise _ProgramFailed
        try:
            return _decoded(body)
        except _BadOutput as error:
            self._failed, self.bad_output = True, error
            raise _ProgramFailed from None


def case_seed(seed: int, index: int) -> int:
    """Return the seed of one case from that of a repeat: 63 bits, the same on every machine."""
    digest = hashlib.sha256(f"{seed}/{index}".encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1


def _decoded(encoded: bytes) -> Value:
    """Return what a program returned: the first time that anybody looks into it."""
    try:
        return wire.loads(encoded)
    except WireError as error:
        raise _BadOutput(str(error)) from None


def _encoded(case: object, number: int) -> dict[str, Value]:
    """Return a case as it goes to the controller; the inputs as bytes that programs get."""
    if not isinstance(case, Case) or not isinstance(case.inputs, Mapping):
        raise EvaluatorError("cases() must yield evolve.Case({name: value, ...})")
    name = clean(str(case.name), _NAME_CHARACTERS) or f"case {number}"
    try:
        inputs = wire.dumps(case.inputs)
    except WireError as error:
        raise EvaluatorError(f"in the inputs of {name}: {error}") from None
    size = case.size
    if size is not None and not (math.isfinite(size) and size > 0):
        raise EvaluatorError(f"the size of {name} is {size}, must be positive")
    return {
        "name": name,
        "inputs": np.frombuffer(inputs, dtype=np.uint8),
        "size": None if size is None else float(size),
        "begins": "start" in case.inputs,
    }


def _answer(operation: Callable[..., Value], request: dict[str, Any]) -> dict[str, Value]:
    """Return the result of an operation, or what kept it from having one."""
    try:
        return {"result": operation(**request)}
    except _BadOutput as error:
        return {"bad_output": clean(str(error), _MESSAGE_CHARACTERS)}
    except Invalid as verdict:
        return {"invalid": clean(str(verdict) or "refused without a reason", _MESSAGE_CHARACTERS)}
    except ConfigError as error:
        return {"config": clean(str(error), _MESSAGE_CHARACTERS)}
    except EvaluatorError as error:
        return {"error": clean(str(error), _MESSAGE_CHARACTERS)}
    except BaseException as error:  # noqa: BLE001 - somebody's code: whatever it raises is reported
        return {"error": clean(_describe(error), _MESSAGE_CHARACTERS)}


def _describe(error: BaseException) -> str:
    """Return the traceback through the evaluator's own files."""
    loaded = [sys.modules[name] for name in ("anyio", "asyncio") if name in sys.modules]
    machinery = (__file__, *(path for module in loaded for path in module.__path__))
    frames = [
        frame
        for frame in traceback.extract_tb(error.__traceback__)
        if not frame.filename.startswith(machinery)
    ]
    head = ["Traceback (most recent call last):\n", *traceback.format_list(frames)]
    return "".join([*head, *traceback.format_exception_only(error)]).strip()


def _die_with_controller(source: int) -> None:
    """End the process when the other end is closed, even in the middle of an endless loop."""
    hangup = select.poll()
    hangup.register(source, 0)
    hangup.poll()
    os._exit(0)


def main() -> NoReturn:
    """Answer requests until the controller goes."""
    source, sink = os.dup(0), os.dup(1)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(2, 1)
    threading.Thread(target=_die_with_controller, args=(source,), daemon=True).start()
    channel = Channel(source, sink)
    scorer = Scorer(channel)
    operations: dict[str, Callable[..., Value]] = {
        "load": scorer.load,
        "prepare": scorer.prepare,
        "cases": scorer.cases,
        "inputs": scorer.inputs,
        "score": scorer.score,
        "interact": scorer.interact,
        "combine": scorer.combine,
    }
    while True:
        kind, body = channel.receive()
        if kind is Kind.VALUE:
            scorer.output = body
            continue
        request: Any = wire.loads(body)
        answer = _answer(operations[request.pop("operation")], request)
        sys.stdout.flush()
        channel.send(Kind.REPLY, wire.dumps(answer))


if __name__ == "__main__":
    main()
