"""Headers of one call: sent as headers, to the first target's server alone, through every surface."""

from __future__ import annotations

import asyncio
import logging
import pickle
from collections.abc import Callable, Mapping
from typing import Any

import pytest
from langchain_core.messages import HumanMessage
from llama_index.core.base.llms.types import ChatMessage

from tests.support.each import each
from tests.support.four_ways import GPT
from tests.support.sent_requests import SentRequests
from unified_llm import LLMClient, LLMConfig
from unified_llm.exceptions import ConfigurationError, ValidationError
from unified_llm.langchain import ChatUnified
from unified_llm.llama_index import UnifiedLLM

GATEWAY = "https://gateway.example/v1"
KEY = "sk-a-key-of-a-test"
EXTRA = {"Helicone-Auth": "Bearer sk-of-the-gateway"}
FIRST: dict[str, Any] = {"model": "openai-compatible/m", "base_url": GATEWAY, "api_key": KEY}
FORBIDDEN = [
    "Authorization", "AUTHORIZATION", "Proxy-Authorization", "proxy_authorization", "Host", "Content-Length",
    "content_length", "Transfer-Encoding", "Connection", "Keep-Alive", "TE", "Trailer", "Upgrade", "Expect",
    "Accept-Encoding", "Content-Encoding", "Content-Type", "Content_Type", "Proxy-Connection", "HTTP2-Settings",
    "Host ", " Host", "Host\r\nX", "Host\x00", "Höst", "", ":authority", "x y", "x:y",
]  # fmt: skip
# Names of openai-python, ChatOpenAI and others that are no fields of a body, and what the error has to suggest.
NOT_IN_A_BODY = {
    "headers": "extra_headers=",
    "extra_query": "a query cannot be added",
    "default_query": "a query cannot be added",
    "http_client": "verify_ssl=",
    "http_async_client": "verify_ssl=",
    "openai_proxy": "write proxy=",
    "organization": "OpenAI-Organization",
    "openai_organization": "OpenAI-Organization",
    "project": "OpenAI-Project",
    "openai_api_key": "api_key=",
    "azure_ad_token": "api_key=",
    "azure_ad_token_provider": "api_key=",
    "openai_api_base": "base_url=",
    "api_base": "base_url=",
    "azure_endpoint": "base_url=",
    "websocket_base_url": "base_url=",
    "num_retries": "max_retries=",
    "use_responses_api": 'api="responses"',
    "idempotency_key": "extra_headers=",
    "cookies": "api_key=",
}


def generate(options: Mapping[str, Any]) -> None:
    LLMClient(FIRST).generate("Hello?", **options)


def agenerate(options: Mapping[str, Any]) -> None:
    asyncio.run(LLMClient(FIRST).agenerate("Hello?", **options))


def stream(options: Mapping[str, Any]) -> None:
    list(LLMClient(FIRST).stream("Hello?", **options))


def embed(options: Mapping[str, Any]) -> None:
    LLMClient(FIRST).embed("Hello?", **options)


def rerank(options: Mapping[str, Any]) -> None:
    LLMClient("cohere/rerank-v3.5", base_url=GATEWAY, api_key=KEY).rerank("Hello?", ["Hello"], **options)


def invoke(options: Mapping[str, Any]) -> None:
    ChatUnified(**FIRST).invoke("Hello?", **options)


def bind(options: Mapping[str, Any]) -> None:
    ChatUnified(**FIRST).bind(**options).invoke("Hello?")


def model_kwargs(options: Mapping[str, Any]) -> None:
    ChatUnified(**FIRST, model_kwargs=options).invoke("Hello?")


def chat(options: Mapping[str, Any]) -> None:
    UnifiedLLM(**FIRST).chat([ChatMessage("Hello?")], **options)


def additional_kwargs(options: Mapping[str, Any]) -> None:
    UnifiedLLM(**FIRST, additional_kwargs=options).complete("Hello?")


SURFACES = [generate, agenerate, stream, embed, rerank, invoke, bind, model_kwargs, chat, additional_kwargs]
BUILDERS: list[Callable[..., Any]] = [LLMConfig, LLMClient, ChatUnified, UnifiedLLM]
ADAPTERS = [invoke, bind, model_kwargs, chat, additional_kwargs]


@each("call", SURFACES)
def test_they_are_headers_and_not_in_the_body(call: Callable[[Mapping[str, Any]], None]) -> None:
    requests = SentRequests()
    with requests.running():
        call({"extra_headers": EXTRA})
        call({"extra_headers": None})
    with_them, without = requests.sent
    assert with_them.headers["helicone-auth"] == EXTRA["Helicone-Auth"]
    assert "helicone-auth" not in without.headers
    assert with_them.body == without.body


@each("call", SURFACES)
def test_a_header_that_frames_or_authorises_is_refused(call: Callable[[Mapping[str, Any]], None]) -> None:
    requests = SentRequests()
    with requests.running():
        for name in FORBIDDEN:
            with pytest.raises((ValidationError, ConfigurationError), match="extra_headers"):
                call({"extra_headers": {name: "x"}})
    assert requests.sent == []


@each("wrong", [["a"], "a: b", 5, {"a": 5}, {"a": "b\r\nHost: c"}, {"a": "ä"}, {5: "a"}])
def test_what_is_no_header_is_refused(wrong: Any) -> None:
    with pytest.raises(ValidationError, match="extra_headers") as refused:
        generate({"extra_headers": wrong})
    assert "Host: c" not in str(refused.value)


def test_a_server_other_than_the_first_does_not_get_them() -> None:
    fallbacks = [
        {"model": "openai-compatible/m", "base_url": "https://gateway.example:8443/v1", "api_key": KEY},
        {"model": "openai-compatible/m", "base_url": "https://sub.gateway.example/v1", "api_key": KEY},
        {"model": "openai-compatible/m", "base_url": "https://GATEWAY.example:443/other/v1", "api_key": KEY},
        {"model": "openai/gpt-5-mini", "api_key": KEY},
    ]
    client = LLMClient(FIRST, fallbacks=fallbacks)
    requests = SentRequests(*(target.name for target in client.targets[:-1]))
    with requests.running():
        client.generate("Hello?", extra_headers=EXTRA, failover_on={}, deadline=None)
    got = {sent.url.partition("/chat")[0]: "helicone-auth" in sent.headers for sent in requests.sent}
    assert got == {
        GATEWAY: True,
        "https://gateway.example:8443/v1": False,
        "https://sub.gateway.example/v1": False,
        "https://gateway.example:443/other/v1": True,
        "https://api.openai.com/v1": False,
    }


def test_a_target_that_a_call_names_is_the_first_of_that_call() -> None:
    requests = SentRequests()
    with requests.running():
        LLMClient(FIRST).generate("Hello?", model=f"openai:{GPT.partition('/')[2]}", extra_headers=EXTRA)
    assert requests.sent[0].target == GPT
    assert "helicone-auth" in requests.sent[0].headers


def test_nobody_gets_them_where_the_first_target_is_skipped(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.delenv("OPENAI_API_KEY")
    monkeypatch.delenv("OPENAI_COMPATIBLE_API_KEY")
    client = LLMClient(GPT, fallbacks=[FIRST], skip_unconfigured=True)
    pickled = pickle.dumps(LLMClient(GPT, fallbacks=[{**FIRST, "api_key": None}], skip_unconfigured=True))
    requests = SentRequests()
    with requests.running(), caplog.at_level(logging.DEBUG, "unified_llm"):
        client.generate("Hello?", extra_headers=EXTRA)
        client.generate("Hello?", model="another", extra_headers=EXTRA)
        pickle.loads(pickled).generate("Hello?", extra_headers=EXTRA)  # noqa: S301 - our own
    assert ["helicone-auth" in sent.headers for sent in requests.sent] == [False] * 3
    assert "extra_headers are not sent" in caplog.text
    assert "sk-of-the-gateway" not in caplog.text


def test_they_replace_headers_of_the_configuration_in_any_case() -> None:
    requests = SentRequests()
    with requests.running():
        client = LLMClient({**FIRST, "default_headers": {"X-Team": "one", "X-Kept": "yes"}})
        client.generate("Hello?", extra_headers={"x-team": "two"})
        client.generate("Hello?")
    assert [(sent.headers["x-team"], sent.headers["x-kept"]) for sent in requests.sent] == [
        ("two", "yes"),
        ("one", "yes"),
    ]


KEY_HEADERS = {"anthropic/claude-haiku-4-5": "X-API-Key", "gemini/gemini-2.5-flash": "x-goog-api-key",
               "azure/chat": "Api_Key"}  # fmt: skip


@each(("model", "header"), KEY_HEADERS.items())
def test_the_header_of_the_key_is_refused_where_the_format_sends_one(model: str, header: str) -> None:
    given: dict[str, Any] = {"model": model, "base_url": "https://h.example", "api_key": KEY}
    advice = "that header carries the key, so pass the key as api_key="
    with pytest.raises(ValidationError, match=advice):
        LLMClient(given).generate("Hello?", extra_headers={header: "sk-another"})
    for build in BUILDERS:
        with pytest.raises(ConfigurationError, match=advice):
            build(**given, default_headers={header: "sk-another"})
    with pytest.raises(ConfigurationError, match=advice):
        LLMConfig(**given).model_copy(update={"default_headers": {header: "sk-another"}})
    with pytest.raises(ConfigurationError, match=advice):
        LLMClient(given, fallbacks=[{"base_url": "https://i.example", "default_headers": {header: "sk-another"}}])
    provider, _, name = model.partition("/")
    with pytest.raises(ConfigurationError, match=advice):
        LLMClient(
            LLMConfig(default_headers={header: "x"}, model=name).model_copy(update={"provider": provider, **given})
        )


def test_a_gateway_may_take_its_key_in_a_header_of_that_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_COMPATIBLE_API_KEY")
    requests = SentRequests()
    with requests.running():
        LLMClient({**FIRST, "api_key": None, "default_headers": {"X-Api-Key": "sk-tenant-7"}}).generate("Hello?")
        LLMClient(FIRST).generate("Hello?", extra_headers={"x-api-key": "sk-tenant-8"})
    assert [sent.headers["x-api-key"] for sent in requests.sent] == ["sk-tenant-7", "sk-tenant-8"]


@each("call", ADAPTERS)
def test_what_belongs_to_a_connection_never_lands_in_a_body(call: Callable[[Mapping[str, Any]], None]) -> None:
    requests = SentRequests()
    with requests.running():
        for name, advice in NOT_IN_A_BODY.items():
            with pytest.raises((ValidationError, ConfigurationError)) as refused:
                call({name: "sk-MISPLACED-0123456789"})
            assert advice in str(refused.value)
            assert "MISPLACED" not in str(refused.value)
    assert requests.sent == []


def test_the_client_and_the_constructors_say_the_same() -> None:
    for name, advice in NOT_IN_A_BODY.items():
        with pytest.raises(ValidationError) as refused:
            generate({name: "x"})
        assert advice in str(refused.value)
        for build in BUILDERS:
            with pytest.raises(ConfigurationError) as bad:
                build(**FIRST, **{name: "x"})
            assert advice in str(bad.value)


def test_fields_that_only_some_servers_know_still_go_into_the_body() -> None:
    further: dict[str, Any] = {
        "top_k": 5,
        "options": {"num_ctx": 8192},
        "prompt_cache_key": "a",
        "user": "b",
        "min_tokens": 3,
    }
    requests = SentRequests()
    with requests.running():
        ChatUnified(**FIRST).invoke([HumanMessage("Hello?")], **further)
        UnifiedLLM(**FIRST).complete("Hello?", **further)
    for sent in requests.sent:
        assert further.items() <= sent.body.items()


@each(("configured", "of_call", "expected"), [
    ({}, {}, {"x-openrouter-title": "unified-llm"}),
    ({"X-Title": "Mine"}, {}, {"x-title": "Mine"}),
    ({}, {"x_title": "Mine"}, {"x_title": "Mine"}),
    ({"X-Title": "Mine", "HTTP-Referer": "https://a.example"}, {"X-OpenRouter-Title": "This call"},
     {"http-referer": "https://a.example", "x-openrouter-title": "This call"}),
    ({}, {"http-referer": "https://a.example"}, {"http-referer": "https://a.example"}),
])  # fmt: skip
def test_the_users_name_of_an_application_replaces_that_of_the_client_at_openrouter(
    configured: Mapping[str, str], of_call: Mapping[str, str], expected: Mapping[str, str]
) -> None:
    requests = SentRequests()
    with requests.running():
        client = LLMClient(LLMConfig(model="openrouter/a/b", api_key=KEY, default_headers=configured))
        client.generate("Hello?", extra_headers=of_call)
    assert {
        name: value for name, value in requests.sent[-1].headers.items() if "title" in name or "referer" in name
    } == expected
