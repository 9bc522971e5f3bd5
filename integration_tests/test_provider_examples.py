"""Every example of docs/providers.md gets its text from a server that speaks and checks the format of the provider.

An address is added to each client, since the hosts of the providers cannot be reached, and with it the key.
"""

from __future__ import annotations

import re
from contextlib import AbstractContextManager
from typing import Any

import pytest

import unified_llm
from integration_tests.fakes import anthropic, azure, cohere, gemini, huggingface, ollama
from integration_tests.support import upstream
from integration_tests.support.loopback import Loopback
from tests.support.doc_pages import ROOT, examples
from unified_llm import LLMClient
from unified_llm._providers import registry

EXAMPLES = {
    match[1]: example.source
    for example in examples(ROOT / "docs" / "providers.md")
    if (match := re.search(r'LLMClient\("([\w-]+)/', example.source))
}
MODEL = re.compile(r'LLMClient\("[\w-]+/([^"]+)"')


def server_of(provider: str, model: str, monkeypatch: pytest.MonkeyPatch) -> tuple[AbstractContextManager[Any], str]:
    """Return a server in the format of a provider which has this model, and the key that it accepts."""
    match provider:
        case "anthropic":
            return anthropic.FakeAnthropic(), anthropic.KEY
        case "azure":
            monkeypatch.setitem(azure.DEPLOYMENTS, model, "chat")
            return azure.Azure(), azure.KEY
        case "cohere":
            return cohere.FakeCohere(), cohere.KEY
        case "gemini":
            return gemini.FakeGemini(), gemini.KEY
        case "huggingface":
            monkeypatch.setattr(huggingface, "CHAT", model.partition(":")[0])
            return huggingface.Router(), huggingface.KEY
        case "ollama":
            return ollama.FakeOllama(), ollama.KEY
        case _:
            return upstream.Upstream(models=(model,)), upstream.KEY


def test_there_is_an_example_for_every_provider() -> None:
    assert list(EXAMPLES) == [row.name for row in registry.ROWS]


@pytest.mark.parametrize("provider", [provider for provider in EXAMPLES if provider != "mlx"])
def test_the_example_of_a_provider_prints_the_text_of_its_server(
    provider: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    source = EXAMPLES[provider]
    model = MODEL.search(source)
    assert model
    server, key = server_of(provider, model[1], monkeypatch)
    with server as running:
        assert isinstance(running, Loopback)
        base_url = running.address + ("/v1" if isinstance(running, upstream.Upstream) else "")
        target = {"base_url": base_url, "api_key": key}
        monkeypatch.setattr(unified_llm, "LLMClient", lambda model, **fields: LLMClient(model, **{**fields, **target}))
        exec(compile(source, provider, "exec"), {})  # noqa: S102 - runs the example
    assert capsys.readouterr().out.strip()
    if isinstance(running, upstream.Upstream):
        assert running.violations == []
