"""Copies, dumps, pickles and caches: what they share, what they keep, and what they must not contain."""

from __future__ import annotations

import copy
import json
import os
import pickle
import ssl
import subprocess
import sys
from typing import Any

import pytest
from langchain_core.caches import InMemoryCache
from langchain_core.globals import set_llm_cache
from langchain_core.language_models import FakeListChatModel
from langchain_core.load import dumpd, dumps, load
from langchain_core.rate_limiters import InMemoryRateLimiter
from langchain_core.runnables import ConfigurableField
from pydantic import SecretStr

from tests.support.each import each
from tests.support.langchain_targets import KEY
from tests.support.scripted_targets import ScriptedTargets, say
from unified_llm import BreakerConfig, LLMConfig
from unified_llm._core.api_key import Secret
from unified_llm._core.outcome import Failure
from unified_llm.exceptions import ConfigurationError
from unified_llm.langchain import ChatUnified, UnifiedEmbeddings
from unified_llm.langchain._cache import PrimaryOnlyCache

pytestmark = pytest.mark.filterwarnings("ignore::langchain_core._api.LangChainBetaWarning")  # load

PRIMARY, SECOND = "openai/gpt-5-mini", "groq/llama-3.3-70b"


def model(**fields: Any) -> ChatUnified:
    fallbacks = [{"model": SECOND, "api_key": KEY}]
    return ChatUnified(**{"model": PRIMARY, "api_key": KEY, "fallbacks": fallbacks} | fields)


def target_names(llm: ChatUnified) -> list[str]:
    return [target.name for target in llm.client.targets]


# Setting fields


def test_a_field_that_is_set_takes_effect_with_the_next_call() -> None:
    llm = model()
    llm.model = "openai/gpt-5"
    llm.temperature = 0.5
    with ScriptedTargets({"openai/gpt-5": [say("Hi")]}).running():
        assert llm.invoke("Hi").response_metadata["model_name"] == "gpt-5"
    assert llm.client.targets[0].defaults["temperature"] == 0.5
    llm.model_name = "openai/gpt-5-nano"  # type: ignore[misc]
    llm.fallbacks = ["ollama/llama2"]
    assert target_names(llm) == ["openai/gpt-5-nano", "ollama/llama2"]
    llm.api_key = KEY + "x"  # type: ignore[assignment]
    assert llm.client.targets[0].key == Secret(KEY + "x", "api_key=")


def test_a_field_that_has_nothing_to_do_with_targets_keeps_the_client() -> None:
    llm = model()
    client = llm.client
    llm.tags = ["a"]
    assert llm.client is client


def test_the_profile_follows_the_model_and_a_half_set_chain_has_none() -> None:
    llm = model(fallbacks=[])
    assert llm.profile
    assert llm.profile["image_inputs"] is True
    llm.model = "nobody/nothing"
    assert getattr(llm, "profile") is None  # noqa: B009 - or mypy assumes it from here on
    llm.model = "deepseek/deepseek-chat"
    assert llm.profile
    assert llm.profile["image_inputs"] is False


# Copies


@pytest.mark.parametrize(
    "how", [copy.copy, copy.deepcopy, ChatUnified.model_copy, lambda llm: llm.model_copy(deep=True)]
)
def test_a_copy_has_the_same_key_the_same_connections_and_settings_of_its_own(how: Any) -> None:
    fake = FakeListChatModel(responses=["Hi"])
    llm = model(fallbacks=[fake], rate_limiter=InMemoryRateLimiter(), verify_ssl=ssl.create_default_context())
    copied = how(llm)
    assert copied.client is llm.client
    assert copied.fallbacks[0] is fake
    copied.temperature = 0.5
    assert (llm.temperature, llm.client.targets[0].defaults) == (None, {})
    assert copied.client.targets[0].key == llm.client.targets[0].key


def test_model_copy_takes_every_name_of_a_field_and_refuses_others() -> None:
    llm = model()
    copied = llm.model_copy(update={"model_name": "openai/gpt-5", "fallbacks": ["ollama/llama2"]})
    assert target_names(copied) == ["openai/gpt-5", "ollama/llama2"]
    assert target_names(llm) == [PRIMARY, SECOND]
    assert copied.metadata is not llm.metadata
    with pytest.raises(ConfigurationError, match="temperature"):
        llm.model_copy(update={"temprature": 0})


def test_a_field_can_be_left_to_the_configuration_of_a_run() -> None:
    llm = model().configurable_fields(model=ConfigurableField(id="model"))
    with ScriptedTargets({PRIMARY: [say("mini")], "openai/gpt-5": [say("full")]}).running():
        assert llm.invoke("Hi").content == "mini"
        assert llm.with_config(configurable={"model": "openai/gpt-5"}).invoke("Hi").content == "full"


# Dumps


def test_a_dump_holds_no_key_and_loads_again_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    llm = model(
        fallbacks=[
            {"model": SECOND, "api_key": KEY, "temperature": 0.5, "default_headers": {"x-other-key": KEY}},
            "ollama/llama2",
        ],
        default_headers={"x-other-key": KEY},
        breaker=BreakerConfig(failures=2),
        verify_ssl=False,
    )
    dump = dumpd(llm)
    assert KEY not in json.dumps(dump)
    assert dump["kwargs"]["api_key"] == {"lc": 1, "type": "secret", "id": ["OPENAI_API_KEY"]}
    assert dump["id"] == ["unified_llm", "langchain", "ChatUnified"]
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    monkeypatch.setenv("GROQ_API_KEY", KEY)
    loaded = load(dump, allowed_objects=[ChatUnified], valid_namespaces=["unified_llm"], secrets_from_env=True)
    assert isinstance(loaded, ChatUnified)
    assert target_names(loaded) == [PRIMARY, SECOND, "ollama/llama2"]
    assert loaded.breaker == BreakerConfig(failures=2)
    assert loaded.client.targets[1].defaults == {"temperature": 0.5}
    assert loaded.asdict() == llm.asdict()


@pytest.mark.parametrize(
    ("fields", "variable"),
    [
        ({"provider": "groq", "model": "llama"}, "GROQ_API_KEY"),
        ({"model": "openai-compatible/x", "base_url": "http://localhost:1/v1"}, "UNIFIED_LLM_API_KEY"),
    ],
)
def test_a_dump_names_the_variable_of_the_provider(fields: dict[str, Any], variable: str) -> None:
    assert ChatUnified(api_key=KEY, **fields).lc_secrets["api_key"] in {variable, "OPENAI_COMPATIBLE_API_KEY"}


def test_a_key_is_in_no_repr_trace_dump_pickle_or_cache_key() -> None:
    llm = model(default_headers={"x-other-key": KEY}, fallbacks=[{"model": SECOND, "api_key": KEY}])
    bound = llm.bind(temperature=0)
    for text in (
        repr(llm),
        str(llm),
        repr(bound),
        dumps(llm),
        dumps(bound),
        repr(llm.asdict()),
        repr(llm._get_invocation_params()),
        llm._get_llm_string(),
        repr(llm.model_dump()),
        llm.model_dump_json(),
        repr(llm.client),
    ):
        assert KEY not in text
    assert KEY.encode() not in pickle.dumps(llm)


# Pickles


@pytest.mark.usefixtures("no_keys")
def test_a_pickled_copy_looks_for_its_key_in_its_own_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    llm = model(
        fallbacks=["ollama/llama2", FakeListChatModel(responses=["Hi"])],
        temperature=0.5,
        default_headers={"x-trace": "1", "x-api-key": KEY},
        verify_ssl=ssl.create_default_context(),
    )
    data = pickle.dumps(llm)
    without = pickle.loads(data)  # noqa: S301 - made above
    with pytest.raises(ConfigurationError, match="OPENAI_API_KEY"):
        without.invoke("Hi")
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    loaded = pickle.loads(data)  # noqa: S301 - made above
    assert (loaded.temperature, loaded.default_headers, loaded.verify_ssl) == (0.5, {"x-trace": "1"}, True)
    with ScriptedTargets({PRIMARY: [say("Hi")]}).running():
        assert loaded.invoke("Hi").content == "Hi"


# Cache


@pytest.fixture
def _cached() -> Any:
    set_llm_cache(InMemoryCache())
    yield
    set_llm_cache(None)


@pytest.mark.usefixtures("_cached")
async def test_the_primarys_answer_is_kept_and_that_of_a_fallback_is_not() -> None:
    down: list[Any] = [Failure("auth", 401), Failure("auth", 401), say("the primary's")]
    with ScriptedTargets({PRIMARY: down, SECOND: [say("a fallback's")]}).running() as targets:
        assert model().invoke("Hi").content == "a fallback's"
        targets.clock += 3600
        assert (await model().ainvoke("Hi")).content == "a fallback's"
        targets.clock += 3600
        assert model().invoke("Hi").content == "the primary's"
        asked = len(targets.asked)
        assert model().invoke("Hi").content == "the primary's"
        assert (await model().ainvoke("Hi")).content == "the primary's"
        assert len(targets.asked) == asked
        assert model(cache=False).invoke("Hi").content == "the primary's"
        assert len(targets.asked) == asked + 1


async def test_a_cache_of_ones_own_is_used_in_async_code_too() -> None:
    cache = InMemoryCache()
    with ScriptedTargets({PRIMARY: [say("one"), say("two")]}).running() as targets:
        assert (await model(cache=cache).ainvoke("Hi")).content == "one"
        assert (await model(cache=cache).ainvoke("Hi")).content == "one"
        PrimaryOnlyCache(cache).clear()
        assert (await model(cache=cache).ainvoke("Hi")).content == "two"
    assert len(targets.asked) == 2


def test_the_cache_key_has_every_difference_that_matters() -> None:
    llm = model()
    assigned = model()
    assigned.temperature = 0.5
    dumps(llm)  # LangChain keeps the dump of an object from here on
    keys = [
        llm._get_llm_string(),
        llm.model_copy(update={"model": "openai/gpt-5"})._get_llm_string(),
        llm.model_copy(update={"fallbacks": ["ollama/llama2"]})._get_llm_string(),
        llm.model_copy(update={"fallbacks": [FakeListChatModel(responses=["a"])]})._get_llm_string(),
        llm.model_copy(update={"fallbacks": [FakeListChatModel(responses=["a"]).bind(stop=["x"])]})._get_llm_string(),
        llm.model_copy(update={"model_kwargs": {"seed": 1}})._get_llm_string(),
        llm.model_copy(update={"extra_body": {"a": 1}})._get_llm_string(),
        assigned._get_llm_string(),
        llm._get_llm_string(stop=["x"]),
        llm._get_llm_string(model="gpt-5"),
        llm._get_llm_string(tools=[{"type": "function", "function": {"name": "add"}}]),
    ]
    assert len(set(keys)) == len(keys)
    assert model()._get_llm_string() == keys[0]


@each(
    "fields",
    [
        {"api_key": KEY + "-of-another"},
        {"default_headers": {"X-Tenant": "2"}},
        {"default_headers": {"X-Api-Key": KEY + "2"}},
        {"fallbacks": [{"model": SECOND, "api_key": KEY + "2"}]},
        {"fallbacks": [{"model": SECOND, "api_key": KEY, "default_headers": {"X-Tenant": "2"}}]},
        {"base_url": "https://gateway.example/v1"},
    ],
)
def test_the_cache_keys_of_two_tenants_differ(fields: dict[str, Any]) -> None:
    first = {"default_headers": {"X-Tenant": "1", "X-Api-Key": KEY}}
    assert model(**first)._get_llm_string() != model(**first | fields)._get_llm_string()
    assert model(**first | fields)._get_llm_string() == model(**first | fields)._get_llm_string()


def test_headers_that_identify_one_request_are_not_in_the_cache_key() -> None:
    def key(number: int) -> str:
        headers = {"traceparent": f"00-{number}", "X-Request-Id": str(number), "Idempotency-Key": str(number)}
        return model(default_headers={"X-Tenant": "1", **headers})._get_llm_string(extra_headers=headers)

    assert key(1) == key(2)


def test_headers_of_a_call_are_in_the_cache_key_as_a_digest() -> None:
    keys = [model()._get_llm_string(extra_headers={"Helicone-Auth": KEY + tenant}) for tenant in "12"]
    assert keys[0] != keys[1] != model()._get_llm_string()
    assert KEY not in "".join(keys)


@pytest.mark.usefixtures("_cached")
def test_one_tenant_is_not_answered_with_the_text_of_another() -> None:
    with ScriptedTargets({PRIMARY: [say("for 1"), say("for 2")]}).running():
        answers = [model(default_headers={"X-Tenant": tenant}).invoke("Hi").content for tenant in "1212"]
    assert answers == ["for 1", "for 2", "for 1", "for 2"]


@pytest.mark.thorough
def test_a_targets_part_of_the_cache_key_is_the_same_in_every_process() -> None:
    script = (
        "from unified_llm import LLMClient\n"
        "from unified_llm._core.cache_identity import cache_identity\n"
        f"fields = {{'api_key': {KEY!r}, 'default_headers': {{'X-Tenant': '1', 'X-Api-Key': 'a'}}}}\n"
        f"print(cache_identity(LLMClient({PRIMARY!r}, **fields).targets[0]))"
    )
    keys = {
        subprocess.run(
            [sys.executable, "-c", script], env={**os.environ, "PYTHONHASHSEED": seed}, capture_output=True, check=True
        ).stdout
        for seed in ("1", "2")
    }
    assert len(keys) == 1


def test_the_cache_key_does_not_depend_on_the_state_of_a_breaker() -> None:
    llm = model()
    before = llm._get_llm_string()
    with ScriptedTargets({PRIMARY: [Failure("server", 503)], SECOND: [say("Hi")]}).running():
        for _ in range(10):
            llm.invoke("Hi")
    assert llm._get_llm_string() == before


# The same for embeddings


def test_embeddings_are_copied_dumped_and_pickled_in_the_same_way(monkeypatch: pytest.MonkeyPatch) -> None:
    embeddings = UnifiedEmbeddings(model="openai/text-embedding-3-small", api_key=KEY)
    assert copy.deepcopy(embeddings).client is embeddings.client
    assert embeddings.model_copy(update={"chunk_size": 7}).batch_size == 7
    assert KEY not in repr(embeddings)
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    assert pickle.loads(pickle.dumps(embeddings)).client.targets[0].name == "openai/text-embedding-3-small"  # noqa: S301 - made above


def test_a_secret_or_a_configuration_is_taken_as_it_is() -> None:
    llm = model(api_key=Secret(KEY, "a vault"), fallbacks=[LLMConfig(model=SECOND, api_key=KEY)])
    assert llm.client.targets[0].key == Secret(KEY, "api_key=")


def pickled_copy(llm: ChatUnified) -> ChatUnified:
    """Return what another process gets."""
    copied: ChatUnified = pickle.loads(pickle.dumps(llm))  # noqa: S301 - our own
    return copied


@pytest.mark.usefixtures("no_keys")
def test_a_pickled_model_at_an_address_of_its_own_misses_the_key_rather_than_forget_it() -> None:
    # A server on this machine needs no key, unless the original had one.
    copied = pickled_copy(ChatUnified(model="vllm/x", base_url="http://127.0.0.1:9", api_key=KEY))
    with pytest.raises(ConfigurationError, match="left out of the pickle"):
        copied.invoke("Hello?")
    copied.api_key = SecretStr(KEY)
    with ScriptedTargets({"vllm/x": [say("Hello")]}).running():
        assert copied.invoke("Hello?").content == "Hello"
    again = pickled_copy(pickled_copy(copied))
    with pytest.raises(ConfigurationError, match="left out of the pickle"):
        again.invoke("Hello?")
    without = pickled_copy(ChatUnified(model="vllm/x", base_url="http://127.0.0.1:9"))
    with ScriptedTargets({"vllm/x": [say("Hello")]}).running():
        assert without.invoke("Hello?").content == "Hello"
