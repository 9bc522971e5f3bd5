"""The table of formats, and their codecs.

Each import is a statement of its own: programs that collect modules (PyInstaller, Nuitka, cx_Freeze) read import
statements, and miss a module whose name is built at run time.
"""

from __future__ import annotations

from types import ModuleType
from typing import Final

from unified_llm._core.codec import Codec
from unified_llm._core.redaction import quoted
from unified_llm.exceptions import ConfigurationError

__all__ = ["FORMATS", "codec_for"]

# Each is a module or package beside this one, whose CODEC is the codec.
FORMATS: Final = (
    "anthropic", "openai_chat", "openai_responses", "azure", "azure_responses", "huggingface",
    "gemini", "ollama", "cohere",
)  # fmt: skip


def codec_for(name: str) -> Codec:
    """Return the codec of a format, imported when it is first needed.

    Args:
        name: One of ``FORMATS``.

    Raises:
        ConfigurationError: There is no format of that name.
    """
    module: ModuleType
    match name:
        case "anthropic":
            import unified_llm._formats.anthropic as module
        case "openai_chat":
            import unified_llm._formats.openai_chat as module
        case "openai_responses":
            import unified_llm._formats.openai_responses as module
        case "azure":
            import unified_llm._formats.azure as module
        case "azure_responses":
            import unified_llm._formats.azure_responses as module
        case "huggingface":
            import unified_llm._formats.huggingface as module
        case "gemini":
            import unified_llm._formats.gemini as module
        case "ollama":
            import unified_llm._formats.ollama as module
        case "cohere":
            import unified_llm._formats.cohere as module
        case _:
            raise ConfigurationError(f"There is no format {quoted(name)}; known are {', '.join(FORMATS)}.")
    codec: Codec = module.CODEC
    return codec
