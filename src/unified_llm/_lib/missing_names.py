"""Errors for names that a public module does not have: where the name is, or which one was probably meant.

Where a module's ``__getattr__`` raises ``AttributeError``, ``from unified_llm import ChatUnified`` raises Python's own
``ImportError``, without our text. So an import statement gets an ``ImportError`` of ours, and any other access the
``AttributeError`` that ``hasattr`` and ``getattr`` with a default rely on.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from opcode import opmap
from typing import Final

from unified_llm._lib.close_names import closest

# The names of each public module, in the order in which a name is looked for. A table: an error imports nothing, and
# a test compares it with each ``__all__``.
_NAMES: Final = {
    "unified_llm": """
        AsyncMapRun Attempt BreakerConfig ChatCompletion ChatProvider Completion Embedding EmbeddingResponse
        FailureKind KnownModelName LLMChunk LLMClient LLMConfig LLMRequest LLMResponse MLXConfig MapResult MapRun
        MapTotals Message ModelInfo Provider ProviderBase ToolCall Usage configure health_snapshot register_provider
        reset_health
    """,
    "unified_llm.langchain": """
        ChatUnified UnifiedEmbeddings register
    """,
    "unified_llm.llama_index": """
        UnifiedEmbedding UnifiedLLM UnifiedRerank
    """,
    "unified_llm.exceptions": """
        AllTargetsFailedError AuthenticationError BadRequestError ConfigurationError ConnectionError
        ContentFilterError ContextOverflowError GenerationError LLMError ModelNotFoundError
        PermissionDeniedError QuotaExceededError RateLimitError ServiceUnavailableError StreamInterruptedError
        TimeoutError UnconfiguredError UnsupportedOperationError ValidationError
    """,
    "unified_llm.testing": """
        Outage outage
    """,
    "unified_llm.types": """
        Attempt AudioPart CachePoint Citation CountRequest EmbeddingRequest EmbeddingResponse FilePart FinishReason
        Image ImageChunk ImagePart ImageRequest ImageResponse LLMChunk LLMRequest LLMResponse Media MediaFile
        Message ModelInfo ModelRequest ModelsRequest OutputMethod Part ProviderState RankedDocument RawChunk
        RawRequest RawResponse RerankRequest RerankResponse ResponseFormat Role SpeechRequest SpeechResponse
        TextPart TokenLogprob Tool ToolCall ToolCallChunk Transcription TranscriptionChunk TranscriptionRequest
        TranscriptionSegment TranscriptionWord Usage VideoContentRequest VideoJob VideoJobRequest VideoRequest
        VideoResponse
    """,
    "unified_llm.batch.ray": """
        Embed Generate
    """,
    "unified_llm.openai_style": """
        NOT_GIVEN APIConnectionError APIError APIResponseValidationError APIStatusError APITimeoutError
        AsyncAzureOpenAI AsyncOpenAI AsyncStream AuthenticationError AzureOpenAI BadRequestError
        ConflictError ContentFilterFinishReasonError InternalServerError LengthFinishReasonError
        NotFoundError NotGiven Omit OpenAI OpenAIError PermissionDeniedError RateLimitError Stream Timeout
        UnprocessableEntityError not_given omit pydantic_function_tool
    """,
}
_LIKENESS: Final = 0.75  # LLMclient and ChatUnifed are like our names, ChatOpenAI is not


def missing_name(module: str, name: str, public: Sequence[str]) -> Exception:
    """Make the error that the ``__getattr__`` of a module raises for a name that it does not have.

    Args:
        module: The module.
        name: The name.
        public: The names that the module has.
    """
    plain = AttributeError(f"module {module!r} has no attribute {name!r}", name=name, obj=sys.modules.get(module))
    caller = sys._getframe(2)  # noqa: SLF001 # pyright: ignore[reportPrivateUsage]
    # What Python and its tools look for; and the import system, which tries a submodule of this name next.
    if name.startswith("_") or caller.f_globals.get("__name__") == "importlib._bootstrap":
        return plain
    hint = _hint(module, name, public)
    if hint and caller.f_code.co_code[caller.f_lasti] == opmap["IMPORT_FROM"]:
        return ImportError(f"cannot import name {name!r} from {module!r}: {hint}", name=module)
    return AttributeError(f"{plain}: {hint}", name=name, obj=plain.obj) if hint else plain


def _hint(module: str, name: str, public: Sequence[str]) -> str | None:
    homes = dict.fromkeys(public, module)
    for other, names in _NAMES.items():
        homes = {**dict.fromkeys(names.split(), other), **homes}
    if name in homes:
        return f"it is in {homes[name]}: from {homes[name]} import {name}"
    known = closest(name, homes, _LIKENESS)
    if known is None:
        return None
    return f"did you mean {known}?" if homes[known] == module else f"did you mean {known}, from {homes[known]}?"
