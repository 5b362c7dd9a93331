"""A stand-in for a model in the gallery's run: it changes one number of the program it is shown.

It reads a prompt and prints the program anew; the same prompt and EVOLVE_SEED give the same reply.
"""

import hashlib
import os
import re
import sys

PARENT = re.compile(r"# The program to improve.*?BEGIN \w+ file [^\n]*\n(.*?)\nEND ", re.DOTALL)
NUMBER = re.compile(r"(?<![\w.])(?:\d+\.\d*|\d+)(?![\w.])")

prompt = sys.stdin.read()
chance = hashlib.sha256((prompt + os.environ.get("EVOLVE_SEED", "")).encode()).digest()
found = PARENT.search(prompt)
program = found[1] if found else ""
head, mark, body = program.partition("EVOLVE-BLOCK-START")
numbers = list(NUMBER.finditer(body))
if numbers:
    chosen = numbers[chance[0] % len(numbers)]
    value = float(chosen[0]) * 2 ** ((chance[1] - 127.5) / 64)
    body = f"{body[: chosen.start()]}{value:.4g}{body[chosen.end() :]}"
else:
    body = re.sub(r"return ([^\n]+)", f"return (\\1) * {1 + chance[0] / 64:.3g}", body, count=1)
print(f"One number is changed.\n```python\n{head}{mark}{body}\n```")
