"""Headers of one call (``extra_headers=``), and fields of its query: added to the targets that may get them."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, cast

from unified_llm._core import headers
from unified_llm._core.redaction import Headers
from unified_llm._core.target import Target
from unified_llm.exceptions import LLMError, ValidationError

_log = logging.getLogger("unified_llm")


def read(value: object, error: type[LLMError]) -> Mapping[str, str]:
    """Read the headers of a call; None stands for none.

    Raises:
        LLMError: Of the class ``error``: they are no mapping, or one of them cannot be sent or must not be set.
    """
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise error('extra_headers is a mapping of names to values, such as {"X-Request-Source": "batch"}.')
    given = cast("Mapping[str, str]", value)
    headers.check(given, "extra_headers", error)
    return Headers(given)


def add(
    chain: Sequence[Target], extra: Mapping[str, str], query: tuple[tuple[str, str], ...], *, first_is_left: bool
) -> Sequence[Target]:
    """Return the chain with these headers, and this query, at every target of the same server as the first one.

    Headers of gateways are often keys. So another server does not get them, and none does if the target that they were
    meant for was skipped when the client was made.

    Args:
        chain: The targets.
        extra: The headers.
        query: Names and values for the query of the address.
        first_is_left: Whether the first target of the chain is the one that the client was configured with.

    Raises:
        ValidationError: One of them is the header of the first target's key.
    """
    if not extra and not query:
        return chain
    origin = chain[0].origin
    if not first_is_left or not origin:
        _log.debug("extra_headers are not sent: the first target of the chain is skipped, or is no server")
        return chain
    return [_with_extra(target, extra, query) if target.origin == origin else target for target in chain]


def _with_extra(target: Target, extra: Mapping[str, str], query: tuple[tuple[str, str], ...]) -> Target:
    target = _with_headers(target, extra) if extra else target
    return replace(target, query=(*target.query, *query)) if query else target


def add_request_id(chain: Sequence[Target], request_id: str) -> Sequence[Target]:
    """Return the chain with the caller's identifier of the request, where a provider documents a place for it."""
    return [_with_request_id(target, request_id) for target in chain]


def _with_request_id(target: Target, request_id: str) -> Target:
    if name := target.quirks.request_id_header:
        return _with_headers(target, {name: request_id})
    if name := target.quirks.request_id_field:
        return replace(target, extra_body={**target.extra_body, name: request_id})
    return target


def _with_headers(target: Target, extra: Mapping[str, Any]) -> Target:
    headers.check(extra, "extra_headers", ValidationError, key_header=target.quirks.key_header)
    return replace(target, headers=Headers(headers.overlay(target.headers, extra)))
