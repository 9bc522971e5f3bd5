"""A received request, with its JSON or its form read."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from email import message_from_bytes
from typing import Any, NoReturn
from urllib.parse import parse_qsl, unquote, urlsplit

from integration_tests.fakes.openai_api.replies import APIError

_DEPLOYMENT = re.compile(r"^deployments/[^/]+/")


@dataclass(frozen=True)
class Part:
    """A part of a form; a file has a name and a content type."""

    name: str
    data: bytes
    filename: str | None = None
    content_type: str | None = None


@dataclass(frozen=True)
class Received:
    """A request.

    Attributes:
        address: Its path as it was sent.
        prefix: What stands before ``/v1`` in it, or at Azure before ``/openai``.
        path: What stands after that, at Azure without the deployment.
        body: The JSON, or the fields of the form by name, with files as ``Part``.
        parts: Those of the form, as they were sent.
    """

    method: str
    address: str
    query: Sequence[tuple[str, str]]
    headers: Mapping[str, str]
    raw: bytes = field(repr=False)
    body: dict[str, Any] = field(default_factory=dict)
    parts: Sequence[Part] = ()

    @property
    def is_azure(self) -> bool:
        return "/v1/" not in self.address

    @property
    def prefix(self) -> str:
        return self.address.partition("/openai/" if self.is_azure else "/v1/")[0]

    @property
    def path(self) -> str:
        if not self.is_azure:
            return self.address.partition("/v1/")[2]
        return _DEPLOYMENT.sub("", self.address.partition("/openai/")[2])

    @property
    def arguments(self) -> dict[str, Any]:
        """The fields of the query."""
        return _nested([Part(name, value.encode()) for name, value in self.query])

    @property
    def is_form(self) -> bool:
        return self.headers.get("content-type", "").startswith("multipart/form-data")

    def files(self, name: str) -> list[Part]:
        found = self.body.get(name)
        return [part for part in (found if isinstance(found, list) else [found]) if isinstance(part, Part)]


def read_request(method: str, target: str, headers: Mapping[str, str], raw: bytes) -> Received:
    """Read a request, or raise APIError."""
    parts = urlsplit(target)
    query = parse_qsl(parts.query, keep_blank_values=True)
    received = Received(method, unquote(parts.path), query, headers, raw)
    if received.is_form:
        form = read_form(headers["content-type"], raw)
        return replace(received, body=_nested(form), parts=form)
    return replace(received, body=read_json(raw) if raw else {})


def read_json(raw: bytes) -> dict[str, Any]:
    try:
        body = json.loads(raw, parse_constant=_not_a_number, object_pairs_hook=_no_duplicates)
    except ValueError as error:
        raise APIError(400, f"We could not parse the JSON body of your request: {error}") from None
    if not isinstance(body, dict):
        raise APIError(400, "The body of a request is a JSON object.")
    return body


def read_form(content_type: str, raw: bytes) -> list[Part]:
    _, found, boundary = content_type.partition("boundary=")
    if not found:
        raise APIError(400, "multipart/form-data has no boundary")
    opening, *sections = (b"\r\n" + raw).split(b"\r\n--" + boundary.strip('"').encode())
    if opening or not sections or not sections.pop().startswith(b"--"):
        raise APIError(400, "could not parse the form: it does not begin and end with its boundary")
    return [_part(section) for section in sections]


def _part(section: bytes) -> Part:
    head, found, data = section.removeprefix(b"\r\n").partition(b"\r\n\r\n")
    headers = message_from_bytes(head + b"\r\n\r\n")
    name = headers.get_param("name", header="content-disposition")
    if not found or headers.get_content_disposition() != "form-data" or not isinstance(name, str):
        raise APIError(400, "a part of a form has no name")
    return Part(name, data, headers.get_filename(), headers.get("content-type"))


def _nested(form: Sequence[Part]) -> dict[str, Any]:
    """Return the fields of a form or a query: ``name[]`` is a list, ``name[key]`` an object; no other name recurs."""
    fields: dict[str, Any] = {}
    for part in form:
        value: Any = part if part.filename is not None else part.data.decode()
        name, bracket, key = part.name.partition("[")
        key = key.removesuffix("]")
        if bracket and not key:
            fields.setdefault(name, []).append(value)
        elif bracket:
            fields.setdefault(name, {})[key] = value
        elif name in fields:
            raise APIError(400, f"Duplicate field: {name}", param=name)
        else:
            fields[name] = value
    return fields


def _not_a_number(text: str) -> NoReturn:
    raise ValueError(f"{text} is no JSON")


def _no_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len({name for name, _ in pairs}) < len(pairs):
        raise ValueError("one field twice")
    return dict(pairs)
