"""Responses in Anthropic's format: whole answers, streams, errors, models."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from tests.support.codec_checks import check, flat, target
from tests.support.each import each
from tests.support.thorough import some
from unified_llm._core.chunks import as_response
from unified_llm._core.outcome import Done, Failure
from unified_llm._formats.anthropic import CODEC
from unified_llm._lib.sse import ServerSentEvent, SSESplitter
from unified_llm.types import (
    CountRequest,
    EmbeddingRequest,
    LLMChunk,
    LLMRequest,
    LLMResponse,
    Message,
    ModelRequest,
    ModelsRequest,
)

FIXTURES = Path(__file__).parent.parent / "fixtures" / "anthropic"
CLAUDE = target("anthropic", "claude-sonnet-4-5")
HELLO = LLMRequest((Message.user("Hello"),))


def fixture(name: str) -> dict[str, Any]:
    read: dict[str, Any] = json.loads((FIXTURES / f"{name}.json").read_text(encoding="utf-8"))
    return read


def names(prefix: str) -> list[str]:
    return sorted(path.stem for path in FIXTURES.glob(f"{prefix}_*.json"))


def sse(events: Sequence[dict[str, Any]]) -> bytes:
    """Write the events as the API does: with a name, and the name again in the data."""
    return "".join(f"event: {e['type']}\ndata: {json.dumps(e, ensure_ascii=False)}\n\n" for e in events).encode()


def read(pieces: Sequence[bytes]) -> list[Any]:
    """Return all outputs of a stream, its end included."""
    splitter, decoder = SSESplitter(), CODEC.decoder(HELLO, CLAUDE)
    out = [output for piece in pieces for event in splitter.feed(piece) for output in decoder.feed(event)]
    out += [output for event in splitter.close() for output in decoder.feed(event)]
    return out if out and isinstance(out[-1], Done | Failure) else [*out, decoder.finish()]


def feed(*events: dict[str, Any]) -> list[Any]:
    return read([sse(events)])


def whole(out: Sequence[Any]) -> LLMResponse:
    """Check the form of a stream's chunks, and return the answer that they make up."""
    *chunks, end = out
    assert isinstance(end, Done), end
    for chunk in chunks:
        assert isinstance(chunk, LLMChunk)
        assert chunk != LLMChunk(), "no chunk is empty"
        assert (chunk.finish_reason, chunk.usage, chunk.model, chunk.provider, chunk.provider_state) == (None,) * 5
    return as_response(chunks, end.value)


def as_expected(answer: LLMResponse, case: dict[str, Any]) -> None:
    actual: dict[str, Any] = {name: getattr(answer, name) for name in case["expect"]}
    if "tool_calls" in actual:
        actual["tool_calls"] = [flat(call) for call in answer.tool_calls]
    if "citations" in actual:
        actual["citations"] = [asdict(citation) for citation in answer.citations]
    if answer.provider_state is not None:
        assert (answer.provider_state.provider, answer.provider_state.format) == ("anthropic", "anthropic")
        assert json.loads(json.dumps(answer.provider_state.data)) == answer.provider_state.data
        actual["provider_state"] = answer.provider_state.data if "provider_state" in actual else None
    check(actual, case["expect"])
    assert answer.provider == "anthropic"


@each("name", names("chat"))
def test_a_whole_answer_is_read(name: str) -> None:
    case = fixture(name)
    outcome = CODEC.decode(HELLO, CLAUDE, case["body"])
    assert isinstance(outcome, Done)
    as_expected(outcome.value, case)
    assert outcome.value.raw == case["body"]


@each("name", names("stream"))
def test_a_stream_is_read_wherever_the_network_cuts_it(name: str) -> None:
    case = fixture(name)
    data = sse(case["events"])
    out = read([data])
    as_expected(whole(out), case)
    # Every place is cut in the last line; in pairs of pieces, which cost the square of the length, some are.
    for cut in some(range(1, len(data), 7), 5):
        assert read([data[:cut], data[cut:]]) == out
    assert read([data[i : i + 1] for i in range(len(data))]) == out


@each("name", names("stream"))
def test_a_stream_that_is_cut_off_is_never_a_success(name: str) -> None:
    events = fixture(name)["events"]
    for kept in range(len(events) - 2):
        assert feed(*events[:kept])[-1] == Failure("truncated")
    # Only the very last event may be missing: the one before gives the stop reason.
    assert isinstance(feed(*events[:-1])[-1], Done)


@each("name", names("errors"))
def test_an_error_has_its_kind_by_code_status_and_words(name: str) -> None:
    for case in fixture(name)["cases"]:
        failure = CODEC.failure(case["status"], {}, json.dumps(case["body"]).encode(), CLAUDE)
        assert (failure.kind, failure.status, failure.code) == (case["kind"], case["status"], case["code"]), case
        assert failure.detail == case["body"]["error"]["message"]
        assert str(failure.detail) not in repr(failure)


def test_an_error_that_is_no_json_has_the_kind_of_its_status() -> None:
    for status, kind in ((400, "bad_request"), (502, "server"), (529, "server"), (401, "auth")):
        assert CODEC.failure(status, {}, b"<html>", CLAUDE).kind == kind


@each(
    ("kind", "failure"),
    [
        ("overloaded_error", "server"),
        ("api_error", "server"),
        ("timeout_error", "server"),
        ("rate_limit_error", "rate_limit"),
        ("billing_error", "quota"),
        ("invalid_request_error", "bad_request"),
    ],
)
def test_an_error_in_the_middle_of_a_stream_ends_it(kind: str, failure: str) -> None:
    events = fixture("stream_text")["events"]
    error = {"type": "error", "error": {"type": kind, "message": "Sorry"}, "request_id": "req_1"}
    *chunks, end = feed(*events[:4], error, *events[4:])
    assert "".join(chunk.content for chunk in chunks) == "Hello"
    assert (end.kind, end.code, end.status) == (failure, kind, None)


def test_an_error_at_status_200_is_no_answer() -> None:
    body = {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}
    for request in (HELLO, CountRequest(HELLO), ModelsRequest(), ModelRequest()):
        outcome = CODEC.decode(request, CLAUDE, body)
        assert isinstance(outcome, Failure)
        assert (outcome.kind, outcome.code) == ("server", "overloaded_error")


def test_what_is_no_answer_is_a_failure() -> None:
    none: tuple[Any, ...] = ([], "text", None, {}, {"content": "text"})
    for body in none:
        assert CODEC.decode(HELLO, CLAUDE, body) == Failure("malformed")
    for stop in ("end_turn", "tool_use", None, "news"):
        assert CODEC.decode(HELLO, CLAUDE, {"content": [{"type": "text", "text": ""}], "stop_reason": stop}) == Failure(
            "empty"
        )
    for request in (CountRequest(HELLO), ModelsRequest(), ModelRequest()):
        nothing: tuple[Any, ...] = ({}, {"data": ["x"]}, {"input_tokens": "9"}, {"input_tokens": -1})
        for body in nothing:
            assert CODEC.decode(request, CLAUDE, body) == Failure("malformed")
    assert CODEC.decode(EmbeddingRequest(("a",)), CLAUDE, {}) == Failure("malformed")


def test_a_stream_of_nothing_or_nonsense_is_a_failure() -> None:
    start, end = fixture("stream_text")["events"][0], fixture("stream_text")["events"][-2:]
    assert feed(start, *end) == [Failure("empty")]
    assert read([b"data: {oops\n\n", sse(end)]) == [Failure("malformed")]
    assert read([b"data: [1]\n\n"]) == [Failure("malformed")]
    assert read([b"event: error\ndata: {}\n\n"]) == [Failure("server")]


def test_events_that_are_not_known_or_make_no_sense_are_passed_over() -> None:
    events = fixture("stream_thinking_tools")["events"]
    noise: list[dict[str, Any]] = [
        {"type": "ping"},
        {"type": "news"},
        {"type": "content_block_start", "index": 9, "content_block": {"type": "container_upload", "file_id": "f"}},
        {"type": "content_block_start", "index": 8, "content_block": None},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "news_delta"}},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": None}},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "input_json_delta"}},
        {"type": "content_block_stop", "index": 77},
        {"type": "message_delta", "delta": None, "usage": None},
    ]
    answer = whole(feed(*events[:1], *noise, *events[1:]))
    expected = whole(feed(*events))
    assert (answer.content, answer.tool_calls, answer.usage) == (expected.content, expected.tool_calls, expected.usage)
    assert read([sse(events), b"data: [DONE]\n\n", sse(events)]) == feed(*events)


def test_a_block_without_a_start_event_or_with_its_text_in_that_event_is_read() -> None:
    end = fixture("stream_text")["events"][-2:]
    begun = {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": "Hel"}}
    unbegun = {"type": "content_block_delta", "index": 1, "delta": {"type": "text_delta", "text": "lo"}}
    call = {"type": "tool_use", "id": None, "name": "f", "input": {"a": 1}}
    called = {"type": "content_block_start", "index": 2, "content_block": call}
    answer = whole(feed(begun, unbegun, called, *end))
    assert (answer.content, [flat(call) for call in answer.tool_calls]) == ("Hello", [["call_0", "f", {"a": 1}]])
    assert (answer.finish_reason, answer.model) == ("tool_calls", "claude-sonnet-4-5")


def test_invalid_arguments_are_an_invalid_call_and_no_exception() -> None:
    events = fixture("stream_text")["events"]
    start, end = events[0], events[-2:]
    called = {"type": "content_block_start", "index": 0, "content_block": {"type": "tool_use", "id": "a", "name": "f"}}
    broken = {"type": "content_block_delta", "index": 0, "delta": {"type": "input_json_delta", "partial_json": '{"a'}}
    (call,) = whole(feed(start, called, broken, *end)).tool_calls
    assert (call.name, call.raw_arguments, dict(call.arguments)) == ("f", '{"a', {})
    assert call.error
    block = {"type": "tool_use", "id": "a", "name": "f", "input": "no object"}
    outcome = CODEC.decode(HELLO, CLAUDE, {"content": [block], "stop_reason": "tool_use"})
    assert isinstance(outcome, Done)
    assert outcome.value.tool_calls[0].error


def test_calls_of_a_server_that_numbers_no_blocks_are_kept_apart() -> None:
    calls = [{"type": "content_block_start", "content_block": {"type": "tool_use", "name": name}} for name in "fgh"]
    more = {"type": "content_block_delta", "index": [], "delta": {"type": "input_json_delta", "partial_json": "{}"}}
    answer = whole(feed(calls[0], more, calls[1], more, calls[2], more, *fixture("stream_text")["events"][-2:]))
    assert [flat(call) for call in answer.tool_calls] == [["call_0", "f", {}], ["call_1", "g", {}], ["call_2", "h", {}]]


def test_a_search_whose_question_is_cut_off_still_ends() -> None:
    events = fixture("stream_web_search")["events"]
    without_end_of_question = [e for e in events if e.get("delta", {}).get("partial_json", "").find("shannon") < 0]
    answer = whole(feed(*without_end_of_question))
    assert answer.content == "I'll search. Shannon was born in 1916"
    assert answer.provider_state
    assert answer.provider_state.data["blocks"][1]["input"] == {}


@each("name", names("models"))
def test_lists_of_models_are_read(name: str) -> None:
    case = fixture(name)
    outcome = CODEC.decode(ModelsRequest(), CLAUDE, case["body"])
    assert isinstance(outcome, Done)
    models, cursor = outcome.value
    actual = [
        [m.id, m.created, m.context_window, m.max_output, sorted(m.features) if m.features else None] for m in models
    ]
    assert (actual, cursor) == (case["expect"]["models"], case["expect"]["cursor"])
    assert CODEC.decode(ModelRequest(), CLAUDE, case["body"]["data"][0]) == Done(models[0])


def test_a_date_that_is_none_is_left_out() -> None:
    for moment in ("yesterday", "", 7, "99999-01-01T00:00:00Z", "0001-01-01T00:00:00Z"):
        outcome = CODEC.decode(ModelRequest(), CLAUDE, {"id": "m", "created_at": moment})
        assert isinstance(outcome, Done)
        assert outcome.value.created is None


def test_a_count_is_a_number() -> None:
    assert CODEC.decode(CountRequest(HELLO), CLAUDE, {"input_tokens": 14}) == Done(14)


def test_an_event_without_a_name_in_its_data_is_known_by_the_line_before() -> None:
    decoder = CODEC.decoder(HELLO, CLAUDE)
    delta = {"index": 0, "delta": {"type": "text_delta", "text": "Hi"}}
    (chunk,) = decoder.feed(ServerSentEvent(json.dumps(delta), "content_block_delta"))
    assert isinstance(chunk, LLMChunk)
    assert chunk.content == "Hi"
