"""Attacks on what surrounds the package: tracing tools, the lowest versions of what it requires, a frozen program.

Each line runs tests of this repository, in the environment that they need, and counts them.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from integration_tests.attacks.catalogue import Figure, all_of, attack, none_of
from integration_tests.attacks.network_faults import only_if
from integration_tests.support.fault_server import FaultServer, Send, ok
from integration_tests.support.install_servers import HOME

_ROOT: Final = Path(__file__).parents[2]
_LOWEST: Final = _ROOT / ".venv-lowest" / "bin" / "python"
_MEMORY: Final = 60_000  # MB of address space: these lines start other programs


def _run_tests(*tests: str, python: Path | str = sys.executable) -> tuple[int, int]:
    """Run tests; return how many passed, and how many failed, raised or were skipped."""
    command = [str(python), "-m", "pytest", "-q", "-p", "no:recording", "-p", "no:cacheprovider", *tests]
    done = subprocess.run(command, cwd=_ROOT, capture_output=True, text=True, check=False)
    print(done.stdout[-20_000:], done.stderr[-5_000:])  # noqa: T201 - shown where the line is red
    counts = {word: int(number) for number, word in re.findall(r"(\d+) (passed|failed|error|skipped)", done.stdout)}
    return counts.pop("passed", 0), sum(counts.values())


def _has_tracing_tools() -> bool:
    return (HOME / "tracing").is_dir()


@attack(
    "one span with usage a call, a child of the model's: Langfuse, OpenInference, Traceloop, LangSmith",
    bar="D4",
    memory=_MEMORY,
    kill_after=300,
)
@only_if(_has_tracing_tools, "no tracing tools (make servers)")
def counted_once() -> Iterator[Figure]:
    """The tools themselves record each way to call."""
    passed, others = _run_tests("integration_tests/test_traces.py")
    yield all_of("ways to call, counted once", passed, 100)
    yield none_of("counted otherwise", others)


@attack(
    "the lowest versions: text that is not ASCII, the name in a trace, a key in Pydantic's message",
    bar="D10",
    memory=_MEMORY,
    kill_after=300,
)
@only_if(_LOWEST.is_file, "no environment with the lowest versions (make lowest)")
def lowest_versions() -> Iterator[Figure]:
    """D10, D12 and D13, with the versions of ``requirements/lowest.txt``."""
    with FaultServer([Send(ok(json.dumps(_ANSWER, ensure_ascii=False).encode()))]) as server:
        command = [str(_LOWEST), "-c", _TEXT, server.url]
        read = subprocess.run(command, cwd=_ROOT, capture_output=True, text=True, check=False)
    yield all_of("text read as it was sent", read.stdout.strip() == "True", 1)
    passed, others = _run_tests(
        "tests/langchain/test_chat_model.py",
        "tests/config/test_config.py",
        "tests/config/test_bad_input.py",
        "tests/test_requirements.py",
        python=_LOWEST,
    )
    yield all_of("tests passed", passed, 100)
    yield none_of("failed", others)


_TEXT: Final = """
import sys
from unified_llm import LLMClient
client = LLMClient("openai-compatible/m", base_url=sys.argv[1], api_key="sk-test")
print(client.generate("x").content == "Grüße, é, 日本")
"""
_ANSWER: Final = {"choices": [{"message": {"content": "Grüße, é, 日本"}, "finish_reason": "stop"}]}


def _has_pyinstaller() -> bool:
    return find_spec("PyInstaller") is not None


@attack("a program that PyInstaller made: every format, ChatUnified", bar="D11", memory=_MEMORY, kill_after=400)
@only_if(_has_pyinstaller, "no PyInstaller")
def frozen_program() -> Iterator[Figure]:
    """It is built without options for this package, and answers as under Python."""
    passed, others = _run_tests("integration_tests/test_frozen.py")
    yield all_of("answered", passed, 2)
    yield none_of("failed", others)
