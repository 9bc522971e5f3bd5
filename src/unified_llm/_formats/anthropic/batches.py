"""Message batches: the entries are sent with the request that begins one, and results come as lines of JSON.

A batch has no name here, so one whose creation was not confirmed is found by its number of entries and its time, and
known by the identifiers in its results. Source: types/messages/message_batch.py and its siblings in Anthropic's SDK.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import urlencode

from unified_llm._core.batch_service import (
    BatchCancelRequest,
    BatchCreateRequest,
    BatchJob,
    BatchListRequest,
    BatchLookRequest,
    BatchPage,
    BatchResult,
    BatchResultsRequest,
    BatchState,
)
from unified_llm._core.codec import WireRequest
from unified_llm._core.outcome import Done, Failure
from unified_llm._core.paths import segment
from unified_llm._core.target import Target
from unified_llm._formats.anthropic.response import read_body
from unified_llm._formats.batch_results import read_lines, read_time, unanswered_word
from unified_llm._formats.json_values import count, is_list, is_object, object_or_empty, text_or_none
from unified_llm._formats.make_codec import EncodeDecode
from unified_llm._formats.request_fields import get, post, post_json
from unified_llm._lib.bounded_json import dump

_PATH: Final = "/messages/batches"
_PAGE_SIZE: Final = 100
_STATES: Final[Mapping[str, BatchState]] = {"in_progress": "running", "canceling": "cancelling", "ended": "ended"}
_COUNTS: Final = ("processing", "succeeded", "errored", "canceled", "expired")
# The status of an error that has none in a result (platform.claude.com/docs/en/api/errors).
_STATUS: Final[Mapping[str, int]] = {
    "invalid_request_error": 400,
    "authentication_error": 401,
    "billing_error": 402,
    "permission_error": 403,
    "not_found_error": 404,
    "request_too_large": 413,
    "rate_limit_error": 429,
    "timeout_error": 504,
    "overloaded_error": 529,
}


def write_create(request: BatchCreateRequest, target: Target) -> WireRequest:
    """Write a request that begins a batch."""
    entries = b",".join(
        b'{"custom_id":' + dump(entry.id).encode() + b',"params":' + entry.body + b"}" for entry in request.entries
    )
    return post_json(_PATH, b'{"requests":[' + entries + b"]}", target)


def write_look(request: BatchLookRequest, target: Target) -> WireRequest:
    """Write a request for the state of a batch."""
    return get(f"{_PATH}/{segment(request.batch)}", target)


def write_cancel(request: BatchCancelRequest, target: Target) -> WireRequest:
    """Write a request that cancels a batch."""
    return post(f"{_PATH}/{segment(request.batch)}/cancel", {}, target)


def read_cancel(_: BatchCancelRequest, body: object, target: Target) -> Done | Failure:
    """Read that a batch was cancelled."""
    read = read_body(body, target)
    return read if isinstance(read, Failure) else Done(None)


def write_list(request: BatchListRequest, target: Target) -> WireRequest:
    """Write a request for a page of batches."""
    query = {"limit": str(_PAGE_SIZE), **({"after_id": request.cursor} if request.cursor else {})}
    return get(f"{_PATH}?{urlencode(query)}", target)


def read_list(_: BatchListRequest, body: object, target: Target) -> Done | Failure:
    """Read a page of batches."""
    page = read_body(body, target)
    if isinstance(page, Failure):
        return page
    if not is_list(data := page.get("data")):
        return Failure("malformed")
    jobs = tuple(job for item in data if is_object(item) and (job := _read(item)) is not None)
    return Done(BatchPage(jobs, text_or_none(page.get("last_id")) if page.get("has_more") is True else None))


def read_job(_: BatchCreateRequest | BatchLookRequest, body: object, target: Target) -> Done | Failure:
    """Read the state of a batch."""
    read = read_body(body, target)
    if isinstance(read, Failure):
        return read
    job = _read(read)
    return Done(job) if job else Failure("malformed")


def _read(body: Mapping[str, Any]) -> BatchJob | None:
    identifier, word = text_or_none(body.get("id")), text_or_none(body.get("processing_status"))
    if identifier is None or word is None:
        return None
    state = _STATES.get(word, "running")
    counts = {name: count(object_or_empty(body.get("request_counts")).get(name)) for name in _COUNTS}
    total = sum(counts.values())
    return BatchJob(
        identifier,
        state,
        sources=(identifier,) if state == "ended" else (),
        created=read_time(body.get("created_at")),
        total=total or None,
        done=total - counts["processing"],
    )


def write_results(request: BatchResultsRequest, target: Target) -> WireRequest:
    """Write a request for the results of a batch. The address that the batch names is not used: the key goes there."""
    return get(f"{_PATH}/{segment(request.source)}/results", target, returns="bytes")


def read_results(_: BatchResultsRequest, body: object, _target: Target) -> Done | Failure:
    """Read the results of a batch."""
    return read_lines(body, _read_line)


def _read_line(line: dict[str, Any]) -> BatchResult | None:
    identifier = text_or_none(line.get("custom_id"))
    if identifier is None:
        return None
    match line.get("result"):
        case {"type": "succeeded", "message": message}:
            return BatchResult(identifier, 200, message)
        case {"type": "errored", "error": error}:
            inner = object_or_empty(object_or_empty(error).get("error"))
            return BatchResult(identifier, _STATUS.get(str(inner.get("type")), 500), error)
        case {"type": str(word)}:
            return BatchResult(identifier, unanswered=unanswered_word(word))
        case _:
            return BatchResult(identifier, unanswered=unanswered_word(None))


BATCHES: Final[Mapping[type[Any], EncodeDecode]] = {
    BatchCreateRequest: (write_create, read_job),
    BatchLookRequest: (write_look, read_job),
    BatchCancelRequest: (write_cancel, read_cancel),
    BatchListRequest: (write_list, read_list),
    BatchResultsRequest: (write_results, read_results),
}
