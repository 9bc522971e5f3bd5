"""Several choices, and log probabilities."""

from __future__ import annotations

from unified_llm.openai_style import OpenAI


def main(base_url: str, api_key: str) -> list[object]:
    with OpenAI(base_url=base_url, api_key=api_key) as client:
        several = client.chat.completions.create(model="gpt-4o", messages=[{"role": "user", "content": "a"}], n=3)
        likely = client.chat.completions.create(
            model="gpt-4o", messages=[{"role": "user", "content": "ä"}], logprobs=True, top_logprobs=2, n=2
        )
    logprobs = likely.choices[1].logprobs
    return [several, [choice.index for choice in several.choices], likely, logprobs and logprobs.content]
