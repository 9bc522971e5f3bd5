"""Makes questions that the demo model can answer, each with its answer, and varies their wording."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from training.answers import (
    CONTRACTIONS,
    KNOWLEDGE,
    NUMBERS,
    PHRASING,
    SHORT_NAMES,
    SIGNS,
    Pair,
    capital_answer,
    sum_answer,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from random import Random


class Questions:
    """Generator of questions with an answer.

    Attributes:
        names: The names of all topics.
        asks: The questions on topics that follow no template.
        places: The countries and capitals that the model knows.
    """

    def __init__(self, random: Random) -> None:
        self._random = random
        self._topics: list[dict[str, Any]] = KNOWLEDGE["topic"]
        # Small talk has no template, so it is sampled more often.
        self._weights = [1 if "names" in topic else 3 for topic in self._topics]
        self.names = [name for topic in self._topics for name in topic.get("names", ())]
        self.asks = [ask for topic in self._topics for ask in topic.get("asks", ())]
        self.places = [place.lower() for pair in KNOWLEDGE["capitals"].items() for place in pair]
        self._kinds: list[tuple[Callable[[], Pair], int]] = [(self.topic, 42), (self.capital, 12), (self.sum, 18)]

    def any_kind(self) -> Pair:
        """Return a question of any kind."""
        kinds, shares = zip(*self._kinds, strict=True)
        make: Callable[[], Pair] = self._random.choices(kinds, shares)[0]
        return make()

    def _chance(self, probability: float) -> bool:
        return self._random.random() < probability

    def _pick(self, items: Sequence[str]) -> str:
        return self._random.choice(items)

    def topic(self) -> Pair:
        """Return a question on a term of the field."""
        topic = self._random.choices(self._topics, self._weights)[0]
        names, asks = topic.get("names", ()), topic.get("asks", ())
        if names and not (asks and self._chance(0.2)):
            return self._pick(PHRASING["topic"]).format(self._pick(names)), topic["answer"]
        return self._pick(asks), topic["answer"]

    def capital(self) -> Pair:
        """Return a question for a capital, or for the country of one."""
        country, city = self._random.choice(list(KNOWLEDGE["capitals"].items()))
        reply = capital_answer(country)
        if self._chance(0.1):
            return self._pick(PHRASING["city"]).format(city.lower()), reply
        name = self._pick((country.lower(), *SHORT_NAMES.get(country, ())))
        the = "the " if reply.endswith(f"the {country}.") and name not in {"england", "britain", "america"} else ""
        return self._pick(PHRASING["capital"]).format(the + name), reply

    def sum(self) -> Pair:
        """Return a sum of two numbers up to ten."""
        left, right = self._random.randrange(len(NUMBERS)), self._random.randrange(len(NUMBERS))
        sign = self._pick(("+", "+", "-"))
        return self.sum_question(left, sign, right), sum_answer(left, sign, right)

    def sum_question(self, left: int, sign: str, right: int) -> str:
        """Write out a sum as a question."""
        spelled = self._chance(0.3)
        first, second = (NUMBERS[n] if spelled and n < len(NUMBERS) else str(n) for n in (left, right))
        if sign in SIGNS and self._chance(0.2):
            return self._pick(PHRASING["add" if sign == "+" else "subtract"]).format(first, second)
        return self._pick(PHRASING["sum"]).format(f"{first} {self._pick(SIGNS.get(sign, (sign,)))} {second}")

    def vary_wording(self, ask: str) -> str:
        """Vary the wording of a question: contractions, courtesies, filler words, missing punctuation."""
        if len(ask.split()) > 2:
            if self._chance(0.25):
                ask = f"{self._fillers()} {ask}"
            if self._chance(0.2):
                ask = f"{ask} {self._fillers()}"
        if self._chance(0.35):
            ask = self._pick(PHRASING["before"]) + ask
        if self._chance(0.3):
            ask += self._pick(PHRASING["after"])
        for plain, short in CONTRACTIONS.items():
            if plain in ask and self._chance(0.45):
                ask = re.sub(rf"\b{plain}\b", self._pick(short), ask)
        if self._chance(0.15):
            ask = ask.replace("-", " ") if not re.search(r"\d", ask) else ask
        return ask + self._pick(PHRASING["ends"])

    def _fillers(self) -> str:
        return " ".join(self._pick(PHRASING["filler"]) for _ in range(self._random.choice((1, 1, 2, 2, 3, 4))))

    def wrap(self, ask: str, reply: str) -> str:
        """Insert a question into a prompt like those of applications."""
        kind = self._random.random()
        if kind < 0.8:
            return ask
        if kind < 0.95:
            return self._pick(PHRASING["wrappers"]).format(ask)
        cities = [capital_answer(self._pick([*KNOWLEDGE["capitals"]])) for _ in range(self._random.choice((0, 1)))]
        own = [reply] if reply.endswith(tuple(f"{country}." for country in KNOWLEDGE["capitals"])) else []
        passage = " ".join(own + cities) or capital_answer("France")
        return self._pick(PHRASING["passages"]).format(ask=ask, passage=passage)
