"""OpenAI's Responses format, which its newest models speak alone, and several other providers and servers speak too.

``request`` and ``messages`` write requests, ``response`` reads whole answers, ``stream`` reads streamed ones,
``provider_state`` keeps reasoning that only its author can read. Nothing is left with the provider: every request
carries the whole conversation (``store`` is false), and reasoning comes and goes encrypted. What is no answer
(embeddings, the list of models) is the same in both of OpenAI's formats, and so are errors.
"""

from __future__ import annotations

from typing import Final

from unified_llm._formats.make_codec import FunctionCodec
from unified_llm._formats.openai_chat import CODEC as OPENAI_CHAT
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
    stream=lambda _, target: ResponseStream(target),  # whatever was asked for comes in events of its own
    failure=read_failure,
)
