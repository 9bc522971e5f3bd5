"""Forks, the end of the interpreter, and requests that are sent twice."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from integration_tests.attacks.catalogue import Figure, all_of, attack, none_of, scale
from integration_tests.attacks.concurrency import echo, target
from integration_tests.attacks.servers import OK, Answering, answering_apart
from unified_llm import LLMClient

_ROOT = Path(__file__).parents[2]

# A child is forked while the first call of the process, in another thread, imports what it needs.
_FORK_IN_FIRST_CALL = """
import os, signal, sys, threading, time
from unified_llm import LLMClient
url, delay, way = sys.argv[1], float(sys.argv[2]), sys.argv[3]
client = LLMClient("openai-compatible/m", base_url=url, api_key="k")
def first():
    if way == "sync":
        client.generate("x")
    else:
        import asyncio
        asyncio.run(client.agenerate("x"))
thread = threading.Thread(target=first)
thread.start()
time.sleep(delay)
pid = os.fork()
if pid == 0:
    signal.alarm(4)
    client.generate("x")
    LLMClient("openai-compatible/other", base_url=url, api_key="k").generate("x")
    os._exit(0)
status = os.waitpid(pid, 0)[1]
thread.join()
sys.exit(status != 0)
"""


def _run(source: str, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-W", "ignore", "-c", source, *arguments]
    return subprocess.run(
        command, capture_output=True, text=True, timeout=30, cwd=_ROOT, env=os.environ | environment, check=False
    )


@attack("a child forked during the first call", parallel=True, kill_after=120)
def fork_during_the_first_call() -> Iterator[Figure]:
    """A child that was forked while another thread imports, connects or waits makes connections of its own."""
    delays = [index * 0.03 for index in range(scale(8, 40))]
    with answering_apart(OK, 0.1) as url:
        ends = [
            _run(_FORK_IN_FIRST_CALL, url, f"{delay}", way).returncode for delay in delays for way in ("sync", "async")
        ]
    yield all_of("children answered", ends.count(0), len(ends))


@attack("a child forked in the middle of calls of many threads", parallel=True, kill_after=120)
def fork_during_calls() -> Iterator[Figure]:
    """Children that are forked while other threads hold locks do not wait for them."""
    stop = threading.Event()
    answered = 0
    with answering_apart(OK) as url, LLMClient(target("m", url)) as client:

        def call() -> None:
            while not stop.is_set():
                client.generate("x")
                LLMClient(target("m", url)).generate("x")

        threads = [threading.Thread(target=call, daemon=True) for _ in range(4)]
        for thread in threads:
            thread.start()
        for _ in range(scale(20, 200)):
            pid = os.fork()
            if not pid:
                signal.alarm(5)
                client.generate("x")
                asyncio.run(client.agenerate("x"))
                os._exit(0)
            answered += os.waitpid(pid, 0)[1] == 0
        stop.set()
        for thread in threads:
            thread.join(5)
    yield all_of("children answered", answered, scale(20, 200))


@attack("a child forked in the middle of a stream", parallel=True)
def fork_in_a_stream() -> Iterator[Figure]:
    """The child's call has a connection of its own, and the parent's stream goes on."""
    with Answering(echo) as server, LLMClient(target("m", server.url)) as client:
        stream = client.stream("x")
        text = next(iter(stream)).content
        pid = os.fork()
        if not pid:
            signal.alarm(5)
            os._exit(client.generate("y").content != "y " * 10)
        child = os.waitpid(pid, 0)[1]
        text += "".join(chunk.content for chunk in stream)
    yield none_of("wrong texts", (child != 0) + (text != "x " * 10))


# Ways to end the interpreter with open streams; nothing odd may be printed.
_EXITS = {
    "a sync stream": "stream = client.stream('x'); next(iter(stream))",
    "a stream in a cycle": "a = [client.stream('x')]; a.append(a); next(iter(a[0]))",
    "an async stream": """
async def main():
    global stream
    stream = client.astream('x')
    async for chunk in stream: return
asyncio.run(main())""",
    "a pending task": """
async def main():
    global task
    task = asyncio.create_task(client.agenerate('hang')); await asyncio.sleep(.1)
asyncio.run(main())""",
    "a daemon thread": "threading.Thread(target=client.generate, args=('hang',), daemon=True).start(); time.sleep(.1)",
}


@attack("the interpreter ends with open streams and calls", parallel=True)
def exits() -> Iterator[Figure]:
    """The interpreter ends at once and prints nothing, with all its warnings on."""
    odd = 0
    start = "import asyncio, sys, threading, time\nfrom unified_llm import LLMClient\n"
    start += "client = LLMClient('openai-compatible/m', base_url=sys.argv[1], api_key='k')\n"
    start += "client.generate('x'); asyncio.run(client.agenerate('x'))\n"

    def answer(request: Any) -> bytes | None:
        return None if b'"hang"' in request.body else echo(request)

    with answering_apart(answer) as url:
        for name, source in _EXITS.items():
            ended = subprocess.run(
                [sys.executable, "-X", "dev", "-W", "always", "-c", start + source, url],
                capture_output=True, text=True, timeout=15, cwd=_ROOT, check=False,
            )  # fmt: skip
            slow = "Executing <"  # asyncio's note on a machine that is busy
            printed = [line for line in f"{ended.stdout}{ended.stderr}".splitlines() if line and slow not in line]
            if printed or ended.returncode:
                odd += 1
                print(name, ended.returncode, *printed[-10:])  # noqa: T201
    yield none_of("that printed something", odd)


@attack("SIGINT in a sync call and in asyncio.run", parallel=True)
def interrupts() -> Iterator[Figure]:
    """An interrupt raises KeyboardInterrupt at once, and the client works on."""
    source = """
import asyncio, os, signal, sys, threading, time
from unified_llm import LLMClient, health_snapshot
client = LLMClient('openai-compatible/m', base_url=sys.argv[1], api_key='k')
for call in (lambda: client.generate('hang'), lambda: asyncio.run(client.agenerate('hang'))):
    threading.Timer(.3, os.kill, (os.getpid(), signal.SIGINT)).start()
    started = time.monotonic()
    try: call()
    except KeyboardInterrupt: assert time.monotonic() - started < 1.5
    else: raise SystemExit(3)
assert client.generate('x').content
assert not [row for row in health_snapshot() if row['state'] != 'closed']
"""

    def answer(request: Any) -> bytes | None:
        return None if b'"hang"' in request.body else OK

    with answering_apart(answer) as url:
        ended = _run(source, url)
    print(ended.stderr[-800:])  # noqa: T201
    yield none_of("wrong ends", int(ended.returncode != 0))


@attack("a kept connection closed after the whole request: sent once or told", parallel=True)
def sent_twice() -> Iterator[Figure]:
    """A request that was sent again on a new connection is in the attempts; with ``resend=False`` it is not sent."""
    for resend in (True, False):
        count = _CountingServer()
        with count:
            client = LLMClient(
                target("m", count.url, max_retries=0) if resend else _without_resending(count.url), deadline=5
            )
            told = 0
            for _ in range(2):
                with suppress(Exception):
                    told += sum(attempt.outcome != "skipped" for attempt in client.generate("x").attempts)
            client.close()
        if resend:
            yield none_of("requests in no attempt", count.requests - told)
        else:
            yield none_of("requests too many with resend=False", count.requests - 2)


def _without_resending(url: str) -> Any:
    try:
        return target("m", url, max_retries=0, resend=False)
    except Exception:  # noqa: BLE001 - an option that is not there yet: the requests tell
        return target("m", url, max_retries=0)


class _CountingServer:
    """Answers the first request of the first connection, drops its second, and answers those of later connections."""

    def __init__(self) -> None:
        self.requests = 0
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self._thread = threading.Thread(target=self._serve, daemon=True)

    def _serve(self) -> None:
        number = 0
        with suppress(OSError):
            while True:
                sock, _ = self._listener.accept()
                threading.Thread(target=self._connection, args=(sock, number), daemon=True).start()
                number += 1

    def _connection(self, sock: socket.socket, number: int) -> None:
        buffer = b""
        served = 0
        with suppress(OSError), sock:
            while data := sock.recv(65536):
                buffer += data
                if b'"messages"' in buffer and buffer.endswith(b"}"):
                    buffer, served = b"", served + 1
                    self.requests += 1
                    if not number and served == 2:
                        return
                    sock.sendall(OK)

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._listener.close()
