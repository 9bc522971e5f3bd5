"""Answers in JSON: any object, and one of a schema."""

from __future__ import annotations

import json
from typing import Any

from unified_llm.openai_style import OpenAI

SCHEMA: Any = {
    "type": "object",
    "properties": {"city": {"type": "string"}, "days": {"type": "integer"}},
    "required": ["city", "days"],
    "additionalProperties": False,
}
FORMATS: Any = [
    {"type": "text"},
    {"type": "json_object"},
    {"type": "json_schema", "json_schema": {"name": "place", "schema": SCHEMA, "strict": True}},
    {
        "type": "json_schema",
        "json_schema": {"name": "place", "schema": SCHEMA, "description": "A place.", "strict": False},
    },
    {"type": "json_schema", "json_schema": {"name": "place", "schema": SCHEMA}},
]


def main(base_url: str, api_key: str) -> list[object]:
    question: Any = [{"role": "user", "content": "Give JSON for 'Oslo' in 3 days."}]
    found: list[object] = []
    with OpenAI(base_url=base_url, api_key=api_key) as client:
        for form in FORMATS:
            completion = client.chat.completions.create(model="gpt-4o", messages=question, response_format=form)
            text = completion.choices[0].message.content or ""
            found += [completion, json.loads(text) if text.startswith("{") else text]
    return found
