"""JSON from targets that promise none: how it is asked for, and how the answer is read."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

import pytest

from unified_llm._core.exchange import Event
from unified_llm._core.features import CHAT, Feature
from unified_llm._core.outcome import Done, Failure
from unified_llm._core.target import Target
from unified_llm._structured.emulate import Emulation, emulate
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


def asking(schema: dict[str, Any] | None = SCHEMA, *, system: str | None = None, **fields: Any) -> LLMRequest:
    messages = (*((Message.system(system),) if system else ()), Message.user("Which city?"))
    return LLMRequest(messages, response_format=ResponseFormat(schema, "place"), **fields)


def put(ask: LLMRequest, *features: Feature) -> Emulation:
    emulation = emulate(ask, target(*features))
    assert emulation is not None
    return emulation


def read(emulation: Emulation, *events: Event) -> list[Event]:
    reader = emulation.output_reader()
    return [event for each in events if (event := reader.read(each)) is not None]


def streamed(text: str, size: int) -> Iterable[LLMChunk]:
    return (LLMChunk(content=text[start : start + size]) for start in range(0, len(text), size))


def text_of(events: Iterable[Event]) -> str:
    texts = [each.value if isinstance(each, Done) else each for each in events]
    return "".join(each.content for each in texts if isinstance(each, LLMChunk))


STOP = Done(LLMChunk(finish_reason="stop"))
CALLED = Done(LLMChunk(finish_reason="tool_calls"))


class TestAsking:
    def test_what_a_target_can_do_is_left_to_it(self) -> None:
        assert emulate(asking(), target("json_schema")) is None
        assert emulate(asking(None), target("json_object")) is None
        assert emulate(LLMRequest((Message.user("Hello?"),)), target()) is None
        assert emulate(EmbeddingRequest(("Hello",)), target()) is None
        assert emulate(asking(), Target("a", "b", "wrapped")) is None

    def test_a_tool_is_forced_where_there_are_tools(self) -> None:
        ask = put(asking(parallel_tool_calls=True), *TOOLS, "json_object").request
        (tool,) = ask.tools
        assert (tool.name, tool.parameters, ask.tool_choice) == ("place", SCHEMA, "place")
        assert ask.response_format is None
        assert ask.parallel_tool_calls is None

    def test_the_user_s_own_tools_are_never_in_the_way(self) -> None:
        mine = Tool("look", "Look something up.", {"type": "object", "properties": {}})
        emulation = put(asking(tools=(mine,)), *TOOLS)
        assert emulation.mode == "prompt"
        assert emulation.request.tools == (mine,)

    def test_arguments_are_objects_so_a_list_is_asked_for_in_words(self) -> None:
        assert put(asking({"type": "array", "items": {"type": "string"}}), *TOOLS, "json_object").request.tools == ()

    @pytest.mark.parametrize("system", [None, "Be brief."])
    def test_words_go_into_the_system_message(self, system: str | None) -> None:
        ask = put(asking(system=system), "json_object").request
        first, *rest = ask.messages
        assert first.role == "system"
        assert first.text.startswith(system or "When")
        assert json.dumps(SCHEMA, separators=(",", ":")) in first.text
        assert [each.text for each in rest] == ["Which city?"]
        assert ask.response_format == ResponseFormat()

    def test_words_are_all_there_is_without_a_mode_for_json(self) -> None:
        assert put(asking()).request.response_format is None

    def test_any_object_is_a_schema_where_schemas_are_all_there_is(self) -> None:
        emulation = put(asking(None), "json_schema")
        assert emulation.request.response_format == ResponseFormat({"type": "object"}, "place", strict=False)
        assert emulation.request.messages == asking(None).messages

    def test_a_schema_that_cannot_be_written_is_left_for_the_codec_to_refuse(self) -> None:
        broken = {"type": "object", "default": float("nan")}
        assert put(asking(broken)).request.messages[0].text.endswith("{}")


class TestForcedTool:
    def test_the_arguments_are_the_answer(self) -> None:
        call = ToolCall.from_text("c1", "place", ROME)
        (done,) = read(put(asking(), *TOOLS), Done(LLMResponse(tool_calls=(call,), finish_reason="tool_calls")))
        assert isinstance(done, Done)
        assert (done.value.content, done.value.tool_calls, done.value.finish_reason) == (ROME, (), "stop")

    def test_every_alternative_is_turned_back(self) -> None:
        call = ToolCall.from_text("c1", "place", ROME)
        other = LLMResponse(tool_calls=(call,), finish_reason="tool_calls")
        (done,) = read(put(asking(), *TOOLS), Done(LLMResponse(tool_calls=(call,), alternatives=(other,))))
        assert isinstance(done, Done)
        assert [each.content for each in done.value.alternatives] == [ROME]

    def test_a_stream_of_arguments_is_a_stream_of_text(self) -> None:
        fragments = [LLMChunk(tool_calls=(ToolCallChunk(0, "c1", "place"),))]
        fragments += [LLMChunk(tool_calls=(ToolCallChunk(0, arguments=letter),)) for letter in ROME]
        second = LLMChunk(tool_calls=(ToolCallChunk(1, "c2", "place", "{}"),))
        events = read(put(asking(), *TOOLS), LLMChunk(content="Sure: "), *fragments, second, CALLED)
        assert text_of(events) == ROME
        assert len(events) == len(ROME) + 1
        assert isinstance(events[-1], Done)
        assert events[-1].value.finish_reason == "stop"
        assert not any(each.tool_calls for each in events if isinstance(each, LLMChunk))

    def test_a_model_that_writes_instead_of_calling_is_understood(self) -> None:
        emulation = put(asking(), *TOOLS)
        assert text_of(read(emulation, *streamed(f"Here: {ROME}!", 3), STOP)) == ROME
        (done,) = read(emulation, Done(LLMResponse(content=f"Here: {ROME}!")))
        assert isinstance(done, Done)
        assert done.value.content == ROME

    def test_reasoning_is_handed_on_as_it_comes(self) -> None:
        first, *_ = read(put(asking(), *TOOLS), LLMChunk(reasoning="Hmm."), STOP)
        assert first == LLMChunk(reasoning="Hmm.")


SAID = {
    "bare": ROME,
    "fenced": f"```json\n{ROME}\n```",
    "explained": f'The "answer" is:\n\n{ROME}\n\nIt has {{one}} property.',
    "indented": '\n {\n  "city": "Rome"\n}\n',
}


class TestPrompt:
    @pytest.mark.parametrize("said", SAID)
    def test_the_json_is_found_in_what_is_said_however_it_is_cut(self, said: str) -> None:
        emulation = put(asking())
        for size in range(1, len(SAID[said]) + 1):
            events = read(emulation, *streamed(SAID[said], size), STOP)
            assert json.loads(text_of(events)) == {"city": "Rome"}
            assert isinstance(events[-1], Done)
        (whole,) = read(emulation, Done(LLMResponse(content=SAID[said])))
        assert isinstance(whole, Done)
        assert json.loads(whole.value.content) == {"city": "Rome"}

    def test_braces_and_quotes_inside_texts_do_not_end_it(self) -> None:
        tricky = json.dumps({"city": 'a "}" \\ { [ \\" '})
        for size in (1, 2, 3, 100):
            assert text_of(read(put(asking()), *streamed(f"{tricky} and so on }}", size), STOP)) == tricky

    def test_a_list_begins_with_its_own_bracket(self) -> None:
        emulation = put(asking({"type": "array", "items": {"type": "integer"}}))
        assert text_of(read(emulation, *streamed("So {it} is: [1, [2], 3] !", 4), STOP)) == "[1, [2], 3]"

    def test_a_number_is_taken_as_it_stands(self) -> None:
        assert (
            text_of(read(put(asking({"type": "number"})), LLMChunk(content="4"), LLMChunk(content="2"), STOP)) == "42"
        )

    @pytest.mark.parametrize(
        ("said", "why"),
        [
            ("I would rather not.", "it is not JSON"),
            ('{"city": "Ro', "it is not JSON"),
            ("{}", "$.city is missing"),
            ('{"city": 7}', "$.city is no string"),
        ],
    )
    def test_what_does_not_fit_is_a_failure_that_tells_the_place(self, said: str, why: str) -> None:
        wrong = Failure("invalid", detail=why)
        assert read(put(asking()), *streamed(said, 4), STOP)[-1] == wrong
        assert read(put(asking()), Done(LLMResponse(content=said))) == [wrong]
        assert read(put(asking()), Done(LLMResponse(content=ROME, alternatives=(LLMResponse(content=said),)))) == [
            wrong
        ]

    def test_what_was_cut_off_or_refused_is_handed_on(self) -> None:
        every: list[dict[str, Any]] = [
            {"finish_reason": "length"},
            {"finish_reason": "content_filter"},
            {"refusal": "No"},
        ]
        for fields in every:
            done = Done(LLMResponse(content='{"city', **fields))
            assert read(put(asking()), done) == [done]
            end = Done(LLMChunk(**fields))
            assert read(put(asking()), LLMChunk(content='{"city'), end)[-1] == end

    def test_a_call_of_the_user_s_own_tool_comes_before_the_answer(self) -> None:
        mine = Tool("look", "Look something up.", {"type": "object", "properties": {}})
        emulation = put(asking(tools=(mine,)), *TOOLS)
        calling = LLMChunk(tool_calls=(ToolCallChunk(0, "c1", "look", "{}"),))
        events = read(emulation, LLMChunk(content="Let me look."), calling, CALLED)
        assert events[0] == calling
        assert text_of(events) == "Let me look."
        whole = Done(LLMResponse(content="Let me look.", tool_calls=(ToolCall.from_text("c1", "look", "{}"),)))
        assert read(emulation, whole) == [whole]

    def test_failures_pass_through(self) -> None:
        assert read(put(asking()), Failure("server", 503)) == [Failure("server", 503)]
