"""Sync and async exchanges over the real HTTP code and a scripted network."""

from __future__ import annotations

import gzip
import json
import logging
import time
from collections.abc import Sequence
from typing import Any

import httpcore
import httpx
import pytest

from tests.support.each import each
from tests.support.echo_format import CANARY, DONE, FINISH, EchoCodec, chat_request, target_at, text_event
from tests.support.scripted_server import Network
from tests.support.sync_and_async import Caller, caller, run, summarize
from unified_llm._backends.http import Transport, pool
from unified_llm._backends.http.deadline_socket_sync import SyncDeadlineSocket
from unified_llm._backends.http.errors import failure_from_error
from unified_llm._backends.http.pool import Route, tunnel_of
from unified_llm._core.codec import AnyRequest, WireRequest
from unified_llm._core.exchange import AnyEvent
from unified_llm._core.outcome import Done, Failure
from unified_llm._core.proxy import Proxy
from unified_llm._core.target import Target, Timing
from unified_llm.exceptions import ValidationError
from unified_llm.types import EmbeddingRequest, EmbeddingResponse, LLMResponse, ModelsRequest

URL = "http://model.test:8000/v1"
EVENTS = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
END = b"0\r\n\r\n"


def whole(body: bytes, *headers: str, status: str = "200 OK") -> bytes:
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *headers]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(data), data)


def run_call(
    call: Caller,
    transport: Transport,
    network: Network,
    *,
    stream: bool = False,
    seconds: float = 60,
    url: str = URL,
    **fields: Any,
) -> list[AnyEvent]:
    """Run one call; opening and each read may take so many seconds. ``fields`` are those of the target."""
    exchange = call.exchange(transport, EchoCodec(), chat_request(stream=stream), target_at(url, **fields))
    return run(exchange, lambda: network.clock() + seconds)


HI = whole(b'{"text": "hi"}')


def test_a_whole_answer_is_one_done(call: Caller, transport: Transport, network: Network) -> None:
    unplayed = network.add_connection(HI).script
    assert summarize(run_call(call, transport, network)) == [("whole", "hi")]
    assert unplayed == []
    assert network.addresses == [("model.test", 8000)]


def test_the_request_says_what_it_must_and_nothing_else(call: Caller, transport: Transport, network: Network) -> None:
    connection = network.add_connection(HI)
    run_call(call, transport, network)
    head, _, body = connection.sent.partition(b"\r\n\r\n")
    first, *lines = head.decode().split("\r\n")
    headers = dict(line.split(": ", 1) for line in lines)
    assert first == "POST /v1/echo HTTP/1.1"
    assert headers.pop("user-agent").startswith("unified-llm/")
    assert headers == {
        "host": "model.test:8000",
        "accept": "application/json",
        "accept-encoding": "gzip",
        "content-type": "application/json",
        "content-length": str(len(body)),
        "authorization": f"Bearer {CANARY}",
    }


def test_a_stream_is_chunks_and_a_done(call: Caller, transport: Transport, network: Network) -> None:
    connection = network.add_connection(
        EVENTS, chunk(text_event("a") + text_event("b")), chunk(text_event("c")), chunk(DONE) + END
    )
    assert summarize(run_call(call, transport, network, stream=True)) == ["a", "b", "c", "."]
    assert b"accept-encoding: identity" in connection.sent


def test_a_get_has_no_body(call: Caller, transport: Transport, network: Network) -> None:
    connection = network.add_connection(HI)
    run(call.exchange(transport, EchoCodec(), ModelsRequest(), target_at(URL)), network.clock() + 1)
    assert connection.sent.startswith(b"GET /v1/models HTTP/1.1\r\n")
    assert b"content-" not in connection.sent


def test_embeddings_are_answers_like_any_other(call: Caller, transport: Transport, network: Network) -> None:
    network.add_connection(HI)
    events = run(call.exchange(transport, EchoCodec(), EmbeddingRequest(("x",)), target_at(URL)), network.clock() + 1)
    assert isinstance(events[0], Done)
    assert events[0].value == EmbeddingResponse([[1.0]])


def test_a_whole_body_that_comes_in_pieces_is_put_together(
    call: Caller, transport: Transport, network: Network
) -> None:
    network.add_connection(*(HI[index : index + 1] for index in range(len(HI))))
    assert summarize(run_call(call, transport, network)) == [("whole", "hi")]


# Deadlines


def test_no_answer_in_time_is_a_timeout(call: Caller, transport: Transport, network: Network) -> None:
    network.add_connection()
    assert summarize(run_call(call, transport, network, seconds=5)) == ["timeout"]
    assert network.clock() == 1005
    assert network.open == 0


def test_comments_do_not_prolong_a_read(call: Caller, transport: Transport, network: Network) -> None:
    pings = [part for _ in range(100) for part in (1.0, chunk(b": ping\n\n"))]
    network.add_connection(EVENTS, chunk(text_event("a")), *pings)
    assert summarize(run_call(call, transport, network, stream=True, seconds=5)) == ["a", "timeout"]
    assert network.clock() == 1005


def test_a_body_that_drips_does_not_prolong_a_read(call: Caller, transport: Transport, network: Network) -> None:
    drips = [part for index in range(len(HI)) for part in (1.0, HI[index : index + 1])]
    network.add_connection(*drips)
    assert summarize(run_call(call, transport, network, seconds=10)) == ["timeout"]
    assert network.clock() == 1010


def test_a_stream_that_lacks_only_its_end_is_done_when_its_end_does_not_come(
    call: Caller, transport: Transport, network: Network
) -> None:
    network.add_connection(EVENTS, chunk(text_event("a") + FINISH))
    assert summarize(run_call(call, transport, network, stream=True)) == ["a", "."]
    assert network.open == 0


def test_an_instant_that_has_passed_is_a_timeout_at_once(call: Caller, transport: Transport, network: Network) -> None:
    network.add_connection()
    assert summarize(run_call(call, transport, network, seconds=-1)) == ["timeout"]
    assert network.clock() == 1000


# Ends that are none


@pytest.mark.parametrize(
    ("rest", "kind"),
    [
        ([b""], "connection"),
        ([httpcore.ReadError], "connection"),
        ([END, b""], "truncated"),
    ],
)
def test_a_stream_without_its_terminal_event_is_a_failure(
    call: Caller, transport: Transport, network: Network, *, rest: list[Any], kind: str
) -> None:
    network.add_connection(EVENTS, chunk(text_event("a")), *rest)
    assert summarize(run_call(call, transport, network, stream=True)) == ["a", kind]


def test_a_stream_that_is_cut_after_all_of_its_answer_is_done(
    call: Caller, transport: Transport, network: Network
) -> None:
    network.add_connection(EVENTS, chunk(text_event("a") + FINISH), httpcore.ReadError)
    assert summarize(run_call(call, transport, network, stream=True)) == ["a", "."]


def test_a_stream_that_ends_with_its_connection_and_no_terminal_event_is_truncated(
    call: Caller, transport: Transport, network: Network
) -> None:
    network.add_connection(b"HTTP/1.1 200 OK\r\n\r\n" + text_event("a"), b"")
    assert summarize(run_call(call, transport, network, stream=True)) == ["a", "truncated"]


def test_a_whole_body_that_is_cut_is_a_broken_connection(call: Caller, transport: Transport, network: Network) -> None:
    network.add_connection(HI[:-3], b"")
    assert summarize(run_call(call, transport, network)) == ["connection"]


def test_an_error_inside_a_stream_ends_it(call: Caller, transport: Transport, network: Network) -> None:
    network.add_connection(EVENTS, chunk(text_event("a") + b'data: {"error": "overloaded"}\n\n' + text_event("b")))
    events = run_call(call, transport, network, stream=True)
    assert summarize(events) == ["a", "server"]
    assert isinstance(events[1], Failure)
    assert events[1].code == "overloaded"
    assert network.open == 0


def test_a_refused_connection_says_so(call: Caller, transport: Transport, network: Network) -> None:
    events = run_call(call, transport, network)
    assert summarize(events) == ["connect"]
    assert isinstance(events[0], Failure)
    assert events[0].detail == "refused"


def test_a_server_that_closes_without_an_answer_is_a_broken_connection(
    call: Caller, transport: Transport, network: Network
) -> None:
    network.add_connection(b"")
    network.add_connection(HI)
    assert summarize(run_call(call, transport, network)) == ["connection"]
    assert len(network.made) == 1  # a new connection is never stale; whether to retry is decided elsewhere


def test_an_answer_that_is_no_http_is_a_broken_connection(call: Caller, transport: Transport, network: Network) -> None:
    network.add_connection(b"SSH-2.0-OpenSSH_9.9\r\n\r\n")
    assert summarize(run_call(call, transport, network)) == ["connection"]


def test_a_refusal_sent_before_all_of_the_request_was_read_is_seen(
    call: Caller, transport: Transport, network: Network
) -> None:
    network.add_connection(whole(b"too much", status="413 Content Too Large")).refuses_bytes = True
    events = run_call(call, transport, network)
    assert isinstance(events[0], Failure)
    assert events[0].status == 413


# Statuses


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_not_followed(call: Caller, transport: Transport, network: Network, status: int) -> None:
    network.add_connection(whole(b"", "Location: http://other.test/", status=f"{status} Moved"))
    assert summarize(run_call(call, transport, network)) == ["redirect"]
    assert network.addresses == [("model.test", 8000)]


def test_a_failure_keeps_hints_and_the_request_id_and_no_other_header(
    call: Caller, transport: Transport, network: Network
) -> None:
    network.add_connection(
        whole(
            b"slow down",
            "Retry-After: 7",
            "Retry-After: 9",
            "Date: Thu, 01 Jan 2026 00:00:00 GMT",
            "X-RateLimit-Remaining-Requests: 0",
            "Set-Cookie: session=1",
            "CF-Ray: ray",
            "X-Request-ID: request",
            status="503 Unavailable",
        )
    )
    (failed,) = run_call(call, transport, network)
    assert isinstance(failed, Failure)
    assert (failed.kind, failed.status, failed.detail) == ("server", 503, "slow down")
    assert failed.request_id == "request"
    assert dict(failed.headers) == {
        "retry-after": "7",
        "date": "Thu, 01 Jan 2026 00:00:00 GMT",
        "x-ratelimit-remaining-requests": "0",
    }


def test_the_request_id_of_a_success_is_kept(call: Caller, transport: Transport, network: Network) -> None:
    network.add_connection(whole(b'{"text": "hi"}', "request-id: r1"))
    (done,) = run_call(call, transport, network)
    assert isinstance(done, Done)
    assert done.request_id == "r1"


def test_the_status_of_a_failure_is_known_although_its_body_never_ends(
    call: Caller, transport: Transport, network: Network
) -> None:
    network.add_connection(whole(b"x" * 50, status="500 Oops")[:-10])
    (failed,) = run_call(call, transport, network, seconds=60)
    assert isinstance(failed, Failure)
    assert failed.status == 500
    assert network.clock() == 1005


def test_of_an_endless_error_only_the_beginning_is_read(call: Caller, transport: Transport, network: Network) -> None:
    connection = network.add_connection(EVENTS.replace(b"200 OK", b"500 Oops"), *[chunk(b"x" * 4096)] * 100)
    (failed,) = run_call(call, transport, network)
    assert isinstance(failed, Failure)
    assert failed.detail == "x" * 16384
    assert len(connection.script) >= 95
    assert network.open == 0


# Connections


def test_calls_one_after_the_other_share_a_connection(call: Caller, transport: Transport, network: Network) -> None:
    connection = network.add_connection(HI, EVENTS + chunk(DONE) + END, HI)
    for stream in (False, True, False):
        run_call(call, transport, network, stream=stream)
    assert connection.requests == 3
    assert len(network.made) == 1


def test_a_refused_request_does_not_cost_its_connection(call: Caller, transport: Transport, network: Network) -> None:
    connection = network.add_connection(whole(b"busy", status="529 Busy"), HI)
    assert summarize(run_call(call, transport, network)) == ["server"]
    assert summarize(run_call(call, transport, network)) == [("whole", "hi")]
    assert connection.requests == 2


@pytest.mark.parametrize("status", ["502 Bad Gateway", "503 Busy", "504 Gateway Timeout"])
def test_after_a_server_that_may_be_about_to_end_no_old_connection_is_used(
    call: Caller, transport: Transport, network: Network, status: str
) -> None:
    old = [network.add_connection(HI, whole(b"bye", status=status)) for _ in range(2)]
    new = network.add_connection(HI)
    exchanges = [call.exchange(transport, EchoCodec(), chat_request(), target_at(URL)) for _ in range(2)]
    for exchange in exchanges:
        assert exchange.open(network.clock() + 1) is None
    for exchange in exchanges:
        exchange.read(network.clock() + 1)
        exchange.close()
    assert summarize(run_call(call, transport, network)) == ["server"]
    assert summarize(run_call(call, transport, network)) == [("whole", "hi")]
    assert ([connection.requests for connection in old], new.requests) == ([1, 2], 1)


def test_a_connection_in_constant_use_has_a_greatest_age(call: Caller, transport: Transport, network: Network) -> None:
    old, new = network.add_connection(*[HI] * 20), network.add_connection(HI)
    for _ in range(11):
        assert summarize(run_call(call, transport, network)) == [("whole", "hi")]
        network.clock.time += 30
    assert (old.requests, new.requests) == (11, 0)
    assert summarize(run_call(call, transport, network)) == [("whole", "hi")]
    assert (old.requests, new.requests) == (11, 1)


def test_calls_at_once_have_connections_of_their_own_and_the_last_one_free_is_used_first(
    call: Caller, transport: Transport, network: Network
) -> None:
    first, second = network.add_connection(HI, HI), network.add_connection(HI, HI)
    exchanges = [call.exchange(transport, EchoCodec(), chat_request(), target_at(URL)) for _ in range(2)]
    for exchange in exchanges:
        assert exchange.open(network.clock() + 1) is None
    for exchange in exchanges:
        exchange.read(network.clock() + 1)
        exchange.close()
    run_call(call, transport, network)
    assert (first.requests, second.requests) == (1, 2)


def test_a_stream_ends_at_its_terminal_event_whatever_the_server_does_with_the_connection(
    call: Caller, transport: Transport, network: Network
) -> None:
    network.add_connection(EVENTS, chunk(DONE))
    network.add_connection(HI)
    assert summarize(run_call(call, transport, network, stream=True)) == ["."]
    assert network.clock() == 1000
    assert summarize(run_call(call, transport, network)) == [("whole", "hi")]
    assert network.made[0].closed  # its body never ended, so it could not carry another request


def test_a_body_whose_last_bytes_come_late_does_not_cost_its_connection(
    call: Caller, transport: Transport, network: Network
) -> None:
    connection = network.add_connection(EVENTS, chunk(DONE))
    assert summarize(run_call(call, transport, network, stream=True)) == ["."]
    connection.script += [END, HI]
    assert summarize(run_call(call, transport, network)) == [("whole", "hi")]
    assert len(network.made) == 1


def test_a_server_that_goes_on_after_the_end_of_its_stream_is_left(
    call: Caller, transport: Transport, network: Network
) -> None:
    network.add_connection(EVENTS, chunk(DONE), *[chunk(text_event("more"))] * 50)
    network.add_connection(HI)
    assert summarize(run_call(call, transport, network, stream=True)) == ["."]
    assert summarize(run_call(call, transport, network)) == [("whole", "hi")]
    assert network.made[0].closed


def test_a_stream_that_is_left_early_closes_its_connection(
    call: Caller, transport: Transport, network: Network
) -> None:
    network.add_connection(EVENTS, chunk(text_event("a") + text_event("b")), chunk(DONE))
    exchange = call.exchange(transport, EchoCodec(), chat_request(stream=True), target_at(URL))
    assert exchange.open(network.clock() + 1) is None
    exchange.read(network.clock() + 1)
    exchange.close()
    assert network.open == 0


@pytest.mark.parametrize("header", ["Connection: close", "X-Nothing: here"])
def test_a_connection_that_the_server_will_close_is_not_kept(
    call: Caller, transport: Transport, network: Network, header: str
) -> None:
    body = b'{"text": "hi"}'
    framing = f"Content-Length: {len(body)}\r\n" if header.startswith("Connection") else ""
    network.add_connection(f"HTTP/1.1 200 OK\r\n{framing}{header}\r\n\r\n".encode() + body, b"")
    assert summarize(run_call(call, transport, network)) == [("whole", "hi")]
    assert network.open == 0


def test_a_connection_that_was_closed_while_idle_is_not_used(
    call: Caller, transport: Transport, network: Network
) -> None:
    first, second = network.add_connection(HI, b""), network.add_connection(HI)
    for _ in range(2):
        assert summarize(run_call(call, transport, network)) == [("whole", "hi")]
    assert (first.requests, second.requests) == (1, 1)


@pytest.mark.parametrize(
    "more", [whole(b'{"text": "of nobody"}'), b"HTTP/1.1 102 Processing\r\n\r\n", b"\r\n", b"x", HI[:-4]]
)
@pytest.mark.parametrize("response", [HI, EVENTS + chunk(text_event("hi") + FINISH + DONE) + END])
def test_a_connection_that_received_more_than_the_response_is_not_used_again(
    call: Caller, transport: Transport, network: Network, *, response: bytes, more: bytes
) -> None:
    # In one piece, so that no byte is left in the socket: they would be read as the response to the next request.
    first, second = network.add_connection(response + more), network.add_connection(HI)
    for _ in range(2):
        assert summarize(run_call(call, transport, network)) == [("whole", "hi")]
    assert (first.requests, second.requests) == (1, 1)


@pytest.mark.parametrize("problem", [b"", httpcore.ReadError])
def test_a_kept_connection_that_is_closed_at_the_moment_of_its_use_is_stale(
    call: Caller, transport: Transport, network: Network, problem: Any
) -> None:
    # The pause hides the end from the check before a connection is reused.
    network.add_connection(HI, 0.1, problem)
    network.add_connection(HI)
    results = [summarize(run_call(call, transport, network)) for _ in range(3)]
    assert results == [[("whole", "hi")], ["stale"], [("whole", "hi")]]
    assert [made.requests for made in network.made] == [2, 1]


def test_without_resend_it_is_a_broken_connection(call: Caller, transport: Transport, network: Network) -> None:
    network.add_connection(HI, 0.1, b"")
    run_call(call, transport, network)
    exchange = call.exchange(transport, EchoCodec(), chat_request(), target_at(URL, resend=False))
    assert summarize(run(exchange, network.clock() + 1)) == ["connection"]
    assert len(network.made) == 1


def test_a_stale_connection_takes_the_idle_ones_of_its_route_along(
    call: Caller, transport: Transport, network: Network
) -> None:
    network.add_connection(HI)
    network.add_connection(HI, 0.1, b"")
    elsewhere = network.add_connection(HI)
    exchanges = [call.exchange(transport, EchoCodec(), chat_request(), target_at(URL)) for _ in range(2)]
    exchanges.append(call.exchange(transport, EchoCodec(), chat_request(), target_at("http://other.test/v1")))
    for exchange in exchanges:
        assert exchange.open(network.clock() + 1) is None
    for exchange in exchanges:
        exchange.read(network.clock() + 1)
        exchange.close()
    assert network.open == 3
    assert summarize(run_call(call, transport, network)) == ["stale"]
    assert [made for made in network.made if not made.closed] == [elsewhere]


def test_a_request_on_a_kept_connection_is_not_sent_again_when_the_server_took_its_time(
    call: Caller, transport: Transport, network: Network
) -> None:
    network.add_connection(HI, 2.0, b"")
    network.add_connection(HI)
    assert summarize(run_call(call, transport, network)) == [("whole", "hi")]
    assert summarize(run_call(call, transport, network)) == ["connection"]
    assert len(network.made) == 1


def test_a_request_is_not_sent_again_once_any_of_an_answer_has_come(
    call: Caller, transport: Transport, network: Network
) -> None:
    network.add_connection(HI, 0.1, b"HTTP/1.1 2", b"")
    network.add_connection(HI)
    assert summarize(run_call(call, transport, network)) == [("whole", "hi")]
    assert summarize(run_call(call, transport, network)) == ["connection"]
    assert len(network.made) == 1


def test_a_connection_that_idled_for_long_is_not_used(call: Caller, transport: Transport, network: Network) -> None:
    network.add_connection(HI)
    network.add_connection(HI)
    run_call(call, transport, network)
    network.clock.time += 46
    run_call(call, transport, network)
    assert [made.closed for made in network.made] == [True, False]


def test_targets_elsewhere_have_other_connections(call: Caller, transport: Transport, network: Network) -> None:
    network.add_connection(HI, HI)
    network.add_connection(HI)
    for url in (URL, "http://other.test/v1", URL + "/beta"):
        run_call(call, transport, network, url=url)
    assert network.addresses == [("model.test", 8000), ("other.test", 80)]


def test_when_all_connections_stay_busy_a_call_fails(call: Caller, network: Network) -> None:
    transport = Transport(max_connections=1, now=network.clock)
    network.add_connection(HI, HI)
    busy = call.exchange(transport, EchoCodec(), chat_request(), target_at(URL))
    assert busy.open(network.clock() + 1) is None
    assert summarize(run_call(call, transport, network, seconds=0.01)) == ["pool"]
    busy.close()
    assert summarize(run_call(call, transport, network)) == [
        "connect"
    ]  # the permit was returned; the busy connection was dropped


def test_a_server_that_takes_every_connection_takes_none_of_another(call: Caller, network: Network) -> None:
    transport = Transport(max_connections=2, now=network.clock)
    for _ in range(2):
        network.add_connection()
    network.add_connection(HI)
    held = [call.exchange(transport, EchoCodec(), chat_request(), target_at(URL)) for _ in range(2)]
    for exchange in held:
        failure = exchange.open(network.clock() + 1)
        assert failure
        assert failure.kind == "timeout"
    assert summarize(run_call(call, transport, network, seconds=0.01)) == ["pool"]
    assert summarize(run_call(call, transport, network, url="http://idle.test/v1")) == [("whole", "hi")]
    for exchange in held:
        exchange.close()
    assert summarize(run_call(call, transport, network)) == ["connect"]


def test_whatever_happens_permits_come_back(call: Caller, network: Network) -> None:
    transport = Transport(max_connections=1, now=network.clock)
    network.add_connection(b"")
    network.add_connection(whole(b"", "Connection: close", status="500 Oops"))
    network.add_connection()
    network.add_connection(EVENTS, httpcore.ReadError)
    network.add_connection(HI)
    results = [summarize(run_call(call, transport, network, seconds=1)) for _ in range(6)]
    assert results == [["connection"], ["server"], ["timeout"], ["connection"], [("whole", "hi")], ["timeout"]]


def test_after_close_nothing_is_kept_and_calls_still_work(call: Caller, transport: Transport, network: Network) -> None:
    network.add_connection(HI)
    network.add_connection(HI)
    run_call(call, transport, network)
    transport.close()
    assert network.open == 0
    assert summarize(run_call(call, transport, network)) == [("whole", "hi")]
    assert network.open == 0


async def test_closing_is_the_same_in_async_code(transport: Transport, network: Network) -> None:
    network.add_connection(HI)
    exchange = transport.aexchange(EchoCodec(), chat_request(), target_at(URL))
    assert await exchange.open(network.clock() + 1) is None
    await exchange.read(network.clock() + 1)
    await exchange.close()
    assert network.open == 1
    await transport.aclose()
    assert network.open == 0


def test_close_after_a_refused_open_and_reads_beyond_the_end_are_harmless(
    call: Caller, transport: Transport, network: Network
) -> None:
    exchange = call.exchange(transport, EchoCodec(), chat_request(), target_at(URL))
    assert exchange.open(network.clock() + 1) is not None
    assert summarize([exchange.read(network.clock() + 1)]) == ["connection"]
    exchange.close()


def test_a_child_after_a_fork_does_not_use_its_parents_connections(
    call: Caller, transport: Transport, network: Network, monkeypatch: pytest.MonkeyPatch
) -> None:
    network.add_connection(HI)
    network.add_connection(HI)
    run_call(call, transport, network)
    monkeypatch.setattr("os.getpid", lambda: -1)
    assert summarize(run_call(call, transport, network)) == [("whole", "hi")]
    assert [made.closed for made in network.made] == [True, False]


def test_connections_of_a_closed_event_loop_are_closed_when_another_asks(
    transport: Transport, network: Network
) -> None:
    network.add_connection(HI)
    network.add_connection(HI)
    with caller("async") as first:
        run_call(first, transport, network)
        with caller("async") as second:
            run_call(second, transport, network)
            assert network.open == 2
            kept = [loop for loop, _ in transport._async_pools._pools.pairs()] if transport._async_pools else []
        assert [loop.is_closed() for loop in kept].count(True) == 1
        run_call(first, transport, network)
        assert [made.closed for made in network.made] == [True, True]  # the first too: its script has ended


def test_certificates_that_cannot_be_read_are_a_failure(call: Caller, transport: Transport, network: Network) -> None:
    target = target_at("https://model.test", verify="/nowhere/ca.pem")
    (failed,) = run(call.exchange(transport, EchoCodec(), chat_request(), target), network.clock() + 1)
    assert isinstance(failed, Failure)
    assert (failed.kind, failed.scope) == ("setup", "caller")
    assert failed.reason == "the certificates of verify_ssl= cannot be read (FileNotFoundError)"


# Requests that cannot be sent


@each("problem", [httpx.LocalProtocolError, httpx.UnsupportedProtocol, httpx.InvalidURL])
def test_nothing_is_kept_of_what_http_code_says_about_a_request_that_it_refuses(problem: type[Exception]) -> None:
    failure = failure_from_error(
        problem(f"Illegal header value b'Bearer {CANARY}'"), SyncDeadlineSocket(time.monotonic), route_by()
    )
    assert failure == Failure("unsendable")


def route_by(proxy: str | None = None, *, verify: bool | str = True) -> Route:
    return Route(("https", "model.test", 443), verify=verify, proxy=Proxy(proxy) if proxy else None)


@each("proxy", ["http://u:CANARY@proxy.test:3128", "HTTPS://proxy.test", "socks5://proxy.test"])
@each(
    ("problem", "kind", "local", "reason"),
    [
        (httpx.ConnectError(""), "connect", True, "cannot be reached"),
        (httpx.ReadTimeout(""), "timeout", True, "gave no answer in time"),
        (httpx.ReadError(""), "connect", True, "closed the connection"),
        (httpx.RemoteProtocolError(""), "connect", True, "closed the connection"),
        (httpx.ProxyError("407 who are you"), "connect", True, "refused (407: it "),
        (httpx.ProxyError("403 not from here"), "connect", True, "refused (403: it does not allow"),
        (httpx.ProxyError("429 slowly"), "connect", True, "refused (429)"),
        (httpx.ProxyError("Invalid username/password"), "connect", True, "refused"),
        (httpx.ProxyError("502 Bad Gateway"), "connect", False, "could not reach the server (502)"),
        (httpx.ProxyError("Proxy Server could not connect: Host unreachable."), "connect", False, "could not reach"),
    ],
)
def test_what_fails_between_this_machine_and_its_proxy_names_the_proxy(
    proxy: str, problem: Exception, *, kind: str, local: bool, reason: str
) -> None:
    route = route_by(proxy)
    sock = SyncDeadlineSocket(time.monotonic, tunnel_of(route))
    sock.handshakes = proxy.startswith("HTTPS")
    failure = failure_from_error(problem, sock, route)
    assert (failure.kind, failure.scope) == (kind, "process" if local else "shared")
    assert failure.unsent == (kind == "timeout")
    assert failure.reason is not None
    assert failure.reason.startswith("the proxy at proxy.test:")
    assert reason in failure.reason
    assert "CANARY" not in failure.reason


class SOCKSError(Exception):
    """Stands in for what the SOCKS library raises, as where the proxy closes the connection."""


class BrokenSOCKSConnection:
    def handle_request(self, _: object) -> object:
        raise SOCKSError("Malformed reply")

    async def handle_async_request(self, _: object) -> object:
        raise SOCKSError("Malformed reply")


def test_what_a_socks_proxy_makes_httpcore_raise_is_a_failure(
    call: Caller, transport: Transport, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("make_connection", "make_async_connection"):
        monkeypatch.setattr(pool, name, lambda *_: BrokenSOCKSConnection())
    monkeypatch.setenv("HTTPS_PROXY", "socks5://proxy.test")
    exchange = call.exchange(transport, EchoCodec(), chat_request(), target_at("https://model.example/v1"))
    (failure,) = run(exchange, time.monotonic() + 5)
    assert isinstance(failure, Failure)
    assert failure.reason == "the proxy at proxy.test:1080 closed the connection"


def test_a_proxy_that_speaks_another_protocol_is_told_from_one_that_closes() -> None:
    route = route_by("http://proxy.test")
    sock = SyncDeadlineSocket(time.monotonic, tunnel_of(route))
    sock.count_received(10)
    failure = failure_from_error(httpx.RemoteProtocolError("illegal status line"), sock, route)
    assert failure.reason == "the proxy at proxy.test:80 does not answer as a proxy does"


def test_what_a_proxy_refuses_is_not_tried_again() -> None:
    route = route_by("http://proxy.test")
    for status, again in ((403, False), (407, False), (502, None)):
        sock = SyncDeadlineSocket(time.monotonic, tunnel_of(route))
        failure = failure_from_error(httpx.ProxyError(f"{status} no"), sock, route)
        assert (failure.status, failure.try_again) == (status, again)


@pytest.mark.parametrize("proxy", ["http://proxy.test", "https://proxy.test"])
def test_what_fails_behind_a_proxy_is_a_failure_of_the_server(proxy: str) -> None:
    route = route_by(proxy)
    sock = SyncDeadlineSocket(time.monotonic, tunnel_of(route))
    sock.handshakes = 2 if proxy.startswith("https") else 1
    problems = (httpx.ConnectError(""), httpx.ReadTimeout(""), httpx.ReadError(""))
    failures = [failure_from_error(problem, sock, route) for problem in problems]
    assert [(failure.kind, failure.scope) for failure in failures] == [
        ("connect", "shared"), ("timeout", "shared"), ("connection", "shared"),
    ]  # fmt: skip


class RefusingCodec(EchoCodec):
    def encode(self, request: AnyRequest, target: Target) -> WireRequest:
        raise ValidationError("no")


def test_what_a_codec_refuses_to_write_reaches_the_caller(call: Caller, transport: Transport, network: Network) -> None:
    exchange = call.exchange(transport, RefusingCodec(), chat_request(), target_at(URL))
    with pytest.raises(ValidationError):
        exchange.open(network.clock() + 1)
    exchange.close()


@pytest.mark.parametrize(
    "header",
    [
        ("authorization", f"Bearer {CANARY}\n"),
        ("authorization", f"Bearer {CANARY}\r\nX-Evil: 1"),
        ("authorization", f" {CANARY}"),
        ("authorization", f"Bearer “{CANARY}”"),
        (f"{CANARY}\n", "x"),
        ("", "x"),
        ("näme", "x"),
    ],
)
@pytest.mark.case(66)
def test_a_header_that_http_cannot_carry_is_never_given_to_http_code(
    call: Caller, transport: Transport, network: Network, *, header: tuple[str, str], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    exchange = call.exchange(transport, EchoCodec([header]), chat_request(), target_at(URL))
    (failed,) = run(exchange, network.clock() + 1)
    assert isinstance(failed, Failure)
    assert failed.kind == "unsendable"
    assert CANARY not in repr(failed) + str(failed.detail) + caplog.text
    assert network.addresses == []


@pytest.mark.parametrize("url", ["file:///etc/passwd", "gopher://x", "http://", "http://[::1", "nowhere"])
def test_a_url_that_is_not_valid_is_unsendable(call: Caller, transport: Transport, network: Network, url: str) -> None:
    assert summarize(run_call(call, transport, network, url=url)) == ["unsendable"]


@pytest.mark.case(66)
def test_headers_that_would_break_the_message_are_ours_alone(
    call: Caller, transport: Transport, network: Network
) -> None:
    headers: Sequence[tuple[str, str]] = [
        ("Host", "evil.test"),
        ("Content-Length", "3"),
        ("Transfer-Encoding", "chunked"),
        ("User-Agent", "mine"),
        ("X-Title", "app"),
    ]
    connection = network.add_connection(HI)
    events = run(call.exchange(transport, EchoCodec(headers), chat_request(), target_at(URL)), network.clock() + 1)
    assert summarize(events) == [("whole", "hi")]
    assert b"evil" not in connection.sent
    assert b"chunked" not in connection.sent
    assert b"user-agent: mine" in connection.sent
    assert b"x-title: app" in connection.sent


@pytest.mark.case(67)
def test_the_key_is_in_no_log_not_even_in_those_of_the_http_code(
    call: Caller, transport: Transport, network: Network, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    network.add_connection(HI)
    network.add_connection(b"")
    run_call(call, transport, network)
    run_call(call, transport, network, url=f"{URL}?key=sk-misplaced")
    assert "httpcore" in {record.name.split(".")[0] for record in caplog.records}
    assert CANARY not in caplog.text
    assert "misplaced" not in caplog.text
    assert "hello" not in caplog.text


# Encodings


def test_gzip_is_undone(call: Caller, transport: Transport, network: Network) -> None:
    network.add_connection(whole(gzip.compress(b'{"text": "hi"}'), "Content-Encoding: gzip"))
    assert summarize(run_call(call, transport, network)) == [("whole", "hi")]


def test_a_stream_may_be_compressed_too(call: Caller, transport: Transport, network: Network) -> None:
    packed = gzip.compress(text_event("a") + text_event("b") + DONE)
    pieces = [chunk(packed[index : index + 5]) for index in range(0, len(packed), 5)]
    network.add_connection(EVENTS.replace(b"\r\n\r\n", b"\r\nContent-Encoding: gzip\r\n\r\n"), *pieces, END)
    assert summarize(run_call(call, transport, network, stream=True)) == ["a", "b", "."]


def test_a_gzip_bomb_is_left_at_the_bound(call: Caller, transport: Transport, network: Network) -> None:
    network.add_connection(whole(gzip.compress(b'{"text": "' + b" " * 5_000_000), "Content-Encoding: gzip"))
    assert summarize(run_call(call, transport, network, max_response_bytes=1_000_000)) == ["oversized"]


@pytest.mark.case(4)
def test_the_connect_limit_of_the_target_is_obeyed(call: Caller, transport: Transport, network: Network) -> None:
    network.add_connection(HI)
    target = target_at(URL, timing=Timing(connect=3))
    exchange = call.exchange(transport, EchoCodec(), chat_request(), target)
    run(exchange, network.clock() + 60)
    sock = network.made[0].sock
    assert sock is not None
    assert sock.connect_timeout == 3


def test_an_answer_larger_than_the_bound_is_refused(call: Caller, transport: Transport, network: Network) -> None:
    network.add_connection(whole(json.dumps({"text": "x" * 2000}).encode()))
    assert summarize(run_call(call, transport, network, max_response_bytes=1000)) == ["oversized"]


def test_an_event_larger_than_the_bound_is_refused(call: Caller, transport: Transport, network: Network) -> None:
    network.add_connection(EVENTS, chunk(text_event("a")), *[chunk(b"data: " + b"x" * 65536)] * 20)
    assert summarize(run_call(call, transport, network, stream=True)) == ["a", "oversized"]


def test_the_value_of_a_whole_answer_is_what_the_codec_made(
    call: Caller, transport: Transport, network: Network
) -> None:
    network.add_connection(HI)
    (done,) = run_call(call, transport, network)
    assert isinstance(done, Done)
    assert done.value == LLMResponse(content="hi", model="m")
