"""Streams in OpenAI's format."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.formats.test_openai_chat_response import ALMOST
from tests.support.codec_checks import calm, collect, event, plain_target, read_events, target
from tests.support.each import each
from unified_llm._core.codec import Decoder
from unified_llm._core.outcome import Done, Failure
from unified_llm._formats.openai_chat import CODEC
from unified_llm.types import LLMChunk, LLMRequest, ToolCallChunk, Usage


def delta(finish: str | None = None, **fields: Any) -> dict[str, Any]:
    return {"choices": [{"index": 0, "delta": fields, "finish_reason": finish}]}


def fragment(
    index: int | None = None, identifier: str | None = None, name: str | None = None, arguments: str | None = None
) -> dict[str, Any]:
    call = {"function": {"name": name, "arguments": arguments}}
    return call | ({} if index is None else {"index": index}) | ({} if identifier is None else {"id": identifier})


def calls_of(*fragments: Any) -> list[tuple[int, str | None, str | None, str]]:
    out = read_events(
        [*(delta(tool_calls=[call_fragment]) for call_fragment in fragments), delta("tool_calls"), "[DONE]"]
    )
    return [(call.index, call.id, call.name, call.arguments) for chunk in out[:-1] for call in chunk.tool_calls]


def decoder(**quirks: Any) -> Decoder:
    return CODEC.decoder(LLMRequest(()), plain_target(**quirks))


class TestText:
    def test_empty_deltas_produce_nothing(self) -> None:
        stream = decoder()
        assert stream.feed(event(delta(role="assistant"))) == []
        assert stream.feed(event(delta(role="assistant", content=""))) == []
        assert stream.feed(event(delta(content=None, refusal=None))) == []
        assert stream.feed(event({"choices": [{"index": 0}]})) == []

    @each("data", ["", " ", "\n"])
    def test_events_without_data_produce_nothing(self, data: Any) -> None:
        assert decoder().feed(event(data)) == ()

    def test_refusals_and_reasoning_are_kept_apart(self) -> None:
        out = read_events(
            [delta(reasoning_content="a"), delta(reasoning="b"), delta(refusal="No."), delta("stop"), "[DONE]"]
        )
        actual = collect(out)
        assert (actual["reasoning"], actual["refusal"], actual["content"]) == ("ab", "No.", "")

    def test_text_and_tool_calls_in_one_delta_become_two_chunks(self) -> None:
        out = read_events(
            [delta(content="Look: ", tool_calls=[fragment(0, "1", "t", "{}")]), delta("tool_calls"), "[DONE]"]
        )
        assert out[0] == LLMChunk(content="Look: ")
        assert out[1] == LLMChunk(tool_calls=(ToolCallChunk(0, "1", "t", "{}"),))

    def test_other_choices_than_the_first_are_left_out(self) -> None:
        other = {"choices": [{"index": 1, "delta": {"content": "other"}, "finish_reason": None}]}
        assert collect(read_events([delta(content="one"), other, delta("stop"), "[DONE]"]))["content"] == "one"

    def test_the_raw_chunk_comes_along_if_log_probabilities_were_asked_for(self) -> None:
        chunk = delta(content="x")
        out = read_events([chunk, delta("stop"), "[DONE]"], request=LLMRequest((), logprobs=True))
        assert out[0].raw == chunk
        assert read_events([chunk, delta("stop"), "[DONE]"])[0].raw is None


class TestEnd:
    def test_the_last_chunk_is_held_until_the_provider_says_done(self) -> None:
        stream = decoder()
        stream.feed(event({"id": "r", "model": "m", **delta(content="x")}))
        assert stream.feed(event(delta("stop"))) == []
        assert stream.feed(event({"choices": [], "usage": {"prompt_tokens": 1, "completion_tokens": 2}})) == ()
        last = LLMChunk(finish_reason="stop", usage=Usage(1, 2, 3), response_id="r", model="m", provider="somewhere")
        assert stream.feed(event("[DONE]")) == (Done(last),)

    def test_nothing_comes_after_the_end(self) -> None:
        stream = decoder()
        stream.feed(event(delta("length", content="x")))
        stream.feed(event(" [DONE] "))
        assert stream.feed(event("[DONE]")) == ()
        assert stream.feed(event(delta(content="more"))) == ()

    def test_a_finish_reason_and_then_the_end_of_the_bytes_are_enough(self) -> None:
        stream = decoder()
        stream.feed(event(delta("length", content="x")))
        assert isinstance(stream.finish(), Done)

    def test_the_end_of_the_bytes_alone_is_not(self) -> None:
        stream = decoder()
        stream.feed(event(delta(content="x")))
        assert stream.finish() == Failure("truncated")
        assert decoder().finish() == Failure("truncated")

    @each("events", [["[DONE]"], [delta("stop"), "[DONE]"], [delta("tool_calls"), "[DONE]"], [delta("stop")]])
    def test_a_stream_without_content_is_empty(self, events: list[Any]) -> None:
        assert read_events(events) == [Failure("empty")]

    def test_done_without_a_finish_reason_is_a_stop(self) -> None:
        assert collect(read_events([delta(content="x"), "[DONE]"]))["finish_reason"] == "stop"

    @pytest.mark.parametrize("reason", ["length", "content_filter"])
    def test_nothing_before_a_limit_or_a_filter_is_an_answer(self, reason: str) -> None:
        assert read_events([delta(reason), "[DONE]"])[-1].value.finish_reason == reason

    def test_usage_counted_apart_is_added_in_streams_too(self) -> None:
        usage = {
            "prompt_tokens": 1,
            "completion_tokens": 2,
            "total_tokens": 7,
            "completion_tokens_details": {"reasoning_tokens": 4},
        }
        out = read_events([delta("stop", content="x"), {"choices": [], "usage": usage}, "[DONE]"], target("xai"))
        assert out[-1].value.usage.completion_tokens == 6


class TestFailures:
    @each(
        ("data", "kind"),
        [
            ({"error": {"message": "no", "code": 429}}, "rate_limit"),
            ({"error": {"message": "no", "type": "rate_limit_error"}}, "rate_limit"),
            ({"error": "broken"}, "server"),
            ({"object": "error", "message": "no", "code": 400, "type": "BadRequestError"}, "bad_request"),
            (
                {
                    "error": {"code": 502, "message": "x"},
                    "choices": [{"delta": {"content": ""}, "finish_reason": "error"}],
                },
                "server",
            ),
            ({"choices": [{"delta": {}, "finish_reason": None, "error": {"code": 403, "message": "x"}}]}, "permission"),
            ({"choices": [], "x_groq": {"error": "over capacity"}}, "server"),
            ("{broken", "malformed"),
            ("[1, 2]", "malformed"),
            ("[" * 100_000, "malformed"),
            ('{"choices": [{"delta": {"content": NaN}}]}', "malformed"),
        ],
    )
    def test_an_error_ends_the_stream_at_once(self, data: Any, kind: str) -> None:
        stream = decoder()
        assert stream.feed(event(delta(content="x")))
        (failure,) = stream.feed(event(data))
        assert isinstance(failure, Failure)
        assert failure.kind == kind
        assert stream.feed(event(delta(content="more"))) == ()
        assert stream.feed(event("[DONE]")) == ()

    def test_an_event_called_error_is_one_whatever_its_form(self) -> None:
        (failure,) = decoder().feed(event({"message": "model crashed"}, "error"))
        assert failure == Failure("server", detail="model crashed")

    def test_what_came_before_the_provider_broke_off_is_still_handed_out(self) -> None:
        out = decoder().feed(event(delta("error", content="half")))
        assert out == [LLMChunk(content="half"), Failure("server", code="error")]


class TestToolCalls:
    def test_id_and_name_come_on_the_first_fragment_alone(self) -> None:
        assert calls_of(fragment(0, "a", "t", ""), fragment(0, "a", "t", '{"x"'), fragment(0, "a", None, ": 1}")) == [
            (0, "a", "t", ""),
            (0, None, None, '{"x"'),
            (0, None, None, ": 1}"),
        ]

    def test_interleaved_calls_are_kept_apart(self) -> None:
        actual = calls_of(
            fragment(0, "a", "t"), fragment(1, "b", "u"), fragment(0, arguments="1"), fragment(1, arguments="2")
        )
        assert actual == [(0, "a", "t", ""), (1, "b", "u", ""), (0, None, None, "1"), (1, None, None, "2")]

    def test_indexes_that_begin_anywhere_are_counted_from_zero(self) -> None:
        assert [index for index, *_ in calls_of(fragment(1, "a", "t"), fragment(7, "b", "u"))] == [0, 1]

    def test_a_new_id_at_a_known_index_is_a_new_call(self) -> None:
        actual = calls_of(fragment(0, "a", "t", "{}"), fragment(0, "b", "t", "{"), fragment(0, None, None, "}"))
        assert actual == [(0, "a", "t", "{}"), (1, "b", "t", "{"), (1, None, None, "}")]

    def test_calls_without_index_and_id_are_kept_apart_by_their_names(self) -> None:
        actual = calls_of(
            fragment(name="t", arguments="{}"), fragment(name="u", arguments="{"), fragment(arguments="}")
        )
        assert actual == [(0, "call_0", "t", "{}"), (1, "call_1", "u", "{"), (1, None, None, "}")]

    def test_a_call_begins_with_its_name_however_late_that_comes(self) -> None:
        actual = calls_of(fragment(0, "a", None, "{"), fragment(0, None, "t"), fragment(0, None, None, "}"))
        assert actual == [(0, "a", "t", "{"), (0, None, None, "}")]

    def test_a_call_whose_name_never_comes_has_none(self) -> None:
        assert calls_of(fragment(0, "a", None, "{"), fragment(0, None, None, "}")) == [(0, "a", "", "{}")]
        nameless = delta(tool_calls=[fragment(0, "a", None, "{}")])
        for end in ([delta("stop")], ["[DONE]"]):
            chunk, done = read_events([nameless, *end])
            assert chunk == LLMChunk(tool_calls=(ToolCallChunk(0, "a", "", "{}"),))
            assert done.value.finish_reason == "tool_calls"

    def test_no_two_calls_have_one_identifier(self) -> None:
        assert [call[1] for call in calls_of(fragment(0, "a", "t"), fragment(1, "a", "t"), fragment(2, None, "t"))] == [
            "a",
            "a_2",
            "call_2",
        ]

    def test_an_id_that_comes_late_does_not_split_the_call(self) -> None:
        actual = calls_of(fragment(0, None, "t", ""), fragment(0, "late", None, "{}"))
        assert actual == [(0, "call_0", "t", ""), (0, None, None, "{}")]

    def test_fragments_that_say_nothing_are_passed_over(self) -> None:
        assert calls_of(fragment(0, "a", "t"), fragment(0), {"index": 0}, "text", {"function": 3}) == [
            (0, "a", "t", "")
        ]

    def test_an_index_that_is_no_number_is_no_index(self) -> None:
        assert calls_of({"index": [], "id": "a", "function": {"name": "t", "arguments": "{}"}}) == [(0, "a", "t", "{}")]

    @calm
    @given(st.text(max_size=40), st.integers(1, 100))
    def test_arguments_survive_any_cut(self, text: str, pieces: int) -> None:
        arguments = json.dumps({"text": text})
        size = max(1, len(arguments) // pieces)
        parts = [arguments[i : i + size] for i in range(0, len(arguments), size)]
        events = [
            delta(tool_calls=[fragment(0, "a", "t")]),
            *(delta(tool_calls=[fragment(0, arguments=part)]) for part in parts),
        ]
        actual = collect(read_events([*events, delta("tool_calls"), "[DONE]"]))
        assert actual["tool_calls"] == [["a", "t", {"text": text}]]


@calm
@given(st.lists(ALMOST | st.just("[DONE]"), max_size=4))
def test_whatever_a_provider_streams_comes_to_chunks_and_one_end(payloads: Any) -> None:
    stream = decoder()
    out = [
        outcome for data in payloads for outcome in stream.feed(event(data if data == "[DONE]" else json.dumps(data)))
    ]
    chunks = [outcome for outcome in out if isinstance(outcome, LLMChunk)]
    assert len(chunks) >= len(out) - 1
    assert out[: len(chunks)] == chunks, "the end comes last"
    assert all(each.content or each.reasoning or each.refusal or each.tool_calls for each in chunks)
    assert isinstance(stream.finish(), Done | Failure)
