"""Every row that has OpenAI's format, against every fixture of that format."""

from __future__ import annotations

import json
from dataclasses import replace

from tests.support.codec_checks import (
    CANARY,
    body_of,
    check,
    collect,
    fixture,
    flat,
    names,
    plain_target,
    read_events,
    read_pieces,
    sse,
    target,
)
from tests.support.each import each
from tests.support.thorough import some
from unified_llm._core.outcome import Done, Failure
from unified_llm._formats.openai_chat import CODEC
from unified_llm._providers.registry import ROWS
from unified_llm.types import EmbeddingRequest, LLMRequest, Message, ModelsRequest

PROVIDERS = [row.name for row in ROWS if row.format == "openai_chat"]
HELLO = LLMRequest((Message.user("Hello"),), temperature=0.5, max_tokens=9, stop=("END",))


@each("name", names("chat"))
def test_a_whole_answer_means_the_same_whoever_sends_it(name: str) -> None:
    for provider in PROVIDERS:
        case = fixture(name)
        where = target(provider)
        outcome = CODEC.decode(HELLO, where, case["body"])
        assert isinstance(outcome, Done)
        answer = outcome.value
        assert answer.provider == provider
        assert answer.raw == case["body"]
        actual = {name: getattr(answer, name) for name in ("content", "reasoning", "refusal", "finish_reason", "model")}
        actual |= {
            "response_id": answer.response_id,
            "usage": answer.usage,
            "tool_calls": [flat(c) for c in answer.tool_calls],
        }
        check(actual, case["expect"])


@each("name", names("stream"))
def test_a_stream_means_the_same_whoever_sends_it(name: str) -> None:
    for provider in PROVIDERS:
        case = fixture(name)
        out = read_events(case["events"], target(provider))
        check(collect(out), case["expect"])
        assert out[-1].value.provider == provider


@each("name", names("stream"))
def test_a_stream_means_the_same_wherever_the_network_cuts_it(name: str) -> None:
    case = fixture(name)
    data = sse(case["events"])
    whole = read_pieces([data], plain_target())
    for cut in some(range(1, len(data)), 7):
        assert read_pieces([data[:cut], data[cut:]], plain_target()) == whole
    assert read_pieces([data[i : i + 1] for i in range(len(data))], plain_target()) == whole


@each("name", names("stream"))
def test_a_stream_that_is_cut_off_is_never_a_success(name: str) -> None:
    events = fixture(name)["events"]
    finish = next(i for i, event in enumerate(events) if event["choices"] and event["choices"][0]["finish_reason"])
    for kept in range(finish):
        assert read_events(events[:kept])[-1] == Failure("truncated")


@each("name", names("errors"))
def test_an_error_has_one_kind_whoever_sends_it(name: str) -> None:
    for provider in PROVIDERS:
        where = target(provider)
        given_a_meaning_by_the_row = {where.quirks.context_status}
        given_a_meaning_by_the_row |= {int(code) for code in where.quirks.codes if len(code) == 3}
        for case in fixture(name)["cases"]:
            if case["status"] not in given_a_meaning_by_the_row:
                failure = CODEC.failure(case["status"], {}, json.dumps(case["body"]).encode(), where)
                assert (failure.kind, failure.status, failure.code) == (case["kind"], case["status"], case["code"])


@each("name", names("embeddings"))
def test_vectors_come_in_the_order_of_the_texts(name: str) -> None:
    for provider in PROVIDERS:
        case = fixture(name)
        outcome = CODEC.decode(EmbeddingRequest(("a", "b")), target(provider), case["body"])
        assert isinstance(outcome, Done)
        answer = outcome.value
        assert answer.vectors == case["expect"]["vectors"]
        assert all(type(number) is float for vector in answer.vectors for number in vector)
        assert (answer.usage.prompt_tokens if answer.usage else None) == case["expect"]["prompt_tokens"]


@each("name", names("models"))
def test_model_lists_of_every_shape_are_read(name: str) -> None:
    for provider in PROVIDERS:
        case = fixture(name)
        outcome = CODEC.decode(ModelsRequest(), target(provider), case["body"])
        assert isinstance(outcome, Done)
        models, cursor = outcome.value
        assert [[m.id, m.owned_by, m.created, m.context_window] for m in models] == case["expect"]["models"]
        assert cursor == case["expect"]["cursor"]
        assert all(model.provider == provider for model in models)


def test_every_request_goes_to_the_provider_with_its_key_in_one_header() -> None:
    for provider in PROVIDERS:
        where = target(provider)
        wire = CODEC.encode(HELLO, where)
        assert (wire.method, wire.url) == ("POST", f"{where.base_url}/chat/completions")
        headers = dict(wire.headers)
        assert len(headers) == len(wire.headers)
        carrying = {name: value for name, value in headers.items() if CANARY in value}
        assert carrying in ({"authorization": f"Bearer {CANARY}"}, {"api-key": CANARY})
        assert CANARY not in repr(wire)
        assert CANARY.encode() not in wire.body


def test_every_request_names_the_target_s_model_and_keeps_stop_and_messages() -> None:
    for provider in PROVIDERS:
        where = target(provider)
        body = body_of(replace(HELLO, model="another/model"), where)
        assert body["model"] == "some-model"
        assert body["messages"] == [{"role": "user", "content": "Hello"}]
        assert body.get("stop") == (None if "stop" in where.quirks.drop else ["END"])  # the client then applies it
        assert body.get("max_tokens", body.get("max_completion_tokens")) == 9


def test_nothing_that_a_provider_refuses_is_sent_to_it() -> None:
    for provider in PROVIDERS:
        request = LLMRequest(
            (Message("user", "Hello", name="Ann"),), temperature=0, max_tokens=1, top_p=1, seed=1, frequency_penalty=0,
            presence_penalty=0, reasoning_effort="low", logprobs=True, top_logprobs=2, stream=True,
        )  # fmt: skip
        where = target(provider)
        body = body_of(request, where)
        assert not set(body) & where.quirks.drop
        assert not set(body) & set(where.quirks.rename)
        assert ("name" in body["messages"][0]) != ("messages.name" in where.quirks.drop)
        assert ("stream_options" in body) != where.quirks.usage_always
