"""The message of an answer."""

from __future__ import annotations

from typing import Literal

from unified_llm.openai_style._objects import OpenAIObject
from unified_llm.openai_style.types.chat.chat_completion_message_tool_call import ChatCompletionMessageToolCallUnion


class AnnotationURLCitation(OpenAIObject):
    """The page that a sentence cites."""

    end_index: int
    start_index: int
    title: str
    url: str


class Annotation(OpenAIObject):
    """A note on a part of the text."""

    type: Literal["url_citation"]
    url_citation: AnnotationURLCitation


class FunctionCall(OpenAIObject):
    """The call of a function in the form that ``functions`` has."""

    arguments: str
    name: str


class ChatCompletionAudio(OpenAIObject):
    """Spoken text, in Base64, with its transcript."""

    id: str
    data: str
    expires_at: int
    transcript: str


class ChatCompletionMessage(OpenAIObject):
    """The message of an answer; it can be sent back in ``messages`` as it is."""

    content: str | None
    refusal: str | None
    role: Literal["assistant"]
    annotations: list[Annotation] | None
    audio: ChatCompletionAudio | None
    function_call: FunctionCall | None
    tool_calls: list[ChatCompletionMessageToolCallUnion] | None
