"""Every error `evolve` raises on purpose.

    EvolveError
    ├── ConfigError            a configuration or problem file is wrong (file, line, column)
    │   └── PluginError        a plug-in reference names nothing that can be loaded
    ├── PatchError             a model's edit does not apply (hunk, nearest lines)
    ├── PrerequisiteError      something this machine lacks (what to install or set)
    │   ├── SandboxUnavailable     no Docker engine, no image, or refused on purpose
    │   └── ModelUnavailable       no key, no server, no such model
    ├── StoreError             the database cannot be used
    │   ├── RunLocked              another live process writes this run (holder)
    │   │   └── ControllerLost         the work of this one of several was taken over
    │   ├── DatabaseBusy           another process keeps it locked
    │   └── TransactionLost        undone through no fault of its own: begin it again
    ├── EvaluatorError         the evaluator's own code failed: a bug in the problem
    ├── InfrastructureError    a slot, scorer or engine fault: retried, never a score
    │   ├── SlotLost               a slot went with its node, or its program took it down
    │   ├── ReplyLost              a model was asked, no usable reply came: it may be billed
    │   └── CallRefused            a model that used to answer refuses its key or account
    ├── BudgetExhausted        the next model call could pass a budget (which stop rule)
    ├── SeedProgramInvalid     the seed program does not evaluate (outcome, message)
    └── RunFailed              the run stopped because it could not go on

The message says what, where and how to fix it; ``exit_code`` is what the command line returns.
A failing *candidate* is none of these: it is an `evolve.core.evaluation.Evaluation` with an
outcome.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar


class EvolveError(Exception):
    """Base of all errors raised on purpose; printed without a traceback."""

    exit_code: ClassVar[int] = 1


class ConfigError(EvolveError):
    """A configuration or problem file is wrong.

    Args:
        message: What is wrong and how to fix it.
        path: The file, as the user named it.
        line: 1-based line, 0 when unknown.
        column: 1-based column, 0 when unknown.
        source_line: The offending line's text.
        others: Further errors of the same file; the text lists them below this one.
    """

    exit_code = 2

    def __init__(
        self,
        message: str,
        *,
        path: str = "",
        line: int = 0,
        column: int = 0,
        source_line: str = "",
        others: Sequence[ConfigError] = (),
    ) -> None:
        where = ":".join(str(part) for part in (path, line, column) if part)
        text = f"{where}: {message}" if where else message
        if source_line:
            text += f"\n    {source_line.rstrip()}\n    {' ' * max(column - 1, 0)}^"
        super().__init__("\n".join([text, *map(str, others)]))
        self.message, self.path, self.line, self.column = message, path, line, column
        self.source_line, self.others = source_line, tuple(others)


class PluginError(ConfigError):
    """A plug-in reference names nothing that can be loaded."""


class PatchError(EvolveError):
    """A model's edit does not apply.

    Args:
        reason: One of the reason words of `evolve.core.patch`.
        message: What went wrong, written so that it can be sent back to the model.
        hunk: 1-based number of the hunk, 0 when the reply holds none.
    """

    def __init__(self, reason: str, message: str, *, hunk: int = 0) -> None:
        super().__init__(message)
        self.reason, self.hunk = reason, hunk


class PrerequisiteError(EvolveError):
    """Something this machine needs is missing; the message names what to install or set."""

    exit_code = 3


class SandboxUnavailable(PrerequisiteError):
    """The sandbox asked for cannot be had here, or refuses this kind of program."""


class ModelUnavailable(PrerequisiteError):
    """A model cannot be reached: no key, no server, no such name, or too many errors in a row."""


class StoreError(EvolveError):
    """The database cannot be opened, is of another version, or does not hold what was asked for."""

    exit_code = 3


class RunLocked(StoreError):
    """Another live process writes this run; ``holder`` says which."""

    def __init__(self, message: str, *, holder: str) -> None:
        super().__init__(message)
        self.holder = holder


class ControllerLost(RunLocked):
    """Others took over the work of this controller, which was not heard of; it may join again."""


class DatabaseBusy(StoreError):
    """Another process keeps the database locked, for longer than ours ever take."""


class TransactionLost(StoreError):
    """A transaction was undone: the server went away, or it and another one blocked each other.

    Nothing of it was committed, so it may begin again; `evolve.store.patience` does so.
    """


class EvaluatorError(EvolveError):
    """The evaluator's own code failed: a bug in the problem, not in a candidate."""


class InfrastructureError(EvolveError):
    """A slot, scorer or engine fault. The work is retried; it never becomes a score."""


class SlotLost(InfrastructureError):
    """A slot is gone with the program in it: its node ended, or cannot be reached, or it did it."""


class ReplyLost(InfrastructureError):
    """A request reached a model but no usable reply came back: it may have been billed."""


class CallRefused(InfrastructureError):
    """A server that used to answer refuses the key or the account: for good if it goes on."""


class BudgetExhausted(EvolveError):
    """The next model call could pass a budget; what is in flight is not affected.

    Args:
        message: How much is left, and what the call may need.
        rule: The stop rule that sets the budget, such as ``cost_usd``.
    """

    def __init__(self, message: str, *, rule: str) -> None:
        super().__init__(message)
        self.rule = rule


class SeedProgramInvalid(EvolveError):
    """The seed program does not evaluate, so there is nothing to start from."""

    exit_code = 4

    def __init__(self, message: str, *, outcome: str) -> None:
        super().__init__(message)
        self.outcome = outcome


class RunFailed(EvolveError):
    """The run stopped because it could not go on."""


def first_error(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """Return the error of a group to tell of: one raised on purpose if there is one."""
    leaves = [
        first_error(error) if isinstance(error, BaseExceptionGroup) else error
        for error in group.exceptions
    ]
    return next((error for error in leaves if isinstance(error, EvolveError)), leaves[0])


def reason_of(error: BaseException) -> str:
    """Return in one line what ended something."""
    first = first_error(error) if isinstance(error, BaseExceptionGroup) else error
    return f"{type(first).__name__}: {first}"
