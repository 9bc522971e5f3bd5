"""Functions, as they were before tools."""

from __future__ import annotations

import json
from typing import Any

from unified_llm.openai_style import OpenAI

FUNCTIONS: Any = [
    {"name": "weather", "parameters": {"type": "object", "properties": {"city": {"type": "string"}}}},
    {"name": "mayor", "description": "Who governs.", "parameters": {"type": "object", "properties": {}}},
]


def main(base_url: str, api_key: str) -> list[object]:
    messages: list[Any] = [{"role": "user", "content": "How is 'Oslo'?"}]
    with OpenAI(base_url=base_url, api_key=api_key) as client:
        asked = client.chat.completions.create(model="gpt-4o", messages=messages, functions=FUNCTIONS)
        called: Any = asked.choices[0].message.function_call
        named = client.chat.completions.create(
            model="gpt-4o", messages=messages, functions=FUNCTIONS, function_call={"name": "mayor"}
        )
        forbidden = client.chat.completions.create(
            model="gpt-4o", messages=messages, functions=FUNCTIONS, function_call="none"
        )
        chunks = [*client.chat.completions.create(model="gpt-4o", messages=messages, functions=FUNCTIONS, stream=True)]
        messages += [
            {
                "role": "assistant",
                "content": None,
                "function_call": {"name": called.name, "arguments": called.arguments},
            },
            {"role": "function", "name": called.name, "content": json.dumps({"sky": "clear"})},
        ]
        answered = client.chat.completions.create(model="gpt-4o", messages=messages, functions=FUNCTIONS)
    return [asked, called.name, named, forbidden, chunks, answered]
