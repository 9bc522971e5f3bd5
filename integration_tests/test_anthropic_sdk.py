"""Anthropic's official client and ours with one strict server: the requests they send, the responses they read."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import pytest
from anthropic import Anthropic, APIStatusError
from langchain_core.messages import HumanMessage, SystemMessage
from pydantic import SecretStr

from integration_tests.fakes.anthropic import KEY, FakeAnthropic
from integration_tests.fakes.anthropic_rules import RefusedError, check
from integration_tests.support.media import PDF, PNG
from unified_llm import LLMClient, LLMConfig
from unified_llm.exceptions import (
    AuthenticationError,
    ContextOverflowError,
    LLMError,
    ModelNotFoundError,
    PermissionDeniedError,
    QuotaExceededError,
    RateLimitError,
    ServiceUnavailableError,
    StreamInterruptedError,
)
from unified_llm.langchain import ChatUnified
from unified_llm.types import CachePoint, FilePart, LLMResponse, Message, TextPart

if TYPE_CHECKING:
    from anthropic.types import Message as TheirMessage

pytestmark = pytest.mark.proves(
    "anthropic", "chat", "stream", "tools", "schema", "images", "files", "reasoning", "caching", "models",
    "count_tokens", "errors", against="its official SDK, at one strict fake",
)  # fmt: skip

PLACE = {
    "type": "object",
    "properties": {"city": {"type": "string"}, "days": {"type": "integer"}},
    "required": ["city", "days"],
    "additionalProperties": False,
}
OUR_TOOL = {"type": "function", "function": {"name": "weather", "description": "The weather.", "parameters": PLACE}}
THEIR_TOOL = {"name": "weather", "description": "The weather.", "input_schema": PLACE}
CALL = {"id": "toolu_1", "type": "function", "function": {"name": "weather", "arguments": '{"city":"Oslo","days":3}'}}
MARK = {"type": "ephemeral"}


def encoded(data: bytes) -> str:
    return base64.b64encode(data).decode()


def user(content: Any) -> dict[str, Any]:
    return {"role": "user", "content": content}


# Name → the request for our client, and the one for theirs.
PAIRS: Mapping[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "plain": ({"messages": [user("hello")]}, {"messages": [user("hello")]}),
    "every setting": (
        {
            "messages": [{"role": "system", "content": "Be brief."}, user("hello")],
            "temperature": 0.5,
            "max_tokens": 50,
            "stop": ["END"],
            "extra_body": {"metadata": {"user_id": "u1"}},
        },
        {
            "system": "Be brief.",
            "messages": [user("hello")],
            "extra_body": {"temperature": 0.5},
            "max_tokens": 50,
            "stop_sequences": ["END"],
            "metadata": {"user_id": "u1"},
        },
    ),
    "tools": (
        {"messages": [user("please call")], "tools": [OUR_TOOL], "tool_choice": "auto"},
        {"messages": [user("please call")], "tools": [THEIR_TOOL], "tool_choice": {"type": "auto"}},
    ),
    "one tool, once": (
        {"messages": [user("hello")], "tools": [OUR_TOOL], "tool_choice": "weather", "parallel_tool_calls": False},
        {
            "messages": [user("hello")],
            "tools": [THEIR_TOOL],
            "tool_choice": {"type": "tool", "name": "weather", "disable_parallel_tool_use": True},
        },
    ),
    "any tool": (
        {"messages": [user("hello")], "tools": [OUR_TOOL], "tool_choice": "required"},
        {"messages": [user("hello")], "tools": [THEIR_TOOL], "tool_choice": {"type": "any"}},
    ),
    "no tool": (
        {"messages": [user("hello")], "tools": [OUR_TOOL], "tool_choice": "none"},
        {"messages": [user("hello")], "tools": [THEIR_TOOL], "tool_choice": {"type": "none"}},
    ),
    "an answered call": (
        {
            "messages": [
                user("How is it?"),
                {"role": "assistant", "content": "Let me look.", "tool_calls": [CALL]},
                {"role": "tool", "tool_call_id": "toolu_1", "content": "sunny"},
            ],
            "tools": [OUR_TOOL],
        },
        {
            "messages": [
                user("How is it?"),
                {
                    "role": "assistant",
                    "content": [
                        {"type": "text", "text": "Let me look."},
                        {"type": "tool_use", "id": "toolu_1", "name": "weather", "input": {"city": "Oslo", "days": 3}},
                    ],
                },
                user([{"type": "tool_result", "tool_use_id": "toolu_1", "content": "sunny"}]),
            ],
            "tools": [THEIR_TOOL],
        },
    ),
    "a schema": (
        {
            "messages": [user("Where?")],
            "response_format": {"type": "json_schema", "json_schema": {"name": "place", "schema": PLACE}},
        },
        {"messages": [user("Where?")], "output_config": {"format": {"type": "json_schema", "schema": PLACE}}},
    ),
    "media": (
        {
            "messages": [
                user(
                    [
                        {"type": "text", "text": "What is this?"},
                        {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{encoded(PNG)}"}},
                        {"type": "image_url", "image_url": {"url": "https://example.org/cat.png"}},
                        {
                            "type": "file",
                            "file": {
                                "filename": "a.pdf",
                                "file_data": f"data:application/pdf;base64,{encoded(PDF)}",
                            },
                        },
                        FilePart(b"one, two", "text/plain", "a.txt", cite=True),
                    ]
                )
            ]
        },
        {
            "messages": [
                user(
                    [
                        {"type": "text", "text": "What is this?"},
                        {
                            "type": "image",
                            "source": {"type": "base64", "media_type": "image/png", "data": encoded(PNG)},
                        },
                        {"type": "image", "source": {"type": "url", "url": "https://example.org/cat.png"}},
                        {
                            "type": "document",
                            "source": {"type": "base64", "media_type": "application/pdf", "data": encoded(PDF)},
                            "title": "a.pdf",
                        },
                        {
                            "type": "document",
                            "source": {"type": "text", "media_type": "text/plain", "data": "one, two"},
                            "title": "a.txt",
                            "citations": {"enabled": True},
                        },
                    ]
                )
            ]
        },
    ),
    "thinking": (
        {"messages": [user("think and call")], "reasoning_effort": "low", "tools": [OUR_TOOL]},
        {
            "messages": [user("think and call")],
            "thinking": {"type": "enabled", "budget_tokens": 4000},
            "tools": [THEIR_TOOL],
        },
    ),
    "a cache point": (
        {"messages": [{"role": "system", "content": [TextPart("Rules. " * 9), CachePoint()]}, user("hello")]},
        {
            "system": [{"type": "text", "text": "Rules. " * 9, "cache_control": MARK}],
            "messages": [user("hello")],
        },
    ),
    "a search": ({"messages": [user("search")]}, {"messages": [user("search")]}),
    "a pause": ({"messages": [user("pause")]}, {"messages": [user("pause")]}),
    "a refusal": ({"messages": [user("decline")]}, {"messages": [user("decline")]}),
}


@pytest.fixture(scope="module")
def running() -> Iterator[FakeAnthropic]:
    with FakeAnthropic() as server:
        yield server


@pytest.fixture
def fake(running: FakeAnthropic) -> Iterator[FakeAnthropic]:
    """Start the server; the test fails if it was sent anything malformed."""
    running.requests.clear()
    running.cached.clear()
    yield running
    assert running.refused == []


@pytest.fixture
def theirs(fake: FakeAnthropic) -> Iterator[Anthropic]:
    # Sampling can be chosen in the older version alone, which is the one that we name.
    version = {"anthropic-version": "2023-06-01"}
    with Anthropic(base_url=fake.address, api_key=KEY, max_retries=0, default_headers=version) as client:
        yield client


def client(fake: FakeAnthropic, model: str = "claude-haiku-4-5", **fields: Any) -> LLMClient:
    fields = {"api_key": KEY, "max_retries": 0, **fields}
    return LLMClient(LLMConfig(model=f"anthropic/{model}", base_url=fake.address, **fields))


@pytest.fixture
def ours(fake: FakeAnthropic) -> Iterator[LLMClient]:
    with client(fake) as made:
        yield made


FINISH = {
    "end_turn": "stop",
    "max_tokens": "length",
    "pause_turn": "length",
    "tool_use": "tool_calls",
    "refusal": "content_filter",
}


def read_by_them(message: TheirMessage) -> dict[str, Any]:
    blocks, usage = message.content, message.usage
    cached, wrote = usage.cache_read_input_tokens or 0, usage.cache_creation_input_tokens or 0
    cited = [citation for block in blocks if block.type == "text" for citation in block.citations or ()]
    return {
        "content": "".join(block.text for block in blocks if block.type == "text"),
        "reasoning": "".join(block.thinking for block in blocks if block.type == "thinking") or None,
        "calls": [(block.id, block.name, block.input) for block in blocks if block.type == "tool_use"],
        "cited": [citation.cited_text for citation in cited],
        "refusal": message.stop_details.explanation if message.stop_details else None,
        "model": message.model,
        "finish": FINISH[str(message.stop_reason)],
        "prompt": usage.input_tokens + cached + wrote,
        "completion": usage.output_tokens,
        "thought": usage.output_tokens_details.thinking_tokens if usage.output_tokens_details else 0,
    }


def read_by_us(answer: LLMResponse) -> dict[str, Any]:
    assert answer.usage
    return {
        "content": answer.content,
        "reasoning": answer.reasoning,
        "calls": [(call.id, call.name, dict(call.arguments)) for call in answer.tool_calls],
        "cited": [citation.text for citation in answer.citations],
        "refusal": answer.refusal,
        "model": answer.model,
        "finish": answer.finish_reason,
        "prompt": answer.usage.prompt_tokens,
        "completion": answer.usage.completion_tokens,
        "thought": answer.usage.reasoning_tokens,
    }


@pytest.mark.parametrize("pair", PAIRS.values(), ids=PAIRS)
def test_both_say_and_read_the_same(
    fake: FakeAnthropic, theirs: Anthropic, ours: LLMClient, pair: tuple[dict[str, Any], dict[str, Any]]
) -> None:
    asked: dict[str, Any] = {"max_tokens": 64_000, **pair[1]}
    read = theirs.messages.create(model="claude-haiku-4-5", **asked, timeout=60)
    answer = ours.generate(dict(pair[0]))
    sent_by_them, sent_by_us = (received.body for received in fake.requests)
    assert sent_by_us == sent_by_them
    assert read_by_us(answer) == read_by_them(read)
    assert answer.request_id == "req_fake"


@pytest.mark.parametrize("pair", PAIRS.values(), ids=PAIRS)
def test_both_stream_the_same(
    fake: FakeAnthropic, theirs: Anthropic, ours: LLMClient, pair: tuple[dict[str, Any], dict[str, Any]]
) -> None:
    asked: dict[str, Any] = {"max_tokens": 64_000, **pair[1]}
    with theirs.messages.stream(model="claude-haiku-4-5", **asked) as stream:
        read = stream.get_final_message()
    with ours.stream(dict(pair[0])) as chunks:
        pieces = list(chunks)
    sent_by_them, sent_by_us = (received.body for received in fake.requests)
    assert sent_by_us == sent_by_them
    expected, actual = (
        read_by_them(read),
        {
            "content": "".join(piece.content for piece in pieces),
            "reasoning": "".join(piece.reasoning for piece in pieces) or None,
            "refusal": "".join(piece.refusal for piece in pieces) or None,
            "cited": [citation.text for piece in pieces for citation in piece.citations],
            "model": pieces[-1].model,
            "finish": pieces[-1].finish_reason,
        },
    )
    assert actual == {name: expected[name] for name in actual}
    calls: dict[int, list[str]] = {}
    for part in (part for piece in pieces for part in piece.tool_calls):
        calls.setdefault(part.index, [part.id or "", part.name or "", ""])[2] += part.arguments
    assert [(*call[:2], json.loads(call[2])) for call in calls.values()] == expected["calls"]
    usage = pieces[-1].usage
    assert usage
    assert (usage.prompt_tokens, usage.completion_tokens) == (expected["prompt"], expected["completion"])


@pytest.mark.parametrize("question", ["think and call", "search", "pause"])
def test_what_only_the_author_can_read_goes_back_as_their_client_sends_it(
    fake: FakeAnthropic, theirs: Anthropic, question: str
) -> None:
    thinks = question.startswith("think")
    tools: Any = [THEIR_TOOL] if thinks else []
    thinking: Any = {"thinking": {"type": "enabled", "budget_tokens": 4000}, "tools": tools} if thinks else {}
    message: Any = user(question)
    read = theirs.messages.create(
        model="claude-haiku-4-5", max_tokens=64_000, messages=[message], **thinking, timeout=60
    )
    results: list[Any] = [
        {"type": "tool_result", "tool_use_id": block.id, "content": "sunny"}
        for block in read.content
        if block.type == "tool_use"
    ]
    theirs.messages.create(
        model="claude-haiku-4-5",
        max_tokens=64_000,
        messages=[message, read.to_param(), *([user(results)] if results else [])],  # type: ignore[list-item]
        **thinking,
        timeout=60,
    )
    wanted: dict[str, Any] = {"reasoning_effort": "low", "tools": [OUR_TOOL]} if thinks else {}
    with client(fake) as ours:
        answer = ours.generate({"messages": [message], **wanted})
        past = Message("assistant", answer.content, tool_calls=answer.tool_calls, provider_state=answer.provider_state)
        messages = [message, past, *(Message.tool("sunny", call.id) for call in answer.tool_calls)]
        ours.generate({"messages": messages, **wanted})
        without_state = Message("assistant", answer.content or "-", tool_calls=answer.tool_calls)
        ours.generate({"messages": [message, without_state, *messages[2:]], **wanted})
    _, second_of_theirs, _, second_of_ours, without = (received.body["messages"] for received in fake.requests)
    assert _plain(second_of_ours) == _plain(second_of_theirs)
    assert "signature" not in json.dumps(without)
    assert "encrypted" not in json.dumps(without)


def _plain(messages: Any) -> Any:
    """Drop nulls: their client sends back every field that its types have."""
    if isinstance(messages, dict):
        return {name: _plain(value) for name, value in messages.items() if value is not None}
    return [_plain(message) for message in messages] if isinstance(messages, list) else messages


def test_newer_models_are_told_how_hard_to_think_as_they_want_it(fake: FakeAnthropic) -> None:
    for model in ("claude-opus-4-6", "claude-opus-5"):
        with client(fake, model) as ours:
            assert ours.generate("hello", reasoning_effort="high", temperature=0.3).reasoning
        sent = fake.requests[-1].body
        assert sent["thinking"] == {"type": "adaptive", "display": "summarized"}
        assert sent["output_config"] == {"effort": "high"}
        assert "temperature" not in sent


def test_the_cache_takes_at_first_and_gives_from_then_on(fake: FakeAnthropic) -> None:
    messages = [{"role": "system", "content": [TextPart("Rules. " * 99), CachePoint("1h")]}, user("hello")]
    with client(fake) as ours:
        first, second = (ours.generate({"messages": messages}).usage for _ in range(2))
        counted = ours.count_tokens({"messages": messages})
    assert first
    assert second
    assert (first.cached_tokens, second.cache_write_tokens) == (0, 0)
    assert first.cache_write_tokens == second.cached_tokens > 100
    assert first.prompt_tokens == second.prompt_tokens == counted


def test_marks_on_langchain_s_blocks_reach_the_cache(fake: FakeAnthropic) -> None:
    model = ChatUnified(model="anthropic/claude-haiku-4-5", base_url=fake.address, api_key=SecretStr(KEY))
    rules = SystemMessage([{"type": "text", "text": "Rules. " * 99, "cache_control": MARK}])
    request = HumanMessage([{"type": "text", "text": "hello", "cache_control": {**MARK, "ttl": "1h"}}])
    answer = model.invoke([rules, request])
    sent = fake.requests[-1].body
    assert sent["system"][0]["cache_control"] == MARK
    assert sent["messages"][0]["content"][0]["cache_control"] == {**MARK, "ttl": "1h"}
    assert answer.usage_metadata
    assert answer.usage_metadata.get("input_token_details", {}).get("cache_creation", 0) > 100


def test_both_count_and_list_and_describe_the_same(theirs: Anthropic, ours: LLMClient) -> None:
    counted = theirs.messages.count_tokens(model="claude-haiku-4-5", messages=[{"role": "user", "content": "hello"}])
    assert ours.count_tokens("hello") == counted.input_tokens
    listed = list(theirs.models.list())
    assert [model.id for model in ours.list_models()] == [model.id for model in listed]
    assert len(listed) == 5
    theirs_info, ours_info = theirs.models.retrieve("claude-haiku-4-5"), ours.model_info()
    assert (ours_info.id, ours_info.context_window) == (theirs_info.id, theirs_info.max_input_tokens)
    assert (ours_info.max_output, ours_info.created) == (theirs_info.max_tokens, theirs_info.created_at.timestamp())
    assert ours_info.features
    assert "json_schema" in ours_info.features


ERRORS: Mapping[str, type[LLMError]] = {
    "be limited": RateLimitError,
    "be spent": QuotaExceededError,
    "be poor": QuotaExceededError,
    "be billed": QuotaExceededError,
    "be busy": ServiceUnavailableError,
    "be down": ServiceUnavailableError,
    "be forbidden": PermissionDeniedError,
    "be large": ContextOverflowError,
    "be long": ContextOverflowError,
}


@pytest.mark.parametrize("words", ERRORS)
def test_both_read_the_same_errors(fake: FakeAnthropic, theirs: Anthropic, words: str) -> None:
    with pytest.raises(APIStatusError) as their_error:
        theirs.messages.create(model="claude-haiku-4-5", max_tokens=9, messages=[{"role": "user", "content": words}])
    with client(fake) as ours, pytest.raises(ERRORS[words]) as our_error:
        ours.generate(words)
    assert our_error.value.status_code == their_error.value.status_code
    assert our_error.value.request_id == their_error.value.request_id == "req_fake"
    if words == "be limited":
        assert isinstance(our_error.value, RateLimitError)
        assert our_error.value.retry_after == pytest.approx(7)


def test_a_wrong_key_and_an_unknown_model_are_known_for_what_they_are(fake: FakeAnthropic) -> None:
    with client(fake, api_key="sk-CANARY-other") as ours, pytest.raises(AuthenticationError):
        ours.generate("hello")
    with client(fake, "claude-of-yesterday") as ours, pytest.raises(ModelNotFoundError):
        ours.generate("hello")


def test_an_error_in_the_middle_of_a_stream_interrupts_both(fake: FakeAnthropic, theirs: Anthropic) -> None:
    texts: list[str] = []
    with (
        pytest.raises(APIStatusError),
        theirs.messages.stream(
            model="claude-haiku-4-5", max_tokens=99, messages=[{"role": "user", "content": "break off"}]
        ) as stream,
    ):
        texts.extend(stream.text_stream)
    with client(fake) as ours, pytest.raises(StreamInterruptedError) as failure:
        list(ours.stream("break off"))
    assert failure.value.partial == "".join(texts) == "You s"


def test_a_token_goes_as_bearer_and_a_key_under_its_own_name(
    fake: FakeAnthropic, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("ANTHROPIC_API_KEY", raising=False)
    monkeypatch.setenv("ANTHROPIC_BASE_URL", fake.address)
    monkeypatch.setenv("ANTHROPIC_AUTH_TOKEN", KEY)
    with LLMClient("anthropic/claude-haiku-4-5") as ours:
        ours.generate("hello")
    monkeypatch.delenv("ANTHROPIC_AUTH_TOKEN")
    monkeypatch.setenv("ANTHROPIC_API_KEY", KEY)
    with LLMClient("anthropic/claude-haiku-4-5") as ours:
        ours.generate("hello")
    token, key = (received.headers for received in fake.requests)
    assert (token.get("authorization"), token.get("x-api-key")) == (f"Bearer {KEY}", None)
    assert (key.get("authorization"), key.get("x-api-key")) == (None, KEY)


PLAIN: dict[str, Any] = {"model": "m", "max_tokens": 9, "messages": [user("hello")]}
USE = {"type": "tool_use", "id": "a", "name": "weather", "input": {}}
CALLED: list[Any] = [user("hello"), {"role": "assistant", "content": [USE]}]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"seed": 1}, "seed: Extra inputs"),
        ({"max_tokens": None}, "max_tokens: Field required"),
        ({"messages": []}, "at least one message"),
        ({"messages": [user(" ")]}, "non-whitespace"),
        ({"messages": [{"role": "system", "content": "x"}]}, "role"),
        ({"messages": CALLED, "tools": [THEIR_TOOL]}, "without `tool_result`"),
        ({"messages": [user([{"type": "tool_result", "tool_use_id": "a"}])]}, "unexpected `tool_use_id`"),
        ({"messages": [*CALLED, user([{"type": "tool_result", "tool_use_id": "a"}])]}, "must define tools"),
        ({"messages": [user("a"), {"role": "assistant", "content": "b "}]}, "trailing whitespace"),
        ({"tool_choice": {"type": "auto"}}, "while providing tools"),
        ({"tools": [{**THEIR_TOOL, "strict": True, "input_schema": {"type": "object"}}]}, "additionalProperties"),
        (
            {"output_config": {"format": {"type": "json_schema", "schema": {"minimum": 1}}}},
            "'minimum' is not supported",
        ),
        ({"system": [{"type": "text", "text": "x", "cache_control": MARK}] * 5}, "maximum of 4"),
        ({"thinking": {"type": "enabled", "budget_tokens": 1}}, "greater than or equal to 1024"),
        ({"thinking": {"type": "enabled", "budget_tokens": 2000}}, "must be greater than"),
        ({"thinking": {"type": "adaptive"}, "temperature": 0}, "may only be set to 1"),
        (
            {
                "messages": [
                    user("a"),
                    {"role": "assistant", "content": [{"type": "thinking", "thinking": "x", "signature": "forged"}]},
                ]
            },
            "Invalid `signature`",
        ),
    ],
)
def test_the_stand_in_is_as_strict_as_the_api(change: dict[str, Any], words: str) -> None:
    check(PLAIN, version="2023-06-01", counting=False)
    with pytest.raises(RefusedError, match=words):
        check({**PLAIN, **change}, version="2023-06-01", counting=False)


def test_the_stand_in_knows_no_sampling_in_the_newer_version() -> None:
    with pytest.raises(RefusedError, match="temperature: Extra inputs"):
        check({**PLAIN, "temperature": 1}, version="2026-10-21", counting=False)
    with pytest.raises(RefusedError, match="max_tokens: Extra inputs"):
        check(PLAIN, version="2023-06-01", counting=True)
