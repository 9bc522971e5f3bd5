"""What Gemini wants back with an answer: the signatures of its thoughts, each on the part that it came with.

A signature belongs to one part of an answer, and parts must not be joined or split, while a ``Message`` holds one text
and a list of calls. So what is sealed is how the answer was cut into parts, without its text: lengths, identifiers of
calls, signatures, and the parts that have no counterpart here (code that Gemini ran itself). Histories are edited, so
a digest says whether the text is still the same; where it is not, only the calls' signatures are kept.
Source: https://ai.google.dev/gemini-api/docs/generate-content/thought-signatures.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any, Final

from unified_llm._core.target import Target
from unified_llm._formats import response_fields
from unified_llm._formats.json_values import is_list, is_object, object_or_empty, text_or_none
from unified_llm.types.messages import Message, ProviderState, ToolCall

# For calls that another model made: documented in the page above (FAQs), for models that demand a signature.
SKIP_VALIDATION: Final = "skip_thought_signature_validator"


class Layout:
    """How an answer was cut into parts, written down as they come."""

    __slots__ = ("_pieces",)

    def __init__(self) -> None:
        """Nothing has come yet."""
        self._pieces: list[dict[str, Any]] = []

    def text(self, length: int, signature: str | None) -> None:
        """A part with so many characters of the text."""
        last = self._pieces[-1] if self._pieces else {}
        if signature is None and "text" in last and "signature" not in last:
            last["text"] += length
        elif length or signature:
            self._add({"text": length}, signature)

    def call(self, identifier: str, signature: str | None) -> None:
        """A part with a function call."""
        self._add({"call": identifier}, signature)

    def other(self, part: Mapping[str, Any]) -> None:
        """A part that goes back as it is."""
        self._add({"part": dict(part)})

    def _add(self, piece: dict[str, Any], signature: str | None = None) -> None:
        self._pieces.append({**piece, "signature": signature} if signature else piece)

    def keep_state(self, content: str, target: Target) -> ProviderState | None:
        """What is to be sealed; None where nothing but text and calls came."""
        if not any("signature" in piece or "part" in piece for piece in self._pieces):
            return None
        return response_fields.keep_state({"content": _digest(content), "pieces": self._pieces}, target)


def write_answer(message: Message, target: Target) -> list[dict[str, Any]]:
    """The parts of an earlier answer: as it was cut, if that is known and it has not been changed since."""
    opened = message.provider_state.restore(target.provider, target.format) if message.provider_state else None
    provider_state = object_or_empty(opened)
    pieces = (
        [piece for piece in provider_state["pieces"] if is_object(piece)]
        if is_list(provider_state.get("pieces"))
        else []
    )
    if provider_state.get("content") == _digest(message.text) and _fit(pieces, message):
        return _as_cut(pieces, message)
    signatures = {text_or_none(piece.get("call")): _signature(piece) for piece in pieces}
    text = [{"text": message.text}] if message.text else []
    return [*text, *(_signed(_call(call), signatures.get(call.id)) for call in message.tool_calls)]


def _fit(pieces: Sequence[dict[str, Any]], message: Message) -> bool:
    lengths = [piece["text"] for piece in pieces if "text" in piece]
    known = all(type(length) is int and length >= 0 for length in lengths)
    called = [piece["call"] for piece in pieces if "call" in piece]
    return known and sum(lengths) == len(message.text) and called == [call.id for call in message.tool_calls]


def _as_cut(pieces: Sequence[dict[str, Any]], message: Message) -> list[dict[str, Any]]:
    written: list[dict[str, Any]] = []
    calls, start = iter(message.tool_calls), 0
    for piece in pieces:
        if "text" in piece:
            end = start + piece["text"]
            written.append(_signed({"text": message.text[start:end]}, _signature(piece)))
            start = end
        elif "call" in piece:
            written.append(_signed(_call(next(calls)), _signature(piece)))
        elif is_object(piece.get("part")):
            written.append(piece["part"])
    return written


def _call(call: ToolCall) -> dict[str, Any]:
    """A call without its signature. Arguments that were no JSON are shown as the model wrote them."""
    arguments = {"arguments": call.raw_arguments} if call.error else call.arguments
    named = {"id": call.id, "name": call.name} if call.id else {"name": call.name}
    return {"functionCall": {**named, "args": arguments}}


def _signed(part: dict[str, Any], signature: str | None) -> dict[str, Any]:
    return {**part, "thoughtSignature": signature} if signature else part


def _signature(piece: Mapping[str, Any]) -> str | None:
    return text_or_none(piece.get("signature"))


def _digest(content: str) -> str:
    return hashlib.sha256(content.encode(errors="replace")).hexdigest()[:16]
