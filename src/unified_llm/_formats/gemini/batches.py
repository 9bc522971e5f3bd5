"""Batches of Gemini: the entries are sent with the request that begins one, and results come with its state.

Sources: ai.google.dev/api/batch-api, and batches.py of google-genai 3.3. A batch is an operation whose ``metadata`` has
the state. Batches for vectors (``asyncBatchEmbedContent``) are not made here.
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
    BatchState,
)
from unified_llm._core.codec import WireRequest
from unified_llm._core.outcome import Done, Failure
from unified_llm._core.paths import segment
from unified_llm._core.target import Target
from unified_llm._formats.batch_results import read_time, unanswered_word
from unified_llm._formats.gemini.errors import http_status, name_of_status
from unified_llm._formats.gemini.request import resource_path
from unified_llm._formats.gemini.response import read_body
from unified_llm._formats.json_values import count, is_list, is_object, object_or_empty, text_or_none
from unified_llm._formats.make_codec import EncodeDecode
from unified_llm._formats.request_fields import get, post, post_json
from unified_llm._lib.bounded_json import JSONError, dump, parse_lenient

_PAGE_SIZE: Final = 100
_MAX_STRUCTURE: Final = 50_000_000  # of all responses of a batch together
# Without the prefix, which is BATCH_STATE_ or JOB_STATE_.
_STATES: Final[Mapping[str, BatchState]] = {
    "CANCELLING": "cancelling",
    "SUCCEEDED": "ended",
    "PARTIALLY_SUCCEEDED": "ended",
    "CANCELLED": "ended",
    "EXPIRED": "ended",
    "FAILED": "failed",
}


def write_create(request: BatchCreateRequest, target: Target) -> WireRequest:
    """Write a request that begins a batch."""
    entries = b",".join(
        b'{"request":' + entry.body + b',"metadata":' + dump({"key": entry.id}).encode() + b"}"
        for entry in request.entries
    )
    name = dump(request.label).encode()
    body = b'{"batch":{"displayName":' + name + b',"inputConfig":{"requests":{"requests":[' + entries + b"]}}}}"
    return post_json(f"/{resource_path(target)}:batchGenerateContent", body, target)


def write_look(request: BatchLookRequest, target: Target) -> WireRequest:
    """Write a request for the state of a batch."""
    return get(f"/batches/{segment(request.batch)}", target, returns="bytes")


def write_cancel(request: BatchCancelRequest, target: Target) -> WireRequest:
    """Write a request that cancels a batch."""
    return post(f"/batches/{segment(request.batch)}:cancel", {}, target)


def read_cancel(_: BatchCancelRequest, body: object, _target: Target) -> Done | Failure:
    """Read that a batch was cancelled."""
    read = read_body(body)
    return read if isinstance(read, Failure) else Done(None)


def write_list(request: BatchListRequest, target: Target) -> WireRequest:
    """Write a request for a page of batches."""
    query = {"pageSize": str(_PAGE_SIZE), **({"pageToken": request.cursor} if request.cursor else {})}
    return get(f"/batches?{urlencode(query)}", target, returns="bytes")


def read_list(_: BatchListRequest, body: object, _target: Target) -> Done | Failure:
    """Read a page of batches."""
    page = _parsed(body)
    if isinstance(page, Failure):
        return page
    listed = page.get("operations") or []
    if not is_list(listed):
        return Failure("malformed")
    jobs = tuple(job for item in listed if is_object(item) and (job := _read(item)) is not None)
    return Done(BatchPage(jobs, text_or_none(page.get("nextPageToken")) or None))


def read_job(_: BatchCreateRequest | BatchLookRequest, body: object, _target: Target) -> Done | Failure:
    """Read the state of a batch, with its results once it has ended."""
    operation = _parsed(body)
    if isinstance(operation, Failure):
        return operation
    job = _read(operation)
    return Done(job) if job else Failure("malformed")


def _parsed(body: object) -> dict[str, Any] | Failure:
    """Return the parsed body of a response, whose ``error`` is that of the batch where it has a name as well."""
    if isinstance(body, bytes):
        try:
            body = parse_lenient(body, max_structure=_MAX_STRUCTURE)
        except JSONError:
            return Failure("malformed")
    return body if is_object(body) and "name" in body else read_body(body)


def _read(operation: Mapping[str, Any]) -> BatchJob | None:
    name = text_or_none(operation.get("name"))
    metadata = object_or_empty(operation.get("metadata"))
    if not name:
        return None
    word = (text_or_none(metadata.get("state")) or "").rpartition("STATE_")[2]
    error = object_or_empty(operation.get("error"))
    state = _STATES.get(word)
    if state is None:
        state = "failed" if error else "ended" if operation.get("done") is True else "running"
    stats = object_or_empty(metadata.get("batchStats"))
    total, pending = _number(stats.get("requestCount")), _number(stats.get("pendingRequestCount"))
    return BatchJob(
        name.removeprefix("batches/"),
        state,
        label=text_or_none(metadata.get("displayName")),
        results=_results(operation, metadata) if state == "ended" else None,
        error=(text_or_none(error.get("status")) or "batch_failed") if state == "failed" else None,
        detail=text_or_none(error.get("message")),
        created=read_time(metadata.get("createTime")),
        total=total or None,
        done=max(0, total - pending),
    )


def _number(value: object) -> int:
    """Return a 64-bit number, which Google's JSON has as a text."""
    return int(value) if isinstance(value, str) and value.isascii() and value.isdigit() else count(value)


def _results(operation: Mapping[str, Any], metadata: Mapping[str, Any]) -> tuple[BatchResult, ...]:
    """Return the results: of the response of the operation, or of its metadata."""
    output = object_or_empty(metadata.get("output")) or object_or_empty(operation.get("response"))
    listed = object_or_empty(output.get("inlinedResponses")).get("inlinedResponses")
    read = (_read_result(item) for item in (listed if is_list(listed) else ()) if is_object(item))
    return tuple(result for result in read if result is not None)


def _read_result(item: Mapping[str, Any]) -> BatchResult | None:
    identifier = text_or_none(object_or_empty(item.get("metadata")).get("key"))
    if identifier is None:
        return None
    if is_object(error := item.get("error")) and error:
        if name_of_status(error) == "CANCELLED":
            return BatchResult(identifier, unanswered="cancelled")
        return BatchResult(identifier, http_status(error), {"error": error})
    if is_object(response := item.get("response")):
        return BatchResult(identifier, 200, response)
    return BatchResult(identifier, unanswered=unanswered_word(None))


BATCHES: Final[Mapping[type[Any], EncodeDecode]] = {
    BatchCreateRequest: (write_create, read_job),
    BatchLookRequest: (write_look, read_job),
    BatchCancelRequest: (write_cancel, read_cancel),
    BatchListRequest: (write_list, read_list),
}
