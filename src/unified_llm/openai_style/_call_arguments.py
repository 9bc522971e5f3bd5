"""Keyword arguments of text completions, of embeddings and of any call, for type checkers and editors.

A field that is ``NOT_GIVEN`` or ``omit`` is left out, so each of them may be that as well.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Literal, TypeAlias, TypedDict

from unified_llm._lib.signatures import Keywords
from unified_llm.openai_style._omitted import NotGiven, Omit

Fields: TypeAlias = Mapping[str, Any]
Left: TypeAlias = NotGiven | Omit | None


class CallArguments(TypedDict, total=False):
    """The options of a call: those of OpenAI's SDK, and ours."""

    extra_headers: Mapping[str, Any] | Left
    extra_query: Fields | Left
    extra_body: Fields | Left
    timeout: Any
    deadline: float | Left
    fallbacks: Iterable[Any] | Left
    failover_on: Mapping[Any, bool] | Left
    hedge_after: float | Left
    max_retries: int | Left
    api_key: Any
    base_url: str | Left


class _CompletionFields(TypedDict, total=False):
    prompt: Any
    model: str
    best_of: int | Left
    echo: bool | Left
    frequency_penalty: float | Left
    logit_bias: Mapping[str, int] | Left
    logprobs: int | Left
    max_tokens: int | Left
    n: int | Left
    presence_penalty: float | Left
    seed: int | Left
    stop: str | Iterable[str] | Left
    stream_options: Fields | Left
    suffix: str | Left
    temperature: float | Left
    top_p: float | Left
    user: str | Left


class CompletionArguments(_CompletionFields, CallArguments, total=False):
    """The arguments of a text completion besides ``stream``."""


class _EmbeddingFields(TypedDict, total=False):
    input: Any
    model: str
    dimensions: int | Left
    encoding_format: Literal["float", "base64"] | Left
    user: str | Left


class EmbeddingArguments(_EmbeddingFields, CallArguments, total=False):
    """The arguments of an embedding."""


def completion_arguments() -> Keywords:
    """Return the arguments of a text completion, for signatures."""
    return CompletionArguments, {}


def embedding_arguments() -> Keywords:
    """Return the arguments of an embedding, for signatures."""
    return EmbeddingArguments, {}
