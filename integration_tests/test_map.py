"""``map`` in processes of their own: killed, interrupted, forked, ended in the middle; over real sockets."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from random import Random
from typing import Any

import pytest

from integration_tests.support.processes import killed_at_the_end
from integration_tests.support.waiting import PATIENCE, wait_until
from tests.support.doc_pages import ROOT

PROMPTS, CONCURRENCY = 2000, 20

# Begins a run of many prompts at the providers whose addresses are its arguments, and goes on as a test says.
PROGRAM = """
import os, signal, sys, threading
from unified_llm import LLMClient, LLMConfig
client = LLMClient(LLMConfig(model="openai-compatible/small", base_url=sys.argv[1], api_key="sk-test-1234567890"))
prompts = (f"prompt {number}" for number in iter(int, 1))
run = client.map(prompts, concurrency=10, checkpoint=sys.argv[2])
def left():
    paths = [f"/proc/self/fd/{number}" for number in os.listdir("/proc/self/fd")]
    sockets = sum(os.readlink(path).startswith("socket") for path in paths if os.path.islink(path))
    return sockets, [thread.name for thread in threading.enumerate()][1:]
"""


ENDS = {
    "break": "for result in run:\n    if result.index == 30: break\ndel run, result",
    "close": "next(run); run.close()",
    "with": "with run: next(run)",
    "an error of the iterable": """
prompts = (1 / (10 - number) and str(number) for number in range(20))
try: list(client.map(prompts))
except ZeroDivisionError: pass
""",
    "an error of a prompt": """
from unified_llm.exceptions import LLMError
try: list(client.map(['a', 'b', ''] * 10, on_error='raise'))
except LLMError: pass
""",
}


@pytest.fixture
def examples(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return the example, imported from its folder."""
    monkeypatch.syspath_prepend(str(ROOT / "examples"))
    return import_module("many_prompts")


@pytest.fixture
def providers(examples: Any) -> Iterator[Any]:
    """Run one provider without faults."""
    with examples.faulty_providers(1, share=0.0, seconds=0.01, draw=Random(1)) as running:  # noqa: S311
        yield running


def start(program: str, providers: Any, checkpoint: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", PROGRAM + program, providers.urls[0], str(checkpoint)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def outcome(program: str, providers: Any, checkpoint: Path) -> str:
    """Run a program to its end, and return what it printed."""
    with killed_at_the_end(start(program, providers, checkpoint)) as running:
        out, err = running.communicate(timeout=2 * PATIENCE)
    assert (running.returncode, err) == (0, "")
    return out.strip()


def test_a_run_that_is_killed_twice_answers_every_prompt_once(
    examples: Any, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """The example: 2,000 prompts, three providers, 10 % faults, killed at two random instants."""
    draw = Random()  # noqa: S311 - no secret
    with examples.faulty_providers(draw=draw) as providers:
        killed = examples.run_and_kill(providers, tmp_path, PROMPTS, draw)
    assert set(providers.answered) == {examples.prompt_of(number) for number in range(PROMPTS)}
    assert examples.stored_in(tmp_path / "answers.jsonl") == set(providers.answered)
    for moment in killed:
        assert 0 < len(moment.stored) < PROMPTS
        later = set(
            providers.requests[moment.requests + CONCURRENCY :]
        )  # what was on its way is counted with those before
        assert later & moment.stored == set()
    twice = [prompt for prompt, times in providers.answered.items() if times > 1]
    assert len(twice) <= len(killed) * CONCURRENCY
    assert max(providers.answered.values()) <= 1 + len(killed)
    assert min(providers.faults.values()) > 10
    printed = capfd.readouterr().out
    assert f"{PROMPTS} prompts in " in printed
    assert f"{PROMPTS} served (" in printed
    assert printed.count("provider-") >= 3


@pytest.mark.skipif(sys.platform != "linux", reason="open sockets are counted in /proc")
@pytest.mark.parametrize("end", ENDS.values(), ids=ENDS)
def test_a_run_that_ends_early_leaves_no_thread_and_no_connection(end: str, providers: Any, tmp_path: Path) -> None:
    assert outcome(f"{end}\nprint(left())", providers, tmp_path / "run.jsonl") == "(0, [])"


def test_ctrl_c_ends_a_run_at_once_and_keeps_what_arrived(providers: Any, tmp_path: Path) -> None:
    program = (
        "try:\n    for result in run: pass\n"
        "except KeyboardInterrupt:\n    print(left(), run.totals.done > 50, flush=True)\n    raise SystemExit(3)"
    )
    with killed_at_the_end(start(program, providers, tmp_path / "run.jsonl")) as running:
        assert wait_until(lambda: providers.answered and len(providers.requests) >= 200)
        running.send_signal(signal.SIGINT)
        out, err = running.communicate(timeout=2 * PATIENCE)
    assert (running.returncode, out.strip(), err) == (3, "(0, []) True", "")
    assert len((tmp_path / "run.jsonl").read_text().splitlines()) > 100


def test_a_program_that_ends_in_the_middle_of_a_run_ends_at_once(providers: Any, tmp_path: Path) -> None:
    assert outcome("kept = [run, next(run)]\nprint('end')", providers, tmp_path / "run.jsonl") == "end"


@pytest.mark.skipif(sys.platform == "win32", reason="Windows does not fork")
def test_a_child_that_was_forked_in_the_middle_leaves_the_run_to_its_parent(providers: Any, tmp_path: Path) -> None:
    program = """
next(run)
if (child := os.fork()) == 0:
    signal.alarm(60)
    try:
        next(run)
    except ValueError as error:
        os._exit(1)
    except Exception as error:
        mine = [result.ok for result in client.map(["a", "b"])]
        run.close()
        del run
        os._exit(0 if "forked" in str(error) and mine == [True, True] else 2)
status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
print(status, next(run).index)
run.close()
"""
    assert outcome(program, providers, tmp_path / "run.jsonl") == "0 1"
