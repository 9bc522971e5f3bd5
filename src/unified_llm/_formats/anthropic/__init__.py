"""Anthropic's Messages format, which its own API and many local servers speak.

``request`` and ``messages`` write requests, ``response`` reads whole answers, ``stream`` reads streamed ones,
``models`` reads model lists, ``provider_state`` keeps opaque state for the provider that issued it, ``openai_errors``
classifies errors. Nothing in here depends on which provider the target belongs to.
"""

from __future__ import annotations

from typing import Final

from unified_llm._formats.anthropic.models import read_model, read_models
from unified_llm._formats.anthropic.request import write_chat, write_count, write_model, write_models
from unified_llm._formats.anthropic.response import read_chat, read_count
from unified_llm._formats.anthropic.stream import MessageStream
from unified_llm._formats.make_codec import FunctionCodec, FurtherRequests
from unified_llm._formats.openai_errors import read_failure
from unified_llm.types.requests import CountRequest, LLMRequest, ModelRequest, ModelsRequest

__all__ = ["CODEC"]


def _load_further() -> FurtherRequests:
    """Import what batches need: no chat needs it."""
    from unified_llm._formats.anthropic.batches import BATCHES

    return FurtherRequests(BATCHES)


CODEC: Final = FunctionCodec(
    {
        LLMRequest: (write_chat, read_chat),
        CountRequest: (write_count, read_count),
        ModelsRequest: (write_models, read_models),
        ModelRequest: (write_model, read_model),
    },
    stream=lambda _, target: MessageStream(target),  # the request does not matter: events name their own type
    failure=read_failure,
    further=_load_further,
)
