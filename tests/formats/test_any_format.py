"""What holds of every format, whatever a provider sends and whatever a user asks: see ``any_format``."""

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
from tests.support.any_request import REQUEST, sealed_by
from tests.support.codec_checks import CANARY, calm
from tests.support.recordings import (
    ASKS,
    CHAT,
    MISSING,
    SPOILT,
    Spoilt,
    bodies,
    ends,
    named,
    places,
    places_of,
    recorded,
    refusals,
    split,
    spots,
    streams,
    text_of,
    whole,
    written,
)
from unified_llm._core.chunks import as_response
from unified_llm._core.codec import AnyRequest
from unified_llm._core.features import Feature
from unified_llm._core.outcome import Done, Failure
from unified_llm._formats.make_codec import FORMATS
from unified_llm.exceptions import UnsupportedOperationError, ValidationError
from unified_llm.types import (
    AudioPart,
    CountRequest,
    EmbeddingRequest,
    FilePart,
    ImagePart,
    LLMRequest,
    LLMResponse,
    Message,
    ModelRequest,
    ModelsRequest,
    Part,
    RerankRequest,
    ResponseFormat,
    TextPart,
    Tool,
)

every_wire = pytest.mark.parametrize("wire", FORMATS)
few = settings(calm, max_examples=40)
CHANGES = (MISSING, *SPOILT)

# The words of a format are in its recordings; of what is made of them, much is nearly an answer.
WORDS = sorted({
    str(word)
    for wire in FORMATS
    for _, case in recorded(wire)
    for holder, key in spots(case)
    for word in (key, holder[key])
    if isinstance(word, str) and len(word) < 30
})  # fmt: skip
JSON = st.recursive(
    st.sampled_from([*SPOILT, *WORDS]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(WORDS), inner, max_size=4),
    max_leaves=12,
)


@every_wire
def test_an_answer_that_is_spoilt_anywhere_is_an_answer_or_a_failure(wire: str) -> None:
    turn = count()
    for where in places_of(wire):
        for name, body in bodies(wire):
            asked = [ask for ask in ASKS if isinstance(where.codec.decode(ask, where.target, body), Done)]
            assert asked, f"{name} is no answer to anything"
            for holder, key in list(spots(body)):
                number = next(turn)
                change, ask = CHANGES[number % len(CHANGES)], asked[number % len(asked)]
                with Spoilt(holder, key, change):
                    check_outcome(ask, where.codec.decode(ask, where.target, body))


@every_wire
def test_a_stream_that_is_spoilt_anywhere_is_chunks_and_one_end(wire: str) -> None:
    turn = count()
    for where in places_of(wire)[:2]:
        for _, events in streams(wire):
            sent = [named(each) for each in events]
            for number, event in enumerate(events):
                for holder, key in list(spots(event)):
                    with Spoilt(holder, key, CHANGES[next(turn) % len(CHANGES)]):
                        play(where, [*sent[:number], named(event, json.dumps(event)), *sent[number + 1 :]])


@every_wire
@settings(calm, max_examples=25)
@given(st.lists(st.integers(0, 60), min_size=1, max_size=14), st.integers(0, 4000), st.integers(0, 40))
def test_a_stream_in_any_order_with_gaps_and_repetitions_ends_only_where_it_says_so(
    wire: str, picked: list[int], cut: int, which: int
) -> None:
    where, (_, events) = places_of(wire)[0], streams(wire)[which % len(streams(wire))]
    chosen = [events[number % len(events)] for number in picked]
    data = written(where.codec, chosen)
    out = play(where, split(where.codec, [data]))
    assert play(where, split(where.codec, [data[: cut % len(data)], data[cut % len(data) :]])) == out
    assert isinstance(out[-1], Failure) or any(map(ends, chosen))


@every_wire
def test_a_stream_is_no_success_before_it_says_that_it_ends(wire: str) -> None:
    for where in places_of(wire)[:1]:
        for name, events in streams(wire):
            last = next(number for number, each in enumerate(events) if ends(each))
            for kept in range(last + 1):
                assert isinstance(play(where, map(named, events[:kept]))[-1], Failure), name
            assert isinstance(play(where, map(named, events))[-1], Done), name


@few
@given(JSON, JSON)
def test_whatever_a_provider_says_means_something_or_is_a_failure(one: Any, two: Any) -> None:
    for wire in FORMATS:
        where = places_of(wire)[0]
        for ask in ASKS:
            check_outcome(ask, where.codec.decode(ask, where.target, one))
        play(where, map(named, (one, two, one)))


@few
@given(
    st.binary(max_size=20) | st.text(max_size=20).map(str.encode) | JSON.map(text_of).map(str.encode),
    st.integers(300, 999),
    st.dictionaries(st.sampled_from(["retry-after", "content-type"]), st.text(max_size=8), max_size=2),
)
def test_whatever_a_refusal_says_it_has_a_kind(body: bytes, status: int, headers: dict[str, str]) -> None:
    for where in places():
        failure = where.codec.failure(status, headers, body, where.target)
        check_failure(failure)
        assert failure.status in {status, None}


@every_wire
def test_a_refusal_that_is_spoilt_anywhere_has_a_kind(wire: str) -> None:
    turn = count()
    for status, body in refusals(wire):
        for holder, key in list(spots(body)):
            with Spoilt(holder, key, CHANGES[next(turn) % len(CHANGES)]):
                for where in places_of(wire)[:2]:
                    check_failure(where.codec.failure(status, {}, json.dumps(body).encode(), where.target))


@pytest.mark.parametrize("wire", ["anthropic", "ollama", "openai_responses"])
def test_the_chunks_of_a_stream_add_up_to_the_answer_that_comes_whole(wire: str) -> None:
    where = places_of(wire)[0]
    for name, events in streams(wire):
        *chunks, end = play(where, map(named, events))
        done = where.codec.decode(CHAT, where.target, whole(wire, events))
        assert isinstance(done, Done), name
        assert told(as_response(chunks, end.value)) == told(done.value), name


def told(answer: LLMResponse) -> dict[str, Any]:
    """What it says, without what belongs to one of the two ways: spaces in arguments, identifiers that we make."""
    said = {each.name: getattr(answer, each.name) for each in fields(answer) if each.name not in {"raw", "logprobs"}}
    return said | {"tool_calls": [(call.name, call.arguments, call.error) for call in answer.tool_calls]}


@settings(calm, max_examples=60)
@given(REQUEST)
def test_whatever_is_asked_is_sent_as_json_or_refused_by_name(ask: LLMRequest) -> None:
    for where in (each for wire in FORMATS for each in places_of(wire)):
        own = sealed_by(ask, where.target)
        for one in (own, CountRequest(own)):
            try:
                wire = where.codec.encode(one, where.target)
            except (ValidationError, UnsupportedOperationError):
                continue
            assert isinstance(json.loads(wire.body), dict)
            check_secrecy(wire)


def test_every_question_is_sent_with_the_key_in_one_header_and_nowhere_else() -> None:
    for where in places():
        for ask in ASKS:
            try:
                wire = where.codec.encode(ask, where.target)
            except UnsupportedOperationError:
                continue
            assert re.fullmatch(r"https?://[!-~]+", wire.url)
            assert wire.method == ("POST" if wire.body else "GET")
            check_secrecy(wire)


def user(*parts: Part) -> LLMRequest:
    return LLMRequest((Message("user", (TextPart("Hello"), *parts)),))


CITY = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
OFFERED = replace(CHAT, tools=(Tool("weather", parameters=CITY), Tool("clock")))
# What a feature lets people ask, and what of it must be in the request.
FEATURES: dict[str, tuple[AnyRequest, str]] = {
    "tools": (OFFERED, '"city"'),
    "tool_choice": (replace(OFFERED, tool_choice="required"), "(?i)required|any"),
    "json_object": (replace(CHAT, response_format=ResponseFormat()), "json"),
    "json_schema": (replace(CHAT, response_format=ResponseFormat(CITY)), '"city"'),
    "images": (user(ImagePart(data=b"picture")), "cGljdHVyZQ=="),
    "image_urls": (user(ImagePart(url="https://example.org/a.png")), "https://example.org/a.png"),
    "audio": (user(AudioPart(b"picture", "wav")), "cGljdHVyZQ=="),
    "files": (user(FilePart(b"picture", "application/pdf", "a.pdf")), "cGljdHVyZQ=="),
    "streaming": (replace(CHAT, stream=True), ""),
    "as_text": (replace(CHAT, as_text=True), '"prompt":"Hello"'),
    "n": (replace(CHAT, n=3), ":3"),
    "embeddings": (EmbeddingRequest(("Hello",)), "Hello"),
    "count_tokens": (CountRequest(CHAT), "Hello"),
    "rerank": (RerankRequest("query", ("Hello",)), "Hello"),
    "models": (ModelsRequest(), ""),
    "model_info": (ModelRequest(), ""),
}


def test_what_a_row_claims_its_format_can_write() -> None:
    assert FEATURES.keys() == set(get_args(Feature))
    for where in places():
        for feature in where.target.features:
            ask, mark = FEATURES[feature]
            wire = where.codec.encode(ask, where.target)
            assert re.search(mark, wire.body.decode()), (where.name, feature)


def check_secrecy(wire: Any) -> None:
    """The key is in one header and nowhere else."""
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


def test_a_setting_is_sent_or_said_once_to_be_left_out_without_its_value(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "unified_llm")
    for where in places():
        for name, value in SETTINGS.items():
            caplog.clear()
            wire = where.codec.encode(replace(CHAT, **{name: value}), where.target)
            text = json.dumps(value[0] if isinstance(value, tuple) else value)
            said = [line.partition(" is not sent to ")[0] for line in caplog.messages]
            assert (text in wire.body.decode()) == (name not in said), (where.name, name)
            assert set(said) <= {name, "logprobs"}, said  # which alternatives would have brought with them
            assert len(set(said)) == len(said)
            assert not any(text.strip('"') in line for line in caplog.messages)
