"""``with_raw_response``: the result of a method with what programs read of the HTTP response."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from unified_llm._core.hidden import CLEAR_VARIABLES, Hidden
from unified_llm.openai_style._binary_content import BinaryContent
from unified_llm.openai_style._headers import Headers
from unified_llm.openai_style._objects import OpenAIObject


class RawResponse:
    """The result of a method, and what is known of its HTTP response, which any provider may have sent.

    Attributes:
        status_code: 200, since anything else raises an error.
        http_response: This object, for programs that look for headers and the body there.
    """

    status_code = 200
    is_success, is_error, is_closed = True, False, True

    def __init__(self, result: Any) -> None:
        self._result = result

    def parse(self, *, to: Any = None) -> Any:  # noqa: ARG002 - an argument of OpenAI's SDK
        """Return the result: an object, or a stream."""
        return self._result

    @property
    def request_id(self) -> str | None:
        """The provider's identifier of the request; of a stream once it has ended."""
        return getattr(self._result, "_request_id", None)

    @property
    def headers(self) -> Mapping[str, str]:
        """The identifier of the request, under ``x-request-id``; no other header is kept."""
        return Headers({"x-request-id": self.request_id} if self.request_id else {})

    @property
    def retries_taken(self) -> int:
        """Attempts that failed before the one that succeeded."""
        record: Mapping[str, Any] = getattr(self._result, "unified_llm", None) or {}
        return max(len(record.get("attempts", ())) - 1, 0)

    @property
    def http_response(self) -> RawResponse:
        """This object."""
        return self

    @property
    def content(self) -> bytes:
        """The body: the JSON of the result, or its bytes; empty for a stream."""
        result = self._result
        if isinstance(result, BinaryContent):
            return result.content
        return self.text.encode()

    @property
    def text(self) -> str:
        """The body as text; empty for a stream."""
        result = self._result
        if isinstance(result, BinaryContent):
            return result.content.decode(errors="replace")
        if isinstance(result, OpenAIObject):
            return result.to_json(indent=None)
        return result if isinstance(result, str) else ""

    def json(self) -> Any:
        """Return the parsed body.

        Raises:
            ValueError: It is no JSON.
        """
        return json.loads(self.text)

    def __repr__(self) -> str:
        """Return the class of the result; no text."""
        return f"RawResponse({type(self._result).__name__})"


class _RawMethods:
    def __init__(self, owner: Any) -> None:
        self._owner = owner

    def _find(self, name: str, wrap: Callable[[Any], Any]) -> Any:
        """Return a method as one that returns a ``RawResponse``, or what has those of a resource below."""
        if name.startswith("_"):  # of which copies and pickles look for some
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}", name=name, obj=self)
        member = getattr(self._owner, name)
        if hasattr(type(member), "with_raw_response"):  # a resource
            return member.with_raw_response
        return wrap(member) if callable(member) else member


class RawMethods(_RawMethods):
    """The methods of a client or a resource, each of which returns a ``RawResponse``."""

    def __getattr__(self, name: str) -> Any:
        return self._find(name, _wrap)


class AsyncRawMethods(_RawMethods):
    """The same for an async client."""

    def __getattr__(self, name: str) -> Any:
        return self._find(name, _awrap)


def _wrap(method: Callable[..., Any]) -> Callable[..., RawResponse]:
    def call(*arguments: Any, **named: Any) -> RawResponse:
        given = Hidden((arguments, named))
        del arguments, named
        with CLEAR_VARIABLES:
            return RawResponse(method(*given.value[0], **given.value[1]))

    return call


def _awrap(method: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[RawResponse]]:
    async def call(*arguments: Any, **named: Any) -> RawResponse:
        given = Hidden((arguments, named))
        del arguments, named
        with CLEAR_VARIABLES:
            return RawResponse(await method(*given.value[0], **given.value[1]))

    return call
