"""Speed of models in this process, beside mlx-lm's own functions and server with the same weights.

    python -m benchmarks.mlx [--rounds 9] [--blas openblas|wheel] [--only one eight turn constrained]

The model has 25 million random weights and is made on the spot. In each round every way has its turn, with prompts that
no prefix cache has seen, and a table has the medians of all rounds, with their proportions to the first row. "CPU" is
the processor time of this process, and of the server where there is one: it depends less than the time that passes on
what else the machine does.

On Linux, MLX's wheel for CPUs brings a slow reference BLAS. Everything is measured with OpenBLAS in its place, whose
proportions are nearer to those of a GPU, and then as the wheel comes. Debian has OpenBLAS in libopenblas0-pthread;
``BLAS`` in the environment names another library.
"""

from __future__ import annotations

import argparse
import contextlib
import ctypes
import ctypes.util
import importlib.metadata
import os
import platform
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any, Final, TypeAlias

if TYPE_CHECKING:
    from benchmarks.mlx_ways import Callers, Server, Turns, Way

ROOT: Final = Path(__file__).parents[1]
TABLES: Final = ("one", "eight", "turn", "constrained")
TOKENS: Final = 64  # of a response
EIGHT: Final = 8
# Words of a prompt, of about 20 tokens.
WORDS: Final = "Each call names a model, and the policy decides which target gets the request after a failure. "
SCHEMA: Final = {"type": "array", "items": {"enum": ["first", "second", "third"]}, "minItems": 200}
REGEX: Final = "[a-zA-Z ,.]{2000}"

Row: TypeAlias = "tuple[Way, Callable[[], Callers], int | None]"
"""A way, what makes its requests, and the process of its server."""


class Prompts:
    """Requests that share no more than their first tokens with any before."""

    def __init__(self) -> None:
        self._number = 1000

    def _user(self, repeats: int) -> Turns:
        self._number += 1
        return [{"role": "user", "content": f"{self._number} {WORDS * repeats}"}]

    def one(self) -> Callers:
        """Return a request of about 90 tokens."""
        return [[(self._user(4), TOKENS)]]

    def at_once(self) -> Callers:
        """Return eight requests of about 30 tokens."""
        return [[(self._user(1), TOKENS)] for _ in range(EIGHT)]

    def alike(self) -> Callers:
        """Return eight requests of about 510 tokens, of which the first 480 are the same."""
        self._number += 1
        system = {"role": "system", "content": f"{self._number} {WORDS * 25}"}
        return [[([system, *self._user(1)], TOKENS)] for _ in range(EIGHT)]

    def in_a_row(self) -> Callers:
        """Return eight callers with three requests each, which want responses of 24 to 104 tokens."""
        return [
            [(self._user(1), 24 + (8 * caller + 3 * each) * 13 % 81) for each in range(3)] for caller in range(EIGHT)
        ]

    def long(self) -> Turns:
        """Return a prompt of about 2,000 tokens."""
        return self._user(104)


def second(first: Turns) -> Callers:
    """Return the turn after a first one."""
    return [[([*first, {"role": "assistant", "content": "Another one."}, {"role": "user", "content": "Why?"}], 8)]]


def warmed(way: Way, first: Turns) -> Callers:
    """Let a way answer the first turn, which is not measured; return the second."""
    from benchmarks.mlx_ways import Clock

    way([[(first, 8)]], Clock())
    return second(first)


def tables(folder: Path, server: Server) -> dict[str, dict[str, Row]]:
    """Return all rows by table; the first of each table is the one that others are compared with."""
    from benchmarks.mlx_ways import Bare, LangChain, Streams
    from unified_llm import LLMClient

    bare, prompts = Bare(folder), Prompts()
    ours, chat = Streams(LLMClient(f"mlx/{folder}")), LangChain(f"mlx/{folder}")
    http = Streams(LLMClient("openai-compatible/default_model", base_url=server.url))

    def constrained(**constraint: Any) -> Way:
        return lambda asks, clock: ours.threads(asks, clock, extra_body={"structured_outputs": constraint})

    def concurrent(make: Callable[[], Callers]) -> dict[str, Row]:
        return {
            "mlx_lm.server": (http.tasks, make, server.pid),
            "BatchGenerator": (bare.batch, make, None),
            "LLMClient.astream, tasks": (ours.tasks, make, None),
            "LLMClient.stream, threads": (ours.threads, make, None),
        }

    def with_constraints(make: Callable[[], Callers]) -> dict[str, Row]:
        return {
            "LLMClient.stream": (ours.threads, make, None),
            "with a JSON schema": (constrained(json=SCHEMA), make, None),
            "with a regular expression": (constrained(regex=REGEX), make, None),
        }

    return {
        "one request": {
            "mlx_lm.stream_generate": (bare.stream, prompts.one, None),
            "LLMClient.stream": (ours.threads, prompts.one, None),
            "LLMClient.astream": (ours.tasks, prompts.one, None),
            "ChatUnified.stream": (chat.stream, prompts.one, None),
            "mlx_lm.server": (http.threads, prompts.one, server.pid),
        },
        "eight at once": concurrent(prompts.at_once),
        "eight with the same instructions": concurrent(prompts.alike),
        "eight callers, three requests each": concurrent(prompts.in_a_row),
        "turn of 2,000 tokens": {
            "LLMClient.stream, unknown": (ours.threads, lambda: second(prompts.long()), None),
            "LLMClient.stream, second turn": (ours.threads, lambda: warmed(ours.threads, prompts.long()), None),
            "mlx_lm.server, second turn": (http.threads, lambda: warmed(http.threads, prompts.long()), server.pid),
        },
        "constrained, one request": with_constraints(prompts.one),
        "constrained, eight at once": with_constraints(prompts.at_once),
    }


def measure(rows: Mapping[str, Row], rounds: int) -> dict[str, dict[str, float]]:
    """Let all ways take turns; return the medians of each."""
    from benchmarks.mlx_ways import COLUMNS, Clock

    seen: dict[str, list[dict[str, float]]] = {name: [] for name in rows}
    for number in range(rounds + 1):
        for name, (way, make, server) in rows.items():
            callers = make()
            clock = Clock(server)
            figures = clock.figures(way(callers, clock))
            if number:  # the first round loads models and code
                seen[name].append(figures)
    return {name: {column: median(each[column] for each in all_) for column in COLUMNS} for name, all_ in seen.items()}


def show(title: str, rows: Mapping[str, Mapping[str, float]]) -> None:
    """Print a table; behind each figure its proportion to that of the first row."""
    base = next(iter(rows.values()))
    print(f"\n| {title} | " + " | ".join(base) + " |\n|---|" + "---|" * len(base))
    for name, figures in rows.items():
        cells = (f"{value:.0f} ({value / base[column]:.2f})" for column, value in figures.items())
        print(f"| {name} | " + " | ".join(cells) + " |", flush=True)


def worker(rounds: int, only: Sequence[str]) -> None:
    """Measure with the BLAS that this process has."""
    from benchmarks.mlx_ways import serving
    from integration_tests.support.tiny_models import LARGE, make_model

    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # or the server would go on
    with tempfile.TemporaryDirectory() as home:
        # The server lists the models of the cache, and stops without one.
        os.environ |= {"HF_HUB_OFFLINE": "1", "HF_HUB_CACHE": home}
        folder = make_model(Path(home) / "model", LARGE)
        with serving(folder) as server:
            for title, rows in tables(folder, server).items():
                if title.startswith(tuple(only)):
                    show(title, measure(rows, rounds))


def find_blas() -> str | None:
    """Return a library that can take the place of the wheel's BLAS: it has the functions under their usual names."""
    candidates = (
        os.environ.get("BLAS"),
        *map(str, sorted(Path("/usr/lib").glob("*-linux-gnu/openblas-pthread/libopenblas*.so*"))),
        ctypes.util.find_library("openblas"),
    )
    for name in filter(None, candidates):
        with contextlib.suppress(OSError, AttributeError):
            _ = ctypes.CDLL(name).cblas_sgemm
            return name
    return None


def machine() -> str:
    """Describe what runs the benchmark, and what else it does."""
    versions = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in ("mlx", "mlx-lm", "llguidance"))
    cores = len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count()
    load = " ".join(f"{each:.1f}" for each in os.getloadavg())
    return f"Python {platform.python_version()}, {versions}, {platform.machine()}, {cores} cores, load {load}"


def main() -> None:
    """Run a worker with each BLAS."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--blas", choices=["openblas", "wheel"])
    parser.add_argument("--only", nargs="+", choices=TABLES, default=TABLES, metavar="TABLE")
    parser.add_argument("--worker", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.worker:
        worker(options.rounds, options.only)
        return
    # Idle threads of OpenBLAS would add to the processor time; without a compiler, MLX computes at the same speed.
    common = {"OPENBLAS_NUM_THREADS": "1", "MLX_DISABLE_COMPILE": "1"}
    kinds: dict[str, dict[str, str]] = {"wheel": common}
    if sys.platform == "linux":
        if blas := find_blas():
            kinds = {"openblas": {**common, "LD_PRELOAD": blas}, **kinds}
        else:
            print("OpenBLAS is missing: no library has cblas_sgemm (Debian: apt install libopenblas0-pthread).")
    for kind, variables in kinds.items():
        if options.blas in (None, kind):
            print(f"\n{kind} ({variables.get('LD_PRELOAD', 'as installed')}), {machine()}", flush=True)
            again = [sys.executable, "-m", "benchmarks.mlx", "--worker", "--rounds", str(options.rounds)]
            environment = {**os.environ, **variables}
            subprocess.run([*again, "--only", *options.only], check=True, cwd=ROOT, env=environment)  # noqa: S603


if __name__ == "__main__":
    main()
