"""Wires over Unix sockets: the system's own, but no network."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import socket
import ssl
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpcore
import pytest

from tests.support.sync_and_async import Mode
from unified_llm._backends.http.deadline_socket import DeadlineSocket
from unified_llm._backends.http.deadline_socket_async import AsyncDeadlineSocket, AsyncStream, AsyncTLSStream
from unified_llm._backends.http.deadline_socket_sync import SyncDeadlineSocket, SyncStream, SyncTLSStream
from unified_llm._backends.http.tls import TLSSession

CERTIFICATE = str(Path(__file__).parents[2] / "support" / "localhost.pem")


class Both:
    """A wire of either colour; async calls are run in a loop."""

    def __init__(self, mode: Mode, run: Callable[[Any], Any]) -> None:
        self.sock: Any = SyncDeadlineSocket(time.monotonic) if mode == "sync" else AsyncDeadlineSocket(time.monotonic)
        self.sock.until, self.sock.connect_timeout = time.monotonic() + 2, 1.0
        self.stream: Any = None
        self._colour, self._run = mode, run

    def do(self, result: Any) -> Any:
        return result if self._colour == "sync" else self._run(result)

    def over(self, raw_socket: socket.socket) -> None:
        raw_socket.setblocking(self._colour == "sync")
        self.sock.adopt(raw_socket)
        self.stream = SyncStream(self.sock) if self._colour == "sync" else AsyncStream(self.sock)

    def connect(self) -> None:
        self.stream = self.do(self.sock.connect_tcp("a.test", 80))

    def read(self, size: int = 65536) -> bytes:
        data: bytes = self.do(self.stream.read(size))
        return data

    def write(self, data: bytes) -> None:
        """As httpcore does it: what is to be sent, and nothing more to say."""
        self.do(self.stream.write(data))
        self.do(self.stream.write(b""))


@pytest.fixture
def both(mode: Mode) -> Iterator[Both]:
    with asyncio.Runner() as runner:
        made = Both(mode, runner.run)
        yield made
        if made.sock:
            made.sock.drop()


@pytest.fixture
def pair(both: Both) -> Iterator[socket.socket]:
    ours, theirs = socket.socketpair()
    both.over(ours)
    with theirs:
        theirs.settimeout(2)
        yield theirs


@pytest.fixture
def addresses(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Callable[..., None]]:
    """Makes every name resolve to these: ``open`` accepts, ``shut`` refuses."""
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "open"))
        listener.listen()

        def resolve(*names: str) -> None:
            found = [(socket.AF_UNIX, socket.SOCK_STREAM, 0, "", str(tmp_path / name)) for name in names]
            monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: found)

        yield resolve


def _forget(*, older: bool) -> int:
    """Leave a connection in a cycle of garbage, with a socket that is older or younger than it; its descriptor."""
    made = socket.socket(socket.AF_UNIX) if older else None
    sock: Any = AsyncDeadlineSocket(time.monotonic)
    sock.adopt(made or socket.socket(socket.AF_UNIX))
    sock.itself = sock
    return int(sock.raw_socket.fileno())


def test_a_forgotten_connection_closes_in_silence_whatever_the_collector_comes_upon_first() -> None:
    gc.collect()
    descriptors = [_forget(older=True), _forget(older=False)]
    with warnings.catch_warnings(record=True) as complaints:
        warnings.simplefilter("always")
        gc.collect()
    assert complaints == []
    for each in descriptors:
        with pytest.raises(OSError, match="Bad file descriptor"):
            os.fstat(each)


def test_the_first_address_that_answers_is_used(both: Both, addresses: Callable[..., None]) -> None:
    addresses("shut", "open")
    both.connect()
    both.write(b"hello")
    assert not both.stream.get_extra_info("is_readable")
    assert both.stream.get_extra_info("anything else") is None


def test_when_no_address_answers_the_reason_is_kept(both: Both, addresses: Callable[..., None]) -> None:
    addresses("shut", "shut")
    with pytest.raises(httpcore.ConnectError):
        both.connect()
    assert (both.sock.failure_kind, both.sock.detail) == ("connect", "No such file or directory")


@pytest.mark.parametrize("problem", [socket.gaierror(socket.EAI_NONAME, "unknown"), UnicodeError("label too long")])
def test_a_name_that_cannot_be_looked_up(both: Both, problem: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise problem

    monkeypatch.setattr(socket, "getaddrinfo", fail)
    with pytest.raises(httpcore.ConnectError):
        both.connect()
    assert both.sock.detail == "no such name"


def test_a_name_without_addresses_cannot_be_reached(both: Both, addresses: Callable[..., None]) -> None:
    addresses()
    with pytest.raises(httpcore.ConnectError):
        both.connect()


@pytest.mark.parametrize("failure", [KeyboardInterrupt, TimeoutError])
def test_a_socket_that_does_not_connect_is_closed(
    both: Both, mode: Mode, addresses: Callable[..., None], *, failure: type[BaseException], monkeypatch: Any
) -> None:
    made: list[socket.socket] = []

    class Breaking(socket.socket):
        def __init__(self, *arguments: Any) -> None:
            super().__init__(*arguments)
            made.append(self)

        def connect(self, address: Any) -> None:
            raise failure

    addresses("open")
    monkeypatch.setattr(socket, "socket", Breaking)
    with pytest.raises((KeyboardInterrupt, httpcore.ConnectTimeout)):
        both.connect()
    assert made[0].fileno() == -1


def test_bytes_go_both_ways(both: Both, pair: socket.socket) -> None:
    both.write(b"question")
    assert pair.recv(100) == b"question"
    pair.sendall(b"answer")
    assert both.read() == b"answer"
    assert both.sock.received == 6
    pair.close()
    assert both.read() == b""


def test_a_head_and_its_body_are_one_packet(both: Both, pair: socket.socket) -> None:
    for data in (b"head ", b"body", b""):
        both.do(both.stream.write(data))
    assert pair.recv(100) == b"head body"
    both.do(both.stream.write(b"head alone"))
    pair.settimeout(0)
    with pytest.raises(BlockingIOError):
        pair.recv(1)
    pair.sendall(b"early answer")
    assert both.read() == b"early answer"
    assert pair.recv(100) == b"head alone"


def test_an_answer_to_a_request_that_could_not_be_sent_is_read(both: Both, pair: socket.socket) -> None:
    pair.sendall(b"too much")
    pair.shutdown(socket.SHUT_RD)
    both.do(both.stream.write(b"question"))
    assert both.read() == b"too much"


def test_a_read_waits_until_its_instant(both: Both, pair: socket.socket) -> None:
    both.sock.until = time.monotonic() + 0.05
    with pytest.raises(httpcore.ReadTimeout):
        both.read()
    assert time.monotonic() >= both.sock.until - 0.01


def test_a_read_whose_instant_has_passed_takes_what_is_there(both: Both, pair: socket.socket) -> None:
    both.sock.until = float("-inf")
    with pytest.raises(httpcore.ReadTimeout):
        both.read()
    pair.sendall(b"here")
    assert both.read() == b"here"


def test_an_endless_instant_is_no_problem(both: Both, pair: socket.socket) -> None:
    both.sock.until = float("inf")
    pair.sendall(b"here")
    assert both.read() == b"here"


def test_a_write_that_nobody_reads_ends_at_its_instant(both: Both, pair: socket.socket) -> None:
    both.sock.until = time.monotonic() + 0.05
    with pytest.raises(httpcore.WriteTimeout):
        both.write(bytes(8_000_000))


def test_a_write_to_nobody_fails(both: Both, pair: socket.socket) -> None:
    pair.close()
    with pytest.raises(httpcore.WriteError):
        both.write(b"question")


def test_a_peer_that_leaves_while_we_write_is_a_failed_write(both: Both, pair: socket.socket, mode: Mode) -> None:
    if mode == "async":

        async def leave() -> None:
            task = asyncio.ensure_future(both.stream.write(bytes(8_000_000)))
            await asyncio.sleep(0.01)
            pair.close()
            await task

        with pytest.raises(httpcore.WriteError):
            both.do(leave())


def test_a_dropped_wire_refuses_everything(both: Both, pair: socket.socket) -> None:
    both.sock.drop()
    both.sock.drop()
    assert both.stream.get_extra_info("is_readable")
    with pytest.raises(httpcore.ReadError):
        both.read()
    with pytest.raises(httpcore.WriteError):
        both.write(b"x")
    assert pair.recv(1) == b""


def test_closing_a_stream_drops_its_wire(both: Both, pair: socket.socket) -> None:
    both.do(both.stream.close() if isinstance(both.sock, SyncDeadlineSocket) else both.stream.aclose())
    assert pair.recv(1) == b""


def test_a_wire_that_is_forgotten_closes_its_socket(both: Both, pair: socket.socket) -> None:
    both.sock = both.stream = None
    assert pair.recv(1) == b""


def test_a_reader_that_always_finds_something_lets_others_run(pair: socket.socket, both: Both, mode: Mode) -> None:
    if mode == "sync":
        return
    turns: list[int] = []

    async def other() -> None:
        for number in range(5):
            turns.append(number)
            await asyncio.sleep(0)

    async def read() -> None:
        task = asyncio.create_task(other())
        for _ in range(20):
            await both.stream.read(10)
        assert len(turns) == 5
        await task

    pair.sendall(bytes(200))
    both.do(read())


# TLS, the peer being a second session in the same thread


class Peer:
    """A TLS server that echoes; what reads and writes over it does so without waiting."""

    def __init__(self) -> None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(CERTIFICATE)
        self.incoming, self.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.session = context.wrap_bio(self.incoming, self.outgoing, server_side=True)
        self.shaken = False
        self.silent = False

    def take(self, data: bytes) -> None:
        self.incoming.write(data)
        with contextlib.suppress(ssl.SSLWantReadError):
            if not self.shaken:
                self.session.do_handshake()
                self.shaken = True
            self.session.write(self.session.read(65536))

    def give(self) -> bytes:
        return b"" if self.silent else self.outgoing.read()


class PeerStream(httpcore.NetworkStream):
    def __init__(self, peer: Peer) -> None:
        self.peer = peer

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self.peer.give()

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self.peer.take(buffer)


class AsyncPeerStream(httpcore.AsyncNetworkStream):
    def __init__(self, peer: Peer) -> None:
        self.peer = peer

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self.peer.give()

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self.peer.take(buffer)


def client(cafile: str | None = CERTIFICATE) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=cafile)


def secure(both: Both, peer: Peer, context: ssl.SSLContext, name: str = "localhost") -> Any:
    session = TLSSession(context, name)
    if isinstance(both.sock, SyncDeadlineSocket):
        return SyncTLSStream(PeerStream(peer), both.sock, session)
    stream = AsyncTLSStream(AsyncPeerStream(peer), both.sock, session)
    both.do(stream.do_handshake())
    return stream


def test_tls_carries_bytes_both_ways(both: Both, pair: socket.socket) -> None:
    peer = Peer()
    both.stream = secure(both, peer, client())
    assert both.stream.get_extra_info("ssl_object").version() == "TLSv1.3"
    both.write(b"question" * 1000)
    both.write(b"")
    assert both.read() == b"question" * 1000
    assert not both.stream.get_extra_info("is_readable")
    assert both.stream.get_extra_info("anything else") is None


def test_the_end_of_a_tls_connection_is_an_end_however_it_comes(both: Both, pair: socket.socket) -> None:
    peer = Peer()
    both.stream = secure(both, peer, client())
    peer.outgoing.read()
    assert both.read() == b""


def test_damaged_tls_is_a_failed_read(both: Both, pair: socket.socket) -> None:
    peer = Peer()
    both.stream = secure(both, peer, client())
    peer.outgoing.write(b"\x17\x03\x03\x00\x05xxxxx")
    with pytest.raises(httpcore.ReadError):
        both.read()
    with pytest.raises(httpcore.WriteError):
        both.write(b"x")


@pytest.mark.parametrize(("cafile", "name"), [(None, "localhost"), (CERTIFICATE, "other.test")])
def test_a_certificate_that_does_not_fit_is_refused(both: Both, cafile: str | None, name: str) -> None:
    with pytest.raises(ssl.SSLCertVerificationError):
        secure(both, Peer(), client(cafile), name)


def test_a_stream_speaks_tls_when_it_is_told_to(both: Both, pair: socket.socket) -> None:
    """The peer closes at once: what matters here is what becomes of that."""
    pair.close()
    both.sock.start_connecting()
    until = both.sock.until
    with pytest.raises(httpcore.ConnectError):
        both.do(both.stream.start_tls(client(), "localhost"))
    assert (both.sock.failure_kind, both.sock.detail) == ("connect", "closed during the TLS handshake")
    assert both.sock.until == until


def test_a_handshake_has_no_more_time_than_connecting_has(both: Both, pair: socket.socket) -> None:
    both.sock.connect_timeout = 0.05
    both.sock.start_connecting()
    with pytest.raises(httpcore.ConnectTimeout):
        both.do(both.stream.start_tls(client(), "localhost"))
    assert both.sock.detail == "no TLS handshake in time"


def test_what_is_no_tls_is_a_failure_of_tls(both: Both, pair: socket.socket) -> None:
    pair.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
    both.sock.start_connecting()
    with pytest.raises(httpcore.ConnectError):
        both.do(both.stream.start_tls(client(), "localhost"))
    assert both.sock.failure_kind == "tls"


def test_windows_has_no_poll(pair: socket.socket, both: Both, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.platform", "win32")
    sock: DeadlineSocket = both.sock
    assert not sock.readable()
    pair.sendall(b"x")
    assert sock.readable()
