"""Which pairs of features a request combines."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from unified_llm._core.features import FeaturePair
from unified_llm._core.target import Target
from unified_llm.types.requests import LLMRequest

_NONE: Final[frozenset[FeaturePair]] = frozenset()
_FREE_CHOICES: Final = (None, "auto", "none")


def conflicts(request: LLMRequest, target: Target) -> frozenset[FeaturePair]:
    """Return the pairs of features that the request combines and the target cannot combine."""
    if not target.exclusive:
        return _NONE
    return frozenset(pair for pair in target.exclusive if _COMBINES[pair](request, target))


def forces_tool(request: LLMRequest) -> bool:
    """Return whether the response has to be a call of a tool."""
    return bool(request.tools) and request.tool_choice not in _FREE_CHOICES


def asks_to_think(request: LLMRequest, target: Target) -> bool:
    """Return whether the request asks the target to think: by an effort, or by a field ``thinking`` of its body."""
    effort = request.reasoning_effort or target.defaults.get("reasoning_effort")
    for body in (request.extra_body, target.extra_body):
        if isinstance(thinking := body.get("thinking"), Mapping):
            return thinking.get("type") != "disabled"
    return effort not in {None, "none"}


def _has_both_kinds_of_tools(request: LLMRequest, _: Target) -> bool:
    return len({tool.builtin is None for tool in request.tools}) > 1


def _is_prefilled(request: LLMRequest) -> bool:
    last = request.messages[-1] if request.messages else None
    return last is not None and last.role == "assistant" and not last.tool_calls


_COMBINES: Final[Mapping[FeaturePair, Callable[[LLMRequest, Target], Any]]] = {
    "tools with JSON": lambda request, _: request.tools and request.response_format,
    "streaming with JSON": lambda request, _: request.stream and request.response_format,
    "thinking with a forced tool": lambda request, target: forces_tool(request) and asks_to_think(request, target),
    "built-in tools with functions": _has_both_kinds_of_tools,
    "prefill with thinking": lambda request, target: _is_prefilled(request) and asks_to_think(request, target),
    "tools with streaming": lambda request, _: request.tools and request.stream,
}
