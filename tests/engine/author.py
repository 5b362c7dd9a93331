"""A model in a process of its own, so that it can be killed.

    python -m tests.engine.author PORT LOG

It writes a line to the log for each reply before it sends it.
"""

from __future__ import annotations

import os
import re
import sys
import time
from pathlib import Path

from tests.engine.test_end_to_end_models import hunk
from tests.fake_llm_server import Call, FakeLLMServer, Reply

#: Tokens of every prompt and every reply.
TOKENS = (1000, 100)


class Author:
    """Answers with a rewrite or an edit, each time another one; every fourth answer is useless."""

    def __init__(self, first: int = 0) -> None:
        self.asked = first

    def __call__(self, call: Call) -> Reply:
        self.asked += 1
        line = re.search(r"^    return .*$", call.prompt, re.MULTILINE)
        text = "I would rather talk about parabolas."
        if "complete new program" in call.prompt:
            block = f"def f(x):\n    return x**2 + {self.asked}\n"
            text = f"```python\n# EVOLVE-BLOCK-START\n{block}# EVOLVE-BLOCK-END\n```\n"
        elif self.asked % 4 and line is not None:
            text = hunk(line[0], f"    return x * x + {self.asked}")
        return Reply(text, tokens=TOKENS)


def main(port: int, log: Path) -> None:
    """Serve until killed."""
    author = Author(1000 * int(time.time()))

    def answer(call: Call) -> Reply:
        reply = author(call)
        with log.open("a") as file:
            file.write(f"{author.asked}\n")
            file.flush()
            os.fsync(file.fileno())
        return reply

    with FakeLLMServer(answer, port):
        sys.stdout.write("ready\n")
        sys.stdout.flush()
        time.sleep(3600)


if __name__ == "__main__":
    main(int(sys.argv[1]), Path(sys.argv[2]))
