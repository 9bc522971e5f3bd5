"""What each target of a chain is sent: the first one what the caller wrote, a fallback what it can take.

wire F11, langchain C, local servers 14.
"""

from __future__ import annotations

import logging
import pickle
from collections.abc import Callable, Mapping
from typing import Any

import pytest
from langchain.agents import create_agent
from langchain.agents.middleware import wrap_model_call
from langchain_core.messages import HumanMessage
from llama_index.core.base.llms.types import ChatMessage

from tests.support.sent_requests import SentRequests
from tests.support.thorough import some
from unified_llm import LLMClient, LLMConfig, reset_health
from unified_llm._core.target import Target
from unified_llm._providers import registry
from unified_llm._providers.provider_fields import CHAT_FIELDS, fields_for
from unified_llm._providers.registry import api_of
from unified_llm.langchain import ChatUnified
from unified_llm.llama_index import UnifiedLLM
from unified_llm.types import Attempt, LLMRequest, Message

KEY = "sk-a-key-of-a-test"
# Fields of a call, and models whose API knows them, and models whose API does not.
OWN_FIELDS: Mapping[str, tuple[Any, tuple[str, ...], tuple[str, ...]]] = {
    "cache_control": ({"type": "ephemeral"}, ("anthropic/claude-sonnet-4-5",), ("openai/gpt-4.1", "gemini/g")),
    "user": ("u1", ("openai/gpt-4.1", "groq/llama-3.3-70b"), ("anthropic/claude-haiku-4-5", "mistral/m", "cohere/c")),
    "service_tier": ("flex", ("openai/gpt-4.1",), ("anthropic/claude-haiku-4-5", "groq/llama-3.3-70b", "gemini/g")),
    "store": (True, ("openai/gpt-4.1",), ("anthropic/claude-haiku-4-5", "mistral/m")),
    "top_k": (40, ("anthropic/claude-sonnet-4-5", "together/m"), ("openai/gpt-4.1", "gemini/g", "groq/g")),
    "thinking": ({"type": "enabled", "budget_tokens": 2048}, ("anthropic/claude-sonnet-4-5",), ("gemini/g", "zai/g")),
    "min_p": (0.1, ("openai-compatible/m", "vllm/m"), ("openai/gpt-4.1", "mistral/m")),
    "options": ({"num_ctx": 8192}, ("ollama/m",), ("vllm/m", "openai/gpt-4.1", "anthropic/claude-haiku-4-5")),
    "keep_alive": ("5m", ("ollama/m",), ("openai/gpt-4.1", "openai-compatible/m")),
    "verbosity": ("low", ("openai/gpt-4.1",), ("anthropic/claude-haiku-4-5", "deepseek/deepseek-chat")),
    "logit_bias": ({"50256": -100}, ("openai/gpt-4.1", "vllm/m"), ("anthropic/claude-haiku-4-5", "mistral/m")),
    "prediction": ({"type": "content", "content": "x"}, ("openai/gpt-4.1",), ("gemini/g", "xai/grok-3")),
    "generationConfig": ({"topK": 3}, ("gemini/g",), ("openai/gpt-4.1", "ollama/m")),
    "safe_prompt": (True, ("mistral/m",), ("openai/gpt-4.1",)),
    "a_field_of_next_year": (1, ("openai/gpt-4.1",), ("anthropic/claude-haiku-4-5", "vllm/m")),
}


def targets(*models: str) -> list[LLMConfig]:
    with_address: dict[str, dict[str, Any]] = {"openai-compatible": {"base_url": "http://127.0.0.1:9/v1"}}
    return [
        LLMConfig(model=model, api_key=KEY, max_retries=0, **with_address.get(model.partition("/")[0], {}))
        for model in models
    ]


def langchain_bind(chain: list[LLMConfig], fields: Mapping[str, Any]) -> Any:
    return langchain_chain(chain).bind(**fields).invoke("x").response_metadata["unified_llm"]["attempts"]


def langchain_invoke(chain: list[LLMConfig], fields: Mapping[str, Any]) -> Any:
    return langchain_chain(chain).invoke([HumanMessage("x")], **fields).response_metadata["unified_llm"]["attempts"]


def langchain_chain(chain: list[LLMConfig]) -> ChatUnified:
    first: dict[str, Any] = {"model": chain[0].model, "api_key": KEY, "base_url": chain[0].base_url, "max_retries": 0}
    return ChatUnified(**first, fallbacks=chain[1:])


def langchain_agent(chain: list[LLMConfig], fields: Mapping[str, Any]) -> Any:
    @wrap_model_call
    def with_settings(request: Any, handler: Callable[[Any], Any]) -> Any:
        return handler(request.override(model_settings=dict(fields)))

    agent = create_agent(langchain_chain(chain), tools=[], middleware=[with_settings])
    answer = agent.invoke({"messages": [HumanMessage("x")]})["messages"][-1]
    return answer.response_metadata["unified_llm"]["attempts"]


def llama_index(chain: list[LLMConfig], fields: Mapping[str, Any]) -> Any:
    first: dict[str, Any] = {"model": chain[0].model, "api_key": KEY, "base_url": chain[0].base_url, "max_retries": 0}
    llm = UnifiedLLM(**first, fallbacks=chain[1:])
    return llm.chat([ChatMessage("x")], **fields).raw["unified_llm"]["attempts"]  # type: ignore[index] # a dict


def client(chain: list[LLMConfig], fields: Mapping[str, Any]) -> Any:
    request = LLMRequest((Message.user("x"),), extra_body=fields)
    response = LLMClient(chain[0], fallbacks=chain[1:]).generate(request)
    return [attempt.as_dict() for attempt in response.attempts]


SURFACES: Mapping[str, Callable[[list[LLMConfig], Mapping[str, Any]], Any]] = {
    "client": client,
    "langchain bind": langchain_bind,
    "langchain invoke": langchain_invoke,
    "langchain agent": langchain_agent,
    "llama_index": llama_index,
}


def chain_with_outage(*models: str) -> tuple[list[LLMConfig], SentRequests]:
    """Return the targets of a chain in which all but the last are down."""
    reset_health()  # each chain in which a target is down is a case of its own
    return targets(*models), SentRequests(*models[:-1])


@pytest.mark.parametrize("surface", SURFACES)
def test_langchain_c_a_field_of_one_provider_stays_there(surface: str) -> None:
    for name, (value, knowing, others) in some(OWN_FIELDS.items(), 2, [*SURFACES].index(surface)):
        for fallback in (*others, *knowing[1:]):
            chain, network = chain_with_outage(knowing[0], fallback)
            with network.running():
                attempts = SURFACES[surface](chain, {name: value})
            bodies = [sent.body for sent in network.sent]
            assert bodies[0][name] == value, (name, fallback)
            assert (name in bodies[-1]) == (fallback in knowing), (name, fallback)
            assert ("adjusted" in attempts[-1]) == (fallback in others), (name, fallback)
            assert "adjusted" not in attempts[0]


def test_langchain_c_the_same_provider_gets_the_fields_also_under_another_model_of_the_call() -> None:
    network = SentRequests("openai/gpt-4.1", "openai/gpt-4o")
    chain = targets("openai/gpt-4.1-mini", "openai/gpt-4o", "anthropic/claude-haiku-4-5")
    with network.running():
        response = LLMClient(chain[0], fallbacks=chain[1:]).generate(
            "x", model="gpt-4.1", extra_body={"user": "u1", "verbosity": "low"}
        )
    assert [(sent.target, sent.body.get("user"), sent.body.get("verbosity")) for sent in network.sent] == [
        ("openai/gpt-4.1", "u1", "low"), ("openai/gpt-4o", "u1", "low"), ("anthropic/claude-haiku-4-5", None, None),
    ]  # fmt: skip
    assert response.attempts[-1].adjusted == {"user": ["...", None], "verbosity": ["...", None]}


def test_fields_of_a_constructor_go_to_the_primary_alone() -> None:
    chain, network = chain_with_outage("openai/gpt-4.1", "groq/llama-3.3-70b")
    first: dict[str, Any] = {"model": "openai/gpt-4.1", "api_key": KEY, "max_retries": 0, "fallbacks": chain[1:]}
    with network.running():
        ChatUnified(**first, model_kwargs={"user": "u1"}).invoke("x")
        reset_health()
        UnifiedLLM(**first, additional_kwargs={"user": "u1"}).chat([ChatMessage("x")])
    assert [sent.body.get("user") for sent in network.sent] == ["u1", None, "u1", None]


def test_a_model_that_takes_no_sampling_gets_no_top_k_although_its_api_knows_it() -> None:
    chain, network = chain_with_outage("anthropic/claude-sonnet-4-5", "anthropic/claude-opus-4-7")
    with network.running():
        client(chain, {"top_k": 5, "metadata": {"user_id": "u"}})
    assert network.sent[0].body["top_k"] == 5
    assert "top_k" not in network.sent[-1].body
    assert network.sent[-1].body["metadata"] == {"user_id": "u"}
    # OpenAI has a field of that name as well, with other values.
    chain, network = chain_with_outage("anthropic/claude-sonnet-4-5", "openai/gpt-4.1")
    with network.running():
        client(chain, {"metadata": {"user_id": "u"}})
    assert "metadata" not in network.sent[-1].body


def test_local_14_the_options_of_ollama_do_not_reach_another_server() -> None:
    chain, network = chain_with_outage("ollama/m", "vllm/m")
    with network.running():
        llama_index(chain, {"options": {"num_ctx": 8192}, "keep_alive": "5m"})
    assert {"options", "keep_alive"} <= network.sent[0].body.keys()
    assert not {"options", "keep_alive"} & network.sent[-1].body.keys()


def test_another_format_of_the_same_provider_is_another_api() -> None:
    network = SentRequests("openai/gpt-4.1")
    first, second = targets("openai/gpt-4.1", "openai/gpt-4o")
    second = second.model_copy(update={"api": "responses"})
    with network.running():
        LLMClient(first, fallbacks=[second]).generate(
            "x", extra_body={"store": True, "logit_bias": {"1": 1}, "user": "u1"}
        )
    assert network.sent[-1].path == "/v1/responses"
    assert (network.sent[-1].body["store"], network.sent[-1].body["user"]) == (True, "u1")
    assert "logit_bias" not in network.sent[-1].body


def test_embeddings_rankings_and_counts_keep_their_fields_apart_as_well() -> None:
    def embed(chain: list[LLMConfig]) -> Any:
        return LLMClient(chain[0], fallbacks=chain[1:]).embed("x", extra_body={"truncate": True})

    def rank(chain: list[LLMConfig]) -> Any:
        extra = {"max_tokens_per_doc": 5}
        return LLMClient(chain[0], fallbacks=chain[1:]).rerank("q", ["d"], extra_body=extra)

    def count(chain: list[LLMConfig]) -> Any:
        extra = {"cache_control": {"type": "ephemeral"}}
        return LLMClient(chain[0], fallbacks=chain[1:]).count_tokens("x", extra_body=extra)

    for ask, first, second, name in (
        (embed, "ollama/m", "vllm/m", "truncate"),
        (rank, "cohere/rerank-v3.5", "openai-compatible/m", "max_tokens_per_doc"),
        (count, "anthropic/claude-haiku-4-5", "gemini/g", "cache_control"),
    ):
        chain, network = chain_with_outage(first, second)
        if ask is rank:
            chain, network = [*targets(first), chain[1].model_copy(update={"provider": "cohere"})], SentRequests(first)
        with network.running():
            ask(chain)
        assert name in network.sent[0].body
        assert (name in network.sent[-1].body) == (ask is rank)


def test_fields_of_a_skipped_primary_go_to_those_that_are_known_to_take_them() -> None:
    first = LLMConfig(model="openai-compatible/m")  # it has no address
    with SentRequests().running() as network:
        client = LLMClient(first, fallbacks=targets("openai/gpt-4.1"), skip_unconfigured=True)
        client.generate("x", extra_body={"safety_model": "s", "user": "u1"}, temperature=2.5)
    assert "safety_model" not in network.sent[0].body
    assert (network.sent[0].body["user"], network.sent[0].body["temperature"]) == ("u1", 2.0)


def test_every_api_of_the_field_table_exists() -> None:
    known = {row.name for row in registry.ROWS}
    known |= {f"{row.name}:{other}" for row in registry.ROWS for other in row.apis.values() if other != row.format}
    for name, apis in CHAT_FIELDS.items():
        assert apis <= known, name
        assert len(apis) > 1, name
    anthropic_format = Target("vllm", "m", "anthropic")
    assert api_of(anthropic_format) == "vllm:anthropic"
    request = LLMRequest((Message.user("x"),), extra_body={"top_k": 1})
    assert fields_for(anthropic_format, None, request) == {}


# Limits


LIMITS: list[tuple[str, dict[str, Any], dict[str, Any], dict[str, Any]]] = [
    ("anthropic/claude-sonnet-4-5", {"temperature": 1.3}, {"temperature": 1.0}, {"temperature": [1.3, 1.0]}),
    ("cohere/command-a-03-2025", {"temperature": 1.8, "frequency_penalty": -0.5},
     {"temperature": 1.0, "frequency_penalty": 0.0}, {"temperature": [1.8, 1.0], "frequency_penalty": [-0.5, 0.0]}),
    ("zai/glm-4.6", {"temperature": 1.2}, {"temperature": 1.0}, {"temperature": [1.2, 1.0]}),
    ("minimax/minimax-m2", {"temperature": 0.0}, {"temperature": 0.01}, {"temperature": [0.0, 0.01]}),
    ("mistral/mistral-large-2512", {"temperature": 2}, {"temperature": 1.5}, {"temperature": [2, 1.5]}),
    ("perplexity/sonar", {"temperature": 2.0}, {"temperature": 1.99}, {"temperature": [2.0, 1.99]}),
    ("anthropic/claude-opus-4-1", {"max_tokens": 64000}, {"max_tokens": 32000}, {"max_tokens": [64000, 32000]}),
    ("openai/gpt-4o", {"max_tokens": 64000}, {"max_completion_tokens": 16384}, {"max_tokens": [64000, 16384]}),
    ("cohere/command-r-08-2024", {"max_tokens": 8000}, {"max_tokens": 4000}, {"max_tokens": [8000, 4000]}),
    ("gemini/gemini-2.0-flash", {"max_tokens": 100_000, "seed": 2**40},
     {"generationConfig": {"maxOutputTokens": 8192, "seed": 2**31 - 1}},
     {"max_tokens": [100_000, 8192], "seed": [2**40, 2**31 - 1]}),
    ("openai/gpt-5-pro", {"max_tokens": 5}, {"max_output_tokens": 16}, {"max_tokens": [5, 16]}),
    ("mistral/mistral-large-2512", {"seed": -1}, {"random_seed": 0}, {"seed": [-1, 0]}),
    ("anthropic/claude-opus-4-7", {"temperature": 0.5, "seed": 3}, {"temperature": None, "seed": None},
     {"temperature": [0.5, None], "seed": [3, None]}),
    ("openai/gpt-4o", {"temperature": 1.3, "top_p": 0.5}, {"temperature": 1.3, "top_p": 0.5}, {}),
    ("anthropic/claude-haiku-4-5", {"temperature": 0.7, "top_p": 0.5}, {"temperature": 0.7, "top_p": None},
     {"top_p": [0.5, None]}),
    ("cohere/command-a-03-2025", {"frequency_penalty": 0.5, "presence_penalty": 0.5},
     {"frequency_penalty": 0.5, "presence_penalty": 0.0}, {"presence_penalty": [0.5, 0.0]}),
    ("openai/gpt-5.2", {"temperature": 0.7, "reasoning_effort": "low"},
     {"reasoning_effort": "low", "temperature": None}, {"temperature": [0.7, None]}),
    ("openai/gpt-4.1", {"reasoning_effort": "low"}, {"reasoning_effort": None}, {"reasoning_effort": ["low", None]}),
]  # fmt: skip


@pytest.mark.parametrize("of_constructor", [False, True])
def test_f11_a_fallback_gets_values_within_its_own_limits(*, of_constructor: bool) -> None:
    for fallback, written, sent, adjusted in LIMITS:
        chain, network = chain_with_outage("openai-compatible/m", fallback)
        first = chain[0].model_copy(update=written) if of_constructor else chain[0]
        with network.running():
            response = LLMClient(first, fallbacks=chain[1:]).generate("x", **({} if of_constructor else written))
        assert {name: network.sent[0].body.get(name) for name in written} == written, fallback
        assert {name: network.sent[-1].body.get(name) for name in sent} == sent, fallback
        assert (response.attempts[0].adjusted, response.attempts[-1].adjusted) == ({}, adjusted), fallback


def test_f11_the_first_target_gets_what_the_caller_wrote() -> None:
    written: dict[str, Any] = {"temperature": 1.3, "max_tokens": 64000, "stop": [str(number) for number in range(6)]}
    for model in ("anthropic/claude-opus-4-1", "openai/gpt-4o"):
        with SentRequests().running() as network:
            response = LLMClient(targets(model)[0]).generate("x", **written)
        body = network.sent[0].body
        assert body["temperature"] == 1.3
        assert 64000 in {body.get("max_tokens"), body.get("max_completion_tokens")}
        assert written["stop"] in (body.get("stop"), body.get("stop_sequences"))
        assert response.attempts[0].adjusted == {}


def test_an_adjustment_is_logged_once_for_each_target_and_field(caplog: pytest.LogCaptureFixture) -> None:
    chain, network = chain_with_outage("openai-compatible/m", "anthropic/claude-sonnet-4-5")
    llm = LLMClient(chain[0], fallbacks=chain[1:])
    with caplog.at_level(logging.WARNING), network.running():
        for _ in range(3):
            llm.generate("x", temperature=1.3, extra_body={"user": "a person"})
        llm.generate("x", temperature=1.4, max_tokens=100_000)
    lines = [record.getMessage() for record in caplog.records if "sent" in record.getMessage()]
    name = "anthropic/claude-sonnet-4-5"
    assert lines == [
        f"{name}: user is not sent, which it does not take",
        f"{name}: temperature is sent as 1.0 instead of 1.3, which is beyond its limits",
        f"{name}: max_tokens is sent as 64000 instead of 100000, which is beyond its limits",
    ]
    assert "a person" not in caplog.text


def test_an_adjusted_attempt_can_be_pickled_and_shown() -> None:
    attempt = Attempt("a/b", "ok", adjusted={"temperature": [1.3, 1.0]})
    assert pickle.loads(pickle.dumps(attempt)) == attempt  # noqa: S301 - our own
    assert attempt.as_dict()["adjusted"] == {"temperature": [1.3, 1.0]}
    assert "adjusted" not in Attempt("a/b", "ok").as_dict()
    assert len({attempt, Attempt("a/b", "ok")}) == 2


def test_f11_an_effort_that_a_fallback_does_not_know_is_the_nearest_one_that_it_does() -> None:
    for model, effort, sent in (
        ("groq/openai/gpt-oss-120b", "minimal", "low"),
        ("openai-compatible/gpt-oss-20b", "xhigh", "high"),
        ("openai/o3", "none", "low"),
        ("openai/gpt-5-mini", "xhigh", "high"),
        ("openai/gpt-5.1", "minimal", "low"),
        ("openai/gpt-5.2", "max", "xhigh"),
        ("openai/gpt-5", "none", "minimal"),
        ("xai/grok-3-mini", "medium", "high"),
        ("xai/grok-3-mini", "low", "low"),
        ("openai/o3", "unheard-of", "unheard-of"),
        ("openrouter/some/model", "max", "xhigh"),
    ):
        chain, network = chain_with_outage("openai-compatible/m", model)
        with network.running():
            response = LLMClient(chain[0], fallbacks=chain[1:]).generate("x", reasoning_effort=effort)
        assert network.sent[-1].body["reasoning_effort"] == sent, model
        recorded = [effort, sent] if sent != effort and "openrouter" not in model else None
        assert response.attempts[-1].adjusted.get("reasoning_effort") == recorded, model
        with SentRequests().running() as network:
            LLMClient(targets(model)[0]).generate("x", reasoning_effort=effort)
        first = "xhigh" if "openrouter" in model else effort
        assert network.sent[0].body["reasoning_effort"] == first, "the first target gets what the caller wrote"


def test_rows_have_ranges_that_hold_their_ends() -> None:
    for row in registry.ROWS:
        for name, (least, most) in row.quirks.limits.items():
            assert least < most, (row.name, name)
            assert hasattr(LLMRequest(()), name), (row.name, name)
        assert row.quirks.max_stops is None or row.quirks.max_stops > 0
