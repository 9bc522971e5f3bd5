"""What type checkers, ``inspect`` and IPython know of the arguments is what the classes and functions take."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

import pydantic
import pytest

import unified_llm
from tests.support.each import each
from unified_llm import LLMClient, LLMConfig, LLMRequest, configure, register_provider
from unified_llm._adapters import keywords as of_chains
from unified_llm._adapters.target_fields import TargetFields
from unified_llm._client import keywords as of_calls
from unified_llm._client.call_options import OPTION_NAMES
from unified_llm._config import keywords as of_targets
from unified_llm._config.configured_layer import KNOWN
from unified_llm._config.constructor_names import ALIASES
from unified_llm._config.default_keywords import DefaultKeywords
from unified_llm._core.api_key import OmittedKey, Secret
from unified_llm._core.key_callable import KeyCallable
from unified_llm._lib.list_of import ListOf
from unified_llm._providers.spec import ProviderSpec
from unified_llm.exceptions import ConfigurationError
from unified_llm.langchain import ChatUnified, UnifiedEmbeddings
from unified_llm.langchain import _keywords as of_langchain
from unified_llm.llama_index import UnifiedEmbedding, UnifiedLLM, UnifiedRerank
from unified_llm.llama_index import _keywords as of_llama_index
from unified_llm.types import (
    EmbeddingRequest,
    ImageRequest,
    RerankRequest,
    SpeechRequest,
    TranscriptionRequest,
    VideoRequest,
)

CHAINS: dict[type[TargetFields], type] = {
    ChatUnified: of_langchain.ChatUnifiedKeywords,
    UnifiedEmbeddings: of_langchain.UnifiedEmbeddingsKeywords,
    UnifiedLLM: of_llama_index.UnifiedLLMKeywords,
    UnifiedEmbedding: of_llama_index.UnifiedEmbeddingKeywords,
    UnifiedRerank: of_llama_index.UnifiedRerankKeywords,
}
# Parameters of their own beside the keywords.
OWN = {"model", "fallbacks"}
MAPPINGS = {dict, Mapping}


def members(hint: Any) -> set[Any]:
    """Return the types that a type may be, without what validates them."""
    if get_origin(hint) in {Union, UnionType}:
        return {member for part in get_args(hint) for member in members(part)}
    if hasattr(hint, "__metadata__"):
        return members(hint.__origin__)
    return {hint}


def is_accepted(member: Any, hint: Any) -> bool:
    """Return whether a keyword of this type may have a value of this member of the field's type."""
    allowed = members(hint)
    origins, origin = {get_origin(part) for part in allowed}, get_origin(member)
    if member in allowed or Any in allowed or member is OmittedKey:  # stands for a key that a pickle left out
        return True
    if origin in {tuple, list, Sequence}:
        return ListOf in origins
    if origin in MAPPINGS:
        return bool(origins & MAPPINGS)
    return Literal in origins if member is str else origin is not None and origin in origins


def mismatches(keywords: type, types: Mapping[str, Any]) -> list[str]:
    """Return what a class of keywords misses, has beyond the fields, or has with another type."""
    hints = get_type_hints(keywords)
    wrong = [f"{name} is missing" for name in types if name not in hints]
    wrong += [f"{name} is no field" for name in hints if name not in types]
    for name in hints.keys() & types.keys():
        wrong += [
            f"{name}: {member} is not in {hints[name]}"
            for member in members(types[name])
            if not is_accepted(member, hints[name])
        ]
    return wrong


def types_of_dataclass(kind: type, without: Iterable[str]) -> dict[str, Any]:
    hints = get_type_hints(kind)
    return {field.name: hints[field.name] for field in fields(kind) if field.name not in without}


def types_of_model(kind: type[pydantic.BaseModel], aliases: Mapping[str, str]) -> dict[str, Any]:
    types = {name: field.annotation for name, field in kind.model_fields.items() if name not in OWN}
    of_aliases = {alias: kind.model_fields[name].annotation for alias, name in aliases.items()}
    return types | of_aliases | {alias: str | None for alias, name in aliases.items() if name == "model"}


TARGET_TYPES = types_of_model(
    LLMConfig, {alias: name for alias, name in ALIASES.items() if name not in OWN - {"model"}}
) | {"model": str | None, "fallback_configs": tuple[Any, ...]}
# The keywords of configure() beside those of a target.
OF_THE_PROCESS = {*KNOWN} - TARGET_TYPES.keys()
OPTIONS = dict.fromkeys(OPTION_NAMES, NoneType)
OTHER_OPTIONS = {name: kind for name, kind in OPTIONS.items() if name != "hedge_after"}


@each(
    ("keywords", "types"),
    [
        (
            of_calls.ChatKeywords,
            types_of_dataclass(LLMRequest, {"native", "original"}) | OPTIONS | {"max_completion_tokens": int | None},
        ),
        (of_calls.EmbedKeywords, types_of_dataclass(EmbeddingRequest, {"texts", "original"}) | OTHER_OPTIONS),
        (of_calls.RerankKeywords, types_of_dataclass(RerankRequest, {"query", "documents"}) | OTHER_OPTIONS),
        (
            of_calls.ImageKeywords,
            types_of_dataclass(ImageRequest, {"prompt", "images", "mask", "stream"}) | OTHER_OPTIONS,
        ),
        (of_calls.SpeechKeywords, types_of_dataclass(SpeechRequest, {"text", "stream"}) | OTHER_OPTIONS),
        (of_calls.TranscriptionKeywords, types_of_dataclass(TranscriptionRequest, {"audio", "stream"}) | OTHER_OPTIONS),
        (of_calls.VideoKeywords, types_of_dataclass(VideoRequest, {"prompt", "image"}) | OTHER_OPTIONS),
        (
            of_targets.TargetKeywords,
            TARGET_TYPES,
        ),
        (
            of_targets.ProviderKeywords,
            types_of_dataclass(ProviderSpec, {"name", "base_url", "url_template", "url_parts", "features", "instance"}),
        ),
        (DefaultKeywords, TARGET_TYPES | dict.fromkeys(OF_THE_PROCESS, NoneType)),
    ],
)
def test_the_keywords_are_the_fields_of_what_they_describe(keywords: type, types: Mapping[str, Any]) -> None:
    assert mismatches(keywords, types) == []


@each("kind", CHAINS)
def test_the_keywords_of_a_chain_are_its_fields_and_their_aliases(kind: type[TargetFields]) -> None:
    keywords = CHAINS[kind]
    aliases = {alias: name for alias, name in kind.ALIASES.items() if alias in get_type_hints(keywords)}
    wrong = mismatches(keywords, types_of_model(kind, aliases))
    assert [line for line in wrong if not line.startswith("callbacks:")] == []
    assert set(get_type_hints(of_chains.ChainKeywords)) <= set(get_type_hints(keywords))


def test_the_comparison_of_keywords_sees_each_difference() -> None:
    hints = get_type_hints(of_targets.TargetKeywords)
    assert mismatches(of_targets.TargetKeywords, hints) == []
    assert mismatches(of_targets.TargetKeywords, {**hints, "more": int}) == ["more is missing"]
    assert mismatches(of_targets.TargetKeywords, {k: v for k, v in hints.items() if k != "seed"}) == [
        "seed is no field"
    ]
    assert mismatches(of_targets.TargetKeywords, {**hints, "seed": int | str | None}) != []


# At run time


@each("kind", CHAINS)
def test_the_signature_of_a_chain_lists_its_fields_before_and_after_the_first_object(kind: Any) -> None:
    class Fresh(kind):  # type: ignore[misc] # whose validator has not been built
        further: int = 7

    before = inspect.signature(Fresh)
    Fresh("openai/gpt-5-mini")
    assert inspect.signature(Fresh) == before
    names = list(before.parameters)
    assert names[:2] == ["model", "fallbacks"]
    assert set(names) == set(Fresh.model_fields)
    assert before.parameters["model"].kind is inspect.Parameter.POSITIONAL_OR_KEYWORD
    assert before.parameters["timeout"].kind is inspect.Parameter.KEYWORD_ONLY
    assert before.parameters["deadline"].default == 600.0
    assert before.parameters["api_key"].annotation == pydantic.SecretStr | KeyCallable | None
    assert before.parameters["further"].default == 7


@each("kind", [*CHAINS, LLMConfig])
def test_a_subclass_with_a_constructor_of_its_own_shows_what_that_takes(kind: Any) -> None:
    class Deployed(kind):  # type: ignore[misc]
        def __init__(self, deployment: str, *, timeout: float = 9, **fields: Any) -> None:
            super().__init__(model=f"ollama/{deployment}", timeout=timeout, **fields)

    class Region(Deployed):
        region: str = "eu"

    class Closed(kind):  # type: ignore[misc]
        def __init__(self, deployment: str) -> None:
            super().__init__(model=f"ollama/{deployment}")

    names = list(parameters(Region))
    assert names[:4] == ["deployment", "timeout", "model", "fallbacks"]
    assert set(names) == {"deployment", *Region.model_fields}
    assert parameters(Region)["timeout"].default == 9
    assert str(inspect.signature(Closed)).replace("'", "") == "(deployment: str)"
    assert Region("llama3.2", region="us").region == "us"
    assert Closed("llama3.2").model == "ollama/llama3.2"


@each("kind", [*CHAINS, LLMConfig])
def test_a_field_of_a_subclass_may_have_an_alias(kind: Any) -> None:
    class Tenant(kind):  # type: ignore[misc]
        tenant: str = pydantic.Field(default="", alias="tenantId")

    assert (
        Tenant(model="ollama/llama3.2", tenantId="a").tenant
        == Tenant(model="ollama/llama3.2", tenant="a").tenant
        == "a"
    )
    assert Tenant(model="ollama/llama3.2", tenant="a").model_copy(update={"tenant": "b"}).tenant == "b"
    with pytest.raises(ConfigurationError, match="did you mean 'tenant"):
        Tenant(model="ollama/llama3.2", tenantID="a")


def test_the_signature_lists_our_own_fields_before_those_of_the_framework() -> None:
    names = list(parameters(ChatUnified))
    assert names.index("provider") < names.index("temperature") < names.index("cache")


def parameters(function: Any) -> Mapping[str, inspect.Parameter]:
    return inspect.signature(function).parameters


CHAT = {"model", "temperature", "tools", "tool_choice", "response_format", "stop", "timeout", "deadline", "hedge_after"}
CHAT_METHODS = ("generate", "agenerate", "stream", "astream", "complete", "acomplete", "count_tokens", "acount_tokens")


@each(
    ("function", "names"),
    [
        (LLMClient, {"config", "fallbacks", "deadline", "on_attempt", "temperature", "base_url", "api_key", "breaker"}),
        (LLMConfig, {"model", "fallbacks", "temperature", "base_url", "api_key", "breaker"}),
        *((getattr(LLMClient, method), CHAT | {"prompt"}) for method in CHAT_METHODS),
        *(
            (getattr(LLMClient, method), {"texts", "dimensions", "purpose", "timeout"})
            for method in ("embed", "aembed")
        ),
        *((getattr(LLMClient, method), {"query", "documents", "top_n"}) for method in ("rerank", "arerank")),
        (configure, {*KNOWN}),
        (register_provider, {"name", "provider", "base_url", "api_key_env", "features", "quirks", "local", "headers"}),
    ],
)
def test_a_signature_lists_the_names_that_may_be_written(function: Any, names: set[str]) -> None:
    shown = parameters(function)
    assert names <= set(shown)
    assert inspect.Parameter.VAR_KEYWORD not in {parameter.kind for parameter in shown.values()}
    with pytest.raises(TypeError, match="unexpected keyword"):
        inspect.signature(function).bind_partial(temprature=1)


def test_signatures_show_real_types_and_defaults() -> None:
    shown = parameters(LLMClient.generate)
    assert shown["temperature"].annotation == float | None
    assert shown["temperature"].default is None
    assert shown["as_text"].default is False
    assert shown["model"].annotation == str | None  # not a hundred names
    assert "..." in str(shown["deadline"])
    assert parameters(LLMClient)["retry_delay"].default == 1.0
    assert parameters(LLMConfig)["api_key"].annotation == Secret | KeyCallable | OmittedKey | None
    assert str(parameters(configure)["max_retries"]) == "max_retries: int | None = ..."


def test_help_shows_the_names(capsys: pytest.CaptureFixture[str]) -> None:
    for thing in (LLMClient, ChatUnified, unified_llm.configure):
        help(thing)
        text = capsys.readouterr().out
        assert "timeout: float | None" in text
        assert "**overrides" not in text.partition("Args:")[0]
