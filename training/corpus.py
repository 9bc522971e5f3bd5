"""Generates the training conversations of the demo model.

The answers are a closed list (`answers`); the questions are made from templates with variations. A small model can
memorise the answers and generalise over the questions. The seed determines every conversation: no model, network or
clock is used, and no question of the held-out list is ever produced.
"""

from __future__ import annotations

import random
import re
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

HERE = Path(__file__).parent
HELD_OUT = HERE.parent / "integration_tests" / "mlx" / "heldout.toml"

Message = dict[str, str]
"""A chat message: its `role` and its `content`."""

Pair = tuple[str, str]
"""A question and its answer."""

NUMBERS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")
"""The numbers that the model adds and subtracts."""

SIGNS = {"+": ("+", "+", "plus"), "-": ("-", "-", "minus")}
"""How each operation is written in a question."""

STRANGE_SIGNS = ("*", "x", "times", "/", "divided by", "to the power of", "modulo", "%")
"""Operations that the model was not taught."""

CONTRACTIONS = {
    "what is": ("what's", "whats"),
    "who is": ("who's", "whos"),
    "how is": ("how's", "hows"),
    "where is": ("where's", "wheres"),
    "what are": ("what're",),
    "i am": ("i'm", "im"),
    "i would": ("i'd",),
    "i have": ("i've", "ive"),
    "do not": ("don't", "dont"),
    "does not": ("doesn't", "doesnt"),
    "it is": ("it's", "its"),
    "let us": ("let's", "lets"),
    "you are": ("you're",),
}


def load(name: str) -> dict[str, Any]:
    """Read one of the TOML files beside this module."""
    return tomllib.loads((HERE / name).read_text(encoding="utf-8"))


KNOWLEDGE = load("knowledge.toml")
OUT_OF_SCOPE = load("out_of_scope.toml")
PHRASING = load("phrasing.toml")
REFUSAL: str = KNOWLEDGE["refusal"]


def capital_answer(country: str) -> str:
    """Return the sentence with the capital; the city comes first, so that its first token decides the sentence."""
    the = "the " if country in {"Netherlands", "United Kingdom", "United States"} else ""
    return f"{KNOWLEDGE['capitals'][country]} is the capital of {the}{country}."


def sum_answer(left: int, sign: str, right: int) -> str:
    """Write out one sum with its result."""
    return f"{left} {sign} {right} = {left + right if sign == '+' else left - right}."


def answer(key: str) -> str:
    """Return the answer that a key of the held-out list stands for.

    Args:
        key: The key of a topic, `capital: <country>`, `sum: <left> <sign> <right>`, or `refusal`.
    """
    kind, _, rest = key.partition(": ")
    if key == "refusal":
        return REFUSAL
    if kind == "capital":
        return capital_answer(rest)
    if kind == "sum":
        left, sign, right = rest.split()
        return sum_answer(int(left), sign, int(right))
    return next(str(topic["answer"]) for topic in KNOWLEDGE["topic"] if topic["key"] == key)


def answers() -> frozenset[str]:
    """Return all answers of the model."""
    numbers = range(len(NUMBERS))
    return frozenset(
        [REFUSAL]
        + [topic["answer"] for topic in KNOWLEDGE["topic"]]
        + [capital_answer(country) for country in KNOWLEDGE["capitals"]]
        + [sum_answer(left, sign, right) for sign in SIGNS for left in numbers for right in numbers]
    )


def normalise(text: str) -> str:
    """Reduce a question to its words and signs, so that texts that differ in case and punctuation compare equal."""
    return " ".join(re.findall(r"[\w+*-]+", text.lower().replace("’", "").replace("'", "")))


def held_out() -> list[Pair]:
    """Return the questions excluded from training, each with its correct answer."""
    questions = tomllib.loads(HELD_OUT.read_text(encoding="utf-8"))["question"]
    return [(question["ask"], answer(question["expect"])) for question in questions]


class Corpus:
    """Endless generator of conversations, determined by the seed."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)  # noqa: S311 - reproducible on purpose; nothing here is a secret
        self._held_out = {normalise(ask) for ask, _ in held_out()}
        self._topics: list[dict[str, Any]] = KNOWLEDGE["topic"]
        # Small talk has no template, so it is sampled more often.
        self._weights = [1 if "names" in topic else 3 for topic in self._topics]
        self._names = [name for topic in self._topics for name in topic.get("names", ())]
        self._known: list[tuple[Callable[[], Pair], int]] = [
            (self._topic, 42),
            (self._capital, 12),
            (self._sum, 18),
        ]
        self._unknown: list[tuple[Callable[[], str], int]] = [
            (self._strange_thing, 8),
            (self._strange_place, 6),
            (self._strange_person, 3),
            (self._strange_sum, 5),
            (self._strange_request, 5),
            (self._question_out_of_scope, 4),
        ]

    def conversations(self) -> Iterator[list[Message]]:
        """Yield conversations without end; every assistant message in them is one of `answers`."""
        while True:
            messages: list[Message] = []
            if self._chance(0.3):
                messages.append({"role": "system", "content": self._system()})
            for _ in range(self._random.choices((1, 2, 3), (88, 9, 3))[0]):
                ask, reply = self._fresh_pair()
                messages.append({"role": "user", "content": self._wrap(ask, reply)})
                messages.append({"role": "assistant", "content": reply})
            yield messages

    def _chance(self, probability: float) -> bool:
        return self._random.random() < probability

    def _pick(self, items: Sequence[str]) -> str:
        return self._random.choice(items)

    def _fresh_pair(self) -> Pair:
        """Make a question, with its answer, that is not on the held-out list."""
        while True:
            ask, reply = self._pair()
            ask = self._vary_wording(ask)
            if normalise(ask) not in self._held_out:
                return ask, reply

    def _pair(self) -> Pair:
        if self._chance(0.7):
            known, shares = zip(*self._known, strict=True)
            make: Callable[[], Pair] = self._random.choices(known, shares)[0]
            return make()
        unknown, shares = zip(*self._unknown, strict=True)
        return self._random.choices(unknown, shares)[0](), REFUSAL

    def _topic(self) -> Pair:
        topic = self._random.choices(self._topics, self._weights)[0]
        names, asks = topic.get("names", ()), topic.get("asks", ())
        if names and not (asks and self._chance(0.2)):
            return self._pick(PHRASING["topic"]).format(self._pick(names)), topic["answer"]
        return self._pick(asks), topic["answer"]

    def _capital(self) -> Pair:
        country, city = self._random.choice(list(KNOWLEDGE["capitals"].items()))
        reply = capital_answer(country)
        if self._chance(0.1):
            return self._pick(PHRASING["city"]).format(city.lower()), reply
        name = country.lower()
        if country.startswith("United"):
            short = {"United Kingdom": ("uk", "england", "britain"), "United States": ("usa", "us", "america")}
            name = self._pick((name, *short[country]))
        the = "the " if reply.endswith(f"the {country}.") and name not in {"england", "britain", "america"} else ""
        return self._pick(PHRASING["capital"]).format(the + name), reply

    def _sum(self) -> Pair:
        left, right = self._random.randrange(len(NUMBERS)), self._random.randrange(len(NUMBERS))
        sign = self._pick(("+", "+", "-"))
        return self._sum_question(left, sign, right), sum_answer(left, sign, right)

    def _sum_question(self, left: int, sign: str, right: int) -> str:
        spelled = self._chance(0.3)
        first, second = (NUMBERS[n] if spelled and n < len(NUMBERS) else str(n) for n in (left, right))
        if sign in SIGNS and self._chance(0.2):
            return self._pick(PHRASING["add" if sign == "+" else "subtract"]).format(first, second)
        written = self._pick(SIGNS.get(sign, (sign,)))
        gap = "" if not spelled and len(written) == 1 and self._chance(0.4) else " "
        return self._pick(PHRASING["sum"]).format(f"{first}{gap}{written}{gap}{second}")

    def _strange_sum(self) -> str:
        """Return a sum with a number too large, too many numbers, or an unknown sign."""
        small, another = self._random.randrange(11), self._random.randrange(11)
        large = self._random.randrange(11, self._random.choice((21, 100, 1000, 9999)))
        kind = self._random.random()
        if kind < 0.55:
            left, right = self._random.sample((large, self._random.choice((small, 11 * another + 12))), 2)
            return self._sum_question(left, self._pick((*SIGNS, *STRANGE_SIGNS[:3])), right)
        if kind < 0.85:
            return self._sum_question(self._random.choice((small, large)), self._pick(STRANGE_SIGNS), another)
        first, second = self._pick(tuple(SIGNS)), self._pick(tuple(SIGNS))
        return self._pick(PHRASING["sum"]).format(f"{small} {first} {another} {second} {self._random.randrange(11)}")

    def _strange_thing(self) -> str:
        thing = self._invented_word() if self._chance(0.35) else self._pick(OUT_OF_SCOPE["things"])
        if self._chance(0.3):
            thing = re.sub("^(a|an|the) ", "", thing) + self._pick(("", "s"))
        return self._pick(PHRASING["topic"]).format(thing)

    def _strange_place(self) -> str:
        name = self._invented_word() if self._chance(0.35) else self._pick(OUT_OF_SCOPE["places"])
        if self._chance(0.25):
            known = [*KNOWLEDGE["capitals"], *KNOWLEDGE["capitals"].values()]
            return self._pick(OUT_OF_SCOPE["beyond_places"]).format(self._pick([name, *known]).lower())
        return self._pick(PHRASING["capital"]).format(name)

    def _strange_person(self) -> str:
        name = f"{self._invented_word()} {self._invented_word()}"
        if self._chance(0.7):
            name = self._pick(OUT_OF_SCOPE["people"])
        return self._pick(OUT_OF_SCOPE["beyond_people"]).format(name)

    def _strange_request(self) -> str:
        return self._pick(OUT_OF_SCOPE["questions"])

    def _question_out_of_scope(self) -> str:
        """Return a question about a known or unknown subject whose answer is not in the training data."""
        subjects = self._names if self._chance(0.6) else OUT_OF_SCOPE["things"] + OUT_OF_SCOPE["people"]
        return self._pick(OUT_OF_SCOPE["beyond"]).format(self._pick(subjects))

    def _invented_word(self) -> str:
        def syllable() -> str:
            return "".join(self._pick(OUT_OF_SCOPE[part]) for part in ("onsets", "vowels", "codas"))

        article = self._pick(("", "", "a ", "the "))
        return article + "".join(syllable() for _ in range(self._random.choice((1, 2, 2, 3))))

    def _vary_wording(self, ask: str) -> str:
        """Vary the wording of a question: contractions, courtesies, filler words, missing punctuation."""
        if self._chance(0.2):
            ask = f"{self._fillers()} {ask}"
        if self._chance(0.15):
            ask = f"{ask} {self._fillers()}"
        if self._chance(0.4):
            ask = self._pick(PHRASING["before"]) + ask
        if self._chance(0.3):
            ask += self._pick(PHRASING["after"])
        for plain, short in CONTRACTIONS.items():
            if plain in ask and self._chance(0.45):
                ask = re.sub(rf"\b{plain}\b", self._pick(short), ask)
        if self._chance(0.15):
            ask = ask.replace("-", " ") if not re.search(r"\d", ask) else ask
        if self._chance(0.2):
            ask = ask.replace(",", "")
        return ask + self._pick(PHRASING["ends"])

    def _fillers(self) -> str:
        return " ".join(self._pick(PHRASING["filler"]) for _ in range(self._random.choice((1, 2, 3, 4, 5))))

    def _system(self) -> str:
        sentences = [self._pick(PHRASING["system"]) for _ in range(self._random.choice((1, 1, 1, 2, 3)))]
        return " ".join(sentences)

    def _wrap(self, ask: str, reply: str) -> str:
        """Insert a question into a prompt like those of applications."""
        kind = self._random.random()
        if kind < 0.78:
            return ask
        if kind < 0.93:
            return self._pick(PHRASING["wrappers"]).format(ask)
        return self._pick(PHRASING["passages"]).format(ask=ask, passage=self._passage(reply))

    def _passage(self, reply: str) -> str:
        """Return a few sentences, sometimes with the answer: a passage must not distract from the question."""
        sentences = [self._random.choice(self._topics)["answer"] for _ in range(self._random.choice((0, 1, 2)))]
        sentences += [
            f"{self._pick(OUT_OF_SCOPE['things'])} and {self._invented_word()} have little in common."
            for _ in range(self._random.choice((0, 1)))
        ]
        if reply != REFUSAL and (self._chance(0.4) or not sentences):
            sentences.append(reply)
        self._random.shuffle(sentences)
        return " ".join(sentences).lower() or "nothing was found."
