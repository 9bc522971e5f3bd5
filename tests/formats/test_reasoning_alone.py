"""A response with reasoning and neither text nor call (local 13): empty if it ended by itself, an answer if it was cut.

In every format, whole and streamed. Sound or an image beside the reasoning is an answer.
"""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.support.codec_checks import plain_target, target
from tests.support.each import each
from unified_llm._core.outcome import Done, Failure
from unified_llm._core.target import Target
from unified_llm._formats.codecs import codec_for
from unified_llm._lib.sse import ServerSentEvent
from unified_llm.types import LLMChunk, LLMRequest, LLMResponse

IMAGE = {"type": "image_url", "image_url": {"url": "data:image/png;base64,eA=="}}
INLINE = {"inlineData": {"mimeType": "image/png", "data": "eA=="}}
DRAWN = {"type": "image_generation_call", "id": "i1", "status": "completed", "result": "eA=="}


def chat(reason: str, *, media: dict[str, Any] | None = None) -> tuple[Any, list[Any]]:
    """Return a response with reasoning, in OpenAI's format: its body, and the events of its stream."""
    fields: dict[str, Any] = {"content": None, "reasoning_content": "Hm.", **(media or {})}
    whole = {"choices": [{"message": {**fields, "tool_calls": []}, "finish_reason": reason}]}
    deltas = [{"choices": [{"delta": fields}]}, {"choices": [{"delta": {}, "finish_reason": reason}]}]
    return whole, [*deltas, "[DONE]"]


def anthropic(reason: str) -> tuple[Any, list[Any]]:
    block = {"type": "thinking", "thinking": "Hm.", "signature": "s"}
    whole = {"type": "message", "content": [block], "stop_reason": reason}
    return whole, [
        {"type": "message_start", "message": {"id": "m", "model": "claude", "usage": {"input_tokens": 1}}},
        {"type": "content_block_start", "index": 0, "content_block": {**block, "thinking": ""}},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "thinking_delta", "thinking": "Hm."}},
        {"type": "content_block_stop", "index": 0},
        {"type": "message_delta", "delta": {"stop_reason": reason}},
        {"type": "message_stop"},
    ]


def gemini(reason: str, *parts: Any) -> tuple[Any, list[Any]]:
    thought = {"text": "Hm.", "thought": True}
    whole = {"candidates": [{"content": {"parts": [thought, *parts]}, "finishReason": reason}]}
    first = {"candidates": [{"content": {"parts": [thought]}}]}
    return whole, [first, {"candidates": [{"content": {"parts": [*parts]}, "finishReason": reason}]}]


def cohere(reason: str) -> tuple[Any, list[Any]]:
    block = {"type": "thinking", "thinking": "Hm."}
    whole = {"message": {"role": "assistant", "content": [block]}, "finish_reason": reason}
    return whole, [
        {"type": "message-start", "id": "m", "delta": {"message": {"role": "assistant"}}},
        {"type": "content-start", "index": 0, "delta": {"message": {"content": {**block, "thinking": ""}}}},
        {"type": "content-delta", "index": 0, "delta": {"message": {"content": {"thinking": "Hm."}}}},
        {"type": "content-end", "index": 0},
        {"type": "message-end", "delta": {"finish_reason": reason}},
    ]


def ollama(reason: str) -> tuple[Any, list[Any]]:
    message = {"role": "assistant", "content": "", "thinking": "Hm."}
    end = {"message": {"role": "assistant", "content": ""}, "done": True, "done_reason": reason}
    return {**end, "message": message}, [{"message": message, "done": False}, end]


def responses(status: str, *items: Any) -> tuple[Any, list[Any]]:
    reasoning = {"type": "reasoning", "id": "rs_1", "summary": [{"type": "summary_text", "text": "Hm."}]}
    whole: dict[str, Any] = {"id": "r", "status": status, "output": [reasoning, *items]}
    if status == "incomplete":
        whole["incomplete_details"] = {"reason": "max_output_tokens"}
    delta = {"type": "response.reasoning_summary_text.delta", "item_id": "rs_1", "output_index": 0, "delta": "Hm."}
    return whole, [{**delta, "summary_index": 0}, {"type": f"response.{status}", "response": whole}]


STOPPED = {
    "openai_chat": chat("stop"), "anthropic": anthropic("end_turn"), "gemini": gemini("STOP"),
    "cohere": cohere("COMPLETE"), "ollama": ollama("stop"), "openai_responses": responses("completed"),
}  # fmt: skip
CUT = {
    "openai_chat": chat("length"), "anthropic": anthropic("max_tokens"), "gemini": gemini("MAX_TOKENS"),
    "cohere": cohere("MAX_TOKENS"), "ollama": ollama("length"), "openai_responses": responses("incomplete"),
}  # fmt: skip
MEDIA = [
    ("openai_chat", chat("stop", media={"images": [IMAGE]})),
    ("openai_chat", chat("stop", media={"audio": {"id": "a", "data": "eA=="}})),
    ("gemini", gemini("STOP", INLINE)),
    ("openai_responses", responses("completed", DRAWN)),
]


def where(name: str) -> Target:
    if name == "openai_responses":
        return Target("openai", "gpt-5", name, "https://example.test/v1")
    return plain_target() if name == "openai_chat" else target(name)


def decode(name: str, body: Any) -> Any:
    """Return the answer, or the failure."""
    outcome = codec_for(name).decode(LLMRequest(()), where(name), body)
    return outcome.value if isinstance(outcome, Done) else outcome


def play(name: str, events: list[Any]) -> list[Any]:
    """Return all that a stream is decoded to."""
    decoder = codec_for(name).decoder(LLMRequest((), stream=True), where(name))
    texts = [event if isinstance(event, str) else json.dumps(event) for event in events]
    items: list[Any] = [item for text in texts for item in decoder.feed(ServerSentEvent(text))]
    return items if isinstance(items[-1], (Done, Failure)) else [*items, decoder.finish()]


@each("name", STOPPED)
def test_local_13_an_answer_of_nothing_but_reasoning_is_empty_if_the_model_ended_it(name: str) -> None:
    whole, events = STOPPED[name]
    assert decode(name, whole) == Failure("empty")
    first, *_, end = play(name, events)
    assert (first.reasoning, end) == ("Hm.", Failure("empty"))


@pytest.mark.parametrize("name", ["openai_chat", "ollama"])
def test_blank_lines_behind_the_reasoning_are_no_answer(name: str) -> None:
    if name == "ollama":
        whole, events = ollama("stop")
        whole["message"]["content"] = events[1]["message"]["content"] = "\n\n"
    else:
        whole, events = chat("stop")
        whole["choices"][0]["message"]["content"] = events[1]["choices"][0]["delta"]["content"] = "\n\n"
    assert decode(name, whole) == Failure("empty")
    assert play(name, events)[-1] == Failure("empty")


@each("name", CUT)
def test_an_answer_of_nothing_but_reasoning_is_returned_if_it_was_cut(name: str) -> None:
    whole, events = CUT[name]
    answer = decode(name, whole)
    assert isinstance(answer, LLMResponse)
    assert (answer.content, answer.reasoning, answer.finish_reason) == ("", "Hm.", "length")
    assert _finish(play(name, events)[-1]) == "length"


@each(("name", "sent"), MEDIA)
def test_sound_or_an_image_is_an_answer(name: str, sent: tuple[Any, list[Any]]) -> None:
    whole, events = sent
    assert isinstance(decode(name, whole), LLMResponse)
    assert _finish(play(name, events)[-1]) == "stop"


def _finish(end: Any) -> str | None:
    assert isinstance(end, Done), end
    assert isinstance(end.value, LLMChunk)
    return end.value.finish_reason
