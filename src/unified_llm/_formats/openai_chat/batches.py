"""Batches of OpenAI's API, and jobs of Mistral's: a file of entries, and files of results.

Sources: types/batch.py and types/batch_create_params.py of OpenAI's SDK, version 3.51; models/batchjob.py and
models/createbatchjobrequest.py of Mistral's client (github.com/mistralai/client-python). The two differ in paths, in
the names of fields and states, and in who names the model: each line, or the job.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import urlencode

from unified_llm._core.batch_service import (
    BatchCancelRequest,
    BatchCreateRequest,
    BatchEntry,
    BatchJob,
    BatchListRequest,
    BatchLookRequest,
    BatchPage,
    BatchResultsRequest,
    BatchState,
    BatchUploadRequest,
)
from unified_llm._core.codec import WireRequest
from unified_llm._core.outcome import Done, Failure
from unified_llm._core.paths import segment
from unified_llm._core.target import Target
from unified_llm._formats.batch_results import read_lines, read_openai_line
from unified_llm._formats.json_values import count, is_list, is_object, object_or_empty, text_or_none
from unified_llm._formats.make_codec import EncodeDecode
from unified_llm._formats.openai_errors import read_error
from unified_llm._formats.request_fields import get, post, post_form
from unified_llm._lib.bounded_json import dump
from unified_llm.types.media_requests import MediaFile

_LABEL: Final = "unified_llm"  # the name of our field in the metadata of a batch
_PAGE_SIZE: Final = 100
_STATES: Final[Mapping[str, BatchState]] = {
    "validating": "running",
    "in_progress": "running",
    "finalizing": "running",
    "cancelling": "cancelling",
    "completed": "ended",
    "expired": "ended",
    "cancelled": "ended",
    "failed": "failed",
    # Mistral's
    "QUEUED": "running",
    "RUNNING": "running",
    "CANCELLATION_REQUESTED": "cancelling",
    "SUCCESS": "ended",
    "TIMEOUT_EXCEEDED": "ended",
    "CANCELLED": "ended",
    "FAILED": "failed",
}
_SOURCES: Final = ("output_file_id", "error_file_id", "output_file", "error_file")
_FAILED: Final = "batch_failed"


def _path(target: Target) -> str:
    return "/batch/jobs" if target.quirks.batch_jobs else "/batches"


def write_upload(request: BatchUploadRequest, target: Target) -> WireRequest:
    """Write a request that stores the entries as a file."""
    lines = b"".join(_line(entry, request.endpoint, target) for entry in request.entries)
    file = MediaFile(lines, f"{request.name}.jsonl", "application/jsonl")
    return post_form("/files", [("purpose", "batch"), ("file", file)], target)


def _line(entry: BatchEntry, endpoint: str, target: Target) -> bytes:
    fields = {"custom_id": entry.id}
    if not target.quirks.batch_jobs:
        fields |= {"method": "POST", "url": endpoint}
    return dump(fields)[:-1].encode() + b',"body":' + entry.body + b"}\n"


def read_upload(_: BatchUploadRequest, body: object, target: Target) -> Done | Failure:
    """Read the identifier of a file."""
    if not is_object(body) or "error" in body:
        return read_error(body, target)
    identifier = text_or_none(body.get("id"))
    return Done(identifier) if identifier else Failure("malformed")


def write_create(request: BatchCreateRequest, target: Target) -> WireRequest:
    """Write a request that begins a batch."""
    fields: dict[str, Any] = {"endpoint": request.endpoint, "metadata": {_LABEL: request.label}}
    if target.quirks.batch_jobs:
        fields |= {"input_files": [request.file], "model": target.model}
    else:
        fields |= {"input_file_id": request.file, "completion_window": "24h"}
    return post(_path(target), fields, target)


def write_look(request: BatchLookRequest, target: Target) -> WireRequest:
    """Write a request for the state of a batch."""
    return get(f"{_path(target)}/{segment(request.batch)}", target)


def write_cancel(request: BatchCancelRequest, target: Target) -> WireRequest:
    """Write a request that cancels a batch."""
    return post(f"{_path(target)}/{segment(request.batch)}/cancel", {}, target)


def read_cancel(_: BatchCancelRequest, body: object, target: Target) -> Done | Failure:
    """Read that a batch was cancelled."""
    return Done(None) if is_object(body) and not body.get("error") else read_error(body, target)


def write_list(request: BatchListRequest, target: Target) -> WireRequest:
    """Write a request for a page of batches."""
    if target.quirks.batch_jobs:
        query = {"page_size": str(_PAGE_SIZE), "page": request.cursor or "0", "order_by": "-created"}
    else:
        query = {"limit": str(_PAGE_SIZE), **({"after": request.cursor} if request.cursor else {})}
    return get(f"{_path(target)}?{urlencode(query)}", target)


def read_list(request: BatchListRequest, body: object, target: Target) -> Done | Failure:
    """Read a page of batches."""
    if not is_object(body) or not is_list(body.get("data") or []):
        return read_error(body, target)
    read = [_read(item) for item in body.get("data") or [] if is_object(item)]
    jobs = tuple(job for job in read if job is not None)
    if target.quirks.batch_jobs:
        page = int(request.cursor or 0)
        more = str(page + 1) if (page + 1) * _PAGE_SIZE < count(body.get("total")) and jobs else None
    else:
        more = jobs[-1].id if body.get("has_more") is True and jobs else None
    return Done(BatchPage(jobs, more))


def read_job(_: BatchCreateRequest | BatchLookRequest, body: object, target: Target) -> Done | Failure:
    """Read the state of a batch."""
    if not is_object(body) or body.get("error"):
        return read_error(body, target)
    job = _read(body)
    return Done(job) if job else Failure("malformed")


def _read(body: Mapping[str, Any]) -> BatchJob | None:
    identifier, word = text_or_none(body.get("id")), text_or_none(body.get("status"))
    if identifier is None or word is None:
        return None
    state = _STATES.get(word, "running")  # a state that is new there goes on to another
    error = _first_error(body) if state == "failed" else {}
    counts, files = object_or_empty(body.get("request_counts")), body.get("input_files")
    return BatchJob(
        identifier,
        state,
        label=text_or_none(object_or_empty(body.get("metadata")).get(_LABEL)),
        file=text_or_none(files[0] if is_list(files) and files else body.get("input_file_id")),
        sources=tuple(source for name in _SOURCES if (source := text_or_none(body.get(name)))),
        error=(text_or_none(error.get("code")) or _FAILED) if state == "failed" else None,
        detail=text_or_none(error.get("message")),
        created=float(count(body.get("created_at"))) or None,
        total=count(counts.get("total")) or count(body.get("total_requests")) or None,
        done=count(counts.get("completed")) + count(counts.get("failed")) or count(body.get("completed_requests")),
    )


def _first_error(body: Mapping[str, Any]) -> dict[str, Any]:
    errors = body.get("errors")
    listed = errors if is_list(errors) else object_or_empty(errors).get("data")
    return object_or_empty(listed[0] if is_list(listed) and listed else None)


def write_results(request: BatchResultsRequest, target: Target) -> WireRequest:
    """Write a request for a file of results."""
    return get(f"/files/{segment(request.source)}/content", target, returns="bytes")


def read_results(_: BatchResultsRequest, body: object, _target: Target) -> Done | Failure:
    """Read a file of results."""
    return read_lines(body, read_openai_line)


BATCHES: Final[Mapping[type[Any], EncodeDecode]] = {
    BatchUploadRequest: (write_upload, read_upload),
    BatchCreateRequest: (write_create, read_job),
    BatchLookRequest: (write_look, read_job),
    BatchCancelRequest: (write_cancel, read_cancel),
    BatchListRequest: (write_list, read_list),
    BatchResultsRequest: (write_results, read_results),
}
