"""A conversation that one provider's model began goes on with any other: all ordered pairs of formats.

The first turn is a recorded response, decoded by the codec of its own format. The request to the second provider must
contain the whole conversation, in the form that this format requires, but no provider state of another provider:
signatures and encrypted reasoning go back only to the provider that issued them.
"""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any, TypeAlias

from tests.support.each import each
from unified_llm import LLMClient
from unified_llm._core.outcome import Done
from unified_llm._core.target import Target
from unified_llm._formats.codecs import codec_for
from unified_llm._providers.capabilities import missing
from unified_llm.types import ImagePart, LLMRequest, LLMResponse, Message, TextPart, Tool

FIXTURES = Path(__file__).parent.parent / "fixtures"
PICTURE = b"\x89PNG\r\n\x1a\nnot really"
SYSTEM, ASKED, THANKS, RESULT, PROBLEM = "Be brief.", "What is this?", "Go on.", "Sunny, 21 degrees", "it broke"
# Fields with opaque data of the provider.
OPAQUE = ("signature", "thoughtSignature", "encrypted_content", "data")


@dataclass(frozen=True)
class Format:
    """A model that has the format, and a recorded response with tool calls."""

    model: str
    recorded: str
    base_url: str | None = None


FORMATS = {
    "openai_chat": Format("openai/gpt-4o", "openai_chat/chat_tools"),
    "mistral": Format("mistral/mistral-small-latest", "openai_chat/chat_tools"),
    "deepseek": Format("deepseek/deepseek-chat", "openai_chat/chat_tools"),
    "azure": Format("azure/my-deployment", "openai_chat/chat_tools", "https://mine.openai.azure.com"),
    "huggingface": Format("huggingface/org/model", "openai_chat/chat_tools"),
    "openai_responses": Format("openai/gpt-5-pro", "openai_responses/chat_tools"),
    "anthropic": Format("anthropic/claude-sonnet-4-5", "anthropic/chat_thinking_tools"),
    "gemini": Format("gemini/gemini-3-pro-preview", "gemini/chat_tools"),
    "ollama": Format("ollama/llama3.2", "ollama/chat_tools"),
    "cohere": Format("cohere/command-a-03-2025", "cohere/chat_tools"),
}


@cache
def target(name: str) -> Target:
    row = FORMATS[name]
    return LLMClient(row.model, api_key="sk-CANARY-of-pairs", base_url=row.base_url).targets[0]


@cache
def answer(name: str) -> LLMResponse:
    """Decode the recorded response with the codec of its format."""
    recorded = json.loads((FIXTURES / f"{FORMATS[name].recorded}.json").read_text(encoding="utf-8"))
    where = target(name)
    done = codec_for(where.format).decode(LLMRequest((Message.user(ASKED),)), where, recorded["body"])
    assert isinstance(done, Done)
    read: LLMResponse = done.value
    assert read.tool_calls
    return read


def conversation(name: str, *, picture: bool) -> tuple[Message, ...]:
    """Return system message, question, recorded calls, results (the last one failed), answer and next question."""
    recorded = answer(name)
    turn = Message(
        "assistant",
        recorded.content,
        tool_calls=recorded.tool_calls,
        reasoning=recorded.reasoning,
        provider_state=recorded.provider_state,
    )
    *fine, failed = recorded.tool_calls
    question = (TextPart(ASKED), ImagePart(data=PICTURE, media_type="image/png"))
    return (
        Message.system(SYSTEM),
        Message("user", question if picture else ASKED),
        turn,
        *(Message.tool(RESULT, call.id) for call in fine),
        Message.tool(PROBLEM, failed.id, is_error=True),
        Message.assistant("It is sunny."),
        Message.user(THANKS),
    )


def tools(name: str) -> tuple[Tool, ...]:
    names = dict.fromkeys(call.name for call in answer(name).tool_calls)
    return tuple(Tool(name, "A tool.", {"type": "object", "properties": {}}) for name in names)


Entry: TypeAlias = tuple[str, str | None, str | None, Any]
"""``call`` or ``result``, identifier, name, and what was passed or came back."""


def _openai(body: Any) -> Iterator[Entry]:
    for message in body["messages"]:
        for call in message.get("tool_calls") or ():
            yield "call", call["id"], call["function"]["name"], json.loads(call["function"]["arguments"])
        if message["role"] == "tool":
            yield "result", message["tool_call_id"], None, message["content"]


def _responses(body: Any) -> Iterator[Entry]:
    for item in body["input"]:
        if item.get("type") == "function_call":
            yield "call", item["call_id"], item["name"], json.loads(item["arguments"])
        elif item.get("type") == "function_call_output":
            yield "result", item["call_id"], None, item["output"]


def _anthropic(body: Any) -> Iterator[Entry]:
    for message in body["messages"]:
        for block in message["content"] if isinstance(message["content"], list) else ():
            if block["type"] == "tool_use":
                yield "call", block["id"], block["name"], block["input"]
            elif block["type"] == "tool_result":
                yield "result", block["tool_use_id"], None, block["content"]


def _gemini(body: Any) -> Iterator[Entry]:
    for part in (part for content in body["contents"] for part in content["parts"]):
        if call := part.get("functionCall"):
            yield "call", call.get("id"), call["name"], call.get("args", {})
        elif result := part.get("functionResponse"):
            yield "result", result.get("id"), result["name"], result["response"]


def _ollama(body: Any) -> Iterator[Entry]:
    for message in body["messages"]:
        for call in message.get("tool_calls") or ():
            yield "call", None, call["function"]["name"], call["function"]["arguments"]
        if message["role"] == "tool":
            yield "result", None, message["tool_name"], message["content"]


READERS: dict[str, Callable[[Any], Iterator[Entry]]] = {
    "openai_responses": _responses,
    "anthropic": _anthropic,
    "gemini": _gemini,
    "ollama": _ollama,
}


def opaque(value: Any) -> Iterator[str]:
    """Yield the opaque values in provider state."""
    if isinstance(value, dict):
        for name, child in value.items():
            if name in OPAQUE and isinstance(child, str):
                yield child
            else:
                yield from opaque(child)
    elif isinstance(value, list):
        for child in value:
            yield from opaque(child)


def written(source: str, to: str) -> tuple[Any, str]:
    """Encode the request that continues the conversation; return its body, parsed and as text."""
    where = target(to)
    request = LLMRequest(conversation(source, picture="images" in where.features), tools=tools(source))
    assert missing(request, where) is None
    wire = codec_for(where.format).encode(request, where)
    return json.loads(wire.body), json.dumps(json.loads(wire.body), ensure_ascii=False)


@each("to", FORMATS)
@each("source", FORMATS)
def test_a_conversation_goes_on_elsewhere(source: str, to: str) -> None:
    body, text = written(source, to)
    first_answer = answer(source)
    if to in {"anthropic", "gemini"}:  # which want the sides to take turns
        turns = [turn["role"].replace("model", "assistant") for turn in body.get("messages") or body["contents"]]
        assert turns == ["user", "assistant", "user", "assistant", "user"]
    entries = list(READERS.get(to, _openai)(body))
    calls = [entry for entry in entries if entry[0] == "call"]
    results = [entry for entry in entries if entry[0] == "result"]
    assert entries == calls + results
    assert [(name, arguments) for _, _, name, arguments in calls] == [
        (call.name, dict(call.arguments)) for call in first_answer.tool_calls
    ]
    for called, result in zip(calls, results, strict=True):
        assert result[1] == called[1]
        assert result[2] in {None, called[2]}
    *fine, failed = (json.dumps(entry[3]) for entry in results)
    assert all(RESULT in result for result in fine)
    assert PROBLEM in failed
    assert all(part in text for part in (SYSTEM, ASKED, THANKS, first_answer.content))
    if "images" in target(to).features:
        assert b64encode(PICTURE).decode() in text


@each("to", FORMATS)
@each("source", [name for name in FORMATS if name in {"anthropic", "gemini", "openai_responses"}])
def test_the_state_of_one_provider_goes_back_to_it_and_to_no_other(source: str, to: str) -> None:
    provider_state = answer(source).provider_state
    assert provider_state
    secrets = list(opaque(provider_state.data))
    assert secrets
    _, text = written(source, to)
    for secret in secrets:
        assert (secret in text) is (source == to), secret


def test_a_call_that_was_never_answered_leaves_no_request_that_is_refused() -> None:
    for source in FORMATS:
        for to in FORMATS:
            where = target(to)
            *_, last = talk = conversation(source, picture=False)[:3]
            request = LLMRequest((*talk, Message.user(THANKS)), tools=tools(source))
            wire = codec_for(where.format).encode(request, where)
            entries = list(READERS.get(to, _openai)(json.loads(wire.body)))
            calls, results = (sum(entry[0] == kind for entry in entries) for kind in ("call", "result"))
            assert calls == len(last.tool_calls)
            assert results == calls or to == "ollama", (source, to)  # the one that does not mind


def test_a_result_that_nobody_asked_for_is_still_sent() -> None:
    talk = (Message.user(ASKED), Message.tool(RESULT, "call_lost"), Message.user(THANKS))
    for to in FORMATS:
        wire = codec_for(target(to).format).encode(LLMRequest(talk), target(to))
        assert RESULT in wire.body.decode(), to


def test_a_provider_s_own_options_stay_with_it() -> None:
    """What stands in ``extra_body`` of a target belongs to that target."""
    primary = {"model": "openai/gpt-4o", "extra_body": {"service_tier": "flex"}, "api_key": "sk-CANARY-of-pairs"}
    fallbacks = [{"model": "anthropic/claude-sonnet-4-5", "api_key": "sk-CANARY-of-pairs"}]
    first, second = LLMClient(primary, fallbacks=fallbacks).targets
    assert (first.extra_body, second.extra_body) == ({"service_tier": "flex"}, {})
    wire = codec_for(second.format).encode(LLMRequest((Message.user(ASKED),)), replace(second))
    assert b"service_tier" not in wire.body
