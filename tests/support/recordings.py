"""Recorded responses and errors of every format, the targets that sent them, and ways to corrupt them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from copy import deepcopy
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

from tests.support.codec_checks import CANARY
from unified_llm._core.api_key import Secret
from unified_llm._core.codec import AnyRequest, Codec, Decoder
from unified_llm._core.quirks import Quirks
from unified_llm._core.target import Target
from unified_llm._formats.codecs import codec_for
from unified_llm._lib.ndjson import LineSplitter
from unified_llm._lib.sse import ServerSentEvent, SSESplitter
from unified_llm._providers import registry
from unified_llm._providers.spec import ProviderSpec
from unified_llm.types import (
    CountRequest,
    EmbeddingRequest,
    LLMRequest,
    Message,
    ModelRequest,
    ModelsRequest,
    RerankRequest,
)

_FIXTURES = Path(__file__).parent.parent / "fixtures"
# Formats whose responses are those of another format.
_SAME_FORMAT = {"azure": ("openai_chat",), "huggingface": ("openai_chat",), "azure_responses": ("openai_responses",)}

CHAT = LLMRequest((Message.user("Hello"),))
REQUESTS: tuple[AnyRequest, ...] = (
    CHAT,
    EmbeddingRequest(("a", "b")),
    ModelsRequest(),
    ModelRequest(),
    CountRequest(CHAT),
    RerankRequest("q", tuple("abcdefgh")),
)
DEEP: Any = {"a": [[[[{"b": [{}]}]]]]}
CORRUPT_VALUES: tuple[Any, ...] = (
    "x" * 5000, None, True, 0, -1, 2**70, 10**400, 1.5, float("inf"), "", "x", [], [None, 1, "x", {}], {}, DEEP,
)  # fmt: skip
MISSING = object()


@dataclass(frozen=True)
class RecordedTarget:
    """A target and its codec."""

    target: Target
    codec: Codec

    @property
    def name(self) -> str:
        return f"{self.target.provider} in {self.target.format}"

    def decoder(self) -> Decoder:
        return self.codec.decoder(replace(CHAT, stream=True), self.target)


def recorded_target(
    row: ProviderSpec, api: str | None = None, model: str = "some-model", **fields: Any
) -> RecordedTarget:
    """Return a target as the client would resolve it."""
    profile = registry.model_profile(row, model, api)
    target = Target(
        row.name, model, profile.format, row.base_url or "https://example.test/v1", Secret(CANARY, "a test"),
        row.headers, features=profile.features, quirks=profile.quirks, max_output=profile.max_output,
        reasoning=profile.reasoning,
    )  # fmt: skip
    return RecordedTarget(replace(target, **fields), codec_for(profile.format))


@cache
def all_targets() -> tuple[RecordedTarget, ...]:
    """Return a target for every row of the provider table in every format that it has."""
    targets = [recorded_target(row, api) for row in registry.ROWS if row.format != "mlx" for api in (None, *row.apis)]
    by_name = {target.name: target for target in targets}
    return (*by_name.values(), recorded_target(registry.row("azure"), api_version="2024-10-21"))


@cache
def targets_of(format_name: str) -> tuple[RecordedTarget, ...]:
    """Return the first target of a format, and up to three whose quirks change how responses are read."""
    first, *others = (entry for entry in all_targets() if entry.target.format == format_name)
    return (first, *[other for other in others if _changes_decoding(other.target.quirks)][:3])


def _changes_decoding(quirks: Quirks) -> bool:
    return bool(quirks.reasoning_details or quirks.reasoning_apart or quirks.codes)


def _read(folder: str) -> Iterator[tuple[str, Any]]:
    for path in sorted((_FIXTURES / folder).glob("*.json")):
        yield f"{folder}/{path.stem}", json.loads(path.read_text(encoding="utf-8"))


@cache
def recorded(format_name: str) -> tuple[tuple[str, Any], ...]:
    """Return the recordings of a format, by name; of a fixture of a row, one for each part."""
    recordings = [pair for folder in (format_name, *_SAME_FORMAT.get(format_name, ())) for pair in _read(folder)]
    if format_name == "openai_chat":
        for name, row in _read("rows"):
            recordings += [(f"{name}:{part}", case) for part, case in row.items() if isinstance(case, dict)]
    return tuple(recordings)


def bodies(format_name: str) -> list[tuple[str, Any]]:
    return [(name, case["body"]) for name, case in recorded(format_name) if "body" in case]


def streams(format_name: str) -> list[tuple[str, list[Any]]]:
    """Return the recorded streams, with those of the format that has the same responses."""
    return [(name, case["events"]) for name, case in recorded(format_name) if "expect" in case and "events" in case]


def error_cases(format_name: str) -> list[tuple[int, Any]]:
    """Return the recorded errors: status and body."""
    cases = [error for _, case in recorded(format_name) for error in case.get("cases", ())]
    return [(error["status"], error["body"]) for error in cases if "status" in error]


def whole_body(format_name: str, events: Sequence[Any]) -> Any:
    """Return the whole response that is equivalent to these events."""
    if format_name == "anthropic":
        return _merge_anthropic_events(events)
    if format_name == "ollama":
        return _merge_ollama_lines(events)
    response = events[-1]["response"]  # not all servers repeat in it what they have streamed
    items = [event["item"] for event in events if event["type"] == "response.output_item.done"]
    return {**response, "output": response["output"] or items}


def _merge_anthropic_events(events: Sequence[Any]) -> Any:
    message: dict[str, Any] = {"content": []}
    for event in events:
        blocks, delta = message["content"], event.get("delta", {})
        match event["type"]:
            case "message_start":
                message |= deepcopy(event["message"])
            case "content_block_start":
                blocks.append({**event["content_block"], "written": ""})
            case "content_block_delta" if delta["type"] == "citations_delta":
                blocks[-1]["citations"] = [*(blocks[-1].get("citations") or ()), delta["citation"]]
            case "content_block_delta":
                ((name, fragment),) = (pair for pair in delta.items() if pair[0] != "type")
                name = "written" if name == "partial_json" else name
                blocks[-1][name] = (blocks[-1].get(name) or "") + fragment
            case "message_delta":
                message |= delta
                message["usage"] = {**message.get("usage", {}), **event["usage"]}
            case _:
                pass
    for block in message["content"]:
        if text := block.pop("written"):
            block["input"] = json.loads(text)
    return message


def _merge_ollama_lines(events: Sequence[Any]) -> Any:
    *_, last = events
    messages = [event.get("message", event) for event in events]
    name = "content" if "message" in last else "response"
    fields = {part: "".join(message.get(part) or "" for message in messages) for part in (name, "thinking")}
    calls = [call for message in messages for call in message.get("tool_calls") or ()]
    logprobs = [token for event in events for token in event.get("logprobs") or ()]
    answer = {**last, "logprobs": logprobs}
    return {**answer, "message": {**fields, "tool_calls": calls}} if name == "content" else {**answer, **fields}


def positions(value: Any) -> Iterator[tuple[Any, Any]]:
    """Yield every position inside of a JSON value: the object or list, and the key or index."""
    items: Iterable[tuple[Any, Any]] = ()
    if isinstance(value, dict):
        items = list(value.items())
    elif isinstance(value, list):
        items = list(enumerate(value))
    for key, inner in items:
        yield value, key
        yield from positions(inner)


class Corrupted:
    """Context in which one value of a recording is replaced or removed; it is restored afterwards."""

    def __init__(self, holder: Any, key: Any, value: Any) -> None:
        self._holder, self._key, self._value = holder, key, value
        self._before = dict(holder) if isinstance(holder, dict) else list(holder)

    def __enter__(self) -> None:
        if self._value is MISSING:
            del self._holder[self._key]
        else:
            self._holder[self._key] = self._value

    def __exit__(self, *_: object) -> None:
        self._holder.clear()
        if isinstance(self._holder, dict):
            self._holder.update(self._before)
        else:
            self._holder.extend(self._before)


def event_text(event: Any) -> str:
    return event if isinstance(event, str) else json.dumps(event)


def as_event(event: Any, text: str | None = None) -> ServerSentEvent:
    """Return an event with the name that a server would give it."""
    kind = event.get("type") if isinstance(event, dict) else None
    return ServerSentEvent(event_text(event) if text is None else text, kind if isinstance(kind, str) else "message")


def encode_stream(codec: Codec, events: Sequence[Any]) -> bytes:
    """Return the bytes of a stream."""
    if codec.framing == "lines":
        return "".join(f"{event_text(event)}\n" for event in events).encode()
    return "".join(f"event: {as_event(event).event}\ndata: {event_text(event)}\n\n" for event in events).encode()


def split_events(codec: Codec, pieces: Iterable[bytes]) -> Iterator[ServerSentEvent]:
    splitter = LineSplitter() if codec.framing == "lines" else SSESplitter()
    for piece in pieces:
        yield from splitter.feed(piece)
    yield from splitter.close()


def is_end(event: Any) -> bool:
    """Return whether an event of any format ends the response, or has its finish reason."""
    if not isinstance(event, dict):
        return "[DONE]" in event
    delta: Any = event.get("delta")
    listed = [*(event.get("choices") or ()), *(event.get("candidates") or ())]
    return bool(
        event.get("done") is True
        or event.get("type") in {"message_stop", "message-end"}
        or str(event.get("type")) in {f"response.{how}" for how in ("completed", "incomplete", "failed", "cancelled")}
        or (isinstance(delta, dict) and delta.get("stop_reason"))
        or any(
            choice.get("finish_reason") or choice.get("finishReason") for choice in listed if isinstance(choice, dict)
        )
    )
