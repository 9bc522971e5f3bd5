"""What users give in place of a model string or of a list of fallbacks: read where it is clear, else explained."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from unified_llm._core.redaction import looks_like_a_key, quoted

# Packages whose objects are given as models, by the first part of the name of their module: what they are, and what to
# do with one. The first that a base class comes from counts.
_OBJECTS: Final[Mapping[str, tuple[str, str]]] = {
    "unified_llm": ("an object of this package", "pass its model string or its LLMConfig"),
    "langchain_core": (
        "an object of LangChain",
        "a chat model goes into unified_llm.langchain.ChatUnified, as model= or into fallbacks=[...]",
    ),
    "llama_index": (
        "an object of LlamaIndex",
        "an LLM goes into unified_llm.llama_index.UnifiedLLM, as model= or into fallbacks=[...]",
    ),
    **dict.fromkeys(
        ("openai", "anthropic", "google", "mistralai", "cohere", "groq", "ollama", "together", "huggingface_hub"),
        ("a client of that SDK", "write a model string, such as 'openai/gpt-5-mini', and pass its key as api_key="),
    ),
    "httpx": ("an HTTP client", "connections are this package's own"),
    "pathlib": ("a path", "write a model string; a local model is 'mlx/<folder>'"),
}
# Runnables of LangChain that are made of a chat model, by their class: what to give in place of each.
_AROUND_A_MODEL: Final[Mapping[str, str]] = {
    "RunnableWithFallbacks": "give its model and its fallbacks one by one, as model= and in fallbacks=[...]",
    "RunnableRetry": "give the model without with_retry(); max_retries= sets the retries",
    "RunnableSequence": "give the chat model alone, and put prompts and parsers around the result",
    "_ConfigurableModel": "give the model that init_chat_model makes without configurable_fields",
    "Pregel": "give the chat model; an agent or graph is made with the result",
}
_EMBEDDINGS: Final = frozenset({"Embeddings", "BaseEmbedding"})  # LangChain's and LlamaIndex's classes of them
_FALLBACKS: Final = "fallbacks is a list of model strings, mappings or LLMConfig"


class GivenTargetsError(ValueError):
    """What was given is no target, or no list of them; the text is the whole message, without a key."""


def list_fallbacks(given: Any) -> list[Any]:
    """Return the items of ``fallbacks=``: of a list, a tuple or an iterator; none of None.

    Raises:
        GivenTargetsError: It is something else, such as one model without a list around it.
    """
    if given is None:
        return []
    if isinstance(given, (Sequence, Iterator)) and not isinstance(given, (str, bytes, bytearray)):
        return list(given)
    if isinstance(given, str):
        shown = quoted(given) if "/" in given and not looks_like_a_key(given) else "..."
        raise GivenTargetsError(f"{_FALLBACKS}, and got a string: write fallbacks=[{shown}].")
    if isinstance(given, (set, frozenset)):
        raise GivenTargetsError(f"{_FALLBACKS}, and got a set, which has no order: write a list.")
    brackets = ": write fallbacks=[...], with brackets around it" if _kind(given) or isinstance(given, Mapping) else ""
    raise GivenTargetsError(f"{_FALLBACKS}, and got {_name(given)}{brackets}.")


def _name(given: object) -> str:
    return f"the class {given.__name__}" if isinstance(given, type) else type(given).__name__


def _kind(given: object) -> tuple[str, str] | None:
    roots = (base.__module__.partition(".")[0] for base in type(given).__mro__)
    return next((_OBJECTS[root] for root in roots if root in _OBJECTS), None)


def explain(given: object) -> str:
    """Say what an object in place of a model string is, and what to do instead: the end of a sentence."""
    name = _name(given)
    if given is None:
        return "None: leave it out."
    if isinstance(given, type):
        return f"{name}: make an object of it."
    if isinstance(given, (list, tuple, set, frozenset)):
        return f"a {name}: write one model after the other, the first as model= and the others into fallbacks=[...]."
    if any(base.__name__ in _EMBEDDINGS for base in type(given).__mro__):
        return f"{name}: embeddings of a framework are no target; write a model string."
    around = next((hint for base in type(given).__mro__ if (hint := _AROUND_A_MODEL.get(base.__name__))), None)
    if around:
        return f"{name}: {around}."
    kind = _kind(given)
    return f"{name}, {kind[0]}: {kind[1]}." if kind else f"{name}."
