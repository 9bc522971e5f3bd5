"""Which tool is called: none, some, a named one, or one of those allowed."""

from __future__ import annotations

from typing import Any

from unified_llm.openai_style import OpenAI

TOOLS: Any = [
    {"type": "function", "function": {"name": "now"}},
    {
        "type": "function",
        "function": {"name": "add", "parameters": {"type": "object", "properties": {"a": {"type": "number"}}}},
    },
]
CHOICES: Any = [
    "none",
    "auto",
    "required",
    {"type": "function", "function": {"name": "add"}},
    {"type": "allowed_tools", "allowed_tools": {"mode": "auto", "tools": [TOOLS[0]]}},
]


def main(base_url: str, api_key: str) -> list[object]:
    question: Any = [{"role": "user", "content": "Use every tool."}]
    with OpenAI(base_url=base_url, api_key=api_key) as client:
        found: list[object] = [
            client.chat.completions.create(model="gpt-4o", messages=question, tools=TOOLS, tool_choice=choice)
            for choice in CHOICES
        ]
        found += [
            client.chat.completions.create(
                model="gpt-4o", messages=question, tools=TOOLS, parallel_tool_calls=is_allowed
            )
            for is_allowed in (True, False)
        ]
        custom: Any = {
            "type": "custom",
            "custom": {"name": "shell", "description": "Run it.", "format": {"type": "text"}},
        }
        found.append(client.chat.completions.create(model="gpt-4o", messages=question, tools=[custom]))
    return found
