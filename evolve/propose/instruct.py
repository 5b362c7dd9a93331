"""Writing instructions: a model is shown how the known ones did, and writes another one.

It is told no word that a candidate program said, so no program can speak through an instruction.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from evolve.config.proposing import InstructionsConfig
from evolve.core.errors import ConfigError
from evolve.core.hunks import without_thoughts
from evolve.core.measures import Objective
from evolve.llm.base import Request
from evolve.propose.base import INSTRUCT, NO_INSTRUCTION, Context, Instruction, Rejected
from evolve.propose.instructions import InstructionPool, Rated
from evolve.propose.llm import unusable_reply
from evolve.propose.prompt import PromptWriter, TokenBudget
from evolve.propose.quoting import Quotation

#: Instructions shown to the model: so many of the best and of the worst.
_BEST, _WORST = 4, 2


class InstructProposer:
    """Ask a model for an instruction. Of a context it uses the problem and what is random.

    Args:
        model: Id of a configured model.
        number: What the new instruction is called.
        length: Characters of it at most.
        known: The instructions to learn from, the best first.
        writer: Writes the prompt.
    """

    name = INSTRUCT
    arbitrary_code = False

    def __init__(
        self, model: str, number: int, length: int, known: Sequence[Rated], writer: PromptWriter
    ) -> None:
        self.model = model
        self._number, self._length, self._known, self._writer = number, length, known, writer

    def request(self, context: Context) -> Request:
        """Return what the model is asked."""
        live = [each for each in self._known if each.live]
        shown = live if len(live) <= _BEST + _WORST else [*live[:_BEST], *live[-_WORST:]]
        quoted = tuple(
            Quotation(_credit(each), each.instruction.text or "(none)") for each in shown
        )
        messages = self._writer.write(context, instructions=quoted, length=self._length)
        return Request(messages, seed=context.seed)

    async def propose(self, context: Context) -> Instruction | Rejected:
        """Ask for an instruction."""
        completion = await context.complete(self.model, self.request(context))
        unusable = unusable_reply(completion)
        if unusable is not None:
            return Rejected(NO_INSTRUCTION, f"{unusable.reason}: {unusable.message}")
        text = paragraph(completion.text, self._length)
        if not text:
            return Rejected(NO_INSTRUCTION, "the reply holds no words")
        for each in self._known:
            if each.instruction.text == text:
                return Rejected(
                    NO_INSTRUCTION, f"the same as instruction {each.instruction.number}"
                )
        return Instruction(self._number, text)


@dataclass(frozen=True, slots=True)
class Instructor:
    """The instructions of a run and who writes them.

    Attributes:
        pool: The instructions.
        model: Id of the model that writes.
        writer: Of its prompts.
    """

    pool: InstructionPool
    model: str
    writer: PromptWriter

    def operator(self, iteration: int) -> InstructProposer:
        """Return what writes the instruction of an iteration, knowing what is known now."""
        pool = self.pool
        return InstructProposer(
            self.model,
            pool.number_of(iteration),
            pool.config.length,
            pool.rated(),
            self.writer,
        )


def open_instructor(
    config: InstructionsConfig, models: Sequence[str], objective: Objective, folder: Path
) -> Instructor:
    """Make what a configuration says of instructions.

    Args:
        config: Its ``instructions``.
        models: Ids of the models that write.
        objective: Of the problem.
        folder: Where relative files start.

    Raises:
        ConfigError: the model or the template is not there.
    """
    model = config.model or next(iter(models), "")
    if model not in models:
        raise ConfigError(
            f"instructions: the model {model!r} is not configured; configured: {', '.join(models)}"
        )
    writer = PromptWriter(
        "instruct.j2",
        template_dir=None if config.template_dir is None else folder / config.template_dir,
        tokens=TokenBudget(),
        system="instruct_system.j2",
    )
    return Instructor(InstructionPool(config, objective), model, writer)


def paragraph(reply: str, length: int) -> str:
    """Return a reply as one line of at most ``length`` characters, whole sentences if possible."""
    text = " ".join(without_thoughts(reply).replace("```", " ").split())
    text = "".join(sign if sign.isprintable() else " " for sign in text).lstrip("# ").strip()
    if len(text) <= length:
        return text
    sentence = text.rfind(". ", 0, length)
    return text[: sentence + 1] if sentence > length // 2 else text[:length].rpartition(" ")[0]


def _credit(rated: Rated) -> str:
    number, tally = rated.instruction.number, rated.tally
    name = f"instruction {number}" if number else "no instruction at all"
    if not tally.pulls:
        return f"{name}: not used yet"
    return (
        f"{name}: used {tally.pulls} times, {tally.valid} valid programs, {tally.improved} better "
        f"than the parent, reward {rated.reward:.3f}"
    )
