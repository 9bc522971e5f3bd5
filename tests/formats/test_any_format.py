"""Properties of every format, whatever a provider sends and whatever a user requests: see ``any_format``."""

from __future__ import annotations

import json
import logging
import re
from dataclasses import fields, replace
from itertools import count
from typing import Any, get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.any_format import check_failure, check_outcome, play
from tests.support.any_request import REQUEST, with_provider_state_of
from tests.support.codec_checks import CANARY, calm
from tests.support.recordings import (
    CHAT,
    CORRUPT_VALUES,
    MISSING,
    REQUESTS,
    Corrupted,
    all_targets,
    as_event,
    bodies,
    encode_stream,
    error_cases,
    event_text,
    is_end,
    positions,
    recorded,
    split_events,
    streams,
    targets_of,
    whole_body,
)
from tests.support.thorough import examples, some
from unified_llm._core.batch_service import BatchCancelRequest
from unified_llm._core.chunks import as_response
from unified_llm._core.codec import AnyRequest
from unified_llm._core.features import Feature
from unified_llm._core.outcome import Done, Failure
from unified_llm._formats.codecs import FORMATS
from unified_llm.exceptions import UnsupportedOperationError, ValidationError
from unified_llm.types import (
    AudioPart,
    CountRequest,
    EmbeddingRequest,
    FilePart,
    ImagePart,
    ImageRequest,
    LLMRequest,
    LLMResponse,
    MediaFile,
    Message,
    ModelRequest,
    ModelsRequest,
    Part,
    RawRequest,
    RerankRequest,
    ResponseFormat,
    SpeechRequest,
    TextPart,
    Tool,
    TranscriptionRequest,
    VideoRequest,
)

pytestmark = pytest.mark.thorough

every_format = pytest.mark.parametrize("format_name", FORMATS)
few = settings(calm, max_examples=examples(40))
CHANGES = (MISSING, *CORRUPT_VALUES)

# Field names and values of the recordings, so that generated JSON is often almost a response.
WORDS = sorted({
    str(word)
    for format_name in FORMATS
    for _, case in recorded(format_name)
    for holder, key in positions(case)
    for word in (key, holder[key])
    if isinstance(word, str) and len(word) < 30
})  # fmt: skip
JSON = st.recursive(
    st.sampled_from([*CORRUPT_VALUES, *WORDS]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(WORDS), inner, max_size=4),
    max_leaves=12,
)


@every_format
def test_an_answer_that_is_spoilt_anywhere_is_an_answer_or_a_failure(format_name: str) -> None:
    turn = count()
    for source in targets_of(format_name):
        for name, body in bodies(format_name):
            accepted_requests = [
                request for request in REQUESTS if isinstance(source.codec.decode(request, source.target, body), Done)
            ]
            assert accepted_requests, f"{name} is no answer to anything"
            for holder, key in some(positions(body), 4):
                number = next(turn)
                change, request = CHANGES[number % len(CHANGES)], accepted_requests[number % len(accepted_requests)]
                with Corrupted(holder, key, change):
                    check_outcome(request, source.codec.decode(request, source.target, body))


@every_format
def test_a_stream_that_is_spoilt_anywhere_is_chunks_and_one_end(format_name: str) -> None:
    turn = count()
    for source in targets_of(format_name)[:2]:
        for _, events in streams(format_name):
            sent = [as_event(event) for event in events]
            for number, event in enumerate(events):
                for holder, key in some(positions(event), 5, number):
                    with Corrupted(holder, key, CHANGES[next(turn) % len(CHANGES)]):
                        play(source, [*sent[:number], as_event(event, json.dumps(event)), *sent[number + 1 :]])


@every_format
@settings(calm, max_examples=examples(25))
@given(st.lists(st.integers(0, 60), min_size=1, max_size=14), st.integers(0, 4000), st.integers(0, 40))
def test_a_stream_in_any_order_with_gaps_and_repetitions_ends_only_where_it_says_so(
    format_name: str, picked: list[int], cut: int, which: int
) -> None:
    source, (_, events) = targets_of(format_name)[0], streams(format_name)[which % len(streams(format_name))]
    chosen = [events[number % len(events)] for number in picked]
    data = encode_stream(source.codec, chosen)
    out = play(source, split_events(source.codec, [data]))
    assert play(source, split_events(source.codec, [data[: cut % len(data)], data[cut % len(data) :]])) == out
    assert isinstance(out[-1], Failure) or any(map(is_end, chosen))


@every_format
def test_a_stream_is_no_success_before_it_says_that_it_ends(format_name: str) -> None:
    for source in targets_of(format_name)[:1]:
        for name, events in streams(format_name):
            last = next(number for number, event in enumerate(events) if is_end(event))
            for kept in range(last + 1):
                assert isinstance(play(source, map(as_event, events[:kept]))[-1], Failure), name
            assert isinstance(play(source, map(as_event, events))[-1], Done), name


@few
@given(JSON, JSON)
def test_whatever_a_provider_says_means_something_or_is_a_failure(one: Any, two: Any) -> None:
    for format_name in FORMATS:
        source = targets_of(format_name)[0]
        for request in REQUESTS:
            check_outcome(request, source.codec.decode(request, source.target, one))
        play(source, map(as_event, (one, two, one)))


@few
@given(
    st.binary(max_size=20) | st.text(max_size=20).map(str.encode) | JSON.map(event_text).map(str.encode),
    st.integers(300, 999),
    st.dictionaries(st.sampled_from(["retry-after", "content-type"]), st.text(max_size=8), max_size=2),
)
def test_whatever_a_refusal_says_it_has_a_kind(body: bytes, status: int, headers: dict[str, str]) -> None:
    for source in all_targets():
        failure = source.codec.failure(status, headers, body, source.target)
        check_failure(failure)
        assert failure.status in {status, None}


@every_format
def test_a_refusal_that_is_spoilt_anywhere_has_a_kind(format_name: str) -> None:
    turn = count()
    for status, body in error_cases(format_name):
        for holder, key in list(positions(body)):
            with Corrupted(holder, key, CHANGES[next(turn) % len(CHANGES)]):
                for source in targets_of(format_name)[:2]:
                    check_failure(source.codec.failure(status, {}, json.dumps(body).encode(), source.target))


@pytest.mark.parametrize("format_name", ["anthropic", "ollama", "openai_responses"])
def test_the_chunks_of_a_stream_add_up_to_the_answer_that_comes_whole(format_name: str) -> None:
    source = targets_of(format_name)[0]
    for name, events in streams(format_name):
        *chunks, end = play(source, map(as_event, events))
        done = source.codec.decode(CHAT, source.target, whole_body(format_name, events))
        assert isinstance(done, Done), name
        assert comparable_fields(as_response(chunks, end.value)) == comparable_fields(done.value), name


def comparable_fields(answer: LLMResponse) -> dict[str, Any]:
    """Return the fields that are equal, whole or streamed: without spaces in arguments and identifiers that we make."""
    dropped = {
        field.name: getattr(answer, field.name) for field in fields(answer) if field.name not in {"raw", "logprobs"}
    }
    return dropped | {"tool_calls": [(call.name, call.arguments, call.error) for call in answer.tool_calls]}


@settings(calm, max_examples=examples(60))
@given(REQUEST)
def test_whatever_is_asked_is_sent_as_json_or_refused_by_name(llm_request: LLMRequest) -> None:
    for source in (target for format_name in FORMATS for target in targets_of(format_name)):
        own = with_provider_state_of(llm_request, source.target)
        for request in (own, CountRequest(own)):
            try:
                wire = source.codec.encode(request, source.target)
            except (ValidationError, UnsupportedOperationError):
                continue
            assert isinstance(json.loads(wire.body), dict)
            check_secrecy(wire)


def test_every_question_is_sent_with_the_key_in_one_header_and_nowhere_else() -> None:
    for source in all_targets():
        for request in REQUESTS:
            try:
                wire = source.codec.encode(request, source.target)
            except UnsupportedOperationError:
                continue
            assert re.fullmatch(r"https?://[!-~]+", wire.url)
            assert wire.method == ("POST" if wire.body else "GET")
            check_secrecy(wire)


def user(*parts: Part) -> LLMRequest:
    return LLMRequest((Message("user", (TextPart("Hello"), *parts)),))


CITY = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
OFFERED = replace(CHAT, tools=(Tool("weather", parameters=CITY), Tool("clock")))
PICTURE = MediaFile(b"picture", "a.png", "image/png")
# A request that needs the feature, and a pattern that its encoded body must match.
FEATURES: dict[str, tuple[AnyRequest, str]] = {
    "tools": (OFFERED, '"city"'),
    "tool_choice": (replace(OFFERED, tool_choice="required"), "(?i)required|any"),
    "json_object": (replace(CHAT, response_format=ResponseFormat()), "json"),
    "json_schema": (replace(CHAT, response_format=ResponseFormat(CITY)), '"city"'),
    "images": (user(ImagePart(data=b"picture")), "cGljdHVyZQ=="),
    "image_urls": (user(ImagePart(url="https://example.org/a.png")), "https://example.org/a.png"),
    "audio": (user(AudioPart(b"picture", "wav")), "cGljdHVyZQ=="),
    "files": (user(FilePart(b"picture", "application/pdf", "a.pdf")), "cGljdHVyZQ=="),
    "file_urls": (user(FilePart(url="https://example.org/a.pdf")), "https://example.org/a.pdf"),
    "streaming": (replace(CHAT, stream=True), ""),
    "as_text": (replace(CHAT, as_text=True), '"prompt":"Hello"'),
    "n": (replace(CHAT, n=3), ":3"),
    "embeddings": (EmbeddingRequest(("Hello",)), "Hello"),
    "count_tokens": (CountRequest(CHAT), "Hello"),
    "rerank": (RerankRequest("query", ("Hello",)), "Hello"),
    "models": (ModelsRequest(), ""),
    "model_info": (ModelRequest(), ""),
    "generate_image": (ImageRequest("a red fox"), "a red fox"),
    "edit_image": (ImageRequest("a red fox", images=(PICTURE,)), "(?s)a red fox.*picture|cGljdHVyZQ==.*a red fox"),
    "stream_image": (ImageRequest("a red fox", stream=True), '"stream":true'),
    "speech": (SpeechRequest("Hello", voice="alloy"), "Hello"),
    "transcription": (TranscriptionRequest(PICTURE, language="en"), "picture"),
    "translation": (TranscriptionRequest(PICTURE, translate=True), "picture"),
    "stream_transcription": (TranscriptionRequest(PICTURE, stream=True), "(?s)stream.*true"),
    "video": (VideoRequest("a red fox"), "a red fox"),
    "moderation": (RawRequest("POST", "/moderations", "moderation", body={"input": "Hello"}), "Hello"),
    "file_storage": (RawRequest("POST", "/files", "file_storage", form=(("file", PICTURE),)), "picture"),
    "batches": (RawRequest("POST", "/batches", "batches", body={"input_file_id": "file-1"}), "file-1"),
    "stored_responses": (RawRequest("DELETE", "/responses/resp_1", "stored_responses"), ""),
    "batch_service": (BatchCancelRequest("batch-1"), ""),
    "stored_completions": (RawRequest("GET", "/chat/completions", "stored_completions"), ""),
}


def test_what_a_row_claims_its_format_can_write() -> None:
    assert FEATURES.keys() == set(get_args(Feature))
    for source in all_targets():
        for feature in source.target.features:
            if feature == "video" and source.target.api_version:  # Azure has videos in its v1 API alone
                continue
            request, mark = FEATURES[feature]
            wire = source.codec.encode(request, source.target)
            assert re.search(mark, wire.body.decode()), (source.name, feature)


def check_secrecy(wire: Any) -> None:
    """Check that the key is in one header and nowhere else."""
    assert CANARY not in wire.url
    assert CANARY.encode() not in wire.body
    assert CANARY not in repr(wire)
    assert [name for name, value in wire.headers if CANARY in value] != []
    names = [name for name, _ in wire.headers]
    assert len(set(names)) == len(names)
    assert names == [name.lower() for name in names]


SETTINGS: dict[str, Any] = {
    "temperature": 0.1234, "top_p": 0.4567, "max_tokens": 98765, "stop": ("CANARY-STOP",), "seed": 424242,
    "frequency_penalty": 0.1112, "presence_penalty": 0.2223, "top_logprobs": 19,
}  # fmt: skip


def test_a_setting_is_sent_or_logged_once_as_left_out_without_its_value(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "unified_llm")
    for source in all_targets():
        for name, value in SETTINGS.items():
            caplog.clear()
            wire = source.codec.encode(replace(CHAT, **{name: value}), source.target)
            text = json.dumps(value[0] if isinstance(value, tuple) else value)
            dropped = [line.partition(" is not sent to ")[0] for line in caplog.messages]
            assert (text in wire.body.decode()) == (name not in dropped), (source.name, name)
            assert set(dropped) <= {name, "logprobs"}, dropped  # top_logprobs also sets logprobs
            assert len(set(dropped)) == len(dropped)
            assert not any(text.strip('"') in line for line in caplog.messages)
