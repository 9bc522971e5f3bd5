"""Evaluates a demo model on the held-out questions, with the engine that serves it."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from queue import SimpleQueue

from training.corpus import answers, held_out
from unified_llm._backends.mlx import demo_folder
from unified_llm._backends.mlx.engine import Engine
from unified_llm._backends.mlx.engine_types import EngineError, Output, Prompt, TextChunk


def generate(engine: Engine, question: str) -> str:
    """Return the model's whole answer."""
    outputs: SimpleQueue[Output] = SimpleQueue()
    engine.submit(Prompt(({"role": "user", "content": question},), max_tokens=64), outputs.put)
    text = ""
    while isinstance(output := outputs.get(), TextChunk):
        text += output.text
    if isinstance(output, EngineError):
        raise output
    return text


def score(ask: Callable[[str], str]) -> tuple[float, list[str]]:
    """Ask all the questions.

    Returns:
        The share of correct answers, from 0 to 1, and a line for each incorrect answer.
    """
    known, faults = answers(), []
    for question, expected in held_out():
        answered = ask(question)
        if answered != expected:
            faults.append(f"{'WRONG' if answered in known else 'GARBLED'} {question!r} -> {answered!r}")
    return 1 - len(faults) / len(held_out()), faults


def evaluate(folder: Path) -> None:
    """Print the incorrect answers of a model, and its score."""
    engine = Engine(folder)
    share, faults = score(lambda question: generate(engine, question))
    engine.close()
    print("\n".join(faults))
    print(f"{share:.0%} of {len(held_out())} right, {sum(fault.startswith('G') for fault in faults)} garbled")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, nargs="?", default=demo_folder(), help="default: the one in the package")
    evaluate(parser.parse_args().folder)
