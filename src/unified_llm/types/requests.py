"""What goes in and what comes out: requests, answers and their parts.

The same shapes serve every provider and every surface. Everything here is frozen, decides nothing, and keeps
prompts and answers out of its ``repr``.

The smaller questions: what can be asked of a provider besides an answer, vectors and its list of models.

Frozen, like everything in ``types``; texts stay out of every ``repr``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from unified_llm.types.messages import Message, ResponseFormat, Tool


@dataclass(frozen=True, slots=True)
class LLMRequest:
    """One question to a chat model.

    A field left at None is not sent, so the provider's own default holds.

    Attributes:
        messages: The conversation, oldest first.
        model: Replaces the primary for this call (``provider/model``, or a model of the primary's provider).
        temperature: Randomness, commonly 0 to 2.
        max_tokens: The most tokens to generate.
        top_p: Nucleus sampling, 0 to 1.
        stop: Texts at which to stop, not part of the answer.
        seed: For repeatable sampling where the provider supports it.
        frequency_penalty: -2 to 2.
        presence_penalty: -2 to 2.
        tools: What the model may call.
        tool_choice: ``auto``, ``none``, ``required``, or the name of one tool.
        parallel_tool_calls: Whether several calls may come in one answer.
        response_format: Ask for JSON.
        reasoning_effort: ``none``, ``minimal``, ``low``, ``medium``, ``high`` ..., as the provider names it.
        logprobs: Return log probabilities.
        top_logprobs: How many alternatives for each token.
        n: How many answers; those after the first are in ``alternatives``. Whole answers only.
        as_text: Continue the text of the last message, without a chat template (text completion).
        extra_body: Further fields of the request's body, sent as they are.
        stream: Set by the client: whether the answer comes in chunks.
        native: The framework's own form of this request, for a target that is itself a model of that framework.
    """

    messages: tuple[Message, ...]
    model: str | None = None
    temperature: float | None = None
    max_tokens: int | None = None
    top_p: float | None = None
    stop: tuple[str, ...] = ()
    seed: int | None = None
    frequency_penalty: float | None = None
    presence_penalty: float | None = None
    tools: tuple[Tool, ...] = ()
    tool_choice: str | None = None
    parallel_tool_calls: bool | None = None
    response_format: ResponseFormat | None = None
    reasoning_effort: str | None = None
    logprobs: bool | None = None
    top_logprobs: int | None = None
    n: int | None = None
    as_text: bool = False
    extra_body: Mapping[str, Any] = field(default_factory=dict[str, Any], repr=False)
    stream: bool = False
    native: Any = field(default=None, repr=False, compare=False)


@dataclass(frozen=True, slots=True)
class EmbeddingRequest:
    """Texts to turn into vectors, answered in the same order.

    Attributes:
        texts: At least one text.
        model: Replaces the primary for this call.
        dimensions: The length of the vectors, where the model can choose.
        purpose: ``query`` or ``document``, for providers that embed them differently.
        extra_body: Further fields of the request's body, sent as they are.
    """

    texts: tuple[str, ...] = field(repr=False)
    model: str | None = None
    dimensions: int | None = None
    purpose: Literal["query", "document"] | None = None
    extra_body: Mapping[str, Any] = field(default_factory=dict[str, Any], repr=False)


@dataclass(frozen=True, slots=True)
class ModelsRequest:
    """Ask a provider which models it has; ``cursor`` names the next page."""

    cursor: str | None = None


@dataclass(frozen=True, slots=True)
class RerankRequest:
    """Order documents by how well they answer a query.

    Attributes:
        query: What is looked for.
        documents: At least one text.
        top_n: How many of the best to return; None for all.
        model: Replaces the primary for this call.
        extra_body: Further fields of the request's body, sent as they are.
    """

    query: str = field(repr=False)
    documents: tuple[str, ...] = field(repr=False)
    top_n: int | None = None
    model: str | None = None
    extra_body: Mapping[str, Any] = field(default_factory=dict[str, Any], repr=False)


@dataclass(frozen=True, slots=True)
class CountRequest:
    """How many tokens the prompt of a chat request has, by the provider's own count."""

    chat: LLMRequest


@dataclass(frozen=True, slots=True)
class ModelRequest:
    """What a provider says of the target's model: window, features."""
