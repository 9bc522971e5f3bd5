"""Requests as entries of a provider's batch, and the results of these as responses.

A request is written as it would be for a call to the first target of its chain, and a result is read as the response to
that call, with the same errors. Nothing is sent, and nothing is counted: neither health nor a rate limit.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

from unified_llm._client.call import PreparedCall, finish_call
from unified_llm._client.drivers import begin_attempt
from unified_llm._core.batch_service import BatchResult
from unified_llm._core.codec import UNWRITABLE
from unified_llm._core.converted_exchange import Converter
from unified_llm._core.outcome import Done, Failure
from unified_llm._core.target import Target
from unified_llm._formats.codecs import codec_for
from unified_llm._lib.bounded_json import JSONError, dump
from unified_llm._policy.call_state import CallFailed
from unified_llm._policy.failure_rules import FAILURE_RULES
from unified_llm.exceptions import LLMError, UnsupportedOperationError
from unified_llm.types.records import Attempt
from unified_llm.types.requests import EmbeddingRequest

_VERSION: Final = "/v1"  # in the endpoints that batches of OpenAI's API name, whatever path the server has
_AGAIN: Final = "run it again, or send it as a call"
_UNANSWERED: Final[Mapping[str, str]] = {
    "expired": "its batch expired before it was answered",
    "cancelled": "its batch was cancelled before it was answered",
    "gone": "its batch, or the file of its results, is not there any more",
    "no_response": "its batch ended without a response to it",
}


@dataclass(frozen=True, slots=True)
class WrittenEntry:
    """A request as an entry.

    Attributes:
        target: The target that it was written for.
        endpoint: The path of its endpoint.
        body: The JSON body.
    """

    target: Target
    endpoint: str
    body: bytes = field(repr=False)


def write_entry(call: PreparedCall) -> WrittenEntry:
    """Write the request of a call that has one target.

    Raises:
        ValidationError: It cannot be written.
        UnsupportedOperationError: Batches of the target have no such request.
    """
    target = call.chain[0]
    if target.format == "gemini" and isinstance(call.request, EmbeddingRequest):
        raise UnsupportedOperationError(
            f"{target.name}: batches for vectors are not made there; leave out --service.", provider=target.provider
        )
    request, _, _ = begin_attempt(call, target)
    try:
        wire = codec_for(target.format).encode(request, target)
    except UNWRITABLE as error:
        raise call.error(CallFailed((), final=(target, Failure("unsendable", detail=str(error))))) from None
    return WrittenEntry(target, _VERSION + wire.url.removeprefix(target.base_url), wire.body)


def read_entry(call: PreparedCall, result: BatchResult) -> Any:
    """Return the response that a result is: an ``LLMResponse`` or an ``EmbeddingResponse``.

    Args:
        call: The call that the entry was written for; used once.
        result: The result.

    Raises:
        LLMError: The entry was refused, or not answered.
    """
    target, trace = call.chain[0], call.state.trace
    request, _, converters = begin_attempt(call, target)
    outcome = _convert(_outcome(request, result, target), converters)
    if isinstance(outcome, Failure):
        outcome = replace(outcome, request_id=result.request_id)
    failure = outcome if isinstance(outcome, Failure) else None
    trace.attempts.append(
        Attempt(
            target.name,
            failure.kind if failure else "ok",
            status=failure.status if failure else None,
            reason=(failure.code or failure.reason) if failure else None,
            request_id=result.request_id,
        )
    )
    trace.request_id = result.request_id
    if failure is not None:
        return finish_call(call, CallFailed((), final=(target, failure)))
    trace.served = target
    return finish_call(call, outcome)


def may_answer_later(error: LLMError) -> bool:
    """Return whether another request may be answered where this one was not: it was not refused."""
    kinds = [attempt.outcome for attempt in error.attempts if attempt.outcome in FAILURE_RULES]
    return not kinds or _may_answer_later(kinds[-1])


def _may_answer_later(kind: Any) -> bool:
    rule = FAILURE_RULES[kind]
    return rule.retry or rule.polled


def _outcome(request: Any, result: BatchResult, target: Target) -> Done | Failure:
    codec = codec_for(target.format)
    if result.status is None:
        reason = _UNANSWERED.get(result.unanswered or "")
        if reason is None:
            return Failure("server", code=result.unanswered, reason="its batch ended without a response to it")
        return Failure("timeout", reason=reason, advice=_AGAIN)
    if 200 <= result.status < 300:
        return codec.decode(request, target, result.body)
    try:
        body = dump(result.body).encode()
    except JSONError:  # such as NaN, which is accepted in what servers send
        body = b""
    return codec.failure(result.status, {}, body, target)


def _convert(outcome: Done | Failure, converters: tuple[Converter, ...] | Any) -> Done | Failure:
    """Return what the converters of the attempt make of an outcome, in the order in which they stand around it."""
    for converter in converters:
        events = converter.convert(outcome)
        last = events[-1] if events else Failure("empty")
        outcome = last if isinstance(last, (Done, Failure)) else Failure("malformed")
    return outcome
