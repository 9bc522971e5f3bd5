"""Requests as programs wrote them: which targets take them so, and what of a body is changed for one that does."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from tests.support.codec_checks import target
from tests.support.each import each
from unified_llm._core.quirks import Quirks
from unified_llm._core.target import Target
from unified_llm._formats.original_body import takes_original, write_original
from unified_llm.types import EmbeddingRequest, LLMRequest, Message, ToolCall
from unified_llm.types.requests import OriginalFormat, OriginalRequest

if TYPE_CHECKING:
    import pytest

PLAIN = Target("somewhere", "some-model", "openai_chat", "https://example.test/v1")
LONGEST = "c" * 40


def request(form: OriginalFormat = "openai_chat", body: Mapping[str, Any] | None = None, **fields: Any) -> LLMRequest:
    return LLMRequest(**{"messages": (Message.user("Hi"),), **fields}, original=OriginalRequest(form, body or {}))


def written(body: Mapping[str, Any], to: Target = PLAIN, form: OriginalFormat = "openai_chat") -> dict[str, Any]:
    sent: dict[str, Any] = json.loads(write_original("/chat/completions", request(form, body), to).body)
    return sent


def with_quirks(**quirks: Any) -> Target:
    return replace(PLAIN, quirks=Quirks(**quirks))


def test_a_request_that_no_program_wrote_is_not_taken() -> None:
    asked = request()
    assert takes_original(asked, PLAIN) is True
    assert takes_original(replace(asked, original=None), PLAIN) is False


@each(
    ("form", "has", "is_taken"),
    [
        *(("openai_chat", name, True) for name in ("openai_chat", "azure", "huggingface")),
        *(("openai_chat", name, False) for name in ("openai_responses", "azure_responses", "anthropic", "ollama")),
        *(("openai_responses", name, True) for name in ("openai_responses", "azure_responses")),
        *(("openai_responses", name, False) for name in ("openai_chat", "azure", "gemini")),
        *(
            ("openai_embeddings", name, True)
            for name in ("openai_chat", "azure", "openai_responses", "azure_responses")
        ),
        *(("openai_embeddings", name, False) for name in ("cohere", "huggingface")),
        *(("openai_completion", name, True) for name in ("openai_chat", "azure")),
        *(("openai_completion", name, False) for name in ("openai_responses", "ollama")),
    ],
)
def test_a_target_takes_what_was_written_for_its_own_api(form: OriginalFormat, has: str, *, is_taken: bool) -> None:
    to = replace(PLAIN, format=has, features=frozenset({"as_text"}))
    asked: LLMRequest | EmbeddingRequest = request(form)
    if form == "openai_embeddings":
        asked = EmbeddingRequest(("Hi",), original=asked.original)
    assert takes_original(asked, to) is is_taken


def test_a_text_to_complete_is_taken_only_by_a_model_that_completes_texts() -> None:
    """Quirks of chats are none of texts."""
    asked = request("openai_completion")
    assert takes_original(asked, replace(with_quirks(turns="closed"), features=frozenset({"as_text"}))) is True
    assert takes_original(asked, PLAIN) is False


@each(
    "quirks",
    [
        {"turns": "alternating"}, {"thinking": "switch"}, {"efforts": {"max": "xhigh"}}, {"tool_id_length": 9},
        {"tool_names": True}, {"logprobs_count": True}, {"closed_schemas": True},
        {"drop": frozenset({"messages.name"})}, {"drop": frozenset({"tool_choice.function"})},
        {"rename": {"messages.reasoning": "reasoning_content"}},
    ],
)  # fmt: skip
def test_a_chat_with_a_provider_that_wants_another_form_is_written_anew(quirks: dict[str, Any]) -> None:
    assert takes_original(request(), with_quirks(**quirks)) is False
    embedding = EmbeddingRequest(("Hi",), original=OriginalRequest("openai_embeddings", {}))
    assert takes_original(embedding, with_quirks(**quirks)) is True


def test_a_server_with_any_model_takes_a_chat_whose_messages_are_not_merged() -> None:
    """Its messages may be merged, so its other quirks count only then."""
    server = with_quirks(any_model=True, tool_names=True)
    assert takes_original(request(), server) is False
    assert takes_original(request(merge_messages=False), server) is True
    assert takes_original(request(), replace(server, defaults={"merge_messages": False})) is True
    assert takes_original(request("openai_responses"), replace(server, format="openai_responses")) is True


def test_so_are_identifiers_of_calls_that_are_longer_than_openai_takes() -> None:
    def history(*, called: str, answered: str) -> LLMRequest:
        calls = (ToolCall.from_arguments(called, "look_up", {}),)
        messages = (Message.user("Hi"), Message.assistant(tool_calls=calls), Message.tool("1", answered))
        return request(messages=messages)

    assert takes_original(history(called=LONGEST, answered=LONGEST), PLAIN) is True
    assert takes_original(history(called=LONGEST + "c", answered=LONGEST), PLAIN) is False
    assert takes_original(history(called=LONGEST, answered=LONGEST + "c"), PLAIN) is False


def test_a_stream_is_asked_for_as_one() -> None:
    for asked, accepted in ((request(stream=True), "text/event-stream"), (request(), "application/json")):
        assert dict(write_original("/chat/completions", asked, PLAIN).headers)["accept"] == accepted
    embedding = EmbeddingRequest(("Hi",), original=OriginalRequest("openai_embeddings", {"input": "Hi"}))
    assert json.loads(write_original("/embeddings", embedding, PLAIN).body) == {"model": "some-model", "input": "Hi"}


def test_the_configuration_of_a_target_is_used_where_the_program_says_nothing() -> None:
    settings = {"temperature": 0.1, "max_tokens": 7, "top_p": 0.3, "stop": ["."], "reasoning_effort": "low"}
    configured = replace(PLAIN, defaults=settings, extra_body={"user": "u", "seed": 1}, quirks=Quirks(send={"seed": 2}))
    assert written({"top_p": None, "user": "of the program"}, configured) == {
        **settings, "top_p": None, "user": "of the program", "seed": 1, "model": "some-model",
    }  # fmt: skip
    newer = written({"max_completion_tokens": 5}, configured)
    assert (newer["max_completion_tokens"], newer["temperature"]) == (5, 0.1)
    assert "max_tokens" not in newer
    assert "reasoning_effort" not in written({}, configured, "openai_completion")
    responses = written({}, replace(configured, format="openai_responses"), "openai_responses")
    assert responses == {
        "max_output_tokens": 7, "temperature": 0.1, "top_p": 0.3, "user": "u", "seed": 1, "model": "some-model",
        "reasoning": {"effort": "low"},
    }  # fmt: skip


def test_what_a_model_refuses_is_left_out_and_logged_unless_it_is_null(caplog: pytest.LogCaptureFixture) -> None:
    refusing = replace(with_quirks(drop=frozenset({"seed", "top_p", "encoding_format"})), model="a-model-that-refuses")
    with caplog.at_level(logging.DEBUG, "unified_llm"):
        sent = written({"seed": 1, "top_p": None, "encoding_format": "float", "user": None}, refusing)
    assert sent == {"model": "a-model-that-refuses", "encoding_format": "float", "user": None}
    assert [record.getMessage() for record in caplog.records] == [
        f"seed is not sent to {refusing.name}, which does not take it"
    ]


@each(
    ("body", "unasked", "is_sent"),
    [
        ({"reasoning_effort": "low"}, False, False),
        ({"reasoning_effort": "none"}, False, True),
        ({"reasoning_effort": "none"}, True, True),
        ({"reasoning_effort": None}, True, False),
        ({}, True, False),
        ({}, False, True),
        ({"reasoning": {"effort": "high"}}, False, False),
        ({"reasoning": {"effort": "none"}}, True, True),
        ({"reasoning": {"summary": "auto"}}, True, False),
        ({"reasoning": None, "reasoning_effort": "low"}, False, False),
    ],
)
def test_what_a_model_refuses_while_it_reasons_depends_on_the_effort(
    body: dict[str, Any],
    *,
    unasked: bool,
    is_sent: bool,
) -> None:
    model = with_quirks(drop_reasoning=frozenset({"temperature"}), reasons_unasked=unasked)
    assert written({**body, "temperature": 0.5}, model) == {
        "model": "some-model", **body, **({"temperature": 0.5} if is_sent else {}),
    }  # fmt: skip


def test_the_newer_name_of_a_field_is_for_models_that_refuse_the_older() -> None:
    renaming = with_quirks(rename={"max_tokens": "max_completion_tokens"})
    assert written({"max_tokens": 5}, renaming)["max_tokens"] == 5
    assert written({"max_tokens": 5}, replace(renaming, reasoning=True)) == {
        "model": "some-model", "max_completion_tokens": 5,
    }  # fmt: skip


def test_state_of_another_provider_is_taken_out_of_messages_alone() -> None:
    ours = {"role": "assistant", "content": "Hi", "provider_state": {"provider": "gemini"}}
    user = {"role": "user", "content": None, "name": "Ada"}
    assert written({"messages": [user, ours]})["messages"] == [user, {"role": "assistant", "content": "Hi"}]
    assert written({"messages": [user], "provider_state": 1}) == {
        "model": "some-model", "messages": [user], "provider_state": 1,
    }  # fmt: skip
    assert written({"messages": None}) == {"model": "some-model", "messages": None}


def test_reasoning_of_another_provider_goes_only_to_servers_that_may_take_it() -> None:
    plain = {"role": "assistant", "content": "Hi"}
    thought = {**plain, "reasoning_content": "Hm."}
    stateful = {**thought, "provider_state": {"provider": "anthropic"}}
    assert written({"messages": [thought, stateful]})["messages"] == [plain, plain]
    assert written({"messages": [thought, stateful]}, with_quirks(any_model=True))["messages"] == [thought, plain]


def test_a_known_model_shows_all_of_it() -> None:
    """A row of the provider table and one of the models, with no quirks of a test."""
    gpt = target("openai", "gpt-5.1")
    assert takes_original(request(), gpt) is True
    assert takes_original(request(), target("mistral", "mistral-large-latest")) is False
