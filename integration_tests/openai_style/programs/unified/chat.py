"""One question, and everything that programs read from the answer."""

from __future__ import annotations

from unified_llm.openai_style import OpenAI


def main(base_url: str, api_key: str) -> list[object]:
    with OpenAI(base_url=base_url, api_key=api_key) as client:
        completion = client.chat.completions.create(
            model="gpt-4o", messages=[{"role": "user", "content": "Grüße 你好"}]
        )
    return [
        completion,
        completion.id,
        completion.object,
        completion.model,
        completion.created,
        completion.choices[0].message.content,
        completion.choices[0].message.role,
        completion.choices[0].message.tool_calls,
        completion.choices[0].finish_reason,
        completion.choices[0].logprobs,
        completion.usage and completion.usage.total_tokens,
        completion.usage and completion.usage.prompt_tokens_details,
        completion._request_id,
        completion.model_dump(exclude_none=True),
        completion.model_dump(exclude_unset=True),
        completion.model_dump(include={"id", "model"}),
        completion.model_dump(exclude={"choices"}),
        completion.model_dump_json(),
        completion.model_dump_json(indent=2, exclude_none=True),
        completion.to_dict(),
        completion.to_json(),
        completion.choices[0].message.model_dump(),
        completion.choices[0].message.to_dict(),
    ]
