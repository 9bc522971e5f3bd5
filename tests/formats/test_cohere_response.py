"""Responses in Cohere's format."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.codec_checks import calm, check, collect, flat, target
from tests.support.each import each
from tests.support.format_under_test import HELLO, FormatUnderTest
from tests.support.thorough import some
from unified_llm._core.outcome import Done, Failure
from unified_llm._formats.cohere import CODEC
from unified_llm.types import (
    Citation,
    CountRequest,
    EmbeddingRequest,
    LLMChunk,
    LLMResponse,
    ModelRequest,
    ModelsRequest,
    ProviderState,
    RankedDocument,
    RerankRequest,
    TokenLogprob,
)

COHERE = FormatUnderTest("cohere")
PLAIN = COHERE.fixture("chat_plain")["body"]
TEXT = COHERE.fixture("stream_text")["events"]
END = TEXT[-1]


def answer_with(message: Any, **fields: Any) -> Any:
    return COHERE.whole({"id": "1", "finish_reason": "COMPLETE", "message": message, **fields})


def flat_citations(citations: Any) -> list[Any]:
    return [[citation.url, citation.title, citation.text, citation.start, citation.end] for citation in citations]


@each("name", COHERE.names("chat"))
def test_a_whole_answer_is_read(name: str) -> None:
    case = COHERE.fixture(name)
    answer = COHERE.whole(case["body"])
    assert isinstance(answer, LLMResponse)
    assert (answer.provider, answer.model, answer.raw) == ("cohere", "some-model", case["body"])
    fields = {name: getattr(answer, name) for name in ("content", "reasoning", "finish_reason", "response_id", "usage")}
    check({**fields, "tool_calls": [flat(call) for call in answer.tool_calls]}, case["expect"])


@pytest.mark.parametrize("name", COHERE.names("stream"))
def test_a_stream_means_the_same_wherever_the_network_cuts_it(name: str) -> None:
    case = COHERE.fixture(name)
    data = COHERE.bytes_of(case["events"])
    whole = COHERE.play(data)
    check(collect(whole), case["expect"])
    for cut in some(range(1, len(data)), 7):
        assert COHERE.play(data[:cut], data[cut:]) == whole
    assert COHERE.play(*(data[i : i + 1] for i in range(len(data)))) == whole
    assert COHERE.play(data, b"data: [DONE]\n\n") == whole


@each("name", COHERE.names("stream"))
def test_a_stream_that_is_cut_off_is_never_a_success(name: str) -> None:
    events = COHERE.fixture(name)["events"]
    for kept in range(len(events)):
        assert COHERE.play_events([*events[:kept], "[DONE]"])[-1] == Failure("truncated")


def test_an_error_has_its_kind() -> None:
    for case in COHERE.fixture("errors")["cases"]:
        body: Any = case["body"] if case["kind"] != "not_found" else case["body"]["message"].encode()
        failure = COHERE.failure(case["status"], body)
        assert (failure.kind, failure.status, failure.code) == (case["kind"], case["status"], None), case
        assert failure.detail == case["body"]["message"]


def test_an_answer_that_broke_off_is_a_failure() -> None:
    for reason in ("ERROR", "TIMEOUT"):
        assert COHERE.whole({**PLAIN, "finish_reason": reason}) == Failure("server", code=reason)
        end = {"type": "message-end", "delta": {"finish_reason": reason, "error": "it broke"}}
        assert COHERE.play_events([*TEXT[:-1], end])[-1] == Failure("server", code=reason, detail="it broke")


def test_the_message_of_an_answer_that_broke_off_says_what_went_wrong() -> None:
    """Wire F4: the message is read by the table of sentences, as that of an error response."""
    message = "too many tokens: total number of tokens in the prompt cannot exceed 128000 - received 130000."
    end = {"type": "message-end", "delta": {"finish_reason": "ERROR", "error": message}}
    failure = Failure("context", code="ERROR", detail=message, context_window=128_000)
    assert COHERE.play_events([TEXT[0], end])[-1] == failure
    assert COHERE.whole({**PLAIN, "finish_reason": "ERROR", "error": message}) == failure


def test_an_error_in_place_of_an_answer_is_one() -> None:
    assert COHERE.whole({"id": "1", "message": "it broke"}) == Failure("server", detail="it broke")
    assert COHERE.play_events([{"message": "it broke"}, END]) == [Failure("server", detail="it broke")]


def test_an_answer_without_words_is_none() -> None:
    assert answer_with({"role": "assistant", "content": []}) == Failure("empty")
    assert COHERE.play_events([TEXT[0], END])[-1] == Failure("empty")
    assert answer_with({"content": None}, finish_reason="MAX_TOKENS").finish_reason == "length"


def test_an_unknown_reason_to_stop_is_a_cut_and_a_missing_one_a_stop() -> None:
    assert COHERE.whole({**PLAIN, "finish_reason": "WEARY"}).finish_reason == "length"
    assert COHERE.whole({**PLAIN, "finish_reason": None}).finish_reason == "stop"
    calls = [{"function": {"name": "f", "arguments": "{}"}}]
    assert answer_with({"tool_calls": calls}).finish_reason == "tool_calls"


def test_nothing_follows_the_end() -> None:
    assert COHERE.play_events([*TEXT, TEXT[2], END]) == COHERE.play_events(TEXT)
    assert COHERE.play(b"data: {,}\n\n", COHERE.bytes_of(TEXT)) == [Failure("malformed")]
    assert COHERE.play(b"data: [1]\n\n") == [Failure("malformed")]


def test_events_of_no_consequence_are_passed_over() -> None:
    noise = [{"type": "debug", "prompt": "x"}, {"type": "content-delta"}, {"type": "tool-plan-delta", "delta": {}}]
    lost = [{"type": "tool-call-delta", "delta": {"message": {"tool_calls": {"function": {"arguments": "{"}}}}}]
    assert COHERE.play_events([*noise, *lost, "", *TEXT]) == COHERE.play_events(TEXT)


def test_arguments_that_are_no_object_are_the_model_s_mistake() -> None:
    calls = [{"id": "1", "function": {"name": "f", "arguments": "{city"}}, {"function": {"arguments": {"a": 1}}}, 7, {}]
    answer = answer_with({"content": "text", "tool_calls": calls})
    assert [(call.id, call.name, dict(call.arguments), bool(call.error)) for call in answer.tool_calls] == [
        ("1", "f", {}, True),
        ("call_1", "", {"a": 1}, False),
    ]


def test_calls_without_identifiers_or_indexes_are_kept_apart() -> None:
    def event(kind: str, **function: Any) -> dict[str, Any]:
        return {"type": f"tool-call-{kind}", "delta": {"message": {"tool_calls": {"function": function}}}}

    out = COHERE.play_events([event("start", name="f"), event("delta", arguments="{}"), event("start", name="g"), END])
    assert collect(out)["tool_calls"] == [["call_0", "f", {}], ["call_1", "g", {}]]


def test_what_led_to_calls_is_kept_for_the_next_turn() -> None:
    def provider_state(name: str) -> Any:
        return COHERE.whole(COHERE.fixture(name)["body"]).provider_state

    assert provider_state("chat_tools").data == {"thinking": "I will first find the sales summary."}
    assert provider_state("chat_tool_plan") == ProviderState(
        "cohere", "cohere", {"tool_plan": "I will find the sales summary."}
    )
    assert provider_state("chat_thinking") is None
    last = COHERE.play_events(COHERE.fixture("stream_tools")["events"])[-1].value
    assert last.provider_state == ProviderState("cohere", "cohere", {"tool_plan": "I will look."})


def test_citations_say_where_they_stand_and_what_they_rest_on() -> None:
    case, streamed = COHERE.fixture("citations"), COHERE.fixture("citations_stream")
    assert flat_citations(COHERE.whole(case["body"]).citations) == case["expect"]
    chunks = COHERE.play_events(streamed["events"])[:-1]
    assert flat_citations(citation for chunk in chunks for citation in chunk.citations) == streamed["expect"]


def test_places_of_citations_count_from_the_start_of_the_text() -> None:
    blocks = [
        {"type": "thinking", "thinking": "hm"},
        {"type": "text", "text": "One. "},
        {"type": "text", "text": "Two."},
    ]
    source = {"type": "tool", "id": "call_1:0", "document": {"url": "https://example.org"}}
    second = {"start": 0, "end": 4, "text": "Two.", "content_index": 2, "sources": [source, {"id": "b"}]}
    plan = {"start": 0, "end": 2, "text": "hm", "type": "PLAN"}
    answer = answer_with({"content": blocks, "citations": [second, plan, "x"]})
    expected = [
        Citation("https://example.org", "call_1:0", "Two.", 5, 9),
        Citation(None, "b", "Two.", 5, 9),
        Citation(text="hm"),
    ]
    assert list(answer.citations) == expected
    events: list[Any] = [
        {"type": "content-delta", "index": index, "delta": {"message": {"content": block}}}
        for index, block in enumerate(blocks)
    ]
    events += [
        {"type": "citation-start", "index": index, "delta": {"message": {"citations": citation}}}
        for index, citation in enumerate((second, plan, "x"))
    ]
    out = COHERE.play_events([*events, END])
    assert [citation for chunk in out[:-1] for citation in chunk.citations] == expected


def test_log_probabilities_come_text_by_text() -> None:
    items = [
        {"text": "Hi", "token_ids": [1], "logprobs": [-0.5]},
        {"text": " there", "token_ids": [2, 3], "logprobs": [-0.25, -0.5]},
        {"text": "x", "logprobs": None},
        {"logprobs": [-1]},
        7,
    ]
    expected = (TokenLogprob("Hi", -0.5), TokenLogprob(" there", -0.75))
    assert answer_with({"content": "Hi there"}, logprobs=items).logprobs == expected
    delta = {"type": "content-delta", "delta": {"message": {"content": {"text": "Hi"}}}, "logprobs": items[0]}
    assert COHERE.play_events([delta, END])[0] == LLMChunk(content="Hi", logprobs=expected[:1])


def test_usage_is_none_without_token_counts() -> None:
    assert COHERE.whole({**PLAIN, "usage": None}).usage is None
    assert COHERE.whole({**PLAIN, "usage": {"billed_units": {"search_units": 1}}}).usage is None


def test_vectors_are_read_in_the_order_of_the_texts() -> None:
    request = EmbeddingRequest(("a", "b"))
    case = COHERE.fixture("embed")
    answer = COHERE.whole(case["body"], request)
    assert answer.vectors == case["expect"]["vectors"]
    assert (answer.usage.prompt_tokens, answer.model) == (case["expect"]["prompt_tokens"], "some-model")
    packed = COHERE.whole({"embeddings": {"base64": ["AACAPwAAAEA=", "AAAAAAAAgL8="]}}, request)
    assert packed.vectors == [[1.0, 2.0], [0.0, -1.0]]
    assert COHERE.whole({"embeddings": {"int8": [[1, -2], [3, 4]]}}, request).vectors == [[1.0, -2.0], [3.0, 4.0]]
    body: Any
    for body in ({}, [], {"embeddings": {"float": [[1.0]]}}, {"embeddings": {"binary": [[1], [2]]}}):
        assert COHERE.whole(body, request) == Failure("malformed")
    assert COHERE.whole({"message": "no"}, request) == Failure("server", detail="no")


def test_a_ranking_is_the_best_first() -> None:
    case = COHERE.fixture("rerank")
    request = RerankRequest("q", ("a", "b", "c", "d", "e"), top_n=3)
    answer = COHERE.whole(case["body"], request)
    assert [[document.index, document.score] for document in answer.results] == case["expect"]
    assert (answer.model, answer.provider, answer.usage) == ("some-model", "cohere", None)
    turned = {"results": case["body"]["results"][::-1]}
    assert COHERE.whole(turned, request).results[0] == RankedDocument(3, 0.999071)
    for item in (7, {"index": 5, "relevance_score": 1}, {"index": 0}, {"index": "0", "relevance_score": 1}):
        assert COHERE.whole({"results": [item]}, request) == Failure("malformed")
    twice = [{"index": 0, "relevance_score": 1}, {"index": 0, "relevance_score": 0.5}]
    assert COHERE.whole({"results": twice}, request) == Failure("malformed")
    assert COHERE.whole({"results": []}, request) == COHERE.whole(None, request) == Failure("malformed")


def test_models_come_with_what_they_are_for_page_by_page() -> None:
    case = COHERE.fixture("models")
    models, cursor = COHERE.whole(case["body"], ModelsRequest())
    actual = [[m.id, m.context_window, None if m.features is None else sorted(m.features)] for m in models]
    assert (actual, cursor) == (case["expect"], "page-2")
    assert COHERE.whole({"models": [], "next_page_token": ""}, ModelsRequest()) == ((), None)
    body: Any
    for body in (7, {"models": {}}, {"models": [{"endpoints": []}]}):
        assert COHERE.whole(body, ModelsRequest()) == Failure("malformed")


def test_a_model_is_described() -> None:
    body = COHERE.fixture("models")["body"]["models"][0]
    info = COHERE.whole(body, ModelRequest())
    assert (info.id, info.provider, info.context_window) == ("command-a-03-2025", "cohere", 288_000)
    assert COHERE.whole({}, ModelRequest()) == COHERE.whole([], ModelRequest()) == Failure("malformed")


def test_what_was_not_asked_for_is_not_read() -> None:
    assert CODEC.decode(CountRequest(HELLO), target("cohere"), {}) == Failure("malformed")


def test_what_is_no_answer_is_malformed() -> None:
    body: Any
    for body in (None, [], "text", 7, {}, {"message": None}, {"message": 7}):
        assert COHERE.whole(body) == Failure("malformed")


@calm
@given(
    st.lists(
        st.fixed_dictionaries(
            {
                "type": st.sampled_from(
                    ["message-start", "content-delta", "tool-call-start", "citation-start", "message-end"]
                )
            },
            optional={
                "index": st.none() | st.integers(-1, 2),
                "delta": st.recursive(
                    st.none() | st.text(max_size=3) | st.integers(),
                    lambda inner: (
                        st.lists(inner, max_size=2)
                        | st.dictionaries(
                            st.sampled_from(["message", "content", "tool_calls", "function", "citations", "usage"]),
                            inner,
                        )
                    ),
                    max_leaves=6,
                ),
            },
        ),
        max_size=4,
    )
)
def test_no_event_breaks_the_reader(events: list[Any]) -> None:
    out = COHERE.play_events([json.dumps(event) for event in events])
    assert isinstance(out[-1], Done | Failure)
    for event in events:
        assert COHERE.whole(event)
        assert COHERE.whole(event.get("delta"))
