"""Responses in Ollama's format."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from tests.support.codec_checks import calm, check, collect, flat, target
from tests.support.each import each
from tests.support.format_under_test import HELLO, FormatUnderTest
from tests.support.thorough import some
from unified_llm._core.outcome import Done, Failure
from unified_llm._formats.ollama import CODEC
from unified_llm.types import (
    CountRequest,
    EmbeddingRequest,
    LLMChunk,
    LLMResponse,
    ModelInfo,
    ModelRequest,
    ModelsRequest,
    ProviderState,
    TokenLogprob,
)

OLLAMA = FormatUnderTest("ollama")
DONE = {"model": "m", "message": {"role": "assistant", "content": "Hi"}, "done": True, "done_reason": "stop"}


@each("name", [*OLLAMA.names("chat"), "text_raw"])
def test_a_whole_answer_is_read(name: str) -> None:
    case = OLLAMA.fixture(name)
    answer = OLLAMA.whole(case["body"])
    assert isinstance(answer, LLMResponse)
    assert (answer.provider, answer.raw, answer.response_id) == ("ollama", case["body"], None)
    fields = {name: getattr(answer, name) for name in ("content", "reasoning", "finish_reason", "model", "usage")}
    check({**fields, "tool_calls": [flat(call) for call in answer.tool_calls]}, case["expect"])


@each("name", OLLAMA.names("stream"))
def test_a_stream_means_the_same_wherever_the_network_cuts_it(name: str) -> None:
    case = OLLAMA.fixture(name)
    data = OLLAMA.bytes_of(case["events"])
    whole = OLLAMA.play(data)
    check(collect(whole), case["expect"])
    for cut in some(range(1, len(data)), 7):
        assert OLLAMA.play(data[:cut], data[cut:]) == whole
    assert OLLAMA.play(*(data[i : i + 1] for i in range(len(data)))) == whole
    assert OLLAMA.play(data.removesuffix(b"\n").replace(b"\n", b"\r\n")) == whole, "the last line break may be missing"


@each("name", OLLAMA.names("stream"))
def test_a_stream_that_is_cut_off_is_never_a_success(name: str) -> None:
    events = OLLAMA.fixture(name)["events"]
    for kept in range(len(events)):
        assert OLLAMA.play_events(events[:kept])[-1] == Failure("truncated")


def test_an_error_has_its_kind() -> None:
    for case in OLLAMA.fixture("errors")["cases"]:
        failure = OLLAMA.failure(case["status"], case["body"])
        assert (failure.kind, failure.status, failure.code) == (case["kind"], case["status"], None), case
        assert case["body"]["error"] in (failure.detail or "")


def test_an_error_says_what_fixes_it() -> None:
    missing = OLLAMA.failure(404, {"error": "model 'llama9' not found"})
    assert missing.detail == "model 'llama9' not found (ollama pull some-model)"
    unknown = OLLAMA.failure(401, {"error": "unauthorized", "signin_url": "https://ollama.com/connect"})
    assert unknown.detail == "unauthorized (sign in at https://ollama.com/connect)"
    assert unknown.advice == "run: ollama signin"
    assert OLLAMA.failure(401, {"error": "unauthorized"}).detail == "unauthorized"
    assert OLLAMA.failure(401, b"no").detail == "no"
    assert OLLAMA.failure(404, b"404 page not found").kind == "not_found"


def test_an_error_in_the_middle_of_a_stream_ends_it() -> None:
    line = {"model": "m", "message": {"role": "assistant", "content": "Hi"}, "done": False}
    for words, kind in {
        "an error was encountered while running the model": "server",
        "the prompt is longer than the context length currently available": "context",
        "m does not support tools": "unsupported",
    }.items():
        chunk, failure = OLLAMA.play_events([line, {"error": words}, DONE])
        assert chunk == LLMChunk(content="Hi")
        assert (failure.kind, failure.detail) == (kind, words)
    assert OLLAMA.whole({"error": "it broke"}) == Failure("server", detail="it broke")
    assert OLLAMA.whole({"error": {"odd": 1}}) == Failure("server")


def test_a_model_that_was_only_loaded_did_not_answer() -> None:
    for reason in ("load", "unload"):
        body = {**DONE, "message": {"role": "assistant", "content": ""}, "done_reason": reason}
        assert OLLAMA.whole(body) == Failure("empty", code=reason)
        assert OLLAMA.play_events([body]) == [Failure("empty", code=reason)]


def test_an_answer_without_words_is_none() -> None:
    silent = {**DONE, "message": {"role": "assistant", "content": ""}}
    assert OLLAMA.whole(silent) == Failure("empty")
    assert OLLAMA.play_events([silent])[-1] == Failure("empty")
    assert OLLAMA.whole({**silent, "done_reason": "length"}).finish_reason == "length"


def test_an_unknown_reason_to_stop_is_a_cut() -> None:
    assert OLLAMA.whole({**DONE, "done_reason": "weary"}).finish_reason == "length"


def test_what_was_not_done_is_not_whole() -> None:
    assert OLLAMA.whole({**DONE, "done": False}) == Failure("truncated")


def test_a_line_that_is_no_object_is_malformed() -> None:
    for line in ("[1]", "7", '"text"', "{,}"):
        assert OLLAMA.play_events([line, DONE]) == [Failure("malformed")]


def test_nothing_follows_the_end() -> None:
    assert [type(output) for output in OLLAMA.play_events([DONE, DONE, {"error": "late"}])] == [LLMChunk, Done]


def test_calls_without_identifiers_get_some_that_last_and_differ() -> None:
    call = {"function": {"name": "now", "arguments": {}}}
    line = {"model": "m", "created_at": "2026-01-01T00:00:00Z", "message": {"tool_calls": [call, call]}, "done": False}
    later = {**line, "created_at": "2026-01-01T00:00:01Z", "message": {"tool_calls": [call]}}
    first, second, *_ = OLLAMA.play_events([line, later, DONE])
    ids = [call.id for call in (*first.tool_calls, *second.tool_calls)]
    assert len(set(ids)) == 3
    assert [call.index for call in (*first.tool_calls, *second.tool_calls)] == [0, 1, 2]
    whole = OLLAMA.whole({**line, "done": True})
    assert [call.id for call in whole.tool_calls] == ids[:2]


def test_arguments_that_are_no_object_are_the_model_s_mistake() -> None:
    given = ("{city", ["a"], '{"a": 1}', None)
    calls = [*({"function": {"name": "f", "arguments": arguments}} for arguments in given), "x", {}]
    answer = OLLAMA.whole({**DONE, "message": {"content": "", "tool_calls": calls}})
    assert [(bool(call.error), dict(call.arguments)) for call in answer.tool_calls] == [
        (True, {}),
        (True, {}),
        (False, {"a": 1}),
        (False, {}),
    ]


def test_reasoning_before_calls_is_kept_for_the_next_turn() -> None:
    kept = ProviderState("ollama", "ollama", {"thinking": "Both."})
    assert OLLAMA.whole(OLLAMA.fixture("chat_tools_parallel")["body"]).provider_state == ProviderState(
        "ollama", "ollama", {"thinking": "Two cities."}
    )
    assert OLLAMA.play_events(OLLAMA.fixture("stream_tools_parallel")["events"])[-1].value.provider_state == kept
    assert OLLAMA.whole(OLLAMA.fixture("chat_thinking")["body"]).provider_state is None


def test_log_probabilities_come_token_by_token() -> None:
    logprobs = [
        {
            "token": "Hi",
            "logprob": -0.5,
            "bytes": [72],
            "top_logprobs": [{"token": "Hi", "logprob": -0.5}, {"token": 1}],
        },
        {"token": "!", "logprob": "odd"},
        7,
    ]
    expected = (TokenLogprob("Hi", -0.5, (("Hi", -0.5),)),)
    assert OLLAMA.whole({**DONE, "logprobs": logprobs}).logprobs == expected
    buffered = {"model": "m", "message": {"role": "assistant", "content": ""}, "done": False, "logprobs": logprobs}
    assert OLLAMA.play_events([buffered, DONE])[0] == LLMChunk(logprobs=expected)


def test_vectors_are_read_in_the_order_of_the_texts() -> None:
    case = OLLAMA.fixture("embed")
    answer = OLLAMA.whole(case["body"], EmbeddingRequest(("a", "b")))
    assert answer.vectors == case["expect"]["vectors"]
    assert (answer.usage.prompt_tokens, answer.model) == (case["expect"]["prompt_tokens"], "all-minilm")


def test_vectors_that_do_not_fit_the_texts_are_malformed() -> None:
    body: Any
    for body in ({}, {"embeddings": [[1.0]]}, {"embeddings": [[1.0], [1.0, 2.0]]}, {"embeddings": 7}, []):
        assert OLLAMA.whole(body, EmbeddingRequest(("a", "b"))) == Failure("malformed")


def test_models_are_listed_with_what_they_can_do() -> None:
    case = OLLAMA.fixture("tags")
    models, cursor = OLLAMA.whole(case["body"], ModelsRequest())
    assert [[model.id, sorted(model.features) if model.features else None] for model in models] == case["expect"]
    assert (cursor, {model.provider for model in models}) == (None, {"ollama"})
    assert OLLAMA.whole({"models": []}, ModelsRequest()) == ((), None)
    body: Any
    for body in ({"models": [{"size": 1}]}, {"models": {}}, 7, {"error": "busy"}):
        assert isinstance(OLLAMA.whole(body, ModelsRequest()), Failure)


def test_a_model_is_described_by_the_server() -> None:
    case = OLLAMA.fixture("show")
    info = OLLAMA.whole(case["body"], ModelRequest())
    assert (info.id, info.context_window) == ("some-model", case["expect"]["context_window"])
    assert sorted(info.features) == case["expect"]["features"]
    assert OLLAMA.whole({"license": "x"}, ModelRequest()) == ModelInfo("some-model", "ollama")
    assert OLLAMA.whole({"error": "busy"}, ModelRequest()).kind == "server"


def test_what_was_not_asked_for_is_not_read() -> None:
    assert CODEC.decode(CountRequest(HELLO), target("ollama"), {}) == Failure("malformed")


def test_what_is_no_answer_is_malformed() -> None:
    body: Any
    for body in (None, [], "text", 7, {}, {"message": "x"}, {"message": None, "done": True}):
        assert OLLAMA.whole(body) == Failure("malformed")


@calm
@given(
    st.lists(
        st.recursive(
            st.none() | st.booleans() | st.floats() | st.text(max_size=5),
            lambda inner: (
                st.lists(inner, max_size=2)
                | st.dictionaries(
                    st.sampled_from(["message", "content", "tool_calls", "function", "done", "logprobs", "error"]),
                    inner,
                )
            ),
            max_leaves=8,
        ),
        max_size=3,
    )
)
def test_no_line_breaks_the_reader(lines: list[Any]) -> None:
    out = OLLAMA.play_events([json.dumps(line) for line in lines])
    assert isinstance(out[-1], Done | Failure)
    for line in lines:
        assert OLLAMA.whole(line)
