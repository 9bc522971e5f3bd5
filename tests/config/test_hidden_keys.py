"""A key in any place of a configuration is in no variable when the configuration is refused, and in no repr."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from typing import Any, Final

import pytest
from langchain_core.messages import HumanMessage

from tests.support.canary_checks import assert_no_canary
from tests.support.each import each
from tests.support.variables import is_ours_or_library, traceback_leaks
from unified_llm import LLMClient, LLMConfig, configure, register_provider
from unified_llm.exceptions import ConfigurationError, LLMError
from unified_llm.langchain import ChatUnified, UnifiedEmbeddings
from unified_llm.llama_index import UnifiedEmbedding, UnifiedLLM, UnifiedRerank

GOOD: Final[dict[str, Any]] = {"model": "openai/m", "api_key": "sk-CANARY"}
# Each holds a key somewhere, and something that is wrong.
BAD: Final[dict[str, dict[str, Any]]] = {
    "key": {"model": "nope/x", "api_key": "sk-CANARY"},
    "key with a line break": {"model": "openai/m", "api_key": "sk-CANARY\n"},
    "fallback": {"model": "openai/m", "fallbacks": [{"model": "nope/x", "api_key": "sk-CANARY"}]},
    "fallback of a fallback": {
        "model": "openai/m", "fallbacks": [{"model": "openai/x", "fallbacks": [{"api_key": "sk-CANARY", "modle": 1}]}],
    },
    "tuple of fallbacks": {"model": "openai/m", "fallbacks": ({"model": "openai/x", "api_key": "sk-CANARY ", "x": 1},)},
    "no list of fallbacks": {"model": "openai/m", "fallbacks": {"api_key": "sk-CANARY"}},
    "header": {"model": "openai/m", "default_headers": {"X-Api-Key": "sk-CANARY\r\n"}},
    "header of another kind": {"model": "nope/m", "default_headers": {"X-Api-Key": "sk-CANARY"}},
    "authorization": {"model": "openai/m", "default_headers": {"Authorization": "Bearer sk-CANARY"}},
    "no headers": {"model": "openai/m", "default_headers": "sk-CANARY"},
    "password": {"model": "openai/m", "base_url": "https://user:pw-CANARY@h.example"},
    "query": {"model": "openai/m", "base_url": "https://h.example?key=CANARY"},
    "body": {"model": "openai/m", "extra_body": {"api_key": "pw-CANARY"}, "timeout": -1},
    "no body": {"model": "openai/m", "extra_body": "sk-CANARY"},
    "key in place of the model": {"model": "pk-CANARY-0123456789abcdef"},
    "key in place of the provider": {"model": "m", "provider": "pk-CANARY-0123456789abcdef"},
    "wrong type": {"model": ["sk-CANARY"], "api_key": "sk-CANARY"},
    "unknown field": {"model": "openai/m", "apikey": "sk-CANARY"},
}  # fmt: skip

SURFACES: Final[dict[str, Callable[[dict[str, Any]], object]]] = {
    "LLMConfig": lambda fields: LLMClient(LLMConfig(**fields)),
    "LLMConfig.model_validate": lambda fields: LLMClient(LLMConfig.model_validate(fields)),
    "LLMClient of a mapping": LLMClient,
    "LLMClient of fields": lambda fields: LLMClient(**fields),
    "LLMClient with it as a fallback": lambda fields: LLMClient(GOOD, fallbacks=[fields]),
    "ChatUnified": lambda fields: ChatUnified(**fields),
    "ChatUnified.model_validate": ChatUnified.model_validate,
    "ChatUnified with it as a fallback": lambda fields: ChatUnified(**GOOD, fallbacks=[fields]),
    "UnifiedEmbeddings": lambda fields: UnifiedEmbeddings(**fields),
    "UnifiedLLM": lambda fields: UnifiedLLM(**fields),
    "UnifiedLLM with it as a fallback": lambda fields: UnifiedLLM(**GOOD, fallbacks=[fields]),
    "UnifiedEmbedding": lambda fields: UnifiedEmbedding(**fields),
    "UnifiedRerank": lambda fields: UnifiedRerank(**fields),
}


def assert_refused_in_silence(call: Callable[[], object]) -> None:
    """Check that a call is refused, and that neither the error nor a variable in its traceback shows a key."""
    with pytest.raises(LLMError) as refused:
        call()
    assert_no_canary(refused.value)
    assert traceback_leaks(refused.value, is_ours_or_library) == []
    context: BaseException | None = refused.value
    while context is not None:
        assert_no_canary(context)
        context = context.__cause__ or context.__context__


@each("surface", SURFACES)
def test_a_key_in_any_place_is_in_no_variable_when_a_configuration_is_refused(surface: str) -> None:
    for bad in BAD.values():
        assert_refused_in_silence(lambda: SURFACES[surface](copy.deepcopy(bad)))  # noqa: B023 - called at once


@each(
    "call",
    [
        lambda: configure(state="redis://:pw-CANARY@h:notaport/0"),
        lambda: configure(state="http://:pw-CANARY@h"),
        lambda: configure(stat="redis://:pw-CANARY@h"),  # type: ignore[call-arg]
        lambda: configure(timeout="sk-CANARY"),  # type: ignore[arg-type]
        lambda: register_provider("mine", base_url="https://user:pw-CANARY@h.example"),
        lambda: register_provider("mine", base_url="https://h.example", headers={"X-Api-Key": "sk-CANARY\n"}),
        lambda: register_provider("mine", base_url="https://h.example", api_key="sk-CANARY"),  # type: ignore[call-arg]
        lambda: LLMClient(**GOOD).generate("x", api_key="sk-CANARY\n"),
        lambda: LLMClient(**GOOD).generate({"messages": "x", "api_key": "sk-CANARY\n"}),
        lambda: LLMClient(**GOOD).generate("x", fallbacks=[{"model": "openai/x", "api_key": "sk-CANARY\n"}]),
        lambda: LLMConfig(model="openai/m", api_key=b"sk-CANARY"),  # type: ignore[arg-type]
        lambda: LLMClient(**GOOD).embed("x", api_key="sk-CANARY\n"),
    ],
)
def test_other_functions_show_no_key_either(call: Callable[[], object]) -> None:
    assert_refused_in_silence(call)


@each("make", [ChatUnified, UnifiedLLM])
def test_a_change_that_is_refused_shows_no_key(make: Callable[..., Any]) -> None:
    model = make(**GOOD)
    for name, value in (
        ("base_url", "https://user:pw-CANARY@h.example"),
        ("fallbacks", [{"model": "openai/m", "api_key": "sk-CANARY\n"}]),
        ("fallbacks", "sk-CANARY"),
    ):
        assert_refused_in_silence(lambda: setattr(model, name, value))  # noqa: B023 - called at once
        assert_refused_in_silence(lambda: model.model_copy(update={name: value}))  # noqa: B023
    assert_refused_in_silence(lambda: model.model_copy(update={"apikey": "sk-CANARY"}))


HEADERS: Final = {"X-Api-Key": "sk-CANARY", "X-Tenant": "1"}


def test_the_headers_of_a_configuration_show_no_key_and_survive_a_dump() -> None:
    config = LLMConfig(model="openai/m", default_headers=HEADERS)
    for thing in (config, vars(config), dict(config), config.model_dump(), config.model_dump(mode="json")):
        assert_no_canary(thing)
    assert "CANARY" not in config.model_dump_json(exclude={"api_key"})
    assert b"CANARY" not in pickle.dumps(config)
    loaded = LLMConfig(**config.model_dump())
    assert loaded == config
    assert {name: str(value) for name, value in loaded.default_headers.items()} == HEADERS
    assert dict(LLMClient(loaded).targets[0].headers) == HEADERS


@each("make", [ChatUnified, UnifiedLLM])
def test_the_headers_of_an_adapter_show_no_key(make: Callable[..., Any]) -> None:
    model = make(**GOOD, default_headers=HEADERS)
    for changed in (model, model.model_copy(update={"default_headers": {**HEADERS, "X-Other": "2"}})):
        assert_no_canary(vars(changed))
        assert_no_canary(changed)
        assert changed.default_headers["X-Api-Key"] == "sk-CANARY"
        assert_no_canary([target.headers for target in changed.client.targets])


def test_the_messages_of_a_refused_call_are_in_no_variable() -> None:
    assert_refused_in_silence(lambda: ChatUnified(**GOOD)._generate([HumanMessage("CANARY")], foo={"CANARY"}))
    with pytest.raises(ConfigurationError):
        LLMClient(**GOOD, on_stream_break="CANARY")


@each("make", [LLMConfig, ChatUnified, UnifiedLLM, UnifiedEmbeddings])
def test_a_key_behind_the_name_of_a_provider_is_not_in_the_repr(make: Callable[..., Any]) -> None:
    shown = repr(make(model="openai/sk-proj-CANARY-0123456789abcdef", api_key="sk-CANARY"))
    assert_no_canary(Exception(shown))
    assert "Qwen/Qwen3-30B-A3B-Instruct-2507-FP8" in repr(make(model="hf/Qwen/Qwen3-30B-A3B-Instruct-2507-FP8")), (
        "the name of a model is shown"
    )
