"""Convert our responses and chunks into LangChain's messages, chunks and metadata.

Content has one form (text, tool calls, reasoning), whichever target served the request, so that no code downstream has
to handle the provider's own form. Everything that LangChain would concatenate when it adds chunks up (names,
identifiers, the record of attempts) goes on the last chunk alone. Text and fragments of tool calls never share a chunk:
LangChain would finish the call too early.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any, Final, cast

from langchain_core.messages import AIMessage, AIMessageChunk, InvalidToolCall
from langchain_core.messages import ToolCall as NativeToolCall
from langchain_core.messages.ai import InputTokenDetails, OutputTokenDetails, UsageMetadata
from langchain_core.messages.tool import tool_call_chunk
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult

from unified_llm._adapters.serving_record import serving_record
from unified_llm._core.usage_sums import sum_tokens
from unified_llm._providers import registry
from unified_llm.langchain._constants import PROVIDER, PROVIDER_STATE, RECORD
from unified_llm.types.records import Usage
from unified_llm.types.responses import Citation, LLMChunk, LLMResponse


def _import_gateway_module() -> object:
    try:
        return importlib.import_module("langchain_core.utils._gateway")
    except ImportError:
        return None


# The key under which LangChain's tracer looks up the model that served the request. Private to langchain-core: where it
# does not exist, traces name the chain.
_GATEWAY_KEY: Final[str] = getattr(_import_gateway_module(), "GATEWAY_METADATA_RESPONSE_KEY", "")


# Marks content as LangChain's standard blocks.
_STANDARD_BLOCKS: Final = {"output_version": "v1"}


def read_response(response: LLMResponse, *, logprobs: bool = False) -> ChatResult:
    """Convert a whole response, with its alternatives if the request had ``n``.

    Args:
        response: The client's response.
        logprobs: Include log probabilities.
    """
    alternatives = (replace(alternative, attempts=response.attempts) for alternative in response.alternatives)
    output: dict[str, Any] = {"model_name": response.model}
    if response.usage:
        output["token_usage"] = _token_usage(response.usage)
    generations = [_make_generation(answer, logprobs=logprobs) for answer in (response, *alternatives)]
    return ChatResult(generations=generations, llm_output=output)


def _make_generation(response: LLMResponse, *, logprobs: bool) -> ChatGeneration:
    native = _native_message(response.raw)
    metadata = _response_metadata(response)
    content: str | list[str | dict[Any, Any]] = response.content
    if native is not None and _has_blocks(native, response.content):
        content, metadata = cast("list[str | dict[Any, Any]]", native.content_blocks), {**metadata, **_STANDARD_BLOCKS}
    if logprobs and (token_logprobs := _read_logprobs(response)):
        metadata["logprobs"] = token_logprobs
    message = AIMessage(
        content=content,
        additional_kwargs={**_additional_kwargs(native, response), **_provider_state_kwargs(response)},
        tool_calls=[
            NativeToolCall(name=call.name, args=dict(call.arguments), id=call.id, type="tool_call")
            for call in response.tool_calls
            if call.error is None
        ],
        invalid_tool_calls=[
            InvalidToolCall(
                name=call.name, args=call.raw_arguments, id=call.id, error=call.error, type="invalid_tool_call"
            )
            for call in response.tool_calls
            if call.error is not None
        ],
        usage_metadata=_usage_metadata(response.usage),
        response_metadata=metadata,
    )
    return ChatGeneration(message=message, generation_info=_gateway_metadata(response))


def read_chunk(
    chunk: LLMChunk, *, usage: bool = True, logprobs: bool = False, blocks: bool = False
) -> Iterator[ChatGenerationChunk]:
    """Convert one chunk into the one or more that LangChain needs.

    Args:
        chunk: The client's chunk.
        usage: Include token usage.
        logprobs: Include log probabilities.
        blocks: Make the content LangChain's standard blocks (``output_version="v1"``) rather than text.
    """
    native = _native_message(chunk.raw)
    blocks = blocks or (native is not None and isinstance(native.content, list))
    if native is not None and _has_blocks(native, chunk.content):
        yield _make_chunk(_copy_native_chunk(native))
    else:
        for message in _split_chunk(chunk, native, logprobs=logprobs):
            yield _make_chunk(_with_blocks(message) if blocks else message)
    if chunk.finish_reason is not None:
        message = AIMessageChunk(
            content=[] if blocks else "",
            additional_kwargs=_provider_state_kwargs(chunk),
            usage_metadata=_usage_metadata(chunk.usage) if usage else None,
            response_metadata=_response_metadata(chunk),
            chunk_position="last",
        )
        yield ChatGenerationChunk(message=message, generation_info=_gateway_metadata(chunk))


def _split_chunk(chunk: LLMChunk, native: AIMessage | None, *, logprobs: bool) -> Iterator[AIMessageChunk]:
    additional_kwargs = _additional_kwargs(native, chunk)
    if additional_kwargs:
        yield AIMessageChunk(content="", additional_kwargs=additional_kwargs)
    token_logprobs = _read_logprobs(chunk) if logprobs else None
    if chunk.content or token_logprobs:
        metadata = {"logprobs": token_logprobs} if token_logprobs else {}
        yield AIMessageChunk(content=chunk.content, response_metadata=metadata)
    if chunk.tool_calls:
        fragments = [
            tool_call_chunk(name=call.name, args=call.arguments, id=call.id, index=call.index)
            for call in chunk.tool_calls
        ]
        yield AIMessageChunk(content="", tool_call_chunks=fragments)


def _with_blocks(message: AIMessageChunk) -> AIMessageChunk:
    """Make the content standard blocks, with indices by which LangChain joins the fragments of one block alone.

    Left to itself, LangChain counts the kinds of blocks from 0, and we the calls: the first text and the first call
    would become one block. An index that is text must begin with ``lc_``.
    """
    blocks: list[dict[str, Any]] = [
        {**block, "index": f"lc_{block['type']}_{block.get('index', 0)}"} for block in message.content_blocks
    ]
    metadata = {**message.response_metadata, **_STANDARD_BLOCKS}
    return message.model_copy(update={"content": blocks, "response_metadata": metadata})


def _copy_native_chunk(native: AIMessage) -> AIMessageChunk:
    """Copy a chunk of a wrapped LangChain model, its content as LangChain's standard blocks."""
    return AIMessageChunk(
        content=cast("list[str | dict[Any, Any]]", native.content_blocks),
        additional_kwargs=native.additional_kwargs,
        tool_call_chunks=getattr(native, "tool_call_chunks", []),
        response_metadata=_STANDARD_BLOCKS,
    )


def _make_chunk(message: AIMessageChunk) -> ChatGenerationChunk:
    return ChatGenerationChunk(message=message)


def _native_message(raw: Any) -> AIMessage | None:
    """Return the message of a wrapped LangChain model; None if another target served the request."""
    return raw if isinstance(raw, AIMessage) else None


def _has_blocks(native: AIMessage, text: str) -> bool:
    """Return whether the content of a wrapped model is blocks, of this text: the client may have cut it at a stop."""
    return isinstance(native.content, list) and str(native.text) == text


def _additional_kwargs(native: AIMessage | None, answer: LLMResponse | LLMChunk) -> dict[str, Any]:
    additional_kwargs: dict[str, Any] = {}
    if native is not None:
        # Signatures and the like, which the same model object needs back with the history.
        duplicates = {"tool_calls", "function_call", "reasoning_content", "refusal"}
        additional_kwargs = {name: value for name, value in native.additional_kwargs.items() if name not in duplicates}
    if answer.reasoning:
        additional_kwargs["reasoning_content"] = answer.reasoning
    if answer.refusal:
        additional_kwargs["refusal"] = answer.refusal
    if answer.citations:
        additional_kwargs["citations"] = [_citation_as_dict(citation) for citation in answer.citations]
    return additional_kwargs


def _citation_as_dict(citation: Citation) -> dict[str, Any]:
    return {name: value for name, value in asdict(citation).items() if value is not None}


def _provider_state_kwargs(answer: LLMResponse | LLMChunk) -> dict[str, Any]:
    return {PROVIDER_STATE: answer.provider_state.as_dict()} if answer.provider_state else {}


def _response_metadata(answer: LLMResponse | LLMChunk) -> dict[str, Any]:
    metadata = {
        "model_name": answer.model or "",
        "model_provider": PROVIDER,
        "finish_reason": answer.finish_reason,
        RECORD: serving_record(answer),
    }
    return {**metadata, "id": answer.response_id} if answer.response_id else metadata


def _gateway_metadata(answer: LLMResponse | LLMChunk) -> dict[str, Any] | None:
    """Return the metadata by which LangSmith attributes the run and its cost to the model that served the request."""
    if not _GATEWAY_KEY or not answer.provider:
        return None
    spec = registry.find(answer.provider)
    provider = (spec and spec.langsmith_name) or answer.provider
    attempts = serving_record(answer)["attempts"]
    return {_GATEWAY_KEY: {"provider": provider, "model": answer.model, "attempts": attempts}}


def _usage_metadata(usage: Usage | None) -> UsageMetadata | None:
    if usage is None:
        return None
    input_details = {
        "audio": usage.audio_tokens,
        "cache_read": usage.cached_tokens,
        "cache_creation": usage.cache_write_tokens,
    }
    output_details = {"audio": usage.audio_output_tokens, "reasoning": usage.reasoning_tokens}
    return UsageMetadata(
        input_tokens=usage.prompt_tokens,
        output_tokens=usage.completion_tokens,
        total_tokens=sum_tokens(usage),
        input_token_details=cast("InputTokenDetails", _without_zeros(input_details)),
        output_token_details=cast("OutputTokenDetails", _without_zeros(output_details)),
    )


def _without_zeros(counts: Mapping[str, int]) -> dict[str, int]:
    return {name: count for name, count in counts.items() if count}


def _token_usage(usage: Usage) -> dict[str, int]:
    names = ("prompt_tokens", "completion_tokens", "total_tokens")
    return {name: getattr(usage, name) for name in names}


def sum_outputs(outputs: Sequence[Mapping[str, Any] | None]) -> dict[str, Any]:
    """Sum the token usage of several responses, for callbacks.

    Args:
        outputs: ``llm_output`` of each ``ChatResult``.
    """
    total: dict[str, int] = {}
    combined: dict[str, Any] = {}
    for output in outputs:
        for name, count in (output or {}).get("token_usage", {}).items():
            total[name] = total.get(name, 0) + count
        combined.setdefault("model_name", (output or {}).get("model_name"))
    return {**combined, "token_usage": total}


def _read_logprobs(answer: LLMResponse | LLMChunk) -> Any:
    """Return log probabilities in OpenAI's format; those of the raw response if it is in that format already."""
    choices = answer.raw.get("choices") if isinstance(answer.raw, Mapping) else None
    first = choices[0] if isinstance(choices, list) and choices else None
    if raw_logprobs := first.get("logprobs") if isinstance(first, Mapping) else None:
        return raw_logprobs
    tokens = [
        {
            "token": entry.token,
            "logprob": entry.logprob,
            "bytes": list(entry.token.encode()),
            "top_logprobs": [{"token": token, "logprob": logprob} for token, logprob in entry.top],
        }
        for entry in answer.logprobs
    ]
    return {"content": tokens} if tokens else None
