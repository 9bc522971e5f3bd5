"""Requests to further endpoints of OpenAI's API, whose bodies pass unchanged but for the name of the model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any
from urllib.parse import urlencode

from unified_llm._core.codec import WireRequest
from unified_llm._core.outcome import Done, Failure
from unified_llm._core.target import Target
from unified_llm._formats.request_fields import form_fields, get, post, post_form
from unified_llm._lib.sse import ServerSentEvent
from unified_llm.types.raw import RawChunk, RawRequest, RawResponse

_END = "[DONE]"


def write_raw(request: RawRequest, target: Target) -> WireRequest:
    """Write a request to an endpoint of OpenAI's API."""
    query = urlencode(form_fields(request.query))
    path = f"{request.path}?{query}" if query else request.path
    if request.form is not None:
        further = form_fields(request.extra_body)
        fields = [(name, value) for name, value in request.form if name != "model"]
        if len(fields) < len(request.form):
            fields.insert(0, ("model", target.model))
        wire = post_form(path, [*fields, *further], target, stream=request.stream)
    elif request.body is not None:
        body = {**request.body, **request.extra_body}
        if "model" in request.body:
            body["model"] = target.model
        wire = post(path, body, target, stream=request.stream)
    else:
        wire = get(path, target)
        if request.method != "GET":  # which alone has no body
            wire = replace(wire, headers=(*wire.headers, ("content-type", "application/json")))
    return replace(wire, method=request.method, returns=request.returns)


def read_raw(request: RawRequest, body: Any, target: Target) -> Done | Failure:
    """Read a response: JSON, a text or bytes, as it is."""
    if request.returns == "json" and not isinstance(body, dict):
        return Failure("malformed")
    return Done(RawResponse(body, target.provider))


class RawStream:
    """Decoder of a stream of events, each of which is passed on as it is."""

    def __init__(self, request: RawRequest, target: Target) -> None:
        del request
        self._provider = target.provider
        self._any = False

    def feed(self, event: ServerSentEvent) -> Sequence[RawChunk | Done]:
        """Pass on one event; the end is ``[DONE]``, or that of the body."""
        if event.data == _END:
            return [Done(RawResponse(None, self._provider))]
        self._any = True
        return [RawChunk(event.data)]

    def finish(self) -> Done | Failure:
        """Judge a stream without ``[DONE]``: an API that sends none ends its streams so."""
        return Done(RawResponse(None, self._provider)) if self._any else Failure("empty")
