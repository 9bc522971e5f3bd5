"""Requests in the Responses format."""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.codec_checks import CANARY, calm, target
from tests.support.responses import body_of, fixture, plain_target
from tests.support.thorough import examples
from unified_llm._core.api_key import Secret
from unified_llm._core.outcome import Done
from unified_llm._core.quirks import Quirks
from unified_llm._formats.openai_responses import CODEC
from unified_llm.exceptions import UnsupportedOperationError, ValidationError
from unified_llm.types import (
    AudioPart,
    CachePoint,
    CountRequest,
    EmbeddingRequest,
    FilePart,
    ImagePart,
    LLMRequest,
    Message,
    ModelsRequest,
    ProviderState,
    RerankRequest,
    ResponseFormat,
    TextPart,
    Tool,
    ToolCall,
)

HELLO = LLMRequest((Message.user("Hello"),))
SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
WEATHER = Tool("weather", "The weather.", SCHEMA)
OSLO = ToolCall("call_a", "weather", {"city": "Oslo"}, '{"city":"Oslo"}')
ROME = ToolCall("call_b", "weather", {"city": "Rome"}, '{"city":"Rome"}')


def items(*messages: Message, **fields: Any) -> Any:
    return body_of(LLMRequest(messages), plain_target(**fields))["input"]


def message_item(role: str, content: Any) -> dict[str, Any]:
    return {"type": "message", "role": role, "content": content}


class TestRequest:
    def test_it_keeps_nothing_with_the_provider(self) -> None:
        assert body_of(HELLO) == {"model": "some-model", "input": [message_item("user", "Hello")], "store": False}

    def test_it_goes_to_its_path_with_the_key_in_one_header(self) -> None:
        wire = CODEC.encode(replace(HELLO, stream=True), plain_target(key=Secret(CANARY, "a test")))
        assert (wire.method, wire.url) == ("POST", "https://example.test/v1/responses")
        assert dict(wire.headers) == {
            "authorization": f"Bearer {CANARY}", "accept": "text/event-stream", "content-type": "application/json",
        }  # fmt: skip
        assert body_of(replace(HELLO, stream=True))["stream"] is True

    def test_what_the_format_has_goes_by_its_names(self) -> None:
        request = replace(HELLO, temperature=0.5, top_p=0.9, max_tokens=50, logprobs=True, reasoning_effort="low")
        body = body_of(request, plain_target(quirks=Quirks(rename={"max_tokens": "max_completion_tokens"})))
        assert {name: body[name] for name in ("temperature", "top_p", "max_output_tokens", "reasoning")} == {
            "temperature": 0.5, "top_p": 0.9, "max_output_tokens": 50, "reasoning": {"effort": "low"},
        }  # fmt: skip
        assert body["include"] == ["message.output_text.logprobs", "reasoning.encrypted_content"]
        assert "logprobs" not in body

    def test_alternatives_are_asked_for_together_with_the_log_probabilities(self) -> None:
        body = body_of(replace(HELLO, top_logprobs=2))
        assert (body["top_logprobs"], body["include"]) == (2, ["message.output_text.logprobs"])

    def test_what_the_format_has_not_is_left_out_and_logged(self, caplog: pytest.LogCaptureFixture) -> None:
        request = replace(HELLO, stop=("END",), seed=7, frequency_penalty=0.1, presence_penalty=0.1)
        with caplog.at_level(logging.DEBUG, "unified_llm"):
            assert body_of(request) == body_of(HELLO)
        assert [record.getMessage().split()[0] for record in caplog.records] == [
            "stop", "seed", "frequency_penalty", "presence_penalty",
        ]  # fmt: skip

    def test_defaults_of_the_target_hold_where_the_call_says_nothing(self) -> None:
        where = plain_target(defaults={"temperature": 0.1, "max_tokens": 9})
        assert body_of(HELLO, where)["temperature"] == 0.1
        assert body_of(replace(HELLO, temperature=1, max_tokens=5), where)["max_output_tokens"] == 5

    def test_encrypted_reasoning_is_asked_of_models_that_reason_alone(self) -> None:
        encrypted = ["reasoning.encrypted_content"]
        assert body_of(HELLO, plain_target(reasoning=True))["include"] == encrypted
        assert body_of(replace(HELLO, reasoning_effort="high"))["include"] == encrypted
        assert "include" not in body_of(replace(HELLO, reasoning_effort="none"))
        renamed = body_of(replace(HELLO, reasoning_effort="max"), plain_target(quirks=Quirks(efforts={"max": "xhigh"})))
        assert renamed["reasoning"] == {"effort": "xhigh"}
        assert "include" not in body_of(HELLO)
        assert "include" not in body_of(HELLO, plain_target(reasoning=True, quirks=Quirks(drop=frozenset({"include"}))))

    def test_what_a_model_refuses_is_left_out(self) -> None:
        request = replace(
            HELLO, temperature=0.5, top_logprobs=2, logprobs=True, tools=(WEATHER,), parallel_tool_calls=True
        )
        body = body_of(request, target("openai", "o3-pro"))
        assert not set(body) & {"temperature", "top_logprobs", "include", "parallel_tool_calls"}
        refused = plain_target(quirks=Quirks(drop_reasoning=frozenset({"temperature"})))
        assert "temperature" not in body_of(replace(request, reasoning_effort="low"), refused)
        assert "temperature" in body_of(replace(request, reasoning_effort="none"), refused)

    def test_json_is_asked_for_in_text(self) -> None:
        assert body_of(replace(HELLO, response_format=ResponseFormat()))["text"] == {"format": {"type": "json_object"}}
        by_schema = body_of(replace(HELLO, response_format=ResponseFormat(SCHEMA, "my place", strict=True)))
        assert by_schema["text"]["format"] == {
            "type": "json_schema", "name": "my_place", "schema": SCHEMA, "strict": True,
        }  # fmt: skip
        assert "strict" not in body_of(replace(HELLO, response_format=ResponseFormat(SCHEMA)))["text"]["format"]

    def test_what_the_user_adds_takes_nothing_away(self) -> None:
        request = replace(
            HELLO,
            reasoning_effort="low",
            response_format=ResponseFormat(),
            extra_body={
                "reasoning": {"summary": "auto"},
                "text": {"verbosity": "low"},
                "include": ["web_search_call.action.sources", "reasoning.encrypted_content"],
                "store": True,
            },
        )
        body = body_of(request, plain_target(extra_body={"truncation": "auto", "store": False}))
        assert body["reasoning"] == {"effort": "low", "summary": "auto"}
        assert body["text"] == {"format": {"type": "json_object"}, "verbosity": "low"}
        assert body["include"] == ["reasoning.encrypted_content", "web_search_call.action.sources"]
        assert (body["store"], body["truncation"]) == (True, "auto")

    def test_tokens_are_counted_of_what_would_be_sent(self) -> None:
        request = replace(HELLO, temperature=0.5, max_tokens=5, tools=(WEATHER,), reasoning_effort="low", stream=True)
        wire = CODEC.encode(CountRequest(request), plain_target())
        assert wire.url.endswith("/responses/input_tokens")
        assert set(body_of(CountRequest(request))) == {"model", "input", "tools", "reasoning"}

    def test_what_is_no_answer_is_as_in_openai_s_other_format(self) -> None:
        assert CODEC.encode(EmbeddingRequest(("a",)), plain_target()).url.endswith("/embeddings")
        assert CODEC.encode(ModelsRequest(), plain_target()).url.endswith("/models")
        with pytest.raises(UnsupportedOperationError):
            CODEC.encode(RerankRequest("q", ("d",)), plain_target())

    def test_what_cannot_be_written_is_named_and_not_repeated(self) -> None:
        with pytest.raises(ValidationError, match=r"input\[0\]\.content"):
            body_of(LLMRequest((Message.user("\ud800"),)))


class TestTools:
    def test_their_functions_are_flat_and_no_stricter_than_elsewhere(self) -> None:
        request = replace(HELLO, tools=(WEATHER, Tool("now", strict=True)))
        assert body_of(request)["tools"] == [
            {
                "type": "function",
                "name": "weather",
                "description": "The weather.",
                "parameters": SCHEMA,
                "strict": False,
            },
            {"type": "function", "name": "now", "parameters": {"type": "object", "properties": {}}, "strict": True},
        ]

    def test_the_choice_is_a_word_or_a_name(self) -> None:
        search = Tool("search", builtin={"type": "web_search"})
        request = replace(HELLO, tools=(WEATHER, search), parallel_tool_calls=False)
        for choice in ("auto", "none", "required"):
            assert body_of(replace(request, tool_choice=choice))["tool_choice"] == choice
        named = replace(request, tool_choice="weather")
        assert body_of(named)["tool_choice"] == {"type": "function", "name": "weather"}
        assert body_of(replace(request, tool_choice="search"))["tool_choice"] == {"type": "web_search"}
        assert body_of(request)["parallel_tool_calls"] is False
        assert "tools" not in body_of(
            replace(request, tool_choice="none"), plain_target(quirks=Quirks(drop=frozenset({"tool_choice.none"})))
        )
        by_word = body_of(named, plain_target(quirks=Quirks(drop=frozenset({"tool_choice.function"}))))
        assert ([tool["name"] for tool in by_word["tools"]], by_word["tool_choice"]) == (["weather"], "required")

    def test_without_tools_there_is_no_choice(self) -> None:
        assert body_of(replace(HELLO, tool_choice="required", parallel_tool_calls=True)) == body_of(HELLO)

    def test_a_provider_s_own_tool_passes_in_its_own_form_alone(self) -> None:
        search: dict[str, Any] = {"type": "web_search", "user_location": {"type": "approximate", "country": "NO"}}
        assert body_of(replace(HELLO, tools=(Tool("s", builtin=search),)))["tools"] == [search]
        others: list[dict[str, Any]] = [{"google_search": {}}, {"type": "web_search_20250305", "name": "web_search"}]
        for builtin in others:
            with pytest.raises(ValidationError, match="another provider"):
                body_of(replace(HELLO, tools=(Tool("s", builtin=builtin),)))


class TestHistory:
    def test_turns_stay_where_they_are(self) -> None:
        turns = (
            Message.system("Be brief."),
            Message.user("Hi"),
            Message.assistant("Hello"),
            Message.system("Briefer."),
        )
        assert items(*turns) == [
            message_item("system", "Be brief."), message_item("user", "Hi"), message_item("assistant", "Hello"),
            message_item("system", "Briefer."),
        ]  # fmt: skip

    def test_media_are_parts(self) -> None:
        content = (
            TextPart("Look:"),
            CachePoint(),
            ImagePart(url="https://example.org/cat.png", detail="low"),
            ImagePart(data=b"abc"),
            FilePart(data=b"abc", filename="a.pdf"),
            FilePart(data=b"abc"),
            FilePart(url="https://example.org/a.pdf"),
            FilePart(file_id="file_1"),
        )
        assert items(Message("user", content))[0]["content"] == [
            {"type": "input_text", "text": "Look:"},
            {"type": "input_image", "image_url": "https://example.org/cat.png", "detail": "low"},
            {"type": "input_image", "image_url": "data:image/png;base64,YWJj", "detail": "auto"},
            {"type": "input_file", "filename": "a.pdf", "file_data": "data:application/pdf;base64,YWJj"},
            {"type": "input_file", "filename": "document.pdf", "file_data": "data:application/pdf;base64,YWJj"},
            {"type": "input_file", "file_url": "https://example.org/a.pdf"},
            {"type": "input_file", "file_id": "file_1"},
        ]
        assert items(Message("user", (TextPart("a"), TextPart("b"))))[0]["content"] == "a\nb"

    def test_sounds_and_system_pictures_are_refused(self) -> None:
        with pytest.raises(ValidationError, match=r"messages\[1\] holds audio"):
            items(Message.user("a"), Message("user", (AudioPart(b"abc"),)))
        with pytest.raises(ValidationError, match="a system message cannot carry"):
            items(Message("system", (ImagePart(data=b"abc"),)))

    def test_calls_and_results_are_items_of_their_own(self) -> None:
        turns = (
            Message.user("Oslo and Rome?"),
            Message.assistant("Let me look.", tool_calls=[OSLO, ROME]),
            Message.tool("rain", "call_b", is_error=True),
            Message.tool("sun", "call_a"),
        )
        assert items(*turns) == [
            message_item("user", "Oslo and Rome?"),
            message_item("assistant", "Let me look."),
            {"type": "function_call", "call_id": "call_a", "name": "weather", "arguments": '{"city":"Oslo"}'},
            {"type": "function_call", "call_id": "call_b", "name": "weather", "arguments": '{"city":"Rome"}'},
            {"type": "function_call_output", "call_id": "call_a", "output": "sun"},
            {"type": "function_call_output", "call_id": "call_b", "output": "Error: rain"},
        ]

    def test_a_call_without_result_gets_one_and_a_result_without_call_becomes_the_user_s(self) -> None:
        written = items(Message.assistant(tool_calls=[OSLO]), Message.tool("sun", "call_x"))
        assert [item["type"] for item in written] == ["function_call", "function_call_output", "message"]
        assert written[1]["output"].startswith("Error: ")
        assert written[2] == message_item("user", "sun")

    def test_long_identifiers_are_shortened_alike(self) -> None:
        long = replace(OSLO, id="c" * 60)
        call, result = items(Message.assistant(tool_calls=[long]), Message.tool("sun", long.id))
        assert call["call_id"] == result["call_id"]
        assert len(call["call_id"]) <= 40

    def test_a_tool_may_return_pictures(self) -> None:
        shown = Message("tool", (TextPart("Here."), ImagePart(data=b"abc")), tool_call_id="call_a")
        picture = {"type": "input_image", "image_url": "data:image/png;base64,YWJj", "detail": "auto"}
        text = {"type": "input_text", "text": "Here."}
        assert items(Message.assistant(tool_calls=[OSLO]), shown)[1]["output"] == [text, picture]
        failed = items(Message.assistant(tool_calls=[OSLO]), replace(shown, is_error=True))[1]["output"]
        assert failed == [{"type": "input_text", "text": "Error:"}, text, picture]

    def test_reasoning_in_the_open_is_not_sent_back(self) -> None:
        assert items(Message("assistant", "Hi", reasoning="Greet.")) == [message_item("assistant", "Hi")]


class TestProviderState:
    def answer(self, name: str) -> Message:
        end = CODEC.decode(HELLO, plain_target(), fixture(name)["body"])
        assert isinstance(end, Done)
        answer = end.value
        return Message("assistant", answer.content, tool_calls=answer.tool_calls, provider_state=answer.provider_state)

    def kinds(self, *messages: Message, **fields: Any) -> list[str]:
        return [item["type"] for item in items(*messages, **fields)]

    def test_reasoning_goes_back_right_before_what_it_led_to(self) -> None:
        turn = self.answer("chat_tools")
        written = items(turn, Message.tool("1", "call_a"), Message.tool("2", "call_b"))
        output = fixture("chat_tools")["body"]["output"]
        assert [written[0], written[2]] == [output[0], output[2]]
        assert [item["type"] for item in written] == [
            "reasoning", "function_call", "reasoning", "function_call", "function_call_output", "function_call_output",
        ]  # fmt: skip

    def test_reasoning_that_led_to_text_goes_before_it_with_its_phase(self) -> None:
        reasoning, message = items(self.answer("chat_phase"))
        assert reasoning["encrypted_content"] == "gAAAAB3"
        assert message == message_item("assistant", "Done.") | {"phase": "final_answer"}

    def test_it_is_left_out_when_what_it_led_to_is_gone(self) -> None:
        turn = self.answer("chat_tools")
        assert self.kinds(replace(turn, tool_calls=turn.tool_calls[1:])) == [
            "reasoning", "function_call", "function_call_output",
        ]  # fmt: skip
        assert self.kinds(replace(turn, tool_calls=())) == ["message"]
        assert self.kinds(replace(self.answer("chat_phase"), content="", tool_calls=(OSLO,))) == [
            "function_call", "function_call_output",
        ]  # fmt: skip

    def test_nobody_else_gets_it(self) -> None:
        turn = self.answer("chat_phase")
        assert turn.provider_state is not None
        for other in (
            replace(turn, provider_state=replace(turn.provider_state, provider="elsewhere")),
            replace(turn, provider_state=replace(turn.provider_state, format="azure_responses")),
            replace(
                turn, provider_state=replace(turn.provider_state, data={**turn.provider_state.data, "model": "another"})
            ),
        ):
            assert items(other) == [message_item("assistant", "Done.")]

    @settings(calm, max_examples=examples(25))
    @given(st.recursive(st.none() | st.text(max_size=3) | st.integers(), st.lists, max_leaves=4))
    def test_whatever_was_done_to_it_the_rest_is_sent(self, junk: Any) -> None:
        for data in (
            junk,
            {"model": "some-model", "reasoning": junk, "phase": junk},
            {"model": "some-model", "reasoning": [junk, {"before": junk, "items": [junk]}]},
            {"model": "some-model", "reasoning": [{"before": "call_a", "items": junk}]},
        ):
            provider_state = ProviderState("somewhere", "openai_responses", data)
            written = items(Message("assistant", "Hi", tool_calls=(OSLO,), provider_state=provider_state))
            assert [item["type"] for item in written] == ["message", "function_call", "function_call_output"]
