"""2,000 prompts over three providers, of whose responses 10 % are faults; the program is killed twice, and goes on.

    python examples/many_prompts.py

It starts the providers on this machine, and then the run (``answer_all`` below) as a process of its own, which it kills
in the middle. A response that has arrived is in the checkpoint, and its prompt is never requested again.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

from faulty_providers import Providers, faulty_providers

from unified_llm import LLMClient, LLMConfig

CONCURRENCY = 20


def answer_all(checkpoint: Path, prompts: int, urls: list[str]) -> None:
    """Run over all prompts until each of them has a response. This is what a program of yours would do."""
    targets = [
        LLMConfig(model="openai-compatible/small", name=f"provider-{number}", base_url=url)
        for number, url in enumerate(urls, 1)
    ]
    client = LLMClient(targets[0], fallbacks=targets[1:], deadline=60)
    failed = prompts
    while failed:
        questions = ({"custom_id": f"q-{number}", "messages": prompt_of(number)} for number in range(prompts))
        with client.map(questions, concurrency=CONCURRENCY, checkpoint=checkpoint) as run:
            failed = 0
            for result in run:
                if result.error is not None:
                    failed += 1
                elif result.text != prompt_of(result.index).upper():
                    raise RuntimeError(f"{result.custom_id} has the response of another prompt")
        print(run.totals, flush=True)


def prompt_of(number: int) -> str:
    """Return the prompt with a number."""
    return f"Describe the number {number}"


@dataclass
class Killed:
    """What there was when the run was killed.

    Attributes:
        requests: How many requests the providers had got.
        stored: The prompts whose responses were in the checkpoint.
    """

    requests: int
    stored: set[str] = field(default_factory=set[str])


def run_and_kill(providers: Providers, folder: Path, prompts: int, draw: Random) -> list[Killed]:
    """Start the run, kill it at two random instants, and let it end at the third time."""
    checkpoint, killed = folder / "answers.jsonl", list[Killed]()
    command = [sys.executable, __file__, str(checkpoint), str(prompts), *providers.urls]
    for part in (draw.uniform(0.1, 0.4), draw.uniform(0.5, 0.9)):
        with subprocess.Popen(command) as run:  # noqa: S603 - this file
            while len(providers.answered) < part * prompts and run.poll() is None:
                time.sleep(0.005)
            run.kill()
        killed.append(Killed(len(providers.requests), stored_in(checkpoint)))
        print(f"killed with {len(killed[-1].stored)} of {prompts} responses stored", flush=True)
    subprocess.run(command, check=True, timeout=300)  # noqa: S603
    return killed


def stored_in(checkpoint: Path) -> set[str]:
    """Return the prompts whose responses are in a checkpoint: one in each whole line."""
    lines = checkpoint.read_text(encoding="utf-8").split("\n")[1:-1]
    return {prompt_of(int(line.partition('"key":"q-')[2].partition('"')[0])) for line in lines}


def main(prompts: int = 2000) -> None:
    """Run, and print how often prompts were answered."""
    draw = Random()  # noqa: S311 - no secret
    with faulty_providers(draw=draw) as providers, tempfile.TemporaryDirectory() as folder:
        run_and_kill(providers, Path(folder), prompts, draw)
    twice = sum(times > 1 for times in providers.answered.values())
    print(f"{len(providers.answered)} prompts answered, {twice} of them twice: in flight when the run was killed")
    print("faults:", ", ".join(f"{fault} {times}" for fault, times in providers.faults.most_common()))


if __name__ == "__main__":
    if len(sys.argv) > 1:
        answer_all(Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3:])
    else:
        main()
