"""Chat completions made of our responses: the provider's own body, with what was changed here."""

from __future__ import annotations

import json
from typing import Any

from unified_llm.openai_style._chat_chunks import ChunkWriter
from unified_llm.openai_style._chat_objects import AnswerForm, completion_of
from unified_llm.openai_style._chat_snapshot import Snapshot, add_delta
from unified_llm.openai_style._parse import Wanted
from unified_llm.openai_style.types.chat import ChatCompletionChunk
from unified_llm.types import LLMChunk, LLMResponse, ProviderState, ToolCall, Usage

PLAIN = AnswerForm()


def body(**message: Any) -> dict[str, Any]:
    choice = {"index": 0, "message": {"role": "assistant", **message}, "finish_reason": "stop"}
    return {"id": "c", "object": "chat.completion", "created": 7, "model": "m", "choices": [choice], "x": 1}


def test_a_body_in_the_shape_is_passed_on_as_it_is() -> None:
    for raw, fields in [
        (body(content="Hi", reasoning_content="r"), {"content": "Hi", "reasoning": "r"}),
        (body(content=None, audio={"id": "a", "transcript": "Hi"}), {"content": "Hi"}),
        (body(content=None, function_call={"name": "f", "arguments": "{}"}), {
            "tool_calls": (ToolCall("1", "f", {}, "{}"),), "finish_reason": "tool_calls",
        }),
    ]:  # fmt: skip
        assert completion_of(LLMResponse(raw=raw, **fields), PLAIN).to_dict() == raw  # type: ignore[arg-type]


def test_what_was_changed_here_is_laid_over_the_body() -> None:
    raw = body(content="<think>Why</think>Hi")
    read = completion_of(LLMResponse("Hi", reasoning="Why", raw=raw), PLAIN)
    assert read.choices[0].message.to_dict() == {"role": "assistant", "content": "Hi", "reasoning_content": "Why"}
    assert (read.id, read.created, read.to_dict()["x"]) == ("c", 7, 1)
    assert raw["choices"][0]["message"]["content"] == "<think>Why</think>Hi", "the body is not changed"
    calls = (ToolCall("call_1", "look_up", {}, "{}"),)
    called = completion_of(LLMResponse(tool_calls=calls, finish_reason="tool_calls", raw=body(content="{...}")), PLAIN)
    assert called.choices[0].finish_reason == "tool_calls"
    assert called.choices[0].message.content is None
    assert [call.id for call in called.choices[0].message.tool_calls or ()] == ["call_1"]


def test_a_body_in_another_shape_is_written_anew() -> None:
    whole = LLMResponse(
        "Hi", "m", "anthropic", alternatives=(LLMResponse("Ho"),), usage=Usage(1, 2, 3), raw={"content": []},
        provider_state=ProviderState("anthropic", "anthropic", ["s"]),
    )  # fmt: skip
    written = completion_of(whole, PLAIN).to_dict()
    assert [choice["message"]["content"] for choice in written["choices"]] == ["Hi", "Ho"]
    assert written["choices"][0]["message"]["provider_state"]["data"] == ["s"]
    assert written["usage"]["total_tokens"] == 3
    assert written["id"].startswith("chatcmpl-")


def test_calls_of_tools_that_take_text_are_written_so() -> None:
    call = ToolCall.parse("1", "shell", '{"input": "ls \\"x\\""}')
    written = completion_of(LLMResponse(tool_calls=(call,)), AnswerForm(custom=frozenset({"shell"}))).to_dict()
    (custom,) = written["choices"][0]["message"]["tool_calls"]
    assert custom == {"id": "1", "type": "custom", "custom": {"name": "shell", "input": 'ls "x"'}}


def chunks_of(*chunks: LLMChunk) -> list[ChatCompletionChunk]:
    writer = ChunkWriter(lambda: "m", wants_usage=True, form=PLAIN)
    return [made for chunk in chunks for made in writer.write(chunk)]


def test_a_whole_body_in_place_of_a_stream_makes_chunks() -> None:
    last = LLMChunk(finish_reason="stop", usage=Usage(1, 2, 3), raw=body(content="Hi"))
    made = chunks_of(LLMChunk("Hi"), last)
    assert [chunk.choices[0].delta.content for chunk in made[:2]] == ["", "Hi"]
    assert made[-2].choices[0].finish_reason == "stop"
    assert made[-1].usage
    assert made[-1].usage.total_tokens == 3


def test_events_of_the_provider_are_passed_on_but_for_the_end() -> None:
    texts = ('{"id": "c", "choices": []}', "[DONE]", "not JSON", "[1]")
    made = chunks_of(LLMChunk(finish_reason="stop", raw=texts))
    assert [chunk.to_dict() for chunk in made] == [json.loads(texts[0])]
    assert made[0].unified_llm["used_fallback"] is False


def test_state_of_a_provider_is_in_the_message_that_a_stream_amounts_to() -> None:
    state = ProviderState("gemini", "gemini", [{"thoughtSignature": "s"}])
    snapshot = Snapshot(Wanted(None, {}))
    for chunk in chunks_of(LLMChunk("Hi"), LLMChunk(finish_reason="stop", provider_state=state)):
        assert list(snapshot.add(chunk))
    message = snapshot.final().choices[0].message.to_dict()
    assert (message["content"], message["provider_state"]) == ("Hi", state.as_dict())


def test_deltas_add_up_to_a_whole() -> None:
    first, second = {"index": 0, "id": "1", "function": {"arguments": "{"}}, {"index": 1, "function": {"name": "b"}}
    whole: dict[str, Any] = {}
    for delta in (
        {"role": "assistant", "content": None, "tool_calls": [second]},
        {"role": "assistant", "content": "a", "tool_calls": [first]},
        {"content": "b", "tool_calls": [{"index": 0, "function": {"arguments": "}"}}]},
        {"tool_calls": [{"index": 1, "type": "function"}]},
        {"audio": {"data": "x", "expires_at": 5}, "annotations": [{"a": 1}]},
        {"audio": {"data": "y"}, "annotations": [{"b": 2}], "content": None},
    ):
        add_delta(whole, delta)
    assert whole == {
        "role": "assistant", "content": "ab", "audio": {"data": "xy", "expires_at": 5},
        "annotations": [{"a": 1}, {"b": 2}],
        "tool_calls": [
            {"index": 0, "id": "1", "function": {"arguments": "{}"}},
            {"index": 1, "function": {"name": "b"}, "type": "function"},
        ],
    }  # fmt: skip
