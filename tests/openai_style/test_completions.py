"""Text completions in the shape of OpenAI's SDK: as texts where the target has that, by a chat elsewhere."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tests.support.each import each
from tests.support.openai_sdk import SDK
from tests.support.openai_server import OpenAIServer
from unified_llm import LLMResponse, Usage, exceptions
from unified_llm import openai_style as style
from unified_llm.openai_style import AsyncOpenAI, OpenAI
from unified_llm.testing import outage

INSTRUCT = "gpt-3.5-turbo-instruct"
CLAUDE = "anthropic/claude-haiku-4-5"


ANSWER = LLMResponse("Once upon a time", usage=Usage(2, 3, 5))


def choice(text: str, index: int = 0, reason: str | None = "stop") -> dict[str, Any]:
    return {"text": text, "index": index, "logprobs": None, "finish_reason": reason}


def completion(*choices: dict[str, Any]) -> dict[str, Any]:
    usage = {"prompt_tokens": 2, "completion_tokens": 3, "total_tokens": 5}
    return {
        "id": "cmpl-1", "object": "text_completion", "created": 7, "model": INSTRUCT, "choices": [*choices],
        "usage": usage, "system_fingerprint": "fp", "x_own": {"a": 1},
    }  # fmt: skip


def event(*choices: dict[str, Any], **fields: Any) -> dict[str, Any]:
    return {
        "id": "cmpl-1",
        "object": "text_completion",
        "created": 7,
        "model": INSTRUCT,
        "choices": [*choices],
        **fields,
    }


@each(
    ("given", "body"),
    [
        ({"prompt": "Once"}, {"prompt": "Once"}),
        ({"prompt": "Once", "suffix": "end", "echo": True, "best_of": 2, "logprobs": 0}, None),
        ({"prompt": "Once", "user": None, "logit_bias": {"50": -100}, "extra_body": {"x": [1]}}, {"x": [1]}),
        ({"prompt": [5, 6], "stop": ["a", "b"], "n": 1}, {"prompt": [5, 6]}),
        ({"prompt": None}, {"prompt": None}),
        ({}, {}),
    ],
)
def test_the_request_is_what_the_program_wrote(
    monkeypatch: pytest.MonkeyPatch, given: dict[str, Any], body: dict[str, Any] | None
) -> None:
    server = OpenAIServer(monkeypatch)
    server.reply(completion(choice(" upon a time")), headers={"x-request-id": "req_1"})
    response: Any = OpenAI(base_url=server.url).completions.create(model=INSTRUCT, **given)
    assert server.received[0].path == "/v1/completions"
    extra = given.get("extra_body", {})
    wanted = {name: value for name, value in given.items() if name != "extra_body"}
    assert server.received[0].body == {"model": INSTRUCT, **wanted, **extra, **(body or {})}
    assert response.model_dump(exclude_none=True, exclude={"choices"}) == {
        name: value for name, value in completion().items() if name != "choices"
    }
    assert (response.choices[0].text, response["choices"][0]["index"]) == (" upon a time", 0)
    assert response._request_id == "req_1"


def test_several_prompts_are_one_request_to_one_target(monkeypatch: pytest.MonkeyPatch) -> None:
    server = OpenAIServer(monkeypatch)
    server.reply(completion(choice("a"), choice("b", 1), choice("c", 2), choice("d", 3)))
    client = OpenAI(base_url=server.url)
    response = client.completions.create(model=INSTRUCT, prompt=iter(["A", "B"]), n=2)
    assert server.received[0].body == {"model": INSTRUCT, "prompt": ["A", "B"], "n": 2}
    assert [(each.index, each.text) for each in response.choices] == [(0, "a"), (1, "b"), (2, "c"), (3, "d")]


def test_each_of_several_prompts_can_fail_over(monkeypatch: pytest.MonkeyPatch) -> None:
    server = OpenAIServer(monkeypatch)
    server.reply(completion(choice("b", 1), choice("a", 0)))
    server.reply("", status=503)
    server.reply(completion(choice("c"), choice("d", 1)))
    client = OpenAI(base_url=server.url, fallbacks=[{"base_url": "http://127.0.0.1:9098/v1"}], max_retries=0)
    response = client.completions.create(model=INSTRUCT, prompt=["A", "B"], n=2)
    assert [received.body["prompt"] for received in server.received] == ["A", "B", "B"]
    assert [(each.index, each.text) for each in response.choices] == [(0, "a"), (1, "b"), (2, "c"), (3, "d")]
    assert response.usage is not None
    assert response.usage.total_tokens == 10
    assert [attempt["outcome"] for attempt in response.unified_llm["attempts"]] == ["ok", "server", "ok"]


def test_a_chat_answers_where_there_is_no_text_completion() -> None:
    client = OpenAI(model=CLAUDE)
    with outage("openai", "503", reply="Once.", allow_unused=True) as seen:
        response = client.completions.create(prompt="Say once.", temperature=0.5, n=1, best_of=1, echo=False, stop="x")
    request: Any = seen.requests[0] if hasattr(seen, "requests") else None
    assert response.object == "text_completion"
    assert response.id.startswith("cmpl-")
    assert [(each.index, each.text, each.finish_reason) for each in response.choices] == [(0, "Once.", "stop")]
    assert response.unified_llm["served_by"] == CLAUDE
    assert request is None or request.as_text is False


def test_a_text_that_no_target_continues_is_answered_by_the_chat_of_a_fallback() -> None:
    client = OpenAI(fallbacks=[CLAUDE])
    with outage("openai", "503", reply="Once."):
        response = client.completions.create(model=INSTRUCT, prompt="Say once.")
    assert (response.choices[0].text, response.unified_llm["served_by"]) == ("Once.", CLAUDE)


@each(
    ("given", "message"),
    [
        ({"suffix": "end"}, "no suffix"),
        ({"echo": True}, "no echo"),
        ({"best_of": 3}, "no best_of"),
        ({"logprobs": 2}, "no logprobs"),
        ({"prompt": [5, 6]}, "prompt as tokens"),
        ({"prompt": None}, "without a prompt"),
    ],
)
def test_what_a_chat_cannot_do_is_refused_by_its_name(given: dict[str, Any], message: str) -> None:
    with pytest.raises(exceptions.UnsupportedOperationError, match=message) as caught:
        OpenAI(model=CLAUDE).completions.create(**{"prompt": "Once", **given})
    assert isinstance(caught.value, style.BadRequestError)


@each(
    ("given", "message"),
    [
        ({"prompt": 5}, "not int"),
        ({"prompt": []}, "the list is empty"),
        ({"prompt": {"a": 1}}, "not dict"),
        ({"prompt": ["a", 5]}, "something else"),
        ({"prompt": "a", "logprobs": True}, "a number of alternatives"),
        ({"prompt": "a", "temperature": "hot"}, "temperature must be"),
        ({"prompt": "a", "n": 0}, "n must be"),
        ({"prompt": "a", "sufix": "b"}, "did you mean 'suffix'"),
    ],
)
def test_what_cannot_be_a_request_is_refused_once(given: dict[str, Any], message: str) -> None:
    with pytest.raises(SDK.BadRequestError, match=message):
        OpenAI().completions.create(model=INSTRUCT, **given)


@each("asynchronous", [False, True])
def test_the_chunks_of_the_provider_are_passed_on(monkeypatch: pytest.MonkeyPatch, asynchronous: bool) -> None:  # noqa: FBT001
    server = OpenAIServer(monkeypatch)
    usage = {"prompt_tokens": 2, "completion_tokens": 3, "total_tokens": 5}
    events = [
        event(choice("Once", 0, None), x_own=1), event(choice("Twice", 1, None)), event(choice("", 0)),
        event(choice("", 1)), event(usage=usage),
    ]  # fmt: skip
    server.stream(*events)
    usage_too = {"include_usage": True}
    given: dict[str, Any] = {"model": INSTRUCT, "prompt": "A", "n": 2, "stream": True, "stream_options": usage_too}
    if asynchronous:

        async def collect() -> list[Any]:
            async with AsyncOpenAI(base_url=server.url) as client:
                return [chunk async for chunk in await client.completions.create(**given)]

        chunks = asyncio.run(collect())
    else:
        chunks = [*OpenAI(base_url=server.url).completions.create(**given)]
    assert [chunk.to_dict() for chunk in chunks] == events
    assert server.received[0].body == given


def test_chunks_are_made_of_the_stream_of_a_chat() -> None:
    client = OpenAI(model=CLAUDE)
    options = {"include_usage": True}
    with outage("openai", "503", reply=ANSWER, allow_unused=True):
        chunks = [*client.completions.create(prompt="Say.", stream=True, stream_options=options)]
    texts = "".join(chunk.choices[0].text for chunk in chunks if chunk.choices)
    assert texts == "Once upon a time"
    assert chunks[-2].choices[0].finish_reason == "stop"
    assert (chunks[-1].choices, chunks[-1].usage.total_tokens) == ([], 5)
    assert len({chunk.id for chunk in chunks}) == 1


def test_the_streams_of_several_prompts_come_one_after_the_other(monkeypatch: pytest.MonkeyPatch) -> None:
    server = OpenAIServer(monkeypatch)
    for text in ("a", "b"):
        usage = {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}
        server.stream(event(choice(text, 0, None)), event(choice("", 0)), event(usage=usage))
    fallback = [{"base_url": "http://127.0.0.1:9098/v1"}]

    async def collect() -> list[Any]:
        client = AsyncOpenAI(base_url=server.url, fallbacks=fallback)
        options = {"include_usage": True}
        stream = await client.completions.create(model=INSTRUCT, prompt=["A", "B"], stream=True, stream_options=options)
        return [chunk async for chunk in stream]

    chunks = asyncio.run(collect())
    assert [(chunk.choices[0].index, chunk.choices[0].text) for chunk in chunks[:-1]] == [
        (0, "a"), (0, ""), (1, "b"), (1, ""),
    ]  # fmt: skip
    assert chunks[-1].usage.total_tokens == 4
