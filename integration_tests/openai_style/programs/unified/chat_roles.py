"""Messages of every role, as texts and as parts."""

from __future__ import annotations

from unified_llm.openai_style import OpenAI


def main(base_url: str, api_key: str) -> list[object]:
    with OpenAI(base_url=base_url, api_key=api_key) as client:
        return [
            client.chat.completions.create(
                model="gpt-4o",
                messages=[
                    {"role": "system", "content": "Be brief."},
                    {"role": "user", "content": "one", "name": "Ann"},
                    {"role": "assistant", "content": "two"},
                    {"role": "user", "content": [{"type": "text", "text": "three"}, {"type": "text", "text": "four"}]},
                ],
            ),
            client.chat.completions.create(
                model="gpt-4o",
                messages=[
                    {"role": "developer", "content": [{"type": "text", "text": "Be brief."}]},
                    {"role": "developer", "content": "Be kind.", "name": "staff"},
                    {"role": "user", "content": "first"},
                    {"role": "user", "content": "second"},
                    {"role": "assistant", "refusal": "No.", "content": None},
                    {"role": "assistant", "content": [{"type": "refusal", "refusal": "Still no."}], "name": "bot"},
                    {"role": "user", "content": ""},
                    {"role": "system", "content": "Late words."},
                ],
            ),
            # Messages may be any iterable.
            client.chat.completions.create(
                model="gpt-4o", messages=({"role": "user", "content": text} for text in ("lazily", "made"))
            ),
        ]
