"""LlamaIndex's decorators, with types: what they wrap is reported to its observers, once for each call from outside."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, cast

from llama_index.core.llms.callbacks import llm_chat_callback, llm_completion_callback

Method = TypeVar("Method", bound=Callable[..., Any])


def chat_events(method: Method) -> Method:
    """Report calls of a chat method."""
    return cast("Method", llm_chat_callback()(method))


def completion_events(method: Method) -> Method:
    """Report calls of a completion method."""
    return cast("Method", llm_completion_callback()(method))
