"""Errors that come after the first chunks of a stream."""

from __future__ import annotations

from typing import Any

from integration_tests.openai_style.described import described
from unified_llm.openai_style import APIError, OpenAI


def main(base_url: str, api_key: str) -> list[object]:
    question: Any = [{"role": "user", "content": "a few words"}]
    found: list[object] = []
    url = base_url.removesuffix("/v1") + "/fails-midway/v1"
    with OpenAI(base_url=url, api_key=api_key, max_retries=0) as client:
        # The chunks that came before the error are kept.
        try:
            found += client.chat.completions.create(model="gpt-4o", messages=question, stream=True)
        except APIError as error:
            found.append(described(error))
        try:
            found += client.completions.create(model="gpt-3.5-turbo-instruct", prompt="a", stream=True)
        except APIError as error:
            found.append(described(error))
    return found
