"""Batches: create, retrieve, list and cancel. A batch is completed when it is retrieved for the second time.

Written from the types and docstrings of the SDK, version 3.51.0, not tried against the service.
"""

from __future__ import annotations

import json

from openai.types import Batch

from integration_tests.fakes.openai_api.files import add_file
from integration_tests.fakes.openai_api.replies import JSON, APIError, Reply, as_json
from integration_tests.fakes.openai_api.requests import Received, read_json
from integration_tests.fakes.openai_api.sdk_types import check_request, check_response
from integration_tests.fakes.openai_api.store import CREATED, Store


def create(store: Store, received: Received) -> Reply:
    body = received.body
    check_request("batch_create_params:BatchCreateParams", body)
    file = store.get("file", body["input_file_id"])
    if file["purpose"] != "batch":
        raise APIError(400, "The file's purpose is not batch.", param="input_file_id")
    lines = [read_json(line) for line in store.contents[file["id"]].splitlines()]
    for line in lines:
        if set(line) != {"custom_id", "method", "url", "body"} or line["url"] != body["endpoint"]:
            raise APIError(400, "A line has custom_id, method, url and body.", param="input_file_id")
    return as_json(store.add(_checked(_batch(store, body, len(lines)))))


def _batch(store: Store, body: JSON, total: int) -> JSON:
    times = ("in_progress", "finalizing", "completed", "failed", "expired", "cancelling", "cancelled")
    return {
        "id": store.new_id("batch_"),
        "object": "batch",
        "endpoint": body["endpoint"],
        "errors": None,
        "input_file_id": body["input_file_id"],
        "completion_window": body["completion_window"],
        "status": "validating",
        "output_file_id": None,
        "error_file_id": None,
        "created_at": CREATED,
        "expires_at": CREATED + 86_400,
        "request_counts": {"total": total, "completed": 0, "failed": 0},
        "metadata": body.get("metadata"),
        **{f"{name}_at": None for name in times},
    }


def retrieve(store: Store, received: Received) -> Reply:
    batch = store.get("batch", received.path.split("/")[1])
    if batch["status"] == "validating":
        batch |= {"status": "in_progress", "in_progress_at": CREATED + 1}
    elif batch["status"] == "in_progress":
        _complete(store, batch)
    return as_json(_checked(batch))


def _complete(store: Store, batch: JSON) -> None:
    lines = [read_json(line) for line in store.contents[batch["input_file_id"]].splitlines()]
    results = [
        {
            "id": f"batch_req_{line['custom_id']}",
            "custom_id": line["custom_id"],
            "response": {"status_code": 200, "request_id": "req_1", "body": {"echo": line["body"]}},
            "error": None,
        }
        for line in lines
    ]
    data = "\n".join(map(json.dumps, results)).encode()
    output = add_file(store, ("output.jsonl", data), "batch_output")
    batch |= {
        "status": "completed",
        "completed_at": CREATED + 2,
        "output_file_id": output["id"],
        "request_counts": {"total": len(lines), "completed": len(lines), "failed": 0},
    }


def cancel(store: Store, received: Received) -> Reply:
    batch = store.get("batch", received.path.split("/")[1])
    if batch["status"] not in {"validating", "in_progress"}:
        raise APIError(409, f"Cannot cancel a batch with status '{batch['status']}'.")
    batch |= {"status": "cancelling", "cancelling_at": CREATED + 3}
    return as_json(_checked(batch))


def list_(store: Store, received: Received) -> Reply:
    return as_json(store.page("batch", received, "batch_list_params:BatchListParams", 20))


def _checked(batch: JSON) -> JSON:
    check_response(Batch, batch)
    return batch


ROUTES = {
    "POST batches": create,
    "GET batches": list_,
    "GET batches/{id}": retrieve,
    "POST batches/{id}/cancel": cancel,
}
