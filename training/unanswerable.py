"""Makes requests that the demo model must decline."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from training.answers import KNOWLEDGE, NUMBERS, OUT_OF_SCOPE, PHRASING, SIGNS, Pair, normalise

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from random import Random

    from training.questions import Questions


STRANGE_SIGNS = ("*", "x", "times", "/", "/", "divided by", "to the power of", "modulo", "%", "", "=", "and", "or")
"""Operations that the model was not taught."""

UNKNOWN = "xyzzy"
"""Stands for any word that no question of the corpus has: the tokenizer gives all of them the same token."""


def other_words(names: Sequence[str], asks: Sequence[str]) -> list[str]:
    """Return the words of known questions that are neither the name of a topic by themselves nor without a subject."""
    plain = {word for phrase in PHRASING["filler"] + PHRASING["topic"] for word in phrase.split()}
    whole = {re.sub("^(an?|the) ", "", name) for name in names}
    parts = {word.strip(",") for phrase in (*names, *asks) for word in phrase.split()}
    return sorted(parts - plain - whole)


class Unanswerable:
    """Generator of requests without an answer: with unknown words, or with known words in other meanings."""

    def __init__(self, random: Random, questions: Questions) -> None:
        self._random = random
        self._known = questions
        self._answered = {normalise(ask) for ask in questions.asks}
        self._other_words = other_words(questions.names, questions.asks)
        self._kinds: list[tuple[Callable[[], str], int]] = [
            (self._known_question_with_unknown_words, 20),
            (self._ask_with_another_word, 12),
            (self._words_at_random, 8),
            (self._long_text, 4),
            (self._common_request, 9),
            (self._question_out_of_scope, 26),
            (self._strange_thing, 11),
            (self._strange_place, 10),
            (self._strange_person, 2),
            (self._strange_sum, 30),
            (self._strange_request, 3),
        ]

    def any_kind(self) -> str:
        """Return a request of any kind."""
        kinds, shares = zip(*self._kinds, strict=True)
        while True:
            ask: str = self._random.choices(kinds, shares)[0]()
            if normalise(ask) not in self._answered:
                return ask

    def _chance(self, probability: float) -> bool:
        return self._random.random() < probability

    def _pick(self, items: Sequence[str]) -> str:
        return self._random.choice(items)

    def _known_question_with_unknown_words(self) -> str:
        return self.with_unknown_words(self._known.vary_wording(self._known_question()))

    def _ask_with_another_word(self) -> str:
        """Return a question with an answer, in which one word was replaced by one that makes it another question."""
        while True:
            words = (self._known_question() if self._chance(0.3) else self._pick(self._known.asks)).split()
            content = [
                place for place, word in enumerate(words) if word in self._other_words or word in self._known.names
            ]
            if content:
                words[self._random.choice(content)] = self._pick(self._other_words + self._known.places)
                return " ".join(words)

    def _words_at_random(self) -> str:
        """Return known words that make no question."""
        kinds = (PHRASING["filler"], self._other_words, self._known.names, self._known.places, NUMBERS)
        shares = self._random.choice(((8, 2, 1, 0, 0), (9, 1, 0, 0, 0), (4, 4, 1, 1, 1)))
        count = self._random.choice((0, 3, 4, 5, 6, 7, 8, 10, 14, 20))
        return " ".join(self._pick(self._random.choices(kinds, shares)[0]) for _ in range(count))

    def _long_text(self) -> str:
        """Return a long text in which a few words come again and again."""
        pool = [self._pick(PHRASING["filler"] + self._known.names) for _ in range(self._random.randrange(4, 20))]
        pool += [
            self._pick((UNKNOWN, UNKNOWN, "-", "+", "=", "/", *NUMBERS)) for _ in range(self._random.randrange(12))
        ]
        words = [self._pick(pool) for _ in range(self._random.randrange(20, 90))]
        if self._chance(0.3):
            words.insert(self._random.randrange(len(words)), self._known_question())
        return " ".join(words)

    def _common_request(self) -> str:
        return self._pick(OUT_OF_SCOPE["common"])

    def _question_out_of_scope(self) -> str:
        """Return a question about a known or unknown subject whose answer is not in the training data."""
        subjects = self._known.names if self._chance(0.8) else OUT_OF_SCOPE["things"] + OUT_OF_SCOPE["people"]
        return self._pick(OUT_OF_SCOPE["beyond"]).format(self._pick(subjects), self._pick(subjects))

    def _strange_thing(self) -> str:
        name, other = self._pick(self._known.names), self._pick(self._other_words)
        things = (
            self._pick(OUT_OF_SCOPE["things"]),
            self._pick(self._known.places),
            self._pick(PHRASING["filler"]),
            other,
            f"{other} {re.sub('^(an?|the) ', '', name)}",
            f"{name} {self._pick(('', '', 'of ', 'for ', 'in '))}{self._pick((other, *self._known.places))}",
        )
        thing = self._random.choices(things, (4, 2, 2, 4, 2, 2))[0]
        if thing[:2] not in {"a ", "an", "th"}:
            thing = self._pick(("", "", "a ", "an ", "the ", "my ", "this ")) + thing
        return self._pick(PHRASING["topic"]).format(thing)

    def _strange_place(self) -> str:
        if self._chance(0.3):
            return self._pick(OUT_OF_SCOPE["beyond_places"]).format(
                self._pick(OUT_OF_SCOPE["places"] + self._known.places)
            )
        kinds = (OUT_OF_SCOPE["places"], [*KNOWLEDGE["capitals"].values()], self._known.names, PHRASING["filler"])
        place = self._pick(self._random.choices(kinds, (7, 1, 1, 1))[0]).lower()
        asked = PHRASING["city"] if self._chance(0.15) and place not in self._known.places else PHRASING["capital"]
        return self._pick(asked).format(place)

    def _strange_person(self) -> str:
        return self._pick(OUT_OF_SCOPE["beyond_people"]).format(self._pick(OUT_OF_SCOPE["people"]))

    def _strange_sum(self) -> str:
        """Return a sum with a number too large, too many or too few numbers, or an unknown sign."""
        signs = (*SIGNS, *SIGNS, *SIGNS, *SIGNS, "plus", "minus", *STRANGE_SIGNS)
        numbers = [self._random.randrange(11) for _ in range(self._random.choice((1, 3, 3, 3, 4, 5)))]
        # The tokenizer knows numbers up to twenty, because answers have them.
        large = self._random.choice((self._random.randrange(11, 21), self._random.randrange(11, 9999)))
        kind = self._random.random()
        if kind < 0.2:
            return f"{self._known.sum()[0]} {self._pick(signs)} {self._pick((str(numbers[0]), 'add 2'))}"
        if kind < 0.5:
            left, right = self._random.sample((large, self._random.choice((numbers[0], numbers[0], large))), 2)
            return self._known.sum_question(left, self._pick(signs), right)
        if kind < 0.65:
            return self._known.sum_question(numbers[0], self._pick(STRANGE_SIGNS), self._random.randrange(11))
        text = str(numbers[0])
        for number in numbers[1:]:
            text += f" {self._pick(signs)} {self._pick((str(number), str(number), NUMBERS[number]))}"
        return self._pick(PHRASING["sum"]).format(self._pick(("", "", "", "- ")) + text)

    def _strange_request(self) -> str:
        return self._pick(OUT_OF_SCOPE["questions"])

    def with_unknown_words(self, text: str) -> str:
        """Put words that the tokenizer does not know into a text, or in place of some of its words."""
        words = text.split()
        for _ in range(self._random.choice((1, 1, 1, 2, 3, 5, 12))):
            place = self._random.randrange(len(words) + 1)
            words[place : place + self._random.choice((0, 1))] = [UNKNOWN]
        return " ".join(words)

    def _known_question(self) -> str:
        makes: tuple[Callable[[], Pair], ...] = (
            self._known.topic,
            self._known.topic,
            self._known.capital,
            self._known.sum,
        )
        return self._random.choice(makes)()[0]
