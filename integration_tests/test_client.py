"""``LLMClient`` over real HTTP, against an upstream that rejects requests as OpenAI does."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from integration_tests.support.media import PNG
from integration_tests.support.upstream import KEY, Upstream
from integration_tests.support.upstream_answers import vector
from unified_llm import LLMClient, LLMConfig, Message, ToolCall, Usage
from unified_llm.exceptions import (
    AllTargetsFailedError,
    AuthenticationError,
    ModelNotFoundError,
    ServiceUnavailableError,
    UnsupportedOperationError,
    ValidationError,
)

WHERE: Mapping[str, Any] = {
    "type": "object",
    "properties": {"city": {"type": "string"}, "days": {"type": "integer"}},
    "required": ["city", "days"],
}
WEATHER = {
    "type": "function",
    "function": {"name": "weather", "description": "The weather in a city.", "parameters": WHERE},
}
CLOCK = {"type": "function", "function": {"name": "clock", "parameters": {"type": "object", "properties": {}}}}
PLACE: Mapping[str, Any] = {
    "type": "json_schema",
    "json_schema": {"name": "place", "schema": WHERE},
}


def target(server: Upstream, model: str = "scripted-large", **fields: Any) -> LLMConfig:
    return LLMConfig(provider="openai-compatible", model=model, base_url=server.base_url, api_key=KEY, **fields)


def test_a_whole_answer(upstream: Upstream) -> None:
    with LLMClient(target(upstream)) as client:
        answer = client.generate("Is the 你好 whole?")
    assert answer.content == "You said: Is the 你好 whole?. This is all I know about it."
    assert (answer.model, answer.provider, answer.finish_reason) == ("scripted-large", "openai-compatible", "stop")
    assert answer.usage == Usage(
        prompt_tokens=answer.usage.prompt_tokens if answer.usage else -1,
        completion_tokens=answer.usage.completion_tokens if answer.usage else -1,
        total_tokens=answer.usage.total_tokens if answer.usage else -1,
        cached_tokens=24,
        cache_write_tokens=16,
        reasoning_tokens=12,
        audio_tokens=8,
        audio_output_tokens=4,
    )
    assert not answer.used_fallback
    assert [(attempt.target, attempt.outcome) for attempt in answer.attempts] == [
        ("openai-compatible/scripted-large", "ok")
    ]


async def test_a_stream_has_the_text_of_a_whole_response(upstream: Upstream) -> None:
    async with LLMClient(target(upstream)) as client:
        whole = await client.agenerate("Say 你好.")
        chunks = [chunk async for chunk in client.astream("Say 你好.")]
        again = list(client.stream("Say 你好."))
    for stream in (chunks, again):
        assert len(stream) > 3
        assert "".join(chunk.content for chunk in stream) == whole.content
        assert (stream[-1].finish_reason, stream[-1].usage, stream[-1].model) == ("stop", whole.usage, whole.model)
        assert all(chunk.usage is None and chunk.finish_reason is None for chunk in stream[:-1])


def test_a_stop_string_and_a_limit_reach_the_provider(upstream: Upstream) -> None:
    with LLMClient(target(upstream)) as client:
        assert client.generate("hello", stop=["This is"]).content == "You said: hello. "
        assert client.generate("hello", max_tokens=2).finish_reason == "length"


@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])
def test_tools_are_called_and_answered(upstream: Upstream, *, streamed: bool) -> None:
    question = [Message.user("For every tool: what about '大阪' in 3 days?")]
    with LLMClient(target(upstream)) as client:
        calls = _calls(client, {"messages": question, "tools": [WEATHER, CLOCK]}, streamed=streamed)
        assert [(call.name, call.arguments) for call in calls] == [
            ("weather", {"city": "大阪", "days": 3}),
            ("clock", {}),
        ]
        results = [Message.tool("it is sunny", call.id) for call in calls]
        messages = [*question, Message.assistant(tool_calls=calls), *results]
        answer = client.generate({"messages": messages, "tools": [WEATHER, CLOCK]})
    assert answer.content == "You said: it is sunny. This is all I know about it."


def _calls(client: LLMClient, request: Mapping[str, Any], *, streamed: bool) -> tuple[ToolCall, ...]:
    if not streamed:
        return client.generate(request).tool_calls
    gathered: dict[int, list[str]] = {}
    for chunk in client.stream(request):
        for part in chunk.tool_calls:
            call = gathered.setdefault(part.index, ["", "", ""])
            for index, text in enumerate((part.id, part.name, part.arguments)):
                call[index] += text or ""
    return tuple(ToolCall.parse(*call) for call in gathered.values())


def test_json_of_a_schema(upstream: Upstream) -> None:
    with LLMClient(target(upstream)) as client:
        answer = client.generate("Where is 'Lima' in 2 days?", response_format=PLACE)
    assert json.loads(answer.content) == {"city": "Lima", "days": 2}


def test_images_from_a_file_from_bytes_and_by_address(upstream: Upstream, tmp_path: Path) -> None:
    (tmp_path / "dot.png").write_bytes(PNG)
    message = Message.user("Look:", images=[tmp_path / "dot.png", PNG, "https://example.org/dot.png"])
    with LLMClient(target(upstream)) as client:
        assert "Look: [image] [image] [image]" in client.generate([message]).content


async def test_embeddings(upstream: Upstream) -> None:
    async with LLMClient(target(upstream, "scripted-embedding")) as client:
        answer = client.embed(["one", "two"])
        assert (await client.aembed(["one", "two"])).vectors == answer.vectors
        shorter = await client.aembed(["one"], dimensions=4)
    assert [list(numbers) for numbers in answer.vectors] == [
        pytest.approx(vector(text, 16), abs=1e-6) for text in ("one", "two")
    ]
    assert (answer.model, len(shorter.vectors[0])) == ("scripted-embedding", 4)


def test_a_dead_primary_is_not_noticed(upstream: Upstream, second: Upstream) -> None:
    upstream.status = 503
    with LLMClient(target(upstream), fallbacks=[target(second, "scripted-small")]) as client:
        answer = client.generate("hello")
        streamed = "".join(chunk.content for chunk in client.stream("hello"))
    assert answer.content == streamed == "You said: hello. This is all I know about it."
    assert (answer.used_fallback, answer.model) == (True, "scripted-small")
    assert [attempt.status for attempt in answer.attempts if attempt.outcome != "ok"] == [503, 503]


def test_a_primary_whose_breaker_is_open_is_named_in_the_trace(upstream: Upstream, second: Upstream) -> None:
    upstream.status = 503
    with LLMClient(target(upstream), fallbacks=[target(second, "scripted-small")]) as client:
        answers = [client.generate("hello") for _ in range(5)]
    assert upstream.count() == 5  # the breaker opened: the last calls skipped the primary
    assert [answer.used_fallback for answer in answers] == [True] * 5
    assert [(attempt.target, attempt.outcome) for attempt in answers[-1].attempts] == [
        ("openai-compatible/scripted-large", "skipped"),
        ("openai-compatible/scripted-small", "ok"),
    ]


def test_when_every_target_fails_the_error_has_every_attempt(upstream: Upstream, second: Upstream) -> None:
    upstream.status = second.status = 503
    chain = LLMClient(target(upstream, max_retries=0), fallbacks=[target(second, "scripted-small", max_retries=0)])
    with chain, pytest.raises(AllTargetsFailedError) as failure:
        chain.generate("hello")
    assert [type(error) for error in failure.value.errors] == [ServiceUnavailableError, ServiceUnavailableError]
    assert [attempt.status for attempt in failure.value.attempts] == [503, 503]
    assert all(attempt.request_id for attempt in failure.value.attempts)


@pytest.mark.parametrize(
    ("fields", "error"),
    [
        ({"api_key": "sk-CANARY-of-somebody-else"}, AuthenticationError),
        ({"model": "scripted-unknown"}, ModelNotFoundError),
        ({"temperature": 3.0}, ValidationError),
        ({"extra_body": {"top_k": 3}}, UnsupportedOperationError),
    ],
    ids=["wrong key", "unknown model", "bad request", "unknown parameter"],
)
def test_an_error_that_no_retry_can_fix_is_tried_once(fields: dict[str, Any], error: type[Exception]) -> None:
    fields = {"model": "scripted-large", "api_key": KEY, "provider": "openai-compatible"} | fields
    with Upstream() as server, LLMClient(base_url=server.base_url, **fields) as client:
        with pytest.raises(error):
            client.generate("hello")
        assert server.count() == 1


def test_many_threads_ask_for_the_models_once(upstream: Upstream) -> None:
    upstream.delay = 0.2
    with LLMClient(target(upstream)) as client, ThreadPoolExecutor(50) as pool:
        lists = list(pool.map(lambda _: client.list_models(), range(50)))
        assert {tuple(model.id for model in models) for models in lists} == {upstream.models}
        assert upstream.count("models") == 1
        client.list_models(use_cache=False)
        client.invalidate_cache()
        client.list_models()
    assert upstream.count("models") == 3


async def test_many_tasks_ask_for_the_models_once(upstream: Upstream) -> None:
    upstream.delay = 0.2
    async with LLMClient(target(upstream)) as client:
        lists = await asyncio.gather(*(client.alist_models() for _ in range(50)))
    assert {tuple(model.id for model in models) for models in lists} == {upstream.models}
    assert upstream.count("models") == 1


async def test_threads_and_tasks_together_ask_for_the_models_once(upstream: Upstream) -> None:
    upstream.delay = 0.2
    async with LLMClient(target(upstream)) as client:
        with ThreadPoolExecutor(50) as pool:
            threads = [pool.submit(client.list_models) for _ in range(50)]
            tasks = [client.alist_models() for _ in range(50)]
            lists = await asyncio.gather(*tasks, *map(asyncio.wrap_future, threads))
    assert len(lists) == 100
    assert upstream.count("models") == 1


async def test_one_client_serves_many_tasks_at_once(upstream: Upstream) -> None:
    async with LLMClient(target(upstream)) as client:
        answers = await asyncio.gather(*(client.agenerate(f"number {number}") for number in range(100)))
    assert [answer.content.split(".")[0] for answer in answers] == [
        f"You said: number {number}" for number in range(100)
    ]


def test_one_client_serves_two_event_loops(upstream: Upstream) -> None:
    client = LLMClient(target(upstream))
    for _ in range(2):
        assert asyncio.run(client.agenerate("hello")).content
    client.close()
    assert upstream.count() == 2
