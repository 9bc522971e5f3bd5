"""``with_raw_response``: results of methods with what is known of the HTTP response."""

from __future__ import annotations

import asyncio
import copy
from typing import Any

import pytest

from tests.openai_style.test_chat import GPT, HAIKU, KEY, QUESTION, client, down_then
from tests.support.scripted_targets import ScriptedTargets, say
from unified_llm._core.outcome import Failure
from unified_llm.openai_style import AsyncOpenAI, OpenAI, RateLimitError
from unified_llm.openai_style._raw_responses import RawMethods
from unified_llm.openai_style.types.chat import ChatCompletion


def test_a_raw_response_has_the_result_and_says_how_it_came() -> None:
    with down_then(say("CANARY")).running():
        raw = client().chat.completions.with_raw_response.create(model="gpt-4o", messages=QUESTION)
    completion = raw.parse()
    assert isinstance(completion, ChatCompletion)
    assert completion.unified_llm["served_by"] == HAIKU
    assert (raw.status_code, raw.http_response.status_code, raw.retries_taken) == (200, 200, 1)
    assert raw.request_id
    assert raw.headers["X-Request-Id"] == raw.headers.get("x-request-id") == raw.request_id
    assert raw.json() == raw.http_response.json() == completion.to_dict()
    assert raw.content == raw.text.encode()
    assert "CANARY" not in repr(raw)


def test_it_is_found_at_the_client_and_at_each_resource_and_streams() -> None:
    for owner in (client(), client().with_options(timeout=5)):
        methods: list[Any] = [
            owner.with_raw_response.chat.completions, owner.chat.with_raw_response.completions,
            owner.chat.completions.with_raw_response,
        ]  # fmt: skip
        for chat in methods:
            with down_then(say("Hello")).running():
                raw = chat.create(model="gpt-4o", messages=QUESTION, stream=True)
                assert raw.text == ""
                text = "".join(chunk.choices[0].delta.content or "" for chunk in raw.parse())
            assert text == "Hello"
            assert raw.request_id
    assert not hasattr(client().with_raw_response, "nothing")
    assert isinstance(copy.copy(client().with_raw_response), RawMethods)


def test_async_methods_are_awaited_and_errors_are_those_of_the_family() -> None:
    async def main() -> str:
        own = AsyncOpenAI(api_key=KEY, max_retries=0)
        raw = await own.chat.completions.with_raw_response.create(model="gpt-4o", messages=QUESTION)
        with pytest.raises(RateLimitError):
            await own.with_raw_response.chat.completions.create(model="gpt-4o", messages=QUESTION)
        content: str = raw.parse().choices[0].message.content
        return content

    with ScriptedTargets({GPT: [say("Hello"), Failure("rate_limit", 429)]}).running():
        assert asyncio.run(main()) == "Hello"
    with ScriptedTargets({GPT: [Failure("rate_limit", 429)]}).running(), pytest.raises(RateLimitError):
        OpenAI(api_key=KEY, max_retries=0).with_raw_response.chat.completions.create(model="gpt-4o", messages=QUESTION)
