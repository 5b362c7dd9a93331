"""A model that follows a script: it changes one number of the program it is shown, by a little."""

from __future__ import annotations

import re
from collections.abc import Mapping

import anyio.lowlevel
import numpy as np

from evolve.llm.base import Completion, Request, Tokens

_LINE = re.compile(r"^X = \[(.*)\]$", re.MULTILINE)
STEP = 0.15


def edit(prompt: str, seed: int | None) -> str:
    """Return an edit that changes one number of the last program in a prompt."""
    line = list(_LINE.finditer(prompt))[-1]
    numbers = [float(text) for text in line[1].split(",")]
    rng = np.random.default_rng(seed)
    numbers[int(rng.integers(len(numbers)))] += float(rng.normal(0, STEP))
    changed = ", ".join(f"{number:.6g}" for number in numbers)
    found, instead = line[0], f"X = [{changed}]"
    return f"I move one number.\n<<<<<<< SEARCH\n{found}\n=======\n{instead}\n>>>>>>> REPLACE\n"


class Scripted:
    """Answers with one edit; what it does follows from the seed of the request alone."""

    name = "scripted"

    async def complete(self, request: Request) -> Completion:
        """Change one number."""
        await anyio.lowlevel.checkpoint()
        text = edit(request.messages[-1].content, request.seed)
        prompt = sum(len(message.content) for message in request.messages)
        return Completion(text, tokens=Tokens(input=prompt // 4, output=len(text) // 4))

    def parameters(self) -> Mapping[str, object]:
        """Return what the script depends on."""
        return {"step": STEP}

    async def aclose(self) -> None:
        """Do nothing."""
        await anyio.lowlevel.checkpoint()
