"""Connections that were made: those that die in silence (bar D3), and those of loops that nobody closes (bar D6)."""

from __future__ import annotations

import asyncio
import gc
import itertools
import os
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, suppress
from functools import partial
from pathlib import Path
from typing import Any, Final

from integration_tests.attacks.calls import (
    MODES,
    SYNC,
    Ended,
    acall,
    answer,
    call,
    calls_apart,
    in_modes,
    in_threads,
    target,
)
from integration_tests.attacks.catalogue import Figure, all_of, at_most, attack, none_of, seconds
from integration_tests.attacks.fake_time import Clock
from integration_tests.attacks.measure import descriptors
from integration_tests.attacks.network_faults import can_deafen, deafen, deafen_to_data, hear_again, only_if, silent
from integration_tests.attacks.servers import Peer, Request, answering_apart, forked, hostile, parse
from unified_llm import LLMClient
from unified_llm.langchain import ChatUnified

CERTIFICATE: Final = Path(__file__).parents[2] / "tests" / "support" / "localhost.pem"
_DEADLINE: Final = 30.0
_SLOW: Final = 22.0
"""Seconds: longer than bytes may be unacknowledged."""


def _receive(sock: socket.socket) -> Request:
    buffer = bytearray()
    while (request := parse(buffer)) is None:
        data = sock.recv(65536)
        if not data:
            raise OSError("closed")
        buffer += data
    return request


def _answer_once(sock: socket.socket) -> None:
    """Answer one request, and then drop all that comes, as a firewall does that has forgotten the connection."""
    sock.sendall(answer(_receive(sock)))
    deafen(sock)
    time.sleep(90)


def _plain(peer: Peer) -> None:
    _answer_once(peer.sock)


def encrypted_server(peer: Peer) -> None:
    """Do the same over TLS."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(CERTIFICATE)
    with context.wrap_socket(peer.sock, server_side=True) as sock:
        _answer_once(sock)


def tunnel(peer: Peer) -> None:
    """Play a proxy, and the server behind it."""
    _receive(peer.sock)
    peer.send(b"HTTP/1.1 200 OK\r\n\r\n")
    encrypted_server(peer)


def _first_is_deaf(listener: socket.socket) -> None:
    """Never acknowledge a byte of the first connection; serve the others."""
    deafen_to_data(listener)
    first, _ = listener.accept()
    hear_again(listener)
    while first.fileno() >= 0:
        sock, _ = listener.accept()
        threading.Thread(target=_answer_once, args=(sock,), daemon=True).start()


def _twice(client: LLMClient, mode: str) -> Ended:
    """Call twice in one loop; return the second call."""
    pause = 0.3  # until the server has become deaf
    if mode in SYNC:
        assert call(client, mode).answered
        time.sleep(pause)
        return call(client, mode)

    async def run() -> Ended:
        assert (await acall(client, mode))[0].answered
        await asyncio.sleep(pause)
        return (await acall(client, mode))[0]

    return asyncio.run(run())


def _kept_calls(url: str, good: str, proxy: str = "") -> list[Ended]:
    """Call twice in every mode, with and without a fallback."""
    if proxy:
        os.environ.update(HTTPS_PROXY=proxy, NO_PROXY="", no_proxy="")
    calls = []
    for number, (mode, alone) in enumerate(itertools.product(MODES, (True, False))):
        fallbacks = [] if alone else [target("f", good)]
        client = LLMClient(target(f"m{number}", url, verify_ssl=False), fallbacks=fallbacks, deadline=_DEADLINE)
        calls.append(partial(_twice, client, mode))
    return in_threads(calls)


def _new_calls(urls: Sequence[str]) -> list[Ended]:
    """Call in every mode, each with a server of its own, whose first connection lets no byte through."""
    clients = [LLMClient(target(f"new{index}", url), deadline=_DEADLINE) for index, url in enumerate(urls)]
    return in_threads([partial(call, client, mode) for client, mode in zip(clients, MODES, strict=True)])


@attack("bytes that nobody acknowledges: kept and new connections, TLS, a proxy, 6 modes", bar="D3", parallel=True)
@only_if(can_deafen, "no filter of a connection's bytes")
def deaf_connections() -> Iterator[Figure]:
    """A request that nobody acknowledged is sent again over a new connection, and the attempts tell."""
    with answering_apart(answer) as good, ExitStack() as stack:
        plain = stack.enter_context(hostile(_plain, before=True))
        encrypted = stack.enter_context(hostile(encrypted_server, before=True)).replace("http:", "https:")
        proxy = stack.enter_context(hostile(tunnel, before=True))
        new = [stack.enter_context(forked(_first_is_deaf)) for _ in MODES]
        cases = [(plain, good), (encrypted, good), ("https://api.example.com", good, proxy)]
        ended = calls_apart([partial(_new_calls, new), *(partial(_kept_calls, *case) for case in cases)])
    yield all_of("answered", sum(one.answered for one in ended), 42)
    yield seconds(max(one.seconds for one in ended), 25.0)
    yield none_of("not told", sum(len(one.attempts) < 2 for one in ended))


def _read_late(peer: Peer) -> None:
    time.sleep(_SLOW)
    peer.send(answer(_receive(peer.sock)))
    peer.hang()


def _upload(url: str, mode: str) -> list[Ended]:
    """Send a request that is larger than the buffers of the system."""
    client = LLMClient(target("m", url), deadline=60)
    return [call(client, mode, "x" * 20_000_000)]


@attack("servers that are alive, and answer or read 20 MB after 22 s: 6 modes", bar="D3", parallel=True)
def slow_servers() -> Iterator[Figure]:
    """A server that is busy, or whose window is full, is not taken for one that is dead."""
    with answering_apart(answer, _SLOW) as slow, hostile(_read_late, before=True) as late:
        waits = partial(in_modes, lambda: LLMClient(target("m", slow), deadline=60))
        ended = calls_apart([waits, *(partial(_upload, late, mode) for mode in MODES)])
    yield all_of("answered", sum(one.answered for one in ended), 12)
    yield at_most("attempts", max(len(one.attempts) for one in ended), 1)


# Socket options


def _sockets_to(ports: Sequence[int]) -> list[socket.socket]:
    """Return copies of the sockets of this process that are connected to one of the ports."""
    folder = Path("/proc/self/fd")
    found: list[socket.socket] = []
    for path in (folder if folder.is_dir() else Path("/dev/fd")).iterdir():
        with suppress(OSError):
            sock = socket.socket(fileno=os.dup(int(path.name)))
            if sock.family == socket.AF_INET and sock.getpeername()[1] in ports:
                found.append(sock)
    return found


def _wrong_options(sock: socket.socket) -> list[str]:
    """Return the names of the options of a socket that are not as they should be."""
    tcp, wrong = socket.IPPROTO_TCP, list[str]()
    if not sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE):
        wrong.append("SO_KEEPALIVE")
    idle = getattr(socket, "TCP_KEEPIDLE", getattr(socket, "TCP_KEEPALIVE", None))
    if idle is not None and not 30 <= sock.getsockopt(tcp, idle) <= 60:
        wrong.append("TCP_KEEPIDLE")
    if hasattr(socket, "TCP_USER_TIMEOUT") and not 10_000 <= sock.getsockopt(tcp, socket.TCP_USER_TIMEOUT) <= 20_000:
        wrong.append("TCP_USER_TIMEOUT")
    return wrong


@attack("options of sockets: plain, TLS, through proxies, 6 modes", bar="D3")
def socket_options() -> Iterator[Figure]:
    """Each socket has keep-alive after 30 to 60 s and, on Linux, a limit of 10 to 20 s for what is unacknowledged."""
    with ExitStack() as stack:
        plain, encrypted, proxy = [stack.enter_context(silent()) for _ in range(3)]
        os.environ.update(HTTPS_PROXY=f"http://127.0.0.1:{proxy}", NO_PROXY="", no_proxy="")
        urls = [f"http://127.0.0.1:{plain}", f"https://127.0.0.1:{encrypted}", "https://api.example.com"]
        calls = []
        for number, (url, mode) in enumerate(itertools.product(urls, MODES)):
            calls.append(partial(call, LLMClient(target(f"m{number}", url), deadline=2), mode))
        threads = [threading.Thread(target=one) for one in calls]
        for thread in threads:
            thread.start()
        time.sleep(1.0)
        sockets = _sockets_to([plain, encrypted, proxy])
        wrong = [_wrong_options(sock) for sock in sockets]
        for thread in threads:
            thread.join()
    yield all_of("sockets", len(sockets), 18)
    for name in ("SO_KEEPALIVE", "TCP_KEEPIDLE", "TCP_USER_TIMEOUT"):
        yield none_of(f"without {name}", sum(name in names for names in wrong))


# Event loops


async def _generate(client: LLMClient) -> None:
    assert (await acall(client, "agenerate"))[0].answered


async def _stream(client: LLMClient) -> None:
    assert (await acall(client, "astream"))[0].answered


async def _embed(client: LLMClient) -> None:
    assert (await acall(client, "aembed"))[0].answered


async def _drop_stream(client: LLMClient) -> None:
    async for _ in client.astream("x"):
        break


def _rerun(what: Callable[[], Any]) -> None:
    """Run in a new loop that is never closed, as some frameworks do."""
    loop = asyncio.new_event_loop()
    loop.run_until_complete(what())


def _rerun_in_thread(what: Callable[[], Any]) -> None:
    thread = threading.Thread(target=_rerun, args=(what,))
    thread.start()
    thread.join()


def _more_descriptors(rerun: Callable[[], None]) -> int:
    rerun()
    gc.collect()
    before = descriptors()
    for _ in range(100):
        rerun()
    gc.collect()
    return descriptors() - before


@attack("100 event loops that nobody closes: calls, streams, embeddings, threads, ChatUnified", bar="D6", kill_after=60)
def unclosed_loops() -> Iterator[Figure]:
    """A loop that is no longer referred to is collected, and its connections with it."""
    with answering_apart(answer) as url:
        client = LLMClient(target("m", url))
        chat = ChatUnified(model="openai-compatible/m", base_url=url, api_key="sk-of-the-attacks")

        async def stream_chat() -> None:
            async for _ in chat.astream("x"):
                pass

        ways: dict[str, Callable[[], None]] = {
            "calls": lambda: _rerun(lambda: _generate(client)),
            "streams": lambda: _rerun(lambda: _stream(client)),
            "streams dropped": lambda: _rerun(lambda: _drop_stream(client)),
            "embeddings": lambda: _rerun(lambda: _embed(client)),
            "in threads": lambda: _rerun_in_thread(lambda: _generate(client)),
            "ChatUnified": lambda: _rerun(lambda: chat.ainvoke("x")),
            "its streams": lambda: _rerun(stream_chat),
        }
        for name, rerun in ways.items():
            yield at_most(name, _more_descriptors(rerun), 19)


@attack("100 event loops that are kept and do not run: their connections after a minute", bar="D6")
def kept_loops() -> Iterator[Figure]:
    """Idle connections of loops that do not run are closed when their time is over, by calls of other loops."""
    with answering_apart(answer) as url, Clock(connections=True) as clock:
        client = LLMClient(target("m", url))
        port = int(url.rpartition(":")[2])
        loops = [asyncio.new_event_loop() for _ in range(100)]
        for loop in loops:
            loop.run_until_complete(_generate(client))
        clock.time += 60
        for _ in range(30):
            asyncio.run(_generate(client))
        left = len(_sockets_to([port]))
        for loop in loops:  # they work as before
            loop.run_until_complete(_generate(client))
            loop.close()
    yield at_most("connections left", left, 5)
