"""Every field of sampling, and every field that says who asks and how it is served."""

from __future__ import annotations

from typing import Any

from unified_llm.openai_style import NOT_GIVEN, OpenAI, omit


def main(base_url: str, api_key: str) -> list[object]:
    question: Any = [{"role": "user", "content": "nothing is set"}]
    not_given: Any = NOT_GIVEN
    with OpenAI(base_url=base_url, api_key=api_key) as client:
        return [
            client.chat.completions.create(
                model="gpt-4o",
                messages=[{"role": "user", "content": "hello"}],
                temperature=0.5,
                top_p=0.9,
                frequency_penalty=0.1,
                presence_penalty=-0.1,
                max_tokens=50,
                stop=["END", "STOP"],
                seed=7,
                logit_bias={"50256": -100},
                user="someone",
            ),
            client.chat.completions.create(
                model="gpt-4o",
                messages=[{"role": "user", "content": "a longer question, cut by its limit"}],
                max_completion_tokens=3,
                n=1,
                stop="never",
                service_tier="flex",
                safety_identifier="user-1",
                prompt_cache_key="key-1",
                prompt_cache_retention="24h",
                metadata={"run": "1"},
                store=False,
                verbosity="low",
            ),
            client.chat.completions.create(
                model="gpt-4o",
                messages=question,
                temperature=None,
                max_tokens=None,
                top_p=not_given,
                seed=omit,
                stop=None,
                stream=False,
                metadata=None,
            ),
            client.chat.completions.create(
                model="gpt-4o",
                messages=[{"role": "user", "content": "what is predicted"}],
                prediction={"type": "content", "content": "You said"},
                web_search_options={"search_context_size": "low"},
                modalities=["text"],
            ),
        ]
