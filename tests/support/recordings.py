"""Every recorded answer and error of every format, where it came from, and ways to spoil it."""

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
from unified_llm._formats.make_codec import codec_for
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

_WIRE = Path(__file__).parent.parent / "fixtures"
# Where the recordings of a format are, if it is read as another one is.
_ALSO = {"azure": ("openai_chat",), "huggingface": ("openai_chat",), "azure_responses": ("openai_responses",)}

CHAT = LLMRequest((Message.user("Hello"),))
ASKS: tuple[AnyRequest, ...] = (
    CHAT,
    EmbeddingRequest(("a", "b")),
    ModelsRequest(),
    ModelRequest(),
    CountRequest(CHAT),
    RerankRequest("q", tuple("abcdefgh")),
)
DEEP: Any = {"a": [[[[{"b": [{}]}]]]]}
SPOILT: tuple[Any, ...] = (
    "x" * 5000, None, True, 0, -1, 2**70, 10**400, 1.5, float("inf"), "", "x", [], [None, 1, "x", {}], {}, DEEP,
)  # fmt: skip
MISSING = object()


@dataclass(frozen=True)
class Place:
    """A target, its codec, and what it was recorded to say."""

    target: Target
    codec: Codec

    @property
    def name(self) -> str:
        return f"{self.target.provider} in {self.target.format}"

    def decoder(self) -> Decoder:
        return self.codec.decoder(replace(CHAT, stream=True), self.target)


def place(row: ProviderSpec, api: str | None = None, model: str = "some-model", **fields: Any) -> Place:
    """As the client would resolve it."""
    facts = registry.model_profile(row, model, api)
    target = Target(
        row.name, model, facts.format, row.base_url or "https://example.test/v1", Secret(CANARY, "a test"), row.headers,
        features=facts.features, quirks=facts.quirks, max_output=facts.max_output, reasoning=facts.reasoning,
    )  # fmt: skip
    return Place(replace(target, **fields), codec_for(facts.format))


@cache
def places() -> tuple[Place, ...]:
    """Every row in every format that it speaks."""
    found = [place(row, api) for row in registry.ROWS if row.format != "mlx" for api in (None, *row.apis)]
    named = {each.name: each for each in found}
    return (*named.values(), place(registry.row("azure"), api_version="2024-10-21"))


@cache
def places_of(wire: str) -> tuple[Place, ...]:
    """Of the rows in one format the first, and those whose quirks matter for what is read."""
    first, *others = (each for each in places() if each.target.format == wire)
    return (first, *[other for other in others if _reads_otherwise(other.target.quirks)][:3])


def _reads_otherwise(quirks: Quirks) -> bool:
    return bool(quirks.reasoning_details or quirks.reasoning_apart or quirks.codes)


def _read(folder: str) -> Iterator[tuple[str, Any]]:
    for path in sorted((_WIRE / folder).glob("*.json")):
        yield f"{folder}/{path.stem}", json.loads(path.read_text(encoding="utf-8"))


@cache
def recorded(wire: str) -> tuple[tuple[str, Any], ...]:
    """The recordings of a format, by name; of the rows, one for each thing that was recorded."""
    found = [pair for folder in (wire, *_ALSO.get(wire, ())) for pair in _read(folder)]
    if wire == "openai_chat":
        for name, row in _read("rows"):
            found += [(f"{name}:{part}", case) for part, case in row.items() if isinstance(case, dict)]
    return tuple(found)


def bodies(wire: str) -> list[tuple[str, Any]]:
    return [(name, case["body"]) for name, case in recorded(wire) if "body" in case]


def streams(wire: str) -> list[tuple[str, list[Any]]]:
    """The recorded answers in pieces, and those of the format that it is read as."""
    return [(name, case["events"]) for name, case in recorded(wire) if "expect" in case and "events" in case]


def refusals(wire: str) -> list[tuple[int, Any]]:
    """The recorded errors: a status, and a body."""
    cases = [each for _, case in recorded(wire) for each in case.get("cases", ())]
    return [(each["status"], each["body"]) for each in cases if "status" in each]


def whole(wire: str, events: Sequence[Any]) -> Any:
    """The body that the provider would have sent in one piece in place of these events."""
    if wire == "anthropic":
        return _whole_message(events)
    if wire == "ollama":
        return _whole_lines(events)
    response = events[-1]["response"]  # not all servers repeat in it what they have streamed
    items = [each["item"] for each in events if each["type"] == "response.output_item.done"]
    return {**response, "output": response["output"] or items}


def _whole_message(events: Sequence[Any]) -> Any:
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
                ((name, said),) = (pair for pair in delta.items() if pair[0] != "type")
                name = "written" if name == "partial_json" else name
                blocks[-1][name] = (blocks[-1].get(name) or "") + said
            case "message_delta":
                message |= delta
                message["usage"] = {**message.get("usage", {}), **event["usage"]}
            case _:
                pass
    for block in message["content"]:
        if text := block.pop("written"):
            block["input"] = json.loads(text)
    return message


def _whole_lines(events: Sequence[Any]) -> Any:
    *_, last = events
    messages = [each.get("message", each) for each in events]
    name = "content" if "message" in last else "response"
    said = {part: "".join(each.get(part) or "" for each in messages) for part in (name, "thinking")}
    calls = [call for each in messages for call in each.get("tool_calls") or ()]
    logprobs = [token for each in events for token in each.get("logprobs") or ()]
    answer = {**last, "logprobs": logprobs}
    return {**answer, "message": {**said, "tool_calls": calls}} if name == "content" else {**answer, **said}


def spots(value: Any) -> Iterator[tuple[Any, Any]]:
    """Every place inside of a JSON value: the object or list, and the key or index."""
    items: Iterable[tuple[Any, Any]] = ()
    if isinstance(value, dict):
        items = list(value.items())
    elif isinstance(value, list):
        items = list(enumerate(value))
    for key, inner in items:
        yield value, key
        yield from spots(inner)


class Spoilt:
    """A recording with one value in it replaced, or taken away; as it was afterwards."""

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


def text_of(event: Any) -> str:
    return event if isinstance(event, str) else json.dumps(event)


def named(event: Any, text: str | None = None) -> ServerSentEvent:
    """An event as a server would name it."""
    kind = event.get("type") if isinstance(event, dict) else None
    return ServerSentEvent(text_of(event) if text is None else text, kind if isinstance(kind, str) else "message")


def written(codec: Codec, events: Sequence[Any]) -> bytes:
    """A stream as it comes over the network."""
    if codec.framing == "lines":
        return "".join(f"{text_of(each)}\n" for each in events).encode()
    return "".join(f"event: {named(each).event}\ndata: {text_of(each)}\n\n" for each in events).encode()


def split(codec: Codec, pieces: Iterable[bytes]) -> Iterator[ServerSentEvent]:
    splitter = LineSplitter() if codec.framing == "lines" else SSESplitter()
    for piece in pieces:
        yield from splitter.feed(piece)
    yield from splitter.close()


def ends(event: Any) -> bool:
    """Whether an event of any format says that, or why, the answer has ended."""
    if not isinstance(event, dict):
        return "[DONE]" in event
    delta: Any = event.get("delta")
    listed = [*(event.get("choices") or ()), *(event.get("candidates") or ())]
    return bool(
        event.get("done") is True
        or event.get("type") in {"message_stop", "message-end"}
        or str(event.get("type")) in {f"response.{how}" for how in ("completed", "incomplete", "failed", "cancelled")}
        or (isinstance(delta, dict) and delta.get("stop_reason"))
        or any(each.get("finish_reason") or each.get("finishReason") for each in listed if isinstance(each, dict))
    )
