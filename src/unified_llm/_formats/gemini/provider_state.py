"""Opaque provider state: Gemini's thought signatures, each on the part that it came with.

A signature belongs to one part of an answer, and parts must not be joined or split, while a ``Message`` has one text
and a list of calls. So the state records how the answer was divided into parts, without its text: lengths, call ids,
signatures, and parts that have no counterpart here (code that Gemini ran itself). Users edit histories, so a digest
shows whether the text is unchanged; if it was changed, only the signatures of calls are used.
Source: https://ai.google.dev/gemini-api/docs/generate-content/thought-signatures.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any, Final

from unified_llm._core.target import Target
from unified_llm._formats import response_fields
from unified_llm._formats.history import arguments_object
from unified_llm._formats.json_values import is_list, is_object, object_or_empty, text_or_none
from unified_llm._lib.bounded_json import size_of_value
from unified_llm.types.messages import Message, ProviderState, ToolCall

# For calls that another model made, where a model demands a signature: documented in the page above (FAQs).
SKIP_VALIDATION: Final = "skip_thought_signature_validator"


class Layout:
    """Record of how an answer was divided into parts, filled as the parts arrive."""

    __slots__ = ("_pieces", "size")

    def __init__(self) -> None:
        self._pieces: list[dict[str, Any]] = []
        self.size = 0  # bytes, roughly

    def add_text(self, length: int, signature: str | None) -> None:
        """Add a part with ``length`` characters of the text."""
        last = self._pieces[-1] if self._pieces else {}
        if signature is None and "text" in last and "signature" not in last:
            last["text"] += length
        elif length or signature:
            self._add({"text": length}, signature)

    def add_call(self, identifier: str, signature: str | None) -> None:
        """Add a part with a function call."""
        self._add({"call": identifier}, signature)

    def add_part(self, part: Mapping[str, Any]) -> None:
        """Add a part that is sent back unchanged."""
        self._add({"part": dict(part)})

    def _add(self, piece: dict[str, Any], signature: str | None = None) -> None:
        piece = {**piece, "signature": signature} if signature else piece
        self._pieces.append(piece)
        self.size += size_of_value(piece)

    def keep_state(self, content: str, target: Target) -> ProviderState | None:
        """Return the state to send back; None if the answer has only text and calls without signatures."""
        if not any("signature" in piece or "part" in piece for piece in self._pieces):
            return None
        return response_fields.keep_state({"content": _digest(content), "pieces": self._pieces}, target)


def write_answer(message: Message, target: Target) -> list[dict[str, Any]]:
    """Write the parts of an earlier answer, as Gemini sent them if they were recorded and the text is unchanged."""
    state = message.provider_state.restore(target.provider, target.format) if message.provider_state else None
    provider_state = object_or_empty(state)
    pieces = (
        [piece for piece in provider_state["pieces"] if is_object(piece)]
        if is_list(provider_state.get("pieces"))
        else []
    )
    if provider_state.get("content") == _digest(message.text) and _fits(pieces, message):
        return _restore_parts(pieces, message)
    signatures = {text_or_none(piece.get("call")): _signature(piece) for piece in pieces}
    text = [{"text": message.text}] if message.text.strip() else []
    return [*text, *(_with_signature(_write_call(call), signatures.get(call.id)) for call in message.tool_calls)]


def _fits(pieces: Sequence[dict[str, Any]], message: Message) -> bool:
    lengths = [piece["text"] for piece in pieces if "text" in piece]
    valid = all(type(length) is int and length >= 0 for length in lengths)
    call_ids = [piece["call"] for piece in pieces if "call" in piece]
    return valid and sum(lengths) == len(message.text) and call_ids == [call.id for call in message.tool_calls]


def _restore_parts(pieces: Sequence[dict[str, Any]], message: Message) -> list[dict[str, Any]]:
    written: list[dict[str, Any]] = []
    calls, start = iter(message.tool_calls), 0
    for piece in pieces:
        if "text" in piece:
            end = start + piece["text"]
            written.append(_with_signature({"text": message.text[start:end]}, _signature(piece)))
            start = end
        elif "call" in piece:
            written.append(_with_signature(_write_call(next(calls)), _signature(piece)))
        elif is_object(piece.get("part")):
            written.append(piece["part"])
    return written


def _write_call(call: ToolCall) -> dict[str, Any]:
    """Write a call without its signature; invalid JSON arguments are sent as the model wrote them."""
    arguments = arguments_object(call, "arguments")
    fields = {"id": call.id, "name": call.name} if call.id else {"name": call.name}
    return {"functionCall": {**fields, "args": arguments}}


def _with_signature(part: dict[str, Any], signature: str | None) -> dict[str, Any]:
    return {**part, "thoughtSignature": signature} if signature else part


def _signature(piece: Mapping[str, Any]) -> str | None:
    return text_or_none(piece.get("signature"))


def _digest(content: str) -> str:
    return hashlib.sha256(content.encode(errors="replace")).hexdigest()[:16]
