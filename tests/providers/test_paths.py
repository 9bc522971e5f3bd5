"""Every row of the provider table, every kind of request, every hostile name: the path keeps its place."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

import pytest

from tests.core.test_paths import HOSTILE
from tests.support.each import each
from tests.support.sent_requests import SentRequests
from tests.support.thorough import some
from unified_llm import LLMClient, LLMConfig, register_provider
from unified_llm._core.features import Feature
from unified_llm._formats.codecs import FORMATS, codec_for
from unified_llm._providers import registry
from unified_llm.exceptions import ConfigurationError, LLMError, UnsupportedOperationError
from unified_llm.types.requests import ModelsRequest

pytestmark = pytest.mark.thorough

HTTP_ROWS = [row for row in registry.ROWS if row.format in FORMATS]
# Names that are odd, and have to arrive as they are.
ODD = [
    "a/b",
    "a b",
    "x:countTokens",
    "50%",
    "%41",
    "a?b=c",
    "a#b",
    "x;y",
    "a//b",
    "/models/llama",
    "...",
    "modèle",
    "a@b",
]

OPERATIONS: dict[str, tuple[Feature | None, Callable[[LLMClient], Any]]] = {
    "generate": (None, lambda client: client.generate("Hello?")),
    "stream": (None, lambda client: list(client.stream("Hello?"))),
    "complete": ("as_text", lambda client: client.complete("Hello?", as_text=True)),
    "embed": ("embeddings", lambda client: client.embed("Hello?")),
    "rerank": ("rerank", lambda client: client.rerank("Hello?", ["Hello"])),
    "count_tokens": ("count_tokens", lambda client: client.count_tokens("Hello?")),
    "model_info": ("model_info", lambda client: client.model_info()),
    "list_models": ("models", lambda client: client.list_models(use_cache=False)),
}
ADDRESS = "https://gateway.example/tenant-7"


def config(row: registry.ProviderSpec, model: str, api: str | None = None) -> LLMConfig:
    version = "2024-10-21" if row.name == "azure" and api is None else None
    return LLMConfig(
        provider=row.name, model=model, base_url=ADDRESS, api_key="sk-a-key-of-a-test", api=api, api_version=version
    )


def apis(row: registry.ProviderSpec) -> list[str | None]:
    return [None, *row.apis]


@each("row", HTTP_ROWS)
def test_a_hostile_name_is_refused_in_the_constructor(row: registry.ProviderSpec) -> None:
    for name in HOSTILE:
        with pytest.raises(ConfigurationError):
            LLMClient(config(row, name))
        with pytest.raises(ConfigurationError):
            LLMClient("mlx/demo", fallbacks=[config(row, f"a/{name}", apis(row)[-1])])


@pytest.mark.parametrize("row", HTTP_ROWS, ids=lambda row: row.name)
def test_a_hostile_name_is_refused_in_a_call(row: registry.ProviderSpec) -> None:
    requests = SentRequests()
    with requests.running():
        client = LLMClient(config(row, "fine"))
        for name in some(HOSTILE, 4, HTTP_ROWS.index(row)):  # each name with some rows
            for model in (f"{row.name}:{name}", f"fine/{name}", f"models/{name}"):
                with pytest.raises(LLMError):
                    client.generate({"messages": "Hello?", "model": model})
        for call in (client.embed, client.generate, client.count_tokens, client.complete):
            with pytest.raises(LLMError):
                call("Hello?", model="../x")
        with pytest.raises(LLMError):
            client.rerank("Hello?", ["Hello"], model="../x")
        with pytest.raises(LLMError):
            client.model_info("../x")
    assert requests.sent == []


@pytest.mark.parametrize("row", HTTP_ROWS, ids=lambda row: row.name)
def test_any_other_name_is_in_the_body_or_in_encoded_segments(row: registry.ProviderSpec) -> None:
    requests = SentRequests()
    with requests.running():
        for api in apis(row):
            for name in some(ODD if api is None else ODD[:3], 3, HTTP_ROWS.index(row)):
                client = LLMClient(config(row, name, api))
                for feature, call in OPERATIONS.values():
                    if feature is not None and feature not in client.targets[0].features:
                        continue
                    with suppress(UnsupportedOperationError):
                        call(client)
                        check_path(row, name, requests.sent[-1].path, requests.sent[-1].body)


def check_path(row: registry.ProviderSpec, name: str, path: str, body: Any) -> None:
    assert path.startswith("/tenant-7/")
    assert all(part not in {"", ".", ".."} for part in path.removeprefix("/").split("/")), path
    name = name.partition(":")[0] if row.name == "huggingface" and "/feature-extraction" in path else name
    decoded = [unquote(part) for part in path.split("/")]
    in_one = any(name == part.rpartition(":")[0] or name == part for part in decoded)
    in_parts = "/" in name and f"/{name}" in unquote(path) and f"/{name}" in path
    in_body = isinstance(body, dict) and name in (body.get("model"), body.get("name"))
    no_name = body is None and path.endswith(("/models", "/api/tags"))
    assert in_one or in_body or no_name or (in_parts and row.literal_models), path


@each("row", HTTP_ROWS)
def test_a_page_that_a_server_names_stays_in_the_query(row: registry.ProviderSpec) -> None:
    target = LLMClient(config(row, "fine")).targets[0]
    codec = codec_for(target.format)
    with suppress(UnsupportedOperationError):
        path = codec.encode(ModelsRequest(), target).url.partition("?")[0]
        for cursor in (*HOSTILE, "a&key=b", "a#b", "https://evil.example/"):
            if cursor.isprintable() or cursor.isascii():
                url = codec.encode(ModelsRequest(cursor), target).url
                assert url.partition("?")[0] == path
                assert cursor in {value for _, value in parse_qsl(urlsplit(url).query)} or row.format == "ollama"
                assert url.isprintable()
                assert "#" not in url


@pytest.mark.parametrize(
    ("literal", "path"),
    [(False, "/tenant-7/v1/models/org%2Fname"), (True, "/tenant-7/v1/models/org/name")],
)
def test_a_row_says_whether_names_have_parts(*, literal: bool, path: str) -> None:
    register_provider("paths-test", base_url=ADDRESS, features=["model_info"], literal_models=literal)
    requests = SentRequests()
    try:
        with requests.running():
            LLMClient("paths-test/org/name").model_info()
    finally:
        registry.unregister("paths-test")
    assert [sent.path for sent in requests.sent] == [path]


@pytest.mark.parametrize("version", ["../x", "..", "a/b", "a&b=c", "a?b", "a b", "%2e%2e", "a\nb", "", "x" * 100, "ü"])
def test_a_version_that_is_none_is_refused(version: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigurationError, match="no version of an API"):
        LLMConfig(model="azure/x", api_version=version)
    if version and "\n" not in version:
        monkeypatch.setenv("OPENAI_API_VERSION", version)
        with pytest.raises(ConfigurationError, match=r"OPENAI_API_VERSION.* no version of an API"):
            LLMClient("azure/x", base_url="https://x.openai.azure.com", api_key="sk-a-key-of-a-test")


@each("url", ["https://h/openai/deployments/%2e%2e", "https://h/a/%252e%252e/b", "https://h/a%5cb",
                                 "https://h/a%0d%0ab", "https://h/a%00"])  # fmt: skip
def test_a_deployment_in_the_address_cannot_climb_either(url: str) -> None:
    with pytest.raises(ConfigurationError, match="The URL from base_url="):
        LLMConfig(model="azure/x", base_url=url)


@each(
    "fields",
    [
        {"version": "/../x"},
        {"version": "@evil.example"},
        {"version": "v1"},
        {"quirks": {"models_path": "/a/../b"}},
        {"quirks": {"models_path": "@evil.example/"}},
        {"quirks": {"text_path": "/%2e%2e/x"}},
    ],
)
def test_the_paths_of_a_registered_row_are_checked(fields: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError, match="path"):
        register_provider("paths-test", base_url=ADDRESS, **fields)
