"""What the writers of all formats have in common: headers, bodies, tools, files, and what cannot be written or sent."""

from __future__ import annotations

import logging
import mimetypes
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final, cast

from unified_llm._core.codec import WireRequest
from unified_llm._core.target import Target
from unified_llm._formats.history import is_text, text_of
from unified_llm._lib.bounded_json import JSONError, dump
from unified_llm.exceptions import ValidationError
from unified_llm.types.content import FilePart, ImagePart, data_url
from unified_llm.types.messages import Tool
from unified_llm.types.requests import EmbeddingRequest, LLMRequest

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
        raise ValidationError(f"{unserialisable_path(body)} cannot be sent: {problem}.") from None
    accept = ("accept", "text/event-stream" if stream else _JSON)
    return WireRequest("POST", target.base_url + path, headers(target, accept, ("content-type", _JSON)), text.encode())


def get(path: str, target: Target) -> WireRequest:
    """A request without a body."""
    return WireRequest("GET", target.base_url + path, headers(target, ("accept", _JSON)))


def headers(target: Target, *ours: tuple[str, str]) -> tuple[tuple[str, str], ...]:
    """Names in lower case, each once; those that the user set win."""
    every = dict(ours)
    if target.key is not None:
        name = target.quirks.key_header
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


def effective(request: LLMRequest | EmbeddingRequest, name: str, target: Target) -> Any:
    """A field of the request, or the target's default for it; None where neither says anything."""
    value = getattr(request, name)
    if value is None or value == ():
        value = target.defaults.get(name)
    return None if value == () else value


def apply_quirks(fields: Mapping[str, Any], target: Target) -> dict[str, Any]:
    """The fields of a body with the target's quirks applied: ``drop``, and ``rename``."""
    dropped, renamed = target.quirks.drop, target.quirks.rename
    wanted: dict[str, Any] = {}
    for name, value in fields.items():
        if name in dropped:
            log.debug("%s is not sent to %s, which does not take it", name, target.name)
        else:
            wanted[renamed.get(name, name)] = value
    return wanted


def log_dropped(names: Iterable[str], request: LLMRequest, target: Target) -> None:
    """Say of fields that a format does not have that they are not sent."""
    for name in names:
        if effective(request, name, target) is not None:
            log.debug("%s is not sent to %s, whose format has nothing like it", name, target.name)


def with_reasoning_drops(fields: Mapping[str, Any], target: Target) -> Target:
    """The target with what it refuses while it reasons, if it is going to."""
    refused = target.quirks.drop_reasoning
    effort = fields.get("reasoning_effort")
    reasons = target.quirks.reasons_unasked if effort is None else effort != "none"
    if not refused or not reasons:
        return target
    dropped = target.quirks.drop | refused
    return replace(target, quirks=replace(target.quirks, drop=dropped))


def continued(request: LLMRequest) -> str:
    """The text that is to be continued without a chat template.

    Raises:
        ValidationError: There is none, or more than that was asked for.
    """
    last = request.messages[-1].content if request.messages else ""
    if not last or not is_text(last):
        raise ValidationError("as_text continues the text of the last message: it has to have one, and nothing else.")
    if request.tools:
        raise ValidationError("as_text continues a text, in which no tools can be called: leave out tools, or as_text.")
    return text_of(last)


def function_of(tool: Tool) -> dict[str, Any]:
    """Name, description and parameters of a tool, as OpenAI, Cohere and Ollama write them."""
    described = {"description": tool.description} if tool.description else {}
    return {"name": tool.name, **described, "parameters": tool.parameters or {"type": "object", "properties": {}}}


def tool_fields(
    request: LLMRequest, target: Target, write: Callable[[Tool], Mapping[str, Any]], choose: Callable[[str], Any]
) -> dict[str, Any]:
    """``tools`` and what belongs to it, in either of OpenAI's formats.

    Each is refused without tools, so nothing is sent where there are none.

    Args:
        ask: The request.
        target: Its quirks say which choices it does not take.
        write: A tool as the format has it.
        choose: How the format names the one tool that must be called.
    """
    choice, refused = request.tool_choice, target.quirks.drop
    if not request.tools or (choice == "none" and "tool_choice.none" in refused):
        return {}
    fields: dict[str, Any] = {"tools": [write(tool) for tool in request.tools]}
    chosen = [tool for tool in request.tools if tool.name == choice]
    if choice in {"auto", "none", "required"}:
        fields["tool_choice"] = choice
    elif choice is not None and chosen and chosen[0].builtin is not None:
        fields["tool_choice"] = {"type": chosen[0].builtin.get("type", choice)}
    elif choice is not None:
        fields["tool_choice"] = choose(choice)
    if isinstance(fields.get("tool_choice"), dict) and "tool_choice.function" in refused:
        # To be offered one tool and to have to call one is to have to call that one.
        fields |= {"tools": [write(tool) for tool in chosen] or fields["tools"], "tool_choice": "required"}
    parallel = effective(request, "parallel_tool_calls", target)
    return fields if parallel is None else {**fields, "parallel_tool_calls": parallel}


def image_url(image: ImagePart) -> dict[str, Any]:
    """An image as OpenAI and Cohere write it."""
    url = image.url if image.data is None else data_url(image.data, image.media_type)
    return {"url": url} if image.detail is None else {"url": url, "detail": image.detail}


def file_data(file: FilePart) -> dict[str, Any]:
    """A file that is at hand, in either of OpenAI's formats, which want it to have a name."""
    extension = mimetypes.guess_extension(file.media_type) or ""
    data = file.url if file.data is None else data_url(file.data, file.media_type)
    return {"filename": file.filename or f"document{extension}", "file_data": data}


def check_builtin_tool(name: str, tool: Mapping[str, Any]) -> Mapping[str, Any]:
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


def unserialisable_path(value: object, path: str = "", depth: int = 0) -> str:
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
            return unserialisable_path(child, where, depth + 1) if depth < _DEEPEST else where
    return path or "The request"
