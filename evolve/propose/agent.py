"""The agent operator: a command edits a working copy of the program; the files are its answer.

The command is a model like any other (``agent/PROGRAM ARGS``), so that its prompt, what it did and
what it said are committed before they are used, and a resumed run does not ask it twice.
"""

from __future__ import annotations

import json
import os
import shlex
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import anyio

from evolve.config.models import ModelConfig
from evolve.core.errors import ConfigError, InfrastructureError, PatchError, ReplyLost
from evolve.core.hunks import Reason
from evolve.core.program import Program
from evolve.llm.base import Completion, Message, Request
from evolve.llm.command import CommandModel
from evolve.llm.program import Ended, run_program
from evolve.llm.secrets import scrub
from evolve.propose.base import Candidate, Context, Rejected
from evolve.propose.llm import LLMProposer
from evolve.propose.workplace import changes, contained, working_copy

#: Characters kept of the end of what an agent says, and of the line that sums it up.
_SAID, _SUMMARY = 2000, 300
_END_S = 60.0


class AgentModel(CommandModel):
    """``agent/PROGRAM ARGS``: the task on standard input, the program's files in its folder.

    It runs in a container of the image that ``container`` names, with nothing of this machine but
    the working copy, and with no secret but the variables of ``pass_env``. An agent that is still
    at work after ``timeout_s`` is ended, and what it has done by then counts.

    Args:
        config: Its id holds the command line, in quotes where a shell would want them.
        folder: Where the configuration lies.

    Raises:
        ConfigError: there is no container and nobody allowed to go without.
        ModelUnavailable: there is no such program, or a variable is not set.
    """

    def __init__(self, config: ModelConfig, folder: Path) -> None:
        if config.container is None and not config.allow_uncontained:
            raise ConfigError(
                f"the agent '{config.id}' needs a container, such as `container: {{image: NAME}}`; "
                "or, knowing that it can then read and change your files, `allow_uncontained: true`"
            )
        self._command = shlex.split(config.id.partition("/")[2])
        runner = "docker" if config.container else config.id.partition("/")[2]
        super().__init__(config.model_copy(update={"id": f"command/{runner}"}), folder)
        self.name, self._container = config.id, config.container
        if "DOCKER_HOST" in os.environ:
            self._environment["DOCKER_HOST"] = os.environ["DOCKER_HOST"]

    async def complete(self, request: Request) -> Completion:
        """Have the agent work on the files of ``request``; see `evolve.llm.base.Model.complete`.

        Raises:
            InfrastructureError: it could not be started, or failed and changed nothing.
            ReplyLost: it was stopped and had changed nothing.
        """
        task = "\n\n".join(message.content for message in request.messages[:-1])
        files: dict[str, str] = json.loads(request.messages[-1].content)
        started = time.perf_counter()
        with working_copy(files) as root:
            ended = await self._work(task, root)
            changed = changes(root, files)
        said = scrub(ended.stdout.decode("utf-8", "replace"), self._secrets).strip()[-_SAID:]
        if not changed:
            self._check_ended(ended)
        changed = {path: scrub(text, self._secrets) for path, text in changed.items()}
        return Completion(
            json.dumps({"said": said, "files": changed}),
            latency_s=time.perf_counter() - started,
        )

    async def _work(self, task: str, root: Path) -> Ended:
        """Run the agent to its end, and see that nothing of it is left."""
        argv, end = self._argv, None
        if self._container is not None:
            names = self._config.pass_env
            argv, end = contained(self._command, root, self._container, names)
        try:
            return await run_program(
                argv,
                task.encode("utf-8", "replace"),
                cwd=root,
                env=self._environment,
                timeout_s=self._config.timeout_s,
            )
        except OSError as error:
            raise InfrastructureError(f"{self.name}: cannot be started: {error}") from error
        finally:
            if end is not None:
                with anyio.CancelScope(shield=True):  # a container outlives the client that ran it
                    await run_program(end, b"", cwd=root, env=self._environment, timeout_s=_END_S)

    def _check_ended(self, ended: Ended) -> None:
        """Raise why an agent that changed nothing failed, if it did."""
        if ended.stopped:
            raise ReplyLost(f"{self.name}: {ended.stopped}; it had changed nothing")
        if ended.status != 0:
            said = scrub(ended.stderr.decode("utf-8", "replace"), self._secrets).strip()[-500:]
            raise InfrastructureError(f"{self.name}: ended with {ended.status}: {said}")

    def parameters(self) -> Mapping[str, object]:
        """Return the command line, the container, and the names of the variables it gets."""
        container = None if self._container is None else self._container.model_dump()
        return {
            "argv": self._command,
            "container": container,
            "pass_env": list(self._config.pass_env),
        }


class AgentProposer(LLMProposer):
    """Have an agent edit the files of the parent in a working copy; its ``model`` is ``agent/...``.

    What it changes outside of the evolve blocks makes its program refused.
    """

    name = "agent"

    async def propose(self, context: Context) -> Candidate | Rejected:
        """Hand over the task and the files, and take what the files have become."""
        completion = await context.complete(self.model, self.request(context))
        result = self.interpret(context, completion)
        if isinstance(result, Rejected):
            return result
        said = json.loads(completion.text)["said"].splitlines()
        candidate = replace(result, summary=said[-1][:_SUMMARY] if said else "")
        return await self._checked(context, candidate)

    def request(self, context: Context) -> Request:
        """Return the task, and the files as JSON in a message of their own."""
        asked = super().request(context)
        files = Message("user", json.dumps(dict(context.parent.program.files)))
        return Request((*asked.messages, files), seed=asked.seed)

    def _edit(self, program: Program, reply: str) -> Program:
        try:
            files = json.loads(reply)["files"]
            return Program({**program.files, **{path: files[path] for path in files}})
        except (ValueError, TypeError, KeyError) as error:
            raise PatchError(
                Reason.MALFORMED, "the reply is none of an agent; name a model agent/PROGRAM"
            ) from error
