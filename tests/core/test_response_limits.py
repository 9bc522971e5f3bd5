from __future__ import annotations

from typing import Any

from tests.support.each import each
from tests.support.echo_format import chat_request, target_at
from unified_llm._core.response_limits import (
    BULK_BYTES,
    CHAT_BYTES,
    ResponseLimits,
    response_limits,
    size_of_chunk,
)
from unified_llm.types import (
    Citation,
    EmbeddingRequest,
    LLMChunk,
    LLMRequest,
    ModelsRequest,
    RerankRequest,
    TokenLogprob,
    ToolCallChunk,
)

CHAT = chat_request()


@each(
    ("request_", "limits"),
    [
        (CHAT, ResponseLimits(CHAT_BYTES, 1_000_000)),
        (ModelsRequest(), ResponseLimits(CHAT_BYTES, 1_000_000)),
        (LLMRequest((), logprobs=True, top_logprobs=20), ResponseLimits(4 * CHAT_BYTES, 4_000_000)),
        (EmbeddingRequest(("a", "b")), ResponseLimits(BULK_BYTES, 1_040_000, 20_128)),
        (EmbeddingRequest(("a",) * 2048), ResponseLimits(BULK_BYTES, 16_000_000, 151_072)),
        (RerankRequest("q", ("a",)), ResponseLimits(BULK_BYTES, 1_000_000)),
    ],
)
def test_each_kind_of_request_has_its_limits(request_: Any, limits: ResponseLimits) -> None:
    assert response_limits(request_, target_at("http://x.test")) == limits


def test_the_limit_of_the_target_takes_the_place_of_the_default() -> None:
    larger = response_limits(CHAT, target_at("http://x.test", max_response_bytes=4 * CHAT_BYTES))
    assert larger == ResponseLimits(4 * CHAT_BYTES, 4_000_000)
    smaller = response_limits(EmbeddingRequest(("a",)), target_at("http://x.test", max_response_bytes=1000))
    assert smaller == ResponseLimits(1000, 1_020_000, 20_064)


@each(
    ("chunk", "size"),
    [
        (LLMChunk(content="word"), 20),
        (LLMChunk(reasoning="word", refusal="no"), 22),
        (LLMChunk(tool_calls=(ToolCallChunk(0, arguments="{}"),)), 34),
        (LLMChunk(tool_calls=(ToolCallChunk(0, "id", "name", "{}"),)), 536),
        (LLMChunk(citations=(Citation("url", "title"),)), 88),
        (LLMChunk(logprobs=(TokenLogprob("a", -1.0, (("b", -1.0),)),)), 146),
    ],
)
def test_everything_in_a_chunk_counts(chunk: LLMChunk, size: int) -> None:
    assert size_of_chunk(chunk) == size
