"""Responses in Gemini's format: whole answers, streams, vectors, models, errors."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.support.codec_checks import check, collect
from tests.support.each import each
from tests.support.gemini_checks import (
    answer_of,
    candidate,
    fixtures,
    flat,
    flat_citation,
    flat_logprob,
    pieces_of,
    read_pieces,
    sse,
    target,
)
from tests.support.thorough import some
from unified_llm._core.outcome import Done, Failure
from unified_llm._formats.gemini import CODEC
from unified_llm._lib.sse import ServerSentEvent
from unified_llm.types import (
    CountRequest,
    EmbeddingRequest,
    LLMChunk,
    LLMRequest,
    ModelInfo,
    ModelRequest,
    ModelsRequest,
    RerankRequest,
)

STREAMS = fixtures("stream")
ERROR = {"error": {"code": 503, "message": "The model is overloaded.", "status": "UNAVAILABLE"}}


@each("name", fixtures("chat"))
def test_a_whole_answer_is_read(name: str) -> None:
    case = fixtures(name)[name]
    answer = answer_of(case["body"])
    check(flat(answer), case["expect"])
    assert answer.raw == case["body"]
    assert answer.provider == "gemini"


def collected(out: list[Any]) -> dict[str, Any]:
    chunks, end = out[:-1], out[-1]
    fields = collect([chunk for chunk in chunks if not chunk.citations] + [end])
    return {
        **fields,
        "provider_state": pieces_of(end.value.provider_state),
        "citations": [flat_citation(citation) for chunk in chunks for citation in chunk.citations],
    }


@pytest.mark.parametrize("name", STREAMS)
def test_a_stream_means_the_same_wherever_the_network_cuts_it(name: str) -> None:
    data = sse(STREAMS[name]["events"])
    whole = read_pieces([data])
    check(collected(whole), STREAMS[name]["expect"])
    for cut in some(range(1, len(data)), 7):
        assert read_pieces([data[:cut], data[cut:]]) == whole
    assert read_pieces([data[i : i + 1] for i in range(len(data))]) == whole


@each("name", STREAMS)
def test_a_stream_without_its_finish_reason_was_cut_off(name: str) -> None:
    events = STREAMS[name]["events"]
    for kept in range(len(events)):
        assert read_pieces([sse(events[:kept])])[-1] == Failure("truncated")


def test_an_error_in_mid_stream_is_that_error_though_it_is_no_event() -> None:
    data = sse(STREAMS["stream_text"]["events"][:2])
    for bare in (json.dumps(ERROR, indent=2), json.dumps(ERROR), json.dumps([ERROR], indent=1)):
        for end in ("", "\n", "\r\n\r\n"):
            text = bare.replace("\n", "\r\n") + end
            out = read_pieces([data + text.encode()])
            assert [chunk.content for chunk in out[:-1]] == ["Hello", ", "]
            assert (out[-1].kind, out[-1].code) == ("server", "UNAVAILABLE")
    assert read_pieces([data, json.dumps(ERROR)[:40].encode()])[-1] == Failure("truncated")
    # As an event, too.
    assert read_pieces([data, sse([ERROR])])[-1].kind == "server"


def test_a_stream_that_is_no_stream_is_malformed_and_nothing_follows_a_failure() -> None:
    for data in ("{", "7", "[]"):
        decoder = CODEC.decoder(LLMRequest(()), target())
        assert decoder.feed(ServerSentEvent(data)) == (Failure("malformed"),)
        assert decoder.feed(ServerSentEvent(json.dumps(candidate({"text": "x"})))) == ()
    assert CODEC.decoder(LLMRequest(()), target()).feed(ServerSentEvent(" ")) == ()


def test_a_blocked_prompt_is_a_failure_of_the_filter_whole_and_streamed() -> None:
    blocked = {
        "promptFeedback": {"blockReason": "PROHIBITED_CONTENT", "blockReasonMessage": "no"},
        "usageMetadata": {"promptTokenCount": 4, "totalTokenCount": 4},
    }
    failure = Failure("filter", code="PROHIBITED_CONTENT", detail="no")
    assert CODEC.decode(LLMRequest(()), target(), blocked) == failure
    assert read_pieces([sse([blocked])]) == [failure]


def test_every_finish_reason_has_its_meaning() -> None:
    meanings: dict[str, Any] = {
        "STOP": "stop", "MAX_TOKENS": "length", "CONTINUATION": "length", "SAFETY": "content_filter",
        "RECITATION": "content_filter", "LANGUAGE": "content_filter", "BLOCKLIST": "content_filter",
        "PROHIBITED_CONTENT": "content_filter", "SPII": "content_filter", "MODEL_ARMOR": "content_filter",
        "ESCALATION": "content_filter", "IMAGE_SAFETY": "content_filter", "IMAGE_RECITATION": "content_filter",
        "IMAGE_PROHIBITED_CONTENT": "content_filter", "OTHER": "length", "NO_IMAGE": "stop", "NEW_ONE": "length",
        "MALFORMED_FUNCTION_CALL": Failure("invalid", code="MALFORMED_FUNCTION_CALL", detail="print("),
        "UNEXPECTED_TOOL_CALL": Failure("invalid", code="UNEXPECTED_TOOL_CALL", detail="print("),
        "TOO_MANY_TOOL_CALLS": Failure("invalid", code="TOO_MANY_TOOL_CALLS", detail="print("),
        "MALFORMED_RESPONSE": Failure("malformed", code="MALFORMED_RESPONSE", detail="print("),
        "MISSING_THOUGHT_SIGNATURE": Failure("bad_request", code="MISSING_THOUGHT_SIGNATURE", detail="print("),
        "PUP_LIMITED_DISABLED": Failure("permission", code="PUP_LIMITED_DISABLED", detail="print("),
    }  # fmt: skip
    for reason, meaning in meanings.items():
        body = candidate({"text": "x"}, finishReason=reason, finishMessage="print(")
        outcome = CODEC.decode(LLMRequest(()), target(), body)
        end = read_pieces([sse([body])])[-1]
        if isinstance(meaning, Failure):
            assert outcome == end == meaning
        else:
            assert isinstance(outcome, Done)
            assert outcome.value.finish_reason == end.value.finish_reason == meaning


def test_an_answer_without_content_is_empty_unless_it_was_cut() -> None:
    nothing: tuple[Any, ...] = ({}, {"candidates": []}, candidate(), candidate({"text": ""}), {"candidates": [{}]})
    for body in nothing:
        assert CODEC.decode(LLMRequest(()), target(), body) == Failure("empty")
    assert CODEC.decode(LLMRequest(()), target(), candidate(finishReason="OTHER")) == Failure("empty", code="OTHER")
    assert read_pieces([sse([candidate()])]) == [Failure("empty")]
    for reason in ("MAX_TOKENS", "SAFETY"):
        assert answer_of(candidate(finishReason=reason)).content == ""
    # A picture is an answer, though only the provider's own body holds it.
    assert answer_of(candidate({"inlineData": {"mimeType": "image/png", "data": "aaaa"}})).provider_state is None


def test_what_is_no_answer_is_malformed_and_an_error_at_status_200_is_that_error() -> None:
    for request in (
        LLMRequest(()),
        EmbeddingRequest(("a",)),
        ModelsRequest(),
        ModelRequest(),
        CountRequest(LLMRequest(())),
    ):
        nonsense: tuple[Any, ...] = (None, 7, "x", [])
        for body in nonsense:
            assert CODEC.decode(request, target(), body) == Failure("malformed")
        for error in (ERROR, [ERROR]):
            outcome = CODEC.decode(request, target(), error)
            assert isinstance(outcome, Failure)
            assert (outcome.kind, outcome.status) == ("server", None)
    assert CODEC.decode(RerankRequest("q", ("d",)), target(), {}) == Failure("malformed")


def test_the_parts_of_an_answer_may_be_of_any_shape() -> None:
    for parts in (None, 7, [None, 7, {"text": 7}, {"functionCall": 7}, {"text": "x"}]):
        body = {"candidates": [{"content": {"parts": parts}, "finishReason": "MAX_TOKENS"}]}
        assert answer_of(body).content in {"", "x"}
    body = candidate({"functionCall": {"name": "f", "args": [1]}}, {"functionCall": {"args": {"n": float("inf")}}})
    first, second = answer_of(body).tool_calls
    assert (first.name, first.raw_arguments, bool(first.error)) == ("f", "[1]", True)
    assert (second.name, second.raw_arguments, bool(second.error)) == ("", "(unreadable)", True)


def test_a_thought_that_carries_a_signature_is_kept_as_it_is() -> None:
    thought = {"text": "Hm.", "thought": True, "thoughtSignature": "c2ln"}
    answer = answer_of(candidate(thought, {"text": "Yes."}))
    assert (answer.reasoning, answer.content) == ("Hm.", "Yes.")
    assert pieces_of(answer.provider_state) == [{"part": thought}, {"text": 4}]


def test_log_probabilities_come_with_the_text_of_their_event_or_alone() -> None:
    result = {"logprobsResult": {"chosenCandidates": [{"token": "a", "logProbability": -0.5}, {"token": 7}, None]}}
    first, second, _ = read_pieces([sse([candidate({"text": "a"}, **result), candidate(**result)])])
    for chunk, text in ((first, "a"), (second, "")):
        assert chunk.content == text
        assert [flat_logprob(logprob) for logprob in chunk.logprobs] == [["a", -0.5, []]]


def test_other_candidates_of_a_stream_are_passed_over() -> None:
    out = read_pieces([sse([candidate({"text": "b"}, index=1), candidate({"text": "a"}, index=0), {"candidates": []}])])
    assert [chunk.content for chunk in out[:-1]] == ["a"]


def test_a_place_that_does_not_fit_the_text_is_looked_for() -> None:
    def cited(**segment: Any) -> list[Any]:
        support = {"segment": segment, "groundingChunkIndices": [0, 5, "x"]}
        chunks = [
            {"maps": {"uri": "https://m.example", "title": "m"}},
            None,
            {"image": {"sourceUri": "https://i.example"}},
        ]
        grounding = {"groundingChunks": chunks, "groundingSupports": [support, None]}
        answer = answer_of(candidate({"text": "Grüße aus Köln."}, groundingMetadata=grounding))
        assert [citation.url for citation in answer.citations[1:]] == ["https://i.example"]
        return flat_citation(answer.citations[0])[3:]

    assert cited(startIndex=12, endIndex=18, text="Köln.") == [10, 15]
    assert cited(startIndex=0, endIndex=3, text="Köln") == [10, 14]
    assert cited(startIndex=0, endIndex=7) == [0, 5]
    assert cited(startIndex=90, endIndex=99, text="Bonn") == [None, None]
    assert cited(startIndex=0, endIndex=7, partIndex=1) == [None, None]
    assert cited() == [None, None]


def test_sources_that_a_stream_repeats_come_once() -> None:
    body = candidate({"text": "x"}, groundingMetadata={"groundingChunks": [{"web": {"uri": "https://a.example"}}]})
    out = read_pieces([sse([body, body])])
    assert [citation.url for chunk in out[:-1] for citation in chunk.citations] == ["https://a.example"]


def test_usage_counts_audio_and_ignores_nonsense() -> None:
    counts = {
        "promptTokenCount": 30, "candidatesTokenCount": 8, "totalTokenCount": 38,
        "promptTokensDetails": [{"modality": "TEXT", "tokenCount": 5}, {"modality": "AUDIO", "tokenCount": 25}, None],
        "candidatesTokensDetails": [{"modality": "AUDIO", "tokenCount": 3}],
    }  # fmt: skip
    usage = answer_of({**candidate({"text": "x"}), "usageMetadata": counts}).usage
    assert usage is not None
    assert (usage.audio_tokens, usage.audio_output_tokens) == (25, 3)
    nonsense: tuple[Any, ...] = (None, {}, [], 7)
    for nothing in nonsense:
        assert answer_of({**candidate({"text": "x"}), "usageMetadata": nothing}).usage is None


def test_every_error_has_its_kind() -> None:
    for case in fixtures("errors")["errors"]["cases"]:
        inner = case["body"][0] if isinstance(case["body"], list) else case["body"]
        for body in (inner, [inner]):
            read = CODEC.failure(case["status"], {}, json.dumps(body).encode(), target())
            actual = (read.kind, read.status, read.code, read.retry_after)
            assert actual == (case["kind"], case["status"], case["code"], case["retry_after"]), case["body"]
        in_band = CODEC.decode(LLMRequest(()), target(), inner)
        assert isinstance(in_band, Failure)
        assert (in_band.kind, in_band.status, in_band.retry_after) == (case["kind"], None, case["retry_after"])


def test_errors_that_are_not_google_s_own_go_by_their_status() -> None:
    def kind(status: int, body: bytes) -> tuple[str, str | None, str | None]:
        read = CODEC.failure(status, {}, body, target())
        return read.kind, read.code, read.detail

    assert kind(404, b"<html>404</html>") == ("not_found", None, None)
    assert kind(502, b"Bad Gateway") == ("server", None, "Bad Gateway")
    assert kind(418, b"{}") == ("bad_request", None, None)
    assert kind(407, b"") == ("connect", None, None)
    assert kind(302, b"") == ("redirect", None, None)
    assert kind(400, b'{"error": "API key not valid."}') == ("auth", None, "API key not valid.")
    assert kind(429, b'{"error": {"code": "x", "details": [{"violations": [7, {"quotaId": 1}]}, 3]}}') == (
        "rate_limit", None, None,
    )  # fmt: skip
    named = CODEC.decode(LLMRequest(()), target(), {"error": {"status": "RESOURCE_EXHAUSTED"}})
    assert named == Failure("rate_limit", code="RESOURCE_EXHAUSTED")


def test_vectors_come_in_the_order_of_the_texts() -> None:
    case = fixtures("embeddings")["embeddings"]
    outcome = CODEC.decode(EmbeddingRequest(("a", "b")), target("gemini-embedding-001"), case["body"])
    assert isinstance(outcome, Done)
    assert outcome.value.vectors == case["expect"]["vectors"]
    assert outcome.value.usage is None
    wrong: tuple[Any, ...] = ([], [{"values": [1]}, {"values": [1, 2]}], [{}, {}], None)
    for vectors in wrong:
        body = {"embeddings": vectors}
        assert CODEC.decode(EmbeddingRequest(("a", "b")), target(), body) == Failure("malformed")


def test_models_are_read_page_by_page_and_one_by_one() -> None:
    case = fixtures("models")["models"]
    outcome = CODEC.decode(ModelsRequest(), target(), case["body"])
    assert isinstance(outcome, Done)
    models, cursor = outcome.value
    actual = [[m.id, m.context_window, m.max_output, list(m.features) if m.features else None] for m in models]
    assert (actual, cursor) == (case["expect"]["models"], case["expect"]["cursor"])
    assert CODEC.decode(ModelsRequest(), target(), {}) == Done(((), None))
    wrong: tuple[Any, ...] = ({"models": 7}, {"models": [{}]})
    for body in wrong:
        assert CODEC.decode(ModelsRequest(), target(), body) == Failure("malformed")
    one = CODEC.decode(ModelRequest(), target(), case["body"]["models"][0])
    window = {"context_window": 1_048_576, "max_output": 65_536}
    assert one == Done(ModelInfo("gemini-2.5-flash", "gemini", owned_by="google", **window))  # type: ignore[arg-type]
    assert CODEC.decode(ModelRequest(), target(), {}) == Failure("malformed")


def test_tokens_are_counted_by_gemini() -> None:
    request = CountRequest(LLMRequest(()))
    assert CODEC.decode(request, target(), {"totalTokens": 31}) == Done(31)
    assert CODEC.decode(request, target(), {"totalTokens": "31"}) == Failure("malformed")


def test_chunks_of_a_stream_hold_nothing_of_the_end() -> None:
    *chunks, _ = read_pieces([sse(STREAMS["stream_tools"]["events"])])
    assert all(isinstance(chunk, LLMChunk) and chunk.provider_state is None and chunk.usage is None for chunk in chunks)
