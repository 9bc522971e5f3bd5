"""Random HTTP responses, and random events for every decoder of streams."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from integration_tests.attacks.catalogue import FULL, OPTIONS, Figure, attack, megabytes, none_of, seconds
from integration_tests.attacks.measure import Growth
from tests.support.random_responses import Player

_ROOT: Final = Path(__file__).parents[2]
_BATCH: Final = 100
FOUND: Final = _ROOT / ".attacks" / "failing_seeds.txt"
"""Seeds that failed are appended to this file; those that are fixed belong into tests/fixtures/fuzz_seeds.txt."""


class _Run:
    """Plays seeds in batches and keeps what was wrong."""

    def __init__(self) -> None:
        self.played = 0
        self.problems: list[str] = []
        self.most_megabytes = 0.0

    def play(self, player: Player, seed: int) -> list[str]:
        """Play a seed; one that failed is played again, since the machine may have been busy for a second."""
        return player.play(seed) and player.play(seed)

    def run(self, first: int, count: int, step: int = 1) -> None:
        with Player(real_time=True).running() as player:
            player.play(first)
            for start in range(0, count, _BATCH):
                seeds = range(first + start * step, first + min(start + _BATCH, count) * step, step)
                growth = Growth()
                for seed in seeds:
                    self.played += 1
                    self.problems += self.play(player, seed)
                self.most_megabytes = max(self.most_megabytes, growth.peak)
                if growth.peak > 64:
                    self._find_largest(player, list(seeds))

    def _find_largest(self, player: Player, seeds: list[int]) -> None:
        for seed in seeds:
            growth = Growth()
            player.play(seed)
            if growth.peak > 64:
                self.problems.append(f"seed {seed}: grew by {growth.peak:.0f} MB")


def _record(problems: list[str]) -> None:
    if problems:
        FOUND.parent.mkdir(exist_ok=True)
        with FOUND.open("a", encoding="utf-8") as file:
            file.write("".join(f"{problem}\n" for problem in problems))


@attack("random HTTP responses: text of the script or an LLMError, in time", kill_after=200_000)
def random_responses() -> Iterator[Figure]:
    """Whatever is wrong with a response, the call ends in time, and neither it nor the next gets a foreign text."""
    count = OPTIONS["responses"] or (100_000 if FULL else 2000)
    first = OPTIONS["seed"] or 0
    started = time.monotonic()
    workers = 1 if count <= 5000 else min(2, os.cpu_count() or 1)
    results = [_start(first + index, count // workers, workers) for index in range(workers)]
    played, most, problems = 0, 0.0, list[str]()
    for process in results:
        output, errors = process.communicate()
        if process.returncode:
            problems.append(f"worker: {errors[-500:]}")
            continue
        one = json.loads(output)
        played, most, problems = played + one["played"], max(most, one["megabytes"]), problems + one["problems"]
    _record(problems)
    print("\n".join(problems[:60]))  # noqa: T201
    lasted = time.monotonic() - started
    yield Figure("responses", played, count // workers * workers, least=True)
    yield Figure("", played / lasted, 20, "/s", least=True)
    yield none_of("that broke a promise", len({problem.partition(" (")[0] for problem in problems}))
    yield megabytes(most, 64)


def _start(first: int, count: int, step: int) -> subprocess.Popen[str]:
    command = [
        sys.executable,
        "-W",
        "ignore",
        "-m",
        "integration_tests.attacks.fuzz",
        f"{first}",
        f"{count}",
        f"{step}",
    ]
    return subprocess.Popen(command, cwd=_ROOT, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


@attack("random events for every decoder of streams", kill_after=3000, parallel=True)
def random_events() -> Iterator[Figure]:
    """Whatever the events are, a decoder returns chunks and then one end, and raises nothing."""
    started = time.monotonic()
    examples = 2000 if FULL else 20
    environment = os.environ | {"FUZZ_EXAMPLES": f"{examples}", "PYTHONPATH": os.pathsep.join(sys.path)}
    run = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:recording",
        "tests/formats/test_random_events.py"],
        cwd=_ROOT, capture_output=True, text=True, env=environment, check=False,
    )  # fmt: skip
    print(run.stdout[-3000:])  # noqa: T201
    yield none_of("failed", int(run.returncode != 0))
    yield seconds(time.monotonic() - started, 2500 if FULL else 60)


def main(first: int, count: int, step: int) -> None:
    """Play seeds in this process; print the result as JSON."""
    import logging

    logging.getLogger("unified_llm").addHandler(logging.NullHandler())
    run = _Run()
    run.run(first, count, step)
    result = {"played": run.played, "megabytes": run.most_megabytes, "problems": run.problems}
    sys.stdout.write(json.dumps(result))


if __name__ == "__main__":
    main(*map(int, sys.argv[1:4]))
