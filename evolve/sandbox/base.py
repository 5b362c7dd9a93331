"""The seam to isolation: a `Sandbox` opens `Slot`s, a slot runs one program at a time.

The protocol is one verb: inside a session, `Session.call` sends keyword arguments to the program
and gets plain data back. A batch of cases is a loop of calls; an online problem is a longer one.
Everything a session returns is the program's own claim except outcome and usage, which are
established outside the program.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field, replace
from typing import Protocol

from evolve.core.command import Command
from evolve.core.evaluation import Outcome, Usage
from evolve.core.limits import Limits
from evolve.core.program import Program
from evolve.core.resources import Resources
from evolve.core.values import Value
from evolve.sandbox import wire

#: Bundled sandboxes, by the name a configuration gives.
SANDBOXES = {
    "docker": "evolve.sandbox.docker:DockerSandbox",
    "process": "evolve.sandbox.process:ProcessSandbox",
}

#: No CPUs in particular, and no device.
ANY_RESOURCES = Resources()


@dataclass(frozen=True, slots=True)
class Job:
    """What to load into a slot.

    Attributes:
        program: The candidate's sources.
        entrypoint: ``function`` of the only file, or ``path.py:function``.
        limits: What the whole session may use; memory, CPUs, processes and disk at most as much
            as the slot was opened for. The wall clock runs while the program loads or owes an
            answer; CPU time is counted throughout.
        harness: Source of a problem's ``harness.py``, or empty. When given, a call runs
            ``harness.run(function, **inputs)`` beside the program instead of the function itself.
        command: How a program that is not a Python function is built and run; there is no
            entrypoint and no harness then.
    """

    program: Program
    entrypoint: str
    limits: Limits
    harness: str = ""
    command: Command | None = None


@dataclass(frozen=True, slots=True)
class Reply:
    """The answer to one call.

    ``value``, or ``encoded`` from `Session.forward`, means something only when ``outcome`` is
    ``OK``.
    """

    outcome: Outcome
    value: Value = None
    message: str = ""
    usage: Usage = field(default_factory=Usage)
    encoded: bytes = b""


@dataclass(frozen=True, slots=True)
class Report:
    """The whole session, complete once its context has been left.

    ``stdout`` and ``stderr`` are the first ``limits.output_kb`` of each, decoded with replacement.
    ``disturbed`` is the share of the slot's CPU time that others had while the program ran, 0 to 1;
    None when nobody looked, or too shortly.
    """

    usage: Usage = field(default_factory=Usage)
    stdout: str = ""
    stderr: str = ""
    disturbed: float | None = None


class Session(Protocol):
    """One program loaded in a slot. Calls are sequential; after a failed call all others fail."""

    async def call(self, inputs: Mapping[str, Value], *, function: str = "") -> Reply:
        """Call the entrypoint (or another top-level ``function`` of the same file).

        Never raises for anything the program does; that is the reply's outcome. The first call's
        outcome also tells of a program that cannot be loaded.

        Raises:
            InfrastructureError: the slot itself failed.
            EvaluatorError: ``inputs`` are not plain data.
        """
        ...

    async def forward(self, inputs: bytes, *, function: str = "") -> Reply:
        """Do what `call` does with values as `evolve.sandbox.wire` writes them.

        A session that need not look into them passes them on as they are: what a program returned
        is then first decoded where it is judged.

        Returns:
            The reply; its value is in ``encoded``, and may turn out not to be well-formed.

        Raises:
            InfrastructureError: the slot itself failed.
        """
        reply = await self.call(wire.loads(inputs), function=function)  # type: ignore[arg-type]  # a mapping
        encoded = wire.dumps(reply.value) if reply.outcome is Outcome.OK else b""
        return replace(reply, value=None, encoded=encoded)

    @property
    def report(self) -> Report:
        """What the session used and printed; final after the context is left."""
        ...


class Slot(Protocol):
    """A place to run one program at a time. Not safe for concurrent use."""

    def session(self, job: Job) -> AbstractAsyncContextManager[Session]:
        """Load ``job`` afresh; on leaving, kill everything it started and wipe what it wrote."""
        ...

    async def aclose(self) -> None:
        """Release the slot and everything in it."""
        ...


class Sandbox(Protocol):
    """A kind of isolation. Opening slots is its only job."""

    name: str
    #: Whether code written by a model may run here.
    accepts_untrusted: bool

    async def open_slot(
        self, index: int, limits: Limits, resources: Resources = ANY_RESOURCES
    ) -> Slot:
        """Start slot ``index`` (its number within the pool) fit for ``limits``.

        Its programs keep to the CPUs and see the devices of ``resources``, and no others.

        Raises:
            SandboxUnavailable: the isolation cannot be had on this machine.
        """
        ...

    def guarantees(self) -> list[str]:
        """Return, one sentence each, what is and what is not isolated; shown by ``doctor``."""
        ...

    def provenance(self) -> dict[str, str]:
        """Return what to record with a run: image digest, runtime, interpreter version."""
        ...
