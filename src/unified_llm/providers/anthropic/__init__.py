"""Anthropic's Messages format, which its own API and many local servers speak.

``encode``, ``messages``, ``parts``, ``thinking`` and ``schemas`` write requests, ``decode`` reads whole answers,
``stream`` reads streamed ones, ``models`` reads what is said of models, ``sealed`` keeps what only the author of an
answer can read, ``errors`` names failures. Nothing in here asks which provider it is talking to.
"""

from __future__ import annotations

from typing import Final

from unified_llm.asks import CountRequest, ModelRequest
from unified_llm.providers.anthropic.decode import read_chat, read_count
from unified_llm.providers.anthropic.encode import write_chat, write_count, write_model, write_models
from unified_llm.providers.anthropic.errors import read_failure
from unified_llm.providers.anthropic.models import read_model, read_models
from unified_llm.providers.anthropic.stream import MessageStream
from unified_llm.providers.format import Format
from unified_llm.types import LLMRequest, ModelsRequest

__all__ = ["CODEC"]

CODEC: Final = Format(
    {
        LLMRequest: (write_chat, read_chat),
        CountRequest: (write_count, read_count),
        ModelsRequest: (write_models, read_models),
        ModelRequest: (write_model, read_model),
    },
    stream=lambda _, target: MessageStream(target),  # a stream says what it is
    refusal=read_failure,
)
