"""What the objects of answers can do: copies, dumps of every kind, fields that no type declares."""

from __future__ import annotations

import copy
import pickle
from typing import Any

from unified_llm.openai_style import OpenAI


def main(base_url: str, api_key: str) -> list[object]:
    with OpenAI(base_url=base_url, api_key=api_key) as client:
        completion: Any = client.chat.completions.create(
            model="gpt-4o", messages=[{"role": "user", "content": "x"}], logprobs=True, max_tokens=2
        )
        embedding: Any = client.embeddings.create(model="text-embedding-3-small", input="a")
    choice = completion.choices[0]
    copied = completion.model_copy()
    changed = completion.model_copy(update={"model": "another"})
    return [
        copied == completion,
        copy.deepcopy(completion) == completion,
        pickle.loads(pickle.dumps(completion)) == completion,  # noqa: S301 - it was pickled in this line
        changed.model,
        completion.model,
        changed == completion,
        completion.model_dump(mode="json"),
        completion.model_dump(mode="python", by_alias=True, exclude_defaults=True),
        completion.model_dump(include={"choices": {0: {"message": {"content"}}}}),
        completion.model_dump(exclude={"usage": {"prompt_tokens"}, "choices": {"__all__": {"logprobs"}}}),
        completion.to_dict(mode="json", exclude_none=True),
        completion.to_dict(exclude_unset=False),
        completion.to_json(indent=None),
        completion.to_json(exclude_none=True),
        completion.model_dump_json(indent=4, exclude={"choices"}),
        dict(completion),
        sorted(completion.model_fields_set),
        sorted(type(completion).model_fields),
        completion.model_extra,
        choice.message.model_extra,
        choice.message.model_fields_set == {"role", "content", "refusal", "annotations"},
        hasattr(completion, "nothing"),
        getattr(completion, "nothing", "no such field"),
        type(completion).__name__,
        type(choice).__name__,
        type(choice.message).__name__,
        type(completion.usage).__name__,
        type(choice.logprobs.content[0]).__name__,
        embedding.model_dump(exclude={"data"}),
        len(embedding.data),
        type(embedding.data).__name__,
    ]
