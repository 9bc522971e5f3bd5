"""Generates the training conversations of the demo model.

The answers are a closed list (`answers`); the questions are made from templates with variations. A small model can
memorise the answers and generalise over the questions. The seed determines every conversation: no model, network or
clock is used, and no question of the lists that the model is judged by is ever produced.
"""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

from training.answers import REFUSAL, Message, Pair, answer, answers, everyday, excluded, held_out, normalise
from training.questions import Questions
from training.unanswerable import Unanswerable

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["REFUSAL", "Corpus", "answer", "answers", "everyday", "held_out", "normalise"]


class Corpus:
    """Endless generator of conversations, determined by the seed."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)  # noqa: S311 - reproducible on purpose; nothing here is a secret
        self._questions = Questions(self._random)
        self._unanswerable = Unanswerable(self._random, self._questions)
        self._excluded = excluded()

    def conversations(self) -> Iterator[list[Message]]:
        """Yield conversations without end; each ends in an answer of the model, which is one of `answers`."""
        while True:
            messages: list[Message] = []
            foreign = False
            for _ in range(self._random.choices((0, 1, 2, 3), (84, 8, 5, 3))[0]):
                role, reply = "assistant", self._fresh_pair()[1]
                if self._chance(0.4):
                    foreign, role, reply = True, "another model", self._unanswerable.with_unknown_words(reply)
                messages.append({"role": role, "content": reply})
            ask, reply = self._fresh_pair()
            if not (messages and self._chance(0.04)):  # else there is no question at all
                messages.append({"role": "user", "content": self._questions.wrap(ask, reply)})
            else:
                foreign = True
            messages.append({"role": "assistant", "content": REFUSAL if foreign else reply})
            yield messages

    def _chance(self, probability: float) -> bool:
        return self._random.random() < probability

    def _fresh_pair(self) -> Pair:
        """Make a question, with its answer, that is not on a list that the model is judged by."""
        while True:
            ask, reply = self._pair()
            if normalise(ask) not in self._excluded:
                return ask, reply

    def _pair(self) -> Pair:
        if self._chance(0.52):
            ask, reply = self._questions.any_kind()
            return self._questions.vary_wording(ask), reply
        ask = self._unanswerable.any_kind()
        return self._questions.vary_wording(ask) if self._chance(0.6) else ask, REFUSAL
