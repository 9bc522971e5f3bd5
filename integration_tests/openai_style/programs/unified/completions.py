"""Text completions: one prompt, several, tokens, and every field."""

from __future__ import annotations

from unified_llm.openai_style import OpenAI


def main(base_url: str, api_key: str) -> list[object]:
    model = "gpt-3.5-turbo-instruct"
    with OpenAI(base_url=base_url, api_key=api_key) as client:
        one = client.completions.create(model=model, prompt="Once upon a time")
        return [
            one,
            one.choices[0].text,
            client.completions.create(model=model, prompt=["a", "b"], n=2),
            client.completions.create(model=model, prompt=[1, 2, 3]),
            client.completions.create(model=model, prompt=[[1, 2], [3]]),
            client.completions.create(
                model=model,
                prompt="Grüße",
                suffix="the end",
                max_tokens=5,
                temperature=0.5,
                top_p=0.5,
                n=1,
                best_of=2,
                echo=True,
                logprobs=2,
                stop=["\n"],
                presence_penalty=0.5,
                frequency_penalty=0.5,
                logit_bias={"50256": -100},
                seed=1,
                user="someone",
            ),
        ]
