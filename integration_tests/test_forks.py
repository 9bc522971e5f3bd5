"""Forks of a process whose threads make calls, over real sockets."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from integration_tests.support.fault_responses import FIRST, answer, streamed
from integration_tests.support.fault_server import FaultServer, Send

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="this platform does not fork")

# ``fork`` runs a function in a child, and prints whether the child ended well; -14 is a child that hung.
PROGRAM = """
import os, signal, sys, threading, time, warnings
warnings.simplefilter("ignore", DeprecationWarning)
from unified_llm import LLMClient
client = LLMClient("openai-compatible/m", base_url=sys.argv[1], api_key="sk-test-1234567890")
def generate(): return client.generate("x").content
def stream(): return "".join(chunk.content for chunk in client.stream("x"))
def agenerate():
    import asyncio
    return asyncio.run(client.agenerate("x")).content
def fork(run, expected="first"):
    if (pid := os.fork()) == 0:
        signal.alarm(60)
        passed = False
        try:
            passed = run() == sys.argv[2]
        finally:
            os._exit(0 if passed else 1)
    print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
class SlowFinder:
    # Makes the first import of a module slow, so that the fork surely happens in the middle of it.
    def __init__(self, name): self.name, self.began = name, threading.Event()
    def find_spec(self, name, path=None, target=None):
        if name == self.name:
            self.began.set()
            time.sleep(0.3)
"""


def run(program: str, answer_: bytes) -> list[str]:
    with FaultServer([Send(answer_)]) as server:
        done = subprocess.run(
            [sys.executable, "-c", PROGRAM + program, f"{server.url}/v1", FIRST],
            capture_output=True, text=True, timeout=120, check=False, stdin=subprocess.DEVNULL,
        )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


@pytest.mark.parametrize("way", ["generate", "stream", "agenerate"])
@pytest.mark.parametrize(
    "module",
    ["httpx", "httpcore", "unified_llm._backends.http", "unified_llm._formats.openai_chat.stream",
     "unified_llm._backends.http.exchange_sync", "unified_llm._backends.http.exchange_async"],
)  # fmt: skip
def test_a_child_that_was_forked_during_the_first_call_makes_calls(module: str, way: str) -> None:
    program = f"""
finder = SlowFinder({module!r})
sys.meta_path.insert(0, finder)
thread = threading.Thread(target={way})
thread.start()
while thread.is_alive() and not finder.began.wait(0.01): pass  # some ways do not import it
fork({way})
thread.join()
print({way}() == sys.argv[2])
"""
    output = run(program, streamed() if way == "stream" else answer())
    assert output[-2:] == ["0", "True"]


@pytest.mark.parametrize("way", ["generate", "agenerate"])
@pytest.mark.parametrize("milliseconds", [1, 3, 10, 30, 60, 100, 150])
def test_a_child_that_was_forked_at_any_time_of_the_first_call_makes_calls(milliseconds: int, way: str) -> None:
    program = f"""
thread = threading.Thread(target={way})
thread.start()
time.sleep({milliseconds / 1000})
fork({way})
thread.join()
"""
    assert run(program, answer()) == ["0"]


def test_a_child_that_was_forked_while_a_stream_is_open_makes_calls_and_the_stream_goes_on() -> None:
    program = """
opened = client.stream("x")
first = next(opened)
fork(stream)
print(first.content + "".join(chunk.content for chunk in opened) == sys.argv[2])
"""
    assert run(program, streamed()) == ["0", "True"]


def test_a_thread_may_fork() -> None:
    program = """
generate()
thread = threading.Thread(target=lambda: fork(generate))
thread.start(); thread.join()
print(generate() == sys.argv[2])
"""
    assert run(program, answer()) == ["0", "True"]


def test_the_child_of_a_child_makes_calls() -> None:
    program = """
generate()
def again():
    fork(generate)
    sys.stdout.flush()
    return generate()
fork(again)
"""
    assert run(program, answer()) == ["0", "0"]


def test_children_that_are_forked_while_threads_make_calls_never_hang() -> None:
    program = """
stop = threading.Event()
def work():
    while not stop.is_set(): generate()
threads = [threading.Thread(target=work) for _ in range(4)]
for thread in threads: thread.start()
for _ in range(20): fork(generate)
stop.set()
for thread in threads: thread.join()
"""
    assert run(program, answer()) == ["0"] * 20
