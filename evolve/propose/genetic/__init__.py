"""Genetic programming on the Python syntax tree of the evolve blocks: needs no model."""

from evolve.propose.genetic.proposer import GeneticProposer

__all__ = ["GeneticProposer"]
