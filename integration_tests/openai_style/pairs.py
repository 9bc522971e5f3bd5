"""Programs written twice: run one against the fake of OpenAI's API, and say what it sent and what it found."""

from __future__ import annotations

import asyncio
import importlib
import inspect
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from integration_tests.fakes.openai_api.requests import Received
from integration_tests.fakes.openai_api.server import KEY, OpenAIAPI

PROGRAMS = Path(__file__).parent / "programs"
NAMES = sorted(path.stem for path in (PROGRAMS / "official").glob("*.py"))
# What each HTTP client says about itself and the connection.
_OF_THE_CLIENT = {
    "accept",
    "accept-encoding",
    "connection",
    "content-length",
    "host",
    "user-agent",
    "transfer-encoding",
}


@dataclass(frozen=True)
class Run:
    """What a program sent and found, in a form that can be compared."""

    sent: list[Mapping[str, Any]]
    results: list[Any]


def run(side: str, name: str, api: OpenAIAPI) -> Run:
    program = importlib.import_module(f"integration_tests.openai_style.programs.{side}.{name}")
    found = program.main(api.base_url, KEY)
    results = asyncio.run(found) if inspect.iscoroutine(found) else found
    return Run([_sent(request) for request in api.requests], [comparable(result) for result in results])


def _sent(request: Received) -> Mapping[str, Any]:
    form = sorted((part.name, part.data, part.filename, part.content_type) for part in request.parts)
    headers = {
        name: value.partition(";")[0] if name == "content-type" else value
        for name, value in request.headers.items()
        if name not in _OF_THE_CLIENT and not name.startswith("x-stainless-")
    }
    return {
        "request": f"{request.method} {request.address}",
        "query": sorted(request.query),
        "headers": headers,
        "body": form or request.body,
    }


def comparable(value: Any) -> Any:
    """Return plain data for the objects of either client."""
    if hasattr(value, "model_dump"):
        with warnings.catch_warnings(action="ignore"):  # that a parsed object is not of the declared type
            return comparable(value.model_dump())
    if isinstance(value, Mapping):
        return {name: comparable(item) for name, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [comparable(item) for item in value]
    return value
