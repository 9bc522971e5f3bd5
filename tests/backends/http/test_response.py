from __future__ import annotations

import gzip
import zlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.each import each
from tests.support.echo_format import DONE, EchoCodec, chat_request, target_at, text_event
from tests.support.sync_and_async import summarize
from unified_llm._backends.http.gzip_body import make_content_decoder
from unified_llm._backends.http.response import Body, Head
from unified_llm._core.chunks import as_chunks, as_response
from unified_llm._core.exchange import AnyEvent
from unified_llm._core.outcome import Done, Failure
from unified_llm._core.redaction import SentKeys
from unified_llm.types import EmbeddingRequest, LLMChunk, LLMResponse, ToolCall, ToolCallChunk, Usage


def events_of(
    *pieces: bytes,
    stream: bool = False,
    incomplete: bool = False,
    status: int = 200,
    request: Any = None,
    **headers: str,
) -> list[AnyEvent]:
    """Return all events of a body that arrives in these chunks."""
    raw = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    body = Body(
        EchoCodec(),
        request or chat_request(stream=stream),
        target_at("http://x.test"),
        Head(status, raw, SentKeys(None, ())),
    )
    events: list[AnyEvent] = []

    def take() -> None:
        while (event := body.next_event()) is not None or body.has_unread:
            if event is None:
                body.decode()
            else:
                events.append(event)

    take()
    for piece in pieces:
        body.feed(piece)
        take()
    body.finish(incomplete=incomplete)
    take()
    return events


HI = b'{"text": "hi"}'


@each(
    ("pieces", "kind"),
    [
        ([b"<!DOCTYPE html><html>", b"sign in first"], "malformed"),
        ([b"  \n<html>"], "malformed"),
        ([b"Service running"], "malformed"),
        ([b'{"text": "h'], "malformed"),
        ([b"null"], "malformed"),
        ([b"[1, 2]"], "malformed"),
        ([b"7"], "malformed"),
        ([b"[" * 100_000], "malformed"),
        ([b'{"text": NaN}'], "malformed"),
        ([b"\xff\xfe"], "malformed"),
        ([], "empty"),
        ([b" \r\n", b"\n"], "empty"),
        ([b"\xef\xbb\xbf"], "empty"),
    ],
)
@each("stream", [False, True])
def test_an_answer_that_is_none_is_named(pieces: list[bytes], kind: str, *, stream: bool) -> None:
    assert summarize(events_of(*pieces, stream=stream)) == [kind]


def test_204_is_an_empty_answer() -> None:
    (failure,) = events_of(status=204)
    assert isinstance(failure, Failure)
    assert (failure.kind, failure.status) == ("empty", 204)


def test_what_is_no_answer_is_kept_for_those_who_look() -> None:
    (failure,) = events_of(b"<html>" + b"x" * 1000)
    assert isinstance(failure, Failure)
    assert failure.detail == "<html>" + "x" * 494


@each("pieces", [[HI], [b"\xef\xbb\xbf" + HI], [b"\n\n  ", HI], [b"\xef", b"\xbb\xbf", HI]])
@each("content_type", ["application/json", "text/plain", "text/event-stream", ""])
def test_json_is_json_whatever_the_server_calls_it(pieces: list[bytes], content_type: str) -> None:
    assert summarize(events_of(*pieces, content_type=content_type)) == [("whole", "hi")]


@each("content_type", ["text/event-stream; charset=utf-8", "text/plain", "application/json", ""])
def test_a_stream_is_a_stream_whatever_the_server_calls_it(content_type: str) -> None:
    raw = b": hello\n\n" + text_event("a") + b"\n\nevent: x\n" + text_event("b") + DONE
    assert summarize(events_of(raw, stream=True, content_type=content_type)) == ["a", "b", "."]


def test_a_stream_that_begins_with_an_unknown_field_needs_its_label() -> None:
    raw = b"x-server: 1\n" + text_event("a") + DONE
    assert summarize(events_of(raw, stream=True, content_type="text/event-stream")) == ["a", "."]
    assert summarize(events_of(raw, stream=True)) == ["malformed"]


def test_a_server_that_ignores_the_wish_for_a_stream_is_understood() -> None:
    assert summarize(events_of(HI, stream=True)) == ["hi", "."]
    assert summarize(events_of(b'{"text": ""}', stream=True)) == ["."]


def test_a_server_that_streams_unasked_is_understood() -> None:
    (done,) = events_of(text_event("a") + text_event("b") + DONE)
    assert isinstance(done, Done)
    assert done.value == LLMResponse(content="ab", model="m")


def test_a_stream_in_place_of_embeddings_is_malformed() -> None:
    assert summarize(events_of(text_event("a"), request=EmbeddingRequest(("x",)))) == ["malformed"]


def test_nothing_follows_the_end() -> None:
    assert summarize(events_of(text_event("a") + DONE + text_event("b") + DONE, stream=True)) == ["a", "."]
    assert summarize(events_of(text_event("a") + DONE, text_event("b"), stream=True)) == ["a", "."]


@each("encoding", ["br", "zstd", "gzip, gzip", "deflate"])
def test_an_encoding_that_was_not_asked_for_is_malformed(encoding: str) -> None:
    assert summarize(events_of(HI, content_encoding=encoding)) == ["malformed"]


@each("encoding", ["gzip", "x-gzip", "GZIP"])
def test_gzip_is_undone_however_it_is_cut(encoding: str) -> None:
    packed = gzip.compress(HI)
    pieces = [packed[index : index + 1] for index in range(len(packed))]
    assert summarize(events_of(*pieces, content_encoding=encoding)) == [("whole", "hi")]


def test_gzip_in_several_members_and_with_padding_is_undone() -> None:
    packed = gzip.compress(HI[:5]) + gzip.compress(HI[5:]) + bytes(16)
    assert summarize(events_of(packed, content_encoding="gzip")) == [("whole", "hi")]


def test_what_only_claims_to_be_gzip_passes() -> None:
    assert summarize(events_of(HI[:1], HI[1:], content_encoding="gzip")) == [("whole", "hi")]
    assert summarize(events_of(b"\x1f", content_encoding="gzip", stream=True)) == ["empty"]
    assert summarize(events_of(HI, content_encoding="identity")) == [("whole", "hi")]


def test_damaged_gzip_is_malformed_and_half_of_it_is_a_broken_connection() -> None:
    packed = gzip.compress(HI)
    assert summarize(events_of(packed[:10] + b"\xff" * 20, content_encoding="gzip")) == ["malformed"]
    assert summarize(events_of(packed[:-9], content_encoding="gzip")) == ["connection"]


@given(
    members=st.lists(st.binary(max_size=200_000), min_size=1, max_size=3),
    cuts=st.lists(st.integers(0, 5000), max_size=10),
)
def test_gunzip_returns_every_byte_in_bounded_pieces(members: list[bytes], cuts: list[int]) -> None:
    packed = b"".join(gzip.compress(member) for member in members)
    decoder = make_content_decoder("gzip")
    assert decoder is not None
    decoded: list[bytes] = []
    offsets = sorted({min(cut, len(packed)) for cut in cuts})
    for start, end in zip([0, *offsets], [*offsets, len(packed)], strict=True):
        decoder.feed(packed[start:end])
        while piece := decoder.read():
            assert len(piece) <= 64 * 1024
            decoded.append(piece)
    assert b"".join(decoded) == b"".join(members)
    assert decoder.complete


def test_a_second_gzip_member_is_read_wherever_its_first_bytes_are_cut() -> None:
    packed = gzip.compress(HI) + gzip.compress(HI)
    for cut in range(len(packed) + 1):
        decoder = make_content_decoder("gzip")
        assert decoder is not None
        decoded = b""
        for part in (packed[:cut], packed[cut:]):
            decoder.feed(part)
            while piece := decoder.read():
                decoded += piece
        assert decoded == HI + HI
        assert decoder.complete


@pytest.mark.case(26)
def test_a_bomb_is_never_held_at_once() -> None:
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    packed = b"".join(packer.compress(bytes(1_000_000)) for _ in range(50)) + packer.flush()
    decoder = make_content_decoder("gzip")
    assert decoder is not None
    decoder.feed(packed)
    assert len(decoder.read()) <= 64 * 1024


FULL = LLMResponse(
    content="text",
    model="m",
    provider="p",
    finish_reason="tool_calls",
    response_id="r",
    usage=Usage(1, 2, 3),
    tool_calls=(ToolCall("1", "f", {"a": 1}, '{"a":1}'), ToolCall("2", "g", {}, "")),
    reasoning="why",
    refusal="no",
)


@each("response", [FULL, LLMResponse(), LLMResponse(content="x", finish_reason="length")])
def test_an_answer_is_the_same_in_both_shapes(response: LLMResponse) -> None:
    chunk, last = as_chunks(response)
    assert as_response([chunk] if chunk else [], last) == response


def test_fragments_of_tool_calls_are_joined_by_their_index() -> None:
    fragments = [
        ToolCallChunk(1, "b", "g", '{"y":'),
        ToolCallChunk(0, "a", "f", '{"x"'),
        ToolCallChunk(1, None, None, " 2}"),
        ToolCallChunk(0, "a", "f", ": 1}"),
    ]
    chunks = [LLMChunk(tool_calls=(fragment,)) for fragment in fragments]
    assert as_response(chunks, LLMChunk(finish_reason="tool_calls")).tool_calls == (
        ToolCall("a", "f", {"x": 1}, '{"x": 1}'),
        ToolCall("b", "g", {"y": 2}, '{"y": 2}'),
    )


def test_an_answer_keeps_the_headers_that_say_how_much_its_limits_still_allow() -> None:
    headers: dict[str, Any] = {
        "x_ratelimit_remaining_tokens": "0",
        "anthropic_ratelimit_tokens_reset": "x",
        "set_cookie": "c=1",
    }
    (done,) = events_of(HI, x_request_id="req-7", **headers)
    assert isinstance(done, Done)
    assert done.request_id == "req-7"
    assert dict(done.headers) == {"x-ratelimit-remaining-tokens": "0", "anthropic-ratelimit-tokens-reset": "x"}
    assert "ratelimit" not in repr(done)


@each(("sent", "kept"), [("req-7", "req-7"), ("req 7, CANARY", None), ("x" * 201, None), ("", None)])
def test_a_request_id_is_one_word(sent: str, kept: str | None) -> None:
    (done,) = events_of(HI, x_request_id=sent)
    assert isinstance(done, Done)
    assert done.request_id == kept
