"""A program as a model: the prompt on its standard input, the reply on its standard output."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import time
from collections.abc import Mapping
from pathlib import Path

import anyio
import anyio.lowlevel

from evolve.config.models import ModelConfig
from evolve.core.errors import ConfigError, InfrastructureError, ModelUnavailable, ReplyLost
from evolve.llm.base import Completion, Request
from evolve.llm.program import Ended, run_program
from evolve.llm.secrets import scrub

#: Environment variables that every program gets.
_ALWAYS = ("PATH", "LANG", "LC_ALL", "TMPDIR")
#: Names of variables whose values are kept out of replies and messages.
_SECRET = re.compile(r"(?i)key|token|secret|passw|credential")
#: What of standard error a message quotes, in characters.
_EXCERPT = 500


class CommandModel:
    """``command/PROGRAM ARGS``; no shell is involved.

    The program runs in the configuration's folder, once per call, with `PATH`, the locale, the
    variables of ``pass_env`` and `EVOLVE_SEED`. A name with a slash is relative to that folder.

    Args:
        config: Its id holds the command line, in quotes where a shell would want them.
        folder: Where the configuration lies.

    Raises:
        ConfigError: the command line cannot be read.
        ModelUnavailable: there is no such program, or a variable is not set.
    """

    def __init__(self, config: ModelConfig, folder: Path) -> None:
        self.name = config.id
        self._config, self._folder = config, folder
        self._argv = _command_line(config.id, folder)
        self._environment = {name: os.environ[name] for name in _ALWAYS if name in os.environ}
        missing = [name for name in config.pass_env if name not in os.environ]
        if missing:
            raise ModelUnavailable(
                f"model {config.id}: pass_env names {missing[0]}, which is not set; export it"
            )
        self._environment |= {name: os.environ[name] for name in config.pass_env}
        self._secrets = [
            os.environ[name]
            for name in config.pass_env
            if _SECRET.search(name) and os.environ[name].strip()
        ]

    async def complete(self, request: Request) -> Completion:
        """Run the program once; see `evolve.llm.base.Model.complete`.

        Raises:
            InfrastructureError: it could not be started, failed, or said nothing.
            ReplyLost: it was stopped at its time limit, or said too much.
        """
        text = request.to_json() if self._config.stdin == "json" else as_text(request)
        seed = {} if request.seed is None else {"EVOLVE_SEED": str(request.seed)}
        started = time.perf_counter()
        try:
            ended = await run_program(
                self._argv,
                text.encode("utf-8", "replace"),
                cwd=self._folder,
                env={**self._environment, **seed},
                timeout_s=self._config.timeout_s,
            )
        except OSError as error:
            raise InfrastructureError(f"{self.name}: cannot be started: {error}") from error
        self._check(ended)
        return Completion(
            scrub(ended.stdout.decode("utf-8", "replace"), self._secrets),
            latency_s=time.perf_counter() - started,
        )

    def _check(self, ended: Ended) -> None:
        """Raise what went wrong, in the program's own last words.

        Raises:
            EvolveError: something did.
        """
        said = scrub(ended.stderr.decode("utf-8", "replace"), self._secrets).strip()
        last = f"; standard error ends: {said[-_EXCERPT:]}" if said else ""
        if ended.stopped:
            raise ReplyLost(f"{self.name}: {ended.stopped}{last}")
        if ended.status != 0:
            how = f"exit code {ended.status}" if ended.status > 0 else f"signal {-ended.status}"
            raise InfrastructureError(f"{self.name}: ended with {how}{last}")
        if not ended.stdout.strip():
            raise InfrastructureError(f"{self.name}: wrote nothing to standard output{last}")

    def parameters(self) -> Mapping[str, object]:
        """Return the command line and the names, not the values, of the variables it gets."""
        return {"argv": self._argv, "pass_env": list(self._config.pass_env)}

    async def aclose(self) -> None:
        """Do nothing: no program outlives its call."""
        await anyio.lowlevel.checkpoint()


def as_text(request: Request) -> str:
    """Return a prompt for people and command-line tools: the messages, a blank line between them.

    Where a model is to see earlier replies too, each message stands below a line ``[role]``.
    """
    talk = any(message.role == "assistant" for message in request.messages)
    parts = (f"[{m.role}]\n{m.content}" if talk else m.content for m in request.messages)
    return "\n\n".join(part.rstrip("\n") for part in parts) + "\n"


def _command_line(reference: str, folder: Path) -> list[str]:
    try:
        argv = shlex.split(reference.partition("/")[2])
    except ValueError as error:
        raise ConfigError(f"the model '{reference}' is no command line: {error}") from error
    if not argv:
        raise ConfigError(f"the model '{reference}' names no program; write command/PROGRAM ARGS")
    name = str(folder / argv[0]) if "/" in argv[0] else argv[0]
    program = shutil.which(name)
    if program is None:
        raise ModelUnavailable(f"model {reference}: there is no program {name} that can be run")
    return [str(Path(program).absolute()), *argv[1:]]
