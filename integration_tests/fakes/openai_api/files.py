"""Files: upload, list, retrieve, content and delete.

Written from the types and docstrings of the SDK, version 3.51.0, not tried against the service.
"""

from __future__ import annotations

from openai.types import FileDeleted, FileObject

from integration_tests.fakes.openai_api.replies import JSON, APIError, Reply, as_bytes, as_json
from integration_tests.fakes.openai_api.requests import Received
from integration_tests.fakes.openai_api.sdk_types import check_form, check_response
from integration_tests.fakes.openai_api.store import CREATED, Store


def upload(store: Store, received: Received) -> Reply:
    body = check_form("file_create_params:FileCreateParams", received, "file")
    seconds = int(body.get("expires_after", {}).get("seconds", 3600))
    if not 3600 <= seconds <= 2592000:
        raise APIError(400, "seconds is 3600 to 2592000.", code="invalid_value", param="expires_after")
    file = received.files("file")[0]
    expires = {"expires_at": CREATED + seconds} if "expires_after" in body else {}
    return as_json(add_file(store, (file.filename or "", file.data), body["purpose"], expires))


def add_file(store: Store, file: tuple[str, bytes], purpose: str, more: JSON | None = None) -> JSON:
    name, data = file
    found: JSON = {
        "id": store.new_id("file-"),
        "object": "file",
        "bytes": len(data),
        "created_at": CREATED,
        "filename": name,
        "purpose": purpose,
        "status": "processed",
        **(more or {}),
    }
    check_response(FileObject, found)
    store.contents[found["id"]] = data
    return store.add(found)


def retrieve(store: Store, received: Received) -> Reply:
    return as_json(store.get("file", received.path.split("/")[1]))


def content(store: Store, received: Received) -> Reply:
    found = store.get("file", received.path.split("/")[1])
    return as_bytes(store.contents[found["id"]], "application/octet-stream")


def delete(store: Store, received: Received) -> Reply:
    deleted = store.delete("file", received.path.split("/")[1])
    check_response(FileDeleted, deleted)
    return as_json(deleted)


def list_(store: Store, received: Received) -> Reply:
    return as_json(store.page("file", received, "file_list_params:FileListParams", 10_000))


ROUTES = {
    "POST files": upload,
    "GET files": list_,
    "GET files/{id}": retrieve,
    "DELETE files/{id}": delete,
    "GET files/{id}/content": content,
}
