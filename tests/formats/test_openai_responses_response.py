"""Answers in the Responses format, whole and streamed."""

from __future__ import annotations

import copy
import json
from typing import Any

from hypothesis import given, settings

from tests.formats.test_openai_chat_response import ALMOST
from tests.support.codec_checks import calm, check, event, sse
from tests.support.each import each
from tests.support.responses import collect, fixture, names, plain_target, read_events, read_pieces, summary
from tests.support.thorough import examples
from unified_llm._core.outcome import Done, Failure
from unified_llm._core.quirks import Quirks
from unified_llm._formats.codecs import codec_for
from unified_llm._formats.openai_responses import CODEC
from unified_llm.types import CountRequest, EmbeddingRequest, LLMChunk, LLMRequest, ModelsRequest, ProviderState

ASK = LLMRequest(())
ENDS = {"response.completed", "response.incomplete"}


@each("name", names("chat"))
def test_a_whole_answer_is_read(name: str) -> None:
    case = fixture(name)
    end = CODEC.decode(ASK, plain_target(), case["body"])
    assert isinstance(end, Done), end
    assert (end.value.provider, end.value.raw) == ("somewhere", case["body"])
    check(summary(end.value), case["expect"])


@each("name", names("stream"))
def test_a_stream_is_read_wherever_the_network_cuts_it_and_is_no_success_before_its_end(name: str) -> None:
    case = fixture(name)
    check(collect(read_events(case["events"])), case["expect"])
    data = sse(case["events"])
    whole = read_pieces([data], plain_target())
    step = max(1, len(data) // 100)
    assert all(read_pieces([data[:cut], data[cut:]], plain_target()) == whole for cut in range(1, len(data), step))
    assert read_pieces([data[i : i + 1] for i in range(len(data))], plain_target()) == whole
    end = next(i for i, data in enumerate(case["events"]) if data["type"] in ENDS)
    for kept in range(end):
        assert read_events(case["events"][:kept])[-1] == Failure("truncated")


@each("name", names("stream"))
def test_what_was_streamed_is_what_the_last_event_says_once_more(name: str) -> None:
    events = fixture(name)["events"]
    whole = CODEC.decode(ASK, plain_target(), events[-1]["response"])
    if isinstance(whole, Failure):
        assert events[-1]["response"]["output"] == []
        return
    repeated, streamed = summary(whole.value), collect(read_events(events))
    del repeated["logprobs"], streamed["logprobs"]  # the last event of this fixture omits them
    assert streamed == repeated


def test_provider_state_names_its_provider_and_its_format() -> None:
    where = plain_target()
    whole = CODEC.decode(ASK, where, fixture("chat_tools")["body"])
    assert isinstance(whole, Done)
    provider_state = whole.value.provider_state
    assert provider_state == ProviderState("somewhere", "openai_responses", provider_state.data)
    assert json.loads(json.dumps(provider_state.as_dict())) == provider_state.as_dict()


class TestFailures:
    def test_an_answer_that_failed_has_the_kind_of_its_code(self) -> None:
        for case in fixture("errors_in_band")["cases"]:
            end = CODEC.decode(ASK, plain_target(), case["body"])
            assert isinstance(end, Failure), case
            assert (end.kind, end.code) == (case["kind"], case["code"]), case

    def test_a_stream_that_failed_has_the_kind_of_its_code_and_says_no_more(self) -> None:
        text = next(data for data in fixture("stream_text")["events"] if data["type"] == "response.output_text.delta")
        for case in fixture("errors_in_band")["events"]:
            before = [] if case["kind"] == "empty" else [text]
            out = read_events([*before, case["event"], text])
            assert [type(outcome) for outcome in out] == [LLMChunk] * len(before) + [Failure], case
            assert out[-1].kind == case["kind"], case

    def test_a_named_error_event_is_one_whatever_its_data(self) -> None:
        decoder = CODEC.decoder(ASK, plain_target())
        (failure,) = decoder.feed(event({"message": "No."}, "error"))
        assert isinstance(failure, Failure)

    def test_events_that_are_no_objects_are_malformed(self) -> None:
        for data in ("{", "[]", "3", "null"):
            assert read_events([data])[-1] == Failure("malformed")

    def test_a_full_context_at_status_400_is_one(self) -> None:
        body = {"error": {"code": 400, "message": "request (25019 tokens) exceeds the available context size",
                          "type": "exceed_context_size_error"}}  # fmt: skip
        assert CODEC.failure(400, {}, json.dumps(body).encode(), plain_target()).kind == "context"


class TestStream:
    def test_events_that_say_nothing_to_us_produce_nothing(self) -> None:
        decoder = CODEC.decoder(ASK, plain_target())
        for data in (
            "",
            "[DONE]",
            {"type": "response.queued"},
            {"type": 3},
            {"type": "response.output_text.delta", "delta": ""},
            {"type": "response.output_text.delta", "delta": None},
            {"type": "response.refusal.delta"},
            {"type": "response.reasoning_text.delta"},
            {"type": "response.output_item.added", "item": {"type": "message"}},
            {"type": "response.output_item.added", "item": None},
            {"type": "response.output_item.done", "item": None},
            {"type": "response.output_text.annotation.added", "annotation": {"type": "file_path"}},
            {"type": "response.function_call_arguments.delta", "delta": "{", "item_id": "unknown"},
            {"type": "response.function_call_arguments.done", "arguments": "{}", "output_index": [1]},
        ):
            assert decoder.feed(event(data)) == (), data

    def test_a_call_without_names_has_a_place(self) -> None:
        item = {"type": "function_call", "name": "f", "arguments": ""}
        out = read_events([
            {"type": "response.output_item.added", "output_index": 1, "item": item},
            {"type": "response.function_call_arguments.delta", "output_index": 1, "delta": "{}"},
            {"type": "response.completed", "response": {"output": [{**item, "arguments": "{}"}]}},
        ])  # fmt: skip
        actual = collect(out)
        assert actual["tool_calls"] == [["call_0", "f", {}]]
        assert (actual["model"], actual["usage"], actual["response_id"]) == ("some-model", None, None)

    def test_arguments_that_contradict_what_was_streamed_are_not_added(self) -> None:
        item = {"type": "function_call", "id": "fc_1", "call_id": "c", "name": "f", "arguments": '{"a"'}
        out = read_events([
            {"type": "response.output_item.added", "item": item},
            {"type": "response.function_call_arguments.done", "item_id": "fc_1", "arguments": "{}"},
            {"type": "response.function_call_arguments.done", "item_id": "fc_1", "arguments": '{"a":1}'},
            {"type": "response.completed", "response": {"output": []}},
        ])  # fmt: skip
        assert collect(out)["tool_calls"] == [["c", "f", {"a": 1}]]


class TestUsage:
    def test_reasoning_that_is_counted_apart_is_added_where_the_total_says_so(self) -> None:
        body = copy.deepcopy(fixture("chat_plain")["body"])
        apart = plain_target(quirks=Quirks(reasoning_apart=True))
        body["usage"]["total_tokens"] = 36 + 87 + 64
        end = CODEC.decode(ASK, apart, body)
        assert isinstance(end, Done)
        assert (end.value.usage.completion_tokens, end.value.usage.total_tokens) == (151, 187)
        body["usage"]["total_tokens"] = 36 + 87
        end = CODEC.decode(ASK, apart, body)
        assert isinstance(end, Done)
        assert end.value.usage.completion_tokens == 87

    def test_prompts_are_counted(self) -> None:
        request = CountRequest(ASK)
        assert CODEC.decode(request, plain_target(), {"object": "response.input_tokens", "input_tokens": 11}) == Done(
            11
        )
        assert CODEC.decode(request, plain_target(), {"input_tokens": "many"}) == Failure("malformed")
        assert CODEC.decode(request, plain_target(), 3) == Failure("malformed")
        failed = CODEC.decode(request, plain_target(), {"error": {"code": "invalid_api_key"}})
        assert isinstance(failed, Failure)
        assert failed.kind == "auth"


def test_what_is_no_answer_is_as_in_openai_s_other_format() -> None:
    vectors = CODEC.decode(EmbeddingRequest(("a",)), plain_target(), {"data": [{"index": 0, "embedding": [0.5]}]})
    assert isinstance(vectors, Done)
    assert vectors.value.vectors == [[0.5]]
    models = CODEC.decode(ModelsRequest(), plain_target(), {"data": [{"id": "a"}]})
    assert isinstance(models, Done)
    assert codec_for("openai_responses") is CODEC


@settings(calm, max_examples=examples(25))  # each goes into every kind of event
@given(ALMOST)
def test_nothing_that_a_provider_sends_raises(value: Any) -> None:
    CODEC.decode(ASK, plain_target(), value)
    CODEC.decode(ASK, plain_target(), {"output": [value, {"type": "message", "content": [value]}], "usage": value})
    item: Any = {"type": "function_call", "id": value, "call_id": value, "name": value, "arguments": value}
    part = {"type": "output_text", "text": "a", "annotations": [value], "logprobs": [value]}
    output = [item, {"type": "reasoning", "summary": value, "encrypted_content": "x"}, value,
              {"type": "message", "content": [part, value], "phase": value}]  # fmt: skip
    CODEC.decode(ASK, plain_target(), {"output": output, "status": value, "incomplete_details": value})
    for kind in sorted(CODEC.decoder(ASK, plain_target())._handlers):  # type: ignore[attr-defined]
        fields = {"item_id": value, "output_index": value, "content_index": value, "summary_index": value}
        read_events([
            {"type": kind, "delta": value, "item": value, "annotation": value, **fields},
            {"type": kind, "delta": "a", "item": item, "annotation": {"type": "url_citation", "start_index": value}},
            {"type": kind, "delta": "b", "arguments": value, "item": {"type": "function_call"}, **fields},
            {"type": "response.completed", "response": {"output": output, "usage": value}},
        ])  # fmt: skip


def check_reason(status: str | None, *, called: bool) -> None:
    output: list[Any] = [{"type": "message", "content": [{"type": "output_text", "text": "a"}]}]
    output += [{"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"}] if called else []
    end = CODEC.decode(ASK, plain_target(), {"status": status, "output": output})
    assert isinstance(end, Done)
    assert end.value.finish_reason == ("length" if status == "incomplete" else "tool_calls" if called else "stop")


def test_a_status_becomes_one_of_four_reasons() -> None:
    for status in ("completed", "incomplete", "in_progress", None, "strange"):
        check_reason(status, called=True)
        check_reason(status, called=False)
