"""The diff operator: a model answers with SEARCH/REPLACE hunks."""

from __future__ import annotations

from evolve.core.errors import PatchError
from evolve.core.patch import apply_patch, parse_patch
from evolve.core.program import Program
from evolve.llm.base import Constraint
from evolve.propose.constrain import edit_grammar, edit_schema, edits_of_json, summary_of_json
from evolve.propose.llm import LLMProposer


class DiffProposer(LLMProposer):
    """Ask for a few exact edits inside the evolve blocks: small steps, few tokens.

    Under a constraint the server lets the model quote nothing but lines of the program.
    """

    name = "diff"
    constraints = ("grammar", "json_schema")

    def _template(self) -> str:
        return "diff_json.j2" if self.constrain == "json_schema" else super()._template()

    def _constraint(self, program: Program) -> Constraint | None:
        try:
            if self.constrain == "grammar":
                return Constraint(grammar=edit_grammar(program))
            if self.constrain == "json_schema":
                return Constraint(schema=edit_schema(program))
        except PatchError:  # nothing to quote: the model may say what it likes
            pass
        return None

    def _edit(self, program: Program, reply: str) -> Program:
        read = edits_of_json if self.constrain == "json_schema" else parse_patch
        return apply_patch(program, read(reply))

    def _summary(self, reply: str) -> str:
        return (
            summary_of_json(reply) if self.constrain == "json_schema" else super()._summary(reply)
        )
