"""Messages of a model."""

from __future__ import annotations

from typing import Literal, TypeAlias

from unified_llm.openai_style._objects import OpenAIObject
from unified_llm.openai_style.types.responses.response_output_text import AnnotationURLCitation, Logprob


class AnnotationFileCitation(OpenAIObject):
    """Object of the type ``file_citation``."""

    file_id: str
    filename: str
    index: int
    type: Literal["file_citation"]


class AnnotationContainerFileCitation(OpenAIObject):
    """Object of the type ``container_file_citation``."""

    container_id: str
    end_index: int
    file_id: str
    filename: str
    start_index: int
    type: Literal["container_file_citation"]


class AnnotationFilePath(OpenAIObject):
    """Object of the type ``file_path``."""

    file_id: str
    index: int
    type: Literal["file_path"]


Annotation: TypeAlias = (
    AnnotationFileCitation | AnnotationURLCitation | AnnotationContainerFileCitation | AnnotationFilePath
)


class ResponseOutputText(OpenAIObject):
    """Object of the type ``output_text``."""

    annotations: list[Annotation]
    text: str
    type: Literal["output_text"]
    logprobs: list[Logprob] | None


class ResponseOutputRefusal(OpenAIObject):
    """Object of the type ``refusal``."""

    refusal: str
    type: Literal["refusal"]


class ResponseOutputMessage(OpenAIObject):
    """A message of the model."""

    id: str
    content: list[ResponseOutputText | ResponseOutputRefusal]
    role: Literal["assistant"]
    status: Literal["in_progress", "completed", "incomplete"]
    type: Literal["message"]
    phase: Literal["commentary", "final_answer"] | None
