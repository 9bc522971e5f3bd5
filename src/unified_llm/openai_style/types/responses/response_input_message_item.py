"""Messages in the input of a stored response."""

from __future__ import annotations

from typing import Literal

from unified_llm.openai_style._objects import OpenAIObject


class ResponseInputText(OpenAIObject):
    """A part that is text."""

    text: str
    type: Literal["input_text"]
    prompt_cache_breakpoint: OpenAIObject | None


class ResponseInputImage(OpenAIObject):
    """A part that is an image."""

    detail: str
    type: Literal["input_image"]
    file_id: str | None
    image_url: str | None
    prompt_cache_breakpoint: OpenAIObject | None


class ResponseInputFile(OpenAIObject):
    """A part that is a file."""

    type: Literal["input_file"]
    detail: str | None
    file_data: str | None
    file_id: str | None
    file_url: str | None
    filename: str | None
    prompt_cache_breakpoint: OpenAIObject | None


class ResponseInputMessageItem(OpenAIObject):
    """A message of the user, or with instructions."""

    id: str
    content: list[OpenAIObject | ResponseInputText | ResponseInputImage | ResponseInputFile]
    role: Literal["user", "system", "developer"]
    type: Literal["message"]
    status: Literal["in_progress", "completed", "incomplete"] | None
