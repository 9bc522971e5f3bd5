"""Moderations: a text, several, and texts with pictures."""

from __future__ import annotations

from typing import Any

from unified_llm.openai_style import OpenAI


def main(base_url: str, api_key: str) -> list[object]:
    parts: Any = [
        {"type": "text", "text": "What is this?"},
        {"type": "image_url", "image_url": {"url": "https://example.org/a.png"}},
    ]
    with OpenAI(base_url=base_url, api_key=api_key) as client:
        one = client.moderations.create(input="I will kill you.")
        return [
            one,
            one.results[0].flagged,
            one.results[0].categories.violence,
            one.results[0].categories.self_harm,
            one.results[0].category_scores.sexual_minors,
            one.results[0].category_applied_input_types.hate_threatening,
            one.model_dump(by_alias=True),
            client.moderations.create(input=["a", "b"], model="text-moderation-latest"),
            client.moderations.create(
                model="omni-moderation-latest",
                input=parts,
            ),
        ]
