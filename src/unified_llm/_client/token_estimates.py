"""Estimates of the tokens that a request takes, for the limits of targets by tokens (``tpm``)."""

from __future__ import annotations

from collections.abc import Callable

from unified_llm._core.codec import AnyRequest
from unified_llm._core.target import Target
from unified_llm._core.token_estimates import estimate_prompt, estimate_tokens
from unified_llm.types.requests import EmbeddingRequest, LLMRequest, RerankRequest


def estimator_of(request: AnyRequest) -> Callable[[Target], int]:
    """Return a function that estimates the tokens of a request at a target.

    They are those of the prompt, and the most that the response may have, where a limit of it is set. The prompt is
    looked at once, when the first target that is limited by tokens needs it.
    """
    prompt: list[int] = []

    def estimate(target: Target) -> int:
        if target.tpm is None:
            return 0
        if not prompt:
            prompt.append(_tokens_of_prompt(request))
        return prompt[0] + _most_of_response(request, target)

    return estimate


def _tokens_of_prompt(request: AnyRequest) -> int:
    match request:
        case LLMRequest():
            tools = sum(estimate_tokens(f"{tool.name} {tool.description} {tool.parameters}") for tool in request.tools)
            return estimate_prompt(request.messages) + tools
        case EmbeddingRequest():
            return sum(map(estimate_tokens, request.texts))
        case RerankRequest():
            return estimate_tokens(request.query) * len(request.documents) + sum(
                map(estimate_tokens, request.documents)
            )
        case _:
            return 0


def _most_of_response(request: AnyRequest, target: Target) -> int:
    if not isinstance(request, LLMRequest):
        return 0
    most = request.max_tokens or target.defaults.get("max_tokens") or 0
    return most * (request.n or 1)
