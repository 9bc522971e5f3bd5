"""Twelve histories that models and frameworks leave behind go on with every format, whole and streamed (issue, item 8).

Each request is checked by the strict upstream of its format; each response calls a tool by the name that was sent, and
the caller gets the name that was offered.
"""

from __future__ import annotations

import json
from functools import cache
from typing import Any

from tests.support.each import each
from tests.support.upstream_bodies import call_response, check_body, names_in
from unified_llm import LLMClient
from unified_llm._core.chunks import as_response
from unified_llm._core.outcome import Done, Failure
from unified_llm._core.target import Target
from unified_llm._formats.codecs import codec_for
from unified_llm._lib.sse import ServerSentEvent
from unified_llm.types import LLMRequest, LLMResponse, Message, TextPart, Tool, ToolCall

TARGETS = {
    "openai_chat": "openai/gpt-4o",
    "groq": "groq/llama-3.3-70b-versatile",
    "mistral": "mistral/mistral-small-latest",
    "deepseek": "deepseek/deepseek-chat",
    "vllm": "vllm/some-model",
    "azure": "azure/my-deployment",
    "huggingface": "huggingface/org/model",
    "openai_responses": "openai/gpt-5-pro",
    "anthropic": "anthropic/claude-sonnet-4-5",
    "gemini": "gemini/gemini-2.5-flash",
    "gemini 3": "gemini/gemini-3-pro-preview",
    "ollama": "ollama/llama3.2",
    "cohere": "cohere/command-a-03-2025",
}
BASE_URLS = {"azure": "https://mine.openai.azure.com"}
LONG = "mcp-server-with-a-long-name.create_calendar_event_in_the_calendar_of_another_person"
ODD = "caldav-mcp.create event"
TOOLS = tuple(
    Tool(name, "A tool.", {"type": "object", "properties": {"q": {"type": "string"}}})
    for name in (ODD, "caldav-mcp_create_event", "2nd_option", "résumé", LONG, "get_weather")
)
HI, GO_ON = Message.user("Hello."), Message.user("Go on.")


def called(*calls: ToolCall, content: str = "") -> tuple[Message, ...]:
    results = (Message.tool(f"result of {call.id}", call.id) for call in calls)
    return (HI, Message.assistant(content, tool_calls=calls), *results, GO_ON)


def parsed(arguments: str, name: str = "get_weather") -> ToolCall:
    return ToolCall.parse("c1", name, arguments)


HISTORIES: dict[str, tuple[Message, ...]] = {
    "names of tools that no model was offered": called(
        ToolCall("c1", "functions.get_weather:0", {"q": "x"}), ToolCall("c2", "", {}), ToolCall("c3", "get.weather", {})
    ),
    "odd names of offered tools": called(ToolCall("c1", ODD, {}), ToolCall("c2", LONG, {}), ToolCall("c3", "résumé")),
    "arguments that are no JSON": called(parsed('{"q": "Ber')),
    "arguments that are a list": called(parsed("[1, 2]"), content="I will look."),
    "arguments that are null": called(parsed("null")),
    "arguments with line feeds, NaN and half an emoji": called(
        parsed('{"q": "a\nb\tc", "n": NaN, "m": 1e999, "h": "\\ud83d"}')
    ),
    "an answer that was cut before its first word": (HI, Message.assistant(""), GO_ON),
    "blank turns of both sides": (
        HI, Message.assistant("Yes?"), Message.user(" \n"), Message("assistant", (TextPart(""),)), GO_ON,
    ),
    "an empty question at the end": (HI, Message.assistant("Yes?"), Message.user("")),
    "an answer at both ends": (Message.assistant("Welcome."), HI, Message.assistant("The answer is")),
    "instructions and an empty question": (Message.system("Be brief."), Message.user("")),
    "a call that was never answered, and a result that nobody asked for": (
        HI, Message.assistant(tool_calls=[parsed("{}", "a b")]), GO_ON, Message.tool("late", "lost"), GO_ON,
    ),
}  # fmt: skip


@cache
def target(name: str) -> Target:
    return LLMClient(TARGETS[name], api_key="sk-CANARY-of-histories", base_url=BASE_URLS.get(name)).targets[0]


def sent(name: str, history: tuple[Message, ...], **fields: Any) -> Any:
    where = target(name)
    return json.loads(codec_for(where.format).encode(LLMRequest(history, **fields), where).body)


@each("stream", [False, True])
@each("name", TARGETS)
def test_twelve_histories_go_on_with_every_format(name: str, stream: bool) -> None:  # noqa: FBT001 - a parameter
    assert len(HISTORIES) == 12
    for title, history in HISTORIES.items():
        body = sent(name, history, tools=TOOLS, stream=stream)
        check_body(body, target(name))
        text = json.dumps(body, ensure_ascii=False)
        for message in history:
            assert message.text.strip() in text.replace("\\n", "\n"), title
        assert text == json.dumps(sent(name, history, tools=TOOLS, stream=stream), ensure_ascii=False)
        assert len(set(names_in(body.get("tools")))) == len(TOOLS), title


@each("stream", [False, True])
@each("name", TARGETS)
def test_a_call_has_the_name_that_was_offered(name: str, stream: bool) -> None:  # noqa: FBT001 - a parameter
    where = target(name)
    codec = codec_for(where.format)
    request = LLMRequest(HISTORIES["odd names of offered tools"], tools=TOOLS, stream=stream)
    sent_names = names_in(json.loads(codec.encode(request, where).body)["tools"])
    for tool, sent_name in zip(TOOLS, sent_names, strict=True):
        whole, events = call_response(where.format, sent_name, {"q": "x"})
        if not stream:
            outcome = codec.decode(request, where, whole)
            assert isinstance(outcome, Done)
            answer: LLMResponse = outcome.value
        else:
            decoder = codec.decoder(request, where)
            out = [chunk for event in events for chunk in decoder.feed(ServerSentEvent(json.dumps(event)))]
            if not isinstance(out[-1], Done | Failure):
                out.append(decoder.finish())
            *chunks, end = out
            assert isinstance(end, Done)
            answer = as_response(chunks, end.value)  # type: ignore[arg-type]
        assert [(call.name, dict(call.arguments)) for call in answer.tool_calls] == [(tool.name, {"q": "x"})]


def test_names_that_fit_are_sent_as_they_are() -> None:
    tools = (Tool("get_weather"), Tool("b-2"))
    history = called(ToolCall("c1", "get_weather", {}))
    for name in TARGETS:
        expected = {"get_weather", "b_2" if name == "cohere" else "b-2"}
        assert set(names_in(sent(name, history, tools=tools))) == expected, name
    assert ODD in names_in(sent("ollama", (HI,), tools=TOOLS))


def test_the_choice_of_a_tool_follows_its_name() -> None:
    for name in TARGETS:
        if "tool_choice" in target(name).features:
            body = sent(name, (HI,), tools=TOOLS, tool_choice=ODD)
            check_body(body, target(name))
            assert ODD not in json.dumps(body), name


def test_arguments_are_an_object_in_every_format() -> None:
    """Wire F7 and F13: an object, also where a model wrote none."""
    for name in TARGETS:
        for title in [title for title in HISTORIES if title.startswith("arguments")]:
            for arguments in arguments_in(sent(name, HISTORIES[title])):
                assert isinstance(arguments, dict), (name, title)
                json.dumps(arguments, allow_nan=False)


def arguments_in(value: Any) -> list[Any]:
    found: list[Any] = []
    if isinstance(value, dict):
        written = [value[key] for key in ("arguments", "args", "input") if key in value and "name" in value]
        found += [json.loads(arguments) if isinstance(arguments, str) else arguments for arguments in written]
        found += [arguments for child in value.values() for arguments in arguments_in(child)]
    if isinstance(value, list):
        found += [arguments for child in value for arguments in arguments_in(child)]
    return found


def test_f12_mistral_s_last_answer_is_marked_and_empty_ones_are_left_out() -> None:
    last = sent("mistral", HISTORIES["an answer at both ends"])["messages"][-1]
    assert last == {"role": "assistant", "content": "The answer is", "prefix": True}
    roles = [
        turn["role"] for turn in sent("mistral", HISTORIES["an answer that was cut before its first word"])["messages"]
    ]
    assert roles == ["user", "user"]
    assert "prefix" not in json.dumps(sent("groq", HISTORIES["an answer at both ends"]))


def test_perplexity_s_conversations_begin_and_end_with_the_user() -> None:
    where = LLMClient("perplexity/sonar", api_key="sk-CANARY-of-histories").targets[0]
    for history in HISTORIES.values():
        body = json.loads(codec_for(where.format).encode(LLMRequest(history), where).body)
        check_body(body, where)
    alone = json.loads(codec_for(where.format).encode(LLMRequest((Message.system("Be brief."),)), where).body)
    assert alone["messages"] == [{"role": "user", "content": "Be brief."}]


def test_half_an_emoji_in_arguments_given_as_a_mapping_is_as_portable_as_in_text() -> None:
    read = ToolCall.from_dict({"id": "c", "function": {"name": "f", "arguments": {"q": "\ud83d"}}})
    assert read.raw_arguments == '{"q":"\ufffd"}'
    assert ToolCall.from_arguments("c", "f", {"q": "\ud83d", "n": float("nan")}).arguments == {"q": "\ufffd", "n": None}
