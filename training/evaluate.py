"""Evaluates a demo model on the lists that it is judged by, with the engine that serves it."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from pathlib import Path
from queue import SimpleQueue

from training.answers import REFUSAL, Message, answers, everyday, held_out
from unified_llm._backends.mlx import demo_folder
from unified_llm._backends.mlx.engine import Engine
from unified_llm._backends.mlx.engine_types import EngineError, EngineKey, Output, Prompt, TextChunk

Ask = Callable[[Sequence[Message]], str]


def generate(engine: Engine, messages: Sequence[Message]) -> str:
    """Return the model's whole answer to a conversation."""
    outputs: SimpleQueue[Output] = SimpleQueue()
    engine.submit(Prompt(tuple(messages), max_tokens=64), outputs.put)
    text = ""
    while isinstance(output := outputs.get(), TextChunk):
        text += output.text
    if isinstance(output, EngineError):
        raise output
    return text


def declines(answered: str) -> bool:
    """Check whether a text says what a user must learn from a refusal."""
    return "demo model" in answered and "do not know" in answered


def score(ask: Ask) -> tuple[float, list[str]]:
    """Ask the questions of heldout.toml.

    Returns:
        The share of questions with an answer that got it, from 0 to 1, and a line for each fault in all questions.
    """
    known, faults, lost = answers(), [], 0
    for question, expected in held_out():
        answered = ask([{"role": "user", "content": question}])
        if answered != expected:
            lost += expected != REFUSAL
            faults.append(f"{'WRONG' if answered in known else 'GARBLED'} {question!r} -> {answered!r}")
    return 1 - lost / sum(expected != REFUSAL for _, expected in held_out()), faults


def find_answered(ask: Ask) -> list[str]:
    """Send the requests of everyday.toml; return a line for each that was not declined."""
    results = ((messages[-1]["content"], ask(messages)) for messages in everyday())
    return [f"ANSWERED {request[:80]!r} -> {text!r}" for request, text in results if not declines(text)]


def evaluate(folder: Path) -> None:
    """Print the faults of a model, and its scores."""
    engine = Engine(EngineKey(folder))
    share, faults = score(lambda messages: generate(engine, messages))
    answered = find_answered(lambda messages: generate(engine, messages))
    engine.close()
    print("\n".join(faults + answered))
    print(f"{share:.0%} of the held-out questions with an answer kept it, {len(faults)} faults in {len(held_out())}")
    print(f"{len(answered)} of {len(everyday())} everyday requests not declined")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, nargs="?", default=demo_folder(), help="default: the one in the package")
    evaluate(parser.parse_args().folder)
