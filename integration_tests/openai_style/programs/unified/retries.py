"""A server that is overloaded twice, and one for which no retry is made."""

from __future__ import annotations

from typing import Any

from integration_tests.openai_style.described import described
from unified_llm.openai_style import InternalServerError, OpenAI


def main(base_url: str, api_key: str) -> list[object]:
    question: Any = [{"role": "user", "content": "x"}]
    host = base_url.removesuffix("/v1")
    with OpenAI(base_url=f"{host}/twice/v1", api_key=api_key) as client:
        found: list[object] = [client.chat.completions.create(model="gpt-4o", messages=question)]
    with OpenAI(base_url=f"{host}/once/v1", api_key=api_key, max_retries=0) as client:
        try:
            client.chat.completions.create(model="gpt-4o", messages=question)
        except InternalServerError as error:
            found.append(described(error))
        found.append(client.with_options(max_retries=1).chat.completions.create(model="gpt-4o", messages=question))
    return found
