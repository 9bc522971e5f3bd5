"""Retries, the API key, the URL and the fallbacks of one call."""

from __future__ import annotations

import logging
import pickle
from typing import Any

import pytest

from tests.support.each import each
from tests.support.four_ways import GPT, HAIKU, WAYS, Way, outcome_of
from tests.support.scripted_targets import ScriptedTargets, say
from unified_llm import LLMClient, LLMConfig
from unified_llm._core.outcome import Done, Failure
from unified_llm.exceptions import ConfigurationError, ValidationError
from unified_llm.types import EmbeddingResponse, LLMRequest, Message

DOWN = Failure("server", 503)
KEY, OTHER = "sk-CANARY-0123456789", "sk-CANARY-of-the-call"


@pytest.fixture(autouse=True)
def keys(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OPENAI", "ANTHROPIC"):
        monkeypatch.setenv(f"{name}_API_KEY", KEY)


def keys_of(client: LLMClient, **named: Any) -> list[tuple[str, str | None]]:
    """Return the address and the key of each target of a call."""
    options = client.options.of_call(named, chat=True)
    chain = client._chain_of(named.get("model"), options).targets
    return [(target.base_url, target.key.reveal() if target.key else None) for target in chain]


@each("way", WAYS)
def test_a_call_sets_its_retries(way: Way) -> None:
    for given in ({"max_retries": 0}, {"max_retries": 3, "retry_delay": 0}):
        targets = ScriptedTargets({GPT: [DOWN]})
        with targets.running():
            outcome_of(way, LLMClient(GPT, max_retries=1), **given)
            assert len(targets.asked) == given["max_retries"] + 1
            outcome_of(way, LLMClient(GPT, max_retries=1), {"messages": "Hello?", **given})
            assert len(targets.asked) == 2 * (given["max_retries"] + 1)
            outcome_of(way, LLMClient(GPT, max_retries=1), max_retries=None)
            assert len(targets.asked) == 2 * (given["max_retries"] + 1) + 2


@each("way", WAYS)
def test_a_call_names_its_fallbacks(way: Way) -> None:
    targets = ScriptedTargets(
        {GPT: [DOWN], "openai/x": [DOWN], HAIKU: [say("from Haiku")], "ollama/x": [say("from Ollama")]}
    )
    with targets.running():
        client = LLMClient(GPT, fallbacks=[HAIKU], max_retries=0)
        assert outcome_of(way, client).content == "from Haiku"
        assert outcome_of(way, client, fallbacks=["ollama/x"]).content == "from Ollama"
        assert outcome_of(way, client, {"messages": "Hello?", "fallbacks": [{"model": "ollama/x"}]}).content
        assert outcome_of(way, client, fallbacks=[{"provider": "ollama"}], model="x").content == "from Ollama"
        assert outcome_of(way, client, fallbacks=[]).error is not None
        assert outcome_of(way, client, fallbacks=None).content == "from Haiku"
        assert outcome_of(way, client, fallback_configs=["ollama/x"]).content == "from Ollama"


def test_the_key_of_a_call_is_that_of_the_first_target_and_of_its_deployments() -> None:
    west = {"base_url": "https://west.example"}
    client = LLMClient(GPT, api_key=KEY, fallbacks=[west, {**west, "api_key": "sk-west"}, HAIKU])
    ours, theirs, haiku = "https://api.openai.com/v1", "https://west.example/v1", "https://api.anthropic.com/v1"
    assert keys_of(client) == [(ours, KEY), (theirs, KEY), (theirs, "sk-west"), (haiku, KEY)]
    assert keys_of(client, api_key=OTHER) == [(ours, OTHER), (theirs, OTHER), (theirs, "sk-west"), (haiku, KEY)]
    assert keys_of(client, api_key=OTHER, model="gpt-5")[0] == (ours, OTHER)
    assert keys_of(client, api_key=OTHER, model=HAIKU)[:2] == [(haiku, OTHER), (theirs, KEY)]


def test_a_configured_key_does_not_go_to_the_url_of_a_call() -> None:
    elsewhere = "http://127.0.0.1:9"
    for fields in (
        {"api_key": KEY},
        {},
        {"default_headers": {"X-Api-Key": KEY}},
        {"extra_body": {"api_key": "pw-0123456789"}},
    ):
        client = LLMClient(GPT, **fields)
        options = client.options.of_call({"base_url": elsewhere}, chat=True)
        target = client._chain_of(None, options).targets[0]
        assert (target.base_url, target.key) == (f"{elsewhere}/v1", None)
        assert not (target.headers.keys() | target.extra_body.keys())
    client = LLMClient(
        GPT, api_key=KEY, base_url="https://one.example", fallbacks=[{"base_url": "https://two.example"}]
    )
    assert keys_of(client, base_url=elsewhere, api_key=OTHER) == [
        (f"{elsewhere}/v1", OTHER), ("https://two.example/v1", KEY),
    ]  # fmt: skip
    assert keys_of(client, base_url="https://one.example/v2")[0] == ("https://one.example/v2", KEY)
    with pytest.raises(ConfigurationError, match="which the call names, is not configured: no API key"):
        client.generate("x", base_url="https://far.example")


@each(
    ("given", "error", "message"),
    [
        ({"max_retries": -1}, ValidationError, "max_retries"),
        ({"max_retries": "many"}, ValidationError, "max_retries"),
        ({"retry_delay": -1}, ValidationError, "retry_delay"),
        ({"api_key": ""}, ConfigurationError, "is empty"),
        ({"api_key": "k\n"}, ConfigurationError, "white space"),
        ({"base_url": "nonsense"}, ConfigurationError, "base_url"),
        ({"base_url": "http://far.example", "api_key": OTHER}, ConfigurationError, "http"),
        ({"base_url": 7}, ConfigurationError, "base_url must be a string"),
        ({"fallbacks": "ollama/x"}, ConfigurationError, "write fallbacks="),
        ({"fallbacks": [7]}, ConfigurationError, "not int"),
        ({"fallbacks": ["nobody/x"]}, ConfigurationError, "no known provider"),
        ({"fallback": ["ollama/x"]}, ValidationError, "fallbacks="),
        ({"max_retry": 1}, ValidationError, "max_retr"),
    ],
)
def test_what_makes_no_sense_is_refused(given: dict[str, Any], error: type[Exception], message: str) -> None:
    client = LLMClient(GPT)
    for prompt, arguments in (("Hello?", given), ({"messages": "Hello?", **given}, {})):
        methods: list[Any] = [client.generate, client.complete, client.stream, client.count_tokens]
        for method in methods:
            with pytest.raises(error, match=message) as caught:
                method(prompt, **arguments)
            assert "CANARY" not in str(caught.value)


def test_embeddings_and_rankings_have_them_too() -> None:
    vectors = [Done(EmbeddingResponse([[1.0]]))]
    small = "openai/text-embedding-3-small"
    targets = ScriptedTargets({small: [DOWN], "http://127.0.0.1:9/v1": [vectors]})
    with targets.running():
        client = LLMClient(small)
        backup = {"model": "openai-compatible/text-embedding-3-small", "base_url": "http://127.0.0.1:9"}
        assert client.embed("x", max_retries=0, fallbacks=[backup]).vectors == [[1.0]]
        assert len(targets.asked) == 2
        assert client.embed("x", base_url="http://127.0.0.1:9", api_key=OTHER).vectors == [[1.0]]
        by_other_names: dict[str, Any] = {"model_name": small, "fallback_configs": [backup], "timeout_override": 5}
        assert client.embed("x", **by_other_names).vectors == [[1.0]]


def test_no_key_of_a_call_is_shown_or_pickled(caplog: pytest.LogCaptureFixture) -> None:
    targets = ScriptedTargets({GPT: [DOWN], HAIKU: [say("Hello")]})
    with targets.running(), caplog.at_level(logging.DEBUG, "unified_llm"):
        client = LLMClient(GPT, fallbacks=[HAIKU])
        client.generate("Hello?", api_key=OTHER)
        options = client.options.of_call({"api_key": OTHER, "fallbacks": [{"api_key": OTHER}]}, chat=True)
    assert "CANARY" not in caplog.text + repr(client) + repr(options) + repr(options.named_targets)
    assert b"CANARY" not in pickle.dumps(client)


def test_chains_of_calls_are_kept_within_a_bound_and_only_where_that_pays() -> None:
    client = LLMClient(GPT)
    for number in range(300):
        keys_of(client, api_key=f"sk-{number}")
    assert len(client._named) == 256
    keys_of(client, fallbacks=[LLMConfig(model=HAIKU)])
    assert len(client._named) == 256
    options = client.options.of_call({"api_key": "sk-1", "fallbacks": ["ollama/x"]}, chat=True)
    assert client._chain_of(None, options) is client._chain_of(None, options)


# The fields of a request that are no fields of a body


def test_a_request_has_the_order_of_its_fields() -> None:
    messages = (Message.user("Hello?"),)
    request = LLMRequest(messages, "m", 0.5, 7, False, "id-1", 3.0)  # noqa: FBT003 - the order of the design
    assert request == LLMRequest(
        messages, model="m", temperature=0.5, max_tokens=7, stream=False, request_id="id-1", timeout_override=3.0
    )


@each("way", WAYS)
def test_stream_is_for_the_method_to_say(way: Way) -> None:
    targets = ScriptedTargets({GPT: [say("Hello")]})
    with targets.running():
        client = LLMClient(GPT)
        for value in (False, None):
            assert outcome_of(way, client, stream=value).content == "Hello"
            assert outcome_of(way, client, {"messages": "Hello?", "stream": value}).content == "Hello"
        streams = way in {"stream", "astream"}
        for prompt, given in (("x", {"stream": True}), ({"messages": "x", "stream": True}, {})):
            outcome = outcome_of(way, client, prompt, **given)
            assert (outcome.content == "Hello") is streams
            assert ("call stream() or astream()" in outcome.message) is not streams
        assert "call stream() or astream()" in outcome_of(way, client, stream="no").message


def test_the_timeout_of_a_request_is_that_of_each_attempt() -> None:
    targets = ScriptedTargets({GPT: [say("Hello")]})
    limits: list[float] = []
    with targets.running():
        client = LLMClient(GPT)
        request = LLMRequest((Message.user("x"),), timeout_override=3.0)
        for prompt, given in (
            (request, {}),
            (request, {"timeout": 7}),
            ({"messages": "x", "timeout_override": 4}, {}),
            ("x", {"timeout_override": 5}),
        ):
            sent, options = client._chat(_hidden(prompt, given), stream=False)
            call = client._prepare(sent, client._chain_of(sent.model, options), options)
            limits.append(call.chain[0].timing.whole)
        assert limits == [3.0, 7.0, 4.0, 5.0]
        several: list[Any] = [0, -1, "soon", True]
        for wrong in several:
            with pytest.raises(ValidationError, match="timeout"):
                client.generate(LLMRequest((Message.user("x"),), timeout_override=wrong))
        with pytest.raises(ValidationError, match="the same field"):
            client.generate("x", timeout=1, timeout_override=2)


def _hidden(prompt: Any, given: dict[str, Any]) -> Any:
    from unified_llm._core.hidden import Hidden

    return Hidden((prompt, given))


@each(
    ("model", "header"),
    [
        ("openai/gpt-4o", "x-client-request-id"),
        ("vllm/m", "x-request-id"),
        ("ollama/m", None),
        ("anthropic/claude-haiku-4-5", None),
    ],
)
def test_the_callers_own_identifier_goes_where_a_header_is_documented(model: str, header: str | None) -> None:
    client = LLMClient(model)
    sent, options = client._chat(_hidden("x", {"request_id": "order-17"}), stream=False)
    target = client._prepare(sent, client._chain_of(None, options), options).chain[0]
    names = [name for name, value in target.headers.items() if value == "order-17"]
    assert names == ([header] if header else [])
    assert target.account == client.targets[0].account
    for wrong in ("", " a", "a\nb", "ä", "x" * 513, 7):
        with pytest.raises(ValidationError, match="request_id"):
            client.generate("x", request_id=wrong)  # type: ignore[arg-type]
