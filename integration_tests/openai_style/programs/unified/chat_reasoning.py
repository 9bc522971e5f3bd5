"""A model that reasons."""

from __future__ import annotations

from unified_llm.openai_style import OpenAI


def main(base_url: str, api_key: str) -> list[object]:
    with OpenAI(base_url=base_url, api_key=api_key) as client:
        completion = client.chat.completions.create(
            model="gpt-5-mini",
            messages=[{"role": "developer", "content": "Think."}, {"role": "user", "content": "hard"}],
            reasoning_effort="low",
            max_completion_tokens=100,
            verbosity="low",
        )
        chunks = client.chat.completions.create(
            model="o4-mini", messages=[{"role": "user", "content": "hard"}], reasoning_effort="high", stream=True
        )
        details = completion.usage and completion.usage.completion_tokens_details
        return [completion, details and details.reasoning_tokens, *chunks]
