"""What a fake of OpenAI's API keeps between requests: files, batches, videos, responses, and the next identifiers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from integration_tests.fakes.openai_api.replies import JSON, APIError
from integration_tests.fakes.openai_api.requests import Received
from integration_tests.fakes.openai_api.sdk_types import check_request

CREATED = 1_760_000_000


@dataclass
class Store:
    """Objects by their identifiers, oldest first; ``contents`` are the bytes of files."""

    objects: dict[str, JSON] = field(default_factory=dict)
    contents: dict[str, bytes] = field(default_factory=dict)
    last_number: int = 0

    def new_id(self, prefix: str) -> str:
        self.last_number += 1
        return f"{prefix}{self.last_number:06d}"

    def add(self, found: JSON) -> JSON:
        self.objects[found["id"]] = found
        return found

    def get(self, kind: str, identifier: str) -> JSON:
        found = self.objects.get(identifier)
        if found is None or found["object"] != kind:
            raise APIError(404, f"No such {kind} object: {identifier}", param="id")
        return found

    def delete(self, kind: str, identifier: str, deleted: str | None = None) -> JSON:
        self.get(kind, identifier)
        del self.objects[identifier]
        return {"id": identifier, "object": deleted or kind, "deleted": True}

    def page(self, kind: str, received: Received, type_of_query: str, default: int) -> JSON:
        """Return a page of a list, as the request's ``after``, ``limit`` and ``order`` say."""
        query = received.arguments
        check_request(type_of_query, query, is_json=False)
        found: Sequence[JSON] = [item for item in self.objects.values() if item["object"] == kind]
        if query.get("order", "desc") == "desc":
            found = found[::-1]
        if "purpose" in query:
            found = [item for item in found if item["purpose"] == query["purpose"]]
        if "after" in query:
            names = [item["id"] for item in found]
            if query["after"] not in names:
                raise APIError(400, f"No such object: {query['after']}", param="after")
            found = found[names.index(query["after"]) + 1 :]
        return page(found, int(query.get("limit", default)))


def page(items: Sequence[Any], limit: int) -> JSON:
    data = [*items[:limit]]
    ends = {"first_id": data[0]["id"], "last_id": data[-1]["id"]} if data else {"first_id": None, "last_id": None}
    return {"object": "list", "data": data, **ends, "has_more": len(items) > limit}
