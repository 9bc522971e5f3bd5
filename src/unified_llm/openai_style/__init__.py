"""OpenAI's client over any target: change the import, and the program fails over.

    from unified_llm.openai_style import OpenAI

    client = OpenAI(fallbacks=["anthropic/claude-haiku-4-5"])
    client.chat.completions.create(model="gpt-5-mini", messages=[{"role": "user", "content": "Hello"}])

Public names are imported at their first use. OpenAI's own SDK need not be installed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from types import ModuleType

    from unified_llm.openai_style._errors import (
        APIConnectionError,
        APIError,
        APIResponseValidationError,
        APIStatusError,
        APITimeoutError,
        AuthenticationError,
        BadRequestError,
        ConflictError,
        ContentFilterFinishReasonError,
        InternalServerError,
        LengthFinishReasonError,
        NotFoundError,
        OpenAIError,
        PermissionDeniedError,
        RateLimitError,
        UnprocessableEntityError,
    )
    from unified_llm.openai_style._omitted import NOT_GIVEN, NotGiven, Omit, not_given, omit
    from unified_llm.openai_style._parse import pydantic_function_tool
    from unified_llm.openai_style._streams import AsyncStream, Stream
    from unified_llm.openai_style._timeouts import Timeout
    from unified_llm.openai_style.azure import AsyncAzureOpenAI, AzureOpenAI
    from unified_llm.openai_style.client import AsyncOpenAI, OpenAI

__all__ = [
    "NOT_GIVEN",
    "APIConnectionError",
    "APIError",
    "APIResponseValidationError",
    "APIStatusError",
    "APITimeoutError",
    "AsyncAzureOpenAI",
    "AsyncOpenAI",
    "AsyncStream",
    "AuthenticationError",
    "AzureOpenAI",
    "BadRequestError",
    "ConflictError",
    "ContentFilterFinishReasonError",
    "InternalServerError",
    "LengthFinishReasonError",
    "NotFoundError",
    "NotGiven",
    "Omit",
    "OpenAI",
    "OpenAIError",
    "PermissionDeniedError",
    "RateLimitError",
    "Stream",
    "Timeout",
    "UnprocessableEntityError",
    "not_given",
    "omit",
    "pydantic_function_tool",
]

# What the module of OpenAI's SDK has as well, for a client of the process. Here that is ``unified_llm.ChatCompletion``.
_OF_A_CLIENT = frozenset({
    "audio", "batches", "chat", "completions", "embeddings", "files", "images", "models", "moderations", "responses",
    "videos",
})  # fmt: skip


def __getattr__(name: str) -> Any:
    """Import a public name."""
    if name in _OF_A_CLIENT:
        raise AttributeError(f"module {__name__!r} is no client: write OpenAI().{name}", name=name)
    if name == "types":  # programs that import the module alone find it so
        import unified_llm.openai_style.types as types  # noqa: PLR0402 - the other form asks here for the name

        return types
    if name not in __all__:
        from unified_llm._lib.missing_names import missing_name

        raise missing_name(__name__, name, __all__)
    home: ModuleType
    match name:
        case "OpenAI" | "AsyncOpenAI":
            import unified_llm.openai_style.client as home
        case "AzureOpenAI" | "AsyncAzureOpenAI":
            import unified_llm.openai_style.azure as home
        case "Stream" | "AsyncStream":
            import unified_llm.openai_style._streams as home
        case "pydantic_function_tool":
            import unified_llm.openai_style._parse as home
        case "Timeout":
            import unified_llm.openai_style._timeouts as home
        case "NOT_GIVEN" | "NotGiven" | "Omit" | "not_given" | "omit":
            import unified_llm.openai_style._omitted as home
        case _:
            import unified_llm.openai_style._errors as home
    value = globals()[name] = getattr(home, name)
    return value


def __dir__() -> list[str]:
    """Return the public names."""
    return sorted(__all__)
