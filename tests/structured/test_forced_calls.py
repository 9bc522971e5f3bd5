"""A tool that has to be called, at targets that cannot be required to: prompted for and checked (langchain B)."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from tests.support.each import each
from tests.support.four_ways import CANARY, GPT, HAIKU, WAYS, CallOutcome, Way, outcome_of
from tests.support.scripted_targets import ScriptedTargets, Step, call_tool, say
from unified_llm import LLMClient
from unified_llm._core.outcome import Failure
from unified_llm.exceptions import GenerationError, ServiceUnavailableError, UnsupportedOperationError
from unified_llm.types import LLMResponse, Message, ResponseFormat, Tool, ToolCall

OLLAMA, FLASH, DEEPSEEK = "ollama/llama3.2", "deepseek/deepseek-v4-flash", "deepseek/deepseek-chat"
VLLM = "vllm/qwen"
SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
PLACE, LOOK = Tool("place", "Name a place.", SCHEMA), Tool("look", "Look something up.", SCHEMA)
ROME, SEVEN, PROSE = '{"city": "Rome"}', '{"city": 7}', "I cannot say."
COMPACT = '{"city":"Rome"}'
CALL, WRITTEN = (("place", ROME),), (("place", COMPACT),)
WHOLE: tuple[Way, ...] = ("generate", "agenerate")
STREAMS: tuple[Way, ...] = ("stream", "astream")


@pytest.fixture(autouse=True)
def _keys(monkeypatch: pytest.MonkeyPatch) -> None:
    for provider in ("OPENAI", "ANTHROPIC", "DEEPSEEK", "CEREBRAS"):
        monkeypatch.setenv(f"{provider}_API_KEY", CANARY)


def call(way: Way, targets: ScriptedTargets, *chain: str, **overrides: Any) -> CallOutcome:
    options = overrides.pop("options", {})
    client = LLMClient(chain[0], fallbacks=chain[1:], **options)
    with targets.running():
        outcome = outcome_of(way, client, "Where?", **{"tools": [PLACE, LOOK], "tool_choice": "place", **overrides})
    assert targets.open == 0
    return outcome


def methods(targets: ScriptedTargets) -> list[str]:
    """How each request asked for the call, with a mark where it corrects an answer."""
    names = []
    for _, request in targets.asked:
        name = "native" if request.tool_choice else "tool" if request.tools else "prompt"
        corrects = any("is not accepted" in message.text for message in request.messages)
        names.append(name + " again" if corrects else name)
    return names


@each("way", WAYS)
def test_a_target_that_refuses_the_choice_is_asked_in_words(way: Way) -> None:
    for kind, status, detail in (
        ("bad_request", 400, "Thinking mode does not support this tool_choice"),
        ("unsupported", 400, "tool_choice 'required' is not supported"),
        ("not_found", 404, "No endpoints found that support the provided 'tool_choice' value."),
    ):
        refusal = Failure(kind, status, detail=detail)  # type: ignore[arg-type]
        targets = ScriptedTargets({GPT: [refusal, call_tool("place", ROME)]})
        outcome = call(way, targets, GPT)
        assert (outcome.calls, methods(targets)) == (CALL, ["native", "tool"]), detail


def test_a_target_that_refuses_something_else_is_not_asked_again() -> None:
    for detail in ("Invalid schema for function 'place'", "messages: too many", None):
        targets = ScriptedTargets({GPT: [Failure("bad_request", 400, detail=detail), call_tool("place", ROME)]})
        assert call("generate", targets, GPT).error is not None
        assert methods(targets) == ["native"]


@each("way", WAYS)
def test_the_call_is_asked_for_in_words_where_it_cannot_be_required(way: Way) -> None:
    targets = ScriptedTargets({GPT: [Failure("auth", 401)], OLLAMA: [call_tool("place", ROME)]})
    outcome = call(way, targets, GPT, OLLAMA)
    assert (outcome.calls, outcome.metadata[0], outcome.content) == (CALL, "tool_calls", "")
    (_, first), (_, second) = targets.asked
    assert first.tool_choice == "place"
    assert (second.tools, second.tool_choice) == ((PLACE,), None)
    assert "call of the function place" in second.messages[0].text


@each("way", WAYS)
def test_a_model_that_writes_is_asked_again_then_for_json_then_the_next_target_is(way: Way) -> None:
    targets = ScriptedTargets({FLASH: [say(PROSE), say(PROSE), say(f"```json\n{ROME}\n```")]})
    assert call(way, targets, FLASH).calls == WRITTEN
    assert methods(targets) == ["tool", "tool again", "prompt"]
    assert "Call the function instead" in targets.asked[1][1].messages[-1].text
    assert "JSON schema" in targets.asked[2][1].messages[0].text
    targets = ScriptedTargets({FLASH: [say(PROSE)], GPT: [call_tool("place", ROME)]})
    outcome = call(way, targets, FLASH, GPT)
    assert outcome.calls == CALL
    assert [attempt[1] for attempt in outcome.attempts] == ["invalid"] * 3 + ["ok"]


@each("way", WAYS)
def test_arguments_that_a_model_wrote_as_text_are_the_call(way: Way) -> None:
    for text in (ROME, f"Sure:\n```json\n{ROME}\n```"):
        targets = ScriptedTargets({FLASH: [say(text)]})
        outcome = call(way, targets, FLASH)
        assert (outcome.calls, outcome.metadata[0], len(targets.asked)) == (WRITTEN, "tool_calls", 1)
    written = json.dumps({"name": "look", "arguments": {"city": "Rome"}})
    targets = ScriptedTargets({FLASH: [say(written)]})
    outcome = call(way, targets, FLASH, tool_choice="required")
    assert [(name, json.loads(arguments)) for name, arguments in outcome.calls] == [("look", {"city": "Rome"})]
    targets = ScriptedTargets({FLASH: [say(PROSE), say(PROSE), say('{"name": "look"}'), say("7")]})
    assert call(way, targets, FLASH, tool_choice="required").error is GenerationError
    assert "Its arguments: " in targets.asked[2][1].messages[0].text


@each("way", WAYS)
def test_local_5_a_required_call_is_checked_at_servers_that_hold_any_model(way: Way) -> None:
    """They accept ``tool_choice``, and the model or its parser may ignore it."""
    targets = ScriptedTargets({VLLM: [say(ROME)]})
    outcome = call(way, targets, VLLM)
    assert (outcome.calls, outcome.metadata[0], outcome.content) == (WRITTEN, "tool_calls", "")
    with ScriptedTargets({VLLM: [say(ROME)]}).running():
        response = LLMClient(VLLM).generate("Where?", tools=[PLACE], tool_choice="required")
    assert response.tool_calls[0].from_text, "no text was asked for"
    assert response.attempts[-1].text_tool_calls
    for off in ({"options": {"text_tool_calls": False}}, {"text_tool_calls": False}):
        targets = ScriptedTargets({VLLM: [say(ROME), call_tool("place", ROME)]})
        assert call(way, targets, VLLM, **off).calls == CALL
        assert methods(targets) == ["native", "native again"]
    targets = ScriptedTargets({VLLM: [say(PROSE)], GPT: [call_tool("place", ROME)]})
    outcome = call(way, targets, VLLM, GPT)
    assert outcome.calls == CALL
    assert [attempt[1] for attempt in outcome.attempts] == ["invalid"] * 4 + ["ok"]
    assert methods(targets) == ["native", "native again", "tool", "prompt", "native"]


@each("way", WAYS)
def test_text_before_a_required_call_is_kept(way: Way) -> None:
    for target in (VLLM, FLASH):
        place = ToolCall.parse("call_1", "place", ROME)
        answer = LLMResponse(content="Let me see.", finish_reason="tool_calls", tool_calls=(place,))
        outcome = call(way, ScriptedTargets({target: [[answer]]}), target)
        assert (outcome.content, outcome.calls) == ("Let me see.", CALL), target


@each("way", WHOLE)
def test_a_call_is_checked_by_name_and_schema_and_corrected(way: Way) -> None:
    broken: list[Step] = [
        LLMResponse(tool_calls=(ToolCall("c", "place", {}, "{", error="no JSON"),), finish_reason="tool_calls")
    ]
    wrong = {
        "it calls another function than place": call_tool("other", ROME),
        "the arguments of place: $.city is no string": call_tool("place", SEVEN),
        "the arguments of place are no JSON object": broken,
    }
    for problem, answer in wrong.items():
        targets = ScriptedTargets({FLASH: [answer, call_tool("place", ROME)]})
        assert call(way, targets, FLASH).calls == CALL
        assert problem in targets.asked[1][1].messages[-1].text
    targets = ScriptedTargets({FLASH: [call_tool("place", SEVEN)]})
    with targets.running(), pytest.raises(GenerationError, match="not the tool call") as caught:
        LLMClient(FLASH).generate("Where?", tools=[PLACE], tool_choice="required")
    assert caught.value.answer == SEVEN


@each("way", STREAMS)
def test_in_a_stream_a_call_of_another_tool_is_not_passed_on(way: Way) -> None:
    targets = ScriptedTargets({FLASH: [call_tool("other", ROME), call_tool("place", ROME)]})
    assert call(way, targets, FLASH).calls == CALL


@each("way", WAYS)
def test_what_was_cut_off_is_returned_as_it_is(way: Way) -> None:
    targets = ScriptedTargets({FLASH: [[LLMResponse("Let me", finish_reason="length", reasoning="Hmm.")]]})
    outcome = call(way, targets, FLASH)
    assert (outcome.content, outcome.reasoning, outcome.metadata[0], outcome.calls) == ("Let me", "Hmm.", "length", ())


@each("way", WAYS)
def test_a_choice_that_a_server_refuses_is_asked_for_in_words(way: Way) -> None:
    refusal = Failure("unsupported", 400, detail='tool_choice = "required" is not supported')
    targets = ScriptedTargets({GPT: [refusal, call_tool("place", ROME)]})
    assert call(way, targets, GPT).calls == CALL
    assert methods(targets) == ["native", "tool"]
    about_more = Failure("unsupported", 400, detail="image input is not supported")
    targets = ScriptedTargets({GPT: [about_more], HAIKU: [call_tool("place", ROME)]})
    assert call(way, targets, GPT, HAIKU).calls == CALL
    assert methods(targets) == ["native", "native"]


def test_a_model_that_thinks_is_asked_in_words_where_it_cannot_be_forced() -> None:
    for effort, expected in (("high", "tool"), ("none", "native"), (None, "native")):
        targets = ScriptedTargets({HAIKU: [call_tool("place", ROME)]})
        assert call("generate", targets, HAIKU, reasoning_effort=effort).calls == CALL
        assert methods(targets) == [expected]
        assert targets.asked[0][1].reasoning_effort == effort


def test_json_by_a_forced_tool_is_asked_for_by_prompt_while_it_thinks() -> None:
    opened = ResponseFormat({"type": "object", "additionalProperties": {"type": "string"}}, "place")
    for effort, by_tool in (("high", False), (None, True)):
        targets = ScriptedTargets({HAIKU: [say(ROME)]})
        outcome = call("generate", targets, HAIKU, tools=[], tool_choice=None, response_format=opened,
                       reasoning_effort=effort)  # fmt: skip
        assert outcome.content == ROME
        assert bool(targets.asked[0][1].tools) is by_tool


def test_a_last_resort_and_a_tool_of_the_provider_are_not_emulated() -> None:
    builtin = {"type": "web_search", "name": "search"}
    with ScriptedTargets({}).running():
        with pytest.raises(UnsupportedOperationError, match="required to call a given tool"):
            LLMClient(OLLAMA, last_resort=True).generate("?", tools=[PLACE], tool_choice="required")
        with pytest.raises(UnsupportedOperationError, match="required to call a given tool"):
            LLMClient(FLASH).generate("?", tools=[builtin], tool_choice="search")


def test_a_response_format_beside_a_forced_call_is_not_sent() -> None:
    for name in (GPT, FLASH):
        targets = ScriptedTargets({name: [call_tool("place", ROME)]})
        assert call("generate", targets, name, response_format=ResponseFormat(SCHEMA)).calls == CALL
        assert targets.asked[0][1].response_format is None


@each("way", STREAMS)
def test_tools_at_a_target_that_does_not_stream_them_come_as_a_stream_of_a_whole_response(way: Way) -> None:
    target, call_of_place = "cerebras/llama-3.3-70b", call_tool("place", ROME)
    targets = ScriptedTargets({target: [call_of_place]}, latency=40.0)
    outcome = call(way, targets, target, GPT, tool_choice=None)
    assert (outcome.calls, outcome.metadata[0]) == (CALL, "tool_calls")
    assert [(request.stream, request.tools != ()) for _, request in targets.asked] == [(False, True)]
    targets = ScriptedTargets({target: [say("No tool is needed.", reasoning="Hmm.")]})
    outcome = call(way, targets, target, tool_choice=None)
    assert (outcome.content, outcome.reasoning, outcome.metadata[0]) == ("No tool is needed.", "Hmm.", "stop")
    targets = ScriptedTargets({target: [say("Hello")]})
    assert call(way, targets, target, tools=[], tool_choice=None).content == "Hello"
    assert targets.asked[0][1].stream


@each("way", WAYS)
def test_langchain_k_empty_arguments_are_an_empty_object_streamed_and_whole(way: Way) -> None:
    notes = ResponseFormat({"type": "object", "properties": {"extra": {"type": "object"}}}, "notes")
    for arguments in ("", "null", "  ", "{}"):
        answer = LLMResponse(tool_calls=(ToolCall("c1", "notes", {}, arguments),), finish_reason="tool_calls")
        targets = ScriptedTargets({DEEPSEEK: [[answer]]})
        outcome = call(way, targets, DEEPSEEK, tools=[], tool_choice=None, response_format=notes)
        assert (outcome.content, outcome.error, len(targets.asked)) == ("{}", None, 1)


@each("way", WAYS)
def test_local_2_a_schema_that_a_server_cannot_compile_is_asked_for_in_another_way(way: Way) -> None:
    refusal = Failure("unsupported", 400, detail="The provided JSON schema contains features not supported by xgrammar")
    targets = ScriptedTargets({GPT: [refusal, call_tool("answer", ROME)]})
    outcome = call(way, targets, GPT, tools=[], tool_choice=None, response_format=ResponseFormat(SCHEMA))
    assert (outcome.content, [attempt[1] for attempt in outcome.attempts]) == (ROME, ["unsupported", "ok"])
    targets = ScriptedTargets({GPT: [Failure("unsupported", 400, detail="image input is not supported")]})
    call(way, targets, GPT, tools=[], tool_choice=None, response_format=ResponseFormat(SCHEMA))
    assert len(targets.asked) == 1


def test_a_skipped_target_is_named_with_the_reason_and_no_further_fallback_is_advised() -> None:
    image = Message.user("What is this?", images=["https://example.com/a.png"])
    targets = ScriptedTargets({GPT: [Failure("server", 503)]})
    with targets.running(), pytest.raises(ServiceUnavailableError) as caught:
        LLMClient(GPT, fallbacks=[OLLAMA]).generate([image])
    message = str(caught.value)
    assert "1 fallback was skipped: ollama/llama3.2 cannot read images by URL." in message
    assert "add a fallback" not in message


def test_tools_and_json_never_go_together_to_a_target_that_cannot_have_both() -> None:
    for name in (OLLAMA, "gemini/gemini-2.5-flash"):
        targets = ScriptedTargets({name: [say(ROME)]})
        client = LLMClient(name, api_key=CANARY)
        with targets.running():
            response = client.generate("Where?", tools=[LOOK], response_format=ResponseFormat(SCHEMA))
        assert response.content == ROME
        ((_, request),) = targets.asked
        assert (request.tools, request.response_format) == ((LOOK,), None)
        assert "JSON schema" in request.messages[0].text
    only_native = replace(ResponseFormat(SCHEMA), methods=("native",))
    with ScriptedTargets({}).running(), pytest.raises(UnsupportedOperationError, match="requested way"):
        LLMClient(OLLAMA).generate("Where?", tools=[LOOK], response_format=only_native)
