"""Exceptions of signal handlers, as Celery's soft time limit raises them, in the middle of real calls.

In a process of its own: such an exception can also keep a lock of the standard library's ``logging`` locked.
"""

from __future__ import annotations

import subprocess
import sys

import pytest

from integration_tests.support.fault_responses import FIRST, answer, streamed
from integration_tests.support.fault_server import FaultServer, Send

PROGRAM = """
import gc, os, random, signal, sys
from unified_llm import LLMClient
sys.unraisablehook = lambda _: None  # an exception in a finalizer is printed and lost
class SoftTimeLimitExceeded(Exception): pass
def interrupt(*_): raise SoftTimeLimitExceeded
signal.signal(signal.SIGALRM, interrupt)
url, shape, text = sys.argv[1:]
client = LLMClient("openai-compatible/m", base_url=url, api_key="sk-test-1234567890")
def call():
    if shape == "call": return client.generate("x").content
    return "".join(chunk.content for chunk in client.stream("x"))
call()
seeded, interrupted = random.Random(7), 0
for _ in range(3000):
    try:
        signal.setitimer(signal.ITIMER_REAL, seeded.uniform(5e-5, 4e-3))
        call()
        signal.setitimer(signal.ITIMER_REAL, 0)
    except SoftTimeLimitExceeded:
        interrupted += 1
signal.setitimer(signal.ITIMER_REAL, 0)
print(interrupted)
print(client._backends._http._sync_pool.permits.in_use())
print(call() == text)
client.close()
gc.collect()
links = [f"/proc/self/fd/{number}" for number in os.listdir("/proc/self/fd")]
print(sum(os.readlink(link).startswith("socket") for link in links if os.path.islink(link)))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="open sockets are counted in /proc")
@pytest.mark.parametrize("shape", ["call", "stream"])
def test_thousands_of_interruptions_lose_no_connection_permit(shape: str) -> None:
    with FaultServer([Send(streamed() if shape == "stream" else answer())]) as server:
        done = subprocess.run(
            [sys.executable, "-c", PROGRAM, f"{server.url}/v1", shape, FIRST],
            capture_output=True, text=True, timeout=600, check=False,
        )  # fmt: skip
    assert done.returncode == 0, done.stderr
    interrupted, in_use, answers, sockets = done.stdout.splitlines()
    assert int(interrupted) > 300
    assert (in_use, answers, sockets) == ("{}", "True", "0")
