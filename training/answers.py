"""What the demo model can say, what it is judged by, and the words in which it can be asked."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

HERE = Path(__file__).parent
TESTS = HERE.parent / "integration_tests" / "mlx"
"""The folder of the questions that the model is judged by: heldout.toml and everyday.toml."""

Message = dict[str, str]
"""A chat message: its `role` and its `content`."""

Pair = tuple[str, str]
"""A question and its answer."""

NUMBERS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")
"""The numbers that the model adds and subtracts."""

SIGNS = {"+": ("+", "+", "plus"), "-": ("-", "-", "minus")}
"""How each operation is written in a question."""

SHORT_NAMES = {"United Kingdom": ("uk", "england", "britain"), "United States": ("usa", "us", "america")}
"""Other names of countries."""

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


def read_test(name: str) -> dict[str, Any]:
    """Read one of the lists of questions that the model is judged by."""
    return tomllib.loads((TESTS / name).read_text(encoding="utf-8"))


def held_out() -> list[Pair]:
    """Return the questions of heldout.toml, each with its correct answer."""
    return [(question["ask"], answer(question["expect"])) for question in read_test("heldout.toml")["question"]]


def everyday() -> list[list[Message]]:
    """Return the conversations of everyday.toml, to which the correct answer is the refusal."""
    lists = read_test("everyday.toml")
    found = []
    for conversation in lists.pop("conversation"):
        turns = [
            {"role": "assistant" if number % 2 else "user", "content": text}
            for number, text in enumerate(conversation["turns"])
        ]
        system = [{"role": "system", "content": conversation["system"]}] if "system" in conversation else []
        found.append(system + turns)
    return found + [[{"role": "user", "content": request}] for requests in lists.values() for request in requests]


def excluded() -> frozenset[str]:
    """Return what training must never ask, normalised."""
    return frozenset(
        [normalise(ask) for ask, _ in held_out()] + [normalise(messages[-1]["content"]) for messages in everyday()]
    )


def known_phrases() -> Iterator[str]:
    """Yield texts that contain every word with which the corpus asks questions that have an answer."""
    for topic in KNOWLEDGE["topic"]:
        yield from topic.get("names", ())
        yield from topic.get("asks", ())
    yield from (re.sub(r"{\w*}", " ", phrase) for phrases in PHRASING.values() for phrase in phrases)
    for country, city in KNOWLEDGE["capitals"].items():
        yield from (country, f"{country}'s", city, *SHORT_NAMES.get(country, ()))
    yield from (word for form in CONTRACTIONS.items() for word in (form[0], *form[1]))
    yield from NUMBERS
    yield from map(str, range(len(NUMBERS)))
    yield from (written for signs in SIGNS.values() for written in signs)
