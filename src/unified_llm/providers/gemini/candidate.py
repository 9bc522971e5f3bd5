"""One of the answers to a prompt, read part by part: the same for whole answers and for streams."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from typing import Any, Final

from unified_llm.jsonx import finite
from unified_llm.messages import ToolCall, ToolCallChunk
from unified_llm.outcome import Failure, FailureKind
from unified_llm.providers.calls import Identifiers
from unified_llm.providers.gemini.sealing import Layout
from unified_llm.providers.shapes import is_list, is_object, json_text, object_or_empty, text_or_none
from unified_llm.target import Target
from unified_llm.types import FinishReason, LLMChunk, TokenLogprob

log = logging.getLogger("unified_llm")

_FINISH: Final[Mapping[str, FinishReason]] = {
    "STOP": "stop",
    "MAX_TOKENS": "length",
    "CONTINUATION": "length",
    "SAFETY": "content_filter",
    "RECITATION": "content_filter",
    "LANGUAGE": "content_filter",
    "BLOCKLIST": "content_filter",
    "PROHIBITED_CONTENT": "content_filter",
    "SPII": "content_filter",
    "MODEL_ARMOR": "content_filter",
    "ESCALATION": "content_filter",
    "IMAGE_SAFETY": "content_filter",
    "IMAGE_PROHIBITED_CONTENT": "content_filter",
    "IMAGE_RECITATION": "content_filter",
}
# Reasons that end no answer: what the model wrote could not be read, or the request should not have been answered.
_BROKEN_OFF: Final[Mapping[str, FailureKind]] = {
    "MALFORMED_FUNCTION_CALL": "invalid",
    "UNEXPECTED_TOOL_CALL": "invalid",
    "TOO_MANY_TOOL_CALLS": "invalid",
    "MALFORMED_RESPONSE": "malformed",
    "MISSING_THOUGHT_SIGNATURE": "bad_request",
    "PUP_LIMITED_DISABLED": "permission",  # the account is limited or disabled
}


class Candidate:
    """What has come of one answer.

    Attributes:
        calls: The functions it wants to call.
        layout: How it was cut into parts.
        spoke: Whether anything came at all, pictures and the like included.
    """

    __slots__ = ("_content", "_identifiers", "_reasoning", "calls", "layout", "spoke")

    def __init__(self) -> None:
        """Nothing has come yet."""
        self._content: list[str] = []
        self._reasoning: list[str] = []
        self._identifiers = Identifiers()
        self.calls: list[ToolCall] = []
        self.layout = Layout()
        self.spoke = False

    @property
    def content(self) -> str:
        """The text so far."""
        return "".join(self._content)

    @property
    def reasoning(self) -> str | None:
        """The visible thoughts so far."""
        return "".join(self._reasoning) or None

    def read(self, candidate: Mapping[str, Any], response_id: str | None) -> Iterator[LLMChunk]:
        """Its next parts, as chunks."""
        parts = object_or_empty(candidate.get("content")).get("parts")
        for part in parts if is_list(parts) else ():
            chunk = self._part(part, response_id) if is_object(part) else None
            if chunk is not None:
                yield chunk

    def _part(self, part: dict[str, Any], response_id: str | None) -> LLMChunk | None:
        signature = text_or_none(part.get("thoughtSignature"))
        text = part["text"] if isinstance(part.get("text"), str) else None
        if is_object(part.get("functionCall")):
            return self._call(part["functionCall"], signature, response_id)
        if text is not None and part.get("thought") is True:
            if signature:
                self.layout.other(part)
            return self._thought(text)
        if text is not None:
            self.layout.text(len(text), signature)
            return self._text(text)
        self.spoke = True
        if "inlineData" not in part:  # what was drawn or spoken is not sent back
            self.layout.other(part)
        return None

    def _thought(self, text: str) -> LLMChunk | None:
        self._reasoning.append(text)
        self.spoke = self.spoke or bool(text)
        return LLMChunk(reasoning=text) if text else None

    def _text(self, text: str) -> LLMChunk | None:
        self._content.append(text)
        self.spoke = self.spoke or bool(text)
        return LLMChunk(content=text) if text else None

    def _call(self, said: dict[str, Any], signature: str | None, response_id: str | None) -> LLMChunk:
        number = len(self.calls)
        # Models before the third generation name no calls; the answer's own name keeps ours apart from other answers'.
        made = f"call_{response_id}_{number}" if response_id else None
        identifier, name = self._identifiers.take(said.get("id"), made), text_or_none(said.get("name")) or ""
        call = ToolCall.from_text(identifier, name, json_text(said.get("args") or {}))
        self.calls.append(call)
        self.layout.call(call.id, signature)
        self.spoke = True
        return LLMChunk(tool_calls=(ToolCallChunk(number, call.id, call.name, call.raw_arguments),))


def finish_reason(said: str | None, candidate: Candidate, target: Target) -> FinishReason | Failure:
    """One of our four; or why this is no answer."""
    if said is not None and said in _BROKEN_OFF:
        return Failure(_BROKEN_OFF[said], code=said)
    reason = _FINISH.get(said or "")
    if reason is None and said:
        log.debug("%s gave a finish reason that is not known; it is read as stop", target.name)
    reason = reason or "stop"
    if reason != "stop":
        return reason
    if not candidate.spoke:
        return Failure("empty", code=said if said != "STOP" else None)
    return "tool_calls" if candidate.calls else "stop"


def read_logprobs(candidate: Mapping[str, Any]) -> tuple[TokenLogprob, ...]:
    """The tokens of a ``logprobsResult``, each with the likeliest in its place."""
    result = object_or_empty(candidate.get("logprobsResult"))
    chosen, likeliest = result.get("chosenCandidates"), result.get("topCandidates")
    tokens: list[TokenLogprob] = []
    for index, each in enumerate(chosen if is_list(chosen) else ()):
        token = _token(each)
        if token is not None:
            beside = likeliest[index] if is_list(likeliest) and index < len(likeliest) else None
            others = object_or_empty(beside).get("candidates")
            top = (_token(other) for other in (others if is_list(others) else ()))
            tokens.append(TokenLogprob(*token, top=tuple(other for other in top if other is not None)))
    return tuple(tokens)


def _token(said: object) -> tuple[str, float] | None:
    known = object_or_empty(said)
    token, logprob = known.get("token"), finite(known.get("logProbability", 0.0))
    return (token, logprob) if isinstance(token, str) and logprob is not None else None
