"""What served a call, on the object that the call returns."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from unified_llm._adapters.serving_record import Answer, serving_record

if TYPE_CHECKING:
    from unified_llm.openai_style._binary_content import BinaryContent
    from unified_llm.openai_style._objects import OpenAIObject

MadeT = TypeVar("MadeT", bound="OpenAIObject | BinaryContent")
_FIELDS = ("unified_llm", "_request_id")


def with_record(made: MadeT, answer: Answer) -> MadeT:
    """Return an object in OpenAI's shape, with the record of what served the call, and the provider's identifier of it.

    Args:
        made: The object, which is changed.
        answer: The response that it was made of, or the last chunk of a stream.
    """
    made.unified_llm = serving_record(answer)
    served = next((attempt for attempt in reversed(answer.attempts) if attempt.outcome == "ok"), None)
    setattr(made, "_request_id", served.request_id if served else None)  # noqa: B010 # public in OpenAI's SDK
    return made


def with_record_of(made: MadeT, other: OpenAIObject) -> MadeT:
    """Return an object with the record that another has, if it has one."""
    for name in _FIELDS:
        if hasattr(other, name):
            setattr(made, name, getattr(other, name))
    return made
