"""What one caller does wrong, or lacks, changes nothing for the others."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.scripted_targets import ScriptedTargets
from unified_llm import LLMClient, LLMConfig, LLMRequest, LLMResponse, health_snapshot, register_provider
from unified_llm._core.outcome import Failure
from unified_llm.exceptions import ConfigurationError, GenerationError
from unified_llm.types import LLMChunk


class Echo:
    """Provider object that answers."""

    def generate(self, request: LLMRequest) -> LLMResponse:
        return LLMResponse("hi", model=request.model or "")

    def stream(self, request: LLMRequest) -> Iterator[LLMChunk]:
        raise NotImplementedError


def test_a_file_that_is_missing_on_this_machine_counts_for_nobody() -> None:
    client = LLMClient("openai/gpt-5-mini", api_key="sk-test", verify_ssl="/no/such.pem")
    for _ in range(5):
        with pytest.raises(
            ConfigurationError, match=r"verify_ssl= cannot be read \(FileNotFoundError\); check"
        ) as caught:
            client.generate("Hello?")
        assert [attempt.outcome for attempt in caught.value.attempts] == ["setup"]
        assert "such.pem" not in str(caught.value)
    (row,) = health_snapshot()
    assert (row["state"], row["consecutive_failures"], row["retry_in"]) == ("closed", 0, 0.0)


@pytest.mark.parametrize("proxy", ["socks5://proxy.test:1", "ftp://proxy.test", "http://[::1"])
def test_a_proxy_that_cannot_be_used_counts_for_nobody(proxy: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", proxy)
    client = LLMClient("openai/gpt-5-mini", api_key="sk-test")
    for _ in range(5):
        with pytest.raises(ConfigurationError, match="the proxy of HTTPS_PROXY cannot be used"):
            client.generate("Hello?")
    (row,) = health_snapshot()
    assert (row["state"], row["consecutive_failures"]) == ("closed", 0)


def test_a_file_that_is_missing_leads_to_the_next_target_whose_health_is_its_own() -> None:
    register_provider("echoing", Echo())
    client = LLMClient("openai/gpt-5-mini", api_key="sk-test", verify_ssl="/no/such.pem", fallbacks=["echoing/m"])
    answer = client.generate("Hello?")
    assert answer.content == "hi"
    assert [attempt.outcome for attempt in answer.attempts] == ["setup", "ok"]
    assert str(answer.attempts[0]) == (
        "could not connect: the certificates of verify_ssl= cannot be read (FileNotFoundError)"
    )


@pytest.mark.parametrize(("bound", "failures"), [({}, 3), ({"max_response_bytes": 1000}, 0)])
def test_a_bound_of_the_callers_own_counts_for_nobody(bound: dict[str, Any], failures: int) -> None:
    client = LLMClient(LLMConfig(model="openai/gpt-5-mini", api_key="sk-test", max_retries=0, **bound))
    with ScriptedTargets({"openai/gpt-5-mini": [Failure("oversized")]}).running():
        for _ in range(3):
            with pytest.raises(GenerationError, match="max_response_bytes"):
                client.generate("Hello?")
        (row,) = health_snapshot()
    assert row["consecutive_failures"] == failures
