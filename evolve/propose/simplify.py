"""The simplify operator: drop one part of a program that it may not need. Asks no model."""

from __future__ import annotations

import ast
import copy
from collections.abc import Iterator

from evolve.propose.base import Candidate, Context, Rejected
from evolve.propose.genetic.blocks import Block, Draft
from evolve.propose.genetic.simplify import simplify

#: Drawn removals that may come out as no program before the proposal is given up.
_ATTEMPTS = 20
#: A removal: the list of statements, the position, and what stands there instead.
_Removal = tuple[list[ast.stmt], int, list[ast.stmt]]


class SimplifyProposer:
    """Remove one statement, or one branch of an ``if``, drawn among all of the evolve blocks.

    Programs found by search carry code that does nothing; Lion (Chen et al., 2023) came out of its
    search program by removing all that. Whether a part was needed is for the evaluation to say: a
    shorter program of the same score is an elite where the map has an axis for length.
    Names that the rest of the program calls may go; such a program fails, and costs an evaluation.
    """

    name = "simplify"
    arbitrary_code = False

    async def propose(self, context: Context) -> Candidate | Rejected:
        """Make one candidate."""
        parent = context.parent.program
        total = len(list(_removals(Draft(parent).blocks)))
        if not total:
            return Rejected("no_op", "no statement of the evolve blocks can be removed")
        for number in context.rng.permutation(total)[:_ATTEMPTS]:
            draft = Draft(parent)
            body, position, instead = list(_removals(draft.blocks))[number]
            what = ast.unparse(body[position]).partition("\n")[0][:80]
            body[position : position + 1] = copy.deepcopy(instead)
            for block in draft.blocks:
                if block.changed:
                    block.statements[:] = [simplify(node) for node in block.statements]
            try:
                program = draft.render()
            except (ValueError, RecursionError):
                continue
            return Candidate(program, (context.parent.id,), f"without: {what}")
        return Rejected("no_op", "nothing can be removed")


def _removals(blocks: list[Block]) -> Iterator[_Removal]:
    """Yield every removal, in the order of the source."""
    for block in blocks:
        for body in _bodies(block):
            for position, node in enumerate(body):
                if not _is_definition(node) and (len(body) > 1 or body is not block.statements):
                    yield body, position, [] if len(body) > 1 else [ast.Pass()]
                if isinstance(node, ast.If):
                    yield body, position, node.body
                    if node.orelse:
                        yield body, position, node.orelse


def _bodies(block: Block) -> Iterator[list[ast.stmt]]:
    """Yield the block's own statements and every list of statements inside them."""
    yield block.statements
    for statement in block.statements:
        for node in ast.walk(statement):
            for name in ("body", "orelse", "finalbody"):
                inner = getattr(node, name, None)
                if isinstance(inner, list) and inner:
                    yield inner


def _is_definition(node: ast.stmt) -> bool:
    """Return whether a statement is a function, a class, or a lone ``pass``."""
    return isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef | ast.Pass)
