"""What the writers of all formats have in common: headers, bodies, and the culprit of a body that cannot be written."""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Final, cast

from unified_llm.exceptions import ValidationError
from unified_llm.jsonx import JSONError, dump
from unified_llm.providers.codec import WireRequest
from unified_llm.target import Quirks, Target
from unified_llm.types import EmbeddingRequest, LLMRequest

log = logging.getLogger("unified_llm")

_JSON: Final = "application/json"
# How deep a value that cannot be written is looked for.
_DEEPEST: Final = 24


def post(path: str, body: Mapping[str, Any], target: Target, *, stream: bool = False) -> WireRequest:
    """A request with a JSON body.

    Raises:
        ValidationError: The body holds what has no JSON form; the message names the field, never its value.
    """
    try:
        text = dump(body)
    except JSONError as problem:
        raise ValidationError(f"{culprit(body)} cannot be sent: {problem}.") from None
    accept = ("accept", "text/event-stream" if stream else _JSON)
    return WireRequest("POST", target.base_url + path, headers(target, accept, ("content-type", _JSON)), text.encode())


def get(path: str, target: Target) -> WireRequest:
    """A request without a body."""
    return WireRequest("GET", target.base_url + path, headers(target, ("accept", _JSON)))


def headers(target: Target, *ours: tuple[str, str]) -> tuple[tuple[str, str], ...]:
    """Names in lower case, each once; those that the user set win."""
    every = dict(ours)
    if target.key is not None:
        name = target.quirks.get("key_header")
        key = target.key.reveal()
        every |= {name.lower(): key} if name else {"authorization": f"Bearer {key}"}
    every |= {name.lower(): value for name, value in target.headers.items()}
    return tuple(every.items())


def at_root(target: Target, *versions: str) -> Target:
    """The target with these paths taken off its address, for formats whose own paths say the version.

    People know one server by several addresses: with the path of its OpenAI-compatible API, or without.
    """
    base = target.base_url
    for version in versions:
        base = base.removesuffix(version)
    return target if base == target.base_url else replace(target, base_url=base)


def setting(ask: LLMRequest | EmbeddingRequest, name: str, target: Target) -> Any:
    """A field of the request, or the target's default for it; None where neither says anything."""
    value = getattr(ask, name)
    if value is None or value == ():
        value = target.defaults.get(name)
    return None if value == () else value


def as_wanted(fields: Mapping[str, Any], target: Target) -> dict[str, Any]:
    """The fields of a body with the target's quirks applied: ``drop``, and ``rename``."""
    dropped, renamed = target.quirks.get("drop", frozenset[str]()), target.quirks.get("rename", {})
    wanted: dict[str, Any] = {}
    for name, value in fields.items():
        if name in dropped:
            log.debug("%s is not sent to %s, which does not take it", name, target.name)
        else:
            wanted[renamed.get(name, name)] = value
    return wanted


def while_reasoning(fields: Mapping[str, Any], target: Target) -> Target:
    """The target with what it refuses while it reasons, if it is going to."""
    refused = target.quirks.get("drop_reasoning")
    effort = fields.get("reasoning_effort")
    reasons = target.quirks.get("reasons_unasked", False) if effort is None else effort != "none"
    if not refused or not reasons:
        return target
    dropped = target.quirks.get("drop", frozenset[str]()) | refused
    return replace(target, quirks=cast("Quirks", {**target.quirks, "drop": dropped}))


def own_tool(name: str, tool: Mapping[str, Any]) -> Mapping[str, Any]:
    """A provider's own tool in one of OpenAI's formats, as it is.

    Raises:
        ValidationError: It is written for another format.
    """
    kind = tool.get("type")
    # Gemini's tools have no type, Anthropic's a date in it.
    if not isinstance(kind, str) or re.search(r"_20\d{6}$", kind):
        raise ValidationError(f"The tool {name} is written for the format of another provider.")
    return tool


def sanitised_name(name: str) -> str:
    """A name as OpenAI allows it for speakers and schemas: at most 64 letters, digits, ``_`` and ``-``."""
    return re.sub(r"[^a-zA-Z0-9_-]", "_", name)[:64]


def culprit(value: object, path: str = "", depth: int = 0) -> str:
    """Where in a body the value is that has no JSON form: ``messages[0].content``."""
    children: list[tuple[str, object]] = []
    if isinstance(value, Mapping):
        fields = cast("Mapping[object, object]", value)
        children = [(f"{path}.{name}".lstrip("."), each) for name, each in fields.items()]
    elif isinstance(value, (list, tuple)):
        items = cast("Sequence[object]", value)
        children = [(f"{path}[{index}]", each) for index, each in enumerate(items)]
    for where, child in children:
        try:
            dump(child)
        except JSONError:
            return culprit(child, where, depth + 1) if depth < _DEEPEST else where
    return path or "The request"
