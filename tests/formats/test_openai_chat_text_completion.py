"""Text completion: a text is continued without a chat template."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.support.codec_checks import body_of, collect, plain_target, read_events, target
from tests.support.each import each
from unified_llm._formats.openai_chat import CODEC
from unified_llm._providers import registry
from unified_llm.exceptions import ValidationError
from unified_llm.types import ImagePart, LLMRequest, Message, TextPart, Tool

ONCE = (Message.user("Once upon a time"),)


def test_the_last_message_is_continued_with_the_fields_that_the_endpoint_knows() -> None:
    request = LLMRequest(
        (Message.system("Be brief."), Message("user", (TextPart("Once"), TextPart("upon")))), temperature=0.5,
        max_tokens=9, stop=("\n",), seed=1, reasoning_effort="low", n=2, as_text=True, extra_body={"suffix": "End."},
    )  # fmt: skip
    assert body_of(request, target("openai", "gpt-3.5-turbo-instruct")) == {
        "model": "gpt-3.5-turbo-instruct", "prompt": "Once\nupon", "temperature": 0.5, "max_tokens": 9, "stop": ["\n"],
        "seed": 1, "n": 2, "suffix": "End.",
    }  # fmt: skip


@each(("asked", "sent"), [({"logprobs": True}, 1), ({"top_logprobs": 3}, 3), ({"logprobs": False}, None), ({}, None)])
def test_log_probabilities_are_asked_for_by_number(asked: dict[str, Any], sent: int | None) -> None:
    assert body_of(LLMRequest(ONCE, as_text=True, **asked)).get("logprobs") == sent


@pytest.mark.parametrize(
    ("provider", "path"), [("vllm", "/v1/completions"), ("deepseek", "api.deepseek.com/beta/completions")]
)
def test_it_has_a_path_of_its_own(provider: str, path: str) -> None:
    assert CODEC.encode(LLMRequest(ONCE, as_text=True), target(provider)).url.endswith(path)


@each("messages", [(), (Message.user(""),), (Message("user", (ImagePart(data=b"x"),)),)])
def test_without_a_text_there_is_nothing_to_continue(messages: Any) -> None:
    with pytest.raises(ValidationError, match="as_text"):
        CODEC.encode(LLMRequest(messages, as_text=True), plain_target())


def test_a_text_calls_no_tools() -> None:
    with pytest.raises(ValidationError, match="leave out tools"):
        CODEC.encode(LLMRequest(ONCE, as_text=True, tools=(Tool("f"),)), plain_target())


def test_it_streams_like_an_answer() -> None:
    pieces = [{"choices": [{"index": 0, "text": text, "finish_reason": None}]} for text in (" there", " was")]
    end = {"choices": [{"index": 0, "text": "", "finish_reason": "length"}], "usage": {"prompt_tokens": 4}}
    actual = collect(read_events([*pieces, end, "[DONE]"], request=LLMRequest(ONCE, as_text=True, stream=True)))
    assert (actual["content"], actual["finish_reason"], actual["usage"].prompt_tokens) == (" there was", "length", 4)
    body = json.loads(CODEC.encode(LLMRequest(ONCE, as_text=True, stream=True, n=2), plain_target()).body)
    assert (body["stream"], body["stream_options"]) == (True, {"include_usage": True})
    assert "n" not in body, "several answers are never streamed"


def test_openai_offers_it_with_the_models_of_old_alone() -> None:
    row = registry.row("openai")
    assert "as_text" not in registry.model_profile(row, "gpt-5-mini").features
    assert all(
        "as_text" in registry.model_profile(row, name).features for name in ("gpt-3.5-turbo-instruct", "davinci-002")
    )
