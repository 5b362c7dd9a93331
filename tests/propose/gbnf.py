"""Draws texts from a GBNF grammar: what a server that decodes under it may let a model say."""

from __future__ import annotations

import json
import re

import numpy as np

_TOKEN = re.compile(r'\s*("(?:[^"\\]|\\.)*"|\[(?:[^\]\\]|\\.)*\]|\{\d+(?:,\d*)?\}|[()|?+*]|[\w-]+)')


class Sampler:
    """Draws from the grammar's ``root``; deep nesting is avoided once ``deepest`` is reached."""

    def __init__(self, grammar: str, rng: np.random.Generator, deepest: int = 6) -> None:
        self._rng, self._deepest, self._depth = rng, deepest, 0
        self._rules = {}
        for line in grammar.splitlines():
            name, _, body = line.partition(" ::= ")
            tokens = _TOKEN.findall(body)
            self._rules[name] = tokens

    def draw(self, rule: str = "root") -> str:
        """Return one text that ``rule`` stands for."""
        self._depth += 1
        try:
            text, end = self._alternatives(self._rules[rule], 0)
            assert end == len(self._rules[rule]), f"{rule}: cannot be read beyond token {end}"
            return text
        finally:
            self._depth -= 1

    def _alternatives(self, tokens: list[str], at: int) -> tuple[str, int]:
        """Draw one of several sequences; every one is read, so that the end is known."""
        starts, end = [at], self._skip(tokens, at)
        while end < len(tokens) and tokens[end] == "|":
            starts.append(end + 1)
            end = self._skip(tokens, end + 1)
        tired = self._depth > self._deepest
        start = starts[0] if tired and len(starts) < 8 else starts[self._rng.choice(len(starts))]
        return self._sequence(tokens, start), end

    def _skip(self, tokens: list[str], at: int) -> int:
        depth = 0
        while at < len(tokens) and (depth or tokens[at] not in ("|", ")")):
            depth += {"(": 1, ")": -1}.get(tokens[at], 0)
            at += 1
        return at

    def _sequence(self, tokens: list[str], at: int) -> str:
        text = ""
        while at < len(tokens) and tokens[at] not in ("|", ")"):
            start = at
            at = self._close(tokens, at) + 1
            low, high = 1, 1
            if at < len(tokens) and tokens[at] in "?+*":
                low, high = {"?": (0, 1), "+": (1, 3), "*": (0, 3)}[tokens[at]]
                at += 1
            elif at < len(tokens) and tokens[at].startswith("{"):
                numbers = [int(each) for each in tokens[at][1:-1].split(",")]
                low, high = numbers[0], numbers[-1]
                at += 1
            high = low if self._depth > self._deepest else min(high, low + 2)
            for _ in range(self._rng.integers(low, high + 1)):
                text += self._item(tokens, start)
        return text

    def _close(self, tokens: list[str], at: int) -> int:
        if tokens[at] != "(":
            return at
        at = self._skip(tokens, at + 1)
        while tokens[at] == "|":
            at = self._skip(tokens, at + 1)
        return at

    def _item(self, tokens: list[str], at: int) -> str:
        token = tokens[at]
        if token == "(":
            return self._alternatives(tokens, at + 1)[0]
        if token.startswith('"'):
            return str(json.loads(token))
        if token.startswith("["):
            return self._character(token[1:-1])
        return self.draw(token)

    def _character(self, kinds: str) -> str:
        kinds = kinds.replace("\\n", "\n")
        negated = kinds.startswith("^")
        given = set()
        rest = kinds[1:] if negated else kinds
        while rest:
            if len(rest) > 2 and rest[1] == "-":
                given |= {chr(code) for code in range(ord(rest[0]), ord(rest[2]) + 1)}
                rest = rest[3:]
            else:
                given.add(rest[0])
                rest = rest[1:]
        every = {chr(code) for code in range(32, 127)} | {"é", "🎲"}
        allowed = sorted(every - given if negated else given)
        return str(allowed[self._rng.choice(len(allowed))])
