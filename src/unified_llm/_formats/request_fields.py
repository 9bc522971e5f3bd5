"""Fields of requests in all formats: headers, bodies, tools, files, quirks; and errors of serialisation."""

from __future__ import annotations

import logging
import mimetypes
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final, cast

from unified_llm._core.codec import Returns, WireRequest
from unified_llm._core.dropped_settings import report_dropped
from unified_llm._core.headers import names_an_application
from unified_llm._core.target import Target
from unified_llm._formats.builtin_tools import is_gemini_alone
from unified_llm._formats.custom_tools import custom_choice, is_custom
from unified_llm._formats.history import is_text, text_of
from unified_llm._formats.tool_schemas import object_schema
from unified_llm._lib.bounded_json import JSONError, dump
from unified_llm.exceptions import ValidationError
from unified_llm.types.content import FilePart, ImagePart, data_url
from unified_llm.types.messages import Tool
from unified_llm.types.requests import EmbeddingRequest, LLMRequest

if TYPE_CHECKING:
    from unified_llm.types.media_requests import MediaFile

log = logging.getLogger("unified_llm")

_JSON: Final = "application/json"
_NOT_IN_RESPONSES: Final = ("stop", "seed", "frequency_penalty", "presence_penalty")
NOT_IN_FORMAT: Final[Mapping[str, tuple[str, ...]]] = {
    "anthropic": ("seed", "frequency_penalty", "presence_penalty", "logprobs", "top_logprobs"),
    "openai_responses": _NOT_IN_RESPONSES,
    "azure_responses": _NOT_IN_RESPONSES,
}
"""Settings of a request for which a format has no field."""
# Levels at which a value that cannot be serialised is searched.
_MAX_DEPTH: Final = 24


def post(
    path: str, body: Mapping[str, Any], target: Target, *, stream: bool = False, returns: Returns = "json"
) -> WireRequest:
    """Return a request with a JSON body.

    Raises:
        ValidationError: As for ``write_body``.
    """
    return post_json(path, write_body(body).encode(), target, stream=stream, returns=returns)


def write_body(body: Mapping[str, Any]) -> str:
    """Return a body as JSON.

    Raises:
        ValidationError: The body contains a value without a JSON form; the message names the field, never its value.
    """
    try:
        return dump(body)
    except JSONError as error:
        raise ValidationError(f"{unserialisable_path(body)} cannot be sent: {error}.") from None


def post_json(
    path: str, body: bytes, target: Target, *, stream: bool = False, returns: Returns = "json"
) -> WireRequest:
    """Return a request with a body that is JSON already."""
    sent_headers = headers(target, _accept(returns, stream=stream), ("content-type", _JSON))
    return WireRequest("POST", target.base_url + path, sent_headers, body, returns)


def _accept(returns: Returns, *, stream: bool = False) -> tuple[str, str]:
    """Return the header for what may come back: of bytes and texts, any type."""
    return "accept", "text/event-stream" if stream else _JSON if returns == "json" else "*/*"


def post_form(
    path: str,
    fields: Iterable[tuple[str, str | MediaFile]],
    target: Target,
    *,
    stream: bool = False,
    returns: Returns = "json",
) -> WireRequest:
    """Return a request with a form: texts and files, in order.

    Raises:
        ValidationError: A text has half of a surrogate pair.
    """
    from unified_llm._lib.multipart import FormFile, encode_form  # no chat is sent as a form

    form = [
        (name, value if isinstance(value, str) else FormFile(value.data, value.filename, value.media_type))
        for name, value in fields
    ]
    try:
        content_type, body = encode_form(form)
    except UnicodeEncodeError:
        raise ValidationError("A field of the form has half of a surrogate pair, which cannot be sent.") from None
    accept = _accept(returns, stream=stream)
    others = [(name, value) for name, value in headers(target, accept) if name != "content-type"]
    return WireRequest("POST", target.base_url + path, (*others, ("content-type", content_type)), body, returns)


def form_fields(body: Mapping[str, Any], suffix: str = "[]") -> list[tuple[str, str]]:
    """Return the fields of a JSON body as those of a form: lists as ``name[]``, objects as ``name[key]``.

    That is how OpenAI's SDK writes them, and what its API reads. ``suffix`` is what follows the name of a list.
    """
    return [pair for name, value in body.items() for pair in _form_pairs(name, value, suffix)]


def _form_pairs(name: str, value: Any, suffix: str) -> list[tuple[str, str]]:
    match value:
        case None:
            return []
        case bool():
            return [(name, "true" if value else "false")]
        case Mapping():
            return [pair for key, inner in value.items() for pair in _form_pairs(f"{name}[{key}]", inner, suffix)]
        case list() | tuple():
            return [pair for inner in value for pair in _form_pairs(name + suffix, inner, suffix)]
        case _:
            return [(name, str(value))]


def get(path: str, target: Target, *, returns: Returns = "json") -> WireRequest:
    """Return a request without a body."""
    return WireRequest("GET", target.base_url + path, headers(target, _accept(returns)), returns=returns)


def headers(target: Target, *ours: tuple[str, str]) -> tuple[tuple[str, str], ...]:
    """Return the headers of a request, names in lower case; headers that the user set take precedence."""
    merged = dict(ours)
    if target.key is not None:
        name = target.quirks.key_header
        key = target.key.reveal()
        merged |= {name.lower(): key} if name else {"authorization": f"Bearer {key}"}
    if (of_app := target.quirks.app_headers) and not names_an_application(target.headers):
        merged |= {name.lower(): value for name, value in of_app.items()}
    merged |= {name.lower(): value for name, value in target.headers.items()}
    return tuple(merged.items())


def without_version_path(target: Target, *versions: str) -> Target:
    """Return the target with these suffixes removed from its base URL, for formats whose own paths contain the version.

    Users give the base URL of one server with the path of its OpenAI-compatible API, or without.
    """
    base = target.base_url
    for version in versions:
        base = base.removesuffix(version)
    return target if base == target.base_url else replace(target, base_url=base)


def effective(request: LLMRequest | EmbeddingRequest, name: str, target: Target) -> Any:
    """Return a field of the request, or the target's default for it; None where neither sets it."""
    value = getattr(request, name)
    if value is None or value == ():
        value = target.defaults.get(name)
    return None if value == () else value


def takes(name: str, target: Target) -> bool:
    """Return whether a setting of a request can be sent to a target: by its format, and by its quirks."""
    return name not in target.quirks.drop and name not in NOT_IN_FORMAT.get(target.format, ())


def sendable_stops(texts: tuple[str, ...], target: Target) -> tuple[str, ...]:
    """Return the stop sequences that can be sent to a target; the client applies the others itself."""
    if not takes("stop", target):
        return ()
    if target.format == "anthropic":  # which refuses those of white space (github.com/simonw/llm-claude-3/issues/4)
        return tuple(text for text in texts if text.strip())
    return texts


def apply_quirks(fields: Mapping[str, Any], target: Target) -> dict[str, Any]:
    """Apply the target's quirks ``drop`` and ``rename`` to the fields of a body."""
    dropped, renamed = target.quirks.drop, target.quirks.rename
    kept: dict[str, Any] = {}
    for name, value in fields.items():
        if name in dropped:
            report_dropped(name, target.name, "which does not take it")
        else:
            kept[renamed.get(name, name)] = value
    return kept


def log_dropped(names: Iterable[str], request: LLMRequest, target: Target) -> None:
    """Log which of these fields are set but not sent, because the format has no such fields."""
    for name in names:
        if effective(request, name, target) is not None:
            report_dropped(name, target.name, "whose format has no such field")


def with_reasoning_drops(fields: Mapping[str, Any], target: Target) -> Target:
    """Return the target with ``drop_reasoning`` added to its ``drop``, if the model is going to reason."""
    refused = target.quirks.drop_reasoning
    effort = fields.get("reasoning_effort")
    will_reason = target.quirks.reasons_unasked if effort is None else effort != "none"
    if not refused or not will_reason:
        return target
    dropped = target.quirks.drop | refused
    return replace(target, quirks=replace(target.quirks, drop=dropped))


def prompt_to_continue(request: LLMRequest) -> str:
    """Return the text of the last message, to be continued without a chat template.

    Raises:
        ValidationError: The last message is not plain text, or the request has tools.
    """
    last = request.messages[-1].content if request.messages else ""
    if not last or not is_text(last):
        raise ValidationError("as_text continues the text of the last message: it has to have one, and nothing else.")
    if request.tools:
        raise ValidationError("as_text continues a text, in which no tools can be called: leave out tools, or as_text.")
    return text_of(last)


def function_of(tool: Tool) -> dict[str, Any]:
    """Return name, description and parameters of a tool in the format of OpenAI, Cohere and Ollama."""
    description = {"description": tool.description} if tool.description else {}
    return {"name": tool.name, **description, "parameters": object_schema(tool.parameters)}


def tool_fields(
    request: LLMRequest, target: Target, write: Callable[[Tool], Mapping[str, Any]], choose: Callable[[str], Any]
) -> dict[str, Any]:
    """Return ``tools``, ``tool_choice`` and ``parallel_tool_calls`` for either of OpenAI's formats.

    Providers reject the other two without tools, so a request without tools gets none of them.

    Args:
        request: The request.
        target: Its quirks list the choices that it does not accept.
        write: Writes a tool in the format.
        choose: Writes the choice of one tool that must be called.
    """
    choice, refused = request.tool_choice, target.quirks.drop
    if not request.tools or (choice == "none" and "tool_choice.none" in refused):
        return {}
    fields: dict[str, Any] = {"tools": [write(tool) for tool in request.tools]}
    chosen_tools = [tool for tool in request.tools if tool.name == choice]
    if choice in {"auto", "none", "required"}:
        fields["tool_choice"] = choice
    elif choice is not None and chosen_tools and is_custom(chosen_tools[0]):
        fields["tool_choice"] = custom_choice(choose(choice))
    elif choice is not None and chosen_tools and chosen_tools[0].builtin is not None:
        fields["tool_choice"] = {"type": chosen_tools[0].builtin.get("type", choice)}
    elif choice is not None:
        fields["tool_choice"] = choose(choice)
    if isinstance(fields.get("tool_choice"), dict) and "tool_choice.function" in refused:
        # With only this tool offered, "required" forces a call of it.
        fields |= {"tools": [write(tool) for tool in chosen_tools] or fields["tools"], "tool_choice": "required"}
    parallel = effective(request, "parallel_tool_calls", target)
    return fields if parallel is None else {**fields, "parallel_tool_calls": parallel}


# Names of image types in use besides the registered ones, which alone every API accepts.
_MEDIA_TYPES: Final[Mapping[str, str]] = {
    "image/jpg": "image/jpeg",
    "image/pjpeg": "image/jpeg",
    "image/x-png": "image/png",
}


def registered_type(media_type: str) -> str:
    """Return the registered name of a media type."""
    return _MEDIA_TYPES.get(media_type.lower(), media_type)


def image_url(image: ImagePart) -> dict[str, Any]:
    """Return an image in the format of OpenAI and Cohere."""
    url = image.url if image.data is None else data_url(image.data, registered_type(image.media_type))
    return {"url": url} if image.detail is None else {"url": url, "detail": image.detail}


def file_data(file: FilePart) -> dict[str, Any]:
    """Return name and data of a file for either of OpenAI's formats, which require a name."""
    extension = mimetypes.guess_extension(file.media_type) or ""
    data = file.url if file.data is None else data_url(file.data, file.media_type)
    return {"filename": file.filename or f"document{extension}", "file_data": data}


def check_builtin_tool(name: str, tool: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return a provider's built-in tool unchanged, checked to be in one of OpenAI's formats.

    Raises:
        ValidationError: The tool is written for another format.
    """
    kind = tool.get("type")
    # Gemini's tools have no type, or one that it alone has; the types of Anthropic's contain a date.
    if not isinstance(kind, str) or re.search(r"_20\d{6}$", kind) or is_gemini_alone(kind):
        raise ValidationError(f"The tool {name} is written for the format of another provider.")
    return tool


def sanitised_name(name: str) -> str:
    """Return a name that OpenAI accepts for participants and schemas: at most 64 letters, digits, ``_`` and ``-``."""
    return re.sub(r"[^a-zA-Z0-9_-]", "_", name)[:64]


def unserialisable_path(value: object, path: str = "", depth: int = 0) -> str:
    """Return the path of the value in a body that has no JSON form, such as ``messages[0].content``."""
    children: list[tuple[str, object]] = []
    if isinstance(value, Mapping):
        fields = cast("Mapping[object, object]", value)
        children = [(f"{path}.{name}".lstrip("."), child) for name, child in fields.items()]
    elif isinstance(value, (list, tuple)):
        items = cast("Sequence[object]", value)
        children = [(f"{path}[{index}]", child) for index, child in enumerate(items)]
    for child_path, child in children:
        try:
            dump(child)
        except JSONError:
            return unserialisable_path(child, child_path, depth + 1) if depth < _MAX_DEPTH else child_path
    return path or "The request"
