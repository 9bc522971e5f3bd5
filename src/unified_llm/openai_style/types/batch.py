"""Batches of requests."""

from __future__ import annotations

from typing import Literal

from unified_llm.openai_style._objects import OpenAIObject


class BatchError(OpenAIObject):
    """An error in the file of a batch."""

    code: str | None
    line: int | None
    message: str | None
    param: str | None


class Errors(OpenAIObject):
    """The errors of a batch."""

    data: list[BatchError] | None
    object: str | None


class BatchRequestCounts(OpenAIObject):
    """How many requests of a batch are done."""

    completed: int
    failed: int
    total: int


class InputTokensDetails(OpenAIObject):
    """Input tokens details."""

    cached_tokens: int


class OutputTokensDetails(OpenAIObject):
    """Output tokens details."""

    reasoning_tokens: int


class BatchUsage(OpenAIObject):
    """Tokens used by a batch."""

    input_tokens: int
    input_tokens_details: InputTokensDetails
    output_tokens: int
    output_tokens_details: OutputTokensDetails
    total_tokens: int


class Batch(OpenAIObject):
    """A batch of requests."""

    id: str
    completion_window: str
    created_at: int
    endpoint: str
    input_file_id: str
    object: Literal["batch"]
    status: str
    cancelled_at: int | None
    cancelling_at: int | None
    completed_at: int | None
    error_file_id: str | None
    errors: Errors | None
    expired_at: int | None
    expires_at: int | None
    failed_at: int | None
    finalizing_at: int | None
    in_progress_at: int | None
    metadata: dict[str, str] | None
    model: str | None
    output_file_id: str | None
    request_counts: BatchRequestCounts | None
    usage: BatchUsage | None
