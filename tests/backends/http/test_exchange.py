"""What exchanges do, in both colours, over the real HTTP code and a network of scripts."""

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

from tests.support.echo_format import CANARY, DONE, FINISH, EchoCodec, asking, target_at, text
from tests.support.scripted_server import Network
from tests.support.sync_and_async import Caller, caller, run, words
from unified_llm._backends.http import Transport
from unified_llm._backends.http.deadline_socket_sync import SyncDeadlineSocket
from unified_llm._backends.http.errors import failure_from_error
from unified_llm._core.codec import AnyRequest, WireRequest
from unified_llm._core.exchange import Event
from unified_llm._core.outcome import Done, Failure
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


def asked(
    call: Caller, transport: Transport, network: Network, *, stream: bool = False, seconds: float = 60, url: str = URL
) -> list[Event]:
    """One call whose opening, and each of whose reads, may take so many seconds."""
    exchange = call.exchange(transport, EchoCodec(), asking(stream=stream), target_at(url))
    return run(exchange, lambda: network.clock() + seconds)


HI = whole(b'{"text": "hi"}')


def test_a_whole_answer_is_one_done(call: Caller, transport: Transport, network: Network) -> None:
    sent = network.plays(HI).plays
    assert words(asked(call, transport, network)) == [("whole", "hi")]
    assert sent == []
    assert network.places == [("model.test", 8000)]


def test_the_request_says_what_it_must_and_nothing_else(call: Caller, transport: Transport, network: Network) -> None:
    connection = network.plays(HI)
    asked(call, transport, network)
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
    connection = network.plays(EVENTS, chunk(text("a") + text("b")), chunk(text("c")), chunk(DONE) + END)
    assert words(asked(call, transport, network, stream=True)) == ["a", "b", "c", "."]
    assert b"accept-encoding: identity" in connection.sent


def test_a_get_has_no_body(call: Caller, transport: Transport, network: Network) -> None:
    connection = network.plays(HI)
    run(call.exchange(transport, EchoCodec(), ModelsRequest(), target_at(URL)), network.clock() + 1)
    assert connection.sent.startswith(b"GET /v1/models HTTP/1.1\r\n")
    assert b"content-" not in connection.sent


def test_embeddings_are_answers_like_any_other(call: Caller, transport: Transport, network: Network) -> None:
    network.plays(HI)
    events = run(call.exchange(transport, EchoCodec(), EmbeddingRequest(("x",)), target_at(URL)), network.clock() + 1)
    assert isinstance(events[0], Done)
    assert events[0].value == EmbeddingResponse([[1.0]])


def test_a_whole_body_that_comes_in_pieces_is_put_together(
    call: Caller, transport: Transport, network: Network
) -> None:
    network.plays(*(HI[index : index + 1] for index in range(len(HI))))
    assert words(asked(call, transport, network)) == [("whole", "hi")]


# Deadlines


def test_no_answer_in_time_is_a_timeout(call: Caller, transport: Transport, network: Network) -> None:
    network.plays()
    assert words(asked(call, transport, network, seconds=5)) == ["timeout"]
    assert network.clock() == 1005
    assert network.open == 0


def test_comments_do_not_prolong_a_read(call: Caller, transport: Transport, network: Network) -> None:
    pings = [part for _ in range(100) for part in (1.0, chunk(b": ping\n\n"))]
    network.plays(EVENTS, chunk(text("a")), *pings)
    assert words(asked(call, transport, network, stream=True, seconds=5)) == ["a", "timeout"]
    assert network.clock() == 1005


def test_a_body_that_drips_does_not_prolong_a_read(call: Caller, transport: Transport, network: Network) -> None:
    drips = [part for index in range(len(HI)) for part in (1.0, HI[index : index + 1])]
    network.plays(*drips)
    assert words(asked(call, transport, network, seconds=10)) == ["timeout"]
    assert network.clock() == 1010


def test_a_stream_that_lacks_only_its_end_is_done_when_its_end_does_not_come(
    call: Caller, transport: Transport, network: Network
) -> None:
    network.plays(EVENTS, chunk(text("a") + FINISH))
    assert words(asked(call, transport, network, stream=True)) == ["a", "."]
    assert network.open == 0


def test_an_instant_that_has_passed_is_a_timeout_at_once(call: Caller, transport: Transport, network: Network) -> None:
    network.plays()
    assert words(asked(call, transport, network, seconds=-1)) == ["timeout"]
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
    network.plays(EVENTS, chunk(text("a")), *rest)
    assert words(asked(call, transport, network, stream=True)) == ["a", kind]


def test_a_stream_that_is_cut_after_all_of_its_answer_is_done(
    call: Caller, transport: Transport, network: Network
) -> None:
    network.plays(EVENTS, chunk(text("a") + FINISH), httpcore.ReadError)
    assert words(asked(call, transport, network, stream=True)) == ["a", "."]


def test_a_stream_that_ends_with_its_connection_and_no_terminal_event_is_truncated(
    call: Caller, transport: Transport, network: Network
) -> None:
    network.plays(b"HTTP/1.1 200 OK\r\n\r\n" + text("a"), b"")
    assert words(asked(call, transport, network, stream=True)) == ["a", "truncated"]


def test_a_whole_body_that_is_cut_is_a_broken_connection(call: Caller, transport: Transport, network: Network) -> None:
    network.plays(HI[:-3], b"")
    assert words(asked(call, transport, network)) == ["connection"]


def test_an_error_inside_a_stream_ends_it(call: Caller, transport: Transport, network: Network) -> None:
    network.plays(EVENTS, chunk(text("a") + b'data: {"error": "overloaded"}\n\n' + text("b")))
    events = asked(call, transport, network, stream=True)
    assert words(events) == ["a", "server"]
    assert isinstance(events[1], Failure)
    assert events[1].code == "overloaded"
    assert network.open == 0


def test_a_refused_connection_says_so(call: Caller, transport: Transport, network: Network) -> None:
    events = asked(call, transport, network)
    assert words(events) == ["connect"]
    assert isinstance(events[0], Failure)
    assert events[0].detail == "refused"


def test_a_server_that_closes_without_an_answer_is_a_broken_connection(
    call: Caller, transport: Transport, network: Network
) -> None:
    network.plays(b"")
    network.plays(HI)
    assert words(asked(call, transport, network)) == ["connection"]
    assert len(network.made) == 1  # a new connection is no stale one: whether to ask again is for others to decide


def test_an_answer_that_is_no_http_is_a_broken_connection(call: Caller, transport: Transport, network: Network) -> None:
    network.plays(b"SSH-2.0-OpenSSH_9.9\r\n\r\n")
    assert words(asked(call, transport, network)) == ["connection"]


def test_a_refusal_sent_before_all_of_the_request_was_read_is_seen(
    call: Caller, transport: Transport, network: Network
) -> None:
    network.plays(whole(b"too much", status="413 Content Too Large")).refuses_bytes = True
    events = asked(call, transport, network)
    assert isinstance(events[0], Failure)
    assert events[0].status == 413


# Statuses


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_not_followed(call: Caller, transport: Transport, network: Network, status: int) -> None:
    network.plays(whole(b"", "Location: http://other.test/", status=f"{status} Moved"))
    assert words(asked(call, transport, network)) == ["redirect"]
    assert network.places == [("model.test", 8000)]


def test_a_failure_keeps_hints_and_the_request_id_and_no_other_header(
    call: Caller, transport: Transport, network: Network
) -> None:
    network.plays(
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
    (failed,) = asked(call, transport, network)
    assert isinstance(failed, Failure)
    assert (failed.kind, failed.status, failed.detail) == ("server", 503, "slow down")
    assert failed.request_id == "request"
    assert dict(failed.headers) == {
        "retry-after": "7",
        "date": "Thu, 01 Jan 2026 00:00:00 GMT",
        "x-ratelimit-remaining-requests": "0",
    }


def test_the_request_id_of_a_success_is_kept(call: Caller, transport: Transport, network: Network) -> None:
    network.plays(whole(b'{"text": "hi"}', "request-id: r1"))
    (done,) = asked(call, transport, network)
    assert isinstance(done, Done)
    assert done.request_id == "r1"


def test_the_status_of_a_failure_is_known_although_its_body_never_ends(
    call: Caller, transport: Transport, network: Network
) -> None:
    network.plays(whole(b"x" * 50, status="500 Oops")[:-10])
    (failed,) = asked(call, transport, network, seconds=60)
    assert isinstance(failed, Failure)
    assert failed.status == 500
    assert network.clock() == 1005


def test_of_an_endless_error_only_the_beginning_is_read(call: Caller, transport: Transport, network: Network) -> None:
    connection = network.plays(EVENTS.replace(b"200 OK", b"500 Oops"), *[chunk(b"x" * 4096)] * 100)
    (failed,) = asked(call, transport, network)
    assert isinstance(failed, Failure)
    assert failed.detail == "x" * 16384
    assert len(connection.plays) >= 95
    assert network.open == 0


# Connections


def test_calls_one_after_the_other_share_a_connection(call: Caller, transport: Transport, network: Network) -> None:
    connection = network.plays(HI, EVENTS + chunk(DONE) + END, HI)
    for stream in (False, True, False):
        asked(call, transport, network, stream=stream)
    assert connection.requests == 3
    assert len(network.made) == 1


def test_a_refused_request_does_not_cost_its_connection(call: Caller, transport: Transport, network: Network) -> None:
    connection = network.plays(whole(b"busy", status="503 Busy"), HI)
    assert words(asked(call, transport, network)) == ["server"]
    assert words(asked(call, transport, network)) == [("whole", "hi")]
    assert connection.requests == 2


def test_calls_at_once_have_connections_of_their_own_and_the_last_one_free_is_used_first(
    call: Caller, transport: Transport, network: Network
) -> None:
    first, second = network.plays(HI, HI), network.plays(HI, HI)
    exchanges = [call.exchange(transport, EchoCodec(), asking(), target_at(URL)) for _ in range(2)]
    for exchange in exchanges:
        assert exchange.open(network.clock() + 1) is None
    for exchange in exchanges:
        exchange.read(network.clock() + 1)
        exchange.close()
    asked(call, transport, network)
    assert (first.requests, second.requests) == (1, 2)


def test_a_stream_ends_at_its_terminal_event_whatever_the_server_does_with_the_connection(
    call: Caller, transport: Transport, network: Network
) -> None:
    network.plays(EVENTS, chunk(DONE))
    network.plays(HI)
    assert words(asked(call, transport, network, stream=True)) == ["."]
    assert network.clock() == 1000
    assert words(asked(call, transport, network)) == [("whole", "hi")]
    assert network.made[0].closed  # its body never ended, so it was of no use for another request


def test_a_body_whose_last_bytes_come_late_does_not_cost_its_connection(
    call: Caller, transport: Transport, network: Network
) -> None:
    connection = network.plays(EVENTS, chunk(DONE))
    assert words(asked(call, transport, network, stream=True)) == ["."]
    connection.plays += [END, HI]
    assert words(asked(call, transport, network)) == [("whole", "hi")]
    assert len(network.made) == 1


def test_a_server_that_goes_on_after_the_end_of_its_stream_is_left(
    call: Caller, transport: Transport, network: Network
) -> None:
    network.plays(EVENTS, chunk(DONE), *[chunk(text("more"))] * 50)
    network.plays(HI)
    assert words(asked(call, transport, network, stream=True)) == ["."]
    assert words(asked(call, transport, network)) == [("whole", "hi")]
    assert network.made[0].closed


def test_a_stream_that_is_left_early_closes_its_connection(
    call: Caller, transport: Transport, network: Network
) -> None:
    network.plays(EVENTS, chunk(text("a") + text("b")), chunk(DONE))
    exchange = call.exchange(transport, EchoCodec(), asking(stream=True), target_at(URL))
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
    network.plays(f"HTTP/1.1 200 OK\r\n{framing}{header}\r\n\r\n".encode() + body, b"")
    assert words(asked(call, transport, network)) == [("whole", "hi")]
    assert network.open == 0


def test_a_connection_that_was_closed_while_idle_is_not_used(
    call: Caller, transport: Transport, network: Network
) -> None:
    first, second = network.plays(HI, b""), network.plays(HI)
    for _ in range(2):
        assert words(asked(call, transport, network)) == [("whole", "hi")]
    assert (first.requests, second.requests) == (1, 1)


@pytest.mark.parametrize("problem", [b"", httpcore.ReadError])
def test_a_connection_that_is_closed_at_the_moment_of_its_use_is_replaced_once(
    call: Caller, transport: Transport, network: Network, problem: Any
) -> None:
    # The pause hides the end from the look that is taken before a connection is used again.
    network.plays(HI, 0.1, problem)
    network.plays(HI)
    for _ in range(2):
        assert words(asked(call, transport, network)) == [("whole", "hi")]
    assert [made.requests for made in network.made] == [2, 1]


def test_a_request_on_a_kept_connection_is_not_sent_again_when_the_server_took_its_time(
    call: Caller, transport: Transport, network: Network
) -> None:
    network.plays(HI, 2.0, b"")
    network.plays(HI)
    assert words(asked(call, transport, network)) == [("whole", "hi")]
    assert words(asked(call, transport, network)) == ["connection"]
    assert len(network.made) == 1


def test_a_request_is_not_sent_again_once_any_of_an_answer_has_come(
    call: Caller, transport: Transport, network: Network
) -> None:
    network.plays(HI, 0.1, b"HTTP/1.1 2", b"")
    network.plays(HI)
    assert words(asked(call, transport, network)) == [("whole", "hi")]
    assert words(asked(call, transport, network)) == ["connection"]
    assert len(network.made) == 1


def test_a_connection_that_idled_for_long_is_not_used(call: Caller, transport: Transport, network: Network) -> None:
    network.plays(HI)
    network.plays(HI)
    asked(call, transport, network)
    network.clock.time += 46
    asked(call, transport, network)
    assert [made.closed for made in network.made] == [True, False]


def test_targets_elsewhere_have_other_connections(call: Caller, transport: Transport, network: Network) -> None:
    network.plays(HI, HI)
    network.plays(HI)
    for url in (URL, "http://other.test/v1", URL + "/beta"):
        asked(call, transport, network, url=url)
    assert network.places == [("model.test", 8000), ("other.test", 80)]


def test_when_all_connections_stay_busy_a_call_fails(call: Caller, network: Network) -> None:
    transport = Transport(max_connections=1, now=network.clock)
    network.plays(HI, HI)
    busy = call.exchange(transport, EchoCodec(), asking(), target_at(URL))
    assert busy.open(network.clock() + 1) is None
    assert words(asked(call, transport, network, seconds=0.01)) == ["pool"]
    busy.close()
    assert words(asked(call, transport, network)) == ["connect"]  # the permit is back; the busy connection was dropped


def test_whatever_happens_permits_come_back(call: Caller, network: Network) -> None:
    transport = Transport(max_connections=1, now=network.clock)
    network.plays(b"")
    network.plays(whole(b"", "Connection: close", status="500 Oops"))
    network.plays()
    network.plays(EVENTS, httpcore.ReadError)
    network.plays(HI)
    said = [words(asked(call, transport, network, seconds=1)) for _ in range(6)]
    assert said == [["connection"], ["server"], ["timeout"], ["connection"], [("whole", "hi")], ["timeout"]]


def test_after_close_nothing_is_kept_and_calls_still_work(call: Caller, transport: Transport, network: Network) -> None:
    network.plays(HI)
    network.plays(HI)
    asked(call, transport, network)
    transport.close()
    assert network.open == 0
    assert words(asked(call, transport, network)) == [("whole", "hi")]
    assert network.open == 0


async def test_closing_is_the_same_in_async_code(transport: Transport, network: Network) -> None:
    network.plays(HI)
    exchange = transport.aexchange(EchoCodec(), asking(), target_at(URL))
    assert await exchange.open(network.clock() + 1) is None
    await exchange.read(network.clock() + 1)
    await exchange.close()
    assert network.open == 1
    await transport.aclose()
    assert network.open == 0


def test_close_after_a_refused_open_and_reads_beyond_the_end_are_harmless(
    call: Caller, transport: Transport, network: Network
) -> None:
    exchange = call.exchange(transport, EchoCodec(), asking(), target_at(URL))
    assert exchange.open(network.clock() + 1) is not None
    assert words([exchange.read(network.clock() + 1)]) == ["connection"]
    exchange.close()


def test_a_child_after_a_fork_does_not_use_its_parents_connections(
    call: Caller, transport: Transport, network: Network, monkeypatch: pytest.MonkeyPatch
) -> None:
    network.plays(HI)
    network.plays(HI)
    asked(call, transport, network)
    monkeypatch.setattr("os.getpid", lambda: -1)
    assert words(asked(call, transport, network)) == [("whole", "hi")]
    assert [made.closed for made in network.made] == [True, False]


def test_connections_of_a_closed_event_loop_are_closed_when_another_asks(
    transport: Transport, network: Network
) -> None:
    network.plays(HI)
    network.plays(HI)
    with caller("async") as first:
        asked(first, transport, network)
        with caller("async") as second:
            asked(second, transport, network)
            assert network.open == 2
        asked(first, transport, network)
        assert [made.closed for made in network.made] == [True, True]  # the first: its script is over


def test_certificates_that_cannot_be_read_are_a_failure(call: Caller, transport: Transport, network: Network) -> None:
    target = target_at("https://model.test", verify="/nowhere/ca.pem")
    (failed,) = run(call.exchange(transport, EchoCodec(), asking(), target), network.clock() + 1)
    assert isinstance(failed, Failure)
    assert failed.kind == "tls"
    assert "cannot be read" in (failed.detail or "")


# Requests that cannot be sent


@pytest.mark.parametrize("problem", [httpx.LocalProtocolError, httpx.UnsupportedProtocol, httpx.InvalidURL])
def test_nothing_is_kept_of_what_http_code_says_about_a_request_that_it_refuses(problem: type[Exception]) -> None:
    failure = failure_from_error(
        problem(f"Illegal header value b'Bearer {CANARY}'"), SyncDeadlineSocket(time.monotonic)
    )
    assert failure == Failure("unsendable")


def test_a_proxy_that_refuses_is_a_failure_to_connect() -> None:
    assert failure_from_error(httpx.ProxyError("407 who are you"), SyncDeadlineSocket(time.monotonic)).kind == "connect"


class RefusingCodec(EchoCodec):
    def encode(self, ask: AnyRequest, target: Target) -> WireRequest:
        raise ValidationError("no")


def test_what_a_codec_refuses_to_write_reaches_the_caller(call: Caller, transport: Transport, network: Network) -> None:
    exchange = call.exchange(transport, RefusingCodec(), asking(), target_at(URL))
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
    exchange = call.exchange(transport, EchoCodec([header]), asking(), target_at(URL))
    (failed,) = run(exchange, network.clock() + 1)
    assert isinstance(failed, Failure)
    assert failed.kind == "unsendable"
    assert CANARY not in repr(failed) + str(failed.detail) + caplog.text
    assert network.places == []


@pytest.mark.parametrize("url", ["file:///etc/passwd", "gopher://x", "http://", "http://[::1", "nowhere"])
def test_a_url_that_leads_nowhere_is_unsendable(call: Caller, transport: Transport, network: Network, url: str) -> None:
    assert words(asked(call, transport, network, url=url)) == ["unsendable"]


@pytest.mark.case(66)
def test_headers_that_would_break_the_message_are_ours_alone(
    call: Caller, transport: Transport, network: Network
) -> None:
    theirs: Sequence[tuple[str, str]] = [
        ("Host", "evil.test"),
        ("Content-Length", "3"),
        ("Transfer-Encoding", "chunked"),
        ("User-Agent", "mine"),
        ("X-Title", "app"),
    ]
    connection = network.plays(HI)
    events = run(call.exchange(transport, EchoCodec(theirs), asking(), target_at(URL)), network.clock() + 1)
    assert words(events) == [("whole", "hi")]
    assert b"evil" not in connection.sent
    assert b"chunked" not in connection.sent
    assert b"user-agent: mine" in connection.sent
    assert b"x-title: app" in connection.sent


@pytest.mark.case(67)
def test_the_key_is_in_no_log_not_even_in_those_of_the_http_code(
    call: Caller, transport: Transport, network: Network, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    network.plays(HI)
    network.plays(b"")
    asked(call, transport, network)
    asked(call, transport, network, url=f"{URL}?key=sk-misplaced")
    assert "httpcore" in {record.name.split(".")[0] for record in caplog.records}
    assert CANARY not in caplog.text
    assert "misplaced" not in caplog.text
    assert "hello" not in caplog.text


# Encodings


def test_gzip_is_undone(call: Caller, transport: Transport, network: Network) -> None:
    network.plays(whole(gzip.compress(b'{"text": "hi"}'), "Content-Encoding: gzip"))
    assert words(asked(call, transport, network)) == [("whole", "hi")]


def test_a_stream_may_be_compressed_too(call: Caller, transport: Transport, network: Network) -> None:
    packed = gzip.compress(text("a") + text("b") + DONE)
    pieces = [chunk(packed[index : index + 5]) for index in range(0, len(packed), 5)]
    network.plays(EVENTS.replace(b"\r\n\r\n", b"\r\nContent-Encoding: gzip\r\n\r\n"), *pieces, END)
    assert words(asked(call, transport, network, stream=True)) == ["a", "b", "."]


def test_a_gzip_bomb_is_left_at_the_bound(
    call: Caller, transport: Transport, network: Network, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("unified_llm._backends.http.response.BODY_LIMIT", 1_000_000)
    network.plays(whole(gzip.compress(b'{"text": "' + b" " * 5_000_000), "Content-Encoding: gzip"))
    assert words(asked(call, transport, network)) == ["oversized"]


@pytest.mark.case(4)
def test_the_connect_limit_of_the_target_is_obeyed(call: Caller, transport: Transport, network: Network) -> None:
    network.plays(HI)
    target = target_at(URL, timing=Timing(connect=3))
    exchange = call.exchange(transport, EchoCodec(), asking(), target)
    run(exchange, network.clock() + 60)
    sock = network.made[0].sock
    assert sock is not None
    assert sock.connect_timeout == 3


def test_an_answer_larger_than_the_bound_is_refused(
    call: Caller, transport: Transport, network: Network, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("unified_llm._backends.http.response.BODY_LIMIT", 1000)
    network.plays(whole(json.dumps({"text": "x" * 2000}).encode()))
    assert words(asked(call, transport, network)) == ["oversized"]


def test_an_event_larger_than_the_bound_is_refused(call: Caller, transport: Transport, network: Network) -> None:
    network.plays(EVENTS, chunk(text("a")), *[chunk(b"data: " + b"x" * 65536)] * 20)
    assert words(asked(call, transport, network, stream=True)) == ["a", "oversized"]


def test_the_value_of_a_whole_answer_is_what_the_codec_made(
    call: Caller, transport: Transport, network: Network
) -> None:
    network.plays(HI)
    (done,) = asked(call, transport, network)
    assert isinstance(done, Done)
    assert done.value == LLMResponse(content="hi", model="m")
