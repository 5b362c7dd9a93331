"""The instructions of a run: which one a proposal is shown, and what each has come to.

Meta-prompting: guidance that is itself evolved (Fernando et al., Promptbreeder, 2023). An
instruction earns what the programs earn that were made with it. Which one is shown next is drawn
as by `evolve.propose.bandit.Bandit`, among the empty one, the configured ones, and those that a
model wrote (`evolve.propose.instruct`). The state is a fold over what ended.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace

import numpy as np
from numpy.typing import NDArray

from evolve.config.proposing import InstructionsConfig
from evolve.core.measures import Objective
from evolve.propose.bandit import drawn_rates, drawn_towards
from evolve.propose.base import UNRELATED, Instruction
from evolve.propose.credit import Credit, Tally
from evolve.store.records import Ended

#: What a use of an instruction counts for less with each later one.
_DISCOUNT = 0.99


@dataclass(frozen=True, slots=True)
class Rated:
    """An instruction with what it has come to; ``live`` while it may still be chosen.

    ``reward`` is the mean one of a use, drawn towards that of all and with older uses counting
    less; 0 once the instruction was given up.
    """

    instruction: Instruction
    tally: Tally
    live: bool
    reward: float

    def as_dict(self) -> dict[str, object]:
        """Return number, text and counts for JSON."""
        head = {"number": self.instruction.number, "text": self.instruction.text}
        return head | {"live": self.live, **asdict(self.tally)}


class InstructionPool:
    """A bounded population of instructions. The same facts in the same order make the same one.

    Args:
        config: How many, how often one is written, and those to begin with.
        objective: Of the problem.
    """

    def __init__(self, config: InstructionsConfig, objective: Objective) -> None:
        self.config = config
        self._credit: Credit[int] = Credit(objective, _instruction_of)
        self._texts = {0: ""} | {
            number: " ".join(text.split()) for number, text in enumerate(config.texts, start=1)
        }
        #: Discounted uses, wins and rewards of those that may be chosen.
        self._live = {number: np.zeros(3) for number in self._texts}

    def due(self, iteration: int) -> bool:
        """Return whether an iteration is one that writes an instruction."""
        every = self.config.every
        return every > 0 and iteration % every == every - 1

    def number_of(self, iteration: int) -> int:
        """Return the number of the instruction that an iteration writes."""
        return len(self.config.texts) + 1 + iteration // self.config.every

    def get(self, number: int) -> Instruction:
        """Return the instruction of that number, given up or not."""
        return Instruction(number, self._texts[number])

    def choose(self, rng: np.random.Generator) -> Instruction:
        """Draw the instruction for a proposal; the same generator and facts give the same."""
        uses, wins, rewards = self._counts()
        mean = wins.sum() / uses.sum() if uses.any() else 0.5
        usual = rewards.sum() / wins.sum() if wins.any() else 0.5
        gains = drawn_rates(rng, uses, wins, mean) * drawn_towards(usual, rewards, wins)
        return self.get(list(self._live)[int(np.argmax(gains))])

    def tell(self, ended: Ended) -> None:
        """Take note of what came of a proposal, or of an instruction that was written."""
        reward = self._credit.tell(ended)
        if ended.wrote is not None:
            self._texts[ended.wrote] = ended.message
            self._live[ended.wrote] = np.zeros(3)
            self._give_up_one(ended.wrote)
        elif (number := _instruction_of(ended)) in self._live:
            for each in self._live:
                self._live[each] *= _DISCOUNT
            self._live[number] += 1, reward > 0, reward

    def rated(self) -> list[Rated]:
        """Return all instructions there ever were, the best first, those given up last."""
        means = dict(zip(self._live, self._means().tolist(), strict=True))
        rated = [
            Rated(
                self.get(number),
                replace(self._credit.arms.get(number, Tally())),  # it goes on counting
                number in self._live,
                means.get(number, 0.0),
            )
            for number in self._texts
        ]
        return sorted(rated, key=lambda each: (not each.live, -each.reward))

    def _give_up_one(self, newest: int) -> None:
        """Give up the instruction that earned least, if there are too many."""
        if len(self._live) - 1 <= self.config.keep:
            return
        means = zip(self._live, self._means().tolist(), strict=True)
        worst = min((mean, number) for number, mean in means if number not in (0, newest))
        del self._live[worst[1]]

    def _means(self) -> NDArray[np.float64]:
        uses, _, rewards = self._counts()
        return drawn_towards(rewards.sum() / uses.sum() if uses.any() else 0.0, rewards, uses)

    def _counts(self) -> NDArray[np.float64]:
        """Return uses, wins and rewards, shape ``(3, instructions)``."""
        return np.stack(list(self._live.values()), axis=1)


def _instruction_of(ended: Ended) -> int | None:
    """Return what a proposal was shown; None where its end says nothing about that."""
    return None if ended.ended in UNRELATED else ended.instruction
