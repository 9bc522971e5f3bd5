"""Requests: chat, embeddings, lists of models, reranking, token counts, model descriptions.

The same classes serve every provider and every adapter. They are frozen, contain no logic, and keep prompts and other
texts out of their ``repr``.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Self, TypeAlias

from unified_llm.types.messages import Message, ResponseFormat, Tool

OriginalFormat: TypeAlias = Literal["openai_chat", "openai_completion", "openai_embeddings", "openai_responses"]
"""The API that a program wrote a request for: chat and text completions, embeddings or responses of OpenAI."""


@dataclass(frozen=True, slots=True)
class OriginalRequest:
    """A request as a program wrote it for an API of OpenAI.

    The target that the call was written for gets ``body`` as it is, if it has that API; any other target gets what the
    request was read to.

    Attributes:
        format: The API.
        body: The body of the request.
        no_other_form: Why the request can be sent in this form alone, so that other targets are skipped: "it cannot
            stream several answers at once". None where the request was read in full.
    """

    format: OriginalFormat
    body: Mapping[str, Any] = field(repr=False)
    no_other_form: str | None = None


class FurtherRequest:
    """Base of requests for media and for further endpoints, which few programs make."""

    __slots__ = ()

    @property
    def names_model(self) -> bool:
        """Whether it has a field for the model, which the target then needs."""
        return True

    @property
    def runs_model(self) -> bool:
        """Whether a model answers it."""
        return True

    @property
    def shows_health(self) -> bool:
        """Whether what becomes of it shows if its target can do its work: to read what is stored shows nothing."""
        return True

    @property
    def has_any_content(self) -> bool:
        """Whether a response in bytes or text may be of any type, JSON included: the content of a file."""
        return False


@dataclass(frozen=True, slots=True)
class LLMRequest:
    """One request to a chat model.

    A field that is None is not sent, so that the provider's default applies.

    Attributes:
        messages: The conversation, oldest first.
        model: Replaces the primary for this call (``provider/model``, or a model of the primary's provider).
        temperature: Randomness, commonly 0 to 2.
        max_tokens: The most tokens to generate.
        stream: Whether the response is streamed in chunks; set by the client.
        request_id: Your own identifier of the request, for the provider's logs: printable ASCII, at most 512
            characters. It is sent to providers that document a header for it (OpenAI, Azure, vLLM), by each attempt.
            (``LLMResponse.request_id`` is the provider's.)
        timeout_override: Seconds for each attempt of this call: ``timeout`` of the call, where that has none itself.
        top_p: Nucleus sampling, 0 to 1.
        stop: Texts at which to stop; they are not part of the response. The client applies those that a target does not
            take.
        seed: For repeatable sampling where the provider supports it.
        frequency_penalty: -2 to 2.
        presence_penalty: -2 to 2.
        tools: The functions that the model may call.
        tool_choice: ``auto``, ``none``, ``required``, or the name of one tool.
        parallel_tool_calls: Whether one response may contain several calls. False keeps the first of several, where a
            target does not take it.
        response_format: Ask for JSON.
        reasoning_effort: ``none``, ``minimal``, ``low``, ``medium``, ``high`` ..., as the provider names it.
        logprobs: Return log probabilities.
        top_logprobs: The number of alternatives for each token.
        n: The number of responses; those after the first are in ``alternatives``. Not for streams.
        as_text: Continue the text of the last message, without a chat template (text completion). ``preferred``: where
            the target can; elsewhere the text is a message of a chat.
        reasoning_format: ``parsed`` (the default) or ``raw``: whether a ``<think>`` block at the beginning of a text is
            moved to ``reasoning``, or left where it is; for servers that hold any model. Groq has it in its own API,
            and ``hidden`` besides.
        text_tool_calls: Whether a text that consists of calls of offered tools is read as these calls (True unless
            set); for servers that hold any model.
        merge_messages: Whether system messages are moved to the beginning and neighbouring turns of one side are joined
            (True unless set); for servers that hold any model, since many chat templates refuse any other order.
        extra_body: Further fields of the request's body, sent unchanged to the targets whose API knows them.
        native: The framework's own form of this request, for a target that is itself a model of that framework. Its
            method ``extended(messages)`` returns one with more messages.
        original: The request as a program wrote it for OpenAI's API; set by ``unified_llm.openai_style``. Chunks of a
            stream then have in ``raw`` the data of the server-sent events that came since the chunk before.
    """

    messages: tuple[Message, ...]
    model: str | None = None
    temperature: float | None = None
    max_tokens: int | None = None
    stream: bool = False
    request_id: str | None = None
    timeout_override: float | None = None
    top_p: float | None = None
    stop: tuple[str, ...] = field(default=(), repr=False)
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
    as_text: bool | Literal["preferred"] = False
    reasoning_format: str | None = None
    text_tool_calls: bool | None = None
    merge_messages: bool | None = None
    extra_body: Mapping[str, Any] = field(default_factory=dict[str, Any], repr=False)
    native: Any = field(default=None, repr=False, compare=False)
    original: OriginalRequest | None = field(default=None, repr=False, compare=False)


class TokenText(str):
    """A text that is given as the tokens of a model, for targets in OpenAI's format; set by ``openai_style``.

    As a string it is the list of the tokens, so that equal ones are the same text.

    Args:
        ids: The tokens.
    """

    __slots__ = ("ids",)

    ids: tuple[int, ...]

    def __new__(cls, ids: Iterable[int]) -> Self:
        """Make a text of tokens."""
        tokens = tuple(ids)
        text = super().__new__(cls, tokens)
        text.ids = tokens
        return text


@dataclass(frozen=True, slots=True)
class EmbeddingRequest:
    """Texts to embed; the vectors are returned in the same order.

    Attributes:
        texts: At least one text.
        model: Replaces the primary for this call.
        dimensions: The length of the vectors, where the model can choose.
        purpose: ``query`` or ``document``, for providers that embed them differently.
        extra_body: Further fields of the request's body, sent unchanged.
        original: The request as a program wrote it for OpenAI's API; set by ``unified_llm.openai_style``. It is for all
            texts, so a part of them has none.
    """

    texts: tuple[str, ...] = field(repr=False)
    model: str | None = None
    dimensions: int | None = None
    purpose: Literal["query", "document"] | None = None
    extra_body: Mapping[str, Any] = field(default_factory=dict[str, Any], repr=False)
    original: OriginalRequest | None = field(default=None, repr=False, compare=False)


@dataclass(frozen=True, slots=True)
class ModelsRequest:
    """A request for a provider's list of models.

    Attributes:
        cursor: The name of the next page.
        loaded: Ask for the loaded models instead, with the context windows that they are served with.
    """

    cursor: str | None = None
    loaded: bool = False


@dataclass(frozen=True, slots=True)
class RerankRequest:
    """A request to rank documents by their relevance to a query.

    Attributes:
        query: The search query.
        documents: At least one text.
        top_n: The number of best documents to return; None for all.
        model: Replaces the primary for this call.
        extra_body: Further fields of the request's body, sent unchanged.
    """

    query: str = field(repr=False)
    documents: tuple[str, ...] = field(repr=False)
    top_n: int | None = None
    model: str | None = None
    extra_body: Mapping[str, Any] = field(default_factory=dict[str, Any], repr=False)


@dataclass(frozen=True, slots=True)
class CountRequest:
    """A request for the number of tokens in the prompt of a chat request, by the provider's own count."""

    chat: LLMRequest


@dataclass(frozen=True, slots=True)
class ModelRequest:
    """A request for the provider's description of the target's model: context window, features."""
