"""Ollama's own client and ours, side by side: the requests that they send and the responses that they read."""

from __future__ import annotations

import base64
from collections.abc import Iterator, Mapping
from typing import Any, TypeAlias

import ollama
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from integration_tests.fakes.ollama import KEY, Chat, FakeOllama
from integration_tests.support.media import PNG
from unified_llm import LLMChunk, LLMClient, LLMConfig, LLMResponse, Message, exceptions
from unified_llm._core.target import Target
from unified_llm._formats.ollama.messages import write_messages
from unified_llm.types import ImagePart, ProviderState, TextPart, ToolCall

pytestmark = pytest.mark.proves(
    "ollama", "chat", "stream", "tools", "schema", "images", "reasoning", "logprobs", "embeddings", "models",
    "completion", "errors", against="the ollama SDK and a strict fake",
)  # fmt: skip

Fields: TypeAlias = Mapping[str, Any]

SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
TOOL = {"type": "function", "function": {"name": "weather", "description": "The weather.", "parameters": SCHEMA}}
CALL = ToolCall("call_7", "weather", {"city": "Oslo"}, '{"city": "Oslo"}')
HELLO = [{"role": "user", "content": "hello"}]
IMAGE = {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{base64.b64encode(PNG).decode()}"}}

# A name: the request for our client, and the one for theirs.
CASES: Mapping[str, tuple[Fields, Fields]] = {
    "plain": ({"messages": HELLO}, {"messages": HELLO}),
    "every option": (
        {
            "messages": [{"role": "system", "content": "Be brief."}, *HELLO],
            "temperature": 0.5,
            "top_p": 0.9,
            "max_tokens": 50,
            "stop": ["END"],
            "seed": 7,
            "frequency_penalty": 0.1,
            "presence_penalty": -0.1,
            "extra_body": {"keep_alive": "5m", "options": {"num_ctx": 4096, "top_k": 3}},
        },
        {
            "messages": [{"role": "system", "content": "Be brief."}, *HELLO],
            "options": {
                "num_predict": 50,
                "temperature": 0.5,
                "top_p": 0.9,
                "seed": 7,
                "stop": ["END"],
                "frequency_penalty": 0.1,
                "presence_penalty": -0.1,
                "num_ctx": 4096,
                "top_k": 3,
            },
            "keep_alive": "5m",
        },
    ),
    "cut": (
        {"messages": [{"role": "user", "content": "cut"}], "max_tokens": 1},
        {"messages": [{"role": "user", "content": "cut"}], "options": {"num_predict": 1}},
    ),
    "tools": (
        {"messages": [{"role": "user", "content": "weather in both"}], "tools": [TOOL], "tool_choice": "auto"},
        {"messages": [{"role": "user", "content": "weather in both"}], "tools": [TOOL]},
    ),
    "an answered call": (
        {
            "messages": [
                Message.user("How is the weather?"),
                Message.assistant("Let me look.", tool_calls=[CALL]),
                Message.tool("sunny", "call_7"),
            ],
            "tools": [TOOL],
        },
        {
            "messages": [
                {"role": "user", "content": "How is the weather?"},
                {
                    "role": "assistant",
                    "content": "Let me look.",
                    "tool_calls": [{"function": {"name": "weather", "arguments": {"city": "Oslo"}}}],
                },
                {"role": "tool", "content": "sunny", "tool_name": "weather"},
            ],
            "tools": [TOOL],
        },
    ),
    "a schema": (
        {
            "messages": HELLO,
            "response_format": {"type": "json_schema", "json_schema": {"name": "place", "schema": SCHEMA}},
        },
        {"messages": HELLO, "format": SCHEMA},
    ),
    "JSON": (
        {"messages": HELLO, "response_format": {"type": "json_object"}},
        {"messages": HELLO, "format": "json"},
    ),
    "an image": (
        {"messages": [{"role": "user", "content": [{"type": "text", "text": "What is this?"}, IMAGE]}]},
        {"messages": [{"role": "user", "content": "What is this?", "images": [PNG]}]},
    ),
    "thinking": (
        {"messages": HELLO, "model": "ollama/qwen3", "reasoning_effort": "high"},
        {"messages": HELLO, "model": "qwen3", "think": "high"},
    ),
    "no thinking": (
        {"messages": HELLO, "model": "ollama/qwen3", "reasoning_effort": "none"},
        {"messages": HELLO, "model": "qwen3", "think": False},
    ),
    "log probabilities": (
        {"messages": HELLO, "logprobs": True, "top_logprobs": 2},
        {"messages": HELLO, "logprobs": True, "top_logprobs": 2},
    ),
}
every_case = pytest.mark.parametrize(("asked", "theirs_asked"), CASES.values(), ids=CASES)


@pytest.fixture(scope="module")
def _server() -> Iterator[FakeOllama]:
    with FakeOllama() as server:
        yield server


@pytest.fixture
def fake(_server: FakeOllama, monkeypatch: pytest.MonkeyPatch) -> FakeOllama:
    monkeypatch.delenv("OLLAMA_API_KEY", raising=False)
    _server.requests.clear()
    _server.refused.clear()
    _server.signed_in = True
    return _server


@pytest.fixture
def theirs(fake: FakeOllama) -> Iterator[ollama.Client]:
    with ollama.Client(fake.address) as client:
        yield client


@pytest.fixture
def ours(fake: FakeOllama) -> Iterator[LLMClient]:
    with LLMClient(LLMConfig(model="ollama/llama3.2", base_url=fake.address, max_retries=0)) as client:
        yield client


@every_case
def test_both_say_and_read_the_same(
    fake: FakeOllama, theirs: ollama.Client, ours: LLMClient, *, asked: Fields, theirs_asked: Fields
) -> None:
    read_by_them: Any = theirs.chat(**{"model": "llama3.2", **theirs_asked})
    read_by_us = ours.generate(dict(asked))
    sent_by_them, sent_by_us = fake.requests
    assert _plain(sent_by_us.body) == _plain(sent_by_them.body)
    assert sent_by_us.headers["accept"] == sent_by_them.headers["accept"]
    message, logprobs = read_by_them.message, read_by_them.logprobs or ()
    assert read_by_us.usage
    assert (
        read_by_us.content,
        read_by_us.reasoning,
        _calls(read_by_us),
        read_by_us.model,
        read_by_us.usage.prompt_tokens,
        read_by_us.usage.completion_tokens,
        [(logprob.token, logprob.logprob, list(logprob.top)) for logprob in read_by_us.logprobs],
    ) == (
        message.content,
        message.thinking,
        [(call.function.name, call.function.arguments) for call in message.tool_calls or ()],
        read_by_them.model,
        read_by_them.prompt_eval_count,
        read_by_them.eval_count,
        [(logprob.token, logprob.logprob, _alternatives(logprob)) for logprob in logprobs],
    )
    reason = "tool_calls" if message.tool_calls else read_by_them.done_reason
    assert read_by_us.finish_reason == reason


@every_case
def test_both_stream_the_same(
    fake: FakeOllama, theirs: ollama.Client, ours: LLMClient, *, asked: Fields, theirs_asked: Fields
) -> None:
    lines: list[Any] = list(theirs.chat(**{"model": "llama3.2", **theirs_asked}, stream=True))
    chunks = list(ours.stream(dict(asked)))
    sent_by_them, sent_by_us = fake.requests
    assert _plain(sent_by_us.body) == _plain(sent_by_them.body)
    pieces = [line.message for line in lines if not line.done]
    assert [_as_piece(chunk) for chunk in chunks[:-1]] == [
        (
            piece.content,
            piece.thinking or "",
            [(call.function.name, call.function.arguments) for call in piece.tool_calls or ()],
        )
        for piece in pieces
    ]
    end, last = lines[-1], chunks[-1]
    assert last.usage
    assert (last.usage.prompt_tokens, last.usage.completion_tokens) == (end.prompt_eval_count, end.eval_count)
    assert last.model == end.model
    assert last.finish_reason == ("tool_calls" if any(piece.tool_calls for piece in pieces) else end.done_reason)


async def test_the_same_holds_for_an_event_loop(fake: FakeOllama) -> None:
    async with LLMClient(LLMConfig(model="ollama/llama3.2", base_url=f"{fake.address}/v1")) as ours:
        answer = await ours.agenerate("hello")
        text = "".join([chunk.content async for chunk in ours.astream("hello")])
    assert answer.content == text == "Grüße aus der Ferne."


def test_both_embed_the_same(fake: FakeOllama, theirs: ollama.Client, ours: LLMClient) -> None:
    read_by_them = theirs.embed("all-minilm", ["a", "öö"], dimensions=4, truncate=False)
    read_by_us = ours.embed(["a", "öö"], model="ollama/all-minilm", dimensions=4)
    assert read_by_us.vectors == read_by_them.embeddings
    assert read_by_us.usage
    assert (read_by_us.model, read_by_us.usage.prompt_tokens) == (read_by_them.model, read_by_them.prompt_eval_count)
    sent_by_them, sent_by_us = fake.requests
    assert _plain(sent_by_us.body) == _plain(sent_by_them.body)
    assert sent_by_us.body["truncate"] is sent_by_them.body["truncate"] is False


def test_a_declared_window_and_the_users_options_are_accepted(fake: FakeOllama) -> None:
    """Local 1 and 14: every field stands where the server reads it; the fake refuses any other."""
    config = LLMConfig(model="ollama/llama3.2", base_url=fake.address, context_window=8_192, extra_body={"top_k": 3})
    with LLMClient(config) as client:
        client.generate("hello", extra_body={"repeat_penalty": 1.1, "keep_alive": "1h"})
        client.generate("Once upon", as_text=True)
    with LLMClient(config.model_copy(update={"model": "ollama/all-minilm"})) as client:
        client.embed("a")
    chat, text, vectors = (received.body for received in fake.requests)
    assert chat["options"] == {"num_ctx": 8_192, "top_k": 3, "repeat_penalty": 1.1}
    assert (chat["keep_alive"], chat["truncate"], text["truncate"], vectors["truncate"]) == ("1h", False, False, False)
    assert text["options"] == vectors["options"] == {"num_ctx": 8_192, "top_k": 3}


def test_both_list_and_describe_the_same(theirs: ollama.Client, ours: LLMClient) -> None:
    assert [model.id for model in ours.list_models()] == [model.model for model in theirs.list().models]
    for model in ("llama3.2", "all-minilm"):
        shown, info = theirs.show(model), ours.model_info(f"ollama/{model}")
        assert shown.modelinfo
        assert info.context_window == shown.modelinfo["llama.context_length"]
        assert ("images" in (info.features or ())) == ("vision" in (shown.capabilities or ()))
        assert ("embeddings" in (info.features or ())) == ("embedding" in (shown.capabilities or ()))


def test_both_continue_a_text_the_same(fake: FakeOllama, theirs: ollama.Client, ours: LLMClient) -> None:
    asked: dict[str, Any] = {"prompt": "Once upon", "raw": True, "options": {"num_predict": 9}}
    read_by_them = theirs.generate("llama3.2", **asked).response
    streamed_to_them = "".join(line.response or "" for line in theirs.generate("llama3.2", **asked, stream=True))
    read_by_us = ours.generate("Once upon", as_text=True, max_tokens=9).content
    streamed_to_us = "".join(chunk.content for chunk in ours.stream("Once upon", as_text=True, max_tokens=9))
    assert read_by_us == streamed_to_us == read_by_them == streamed_to_them == "Once upon a time"
    bodies = [_plain(received.body) for received in fake.requests]
    assert bodies[2:] == bodies[:2]


@pytest.mark.parametrize(
    ("fields", "status", "kind"),
    [
        ({"model": "llama9"}, 404, exceptions.ModelNotFoundError),
        ({"model": "all-minilm", "tools": [TOOL]}, 400, exceptions.UnsupportedOperationError),
        ({"messages": [{"role": "user", "content": "too long"}]}, 400, exceptions.ContextOverflowError),
        ({"messages": [{"role": "user", "content": "busy"}]}, 503, exceptions.ServiceUnavailableError),
        ({"top_logprobs": 30}, 400, exceptions.BadRequestError),
    ],
)
@pytest.mark.parametrize("streaming", [False, True])
def test_both_are_refused_for_the_same_reason(
    theirs: ollama.Client, ours: LLMClient, *, fields: Fields, status: int, kind: type[Exception], streaming: bool
) -> None:
    asked: dict[str, Any] = {"model": "llama3.2", "messages": HELLO, **fields}
    with pytest.raises(ollama.ResponseError) as refused:
        list(theirs.chat(**asked, stream=True)) if streaming else theirs.chat(**asked)
    asked["model"] = f"ollama/{asked['model']}"
    with pytest.raises(exceptions.LLMError) as raised:
        list(ours.stream(asked)) if streaming else ours.generate(asked)
    assert type(raised.value) is kind
    assert raised.value.status_code == refused.value.status_code == status
    assert refused.value.error in (raised.value.detail or "")


def test_both_notice_an_error_in_the_middle(theirs: ollama.Client, ours: LLMClient) -> None:
    broken = [{"role": "user", "content": "break"}]
    with pytest.raises(ollama.ResponseError, match="an error was encountered while running"):
        list(theirs.chat("llama3.2", broken, stream=True))
    with pytest.raises(exceptions.StreamInterruptedError) as raised:
        list(ours.stream({"messages": broken}))
    assert raised.value.detail == "an error was encountered while running the model"
    assert raised.value.partial


def test_a_machine_that_has_not_signed_in_is_told_where_to(fake: FakeOllama, ours: LLMClient) -> None:
    fake.signed_in = False
    with pytest.raises(exceptions.AuthenticationError) as raised:
        ours.generate("hello")
    assert raised.value.detail == "unauthorized (sign in at https://ollama.com/connect?name=box)"


def test_the_key_of_the_cloud_goes_where_the_sdk_puts_it(fake: FakeOllama, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OLLAMA_API_KEY", KEY)
    monkeypatch.setenv("OLLAMA_HOST", fake.address)
    with ollama.Client() as theirs:
        theirs.chat("llama3.2", HELLO)
    with LLMClient("ollama/llama3.2") as ours:
        ours.generate("hello")
    sent_by_them, sent_by_us = fake.requests
    assert sent_by_us.headers["authorization"] == sent_by_them.headers["authorization"] == f"Bearer {KEY}"


def test_a_turn_with_calls_comes_back_with_its_reasoning(fake: FakeOllama, ours: LLMClient) -> None:
    asked: dict[str, Any] = {"model": "ollama/qwen3", "reasoning_effort": "low", "tools": [TOOL]}
    first = ours.generate({"messages": [Message.user("weather")], **asked})
    assert first.provider_state == ProviderState("ollama", "ollama", {"thinking": "Thought with low."})
    turn = Message("assistant", first.content, tool_calls=first.tool_calls, provider_state=first.provider_state)
    ours.generate({"messages": [Message.user("weather"), turn, Message.tool("sunny", "call_0")], **asked})
    assert fake.requests[-1].body["messages"][1]["thinking"] == "Thought with low."
    assert fake.refused == []


@settings(deadline=None)
@given(st.lists(st.sampled_from([
    Message.system("Be brief."), Message.user("Hi"), Message.user(""), Message.assistant("Hm."),
    Message.assistant("Let me look.", tool_calls=[CALL, ToolCall.parse("", "weather", "{broken")]),
    Message.tool("sunny", "call_7"), Message.tool("", ""), Message.tool("lost", "call_9"),
    Message("user", (TextPart("What is it?"), ImagePart(data=PNG))),
    Message("tool", (ImagePart(data=PNG),), tool_call_id="call_7"),
]), max_size=9))  # fmt: skip
def test_no_history_is_refused(talk: list[Message]) -> None:
    written = write_messages(talk, Target("ollama", "llama3.2", "ollama"))
    assert len(Chat.model_validate({"model": "llama3.2", "messages": written}).messages) == len(written)


def _plain(body: Mapping[str, Any]) -> dict[str, Any]:
    """Drop empty fields, ids of calls, which their client does not send, and ``truncate``, which ours always does."""
    plain = {name: value for name, value in body.items() if value not in ([], {}, None) and name != "truncate"}
    if "messages" in plain:
        plain["messages"] = [
            {name: _without_id(value) for name, value in message.items() if name != "tool_call_id"}
            for message in plain["messages"]
        ]
    return plain


def _without_id(value: Any) -> Any:
    if not isinstance(value, list):
        return value
    return [
        {name: inner for name, inner in item.items() if name != "id"} if isinstance(item, dict) else item
        for item in value
    ]


def _calls(answer: LLMResponse) -> list[tuple[str, Any]]:
    return [(call.name, call.arguments) for call in answer.tool_calls]


def _as_piece(chunk: LLMChunk) -> tuple[str, str, list[tuple[str, Any]]]:
    calls = [ToolCall.parse("", call.name or "", call.arguments) for call in chunk.tool_calls]
    return chunk.content, chunk.reasoning, [(call.name, call.arguments) for call in calls]


def _alternatives(logprob: Any) -> list[tuple[str, float]]:
    return [(other.token, other.logprob) for other in logprob.top_logprobs or ()]
