"""Messages of errors: what the chain explains, and what is known of a key that was not sent."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from llama_index.core.tools import FunctionTool

from tests.support.each import each
from tests.support.four_ways import GPT, HAIKU, SONAR, WAYS, Way, outcome_of
from tests.support.scripted_targets import Attempt, ScriptedTargets, say
from unified_llm import BreakerConfig, LLMClient, LLMConfig
from unified_llm._core.outcome import Failure
from unified_llm._state import process_health
from unified_llm.exceptions import (
    AllTargetsFailedError,
    AuthenticationError,
    LLMError,
    ServiceUnavailableError,
    TimeoutError,
    UnsupportedOperationError,
)
from unified_llm.langchain import ChatUnified, UnifiedEmbeddings
from unified_llm.llama_index import UnifiedEmbedding, UnifiedLLM
from unified_llm.testing import outage
from unified_llm.types import Tool

TOOL = Tool("look")
DEAD = Failure("server", 503)


def message_of(way: Way, script: dict[str, list[Attempt]], client: LLMClient, **overrides: Any) -> str:
    with ScriptedTargets(script).running():
        return outcome_of(way, client, **overrides).message


def embedding_error(script: dict[str, list[Attempt]], client: LLMClient) -> LLMError:
    with ScriptedTargets(script).running(), pytest.raises(LLMError) as caught:
        client.embed(["a"])
    with ScriptedTargets(script).running(), pytest.raises(LLMError) as caught_async:
        asyncio.run(client.aembed(["a"]))
    assert str(caught.value) == str(caught_async.value)
    return caught.value


# The chain


@pytest.mark.parametrize("way", WAYS)
def test_the_advice_depends_on_the_chain(way: Way) -> None:
    alone = message_of(way, {GPT: [DEAD]}, LLMClient(GPT, max_retries=0))
    assert alone == f"{GPT}: it failed (HTTP 503); try again later, or add a fallback at another provider."
    skipped = message_of(way, {GPT: [DEAD]}, LLMClient(GPT, fallbacks=[SONAR], max_retries=0), tools=[TOOL])
    assert (
        skipped == f"{GPT}: it failed (HTTP 503); try again later. 1 fallback was skipped: {SONAR} cannot call tools."
    )


@each("kind", ["server", "rate_limit", "context", "invalid"])
def test_no_fallback_is_advised_where_there_is_one(kind: Any) -> None:
    for chain in ([GPT, HAIKU], [GPT, "openai/gpt-4o-mini"]):
        script: dict[str, list[Attempt]] = {name: [Failure(kind, 418)] for name in chain}
        message = message_of("generate", script, LLMClient(chain[0], fallbacks=chain[1:], max_retries=0))
        assert "fallback" not in message.replace("1 fallback was skipped", "")
    assert "add a fallback" in message_of("generate", {GPT: [Failure(kind, 418)]}, LLMClient(GPT, max_retries=0))


def test_neither_is_one_advised_that_could_not_help() -> None:
    with ScriptedTargets({GPT: [DEAD]}).running(), pytest.raises(LLMError) as caught:
        LLMClient(GPT).model_info("gpt-4o")
    assert "fallback" not in str(caught.value)


@each("way", WAYS)
def test_every_skipped_target_is_named_with_its_reason(way: Way) -> None:
    client = LLMClient(GPT, fallbacks=[SONAR, HAIKU, "perplexity/sonar-pro"], max_retries=0)
    lines = message_of(way, {GPT: [DEAD], HAIKU: [DEAD]}, client, tools=[TOOL])
    assert lines.splitlines()[0] == "None of 2 targets answered:"
    assert lines.endswith(
        " 2 fallbacks were skipped: perplexity/sonar cannot call tools; perplexity/sonar-pro cannot call tools."
    )


def test_a_skipped_primary_is_no_fallback() -> None:
    message = message_of("generate", {GPT: [DEAD]}, LLMClient(SONAR, fallbacks=[GPT], max_retries=0), tools=[TOOL])
    assert message.endswith(f"try again later. 1 target was skipped: {SONAR} cannot call tools.")


def test_long_lists_are_bounded() -> None:
    skipped = [f"perplexity/sonar-{number}" for number in range(50)]
    message = message_of("generate", {GPT: [DEAD]}, LLMClient(GPT, fallbacks=skipped, max_retries=0), tools=[TOOL])
    assert "50 fallbacks were skipped: " in message
    assert message.endswith("; and 45 more.")
    dead = [f"openai/gpt-{number}" for number in range(50)]
    client = LLMClient(dead[0], fallbacks=dead[1:], max_retries=0)
    script: dict[str, list[Attempt]] = {name: [DEAD] for name in dead}
    with ScriptedTargets(script).running(), pytest.raises(AllTargetsFailedError) as caught:
        client.generate("Hi")
    assert len(str(caught.value).splitlines()) == 22
    assert str(caught.value).endswith("and 30 more, which are in .errors.")
    assert len(caught.value.errors) == 50
    refused = message_of("generate", {name: [Failure("bad_request", 400)] for name in dead}, client)
    assert refused.count("openai/") == 6
    assert refused.endswith(", and 44 more.")
    with ScriptedTargets({}).running(), pytest.raises(UnsupportedOperationError) as unable:
        LLMClient(skipped[0], fallbacks=skipped[1:]).generate("Hi", tools=[TOOL])
    assert len(str(unable.value)) < 500
    assert "add a fallback" not in str(unable.value).lower()


def test_targets_that_the_deadline_left_out_are_named() -> None:
    targets = ScriptedTargets({GPT: [say("never")]}, latency=0.0)
    with targets.running():
        stream = LLMClient(GPT, fallbacks=[HAIKU]).stream("Hello?", deadline=2.0)
        targets.clock += 3.0
        with pytest.raises(TimeoutError) as caught:
            next(stream)
    assert str(caught.value).endswith(f" 2 targets were not called before the deadline: {GPT}, {HAIKU}.")


def test_the_cause_of_an_interruption_advises_no_fallback_either() -> None:
    script: dict[str, list[Attempt]] = {GPT: [["Hel", Failure("server", 500)]]}
    with ScriptedTargets(script).running(), pytest.raises(LLMError) as caught:
        list(LLMClient(GPT, fallbacks=[HAIKU]).stream("Hi"))
    assert "fallback" not in f"{caught.value} {caught.value.__cause__}"


def test_embedding_errors_explain_the_chain_too() -> None:
    small = "openai/small"
    alone = embedding_error({small: [DEAD]}, LLMClient(small, max_retries=0))
    assert str(alone) == f"{small}: it failed (HTTP 503); try again later, or add a fallback with the same model."
    error = embedding_error({small: [DEAD]}, LLMClient(small, fallbacks=["ollama/nomic"], max_retries=0))
    assert str(error) == (
        f"{small}: it failed (HTTP 503); try again later. 1 fallback was skipped: ollama/nomic: its vectors are of "
        "another space (declare the same space= where they are not)."
    )


# The retry budget


@pytest.mark.parametrize("way", WAYS)
def test_a_spent_retry_budget_is_mentioned(way: Way) -> None:
    client = LLMClient(GPT)
    budget = "not retried: the retry budget of this target is spent"
    for _ in range(10):
        process_health.current().spend_retry(client.targets[0])
    message = message_of(way, {GPT: [DEAD]}, client)
    assert message == f"{GPT}: it failed (HTTP 503); {budget}; try again later, or add a fallback at another provider."
    fallbacks = message_of(way, {GPT: [DEAD], HAIKU: [DEAD]}, LLMClient(GPT, fallbacks=[HAIKU]))
    assert [budget in line for line in fallbacks.splitlines()[1:]] == [True, False]
    assert budget not in message_of(way, {HAIKU: [DEAD]}, LLMClient(HAIKU))


@each("way", WAYS)
def test_an_open_breaker_that_forbids_the_retry_is_mentioned(way: Way) -> None:
    client = LLMClient(GPT, breaker=BreakerConfig(failures=1))
    breaker = "not retried: the circuit breaker of this target is open"
    message = message_of(way, {GPT: [DEAD]}, client)
    assert message == f"{GPT}: it failed (HTTP 503); {breaker}; try again later, or add a fallback at another provider."
    assert breaker not in message_of(way, {HAIKU: [DEAD]}, LLMClient(HAIKU, max_retries=0))


@each("way", WAYS)
def test_a_timeout_says_after_how_long_and_a_failed_connection_to_which_host(way: Way) -> None:
    local = LLMClient("ollama/llama3.2", base_url="http://127.0.0.1:9999", max_retries=0)
    script: dict[str, list[Attempt]] = {"ollama/llama3.2": [Failure("connect")]}
    assert message_of(way, script, local).startswith("ollama/llama3.2: no connection to 127.0.0.1:9999 could be made; ")
    with outage("openai", "hang", reply="Hello"):
        message = outcome_of(way, LLMClient(GPT, timeout=5, max_retries=0)).message
    assert message == f"{GPT}: no response came within 5 s; raise timeout= or deadline=, or ask for less."


# A key that was not sent


@pytest.fixture
def local(monkeypatch: pytest.MonkeyPatch) -> LLMClient:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-of-openai-0123456789")
    return LLMClient(GPT, base_url="http://127.0.0.1:4000", max_retries=0)


@pytest.mark.parametrize("way", WAYS)
def test_a_401_after_no_key_was_sent_says_so_and_why(local: LLMClient, way: Way) -> None:
    assert message_of(way, {GPT: [Failure("auth", 401, "invalid_api_key")]}, local) == (
        f"{GPT}: it refused the request, and no API key was sent: OPENAI_API_KEY is only sent to api.openai.com "
        "(HTTP 401, invalid_api_key); pass api_key=."
    )
    assert "no API key was sent" in message_of(way, {GPT: [Failure("permission", 403)]}, local)
    page = Failure("auth", 401, about_key=False, reason="a web page came back", advice="check base_url=")
    assert message_of(way, {GPT: [page]}, local).startswith(f"{GPT}: a web page came back; no API key was sent: OPENAI")


def test_health_and_the_log_say_so_too(local: LLMClient, caplog: pytest.LogCaptureFixture) -> None:
    reason = "it refused a request without an API key (auth)"
    with caplog.at_level("INFO"), ScriptedTargets({GPT: [Failure("auth", 401)]}).running():
        assert outcome_of("generate", local).error
        assert local.health()[0]["reason"] == reason
    assert f"{GPT}: {reason}; it is in cooldown for 300 s" in caplog.messages
    assert "API key was refused" not in caplog.text


def test_every_other_call_says_so_too(local: LLMClient) -> None:
    script: dict[str, list[Attempt]] = {GPT: [Failure("auth", 401)]}
    assert "no API key was sent" in str(embedding_error(script, local))
    with ScriptedTargets({"openai": [Failure("auth", 401)], **script}).running():
        for call in (local.list_models, local.model_info):
            with pytest.raises(LLMError, match="no API key was sent"):
                call()


@each(
    ("model", "variable"),
    [("vllm/m", "VLLM_API_KEY"), ("llamacpp/m", "LLAMA_API_KEY"), ("ollama/m", "OLLAMA_API_KEY")],
)
@pytest.mark.usefixtures("no_keys")
def test_a_local_server_that_wants_a_key_is_named_with_its_variable(model: str, variable: str) -> None:
    message = message_of("generate", {model: [Failure("auth", 401)]}, LLMClient(model))
    assert message == (
        f"{model}: it refused the request, and no API key was sent (HTTP 401); set {variable} or pass api_key=."
    )


def test_a_server_elsewhere_does_not_get_the_key_of_the_variable() -> None:
    client = LLMClient("mistral/m", base_url="http://gateway:80")
    client_without = LLMClient("cohere/m", base_url="http://gateway:80")
    for model, asked in (("mistral/m", client), ("cohere/m", client_without)):
        assert message_of("generate", {model: [Failure("auth", 401)]}, asked).endswith("; pass api_key=.")


@each(
    "fields",
    [
        {"api_key": "sk-0123456789"},
        {"default_headers": {"X-Gateway-Key": "k-0123456789"}},
        {"extra_body": {"token": "k-0123456789"}},
    ],
)
def test_a_key_that_was_sent_was_refused(fields: Any) -> None:
    client = LLMClient(LLMConfig(model=GPT, base_url="http://127.0.0.1:4000", **fields))
    assert "the API key was refused (HTTP 401); check the API key." in message_of(
        "generate", {GPT: [Failure("auth", 401)]}, client
    )


def test_a_key_in_the_headers_of_the_call_was_refused(local: LLMClient) -> None:
    message = message_of(
        "generate", {GPT: [Failure("auth", 401)]}, local, extra_headers={"X-Gateway-Key": "k-01234567"}
    )
    assert "the API key was refused" in message


def test_another_failure_says_nothing_of_keys(local: LLMClient) -> None:
    assert "key" not in message_of("generate", {GPT: [DEAD]}, local)


# Through the adapters

HERE: Any = {"model": GPT, "base_url": "http://127.0.0.1:4000", "max_retries": 0}


def look(topic: str) -> str:
    """Look something up."""
    return topic


@each(
    "call",
    [
        lambda: ChatUnified(**HERE).invoke("x"),
        lambda: list(ChatUnified(**HERE).stream("x")),
        lambda: UnifiedLLM(**HERE).complete("x"),
        lambda: UnifiedEmbeddings(**HERE).embed_query("x"),
        lambda: UnifiedEmbedding(**HERE).get_text_embedding("x"),
    ],
)
def test_every_surface_says_that_no_key_was_sent(call: Callable[[], Any]) -> None:
    with ScriptedTargets({GPT: [Failure("auth", 401)]}).running(), pytest.raises(AuthenticationError) as caught:
        call()
    assert "no API key was sent: OPENAI_API_KEY is only sent to api.openai.com" in str(caught.value)


@each(
    "call",
    [
        lambda: ChatUnified(model=GPT, fallbacks=[SONAR], max_retries=0).bind_tools([look]).invoke("x"),
        lambda: UnifiedLLM(model=GPT, fallbacks=[SONAR], max_retries=0).chat_with_tools(
            [FunctionTool.from_defaults(look)], "x"
        ),
    ],
)
def test_every_surface_names_the_skipped_targets(call: Callable[[], Any]) -> None:
    with ScriptedTargets({GPT: [DEAD]}).running(), pytest.raises(ServiceUnavailableError) as caught:
        call()
    assert str(caught.value).endswith(f"; try again later. 1 fallback was skipped: {SONAR} cannot call tools.")


def test_a_rate_limit_says_how_long_to_wait_where_the_server_does() -> None:
    limited = Failure("rate_limit", 429, retry_after=7200.0)
    alone = message_of("generate", {GPT: [[limited]]}, LLMClient(GPT))
    assert alone == f"{GPT}: too many requests (HTTP 429); wait 7200 s, or add a fallback at another provider."
    script: dict[str, list[Attempt]] = {GPT: [[limited]], HAIKU: [[Failure("rate_limit", 429)]]}
    both = message_of("generate", script, LLMClient(GPT, fallbacks=[HAIKU], max_retries=0))
    assert f"{GPT}: too many requests (HTTP 429); wait 7200 s.\n" in both
    assert both.endswith(f"{HAIKU}: too many requests (HTTP 429); wait.")


@each("way", WAYS)
def test_targets_that_were_left_out_for_what_they_lack_are_named(way: Way, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MISTRAL_API_KEY", raising=False)
    skipped = " 1 target was skipped: mistral/x: no API key (set MISTRAL_API_KEY or pass api_key=)."
    client = LLMClient(GPT, fallbacks=["mistral/x"], skip_unconfigured=True, max_retries=0)
    message = message_of(way, {GPT: [[DEAD]]}, client)
    assert message == f"{GPT}: it failed (HTTP 503); try again later.{skipped}"
    first = LLMClient("mistral/x", fallbacks=[GPT, HAIKU], skip_unconfigured=True, max_retries=0)
    refused = Failure("bad_request", 400)
    message = message_of(way, {GPT: [[refused]], HAIKU: [[refused]]}, first)
    assert message.endswith(f"Refused as well by {HAIKU}.{skipped}")
