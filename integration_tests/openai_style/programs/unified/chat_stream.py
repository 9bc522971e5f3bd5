"""Chunks: with and without usage, as a context manager, left early, several choices, log probabilities."""

from __future__ import annotations

from typing import Any

from unified_llm.openai_style import OpenAI


def main(base_url: str, api_key: str) -> list[object]:
    question: Any = [{"role": "user", "content": "Grüße 你好"}]
    found: list[object] = []
    with OpenAI(base_url=base_url, api_key=api_key) as client:
        plain = client.chat.completions.create(model="gpt-4o", messages=question, stream=True)
        found.append([*plain])
        with client.chat.completions.create(
            model="gpt-4o", messages=question, stream=True, stream_options={"include_usage": True}
        ) as stream:
            chunks = [*stream]
        text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
        found += [chunks, text, chunks[-1].usage]
        several = client.chat.completions.create(
            model="gpt-4o", messages=question, stream=True, n=2, logprobs=True, top_logprobs=2, max_tokens=4
        )
        found.append([*several])
        covered = client.chat.completions.create(
            model="gpt-4o",
            messages=[{"role": "user", "content": "Please refuse."}],
            stream=True,
            stream_options={"include_usage": True, "include_obfuscation": True},
        )
        found.append([*covered])
        left = client.chat.completions.create(model="gpt-4o", messages=question, stream=True)
        found.append(next(iter(left)))
        left.close()
    return found
