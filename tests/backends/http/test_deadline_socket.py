"""Deadline sockets over Unix sockets: real sockets, but no network."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import gc
import os
import socket
import ssl
import sys
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpcore
import pytest

from tests.support.each import each
from tests.support.sync_and_async import Mode
from unified_llm._backends.http import address_race, deadline_socket
from unified_llm._backends.http.deadline_socket import HEAD_LIMIT, DeadlineSocket, OversizedHeadError, Tunnel
from unified_llm._backends.http.deadline_socket_async import AsyncDeadlineSocket, AsyncStream, AsyncTLSStream
from unified_llm._backends.http.deadline_socket_sync import SyncDeadlineSocket, SyncStream, SyncTLSStream
from unified_llm._backends.http.exchange import is_stale
from unified_llm._backends.http.tls import TLSSession
from unified_llm._core.outcome import Failure, FailureKind

CERTIFICATE = str(Path(__file__).parents[2] / "support" / "localhost.pem")


class SocketDriver:
    """A sync or an async deadline socket; async calls run in an event loop."""

    def __init__(self, mode: Mode, run: Callable[[Any], Any]) -> None:
        self.sock: Any = SyncDeadlineSocket(time.monotonic) if mode == "sync" else AsyncDeadlineSocket(time.monotonic)
        self.sock.until, self.sock.connect_timeout = time.monotonic() + 30, 1.0
        self.stream: Any = None
        self._mode, self._run = mode, run

    def complete(self, result: Any) -> Any:
        return result if self._mode == "sync" else self._run(result)

    def use(self, raw_socket: socket.socket) -> None:
        raw_socket.setblocking(self._mode == "sync")
        self.sock.adopt(raw_socket)
        self.stream = SyncStream(self.sock) if self._mode == "sync" else AsyncStream(self.sock)

    def connect(self) -> None:
        self.stream = self.complete(self.sock.connect_tcp("a.test", 80))

    def read(self, size: int = 65536) -> bytes:
        data: bytes = self.complete(self.stream.read(size))
        return data

    def write(self, data: bytes) -> None:
        """Write as httpcore does: the data, then an empty chunk."""
        self.complete(self.stream.write(data))
        self.complete(self.stream.write(b""))


@pytest.fixture
def driver(mode: Mode) -> Iterator[SocketDriver]:
    with asyncio.Runner() as runner:
        made = SocketDriver(mode, runner.run)
        yield made
        if made.sock:
            made.sock.drop()


@pytest.fixture
def pair(driver: SocketDriver) -> Iterator[socket.socket]:
    ours, theirs = socket.socketpair()
    driver.use(ours)
    with theirs:
        theirs.settimeout(2)
        yield theirs


@pytest.fixture
def addresses(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Callable[..., None]]:
    """Resolve every host name to these sockets: ``open`` accepts, ``shut`` refuses."""
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "open"))
        listener.listen()

        def resolve(*names: str) -> None:
            resolved = [(socket.AF_UNIX, socket.SOCK_STREAM, 0, "", str(tmp_path / name)) for name in names]
            monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: resolved)

        yield resolve


def _forget(*, older: bool) -> int:
    """Leave a connection in a garbage cycle, with an older or a younger socket; return the socket's descriptor."""
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
    for descriptor in descriptors:
        with pytest.raises(OSError, match="Bad file descriptor"):
            os.fstat(descriptor)


def test_the_first_address_that_answers_is_used(driver: SocketDriver, addresses: Callable[..., None]) -> None:
    addresses("shut", "open")
    driver.connect()
    driver.write(b"hello")
    assert not driver.stream.get_extra_info("is_readable")
    assert driver.stream.get_extra_info("anything else") is None


class SilentLoop(asyncio.SelectorEventLoop):
    """An event loop in whose network no address answers."""

    def __init__(self) -> None:
        super().__init__()
        self.connecting: list[socket.socket] = []

        self.both = asyncio.Event()

    async def sock_connect(self, sock: socket.socket, address: Any) -> None:
        self.connecting.append(sock)
        if len(self.connecting) == 2:
            self.both.set()
        await self.create_future()

    async def connect(self, seconds: float) -> None:
        sock = AsyncDeadlineSocket(time.monotonic)
        sock.until, sock.connect_timeout = time.monotonic() + seconds, seconds
        await sock.connect_tcp("a.test", 80)


def test_a_race_that_nobody_wins_leaves_no_socket_to_a_loop_that_ends(
    addresses: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    addresses("open", "open")
    monkeypatch.setattr(address_race, "DELAY", 0.0)
    loop = SilentLoop()
    with pytest.raises(httpcore.ConnectTimeout):
        loop.run_until_complete(loop.connect(0.3))
    assert [each.fileno() for each in loop.connecting] == [-1, -1]
    loop.close()


def test_a_race_in_a_loop_that_was_closed_ends_in_silence(
    addresses: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    addresses("open", "open")
    complaints: list[Any] = []
    monkeypatch.setattr(sys, "unraisablehook", complaints.append)
    loop = SilentLoop()
    loop.set_exception_handler(lambda *_: None)  # asyncio's own words for a task that was never ended
    racing = loop.create_task(loop.connect(60.0))
    loop.run_until_complete(loop.both.wait())
    connecting = loop.connecting
    loop.close()
    del loop, racing
    gc.collect()
    assert [each.fileno() for each in connecting] == [-1, -1]
    assert complaints == []


def test_when_no_address_answers_the_reason_is_kept(driver: SocketDriver, addresses: Callable[..., None]) -> None:
    addresses("shut", "shut")
    with pytest.raises(httpcore.ConnectError):
        driver.connect()
    assert (driver.sock.failure.kind, driver.sock.failure.detail) == ("connect", "No such file or directory")


@pytest.mark.parametrize("problem", [socket.gaierror(socket.EAI_NONAME, "unknown"), UnicodeError("label too long")])
def test_a_name_that_cannot_be_looked_up(
    driver: SocketDriver, problem: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise problem

    monkeypatch.setattr(socket, "getaddrinfo", fail)
    with pytest.raises(httpcore.ConnectError):
        driver.connect()
    assert driver.sock.failure.reason == "the name a.test cannot be looked up"
    assert driver.sock.failure.scope == "process"


def test_a_name_without_addresses_cannot_be_reached(driver: SocketDriver, addresses: Callable[..., None]) -> None:
    addresses()
    with pytest.raises(httpcore.ConnectError):
        driver.connect()


@pytest.mark.parametrize("failure", [KeyboardInterrupt, TimeoutError])
def test_a_socket_that_does_not_connect_is_closed(
    driver: SocketDriver, mode: Mode, addresses: Callable[..., None], *, failure: type[BaseException], monkeypatch: Any
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
        driver.connect()
    assert made[0].fileno() == -1


def test_bytes_go_both_ways(driver: SocketDriver, pair: socket.socket) -> None:
    driver.write(b"question")
    assert pair.recv(100) == b"question"
    pair.sendall(b"answer")
    assert driver.read() == b"answer"
    assert driver.sock.received == 6
    pair.close()
    assert driver.read() == b""


def test_a_head_and_its_body_are_one_packet(driver: SocketDriver, pair: socket.socket) -> None:
    for data in (b"head ", b"body", b""):
        driver.complete(driver.stream.write(data))
    assert pair.recv(100) == b"head body"
    driver.complete(driver.stream.write(b"head alone"))
    pair.settimeout(0)
    with pytest.raises(BlockingIOError):
        pair.recv(1)
    pair.sendall(b"early answer")
    assert driver.read() == b"early answer"
    assert pair.recv(100) == b"head alone"


def test_an_answer_to_a_request_that_could_not_be_sent_is_read(driver: SocketDriver, pair: socket.socket) -> None:
    pair.sendall(b"too much")
    pair.shutdown(socket.SHUT_RD)
    driver.complete(driver.stream.write(b"question"))
    assert driver.read() == b"too much"


def test_a_read_waits_until_its_instant(driver: SocketDriver, pair: socket.socket) -> None:
    driver.sock.until = time.monotonic() + 0.05
    with pytest.raises(httpcore.ReadTimeout):
        driver.read()
    assert time.monotonic() >= driver.sock.until - 0.01


@pytest.mark.parametrize("phase", ["start_body", "start_request"])
def test_a_read_whose_deadline_has_passed_fails_though_bytes_are_available(
    driver: SocketDriver, pair: socket.socket, phase: str
) -> None:
    pair.sendall(b"here")
    if phase == "start_body":
        driver.sock.start_body()
    driver.sock.until = time.monotonic()
    with pytest.raises(httpcore.ReadTimeout):
        driver.read()


def test_no_more_than_256_kib_are_received_before_a_final_head(driver: SocketDriver, pair: socket.socket) -> None:
    driver.sock.start_request(float("inf"), 1.0)
    for _ in range(HEAD_LIMIT // 16384):
        pair.sendall(bytes(16384))
        assert len(driver.read()) == 16384
    pair.sendall(b"more")
    with pytest.raises(OversizedHeadError):
        driver.read()
    driver.sock.start_body()
    assert driver.read() == b"more"


def test_a_read_of_a_head_takes_little_at_a_time(driver: SocketDriver, pair: socket.socket) -> None:
    pair.sendall(bytes(40_000))
    assert len(driver.read()) == 16384
    driver.sock.start_body()
    assert len(driver.read()) == 40_000 - 16384


def test_of_the_end_of_an_old_body_64_kib_are_received(driver: SocketDriver, pair: socket.socket) -> None:
    driver.sock.start_leftovers()
    for _ in range(4):
        pair.sendall(bytes(16384))
        assert driver.read(16384) == bytes(16384)
    pair.sendall(b"more")
    with pytest.raises(httpcore.ReadError):
        driver.read()


def test_of_the_end_of_an_old_body_only_available_bytes_are_read(driver: SocketDriver, pair: socket.socket) -> None:
    driver.sock.start_leftovers()
    with pytest.raises(httpcore.ReadTimeout):
        driver.read()
    pair.sendall(b"here")
    assert driver.read() == b"here"


def test_an_endless_instant_is_no_problem(driver: SocketDriver, pair: socket.socket) -> None:
    driver.sock.until = float("inf")
    pair.sendall(b"here")
    assert driver.read() == b"here"


def test_a_write_that_nobody_reads_ends_at_its_instant(driver: SocketDriver, pair: socket.socket) -> None:
    driver.sock.until = time.monotonic() + 0.05
    with pytest.raises(httpcore.WriteTimeout):
        driver.write(bytes(8_000_000))


def test_a_write_to_nobody_fails(driver: SocketDriver, pair: socket.socket) -> None:
    pair.close()
    with pytest.raises(httpcore.WriteError):
        driver.write(b"question")


def test_a_peer_that_leaves_while_we_write_is_a_failed_write(
    driver: SocketDriver, pair: socket.socket, mode: Mode
) -> None:
    if mode == "async":

        async def leave() -> None:
            await driver.stream.write(bytes(8_000_000))
            task = asyncio.ensure_future(driver.stream.write(b""))
            await asyncio.sleep(0.01)
            pair.close()
            await task

        with pytest.raises(httpcore.WriteError):
            driver.complete(leave())


def test_a_dropped_socket_refuses_everything(driver: SocketDriver, pair: socket.socket) -> None:
    driver.sock.drop()
    driver.sock.drop()
    assert driver.stream.get_extra_info("is_readable")
    with pytest.raises(httpcore.ReadError):
        driver.read()
    with pytest.raises(httpcore.WriteError):
        driver.write(b"x")
    assert pair.recv(1) == b""


def test_closing_a_stream_drops_its_socket(driver: SocketDriver, pair: socket.socket) -> None:
    driver.complete(driver.stream.close() if isinstance(driver.sock, SyncDeadlineSocket) else driver.stream.aclose())
    assert pair.recv(1) == b""


def test_a_deadline_socket_that_is_forgotten_closes_its_socket(driver: SocketDriver, pair: socket.socket) -> None:
    driver.sock = driver.stream = None
    assert pair.recv(1) == b""


def test_a_reader_that_always_finds_something_lets_others_run(
    pair: socket.socket, driver: SocketDriver, mode: Mode
) -> None:
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
            await driver.stream.read(10)
        assert len(turns) == 5
        await task

    pair.sendall(bytes(200))
    driver.complete(read())


# TLS, the peer being a second session in the same thread


class Peer:
    """A TLS server that echoes; reading and writing never wait."""

    def __init__(self) -> None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(CERTIFICATE)
        self.incoming, self.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.session = context.wrap_bio(self.incoming, self.outgoing, server_side=True)
        self.handshake_done = False
        self.silent = False

    def take(self, data: bytes) -> None:
        self.incoming.write(data)
        with contextlib.suppress(ssl.SSLWantReadError):
            if not self.handshake_done:
                self.session.do_handshake()
                self.handshake_done = True
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


def secure(driver: SocketDriver, peer: Peer, context: ssl.SSLContext, name: str = "localhost") -> Any:
    session = TLSSession(context, name)
    if isinstance(driver.sock, SyncDeadlineSocket):
        return SyncTLSStream(PeerStream(peer), driver.sock, session)
    stream = AsyncTLSStream(AsyncPeerStream(peer), driver.sock, session)
    driver.complete(stream.do_handshake())
    return stream


def test_tls_carries_bytes_both_ways(driver: SocketDriver, pair: socket.socket) -> None:
    peer = Peer()
    driver.stream = secure(driver, peer, client())
    assert driver.stream.get_extra_info("ssl_object").version() == "TLSv1.3"
    driver.write(b"question" * 1000)
    driver.write(b"")
    assert driver.read() == b"question" * 1000
    assert not driver.stream.get_extra_info("is_readable")
    assert driver.stream.get_extra_info("anything else") is None


def test_the_end_of_a_tls_connection_is_an_end_however_it_comes(driver: SocketDriver, pair: socket.socket) -> None:
    peer = Peer()
    driver.stream = secure(driver, peer, client())
    peer.outgoing.read()
    assert driver.read() == b""


def test_damaged_tls_is_a_failed_read(driver: SocketDriver, pair: socket.socket) -> None:
    peer = Peer()
    driver.stream = secure(driver, peer, client())
    peer.outgoing.write(b"\x17\x03\x03\x00\x05xxxxx")
    with pytest.raises(httpcore.ReadError):
        driver.read()
    with pytest.raises(httpcore.WriteError):
        driver.write(b"x")


@pytest.mark.parametrize(("cafile", "name"), [(None, "localhost"), (CERTIFICATE, "other.test")])
def test_a_certificate_that_does_not_fit_is_refused(driver: SocketDriver, cafile: str | None, name: str) -> None:
    with pytest.raises(ssl.SSLCertVerificationError):
        secure(driver, Peer(), client(cafile), name)


def test_a_stream_starts_tls_on_request(driver: SocketDriver, pair: socket.socket) -> None:
    """Here the peer closes at once, so the handshake fails."""
    pair.close()
    driver.sock.start_connecting("a.test", 443)
    left = driver.sock.seconds_left()
    with pytest.raises(httpcore.ConnectError):
        driver.complete(driver.stream.start_tls(client(), "localhost"))
    assert driver.sock.failure.reason == "a.test:443 closed the connection during the TLS handshake"
    assert driver.sock.seconds_left() > left  # the limit of a step ends with it


def test_a_handshake_has_no_more_time_than_connecting_has(driver: SocketDriver, pair: socket.socket) -> None:
    driver.sock.connect_timeout = 0.05
    driver.sock.start_connecting("a.test", 443)
    with pytest.raises(httpcore.ConnectTimeout):
        driver.complete(driver.stream.start_tls(client(), "localhost"))
    assert driver.sock.failure.kind == "timeout"
    assert driver.sock.failure.unsent
    assert driver.sock.failure.reason == "no TLS handshake with a.test:443 within 0.05 s"


def test_what_is_no_tls_is_a_failure_of_tls(driver: SocketDriver, pair: socket.socket) -> None:
    pair.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
    driver.sock.start_connecting("a.test", 443)
    with pytest.raises(httpcore.ConnectError):
        driver.complete(driver.stream.start_tls(client(), "localhost"))
    assert driver.sock.failure.kind == "tls"
    assert driver.sock.failure.reason == "a.test:443 does not speak TLS"


class NeverDone(TLSSession):
    """A session whose records never have data, as an endless series of empty records or session tickets."""

    def run_step(self, step: Callable[..., Any], *arguments: Any) -> Any:
        self.wants_more = True

    def receive(self, data: bytes) -> None:
        pass


class Flood(socket.socket):
    """A socket that always has bytes ready, and moves a clock with each read."""

    def __init__(self, clock: list[float], seconds: float) -> None:
        super().__init__(socket.AF_UNIX)
        self.clock, self.seconds, self.reads = clock, seconds, 0

    def recv(self, size: int, flags: int = 0) -> bytes:
        self.reads += 1
        self.clock[0] += self.seconds
        return bytes(size)


@pytest.mark.parametrize(("seconds", "error", "reads"), [(0.0, OversizedHeadError, 16), (0.5, httpcore.ReadTimeout, 4)])
def test_tls_records_without_data_are_received_up_to_the_bounds(
    mode: Mode, *, seconds: float, error: type[Exception], reads: int
) -> None:
    clock = [100.0]
    raw = Flood(clock, seconds)
    session = NeverDone(client(), "localhost")

    async def shake_hands(stream: AsyncTLSStream) -> None:
        await stream.do_handshake()

    if mode == "sync":
        sync_sock = SyncDeadlineSocket(lambda: clock[0])
        sync_sock.adopt(raw)
        sync_sock.start_request(102.0, 1.0)
        with pytest.raises(error):
            SyncTLSStream(SyncStream(sync_sock), sync_sock, session)
        sync_sock.drop()
    else:
        sock = AsyncDeadlineSocket(lambda: clock[0])
        sock.adopt(raw)
        sock.start_request(102.0, 1.0)
        with pytest.raises(error):
            asyncio.run(shake_hands(AsyncTLSStream(AsyncStream(sock), sock, session)))
        sock.drop()
    assert raw.reads == reads


def test_a_handshake_without_end_closes_the_connection(driver: SocketDriver, pair: socket.socket) -> None:
    driver.sock.start_connecting("a.test", 443)
    driver.sock._received_in_phase = HEAD_LIMIT
    with pytest.raises(OversizedHeadError):
        driver.complete(driver.stream.start_tls(client(), "localhost"))
    assert driver.stream.get_extra_info("is_readable")  # which a closed one is


def test_windows_has_no_poll(pair: socket.socket, driver: SocketDriver, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.platform", "win32")
    sock: DeadlineSocket = driver.sock
    assert not sock.readable()
    pair.sendall(b"x")
    assert sock.readable()


# Connections that die


class Unacknowledged(socket.socket):
    """A socket whose peer has acknowledged nothing for so long that the system has closed it."""

    def recv(self, size: int, flags: int = 0) -> bytes:
        raise TimeoutError(errno.ETIMEDOUT, "Connection timed out")

    def send(self, data: Any, flags: int = 0) -> int:
        raise TimeoutError(errno.ETIMEDOUT, "Connection timed out")


def test_a_connection_that_the_system_gives_up_is_broken_rather_than_late(driver: SocketDriver) -> None:
    driver.use(Unacknowledged(socket.AF_UNIX))
    with pytest.raises(httpcore.ReadError):
        driver.read()
    assert driver.sock.unacknowledged
    driver.sock.start_request(time.monotonic() + 1, 1.0)
    assert not driver.sock.unacknowledged
    with pytest.raises(httpcore.WriteError):
        driver.write(b"question")
    assert driver.sock.unacknowledged


@each(
    ("kind", "received", "unacknowledged", "seconds", "stale"),
    [
        ("connection", 0, False, 0.5, True),
        ("connection", 0, False, 2.0, False),
        ("connection", 0, True, 20.5, True),
        ("connection", 0, True, 60.0, False),  # its request was acknowledged, and a keep-alive packet was not
        ("connection", 1, True, 20.5, False),
        ("timeout", 0, True, 20.5, False),
    ],
)
def test_what_nobody_has_read_is_sent_again(
    kind: FailureKind, received: int, *, unacknowledged: bool, seconds: float, stale: bool
) -> None:
    sock = DeadlineSocket(time.monotonic)
    sock.received, sock.unacknowledged = received, unacknowledged
    assert is_stale(Failure(kind), sock, seconds) is stale


class Recording(socket.socket):
    """A socket that records its options."""

    def __init__(self, fileno: int | None = None) -> None:
        super().__init__(socket.AF_UNIX, fileno=fileno)
        self.options: dict[int, Any] = {}

    def setsockopt(self, level: int, option: int, value: Any) -> None:  # type: ignore[override]
        self.options[option] = value


@pytest.mark.parametrize("upload", [1000, 1_000_000])
def test_connections_are_kept_alive_and_given_up_in_time(driver: SocketDriver, upload: int) -> None:
    driver.sock.start_request(time.monotonic() + 1, 1.0, upload)
    raw = Recording()
    driver.use(raw)
    assert (raw.options[socket.SO_KEEPALIVE], raw.options[socket.TCP_NODELAY]) == (1, 1)
    if hasattr(socket, "TCP_KEEPIDLE"):
        assert 30 <= raw.options[socket.TCP_KEEPIDLE] <= 60
    if hasattr(socket, "TCP_USER_TIMEOUT"):
        # A large request may remain unread until the server has answered once.
        assert raw.options[socket.TCP_USER_TIMEOUT] == (20_000 if upload < 64_000 else 0)
        driver.sock.start_body()
        assert raw.options[socket.TCP_USER_TIMEOUT] == 20_000
        driver.sock.start_request(time.monotonic() + 1, 1.0, upload)
        assert raw.options[socket.TCP_USER_TIMEOUT] == 20_000


@pytest.mark.skipif(not hasattr(socket, "TCP_USER_TIMEOUT"), reason="an option of Linux")
def test_a_long_wait_for_an_answer_does_not_end_with_one_packet_that_is_lost(
    driver: SocketDriver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deadline_socket, "ACKNOWLEDGED", 0.02)
    ours, theirs = socket.socketpair()
    raw = Recording(fileno=ours.detach())
    driver.sock.start_request(time.monotonic() + 30, 30.0)
    driver.use(raw)
    assert raw.options[socket.TCP_USER_TIMEOUT] == 20_000

    def answer_a_long_wait() -> None:
        until = time.monotonic() + 20
        while raw.options[socket.TCP_USER_TIMEOUT] == 20_000 and time.monotonic() < until:
            time.sleep(0.01)
        theirs.sendall(b"answer")

    with theirs:
        answer = threading.Thread(target=answer_a_long_wait)
        answer.start()
        assert driver.read() == b"answer"
        answer.join()
    assert raw.options[socket.TCP_USER_TIMEOUT] == 75_000
    driver.sock.start_body()
    assert raw.options[socket.TCP_USER_TIMEOUT] == 20_000


@pytest.mark.skipif(not hasattr(socket, "TCP_USER_TIMEOUT"), reason="an option of Linux")
def test_a_large_request_may_remain_unread_on_a_connection_that_was_made_in_advance(driver: SocketDriver) -> None:
    raw, limits = Recording(), list[int]()
    driver.sock.start_request(time.monotonic() + 1, 1.0)
    driver.use(raw)
    for _ in range(2):
        driver.sock.start_request(time.monotonic() + 1, 1.0, 1_000_000)
        limits.append(raw.options[socket.TCP_USER_TIMEOUT])
        driver.sock.start_body()
        limits.append(raw.options[socket.TCP_USER_TIMEOUT])
    assert limits == [0, 20_000, 20_000, 20_000]


def test_a_tunnel_has_steps_of_its_own_and_then_the_name_of_the_server(
    driver: SocketDriver, pair: socket.socket
) -> None:
    sock: DeadlineSocket = type(driver.sock)(time.monotonic, Tunnel(0, "model.test", 8443))
    sock.start_request(time.monotonic() + 60, 5.0)
    sock.start_connecting("proxy.test", 3128)
    sock.end_step()
    before = [sock.before_tunnel]
    assert sock.seconds_left() <= 5.0  # for its answer
    sock.start_handshake()
    assert [*before, sock.before_tunnel] == [True, False]
    sock.handshake_error(httpcore.ReadTimeout())
    assert sock.failure is not None
    assert sock.failure.reason == "no TLS handshake with model.test:8443 within 5 s"
    sock.end_step()
    assert sock.seconds_left() > 50
