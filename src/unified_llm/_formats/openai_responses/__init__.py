"""OpenAI's Responses format: the only one of its newest models, and supported by several other providers and servers.

``request`` and ``messages`` write requests, ``response`` reads whole responses, ``stream`` reads streamed ones,
``provider_state`` keeps encrypted reasoning. Nothing is stored at the provider: every request contains the whole
conversation (``store`` is false), and reasoning is received and sent back encrypted. Embeddings, model lists and errors
are the same in both of OpenAI's formats.
"""

from __future__ import annotations

from typing import Final

from unified_llm._formats.make_codec import FunctionCodec
from unified_llm._formats.openai_chat import CODEC as OPENAI_CHAT
from unified_llm._formats.openai_chat import load_further
from unified_llm._formats.openai_errors import read_failure
from unified_llm._formats.openai_responses.request import write_count, write_response
from unified_llm._formats.openai_responses.response import read_count, read_response
from unified_llm._formats.openai_responses.stream import ResponseStream
from unified_llm.types.requests import CountRequest, LLMRequest

__all__ = ["CODEC"]

CODEC: Final = FunctionCodec(
    {
        **OPENAI_CHAT.by_request,
        LLMRequest: (write_response, read_response),
        CountRequest: (write_count, read_count),
    },
    stream=lambda _, target: ResponseStream(target),  # the events alone determine the chunks
    failure=read_failure,
    further=load_further,
)
