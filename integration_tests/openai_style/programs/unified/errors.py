"""Errors of every status, of fields that are wrong, and of keys and models that are."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from integration_tests.openai_style.described import described
from unified_llm.openai_style import APIError, APIStatusError, OpenAI, OpenAIError

STATUSES = (400, 401, 402, 403, 404, 408, 409, 413, 422, 429, 451, 500, 503)
CALLS: list[Callable[[OpenAI], object]] = [
    lambda client: client.embeddings.create(model="text-embedding-3-small", input="x"),
    lambda client: client.completions.create(model="gpt-3.5-turbo-instruct", prompt="x"),
    lambda client: client.responses.create(model="gpt-4o", input="x"),
    lambda client: client.images.generate(model="gpt-image-2", prompt="x"),
    lambda client: client.audio.speech.create(model="gpt-4o-mini-tts", voice="alloy", input="x"),
    lambda client: client.moderations.create(input="x"),
    lambda client: client.files.create(file=("x.jsonl", b"{}"), purpose="batch"),
    lambda client: client.models.list(),
]


def main(base_url: str, api_key: str) -> list[object]:
    question: Any = [{"role": "user", "content": "x"}]
    found: list[object] = []
    for status in STATUSES:
        url = base_url.removesuffix("/v1") + f"/status/{status}/v1"
        with OpenAI(base_url=url, api_key=api_key, max_retries=0) as client:
            try:
                client.chat.completions.create(model="gpt-4o", messages=question)
            except APIStatusError as error:
                found.append(described(error))
            try:
                client.chat.completions.create(model="gpt-4o", messages=question, stream=True)
            except APIError as error:
                found.append(described(error))
            for call in CALLS:
                try:
                    call(client)
                except OpenAIError as error:
                    found.append(described(error))
    with OpenAI(base_url=base_url, api_key="sk-wrong", max_retries=0) as client:
        try:
            client.models.list()
        except APIStatusError as error:
            found.append(described(error))
    with OpenAI(base_url=base_url, api_key=api_key, max_retries=0) as client:
        try:
            client.chat.completions.create(model="no-such-model", messages=question)
        except APIStatusError as error:
            found.append(described(error))
    return found
