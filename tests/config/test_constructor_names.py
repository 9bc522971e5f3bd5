"""Arguments of other packages' constructors: accepted where they mean the same, else answered with what to write."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.support.each import each
from unified_llm import LLMClient, LLMConfig
from unified_llm._config import constructor_names
from unified_llm.exceptions import ConfigurationError
from unified_llm.langchain import ChatUnified, UnifiedEmbeddings
from unified_llm.llama_index import UnifiedEmbedding, UnifiedLLM, UnifiedRerank

MODEL = "ollama/x"
SURFACES: tuple[Callable[..., Any], ...] = (LLMClient, ChatUnified, UnifiedLLM)
ALL: tuple[Callable[..., Any], ...] = (*SURFACES, UnifiedEmbeddings, UnifiedEmbedding, UnifiedRerank)
VALUE = "CANARY"
GENERAL = "further fields of the request go into"


def refusal(surface: Callable[..., Any], name: str) -> str:
    """Return what a surface says of an argument; nothing if it has a field of that name."""
    known = getattr(surface, "model_fields", None) or LLMConfig.model_fields
    if name in known or name in {*constructor_names.ALIASES, *getattr(surface, "ALIASES", ())}:
        return ""
    with pytest.raises(ConfigurationError) as refused:
        surface(MODEL, **{name: VALUE})
    assert VALUE not in str(refused.value)
    return str(refused.value)


@each(
    ("name", "expected"),
    [
        ("openai_api_key", "api_key="),
        ("anthropic_api_key", "api_key="),
        ("google_api_key", "api_key="),
        ("huggingfacehub_api_token", "api_key="),
        ("openai_api_base", "base_url="),
        ("api_base", "base_url="),
        ("azure_endpoint", "base_url="),
        ("azure_deployment", 'model="azure/<deployment>"'),
        ("openai_api_version", "write api_version="),
        ("azure_ad_token_provider", "an Entra token is passed as api_key=, and so is the callable"),
        ("organization", 'default_headers={"OpenAI-Organization"'),
        ("http_client", "connections are this package's own"),
        ("async_client", "connections are this package's own"),
        ("default_query", "a query cannot be added"),
        ("n", "generate(..., n=2)"),
        ("tools", "tools belong to a call"),
        ("response_format", "the form of an answer belongs to a call"),
        ("top_k", 'extra_body={"top_k": ...}'),
        ("repeat_penalty", 'extra_body={"repeat_penalty": ...}'),
        ("store", 'extra_body={"store": ...}'),
        ("safety_settings", 'extra_body={"safety_settings": ...}'),
        ("num_ctx", "context_window="),
        ("num_predict", "max_tokens="),
        ("max_output_tokens", "max_tokens="),
        ("thinking", "reasoning_effort="),
        ("model_provider", 'model="provider/model"'),
        ("custom_llm_provider", 'model="provider/model"'),
        ("drop_params", "are left out, with one warning"),
        ("mock_response", "unified_llm.testing.outage"),
        ("num_retries", "max_retries="),
        ("cooldown_time", "breaker=BreakerConfig(...)"),
        ("betas", 'default_headers={"anthropic-beta": "..."}'),
        ("requests_per_minute", "write rpm= or tpm="),
        ("max_parallel_requests", "rpm= and tpm= limit them by the minute"),
        ("model_list", "fallbacks=[...]"),
    ],
)
def test_an_argument_of_another_constructor_is_answered_with_what_to_write(name: str, expected: str) -> None:
    assert all(expected in answer for surface in ALL if (answer := refusal(surface, name)))
    with pytest.raises(ConfigurationError) as refused:
        LLMConfig.model_validate({"model": MODEL, name: VALUE})
    assert expected in str(refused.value)


@each(
    ("surface", "name", "expected"),
    [
        (LLMClient, "callbacks", "ChatUnified has it"),
        (LLMClient, "verbose", "ChatUnified has it"),
        (LLMClient, "callback_manager", "UnifiedLLM has it"),
        (LLMClient, "streaming", "call stream() or astream()"),
        (UnifiedLLM, "streaming", "call stream() or astream()"),
        (LLMClient, "system_prompt", "a system text is a message of each call"),
        (ChatUnified, "system_prompt", "a system text is a message of each call"),
        (LLMClient, "model_kwargs", "extra_body="),
        (LLMClient, "rate_limiter", "write rpm= or tpm="),
        (LLMClient, "embed_batch_size", "embed(texts, batch_size=...)"),
    ],
)
def test_what_one_surface_has_is_named_at_the_others(surface: Callable[..., Any], name: str, expected: str) -> None:
    assert expected in refusal(surface, name)


@each("name", ["deadline", "failover_on", "hedge_after", "on_attempt", "on_stream_break", "skip_unconfigured"])
def test_a_setting_of_the_whole_chain_is_none_of_one_target(name: str) -> None:
    expected = f"LLMConfig has no field '{name}': it is a setting of a whole chain: LLMClient(..., {name}=...)"
    for make in (lambda: LLMConfig(**{name: None}), lambda: LLMClient(MODEL, fallbacks=[{"model": MODEL, name: 1}])):
        with pytest.raises(ConfigurationError) as refused:
            make()
        assert str(refused.value).startswith(expected)


def test_other_names_for_the_same_field_are_accepted() -> None:
    given: dict[str, Any] = {
        "model_name": MODEL,
        "request_timeout": 5,
        "max_completion_tokens": 7,
        "stop_sequences": ["x"],
    }
    for target in (LLMClient(**given).targets[0], LLMClient("mlx/demo", fallbacks=[given]).targets[1]):
        assert (target.name, target.timing.whole) == (MODEL, 5)
        assert (target.defaults["max_tokens"], target.defaults["stop"]) == (7, ("x",))
    for twice in ({"model_name": "ollama/y"}, {"timeout": 1, "request_timeout": 2}):
        with pytest.raises(ConfigurationError, match="is given twice"):
            SURFACES[0](MODEL, **twice)


def test_misspelled_fields_get_the_nearest_name() -> None:
    for name, expected in (("temprature", "temperature"), ("bas_url", "base_url"), ("max_token", "max_tokens")):
        for surface in SURFACES:
            assert f"did you mean {expected!r}?" in refusal(surface, name)


def test_the_table_holds_no_field_of_a_configuration() -> None:
    names = [name for names in constructor_names._BY_ADVICE.values() for name in names]
    assert len(names) == len(set(names))
    assert not {*names} & {*LLMConfig.model_fields, *constructor_names.ALIASES}
