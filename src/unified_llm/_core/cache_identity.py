"""Identity of a target's responses, for caches: two accounts, or two sets of headers, have their own."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

from unified_llm._core.headers import is_per_request
from unified_llm._core.target import Target
from unified_llm._lib.bounded_json import dump


def headers_identity(headers: Mapping[str, str]) -> str:
    """Return a digest of headers without those of one request; empty if none remain."""
    kept = {name.lower(): value for name, value in headers.items() if not is_per_request(name)}
    return _digest(sorted(kept.items())) if kept else ""


def fields_identity(fields: Mapping[str, object]) -> str:
    """Return a digest of fields of a body, keys among them."""
    return _digest(repr(fields))


def cache_identity(target: Target) -> str:
    """Return a digest of a target's address, account and headers, the same in every process.

    Keys and values of headers are in it only as digests: caches and their logs show their keys.
    """
    return _digest([target.provider, target.base_url, target.account, headers_identity(target.headers)])


def response_identity(target: Target) -> str:
    """Return a digest of all that a target's responses depend on beside the request, also of what the process sets."""
    settings = [target.model, target.format, dict(target.defaults), repr(target.extra_body)]
    return _digest([cache_identity(target), *settings])


def _digest(value: object) -> str:
    return hashlib.sha256(dump(value).encode()).hexdigest()[:32]
