"""The transport against a server that injects faults, over real sockets, sync and async."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import gzip
import os
import socket
import ssl
import sys
import threading
import time
import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from integration_tests.attacks.network_faults import deafen, hear_again
from integration_tests.support.fault_server import (
    CHUNKED,
    LAST_CHUNK,
    Close,
    FaultServer,
    Hang,
    Peek,
    Repeat,
    Reset,
    Send,
    Sleep,
    Step,
    Until,
    chunk,
    head,
    ok,
)
from integration_tests.support.waiting import PATIENCE
from tests.support.echo_format import CANARY, DONE, EchoCodec, chat_request, target_at, text_event
from tests.support.sync_and_async import Caller, Mode, caller, run, summarize
from unified_llm._backends.http import Transport, deadline_socket
from unified_llm._core.exchange import AnyEvent
from unified_llm._core.outcome import Done, Failure
from unified_llm._core.target import Timing

CERTIFICATE = Path(__file__).parent.parent / "tests" / "support" / "localhost.pem"
HI = ok(b'{"text": "hi"}')
BEGUN = head(CHUNKED) + chunk(text_event("a"))
STREAM = BEGUN + chunk(text_event("b")) + chunk(DONE) + LAST_CHUNK


@pytest.fixture(params=["sync", "async"])
def mode(request: pytest.FixtureRequest) -> Mode:
    parameter: Mode = request.param
    return parameter


@pytest.fixture
def call(mode: Mode) -> Iterator[Caller]:
    with caller(mode) as made:
        yield made


@pytest.fixture
def transport() -> Iterator[Transport]:
    made = Transport()
    yield made
    made.close()


def run_call(
    call: Caller, transport: Transport, url: str, *, stream: bool = False, seconds: float = PATIENCE, **fields: Any
) -> list[AnyEvent]:
    exchange = call.exchange(transport, EchoCodec(), chat_request(stream=stream), target_at(url, **fields))
    return run(exchange, lambda: time.monotonic() + seconds)


def run_stalling(call: Caller, transport: Transport, url: str) -> list[AnyEvent]:
    """Read a stream; from its first event on, each further one has 0.3 s."""
    exchange = call.exchange(transport, EchoCodec(), chat_request(stream=True), target_at(url))
    limits = iter([PATIENCE, PATIENCE])
    return run(exchange, lambda: time.monotonic() + next(limits, 0.3))


def unused_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
    return port


# No connection


def test_a_refused_connection(call: Caller, transport: Transport) -> None:
    (failure,) = run_call(call, transport, f"http://127.0.0.1:{unused_port()}")
    assert isinstance(failure, Failure)
    assert failure.kind == "connect"
    assert "refused" in (failure.detail or "")


def test_a_name_that_does_not_exist(call: Caller, transport: Transport, monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(*_: object, **__: object) -> list[Any]:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    assert summarize(run_call(call, transport, "http://no-such-host.invalid")) == ["connect"]


def test_a_connection_that_is_never_accepted_is_given_up_in_time(call: Caller, transport: Transport) -> None:
    with socket.socket() as listener, contextlib.ExitStack() as held:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        for _ in range(8):  # with a full queue the system drops the first packet of each further connection
            waiting = held.enter_context(socket.socket())
            waiting.settimeout(0)
            waiting.connect_ex(listener.getsockname())
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        started = time.monotonic()
        assert summarize(run_call(call, transport, url, timing=Timing(connect=0.3))) == ["timeout"]
        assert summarize(run_call(call, transport, url, seconds=0.3)) == ["timeout"]
        assert 0.5 < time.monotonic() - started < PATIENCE


def test_of_two_addresses_the_second_answers(
    call: Caller, transport: Transport, monkeypatch: pytest.MonkeyPatch
) -> None:
    with FaultServer([Send(HI)]) as server:
        resolved = [
            (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", unused_port())),
            (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", server.port)),
        ]
        monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: resolved)
        assert summarize(run_call(call, transport, "http://two.test")) == [("whole", "hi")]


def test_a_server_that_closes_or_resets_before_it_reads(call: Caller, transport: Transport) -> None:
    endings: tuple[list[Step], ...] = ([Close()], [Peek(), Reset()])
    for steps in endings:
        with FaultServer(on_accept=steps) as server:
            assert summarize(run_call(call, transport, server.url)) == ["connection"]


# TLS


@pytest.fixture(scope="module")
def tls() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(CERTIFICATE)
    return context


def test_tls_with_a_bundle_of_ones_own(call: Caller, transport: Transport, tls: ssl.SSLContext) -> None:
    with FaultServer([Send(HI)], [Send(STREAM)], [Send(HI)], tls=tls) as server:
        for verify in (str(CERTIFICATE), ssl.create_default_context(cafile=str(CERTIFICATE))):
            assert summarize(run_call(call, transport, server.url, verify=verify))
        assert summarize(run_call(call, transport, server.url, verify=str(CERTIFICATE))) == [("whole", "hi")]
        assert server.accepted == 2  # one for each kind of certificates


def test_a_stream_over_tls(call: Caller, transport: Transport, tls: ssl.SSLContext) -> None:
    big = chunk(text_event("x" * 100_000))
    with FaultServer([Send(BEGUN + big + chunk(DONE)), Sleep(0.02), Send(LAST_CHUNK)], tls=tls) as server:
        for number in (1, 2):
            results = summarize(run_call(call, transport, server.url, stream=True, verify=False))
            assert results == ["a", "x" * 100_000, "."]
            assert server.has_responded(number)  # the last bytes arrive when no call reads them
        assert server.accepted == 1


def test_a_certificate_that_nobody_signed_is_refused(call: Caller, transport: Transport, tls: ssl.SSLContext) -> None:
    with FaultServer(tls=tls) as server:
        (failure,) = run_call(call, transport, server.url)
        assert isinstance(failure, Failure)
        assert failure.kind == "tls"
        assert "self-signed" in (failure.detail or "")
        assert server.requests == []
        assert server.settles_at(0)


def test_a_bundle_that_is_not_there(call: Caller, transport: Transport) -> None:
    assert summarize(run_call(call, transport, "https://127.0.0.1:1", verify="/nowhere/ca.pem")) == ["setup"]


def test_a_certificate_for_another_name_is_refused(
    call: Caller, transport: Transport, tls: ssl.SSLContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    with FaultServer(tls=tls) as server:
        resolved = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", server.port))]
        monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: resolved)
        assert summarize(run_call(call, transport, "https://other.internal", verify=str(CERTIFICATE))) == ["tls"]


@pytest.mark.parametrize(
    ("step", "kind"), [(Send(b"HTTP/1.1 400 Bad Request\r\n\r\n"), "tls"), (Hang(), "timeout"), (Close(), "connect")]
)
def test_a_port_that_does_not_speak_tls(call: Caller, transport: Transport, step: Any, kind: str) -> None:
    with FaultServer(on_accept=[step, Hang()] if isinstance(step, Send) else [step]) as server:
        url = server.url.replace("http:", "https:")
        started = time.monotonic()
        timing = Timing(connect=0.3 if kind == "timeout" else PATIENCE)
        assert summarize(run_call(call, transport, url, timing=timing)) == [kind]
        assert time.monotonic() - started < PATIENCE
        assert server.settles_at(0)


# Time


def test_a_server_that_never_answers(call: Caller, transport: Transport) -> None:
    with FaultServer([Hang()]) as server:
        assert summarize(run_call(call, transport, server.url, seconds=0.2)) == ["timeout"]
        assert server.settles_at(0)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="options of Linux")
def test_a_long_wait_survives_a_keep_alive_packet_that_is_lost(
    call: Caller, transport: Transport, monkeypatch: pytest.MonkeyPatch
) -> None:
    quick = {"TCP_KEEPIDLE": 1, "TCP_KEEPINTVL": 1}  # seconds
    options = {name: (level, quick.get(name, value)) for name, (level, value) in deadline_socket._OPTIONS.items()}
    for name, value in (("_OPTIONS", options), ("_UNACKNOWLEDGED", 500), ("ACKNOWLEDGED", 0.8)):
        monkeypatch.setattr(deadline_socket, name, value)
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            with listener.accept()[0] as connection:
                connection.recv(65536)
                time.sleep(0.9)
                if deafen(connection):
                    time.sleep(0.6)  # which is when the first keep-alive packet comes
                    hear_again(connection)
                time.sleep(1.5)
                connection.sendall(HI)

        server = threading.Thread(target=serve)
        server.start()
        answer = run_call(call, transport, f"http://127.0.0.1:{listener.getsockname()[1]}/v1")
        server.join()
    assert summarize(answer) == [("whole", "hi")]


def test_a_stream_that_stalls(call: Caller, transport: Transport) -> None:
    with FaultServer([Send(BEGUN), Hang()]) as server:
        assert summarize(run_stalling(call, transport, server.url)) == ["a", "timeout"]
        assert server.settles_at(0)


@pytest.mark.parametrize("step", [Repeat(chunk(b": ping\n\n"), pause=0.02), Repeat(chunk(b"d"), pause=0.02)])
def test_bytes_that_make_no_event_do_not_prolong_a_read(call: Caller, transport: Transport, step: Repeat) -> None:
    with FaultServer([Send(BEGUN), step]) as server:
        assert summarize(run_stalling(call, transport, server.url)) == ["a", "timeout"]
        assert server.settles_at(0)


def test_an_upload_that_is_not_read_is_given_up_in_time(call: Caller, transport: Transport) -> None:
    with FaultServer(on_accept=[Sleep(3)]) as server:
        exchange = call.exchange(transport, EchoCodec(), chat_request("x" * 30_000_000), target_at(server.url))
        assert summarize(run(exchange, time.monotonic() + 0.3)) == ["timeout"]


def test_an_upload_that_is_reset_half_way(call: Caller, transport: Transport) -> None:
    with FaultServer(on_accept=[Peek(), Reset()]) as server:
        exchange = call.exchange(transport, EchoCodec(), chat_request("x" * 30_000_000), target_at(server.url))
        assert summarize(run(exchange, time.monotonic() + PATIENCE)) == ["connection"]


def test_a_large_upload_arrives(call: Caller, transport: Transport) -> None:
    with FaultServer([Send(HI)]) as server:
        exchange = call.exchange(transport, EchoCodec(), chat_request("x" * 5_000_000), target_at(server.url))
        assert summarize(run(exchange, time.monotonic() + PATIENCE)) == [("whole", "hi")]
        assert len(server.requests[0].body) > 5_000_000


# Cuts


CUTS = [(Close(), "connection"), (Reset(), "connection")]


@pytest.mark.parametrize(("step", "kind"), CUTS)
@pytest.mark.parametrize("framing", [CHUNKED, "Content-Length: 1000"])
def test_a_stream_that_is_cut(call: Caller, transport: Transport, *, framing: str, step: Any, kind: str) -> None:
    event = chunk(text_event("a")) if framing == CHUNKED else text_event("a")
    with FaultServer([Send(head(framing) + event), Sleep(0.05), step]) as server:
        assert summarize(run_call(call, transport, server.url, stream=True)) == ["a", kind]


def test_a_stream_that_ends_with_its_connection(call: Caller, transport: Transport) -> None:
    with FaultServer(
        [Send(head() + text_event("a")), Close()], [Send(head() + text_event("a") + DONE), Close()]
    ) as server:
        assert summarize(run_call(call, transport, server.url, stream=True)) == ["a", "truncated"]
        assert summarize(run_call(call, transport, server.url, stream=True)) == ["a", "."]


@pytest.mark.parametrize("every", [1, 7])
def test_a_response_in_tiny_pieces(call: Caller, transport: Transport, every: int) -> None:
    with FaultServer([Send(STREAM, every=every)]) as server:
        assert summarize(run_call(call, transport, server.url, stream=True)) == ["a", "b", "."]


# Sizes


@pytest.mark.case(26)
def test_a_gzip_bomb_costs_no_memory(call: Caller, transport: Transport) -> None:
    packed = gzip.compress(b'{"text": "' + bytes(200_000_000), 9)
    assert len(packed) < 300_000
    with FaultServer([Send(ok(packed, "Content-Encoding: gzip"))]) as server:
        run_call(call, transport, server.url)
        tracemalloc.start()
        assert summarize(run_call(call, transport, server.url)) == ["oversized"]
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < 80_000_000


def test_a_body_without_end(call: Caller, transport: Transport) -> None:
    with FaultServer([Send(head() + b'{"text": "'), Repeat(b"x" * 1_000_000)]) as server:
        assert summarize(run_call(call, transport, server.url)) == ["oversized"]
        assert server.settles_at(0)


def test_a_line_without_end(call: Caller, transport: Transport) -> None:
    with FaultServer([Send(BEGUN + chunk(b"data: ")), Repeat(chunk(b"x" * 10_000))]) as server:
        assert summarize(run_call(call, transport, server.url, stream=True)) == ["a", "oversized"]
        assert server.settles_at(0)


def test_a_slow_reader_slows_the_server_down(call: Caller, transport: Transport) -> None:
    with FaultServer([Send(head(CHUNKED)), Repeat(chunk(text_event("x" * 10_000)))]) as server:
        exchange = call.exchange(transport, EchoCodec(), chat_request(stream=True), target_at(server.url))
        assert exchange.open(time.monotonic() + PATIENCE) is None
        tracemalloc.start()
        for _ in range(20):
            exchange.read(time.monotonic() + PATIENCE)
            time.sleep(0.01)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        exchange.close()
        assert peak < 5_000_000
        assert server.settles_at(0)


def test_an_error_with_a_huge_body(call: Caller, transport: Transport) -> None:
    with FaultServer([Send(head(CHUNKED, status="500 Oops")), Repeat(chunk(b"x" * 100_000))]) as server:
        (failure,) = run_call(call, transport, server.url)
        assert isinstance(failure, Failure)
        assert (failure.kind, failure.status) == ("server", 500)
        assert server.settles_at(0)


# Connections


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_to_another_host_takes_nothing_there(call: Caller, transport: Transport, status: int) -> None:
    with FaultServer() as other:
        moved = ok(b"", f"Location: {other.url}/", status=f"{status} Moved")
        with FaultServer([Send(moved)]) as server:
            assert summarize(run_call(call, transport, server.url)) == ["redirect"]
        assert other.accepted == 0


def test_calls_in_turn_use_one_connection(call: Caller, transport: Transport) -> None:
    with FaultServer([Send(HI)], [Send(STREAM)], [Send(ok(b"no", status="529 Busy"))], [Send(HI)]) as server:
        for stream in (False, True, False, False):
            run_call(call, transport, server.url, stream=stream)
        assert server.accepted == 1
        assert server.open == 1
        transport.close()
        assert server.settles_at(0)


@pytest.mark.parametrize("step", [Close(), Reset()])
def test_a_connection_that_the_server_closed_between_calls(call: Caller, transport: Transport, step: Any) -> None:
    with FaultServer([Send(HI), step], [Send(HI)]) as server:
        for _ in range(2):
            assert summarize(run_call(call, transport, server.url)) == [("whole", "hi")]
            assert server.settles_at(len(server.requests) - 1)
        assert server.accepted == 2


@pytest.mark.parametrize("step", [Close(), Reset()])
def test_a_connection_that_the_server_closes_upon_the_next_request(
    call: Caller, transport: Transport, step: Any
) -> None:
    with FaultServer([Send(HI)], [step], [Send(HI)]) as server:
        results = [summarize(run_call(call, transport, server.url)) for _ in range(3)]
        assert results == [[("whole", "hi")], ["stale"], [("whole", "hi")]]
        assert [request.connection for request in server.requests] == [0, 0, 1]


def test_a_stream_ends_although_the_server_keeps_its_connection_open(call: Caller, transport: Transport) -> None:
    with FaultServer([Send(BEGUN + chunk(DONE)), Hang()], [Send(HI)]) as server:
        assert summarize(run_call(call, transport, server.url, stream=True)) == ["a", "."]
        assert summarize(run_call(call, transport, server.url)) == [("whole", "hi")]
        assert server.settles_at(1)


def test_a_stream_that_is_left_early(call: Caller, transport: Transport) -> None:
    with FaultServer([Send(BEGUN), Repeat(chunk(text_event("more")), pause=0.01)]) as server:
        exchange = call.exchange(transport, EchoCodec(), chat_request(stream=True), target_at(server.url))
        assert exchange.open(time.monotonic() + PATIENCE) is None
        assert summarize([exchange.read(time.monotonic() + PATIENCE)]) == ["a"]
        exchange.close()
        assert server.settles_at(0)


def test_a_transport_that_is_forgotten_leaves_no_connection(call: Caller) -> None:
    with FaultServer([Send(HI)]) as server:
        forgotten = Transport()
        run_call(call, forgotten, server.url)
        del forgotten
        gc.collect()
        assert server.settles_at(0)


# Threads, loops, processes


def test_threads_share_connections(transport: Transport) -> None:
    with FaultServer([Send(HI)]) as server, caller("sync") as call:
        results: list[Any] = []

        def work() -> None:
            for _ in range(25):
                results.extend(summarize(run_call(call, transport, server.url)))

        threads = [threading.Thread(target=work) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert results == [("whole", "hi")] * 200
        assert server.accepted <= 8
        transport.close()
        assert server.settles_at(0)


async def run_async_call(transport: Transport, url: str, *, stream: bool = False) -> list[AnyEvent]:
    exchange = transport.aexchange(EchoCodec(), chat_request(stream=stream), target_at(url))
    until = time.monotonic() + PATIENCE
    try:
        failure = await exchange.open(until)
        if failure is not None:
            return [failure]
        events = [await exchange.read(until)]
        while not isinstance(events[-1], (Done, Failure)):
            events.append(await exchange.read(until))
        return events
    finally:
        await exchange.close()


def test_a_hundred_calls_at_once_and_then_a_hundred_more(transport: Transport) -> None:
    async def work(url: str) -> None:
        for _ in range(2):
            all_events = await asyncio.gather(*(run_async_call(transport, url, stream=True) for _ in range(100)))
            assert [summarize(events) for events in all_events] == [["a", "b", "."]] * 100

    with FaultServer([Send(STREAM)]) as server:
        asyncio.run(work(server.url))
        assert server.accepted == 100
        transport.close()
        assert server.settles_at(0)


def test_two_loops_one_after_the_other_do_not_share_connections(
    transport: Transport, caplog: pytest.LogCaptureFixture
) -> None:
    with FaultServer([Send(HI)], [Send(BEGUN + chunk(DONE))], [Send(HI)]) as server:
        for stream in (False, True, False, False):
            assert len(asyncio.run(run_async_call(transport, server.url, stream=stream)))
            assert server.settles_at(0)  # the connections of a loop end with it
        assert server.accepted == 4
        transport.close()
        assert server.settles_at(0)
    assert [record for record in caplog.records if record.levelname not in {"DEBUG", "INFO"}] == []


def test_loops_in_threads_do_not_share_connections(transport: Transport) -> None:
    async def work(url: str) -> None:
        for _ in range(10):
            assert summarize(await run_async_call(transport, url)) == [("whole", "hi")]

    with FaultServer([Send(HI)]) as server:
        threads = [threading.Thread(target=lambda: asyncio.run(work(server.url))) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(server.requests) == 80
        assert server.accepted == 8
        transport.close()
        assert server.settles_at(0)


@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
def test_a_forked_child_makes_connections_of_its_own_and_leaves_those_of_its_parent(
    call: Caller, transport: Transport, mode: Mode
) -> None:
    with FaultServer([Send(HI)]) as server:
        run_call(call, transport, server.url)
        child = os.fork()
        if child == 0:
            with caller(mode) as child_call:
                results = summarize(run_call(child_call, transport, server.url))
            transport.close()
            os._exit(results != [("whole", "hi")])
        assert os.waitpid(child, 0)[1] == 0
        assert server.settles_at(1)
        assert summarize(run_call(call, transport, server.url)) == [("whole", "hi")]
        assert [request.connection for request in server.requests] == [0, 1, 0]


def test_a_loop_that_was_closed_with_an_open_stream_leaves_no_trace(
    transport: Transport, recwarn: pytest.WarningsRecorder
) -> None:
    async def begin(url: str) -> object:
        exchange = transport.aexchange(EchoCodec(), chat_request(stream=True), target_at(url))
        assert await exchange.open(time.monotonic() + PATIENCE) is None
        await exchange.read(time.monotonic() + PATIENCE)
        return exchange

    with FaultServer([Send(BEGUN), Hang()]) as server:
        exchange = asyncio.run(begin(server.url))
        del exchange
        gc.collect()
        assert server.settles_at(0)
    assert list(recwarn) == []


# Cancellation


@pytest.mark.parametrize(
    ("script", "accepts"),
    [
        pytest.param([Hang()], True, id="while it waits for the head"),
        pytest.param([Send(BEGUN), Hang()], True, id="while it waits for a chunk"),
        pytest.param([Send(head(status="500 Oops")), Hang()], True, id="while it reads an error"),
        pytest.param([Send(BEGUN), Repeat(chunk(b":\n\n"))], True, id="while there is always something to read"),
        pytest.param([], False, id="while it connects"),
    ],
)
@pytest.mark.parametrize("times", [1, 2])
def test_a_cancelled_call_leaves_nothing(*, script: list[Any], accepts: bool, times: int) -> None:
    async def work(url: str, server: FaultServer | None) -> None:
        for number in range(3):  # with one permit: each call must return it
            task = asyncio.create_task(run_async_call(narrow, url, stream=True))
            if server:
                assert await asyncio.to_thread(server.has_received, number + 1)
            await asyncio.sleep(0.05)
            for _ in range(times):
                task.cancel()
                await asyncio.sleep(0)
            with pytest.raises(asyncio.CancelledError):
                await task
        assert asyncio.all_tasks() == {asyncio.current_task()}

    narrow = Transport(max_connections=1)
    with contextlib.ExitStack() as stack:
        if accepts:
            server = stack.enter_context(FaultServer(script))
            asyncio.run(work(server.url, server))
            assert server.accepted == 3
            assert server.settles_at(0)
        else:
            listener = stack.enter_context(socket.socket())
            listener.bind(("127.0.0.1", 0))
            listener.listen(0)
            for _ in range(8):
                waiting = stack.enter_context(socket.socket())
                waiting.settimeout(0)
                waiting.connect_ex(listener.getsockname())
            asyncio.run(work(f"http://127.0.0.1:{listener.getsockname()[1]}", None))


def test_a_call_cancelled_while_it_waits_for_a_permit_takes_none() -> None:
    async def work(url: str) -> None:
        busy = asyncio.create_task(run_async_call(narrow, url))
        assert await asyncio.to_thread(server.has_received, 1)
        waiting = asyncio.create_task(run_async_call(narrow, url))
        await asyncio.sleep(0.05)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        cancelled.set()
        assert summarize(await busy) == [("whole", "hi")]
        assert summarize(await run_async_call(narrow, url)) == [("whole", "hi")]

    narrow, cancelled = Transport(max_connections=1), threading.Event()
    with FaultServer([Until(cancelled.is_set), Send(HI)]) as server:
        asyncio.run(work(server.url))
        assert len(server.requests) == 2


def test_a_timeout_of_the_callers_own_works_around_a_call(transport: Transport) -> None:
    async def work(url: str) -> None:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.1):
                await run_async_call(transport, url, stream=True)

    with FaultServer([Send(BEGUN), Hang()]) as server:
        asyncio.run(work(server.url))
        assert server.settles_at(0)


# Proxies


def test_a_proxy_is_for_https_to_public_hosts_only(
    call: Caller, transport: Transport, monkeypatch: pytest.MonkeyPatch
) -> None:
    refusal = ok(b"<html>who are you?</html>", status="407 Proxy Authentication Required")
    with FaultServer([Send(refusal)]) as proxy, FaultServer([Send(HI)]) as server:
        for name in ("HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY", "https_proxy", "http_proxy", "all_proxy"):
            monkeypatch.setenv(name, proxy.url)
        for name in ("NO_PROXY", "no_proxy"):
            monkeypatch.delenv(name, raising=False)
        assert summarize(run_call(call, transport, server.url)) == [("whole", "hi")]
        assert proxy.accepted == 0
        (failure,) = run_call(call, transport, "https://api.example.com/v1")
        assert isinstance(failure, Failure)
        assert failure.kind == "connect"
        assert [(request.method, request.path) for request in proxy.requests] == [("CONNECT", "api.example.com:443")]
        assert CANARY not in repr(proxy.requests[0].headers)
        monkeypatch.setenv("NO_PROXY", "example.com")
        monkeypatch.setenv("no_proxy", "example.com")
        monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: [])
        assert summarize(run_call(call, transport, "https://api.example.com/v1")) == ["connect"]
        assert len(proxy.requests) == 1


def test_recorders_of_httpx_traffic_see_ours(call: Caller, transport: Transport, tmp_path: Path) -> None:
    vcr = pytest.importorskip("vcr")
    cassette = tmp_path / "cassette.yaml"
    with FaultServer([Send(HI)], [Send(STREAM)]) as server:
        url = server.url
        with vcr.use_cassette(str(cassette), filter_headers=["authorization"]):
            assert summarize(run_call(call, transport, url)) == [("whole", "hi")]
            assert summarize(run_call(call, transport, url, stream=True)) == ["a", "b", "."]
    with vcr.use_cassette(str(cassette), record_mode="none"):
        assert summarize(run_call(call, transport, url)) == [("whole", "hi")]
        assert summarize(run_call(call, transport, url, stream=True)) == ["a", "b", "."]
