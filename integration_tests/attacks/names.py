"""A resolver that never answers (bar D1)."""

from __future__ import annotations

import asyncio
import itertools
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any, Final

from integration_tests.attacks.calls import (
    ASYNC,
    MODES,
    SYNC,
    Ended,
    acall,
    answer,
    apart,
    call,
    calls_apart,
    in_modes,
    in_threads,
    target,
)
from integration_tests.attacks.catalogue import Figure, all_of, at_most, attack, none_of, seconds
from integration_tests.attacks.measure import threads
from integration_tests.attacks.network_faults import (
    SilentResolver,
    enter_network_with_silent_resolver,
    looked_up_by,
    only_if,
)
from integration_tests.attacks.servers import answering_apart
from unified_llm import LLMClient
from unified_llm.exceptions import LLMError

_ROOT: Final = Path(__file__).parents[2]
_SILENT: Final = "http://api.silent.internal:9"


def _named(url: str) -> str:
    """Return a server's URL with a name, which has to be looked up, in place of its address."""
    return url.replace("127.0.0.1", "localhost")


def _chain(good: str, primary: str = _SILENT, timeout: float | None = None, **options: Any) -> LLMClient:
    return LLMClient(target("m", primary, timeout=timeout), fallbacks=[target("f", _named(good))], **options)


@attack("a resolver that never answers, deadline of 1 s: 6 modes", bar="D1", kill_after=60)
def deadline_of_look_ups() -> Iterator[Figure]:
    """A call ends at its deadline, and its event loop with it, although the look-up goes on."""
    with looked_up_by(SilentResolver()):
        ended = in_modes(lambda: LLMClient(target("m", _SILENT), deadline=1.0))
    print(*ended, sep="\n")  # noqa: T201
    yield none_of("answered", sum(one.answered for one in ended))
    yield seconds(max(one.over(1.0) for one in ended), 0.05, "over")
    yield seconds(max(one.leaving for one in ended), 0.1, "end of the loop")


@attack("a resolver that never answers: 20 async calls, a fallback with a name", bar="D1")
def async_fallback_with_a_name() -> Iterator[Figure]:
    """Look-ups that hang take no thread from the look-ups of fallbacks, nor from the application."""

    async def run(client: LLMClient) -> tuple[list[tuple[Ended, float]], float]:
        calls = asyncio.gather(*[acall(client) for _ in range(20)])
        waits = []
        for _ in range(8):
            await asyncio.sleep(0.2)
            started = time.monotonic()
            await asyncio.to_thread(int)
            waits.append(time.monotonic() - started)
        return await calls, max(waits)

    with answering_apart(answer) as good, looked_up_by(SilentResolver()):
        ended, wait = asyncio.run(run(_chain(good, timeout=2, deadline=10)))
        leaving = time.monotonic() - max(instant for _, instant in ended)
    yield all_of("answered", sum(one.answered for one, _ in ended), 20)
    yield seconds(max(one.seconds for one, _ in ended), 2.5)
    yield seconds(wait, 0.05, "to_thread waits")
    yield seconds(leaving, 0.1, "end of the loop")


@attack("a resolver that never answers: 24 threads, 6 modes, a fallback with a name", bar="D1", parallel=True)
def sync_fallback_with_a_name() -> Iterator[Figure]:
    """``timeout`` holds for the look-up, and the fallback is asked after it."""
    with answering_apart(answer) as good, looked_up_by(SilentResolver()):
        ended = in_threads([partial(call, _chain(good, timeout=2, deadline=10), mode) for mode in MODES * 4])
    yield all_of("answered", sum(one.answered for one in ended), 24)
    yield seconds(max(one.seconds for one in ended), 2.7)


@attack("a resolver that never answers: hedged, cancelled, given up by the caller", bar="D1", parallel=True)
def hedged_and_cancelled() -> Iterator[Figure]:
    """A hedge begins while the look-up hangs, and a call that is cancelled ends at once."""

    async def run(good: str) -> tuple[Ended, float, float]:
        hedged, _ = await acall(_chain(good, hedge_after=0.2, deadline=10), "astream")
        started = time.monotonic()
        with suppress(TimeoutError):
            async with asyncio.timeout(0.3):
                await LLMClient(target("m", _SILENT)).agenerate("x")
        ended = time.monotonic()
        return hedged, ended - started - 0.3, ended

    with answering_apart(answer) as good, looked_up_by(SilentResolver()):
        hedged, late, ended = asyncio.run(run(good))
        leaving = time.monotonic() - ended
    yield none_of("hedged calls without an answer", not hedged.answered)
    yield seconds(hedged.seconds, 0.7, "hedged")
    yield seconds(late, 0.1, "cancelled late by")
    yield seconds(leaving, 0.1, "end of the loop")


# Calls with a look-up that hangs, then prints the instant; nothing may keep the process from its end.
_LEAVE: Final = """
import asyncio, socket, sys, time
real = socket.getaddrinfo
def hang(host, *a, flags=0, **k):
    if "silent" in str(host) and not flags: time.sleep(8)
    return real(host, *a, flags=flags, **k)
socket.getaddrinfo = hang
from unified_llm import LLMClient
from unified_llm.exceptions import LLMError
client = LLMClient("openai-compatible/m", base_url=sys.argv[1], timeout=0.5, max_retries=0)
try:
    if sys.argv[2] == "sync": client.generate("x")
    else: asyncio.run(client.agenerate("x"))
except LLMError as error: assert len(error.attempts) == 1
print(time.monotonic(), flush=True)
"""


@attack("the process ends while a look-up hangs: sync, async", bar="D1", parallel=True, kill_after=60)
def process_ends() -> Iterator[Figure]:
    """The process ends at once, and prints nothing, although a thread still looks a name up."""
    started = time.monotonic()
    with ThreadPoolExecutor(2) as pool:
        late = list(pool.map(_leave, ("sync", "async")))
    yield seconds(max(late), 1.0, "after the call")
    yield seconds(time.monotonic() - started, 5.0)


def _leave(way: str) -> float:
    """Return the seconds from the end of a call to the end of its process; NaN if anything else was printed."""
    command = [sys.executable, "-W", "always", "-c", _LEAVE, _SILENT, way]
    ended = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=_ROOT, check=False)
    after = time.monotonic()
    print(ended.stdout)  # noqa: T201
    return after - float(ended.stdout) if len(ended.stdout.split()) == 1 else float("nan")


@attack("a child forked while look-ups hang: its own look-ups work", bar="D1", parallel=True, kill_after=60)
def fork_during_look_ups() -> Iterator[Figure]:
    """A child does not wait for a thread that it has not, even for the name that the parent looks up."""
    resolver = SilentResolver()
    with answering_apart(answer) as good, looked_up_by(resolver):
        client = _chain(good, timeout=3, deadline=10)
        hanging = [threading.Thread(target=call, args=(client, mode), daemon=True) for mode in MODES]
        for thread in hanging:
            thread.start()
        time.sleep(0.5)
        again = f"http://api.silent.internal:{good.rpartition(':')[2]}"
        ends = [_fork_and_call(resolver, mode, url) for mode in MODES for url in (_named(good), again)]
    yield all_of("children answered", ends.count(0), len(ends))


def _fork_and_call(resolver: SilentResolver, mode: str, url: str) -> int:
    pid = os.fork()
    if pid:
        return os.waitpid(pid, 0)[1]
    try:
        signal.alarm(3)
        resolver.working = "127.0.0.1"
        os._exit(not call(LLMClient(target("child", url), deadline=2), mode).answered)
    finally:
        os._exit(1)


@attack("a look-up that hangs for one host: calls to others, sync and async", bar="D1", parallel=True)
def one_slow_host() -> Iterator[Figure]:
    """Hosts whose names are looked up at once are not slowed down by one whose name is not."""

    async def run(good: str) -> list[Ended]:
        hanging = asyncio.gather(*[acall(LLMClient(target("m", _SILENT), deadline=3), mode) for mode in ASYNC * 8])
        await asyncio.sleep(0.3)
        ended = [(await acall(LLMClient(target("g", _named(good)), deadline=5), mode))[0] for mode in ASYNC * 2]
        await hanging
        return ended

    with answering_apart(answer) as good, looked_up_by(SilentResolver()):
        for mode in SYNC * 8:
            hanging = LLMClient(target("m", _SILENT), deadline=3)
            threading.Thread(target=call, args=(hanging, mode), daemon=True).start()
        time.sleep(0.3)
        # A client each, so that each call makes a connection.
        ended = [call(LLMClient(target("g", _named(good)), deadline=5), mode) for mode in MODES]
        ended += asyncio.run(run(good))
    yield all_of("answered", sum(one.answered for one in ended), 12)
    yield seconds(max(one.seconds for one in ended), 0.5)


@attack("100 hosts whose look-up hangs, and 200 calls to one of them", bar="D1", parallel=True, kill_after=60)
def many_hanging_hosts() -> Iterator[Figure]:
    """Look-ups that hang are shared by the calls to one host, and do not keep others from theirs."""
    before = threads()
    resolver = SilentResolver()

    async def run(good: str) -> tuple[int, int, Ended]:
        one = [acall(LLMClient(target("m", _SILENT), deadline=2)) for _ in range(200)]
        first = asyncio.gather(*one)
        await asyncio.sleep(1.0)
        for_one = threads() - before
        hosts = [f"http://h{index}.silent.internal:9" for index in range(100)]
        rest = asyncio.gather(*[acall(LLMClient(target("m", host), deadline=4)) for host in hosts])
        await asyncio.sleep(1.0)
        ended, _ = await acall(LLMClient(target("g", _named(good)), deadline=5))
        for_all = threads() - before
        await asyncio.gather(first, rest)
        return for_one, for_all, ended

    with answering_apart(answer) as good, looked_up_by(resolver):
        for_one, for_all, ended = asyncio.run(run(good))
    yield at_most("threads for one host", for_one, 4)
    yield at_most("for 100", for_all, 110)
    yield all_of("another host answered", ended.answered, 1)
    yield seconds(ended.seconds, 1.0)


@attack("a look-up that hangs, and a resolver that works again: sync and async", bar="D1", parallel=True, kill_after=60)
def resolver_works_again() -> Iterator[Figure]:
    """Later calls do not wait for the look-up that hangs, for as long as the system gives it."""
    with answering_apart(answer) as good:
        url = f"http://api.silent.internal:{good.rpartition(':')[2]}"
        waits = apart([partial(_seconds_until_answered, url, mode) for mode in ("generate", "agenerate")])
    yield seconds(max(waits), 7.0, "answered after")


def _seconds_until_answered(url: str, mode: str) -> float:
    resolver = SilentResolver(25.0)
    with looked_up_by(resolver):
        client = LLMClient(target("m", url, max_retries=0), deadline=1)
        with suppress(LLMError):
            threading.Thread(target=call, args=(client, mode), daemon=True).start()
        time.sleep(0.5)
        resolver.working = "127.0.0.1"
        started = time.monotonic()
        while time.monotonic() - started < 20:
            if call(LLMClient(target(f"m{time.monotonic()}", url, max_retries=0), deadline=1), "generate").answered:
                break
            time.sleep(0.1)
    return time.monotonic() - started


_RESOLVERS: Final = ("", "search a.internal b.internal c.internal\noptions ndots:5")


def _has_namespaces() -> bool:
    return bool(apart([enter_network_with_silent_resolver])[0])


@attack(
    "a name server that is silent, in a network of its own; with search domains", bar="D1", parallel=True, kill_after=90
)
@only_if(_has_namespaces, "no namespaces")
def silent_name_server() -> Iterator[Figure]:
    """The system's own look-ups are bounded as those of the other lines, where nothing is replaced."""
    ended = calls_apart([partial(_in_silent_network, *case) for case in itertools.product(_RESOLVERS, (True, False))])
    count = len(MODES)
    served, alone = ended[:count] + ended[2 * count : 3 * count], ended[count : 2 * count] + ended[3 * count :]
    yield all_of("answered by the fallback", sum(one.answered for one in served), 2 * count)
    yield seconds(max(one.seconds for one in served), 2.7)
    yield seconds(max(one.over(3.0) for one in alone), 0.1, "over a deadline of 3 s")


def _in_silent_network(options: str, with_fallback: bool) -> list[Ended]:  # noqa: FBT001 - one of two cases
    assert enter_network_with_silent_resolver(options)
    with answering_apart(answer) as good:
        if with_fallback:
            return in_modes(lambda: _chain(good, "http://api.example.com", timeout=2, deadline=10))
        return in_modes(lambda: LLMClient(target("a", "http://api.example.com"), deadline=3))
