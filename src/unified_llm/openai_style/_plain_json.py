"""What a program passes as JSON values: objects of earlier responses become plain ones."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from unified_llm.openai_style._objects import OpenAIObject

# What ``parse`` adds to an answer; no API takes it back.
_PARSED: Final = frozenset({"parsed", "parsed_arguments"})


def plain(value: Any) -> Any:
    """Return a value with plain dicts and lists in place of objects: ours, those of OpenAI's SDK, Pydantic models."""
    if isinstance(value, OpenAIObject):
        return plain({name: item for name, item in value.to_dict().items() if name not in _PARSED})
    if isinstance(value, Mapping):
        return {name: plain(item) for name, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    if hasattr(value, "model_dump") and not isinstance(value, type):
        return plain(value.model_dump(mode="json", by_alias=True, exclude_unset=True))
    return value
