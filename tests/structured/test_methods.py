"""Structured output of targets without it: the rewritten request, and the conversion of the response."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

import pytest

from tests.support.each import each
from unified_llm._core.exchange import Event
from unified_llm._core.features import CHAT, Feature
from unified_llm._core.outcome import Done, Failure
from unified_llm._core.target import Target
from unified_llm._structured.attempts import StructuredAttempt
from unified_llm._structured.json_output import StructuredOutput
from unified_llm._structured.plan import plan_emulation
from unified_llm.types import (
    EmbeddingRequest,
    LLMChunk,
    LLMRequest,
    LLMResponse,
    Message,
    ResponseFormat,
    Tool,
    ToolCall,
    ToolCallChunk,
)

SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {"city": {"type": "string"}},
    "required": ["city"],
    "additionalProperties": False,
}
ROME = '{"city": "Rome"}'
TOOLS: tuple[Feature, ...] = ("tools", "tool_choice")


def target(*features: Feature, **fields: Any) -> Target:
    return Target("somewhere", "some-model", "openai_chat", features=CHAT | set(features), **fields)


def json_request(schema: dict[str, Any] | None = SCHEMA, *, system: str | None = None, **fields: Any) -> LLMRequest:
    messages = (*((Message.system(system),) if system else ()), Message.user("Which city?"))
    return LLMRequest(messages, response_format=ResponseFormat(schema, "place"), **fields)


@dataclass(frozen=True)
class Emulation:
    """A request for JSON and the features of a target; each attempt is the first on it."""

    asked: LLMRequest
    features: tuple[Feature, ...]

    def attempt(self) -> StructuredAttempt:
        structured = plan_emulation(self.asked, ())
        assert structured is not None
        attempt = structured.attempt(target(*self.features))
        assert attempt is not None
        return attempt

    @property
    def request(self) -> LLMRequest:
        return self.attempt().request

    @property
    def mode(self) -> str:
        return self.attempt().method


def emulated(request: LLMRequest, *features: Feature) -> Emulation:
    return Emulation(request, features)


def read(emulation: Emulation, *events: Event) -> list[Event]:
    """What comes of the events; failures without what only the policy and the caller are interested in."""
    reader = emulation.attempt()
    outputs = [output for event in events for output in reader.convert(event)]
    return [
        replace(output, try_again=None, answer=None) if isinstance(output, Failure) else output for output in outputs
    ]


def streamed(text: str, size: int) -> Iterable[LLMChunk]:
    return (LLMChunk(content=text[start : start + size]) for start in range(0, len(text), size))


def text_of(events: Iterable[Event]) -> str:
    texts = [event.value if isinstance(event, Done) else event for event in events]
    return "".join(event.content for event in texts if isinstance(event, LLMChunk))


STOP = Done(LLMChunk(finish_reason="stop"))
CALLED = Done(LLMChunk(finish_reason="tool_calls"))


class TestAsking:
    def test_what_a_target_can_do_is_left_to_it(self) -> None:
        wrapped = Target("a", "b", "wrapped")
        assert emulated(json_request(), "json_schema").request == json_request()
        assert emulated(json_request(None), "json_object").request == json_request(None)
        assert plan_emulation(LLMRequest((Message.user("Hello?"),)), ()) is None
        assert plan_emulation(EmbeddingRequest(("Hello",)), ()) is None
        assert StructuredOutput(json_request(), ResponseFormat()).attempt(wrapped).request == json_request()

    def test_a_tool_is_forced_where_there_are_tools(self) -> None:
        request = emulated(json_request(parallel_tool_calls=True), *TOOLS, "json_object").request
        (tool,) = request.tools
        assert (tool.name, tool.parameters, request.tool_choice) == ("place", SCHEMA, "place")
        assert request.response_format is None
        assert request.parallel_tool_calls is None

    def test_the_user_s_own_tools_are_never_in_the_way(self) -> None:
        mine = Tool("look", "Look something up.", {"type": "object", "properties": {}})
        emulation = emulated(json_request(tools=(mine,)), *TOOLS)
        assert emulation.mode == "prompt"
        assert emulation.request.tools == (mine,)

    def test_arguments_are_objects_so_a_list_is_asked_for_by_prompt(self) -> None:
        assert (
            emulated(json_request({"type": "array", "items": {"type": "string"}}), *TOOLS, "json_object").request.tools
            == ()
        )

    @pytest.mark.parametrize("system", [None, "Be brief."])
    def test_words_go_into_the_system_message(self, system: str | None) -> None:
        request = emulated(json_request(system=system), "json_object").request
        first, *rest = request.messages
        assert first.role == "system"
        assert first.text.startswith(system or "When")
        assert json.dumps(SCHEMA, separators=(",", ":")) in first.text
        assert [event.text for event in rest] == ["Which city?"]
        assert request.response_format == ResponseFormat()

    def test_words_are_all_there_is_without_a_mode_for_json(self) -> None:
        assert emulated(json_request()).request.response_format is None

    def test_any_object_is_a_schema_where_schemas_are_all_there_is(self) -> None:
        emulation = emulated(json_request(None), "json_schema")
        assert emulation.request.response_format == ResponseFormat({"type": "object"}, "place", strict=False)
        assert emulation.request.messages == json_request(None).messages

    def test_a_schema_that_cannot_be_written_is_left_for_the_codec_to_refuse(self) -> None:
        broken = {"type": "object", "default": float("nan")}
        assert emulated(json_request(broken)).request.messages[0].text.endswith("{}")


class TestForcedTool:
    def test_the_arguments_are_the_answer(self) -> None:
        call = ToolCall.parse("c1", "place", ROME)
        (done,) = read(
            emulated(json_request(), *TOOLS), Done(LLMResponse(tool_calls=(call,), finish_reason="tool_calls"))
        )
        assert isinstance(done, Done)
        assert (done.value.content, done.value.tool_calls, done.value.finish_reason) == (ROME, (), "stop")

    def test_every_alternative_is_turned_back(self) -> None:
        call = ToolCall.parse("c1", "place", ROME)
        other = LLMResponse(tool_calls=(call,), finish_reason="tool_calls")
        (done,) = read(emulated(json_request(), *TOOLS), Done(LLMResponse(tool_calls=(call,), alternatives=(other,))))
        assert isinstance(done, Done)
        assert [event.content for event in done.value.alternatives] == [ROME]

    def test_a_stream_of_arguments_is_a_stream_of_text(self) -> None:
        fragments = [LLMChunk(tool_calls=(ToolCallChunk(0, "c1", "place"),))]
        fragments += [LLMChunk(tool_calls=(ToolCallChunk(0, arguments=letter),)) for letter in ROME]
        second = LLMChunk(tool_calls=(ToolCallChunk(1, "c2", "place", "{}"),))
        events = read(emulated(json_request(), *TOOLS), LLMChunk(content="Sure: "), *fragments, second, CALLED)
        assert text_of(events) == ROME
        assert len(events) == len(ROME)  # the brace waits for what follows it
        assert isinstance(events[-1], Done)
        assert events[-1].value.finish_reason == "stop"
        assert not any(event.tool_calls for event in events if isinstance(event, LLMChunk))

    def test_a_model_that_writes_instead_of_calling_is_understood(self) -> None:
        emulation = emulated(json_request(), *TOOLS)
        assert text_of(read(emulation, *streamed(f"Here: {ROME}!", 3), STOP)) == ROME
        (done,) = read(emulation, Done(LLMResponse(content=f"Here: {ROME}!")))
        assert isinstance(done, Done)
        assert done.value.content == ROME

    def test_reasoning_is_handed_on_as_it_comes(self) -> None:
        first, *_ = read(emulated(json_request(), *TOOLS), LLMChunk(reasoning="Hmm."), STOP)
        assert first == LLMChunk(reasoning="Hmm.")


TEXTS = {
    "bare": ROME,
    "fenced": f"```json\n{ROME}\n```",
    "explained": f'The "answer" is:\n\n{ROME}\n\nIt has {{one}} property.',
    "indented": '\n {\n  "city": "Rome"\n}\n',
}


class TestPrompt:
    @each("text", TEXTS)
    def test_the_json_is_found_in_a_text_however_it_is_cut(self, text: str) -> None:
        emulation = emulated(json_request())
        for size in range(1, len(TEXTS[text]) + 1):
            events = read(emulation, *streamed(TEXTS[text], size), STOP)
            assert json.loads(text_of(events)) == {"city": "Rome"}
            assert isinstance(events[-1], Done)
        (whole,) = read(emulation, Done(LLMResponse(content=TEXTS[text])))
        assert isinstance(whole, Done)
        assert json.loads(whole.value.content) == {"city": "Rome"}

    def test_braces_and_quotes_inside_texts_do_not_end_it(self) -> None:
        tricky = json.dumps({"city": 'a "}" \\ { [ \\" '})
        for size in (1, 2, 3, 100):
            assert text_of(read(emulated(json_request()), *streamed(f"{tricky} and so on }}", size), STOP)) == tricky

    def test_a_list_begins_with_its_own_bracket(self) -> None:
        emulation = emulated(json_request({"type": "array", "items": {"type": "integer"}}))
        assert text_of(read(emulation, *streamed("So {it} is: [1, [2], 3] !", 4), STOP)) == "[1, [2], 3]"

    def test_a_number_is_taken_as_it_stands(self) -> None:
        assert (
            text_of(
                read(emulated(json_request({"type": "number"})), LLMChunk(content="4"), LLMChunk(content="2"), STOP)
            )
            == "42"
        )

    @each(
        ("text", "why"),
        [
            ("I would rather not.", "it is not JSON"),
            ('{"city": "Ro', "it is not JSON"),
            ("{}", "$.city is missing"),
            ('{"city": 7}', "$.city is no string"),
        ],
    )
    def test_what_does_not_fit_is_a_failure_that_tells_the_place(self, text: str, why: str) -> None:
        failure = Failure("invalid", detail=why)
        assert read(emulated(json_request()), *streamed(text, 4), STOP)[-1] == failure
        assert read(emulated(json_request()), Done(LLMResponse(content=text))) == [failure]
        assert read(
            emulated(json_request()), Done(LLMResponse(content=ROME, alternatives=(LLMResponse(content=text),)))
        ) == [failure]

    def test_what_was_cut_off_or_refused_is_handed_on(self) -> None:
        unchecked: list[dict[str, Any]] = [
            {"finish_reason": "length"},
            {"finish_reason": "content_filter"},
            {"refusal": "No"},
        ]
        for fields in unchecked:
            done = Done(LLMResponse(content='{"city', **fields))
            assert read(emulated(json_request()), done) == [done]
            end = Done(LLMChunk(**fields))
            assert read(emulated(json_request()), LLMChunk(content='{"city'), end)[-1] == end

    def test_a_call_of_the_user_s_own_tool_comes_before_the_answer(self) -> None:
        mine = Tool("look", "Look something up.", {"type": "object", "properties": {}})
        emulation = emulated(json_request(tools=(mine,)), *TOOLS)
        calling = LLMChunk(tool_calls=(ToolCallChunk(0, "c1", "look", "{}"),))
        events = read(emulation, LLMChunk(content="Let me look."), calling, CALLED)
        assert events[0] == calling
        assert text_of(events) == "Let me look."
        whole = Done(LLMResponse(content="Let me look.", tool_calls=(ToolCall.parse("c1", "look", "{}"),)))
        assert read(emulation, whole) == [whole]

    def test_failures_pass_through(self) -> None:
        assert read(emulated(json_request()), Failure("server", 503)) == [Failure("server", 503)]
