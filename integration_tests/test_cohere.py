"""Cohere's own client and ours, side by side: the requests that they send and the responses that they read."""

from __future__ import annotations

import base64
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any, TypeAlias

import cohere
import pytest
from cohere.core.api_error import ApiError
from hypothesis import given, settings
from hypothesis import strategies as st

from integration_tests.fakes.cohere import KEY, Chat, FakeCohere
from integration_tests.support.media import PNG
from unified_llm import LLMClient, LLMConfig, Message, exceptions
from unified_llm._core.target import Target
from unified_llm._formats.cohere.messages import write_messages
from unified_llm.types import ImagePart, TextPart, ToolCall

pytestmark = pytest.mark.proves(
    "cohere", "chat", "stream", "tools", "schema", "images", "reasoning", "logprobs", "embeddings", "models", "rerank",
    "errors", against="the cohere SDK and a strict fake",
)  # fmt: skip

Fields: TypeAlias = Mapping[str, Any]

MODEL, REASONER = "command-a-03-2025", "command-a-reasoning-08-2025"
SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
WEATHER = {"type": "function", "function": {"name": "weather", "description": "The weather.", "parameters": SCHEMA}}
CLOCK = {"type": "function", "function": {"name": "clock", "parameters": SCHEMA}}
STRICT = {**WEATHER, "function": {**WEATHER["function"], "strict": True}}  # type: ignore[dict-item]
CALL = ToolCall("call_7", "weather", {"city": "Oslo"}, '{"city": "Oslo"}')
WRITTEN_CALL = {"id": "call_7", "type": "function", "function": {"name": "weather", "arguments": '{"city": "Oslo"}'}}
IMAGE = {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{base64.b64encode(PNG).decode()}"}}
LINK = {"type": "image_url", "image_url": {"url": "https://example.org/cat.png", "detail": "low"}}
DOCUMENTS = [{"id": "doc:0", "data": {"title": "Greetings", "snippet": "Grüße ..."}}]


def user(text: str) -> dict[str, str]:
    return {"role": "user", "content": text}


# A name: the request for our client, and the one for theirs.
CASES: Mapping[str, tuple[Fields, Fields]] = {
    "plain": ({"messages": [user("hello")]}, {"messages": [user("hello")]}),
    "every number": (
        {
            "messages": [{"role": "system", "content": "Be brief."}, user("hello")],
            "temperature": 0.5,
            "top_p": 0.9,
            "max_tokens": 50,
            "stop": ["END"],
            "seed": 7,
            "frequency_penalty": 0.1,
            "presence_penalty": 0.2,
            "parallel_tool_calls": True,
        },
        {
            "messages": [{"role": "system", "content": "Be brief."}, user("hello")],
            "temperature": 0.5,
            "p": 0.9,
            "max_tokens": 50,
            "stop_sequences": ["END"],
            "seed": 7,
            "frequency_penalty": 0.1,
            "presence_penalty": 0.2,
        },
    ),
    "cut": ({"messages": [user("cut")]}, {"messages": [user("cut")]}),
    "tools": (
        {"messages": [user("weather in both")], "tools": [CLOCK, WEATHER], "tool_choice": "auto"},
        {"messages": [user("weather in both")], "tools": [CLOCK, WEATHER]},
    ),
    "a strict tool that has to be called": (
        {"messages": [user("hello")], "tools": [STRICT], "tool_choice": "required"},
        {"messages": [user("hello")], "tools": [WEATHER], "tool_choice": "REQUIRED", "strict_tools": True},
    ),
    "one tool by its name": (
        {
            "messages": [user("hello")],
            "tools": [WEATHER, CLOCK],
            "tool_choice": {"type": "function", "function": {"name": "clock"}},
        },
        {"messages": [user("hello")], "tools": [CLOCK], "tool_choice": "REQUIRED"},
    ),
    "no tool": (
        {"messages": [user("weather")], "tools": [WEATHER], "tool_choice": "none"},
        {"messages": [user("weather")], "tools": [WEATHER], "tool_choice": "NONE"},
    ),
    "an answered call": (
        {
            "messages": [
                Message.user("How is the weather?"),
                Message.assistant("Let me look.", tool_calls=[CALL]),
                Message.tool("sunny", "call_7"),
                Message.user("Thanks"),
            ],
            "tools": [WEATHER],
        },
        {
            "messages": [
                user("How is the weather?"),
                {"role": "assistant", "tool_plan": "Let me look.", "tool_calls": [WRITTEN_CALL]},
                {"role": "tool", "tool_call_id": "call_7", "content": "sunny"},
                user("Thanks"),
            ],
            "tools": [WEATHER],
        },
    ),
    "a schema": (
        {
            "messages": [user("JSON, please")],
            "response_format": {"type": "json_schema", "json_schema": {"name": "place", "schema": SCHEMA}},
        },
        {"messages": [user("JSON, please")], "response_format": {"type": "json_object", "json_schema": SCHEMA}},
    ),
    "JSON": (
        {"messages": [user("JSON, please")], "response_format": {"type": "json_object"}},
        {"messages": [user("JSON, please")], "response_format": {"type": "json_object"}},
    ),
    "images": (
        {
            "model": "cohere/command-a-vision-07-2025",
            "messages": [{"role": "user", "content": [{"type": "text", "text": "What is it?"}, IMAGE, LINK]}],
        },
        {
            "model": "command-a-vision-07-2025",
            "messages": [{"role": "user", "content": [{"type": "text", "text": "What is it?"}, IMAGE, LINK]}],
        },
    ),
    "thinking": (
        {"model": f"cohere/{REASONER}", "messages": [user("hello")], "reasoning_effort": "high"},
        {"model": REASONER, "messages": [user("hello")], "thinking": {"type": "enabled"}},
    ),
    "thinking with tools": (
        {"model": f"cohere/{REASONER}", "messages": [user("weather")], "tools": [WEATHER]},
        {"model": REASONER, "messages": [user("weather")], "tools": [WEATHER]},
    ),
    "no thinking": (
        {"model": f"cohere/{REASONER}", "messages": [user("hello")], "reasoning_effort": "none"},
        {"model": REASONER, "messages": [user("hello")], "thinking": {"type": "disabled"}},
    ),
    "documents": (
        {"messages": [user("hello")], "extra_body": {"documents": DOCUMENTS, "safety_mode": "STRICT"}},
        {"messages": [user("hello")], "documents": DOCUMENTS, "safety_mode": "STRICT"},
    ),
    "log probabilities": (
        {"messages": [user("hello")], "logprobs": True},
        {"messages": [user("hello")], "logprobs": True},
    ),
}
every_case = pytest.mark.parametrize(("asked", "theirs_asked"), CASES.values(), ids=CASES)


@pytest.fixture(scope="module")
def _server() -> Iterator[FakeCohere]:
    with FakeCohere() as server:
        yield server


@pytest.fixture
def fake(_server: FakeCohere) -> FakeCohere:
    _server.requests.clear()
    _server.refused.clear()
    return _server


@pytest.fixture
def theirs(fake: FakeCohere) -> Iterator[cohere.ClientV2]:
    with cohere.ClientV2(KEY, base_url=fake.address, max_retries=0) as client:
        yield client


@pytest.fixture
def ours(fake: FakeCohere) -> Iterator[LLMClient]:
    with LLMClient(LLMConfig(model=f"cohere/{MODEL}", base_url=fake.address, api_key=KEY, max_retries=0)) as client:
        yield client


@every_case
def test_both_say_and_read_the_same(
    fake: FakeCohere, theirs: cohere.ClientV2, ours: LLMClient, *, asked: Fields, theirs_asked: Fields
) -> None:
    read_by_them: Any = theirs.chat(**{"model": MODEL, **theirs_asked})
    read_by_us = ours.generate(dict(asked))
    sent_by_them, sent_by_us = fake.requests
    assert sent_by_us.body == sent_by_them.body
    assert sent_by_us.headers["authorization"] == sent_by_them.headers["authorization"]
    message = read_by_them.message
    blocks, usage = message.content or (), read_by_us.usage
    thoughts = "".join(block.thinking for block in blocks if block.type == "thinking")
    assert usage
    assert {
        "content": read_by_us.content,
        "reasoning": read_by_us.reasoning,
        "calls": [(call.id, call.name, call.raw_arguments) for call in read_by_us.tool_calls],
        "id": read_by_us.response_id,
        "tokens": (usage.prompt_tokens, usage.completion_tokens, usage.cached_tokens),
        "citations": [
            (citation.title, citation.url, citation.text, citation.start, citation.end)
            for citation in read_by_us.citations
        ],
        "logprobs": [(logprob.token, logprob.logprob) for logprob in read_by_us.logprobs],
    } == {
        "content": "".join(block.text for block in blocks if block.type == "text"),
        "reasoning": thoughts + (message.tool_plan or "") or None,
        "calls": [(call.id, call.function.name, call.function.arguments) for call in message.tool_calls or ()],
        "id": read_by_them.id,
        "tokens": _tokens(read_by_them.usage),
        "citations": _citations(message.citations or ()),
        "logprobs": [(item.text, sum(item.logprobs)) for item in read_by_them.logprobs or ()],
    }
    reasons = {"COMPLETE": "stop", "MAX_TOKENS": "length", "TOOL_CALL": "tool_calls"}
    assert read_by_us.finish_reason == reasons[read_by_them.finish_reason]


@every_case
def test_both_stream_the_same(
    fake: FakeCohere, theirs: cohere.ClientV2, ours: LLMClient, *, asked: Fields, theirs_asked: Fields
) -> None:
    events: list[Any] = list(theirs.chat_stream(**{"model": MODEL, **theirs_asked}))
    *chunks, last = ours.stream(dict(asked))
    sent_by_them, sent_by_us = fake.requests
    assert sent_by_us.body == sent_by_them.body
    actual = [
        (
            chunk.content,
            chunk.reasoning,
            [(call.index, call.id, call.name, call.arguments) for call in chunk.tool_calls],
            [
                (citation.title, citation.url, citation.text, citation.start, citation.end)
                for citation in chunk.citations
            ],
        )
        for chunk in chunks
    ]
    assert actual == [parts for event in events if any(parts := _as_chunk(event))]
    logprobs = [event.logprobs for event in events if event.type == "content-delta" and event.logprobs]
    assert [(logprob.token, logprob.logprob) for chunk in chunks for logprob in chunk.logprobs] == [
        (item.text, sum(item.logprobs)) for item in logprobs
    ]
    end = events[-1].delta
    assert last.usage
    tokens = (last.usage.prompt_tokens, last.usage.completion_tokens, last.usage.cached_tokens)
    assert tokens == _tokens(end.usage)
    assert last.response_id == events[0].id


async def test_the_same_holds_for_an_event_loop(fake: FakeCohere) -> None:
    config = LLMConfig(model=f"cohere/{MODEL}", base_url=f"{fake.address}/v2", api_key=KEY)
    async with LLMClient(config) as ours:
        answer = await ours.agenerate("hello")
        text = "".join([chunk.content async for chunk in ours.astream("hello")])
    assert answer.content == text == "Grüße aus der Ferne."


@pytest.mark.parametrize(("purpose", "input_type"), [("query", "search_query"), ("document", "search_document")])
def test_both_embed_the_same(
    fake: FakeCohere, theirs: cohere.ClientV2, ours: LLMClient, *, purpose: Any, input_type: str
) -> None:
    read_by_them: Any = theirs.embed(
        model="embed-v4.0", texts=["a", "öö"], input_type=input_type, embedding_types=["float"], output_dimension=256
    )
    read_by_us = ours.embed(["a", "öö"], model="cohere/embed-v4.0", purpose=purpose, dimensions=256)
    sent_by_them, sent_by_us = fake.requests
    assert sent_by_us.body == sent_by_them.body
    assert read_by_us.vectors == read_by_them.embeddings.float_
    assert read_by_us.usage
    assert read_by_us.usage.prompt_tokens == read_by_them.meta.billed_units.input_tokens


def test_both_rank_the_same(fake: FakeCohere, theirs: cohere.ClientV2, ours: LLMClient) -> None:
    documents = ["short", "a rather long one", "medium one"]
    read_by_them = theirs.rerank(model="rerank-v3.5", query="q", documents=documents, top_n=2)
    read_by_us = ours.rerank("q", documents, top_n=2, model="cohere/rerank-v3.5")
    sent_by_them, sent_by_us = fake.requests
    assert sent_by_us.body == sent_by_them.body
    assert [(document.index, document.score) for document in read_by_us.results] == [
        (document.index, document.relevance_score) for document in read_by_them.results
    ]


def test_both_list_and_describe_the_same(theirs: cohere.ClientV2, ours: LLMClient) -> None:
    first = theirs.models.list(page_size=1000)
    second = theirs.models.list(page_size=1000, page_token=first.next_page_token)
    known = {model.name: model for model in (*first.models, *second.models)}
    assert [model.id for model in ours.list_models()] == list(known)
    info, described = ours.model_info(), theirs.models.get(MODEL)
    assert (info.id, info.context_window) == (described.name, described.context_length)
    assert set(described.features or ()) <= (info.features or frozenset())


@pytest.mark.parametrize(
    ("fields", "status", "kind"),
    [
        ({"model": "command-z"}, 404, exceptions.ModelNotFoundError),
        ({"messages": [user("too long")]}, 400, exceptions.ContextOverflowError),
        ({"messages": [user("month")]}, 429, exceptions.QuotaExceededError),
        ({"messages": [user("denied")]}, 498, exceptions.ContentFilterError),
        ({"temperature": 1.5}, 400, exceptions.BadRequestError),
    ],
)
@pytest.mark.parametrize("streaming", [False, True])
def test_both_are_refused_for_the_same_reason(
    theirs: cohere.ClientV2, ours: LLMClient, *, fields: Fields, status: int, kind: type[Exception], streaming: bool
) -> None:
    asked: dict[str, Any] = {"model": MODEL, "messages": [user("hello")], **fields}
    with pytest.raises(ApiError) as refused:
        list(theirs.chat_stream(**asked)) if streaming else theirs.chat(**asked)
    asked["model"] = f"cohere/{asked['model']}"
    with pytest.raises(exceptions.LLMError) as raised:
        list(ours.stream(asked)) if streaming else ours.generate(asked)
    assert type(raised.value) is kind
    assert raised.value.status_code == refused.value.status_code == status
    assert raised.value.detail == refused.value.body["message"]


def test_a_field_that_it_does_not_know_is_refused(ours: LLMClient) -> None:
    with pytest.raises(exceptions.UnsupportedOperationError) as raised:
        ours.generate("hello", extra_body={"top_k": 3})
    assert (raised.value.status_code, "parameter 'top_k'" in (raised.value.detail or "")) == (422, True)


def test_a_key_that_is_wrong_is_refused(fake: FakeCohere) -> None:
    config = LLMConfig(model=f"cohere/{MODEL}", base_url=fake.address, api_key="sk-CANARY-wrong")
    with LLMClient(config) as ours, pytest.raises(exceptions.AuthenticationError):
        ours.generate("hello")


def test_an_error_at_the_end_of_a_stream_is_one(theirs: cohere.ClientV2, ours: LLMClient) -> None:
    last: Any = list(theirs.chat_stream(model=MODEL, messages=[user("break")]))[-1]  # type: ignore[list-item]
    with pytest.raises(exceptions.StreamInterruptedError) as raised:
        list(ours.stream({"messages": [user("break")]}))
    assert raised.value.detail == last.delta.error == "the model broke down"


@settings(deadline=None)
@given(st.lists(st.sampled_from([
    Message.system("Be brief."), Message.user("Hi"), Message.user(""), Message.assistant("Hm."), Message.assistant(""),
    Message.assistant("Let me look.", tool_calls=[CALL]), Message.assistant(tool_calls=[CALL, replace(CALL, id="")]),
    Message.tool("sunny", "call_7"), Message.tool("", ""), Message.tool("lost", "call_9"),
    Message("user", (TextPart("What is it?"), ImagePart(data=PNG))),
    Message("tool", (ImagePart(data=PNG),), tool_call_id="call_7"),
]), max_size=9))  # fmt: skip
def test_no_history_is_refused(talk: list[Message]) -> None:
    written = write_messages([*talk, Message.user("Go on.")], Target("cohere", MODEL, "cohere"))
    assert len(Chat.model_validate({"model": MODEL, "messages": written}).messages) == len(written)


@pytest.mark.parametrize(("model", "kept"), [(MODEL, "tool_plan"), (REASONER, "content")])
def test_a_turn_with_calls_comes_back_with_what_led_to_them(
    fake: FakeCohere, ours: LLMClient, model: str, kept: str
) -> None:
    asked: dict[str, Any] = {"model": f"cohere/{model}", "tools": [WEATHER]}
    first = ours.generate({"messages": [Message.user("weather in both")], **asked})
    turn = Message("assistant", first.content, tool_calls=first.tool_calls, provider_state=first.provider_state)
    results = [Message.tool("sunny", call.id) for call in first.tool_calls]
    ours.generate({"messages": [Message.user("weather in both"), turn, *results, Message.user("Thanks")], **asked})
    assert fake.requests[-1].body["messages"][1][kept] == first.raw["message"][kept]
    assert fake.refused == []


def _tokens(usage: Any) -> tuple[int, int, int]:
    return usage.tokens.input_tokens, usage.tokens.output_tokens, usage.cached_tokens


def _citations(citations: Any) -> list[Any]:
    return [
        (source.document["title"], source.document["url"], citation.text, citation.start, citation.end)
        for citation in citations
        for source in citation.sources
    ]


def _as_chunk(event: Any) -> tuple[str, str, list[Any], list[Any]]:
    """Return the chunk that an event of theirs should become."""
    message: Any = getattr(getattr(event, "delta", None), "message", None)
    match event.type:
        case "content-delta":
            return message.content.text or "", message.content.thinking or "", [], []
        case "tool-plan-delta":
            return "", message.tool_plan, [], []
        case "tool-call-start":
            call = message.tool_calls
            return "", "", [(event.index, call.id, call.function.name, call.function.arguments)], []
        case "tool-call-delta":
            return "", "", [(event.index, None, None, message.tool_calls.function.arguments)], []
        case "citation-start":
            return "", "", [], _citations([message.citations])
        case _:
            return "", "", [], []
