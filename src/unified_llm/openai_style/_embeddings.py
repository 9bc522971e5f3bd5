"""``client.embeddings``: the vectors of texts."""

from __future__ import annotations

import base64
import struct
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Unpack

from unified_llm._client.call_options import CallOptions
from unified_llm._client.client import LLMClient
from unified_llm._lib.signatures import show_keywords
from unified_llm._providers import registry
from unified_llm.exceptions import ValidationError
from unified_llm.openai_style._call_arguments import EmbeddingArguments, embedding_arguments
from unified_llm.openai_style._records import with_record
from unified_llm.openai_style._resource import (
    AsyncResource,
    Call,
    Resource,
    family_errors,
    read_arguments,
    refuse_unknown,
)
from unified_llm.openai_style._settings import CALL_OPTIONS, Settings
from unified_llm.openai_style.types.create_embedding_response import CreateEmbeddingResponse
from unified_llm.types.requests import EmbeddingRequest, OriginalRequest, TokenText
from unified_llm.types.responses import EmbeddingResponse

_BASE64: Final = "base64"
_READ: Final = frozenset({"input", "model", "dimensions", "encoding_format"})
_ARGUMENTS: Final = _READ | CALL_OPTIONS | {"user", "extra_body"}
_INPUT: Final = "input is a string, a list of strings, a list of tokens, or a list of lists of tokens"


@dataclass(frozen=True, slots=True)
class PreparedEmbedding:
    """A call that was read.

    Attributes:
        call: The client, and the options.
        request: The request.
        as_base64: Vectors are returned as base64, since that was asked for.
    """

    call: Call
    request: EmbeddingRequest
    as_base64: bool

    @property
    def client(self) -> LLMClient:
        """The client that serves it."""
        return self.call.client

    @property
    def options(self) -> CallOptions:
        """The options of the call."""
        return self.call.options

    @property
    def requests(self) -> tuple[EmbeddingRequest]:
        """The one request for all texts."""
        return (self.request,)

    def answer_of(self, responses: Sequence[EmbeddingResponse]) -> CreateEmbeddingResponse:
        """Return the answer, made of the response to the request."""
        return _as_object(self, responses[0])


def prepare_embedding(settings: Settings, given: Mapping[str, Any]) -> PreparedEmbedding:
    """Read the arguments of a call.

    Raises:
        OpenAIError: An argument makes no sense.
    """
    refuse_unknown(given, _ARGUMENTS)
    body, call = read_arguments(settings, given)
    if "input" not in body:
        raise ValidationError("input is missing: pass input= a text, or a list of texts.")
    texts = _read_input(body)
    dimensions = body.get("dimensions")
    if dimensions is not None and (isinstance(dimensions, bool) or not isinstance(dimensions, int)):
        raise ValidationError("dimensions must be a whole number.")
    asked = body.get("encoding_format")
    if asked is None and _takes_base64(call):
        body["encoding_format"] = _BASE64  # which OpenAI's SDK asks for, too: half the size of decimals
    request = EmbeddingRequest(
        texts,
        call.model,
        dimensions,
        extra_body={name: value for name, value in body.items() if name not in _READ},
        original=OriginalRequest("openai_embeddings", body),
    )
    return PreparedEmbedding(call, request, asked == _BASE64)


class _Shared(Resource):
    """Base of the sync and the async resource."""

    PATH = "embeddings"


class Embeddings(_Shared):
    """The vectors of texts."""

    @show_keywords(embedding_arguments)
    def create(self, **given: Unpack[EmbeddingArguments]) -> CreateEmbeddingResponse:
        """Return a vector for each text, in their order.

        Fails over between targets of the same model, or of the same declared ``space``.

        Args:
            **given: ``input`` (a string, a list of strings, or tokens in a list or in several), ``model``,
                ``dimensions``, ``encoding_format`` (``float``, or ``base64`` for vectors as text), ``user``, and the
                options of a call.

        Raises:
            OpenAIError: No target embedded a text.
        """
        with family_errors():
            prepared = prepare_embedding(self._settings, given)
            return _as_object(prepared, prepared.client.run_embedding(prepared.request, prepared.options))


class AsyncEmbeddings(_Shared, AsyncResource):
    """The same as ``Embeddings``, with async methods."""

    @show_keywords(embedding_arguments)
    async def create(self, **given: Unpack[EmbeddingArguments]) -> CreateEmbeddingResponse:
        """Do the same as ``Embeddings.create``."""
        with family_errors():
            prepared = prepare_embedding(self._settings, given)
            return _as_object(prepared, await prepared.client.arun_embedding(prepared.request, prepared.options))


def _takes_base64(call: Call) -> bool:
    """Return whether the target is asked for base64 unless the program says otherwise."""
    provider = (call.model or "").partition(":")[0]
    spec = registry.find(provider)
    return spec is not None and (spec.name == "openai-compatible" or "encoding_format" not in spec.quirks.drop)


def _read_input(body: dict[str, Any]) -> tuple[str, ...]:
    """Return the texts, or what stands for them as tokens; an iterable in the body becomes a list.

    Raises:
        ValidationError: They are something else, or none.
    """
    given = body["input"]
    if isinstance(given, str):
        return (given,)
    if isinstance(given, (bytes, Mapping)) or not isinstance(given, Iterable):
        raise ValidationError(f"{_INPUT}, not {type(given).__name__}.")
    items: list[Any] = [*given]
    if not items:
        raise ValidationError(f"{_INPUT}; the list is empty.")
    if all(isinstance(item, str) for item in items):
        body["input"] = items
        return tuple(items)
    if _are_tokens(items):
        body["input"] = items
        return (TokenText(items),)
    lists = [[*item] if isinstance(item, Iterable) and not isinstance(item, str) else [] for item in items]
    if not all(item and _are_tokens(item) for item in lists):
        raise ValidationError(f"{_INPUT}; one of its items is something else.")
    body["input"] = lists
    return tuple(map(TokenText, lists))


def _are_tokens(items: list[Any]) -> bool:
    return all(isinstance(item, int) and not isinstance(item, bool) for item in items)


def _as_object(prepared: PreparedEmbedding, response: EmbeddingResponse) -> CreateEmbeddingResponse:
    vectors: list[Any] = response.vectors
    if prepared.as_base64:
        vectors = [_to_base64(vector) for vector in vectors]
    rows = [{"object": "embedding", "index": index, "embedding": vector} for index, vector in enumerate(vectors)]
    fields: dict[str, Any] = {"object": "list", "data": rows, "model": response.model}
    if (usage := response.usage) is not None:
        fields["usage"] = {"prompt_tokens": usage.prompt_tokens, "total_tokens": usage.total_tokens}
    return with_record(CreateEmbeddingResponse.from_json(fields), response)


def _to_base64(vector: list[float]) -> str:
    return base64.b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode()
