"""Our answers, handed to LangChain."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from langchain_core.messages import AIMessage, AIMessageChunk

from tests.support.each import each
from unified_llm.langchain import _answers
from unified_llm.langchain._answers import read_chunk, read_response, sum_outputs
from unified_llm.types import Attempt, LLMChunk, LLMResponse, ToolCall, ToolCallChunk, Usage

if TYPE_CHECKING:
    import pytest

ATTEMPTS = (Attempt("openai/gpt-5-mini", "server", 503, 0.1), Attempt("gemini/flash", "ok", 200, 0.2))
USAGE = Usage(
    prompt_tokens=50,
    completion_tokens=20,
    cached_tokens=10,
    cache_write_tokens=5,
    reasoning_tokens=7,
    audio_tokens=3,
    audio_output_tokens=2,
)
LAST = LLMChunk(
    finish_reason="stop",
    usage=USAGE,
    response_id="r-1",
    model="flash-001",
    provider="gemini",
    used_fallback=True,
    attempts=ATTEMPTS,
)


def message_of(response: LLMResponse, **options: Any) -> AIMessage:
    message = read_response(response, **options).generations[0].message
    assert isinstance(message, AIMessage)
    return message


def chunks_of(*chunks: LLMChunk, **options: Any) -> list[AIMessageChunk]:
    pieces = [piece for chunk in chunks for piece in read_chunk(chunk, **options)]
    messages = [piece.message for piece in pieces]
    assert all(isinstance(message, AIMessageChunk) for message in messages)
    return messages  # type: ignore[return-value]


def add_up(chunks: list[AIMessageChunk]) -> AIMessageChunk:
    return sum(chunks[1:], start=chunks[0])


def test_the_metadata_says_who_answered_and_what_was_tried() -> None:
    response = LLMResponse(
        "Hi", "flash-001", "gemini", response_id="r-1", usage=USAGE, used_fallback=True, attempts=ATTEMPTS
    )
    assert message_of(response).response_metadata == {
        "model_name": "flash-001",
        "model_provider": "unified-llm",
        "finish_reason": "stop",
        "id": "r-1",
        "unified_llm": {
            "served_by": "gemini/flash",
            "used_fallback": True,
            "attempts": [
                {"target": "openai/gpt-5-mini", "outcome": "server", "status": 503, "seconds": 0.1},
                {"target": "gemini/flash", "outcome": "ok", "status": 200, "seconds": 0.2},
            ],
        },
    }


def test_a_stream_ends_in_the_same_metadata_once() -> None:
    chunks = chunks_of(LLMChunk("Hel"), LLMChunk("lo"), LAST)
    whole = LLMResponse("", "flash-001", "gemini", response_id="r-1", used_fallback=True, attempts=ATTEMPTS)
    assert [bool(chunk.response_metadata) for chunk in chunks] == [False, False, True]
    assert add_up(chunks).response_metadata == message_of(whole).response_metadata
    assert [chunk.chunk_position for chunk in chunks] == [None, None, "last"]


def test_usage_is_reported_in_whole_numbers_with_its_details() -> None:
    expected = {
        "input_tokens": 50,
        "output_tokens": 20,
        "total_tokens": 70,
        "input_token_details": {"audio": 3, "cache_read": 10, "cache_creation": 5},
        "output_token_details": {"audio": 2, "reasoning": 7},
    }
    assert message_of(LLMResponse("Hi", usage=USAGE)).usage_metadata == expected
    assert add_up(chunks_of(LLMChunk("Hi"), LAST)).usage_metadata == expected


def test_usage_of_a_stream_can_be_left_out() -> None:
    assert add_up(chunks_of(LLMChunk("Hi"), LAST, usage=False)).usage_metadata is None


def test_text_and_fragments_of_calls_never_share_a_chunk() -> None:
    fragment = ToolCallChunk(0, "c1", "add", '{"a":')
    chunks = chunks_of(
        LLMChunk("Let me see.", tool_calls=(fragment,)),
        LLMChunk(tool_calls=(ToolCallChunk(0, arguments="1}"),)),
        LAST,
    )
    assert not any(chunk.content and chunk.tool_call_chunks for chunk in chunks)
    assert [(call["name"], call["args"], call["id"]) for call in add_up(chunks).tool_calls] == [("add", {"a": 1}, "c1")]


def test_calls_whose_arguments_are_no_json_are_kept_apart() -> None:
    good, bad = ToolCall.parse("c1", "add", '{"a":1}'), ToolCall.parse("c2", "add", '{"a":')
    message = message_of(LLMResponse(tool_calls=(good, bad), finish_reason="tool_calls"))
    assert [call["id"] for call in message.tool_calls] == ["c1"]
    assert [(call["id"], call["args"]) for call in message.invalid_tool_calls] == [("c2", '{"a":')]
    assert message.invalid_tool_calls[0]["error"]


def test_reasoning_is_a_content_block_whole_and_streamed() -> None:
    whole = message_of(LLMResponse("So.", reasoning="Hm."))
    streamed = add_up(chunks_of(LLMChunk(reasoning="H"), LLMChunk(reasoning="m."), LLMChunk("So."), LAST))
    for message in (whole, streamed):
        assert [(block["type"], block.get("reasoning") or block.get("text")) for block in message.content_blocks] == [
            ("reasoning", "Hm."),
            ("text", "So."),
        ]


def test_a_refusal_is_reported_whole_and_streamed() -> None:
    assert message_of(LLMResponse(refusal="No.")).additional_kwargs["refusal"] == "No."
    assert add_up(chunks_of(LLMChunk(refusal="N"), LLMChunk(refusal="o."), LAST)).additional_kwargs["refusal"] == "No."


def test_langsmith_gets_the_provider_that_answered_under_its_own_name_for_it() -> None:
    generation = read_response(LLMResponse("Hi", "flash-001", "gemini", attempts=ATTEMPTS)).generations[0]
    metadata = (generation.generation_info or {})["lc_gateway_metadata"]
    assert (metadata["provider"], metadata["model"], len(metadata["attempts"])) == ("google_genai", "flash-001", 2)


def test_without_the_private_hook_of_langchain_nothing_of_it_is_left_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_answers, "_GATEWAY_KEY", "")
    assert read_response(LLMResponse("Hi", "flash", "gemini")).generations[0].generation_info is None


def test_a_langchain_core_without_the_hook_is_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> None:
        raise ImportError(name)

    monkeypatch.setattr(importlib, "import_module", missing)
    assert _answers._import_gateway_module() is None


def test_log_probabilities_are_handed_on_where_they_were_asked_for() -> None:
    raw = {"choices": [{"logprobs": {"content": [{"token": "Hi", "logprob": -0.1}]}}]}
    assert message_of(LLMResponse("Hi", raw=raw), logprobs=True).response_metadata["logprobs"]["content"]
    assert "logprobs" not in message_of(LLMResponse("Hi", raw=raw)).response_metadata
    chunk = add_up(chunks_of(LLMChunk("Hi", raw=raw), LLMChunk(" you", raw=raw), LAST, logprobs=True))
    assert len(chunk.response_metadata["logprobs"]["content"]) == 2


@each("raw", [None, {}, {"choices": []}, {"choices": ["x"]}, "text"])
def test_where_there_are_no_log_probabilities_none_are_made_up(raw: Any) -> None:
    assert "logprobs" not in message_of(LLMResponse("Hi", raw=raw), logprobs=True).response_metadata


def test_tokens_of_several_answers_are_summed_for_callbacks() -> None:
    outputs = [read_response(LLMResponse("Hi", "m", usage=Usage(1, 2, 3))).llm_output for _ in range(2)]
    assert sum_outputs([*outputs, None]) == {
        "model_name": "m",
        "token_usage": {"prompt_tokens": 2, "completion_tokens": 4, "total_tokens": 6},
    }
