"""Keyword arguments that are no field of a request: fields of the provider's API pass, misspelled ones are refused."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Mapping
from dataclasses import fields
from typing import Any

import pytest
from llama_index.core.base.llms.types import ChatMessage

from tests.support.each import each
from tests.support.sent_requests import SentRequests
from unified_llm import LLMClient, LLMRequest, Message
from unified_llm._core import nested_settings
from unified_llm._core.not_in_a_body import advice_on
from unified_llm._providers import api_fields, provider_fields, registry
from unified_llm.exceptions import ConfigurationError, ValidationError
from unified_llm.langchain import ChatUnified, UnifiedEmbeddings
from unified_llm.llama_index import UnifiedEmbedding, UnifiedLLM

KEY = "sk-canary-field-names"
GPT = {"model": "openai/gpt-4o", "api_key": KEY}
OWN = {field.name for field in fields(LLMRequest)}
ADDRESSES = {"azure": "https://eu.openai.azure.com", "openai-compatible": "https://server.example/v1"}

Call = Callable[[Mapping[str, Any], Mapping[str, Any]], object]


async def _collect(chunks: Any) -> list[Any]:
    return [chunk async for chunk in chunks]


def generate(target: Mapping[str, Any], options: Mapping[str, Any]) -> object:
    return LLMClient(**config(target)).generate("Hello?", **options)


def config(target: Mapping[str, Any]) -> dict[str, Any]:
    """Return the arguments of a client: its first one is called otherwise than the adapters'."""
    return {"config" if name == "model" else name: value for name, value in target.items()}


# Every way to pass an argument with a call, or for all calls.
CALLS: Mapping[str, Call] = {
    "generate": generate,
    "agenerate": lambda target, options: asyncio.run(LLMClient(**config(target)).agenerate("Hello?", **options)),
    "stream": lambda target, options: list(LLMClient(**config(target)).stream("Hello?", **options)),
    "astream": lambda target, options: asyncio.run(_collect(LLMClient(**config(target)).astream("Hello?", **options))),
    "complete": lambda target, options: LLMClient(**config(target)).complete("Hello?", **options),
    "dict": lambda target, options: LLMClient(**config(target)).generate({"messages": "Hello?", **options}),
    "request": lambda target, options: LLMClient(**config(target)).generate(
        LLMRequest((Message.user("Hello?"),)), **options
    ),
    "count_tokens": lambda target, options: LLMClient(**config(target)).count_tokens("Hello?", **options),
    "invoke": lambda target, options: ChatUnified(**target).invoke("Hello?", **options),
    "ainvoke": lambda target, options: asyncio.run(ChatUnified(**target).ainvoke("Hello?", **options)),
    "langchain stream": lambda target, options: list(ChatUnified(**target).stream("Hello?", **options)),
    "batch": lambda target, options: ChatUnified(**target).batch(["Hello?"], **options),
    "bind": lambda target, options: ChatUnified(**target).bind(**options).invoke("Hello?"),
    "bind twice": lambda target, options: ChatUnified(**target).bind(stop=["x"]).bind(**options).invoke("Hello?"),
    "bind_tools": lambda target, options: ChatUnified(**target).bind_tools([], **options).invoke("Hello?"),
    "model_kwargs": lambda target, options: ChatUnified(**target, model_kwargs=options).invoke("Hello?"),
    "llama_index complete": lambda target, options: UnifiedLLM(**target).complete("Hello?", **options),
    "chat": lambda target, options: UnifiedLLM(**target).chat([ChatMessage("Hello?")], **options),
    "stream_chat": lambda target, options: list(UnifiedLLM(**target).stream_chat([ChatMessage("Hello?")], **options)),
    "acomplete": lambda target, options: asyncio.run(UnifiedLLM(**target).acomplete("Hello?", **options)),
    "additional_kwargs": lambda target, options: UnifiedLLM(**target, additional_kwargs=options).complete("Hello?"),
}
OF_CLIENT = [name for name in [*CALLS][:8] if name != "count_tokens"]


def targets() -> dict[str, dict[str, Any]]:
    """Return a target of every API that a call goes to over HTTP."""
    found: dict[str, dict[str, Any]] = {}
    for row in registry.ROWS:
        base = {"model": f"{row.name}/m-1", "api_key": KEY}
        if row.name in ADDRESSES:
            base["base_url"] = ADDRESSES[row.name]
        if row.format != "mlx":
            found[row.name] = base
            found |= {f"{row.name}:{name}": {**base, "api": name} for name in row.apis}
    return found


def test_every_field_that_an_api_documents_passes_through_all_three_surfaces() -> None:
    names_of_models = {*ChatUnified.model_fields, *UnifiedLLM.model_fields, "callbacks", "metadata", "tags"}
    for name, target in targets().items():
        known = api_fields.fields_of(LLMClient(**config(target)).targets[0]) - OWN
        assert known, name
        known -= {"options", "generationConfig"}  # whose fields these are merged with
        for surface in ("generate", "invoke", "llama_index complete"):
            passed = known if surface == "generate" else known - names_of_models
            with SentRequests().running() as network:
                CALLS[surface](target, dict.fromkeys(passed, "x"))
            body = network.sent[-1].body
            inside = {**body.get("options", {}), **body.get("generationConfig", {})}
            missing = {name for name in passed if not {name, nested_settings.camel_case(name)} & {*body, *inside}}
            assert not missing, (name, surface)


@each(
    ("model", "options", "expected"),
    [
        ("anthropic/claude-haiku-4-5", {"top_k": 5}, {"top_k": 5}),
        ("openai/gpt-4o", {"store": True, "service_tier": "flex", "logit_bias": {"1": 2}}, {"store": True}),
        ("vllm/qwen3", {"min_p": 0.1, "top_k": 5, "chat_template_kwargs": {"a": 1}}, {"min_p": 0.1, "top_k": 5}),
        ("ollama/llama3.2", {"num_ctx": 8192, "mirostat": 1}, {"options": {"num_ctx": 8192, "mirostat": 1}}),
        ("ollama/llama3.2", {"keep_alive": "5m", "think": False}, {"keep_alive": "5m", "think": False}),
        ("gemini/gemini-2.5-flash", {"safety_settings": ["x"]}, {"safety_settings": ["x"]}),
        (
            "gemini/gemini-2.5-flash",
            {"top_k": 5, "responseMimeType": "text/plain", "temperature": 1},
            {"generationConfig": {"temperature": 1, "topK": 5, "responseMimeType": "text/plain"}},
        ),
        ("mistral/mistral-small-latest", {"safe_prompt": True, "seed": 1}, {"safe_prompt": True, "random_seed": 1}),
        ("cohere/command-a-03-2025", {"k": 5, "p": 0.5}, {"k": 5, "p": 0.5}),
        ("openai/gpt-4o", {"max_completion_tokens": 4}, {"max_completion_tokens": 4}),
        ("openai/gpt-4o", {"stop_sequences": ["END"]}, {"stop": ["END"]}),
        ("openai/gpt-4o", {"extra_body": {"temprature": 1}}, {"temprature": 1}),
    ],
)
def test_such_a_field_is_where_the_api_has_it(model: str, options: Mapping[str, Any], expected: Any) -> None:
    for surface in ("generate", "dict", "request", "invoke", "bind", "model_kwargs", "chat", "additional_kwargs"):
        with SentRequests().running() as network:
            CALLS[surface]({"model": model, "api_key": KEY}, options)
        assert {name: network.sent[-1].body.get(name) for name in expected} == expected, surface


def test_the_responses_api_and_a_model_of_the_call_have_their_own_fields() -> None:
    with SentRequests().running() as network:
        for surface in ("generate", "invoke", "chat"):
            CALLS[surface]({**GPT, "api": "responses"}, {"max_output_tokens": 50, "truncation": "auto"})
            assert network.sent[-1].body["max_output_tokens"] == 50
        LLMClient("openai/gpt-4o", api_key=KEY).generate("Hello?", model="ollama/llama3.2", keep_alive="5m")  # type: ignore[call-arg]
        assert network.sent[-1].body["keep_alive"] == "5m"
        LLMClient("openai/m", api_key=KEY, base_url="https://server.example").generate("Hello?", top_k=5, user=None)  # type: ignore[call-arg]
        assert network.sent[-1].body["top_k"] == 5
        assert "user" not in network.sent[-1].body


MISSPELLED = {
    "temprature": "temperature",
    "Temperature": "temperature",
    "temp": "temperature",
    "max_token": "max_tokens",
    "maxTokens": "max_tokens",
    "max-tokens": "max_tokens",
    "topP": "top_p",
    "top-p": "top_p",
    "frequency_penality": "frequency_penalty",
    "presense_penalty": "presence_penalty",
    "stops": "stop",
    "tool": "tools",
    "tool_choise": "tool_choice",
    "reponse_format": "response_format",
    "reasoning_efort": "reasoning_effort",
    "paralell_tool_calls": "parallel_tool_calls",
    "timeot": "timeout",
    "dead_line": "deadline",
    "failover": "failover_on",
    "hedge_afer": "hedge_after",
    "extra_boddy": "extra_body",
    "extra_header": "extra_headers",
}


@each("surface", CALLS)
def test_a_misspelled_argument_is_refused_with_what_is_meant_wherever_it_is_written(surface: str) -> None:
    names = MISSPELLED if surface in {"generate", "invoke", "chat"} else ("temprature", "maxTokens", "stops")
    for wrong in names:
        meant = MISSPELLED[wrong]
        with (
            SentRequests().running() as network,
            pytest.raises((ValidationError, ConfigurationError), match=f"no field '{wrong}': did you mean '{meant}'"),
        ):
            CALLS[surface](GPT, {wrong: 5})
        assert network.sent == []


def test_a_far_away_name_goes_into_the_body_of_an_adapter_and_is_refused_by_the_client() -> None:
    with SentRequests().running() as network:
        for surface in ("invoke", "bind", "model_kwargs", "chat", "additional_kwargs"):
            CALLS[surface](GPT, {"brand_new_field": 1, "top_k": 5})
            assert (network.sent[-1].body["brand_new_field"], network.sent[-1].body["top_k"]) == (1, 5)
        for surface in OF_CLIENT:
            with pytest.raises(ValidationError, match=r"no field 'brand_new_field': fields .* extra_body="):
                CALLS[surface](GPT, {"brand_new_field": 1})


@each(
    ("name", "advice"),
    [
        ("system", 'a system text is a message: generate\\(\\[\\("system", "..."\\), \\("user", "..."\\)\\]\\)'),
        ("system_prompt", "a system text is a message"),
        ("instructions", "a system text is a message"),
        ("input", "the prompt comes first"),
        ("images", "an image belongs to a message"),
        ("fallback", "other targets of one call go into fallbacks="),
        ("skip_unconfigured", "it belongs to the constructor of the client"),
        ("schema", "ask for JSON with response_format="),
        ("stream", "call stream\\(\\) or astream\\(\\)"),
        ("openai_api_key", "the key belongs to the target"),
        ("max_output_tokens", "did you mean 'max_tokens'"),
        ("candidate_count", "did you mean 'n'"),
    ],
)
def test_what_belongs_elsewhere_says_where(name: str, advice: str) -> None:
    for surface in ("generate", "dict"):
        with pytest.raises(ValidationError, match=f"no field '{name}': {advice}"):
            CALLS[surface](GPT, {name: "CANARY"})


@each(
    ("name", "rule"),
    [
        ("images", "an image belongs to a message."),
        ("attachments", "an image belongs to a message."),
        ("files", "a recording or a file belongs to a message."),
        ("system", "a system text is a message."),
        ("content", "the prompt comes first."),
        ("response_model", "ask for JSON with response_format=."),
    ],
)
def test_the_adapters_refuse_what_belongs_elsewhere_and_no_api_has_in_its_body(name: str, rule: str) -> None:
    for surface in ("invoke", "langchain stream", "bind", "model_kwargs", "chat", "acomplete", "additional_kwargs"):
        with (
            SentRequests().running() as network,
            pytest.raises((ValidationError, ConfigurationError)) as refused,
        ):
            CALLS[surface](GPT, {name: "CANARY"})
        assert f"no field '{name}': {rule} (" in str(refused.value)
        assert "CANARY" not in str(refused.value)
        assert network.sent == []
    with SentRequests().running() as network:  # the Responses API has this one
        CALLS["invoke"]({**GPT, "api": "responses"}, {"instructions": "Be brief."})
        assert network.sent[-1].body["instructions"] == "Be brief."


def test_several_responses_of_one_call_are_refused_where_the_framework_has_room_for_one() -> None:
    for surface in ("chat", "llama_index complete", "acomplete", "additional_kwargs"):
        with pytest.raises((ValidationError, ConfigurationError), match="a call of this adapter has one response"):
            CALLS[surface](GPT, {"n": 2})


def test_a_field_by_two_names_is_refused() -> None:
    with pytest.raises(ValidationError, match="max_tokens and max_completion_tokens are the same field"):
        CALLS["generate"](GPT, {"max_tokens": 1, "max_completion_tokens": 2})


def test_the_lists_hold_no_field_of_a_request_and_nothing_that_belongs_to_a_client() -> None:
    # vLLM and Z.ai have a field request_id: there, a header or that field gets it.
    own = (OWN | {"messages", "prompt", "system", "contents"}) - {"request_id"}
    nested = nested_settings.OLLAMA_OPTIONS
    for name, target in targets().items():
        known = api_fields.fields_of(LLMClient(**config(target)).targets[0])
        assert not (known - nested) & own, name
        assert not {field for field in known if advice_on(field)}, name


def test_a_field_that_goes_to_several_apis_is_in_the_list_of_each() -> None:
    by_api = {registry.api_of(target): target for target in _all_targets()}
    for name, apis in provider_fields.CHAT_FIELDS.items():
        for api in apis & by_api.keys():
            assert name in api_fields.fields_of(by_api[api]), (name, api)


def _all_targets() -> list[Any]:
    return [LLMClient(**config(target)).targets[0] for target in targets().values()]


@each("adapter, name, who", [
    (ChatUnified, "dimensions", "embeddings have it"),
    (UnifiedLLM, "space", "embeddings have it"),
    (UnifiedEmbeddings, "temperature", "chat models have it"),
    (UnifiedEmbedding, "max_tokens", "chat models have it"),
    (ChatUnified, "last_resort", "a fallback may have it"),
    (UnifiedLLM, "retry_exponential_base", "configure(retry_exponential_base=...) sets it for all targets"),
])  # fmt: skip
def test_a_field_of_a_target_that_an_adapter_has_not_is_no_field_of_a_body(adapter: Any, name: str, who: str) -> None:
    text = re.escape(f"{adapter.__name__} has no field '{name}': ") + f".*{re.escape(who)}"
    with pytest.raises(ConfigurationError, match=text):
        adapter(**GPT, **{name: 1})
    with pytest.raises(ConfigurationError, match=text):
        adapter(**GPT).model_copy(update={name: 1})
