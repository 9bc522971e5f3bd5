"""Decides whether a call needs emulation, and of what."""

from __future__ import annotations

from collections.abc import Sequence

from unified_llm._core.codec import AnyRequest
from unified_llm._core.pairs import forces_tool
from unified_llm._core.target import Target
from unified_llm._structured.attempts import Emulation
from unified_llm._structured.forced_calls import ForcedCall
from unified_llm._structured.json_output import StructuredOutput
from unified_llm.types.requests import LLMRequest


def plan_emulation(request: AnyRequest, chain: Sequence[Target]) -> Emulation | None:
    """Return the state for a request that some target may have to be asked for in another form; None for any other.

    Where a tool has to be called, that call is the response: a response format has nothing to say about it.
    """
    if not isinstance(request, LLMRequest):
        return None
    if forces_tool(request):
        return ForcedCall(request)
    if request.response_format is not None:
        return StructuredOutput(request, request.response_format)
    if request.tools and request.stream and any("tools with streaming" in target.exclusive for target in chain):
        return Emulation(request)
    return None
