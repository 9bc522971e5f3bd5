"""Finish reasons of all formats, by one table: wire F14."""

from __future__ import annotations

import json
import logging
from typing import TYPE_CHECKING, Any

from tests.support.codec_checks import target
from tests.support.each import each
from unified_llm._core.outcome import Done, Failure
from unified_llm._formats.codecs import codec_for
from unified_llm._formats.finish_reasons import FAILURES, MEANINGS, finish_reason_of
from unified_llm._lib.sse import ServerSentEvent
from unified_llm.types import LLMRequest, LLMResponse

if TYPE_CHECKING:
    import pytest

PROVIDERS = ("zai", "anthropic", "gemini", "cohere", "ollama")


def body_with(provider: str, reason: Any) -> Any:
    match provider:
        case "anthropic":
            return {"content": [{"type": "text", "text": "x"}], "stop_reason": reason}
        case "gemini":
            return {"candidates": [{"content": {"parts": [{"text": "x"}]}, "finishReason": reason}]}
        case "cohere":
            return {"message": {"content": [{"type": "text", "text": "x"}]}, "finish_reason": reason}
        case "ollama":
            return {"message": {"content": "x"}, "done": True, "done_reason": reason}
        case _:
            return {"choices": [{"index": 0, "message": {"content": "x"}, "finish_reason": reason}]}


def read(provider: str, reason: Any) -> Any:
    where = target(provider)
    outcome = codec_for(where.format).decode(LLMRequest(()), where, body_with(provider, reason))
    if isinstance(outcome, Failure):
        return outcome.kind
    assert isinstance(outcome.value, LLMResponse)
    return outcome.value.finish_reason


@each("provider", PROVIDERS)
def test_f14_every_format_knows_the_reasons_of_all(provider: str) -> None:
    for reason, meaning in MEANINGS.items():
        expected = "stop" if meaning == "tool_calls" else meaning  # nothing was called
        assert read(provider, reason) == read(provider, reason.upper()) == expected, reason
    for reason, kind in FAILURES.items():
        assert read(provider, reason.title()) == kind, reason


SPELLINGS = {
    "content-filter": "content_filter", "contentFilter": "content_filter", "MaxTokens": "length",
    "FinishReason.STOP": "stop", "FINISH_REASON_STOP": "stop", "FINISH_REASON_MAX_TOKENS": "length", "EndTurn": "stop",
    "max-tokens": "length",
    "FinishReason.SAFETY": "content_filter", "tool-calls": "stop", "NetworkError": "server", "network-error": "server",
}  # fmt: skip


@each("provider", PROVIDERS)
def test_f14_gateways_and_sdks_spell_the_words_in_their_own_way(provider: str) -> None:
    assert {word: read(provider, word) for word in SPELLINGS} == SPELLINGS


@each("provider", PROVIDERS)
def test_f14_an_unknown_reason_is_read_as_a_cut_and_a_missing_one_as_a_stop(provider: str) -> None:
    assert read(provider, "something new") == "length"
    assert read(provider, None) == read(provider, "") == "stop"


def test_f14_z_ai_s_reasons_have_their_meaning_whole_and_streamed() -> None:
    where = target("zai", "glm-4.6")
    for reason, meaning in (("sensitive", "content_filter"), ("model_context_window_exceeded", "length")):
        assert read("zai", reason) == meaning
        decoder = codec_for(where.format).decoder(LLMRequest((), stream=True), where)
        event = {"choices": [{"delta": {"content": "cut in the mid"}, "finish_reason": reason}]}
        _, end = (*decoder.feed(ServerSentEvent(json.dumps(event))), decoder.finish())
        assert isinstance(end, Done)
        assert end.value.finish_reason == meaning
    assert read("zai", "network_error") == "server"


def test_a_word_that_is_known_to_say_nothing_is_no_warning(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, "unified_llm"):
        assert read("gemini", "OTHER") == "length"
        assert not caplog.messages
        assert read("gemini", "QUITE_NEW") == "length"
    assert len(caplog.messages) == 1
    assert "QUITE_NEW" not in caplog.text


def test_frameworks_reasons_have_the_same_meaning() -> None:
    assert [finish_reason_of(reason, has_calls=False) for reason in ("STOP", "", None, "tool_use", "SAFETY")] == [
        "stop", "stop", "stop", "stop", "content_filter",
    ]  # fmt: skip
    assert finish_reason_of("end_turn", has_calls=True) == "tool_calls"
    assert finish_reason_of("what", has_calls=True) == "length"
