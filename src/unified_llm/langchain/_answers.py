"""Answers, handed to LangChain as its messages, chunks and metadata.

Content stays canonical (text, tool calls, reasoning), whoever answered, so that nobody's translator has to guess at it.
Everything that LangChain would concatenate when it adds chunks up (names, identifiers, the record of attempts) goes on
the last chunk alone. Text and fragments of tool calls never share a chunk: LangChain would finish the call too early.
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

from unified_llm._providers import registry
from unified_llm.langchain._constants import PROVIDER, PROVIDER_STATE, RECORD
from unified_llm.types.records import Usage
from unified_llm.types.responses import Citation, LLMChunk, LLMResponse


def _gateway_module() -> object:
    try:
        return importlib.import_module("langchain_core.utils._gateway")
    except ImportError:
        return None


# The key under which LangChain's tracer looks for who really answered. Private to langchain-core: where it is
# gone, traces name the chain.
_GATEWAY: Final[str] = getattr(_gateway_module(), "GATEWAY_METADATA_RESPONSE_KEY", "")
# LangSmith's name of a provider, where it is not ours.


def read_response(response: LLMResponse, *, logprobs: bool = False) -> ChatResult:
    """A whole answer, or several where ``n`` asked for them."""
    others = (replace(each, attempts=response.attempts) for each in response.alternatives)
    output: dict[str, Any] = {"model_name": response.model}
    if response.usage:
        output["token_usage"] = _token_usage(response.usage)
    generations = [_generation(each, logprobs=logprobs) for each in (response, *others)]
    return ChatResult(generations=generations, llm_output=output)


def _generation(response: LLMResponse, *, logprobs: bool) -> ChatGeneration:
    native = _native(response.raw)
    metadata = _metadata(response)
    if logprobs and (found := _logprobs(response)):
        metadata["logprobs"] = found
    message = AIMessage(
        content=_content(native, response.content),
        additional_kwargs={**_extras(native, response), **_sealed(response)},
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
        usage_metadata=_usage(response.usage),
        response_metadata={**metadata, **_version(native)},
    )
    return ChatGeneration(message=message, generation_info=_gateway(response))


def read_chunk(chunk: LLMChunk, *, usage: bool = True, logprobs: bool = False) -> Iterator[ChatGenerationChunk]:
    """One chunk of ours, as the one or more that LangChain needs.

    Args:
        chunk: What came.
        usage: Report the tokens spent.
        logprobs: Hand on log probabilities.
    """
    native = _native(chunk.raw)
    if native is not None and isinstance(native.content, list):
        yield _native_chunk(native)
    else:
        yield from _plain_chunks(chunk, native, logprobs=logprobs)
    if chunk.finish_reason is not None:
        message = AIMessageChunk(
            content=[] if native is not None and isinstance(native.content, list) else "",
            additional_kwargs=_sealed(chunk),
            usage_metadata=_usage(chunk.usage) if usage else None,
            response_metadata=_metadata(chunk),
            chunk_position="last",
        )
        yield ChatGenerationChunk(message=message, generation_info=_gateway(chunk))


def _plain_chunks(chunk: LLMChunk, native: AIMessage | None, *, logprobs: bool) -> Iterator[ChatGenerationChunk]:
    extras = _extras(native, chunk)
    if extras:
        yield _piece(AIMessageChunk(content="", additional_kwargs=extras))
    found = _logprobs(chunk) if logprobs else None
    if chunk.content or found:
        yield _piece(AIMessageChunk(content=chunk.content, response_metadata={"logprobs": found} if found else {}))
    if chunk.tool_calls:
        fragments = [
            tool_call_chunk(name=each.name, args=each.arguments, id=each.id, index=each.index)
            for each in chunk.tool_calls
        ]
        yield _piece(AIMessageChunk(content="", tool_call_chunks=fragments))


def _native_chunk(native: AIMessage) -> ChatGenerationChunk:
    """A chunk that another model object of LangChain made, in LangChain's own standard blocks."""
    return _piece(
        AIMessageChunk(
            content=cast("list[str | dict[Any, Any]]", native.content_blocks),
            additional_kwargs=native.additional_kwargs,
            tool_call_chunks=getattr(native, "tool_call_chunks", []),
            response_metadata=_version(native),
        )
    )


def _piece(message: AIMessageChunk) -> ChatGenerationChunk:
    return ChatGenerationChunk(message=message)


def _native(raw: Any) -> AIMessage | None:
    """The message of a model object of LangChain, if one of these answered."""
    return raw if isinstance(raw, AIMessage) else None


def _content(native: AIMessage | None, text: str) -> str | list[str | dict[Any, Any]]:
    if native is not None and isinstance(native.content, list):
        return cast("list[str | dict[Any, Any]]", native.content_blocks)
    return text


def _version(native: AIMessage | None) -> dict[str, Any]:
    """Blocks of a model object are stored in LangChain's standard form, and marked as such."""
    return {"output_version": "v1"} if native is not None and isinstance(native.content, list) else {}


def _extras(native: AIMessage | None, answer: LLMResponse | LLMChunk) -> dict[str, Any]:
    extras: dict[str, Any] = {}
    if native is not None:
        # Signatures and the like, which the same model object wants back with the history.
        doubled = {"tool_calls", "function_call", "reasoning_content", "refusal"}
        extras = {name: value for name, value in native.additional_kwargs.items() if name not in doubled}
    if answer.reasoning:
        extras["reasoning_content"] = answer.reasoning
    if answer.refusal:
        extras["refusal"] = answer.refusal
    if answer.citations:
        extras["citations"] = [_citation(each) for each in answer.citations]
    return extras


def _citation(citation: Citation) -> dict[str, Any]:
    return {name: value for name, value in asdict(citation).items() if value is not None}


def _sealed(answer: LLMResponse | LLMChunk) -> dict[str, Any]:
    return {PROVIDER_STATE: answer.provider_state.as_dict()} if answer.provider_state else {}


def _metadata(answer: LLMResponse | LLMChunk) -> dict[str, Any]:
    record = {"served_by": _served_by(answer), "fell_back": answer.used_fallback, "attempts": _attempts(answer)}
    metadata = {
        "model_name": answer.model or "",
        "model_provider": PROVIDER,
        "finish_reason": answer.finish_reason,
        RECORD: record,
    }
    return {**metadata, "id": answer.response_id} if answer.response_id else metadata


def _attempts(answer: LLMResponse | LLMChunk) -> list[dict[str, Any]]:
    return [attempt.as_dict() for attempt in answer.attempts]


def _served_by(answer: LLMResponse | LLMChunk) -> str:
    """The target that answered, as the user named it."""
    named = [attempt.target for attempt in answer.attempts if attempt.outcome == "ok"]
    return named[-1] if named else f"{answer.provider}/{answer.model}"


def _gateway(answer: LLMResponse | LLMChunk) -> dict[str, Any] | None:
    """What makes LangSmith name, and count the cost of, the model that really answered."""
    if not _GATEWAY or not answer.provider:
        return None
    spec = registry.find(answer.provider)
    provider = (spec and spec.langsmith_name) or answer.provider
    return {_GATEWAY: {"provider": provider, "model": answer.model, "attempts": _attempts(answer)}}


def _usage(usage: Usage | None) -> UsageMetadata | None:
    if usage is None:
        return None
    read = {"audio": usage.audio_tokens, "cache_read": usage.cached_tokens, "cache_creation": usage.cache_write_tokens}
    written = {"audio": usage.audio_output_tokens, "reasoning": usage.reasoning_tokens}
    return UsageMetadata(
        input_tokens=usage.prompt_tokens,
        output_tokens=usage.completion_tokens,
        total_tokens=usage.total_tokens or usage.prompt_tokens + usage.completion_tokens,
        input_token_details=cast("InputTokenDetails", {name: count for name, count in read.items() if count}),
        output_token_details=cast("OutputTokenDetails", {name: count for name, count in written.items() if count}),
    )


def _token_usage(usage: Usage) -> dict[str, int]:
    names = ("prompt_tokens", "completion_tokens", "total_tokens")
    return {name: getattr(usage, name) for name in names}


def add_outputs(outputs: Sequence[Mapping[str, Any] | None]) -> dict[str, Any]:
    """The tokens of several answers, summed, for callbacks."""
    total: dict[str, int] = {}
    combined: dict[str, Any] = {}
    for output in outputs:
        for name, count in (output or {}).get("token_usage", {}).items():
            total[name] = total.get(name, 0) + count
        combined.setdefault("model_name", (output or {}).get("model_name"))
    return {**combined, "token_usage": total}


def _logprobs(answer: LLMResponse | LLMChunk) -> Any:
    """Log probabilities in OpenAI's form, which users of LangChain know; its own, where it answered in it."""
    choices = answer.raw.get("choices") if isinstance(answer.raw, Mapping) else None
    first = choices[0] if isinstance(choices, list) and choices else None
    if own := first.get("logprobs") if isinstance(first, Mapping) else None:
        return own
    tokens = [
        {
            "token": each.token,
            "logprob": each.logprob,
            "bytes": list(each.token.encode()),
            "top_logprobs": [{"token": token, "logprob": logprob} for token, logprob in each.top],
        }
        for each in answer.logprobs
    ]
    return {"content": tokens} if tokens else None
