"""Scores that other projects' evaluators made: see `evolve.evaluate.forgeable`."""

from evolve.evaluate.forgeable import Foreign as Foreign  # noqa: PLC0414 - what problems name
