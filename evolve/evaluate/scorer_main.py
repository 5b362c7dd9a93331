"""The inside of a scorer process: it imports the evaluator, never a program.

It speaks frames of `evolve.sandbox.wire` over what were its standard input and output; whatever
the evaluator prints goes to standard error. A request is a `Kind.CALL`, its answer a `Kind.REPLY`;
in between, an interacting evaluator sends calls of its own, which are answered by `Kind.VALUE`.
"""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any, cast

import anyio

from evolve.config.plugins import build, resolve
from evolve.core.errors import EvaluatorError, EvolveError
from evolve.core.evaluation import Case, Score, Stage, Usage
from evolve.core.values import Value
from evolve.evaluate.evaluator import Evaluator, Invalid
from evolve.evaluate.scores import pack_score, unpack_score
from evolve.sandbox.wire import FrameReader, Kind, dumps, loads, pack

#: Largest message taken; outputs of programs are capped well below by the sandbox.
MAX_MESSAGE = 1 << 31
#: Innermost lines of a traceback that are worth showing.
TRACE_LINES = 12


class _ProgramFailed(BaseException):
    """A call across the boundary failed; not an `Exception`, so evaluators do not swallow it."""


class Channel:
    """Frames over two file descriptors, blocking."""

    def __init__(self, source: int, sink: int) -> None:
        self._source, self._sink = source, sink
        self._reader = FrameReader(MAX_MESSAGE)
        self._frames: Iterator[tuple[Kind, bytes]] = iter(())

    def send(self, kind: Kind, value: Value) -> None:
        """Write one message."""
        data = memoryview(pack(kind, dumps(value)))
        while data:
            data = data[os.write(self._sink, data) :]

    def receive(self) -> Any:  # noqa: ANN401 - what the controller sent
        """Return the next message.

        Raises:
            EOFError: the controller has gone.
        """
        while True:
            for _, body in self._frames:
                return loads(body)
            data = os.read(self._source, 1 << 20)
            if not data:
                raise EOFError
            self._frames = iter(self._reader.feed(data))


class Scorer:
    """Answer requests about one evaluator."""

    def __init__(self, channel: Channel, evaluator: Evaluator) -> None:
        self._channel, self._evaluator = channel, evaluator
        self._cases: dict[Stage, list[Case]] = {}

    def cases(self, stage: Stage) -> Value:
        """Return names and inputs; what is secret stays here."""
        made = [
            _checked_case(case, number) for number, case in enumerate(self._evaluator.cases(stage))
        ]
        self._cases[stage] = made
        interacts = type(self._evaluator).interact is not Evaluator.interact
        return {
            "cases": [{"name": case.name, "inputs": case.inputs} for case in made],
            "interacts": interacts,
        }

    def score(self, stage: Stage, index: int, output: Value, usage: list[int]) -> Value:
        """Judge one output."""
        case = self._case(stage, index)
        return pack_score(self._evaluator.score(case, output, Usage(*usage)))

    def interact(self, stage: Stage, index: int) -> Value:
        """Drive the program through one case, then judge what came of it."""
        case, spent = self._case(stage, index), [Usage()]

        async def call(*, function: str = "", **inputs: Value) -> Value:
            self._channel.send(Kind.CALL, {"function": function, "inputs": inputs})
            answer = self._channel.receive()
            if not answer["ok"]:
                raise _ProgramFailed
            spent[0] += Usage(*answer["usage"])
            return cast("Value", answer["value"])

        output = anyio.run(partial(self._evaluator.interact, case, call))
        return pack_score(self._evaluator.score(case, output, spent[0]))

    def combine(self, stage: Stage, scores: list[Mapping[str, Value]]) -> Value:
        """Fold the scores of all cases of a stage."""
        cases = [self._case(stage, index) for index in range(len(scores))]
        pairs: list[tuple[Case, Score]] = list(zip(cases, map(unpack_score, scores), strict=True))
        return pack_score(self._evaluator.combine(pairs))

    def _case(self, stage: Stage, index: int) -> Case:
        if stage not in self._cases:
            self.cases(stage)
        return self._cases[stage][index]


def _checked_case(case: object, number: int) -> Case:
    if not isinstance(case, Case) or not isinstance(case.inputs, Mapping):
        raise EvaluatorError("cases() must yield evolve.Case({name: value, ...})")
    name = case.name or f"case {number}"
    return Case(case.inputs, name, case.secret)


def _answer(operation: Callable[..., Value], request: dict[str, Any]) -> dict[str, Value]:
    """Return the result of an operation, or what kept it from having one."""
    try:
        return {"result": operation(**request)}
    except Invalid as verdict:
        return {"invalid": str(verdict) or "the evaluator refused the output"}
    except _ProgramFailed:
        return {"failed": True}
    except EvaluatorError as error:
        return {"error": str(error)}
    except Exception:  # noqa: BLE001 - the evaluator is somebody's code; all it raises is reported
        return {"error": "\n".join(traceback.format_exc().splitlines()[-TRACE_LINES:])}


def _load(reference: str, folder: str, options: Mapping[str, object]) -> Evaluator:
    factory = resolve(reference, seam="evolve.evaluators", folder=Path(folder))
    evaluator = build(factory, options, what=f"evaluator {reference}")
    if not isinstance(evaluator, Evaluator):
        raise EvaluatorError(f"evaluator {reference} is no subclass of evolve.Evaluator")
    return evaluator


def main() -> None:
    """Load the evaluator the first message names, then answer until the controller goes."""
    channel = Channel(os.dup(0), os.dup(1))
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(2, 1)
    first = channel.receive()
    try:
        scorer = Scorer(channel, _load(**first))
    except EvolveError as error:
        channel.send(Kind.REPLY, {"error": str(error)})
        return
    channel.send(Kind.REPLY, {"result": None})
    operations: dict[str, Callable[..., Value]] = {
        "cases": scorer.cases,
        "score": scorer.score,
        "interact": scorer.interact,
        "combine": scorer.combine,
    }
    while True:
        try:
            request = channel.receive()
        except EOFError:
            return
        answer = _answer(operations[request.pop("operation")], request)
        sys.stdout.flush()
        channel.send(Kind.REPLY, answer)


if __name__ == "__main__":
    main()
