"""Azure OpenAI: URLs, credentials, and what its content filter adds."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support import responses
from tests.support.codec_checks import CANARY, check, collect, event, flat
from tests.support.each import each
from unified_llm import LLMConfig
from unified_llm._config import resolve
from unified_llm._core.outcome import Done, Failure
from unified_llm._core.target import Target
from unified_llm._formats.azure import CODEC
from unified_llm._formats.codecs import codec_for
from unified_llm.exceptions import ConfigurationError
from unified_llm.types import EmbeddingRequest, LLMRequest, Message, ModelsRequest

FIXTURES = Path(__file__).parent.parent / "fixtures" / "azure"
HELLO = LLMRequest((Message.user("Hello"),), max_tokens=9)
RESOURCE = "https://myresource.openai.azure.com"
VERSION = "2024-10-21"
TOKEN = "eyJhbGciOi.eyJhdWQiOi.c2lnbmF0dXJl"
VARIABLES = (
    "AZURE_OPENAI_API_KEY", "AZURE_API_KEY", "AZURE_OPENAI_AD_TOKEN", "AZURE_AD_TOKEN", "AZURE_OPENAI_ENDPOINT",
    "AZURE_API_BASE", "OPENAI_API_VERSION", "AZURE_API_VERSION",
)  # fmt: skip


def fixture(name: str) -> dict[str, Any]:
    read: dict[str, Any] = json.loads((FIXTURES / f"{name}.json").read_text(encoding="utf-8"))
    return read


@pytest.fixture(autouse=True)
def _bare(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)


def azure(base_url: str | None = RESOURCE, **fields: Any) -> Target:
    """Return a target as the client resolves it."""
    given = {"provider": "azure", "model": "mine", "api_key": CANARY} | fields
    config = LLMConfig(**{name: value for name, value in given.items() if value is not None}, base_url=base_url)
    return resolve.chain(config, (), skip_unconfigured=False)[0][0].target


def url(request: Any, where: Target) -> str:
    return codec_for(where.format).encode(request, where).url


class TestAddress:
    @each("path", ["", "/", "/openai", "/openai/", "/openai/v1", "/openai/v1/"])
    def test_a_resource_is_found_by_any_part_of_its_address(self, path: str) -> None:
        v1, dated = azure(RESOURCE + path), azure(RESOURCE + path, api_version=VERSION)
        assert url(HELLO, v1) == f"{RESOURCE}/openai/v1/chat/completions"
        assert url(HELLO, dated) == f"{RESOURCE}/openai/deployments/mine/chat/completions?api-version={VERSION}"

    def test_a_deployment_in_the_address_is_asked_whatever_the_model(self) -> None:
        base = f"{RESOURCE}/openai/deployments/my%20gpt"
        dated = azure(base, api_version=VERSION)
        assert url(HELLO, dated) == f"{RESOURCE}/openai/deployments/my%20gpt/chat/completions?api-version={VERSION}"
        v1 = CODEC.encode(HELLO, azure(base))
        assert v1.url == f"{RESOURCE}/openai/v1/chat/completions"
        assert json.loads(v1.body)["model"] == "my gpt"

    def test_a_gateway_may_stand_before_it(self) -> None:
        gateway = "https://gateway.example.com/team/openai"
        where = azure(gateway, api_version=VERSION)
        assert url(HELLO, where) == f"{gateway}/deployments/mine/chat/completions?api-version={VERSION}"

    def test_every_request_goes_where_it_belongs(self) -> None:
        dated, v1 = azure(api_version=VERSION), azure()
        for request, by_date, by_v1 in (
            (EmbeddingRequest(("a",)), "/openai/deployments/mine/embeddings", "/openai/v1/embeddings"),
            (ModelsRequest(), "/openai/models", "/openai/v1/models"),
        ):
            assert url(request, dated) == f"{RESOURCE}{by_date}?api-version={VERSION}"
            assert url(request, v1) == f"{RESOURCE}{by_v1}"
        more = url(ModelsRequest("last one"), dated)
        assert more == f"{RESOURCE}/openai/models?after=last%20one&api-version={VERSION}"
        as_text = LLMRequest((Message.user("Once"),), as_text=True)
        assert url(as_text, dated).startswith(f"{RESOURCE}/openai/deployments/mine/completions?")

    def test_the_responses_format_names_the_deployment_in_the_body(self) -> None:
        dated, v1 = azure(api="responses", api_version="2025-03-01-preview"), azure(api="responses")
        assert url(HELLO, v1) == f"{RESOURCE}/openai/v1/responses"
        assert url(HELLO, dated) == f"{RESOURCE}/openai/responses?api-version=2025-03-01-preview"
        assert json.loads(codec_for(dated.format).encode(HELLO, dated).body)["model"] == "mine"

    @pytest.mark.parametrize("version", ["preview", "v1"])
    def test_a_version_without_date_is_one_of_the_v1_api(self, version: str) -> None:
        where = azure(api_version=version)
        assert url(HELLO, where) == f"{RESOURCE}/openai/v1/chat/completions?api-version={version}"

    def test_the_environment_says_where_and_what_version(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("AZURE_OPENAI_ENDPOINT", RESOURCE + "/")
        monkeypatch.setenv("AZURE_API_VERSION", "2023-05-15")
        assert url(HELLO, azure(None)).endswith("/mine/chat/completions?api-version=2023-05-15")
        monkeypatch.setenv("OPENAI_API_VERSION", VERSION)
        assert url(HELLO, azure(None)).endswith(f"?api-version={VERSION}")
        assert url(HELLO, azure(None, api_version="preview")).endswith("?api-version=preview")

    def test_only_azure_looks_for_a_version(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("OPENAI_API_VERSION", VERSION)
        assert azure("https://api.openai.com/v1", provider="openai").api_version is None


class TestKey:
    def headers(self, where: Target) -> dict[str, str]:
        sent = dict(CODEC.encode(HELLO, where).headers)
        return {name: sent[name] for name in ("api-key", "authorization") if name in sent}

    def test_a_key_goes_in_a_header_of_its_own(self, monkeypatch: pytest.MonkeyPatch) -> None:
        assert self.headers(azure()) == {"api-key": CANARY}
        monkeypatch.setenv("AZURE_API_KEY", CANARY)
        assert self.headers(azure(api_key=None)) == {"api-key": CANARY}

    def test_a_token_goes_as_bearer_however_it_was_given(self, monkeypatch: pytest.MonkeyPatch) -> None:
        assert self.headers(azure(api_key=TOKEN)) == {"authorization": f"Bearer {TOKEN}"}
        monkeypatch.setenv("AZURE_OPENAI_API_KEY", CANARY)
        monkeypatch.setenv("AZURE_AD_TOKEN", "opaque")
        assert self.headers(azure(api_key=None)) == {"authorization": "Bearer opaque"}
        monkeypatch.setenv("AZURE_OPENAI_AD_TOKEN", TOKEN)
        for api in ("chat", "responses"):
            assert self.headers(azure(api_key=None, api=api)) == {"authorization": f"Bearer {TOKEN}"}

    def test_a_key_given_explicitly_wins_over_a_token_of_the_environment(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("AZURE_OPENAI_AD_TOKEN", TOKEN)
        assert self.headers(azure()) == {"api-key": CANARY}

    def test_a_token_of_the_environment_goes_to_azure_alone(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("AZURE_OPENAI_AD_TOKEN", TOKEN)
        with pytest.raises(ConfigurationError, match="AZURE_OPENAI_AD_TOKEN"):
            azure("https://gateway.example.com", api_key=None)


class TestAnswers:
    def cases(self, prefix: str) -> Iterator[dict[str, Any]]:
        for path in sorted(FIXTURES.glob(f"{prefix}_*.json")):
            yield fixture(path.stem)

    def test_what_the_filters_say_of_an_answer_is_no_part_of_it(self) -> None:
        for case in self.cases("chat"):
            end = CODEC.decode(HELLO, azure(), case["body"])
            assert isinstance(end, Done)
            fields = {name: getattr(end.value, name) for name in case["expect"]}
            check(fields, case["expect"])
            assert end.value.raw == case["body"]

    def test_nor_is_it_of_a_stream(self) -> None:
        for case in self.cases("stream"):
            decoder = CODEC.decoder(HELLO, azure())
            out = [outcome for data in case["events"] for outcome in decoder.feed(event(data))]
            check(collect(out), case["expect"])

    def test_an_error_has_the_kind_of_its_code(self) -> None:
        for where in (azure(), azure(api="responses")):
            for case in fixture("errors")["cases"]:
                codec = codec_for(where.format)
                failure = codec.failure(case["status"], {}, json.dumps(case["body"]).encode(), where)
                assert (failure.kind, failure.code) == (case["kind"], case["code"]), case

    def test_the_responses_format_is_openai_s_and_its_state_comes_back(self) -> None:
        where = azure(f"{RESOURCE}/openai/deployments/theirs", api="responses")
        codec = codec_for(where.format)
        end = codec.decode(HELLO, where, responses.fixture("chat_tools")["body"])
        assert isinstance(end, Done)
        answer = end.value
        assert [flat(call)[0] for call in answer.tool_calls] == ["call_a", "call_b"]
        turn = Message("assistant", answer.content, tool_calls=answer.tool_calls, provider_state=answer.provider_state)
        items = json.loads(codec.encode(LLMRequest((turn,)), where).body)["input"]
        assert [item["type"] for item in items[:2]] == ["reasoning", "function_call"]
        assert codec.decoder(HELLO, where).finish() == Failure("truncated")
        assert codec.framing == "events"


@each(("model", "format_name"), [("o3-pro", "azure_responses"), ("gpt-5-codex", "azure_responses"), ("gpt-5", "azure")])
def test_a_model_that_speaks_the_responses_format_alone_is_asked_in_it(model: str, format_name: str) -> None:
    assert azure(model=model).format == format_name
    assert azure(model=model, api="chat").format == "azure"
