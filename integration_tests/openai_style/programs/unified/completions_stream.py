"""Text completions in chunks."""

from __future__ import annotations

from unified_llm.openai_style import OpenAI


def main(base_url: str, api_key: str) -> list[object]:
    model = "gpt-3.5-turbo-instruct"
    with OpenAI(base_url=base_url, api_key=api_key) as client:
        plain = client.completions.create(model=model, prompt="Grüße 你好", stream=True)
        chunks = [*plain]
        with client.completions.create(
            model=model, prompt=["a", "b"], n=2, logprobs=1, stream=True, stream_options={"include_usage": True}
        ) as stream:
            several = [*stream]
    return [chunks, "".join(chunk.choices[0].text for chunk in chunks), several, several[-1].usage]
