"""Where a target's key comes from: a callable, a variable that the user names; and what account it belongs to."""

from __future__ import annotations

import copy
import functools
import gc
import json
import pickle
import weakref
from collections.abc import Callable
from typing import Any, Final

import pytest

from tests.support.each import each
from unified_llm import LLMClient, LLMConfig, configure
from unified_llm._core.api_key import Secret
from unified_llm._core.cache_identity import cache_identity
from unified_llm._core.target import Target
from unified_llm.exceptions import ConfigurationError, UnconfiguredError
from unified_llm.langchain import ChatUnified, UnifiedEmbeddings
from unified_llm.llama_index import UnifiedEmbedding, UnifiedLLM, UnifiedRerank

GPT: Final = "openai/gpt-5-mini"
KEY: Final = "sk-key-0123456789"
SURFACES: Final[tuple[Any, ...]] = (
    LLMClient, ChatUnified, UnifiedEmbeddings, UnifiedLLM, UnifiedEmbedding, UnifiedRerank,
)  # fmt: skip


def key_of_a_module() -> str:
    return KEY


class Vault:
    def get(self) -> str:
        return KEY

    def __call__(self) -> str:
        return KEY


def closure() -> Callable[[], str]:
    return lambda: KEY


def target_of(chain: Any) -> Target:
    return (chain if isinstance(chain, LLMClient) else chain.client).targets[0]


def account(**fields: Any) -> object:
    return LLMClient(LLMConfig(model=GPT, **fields)).targets[0].account


# Callables


@each("surface", SURFACES)
def test_every_constructor_and_every_fallback_takes_a_callable(surface: Any) -> None:
    model = "cohere/rerank-v3.5" if surface is UnifiedRerank else "openai/text-embedding-3-small"
    for call in (key_of_a_module, Vault().get, Vault(), closure(), functools.partial(key_of_a_module)):
        fallback = {"model": model, "base_url": "https://eu.example", "api_key": call}
        chain = surface(model=model, api_key=call, fallbacks=[fallback])
        for target in (chain if surface is LLMClient else chain.client).targets:
            assert target.key is None
            assert target.key_callable.call() == KEY
        again = copy.deepcopy(chain)
        assert target_of(again).key_callable == target_of(chain).key_callable
        assert KEY not in f"{chain!r}"


@each("surface", SURFACES[1:])
def test_a_field_that_is_set_later_takes_a_callable_too(surface: Any) -> None:
    model = "cohere/rerank-v3.5" if surface is UnifiedRerank else "openai/text-embedding-3-small"
    chain = surface(model=model, api_key=KEY)
    before = target_of(chain).account
    chain.api_key = key_of_a_module
    assert target_of(chain).key_callable is not None
    copied = chain.model_copy(update={"api_key": KEY})
    assert (target_of(copied).key_callable, target_of(copied).account) == (None, before)


def test_a_callable_is_in_no_dump_and_shows_its_name_alone() -> None:
    config = LLMConfig(model=GPT, api_key=key_of_a_module)
    assert repr(config) == "LLMConfig(model='openai/gpt-5-mini')"
    assert repr(config.api_key) == f"<callable {__name__}.key_of_a_module>"
    assert json.loads(config.model_dump_json())["api_key"] == "left out of the dump"
    assert LLMConfig(**config.model_dump()) == config == LLMConfig(model=GPT, api_key=config.api_key)
    chat = ChatUnified(GPT, api_key=closure())
    assert "api_key" not in chat.model_dump()
    assert "lambda" not in f"{chat!r} {chat._identifying_params}"


@each("surface", SURFACES)
def test_a_pickle_has_the_name_of_a_function_of_a_module_and_leaves_out_other_callables(
    surface: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = "cohere/rerank-v3.5" if surface is UnifiedRerank else "openai/text-embedding-3-small"
    loaded = pickle.loads(pickle.dumps(surface(model=model, api_key=key_of_a_module)))  # noqa: S301 - made here
    assert target_of(loaded).key_callable.call() == KEY  # type: ignore[union-attr]
    for variable in ("OPENAI_API_KEY", "CO_API_KEY", "COHERE_API_KEY"):
        monkeypatch.delenv(variable, raising=False)
    for call in (Vault().get, closure(), Vault()):
        data = pickle.dumps(surface(model=model, api_key=call))
        with pytest.raises(UnconfiguredError, match="no API key, which was left out of the pickle"):
            target_of(pickle.loads(data))  # noqa: S301 - made here


def test_what_a_callable_returned_is_kept_no_longer_than_the_callable() -> None:
    vault = Vault()
    config = LLMConfig(model=GPT, api_key=vault.get)
    assert LLMConfig(model=GPT, api_key=vault.get).api_key.kept is config.api_key.kept  # type: ignore[union-attr]
    kept = weakref.ref(vault)
    del vault, config
    gc.collect()
    assert kept() is None


# Accounts


def test_the_account_of_a_callable_is_its_qualified_name() -> None:
    named = account(api_key=key_of_a_module)
    assert named == account(api_key=key_of_a_module) != account(api_key=KEY)
    vault = Vault()
    assert account(api_key=vault.get) == account(api_key=vault.get)
    first, second = closure(), closure()
    assert account(api_key=first) == account(api_key=first) != account(api_key=second)
    headers = {"OpenAI-Organization": "org-1"}
    assert account(api_key=key_of_a_module, default_headers=headers) != named


def test_a_named_account_stays_the_same_whatever_its_key_is() -> None:
    first, second = closure(), closure()
    named = [account(api_key=key, account="team") for key in (KEY, "sk-other-0123456789", first, second)]
    assert named == [named[0]] * 4
    assert named[0] != account(api_key=KEY)
    assert named[0] != account(api_key=KEY, account="other")
    targets = [LLMClient(LLMConfig(model=GPT, api_key=key, account="team")).targets[0] for key in (KEY, first)]
    assert {cache_identity(target) for target in targets} == {cache_identity(targets[0])}
    assert targets[0].credentials_key == targets[1].credentials_key
    assert targets[0].limit_key == targets[1].limit_key
    assert "team" not in f"{targets[0].account}"


@each("name", ["", " ", "a\nb", "x" * 101, "sk-CANARY-0123456789abcdef"])
def test_what_names_no_account_is_refused(name: str) -> None:
    with pytest.raises(ConfigurationError, match="account= ") as refused:
        LLMConfig(model=GPT, api_key=KEY, account=name)
    assert "CANARY" not in str(refused.value)


def test_a_fallback_with_a_key_of_its_own_has_an_account_of_its_own() -> None:
    def regions(**own: Any) -> Target:
        eu = {"base_url": "https://eu.example", **own}
        return LLMClient(LLMConfig(model=GPT, api_key=key_of_a_module, account="team", fallbacks=[eu])).targets[1]

    assert (regions().account_name, regions().key_callable is not None) == ("team", True)
    own = regions(api_key=KEY)
    assert (own.account_name, own.key_callable) == (None, None)


# A variable that the user names


def test_the_key_of_a_named_variable_is_read_in_each_process_and_sent_anywhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MY_KEY", KEY)
    monkeypatch.setenv("OPENAI_API_KEY", "sk-another-0123456789")
    config = LLMConfig(model=GPT, api_key_env="MY_KEY", base_url="https://gateway.example")
    data = pickle.dumps(LLMClient(config))
    for key in (KEY, "sk-rotated-0123456789"):
        monkeypatch.setenv("MY_KEY", key)
        for client in (LLMClient(config), pickle.loads(data), copy.deepcopy(LLMClient(config))):  # noqa: S301 - made here
            assert client.targets[0].key == Secret(key, "a test")
    monkeypatch.delenv("MY_KEY")
    with pytest.raises(UnconfiguredError, match=r"no API key \(set MY_KEY, which api_key_env= names\)"):
        pickle.loads(data)  # noqa: S301 - made here
    with pytest.raises(UnconfiguredError, match="MY_KEY"):
        LLMClient("ollama/m", api_key_env="MY_KEY")


@each("surface", SURFACES)
def test_every_constructor_takes_the_name_of_a_variable(surface: Any) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MY_KEY", KEY)
        model = "cohere/rerank-v3.5" if surface is UnifiedRerank else "openai/text-embedding-3-small"
        chain = surface(model=model, api_key_env="MY_KEY", account="team")
        loaded = pickle.loads(pickle.dumps(chain))  # noqa: S301 - made here
        for target in (target_of(chain), target_of(loaded)):
            assert (target.key and target.key.reveal(), target.account_name) == (KEY, "team")
        with pytest.raises(ConfigurationError, match="api_key= and api_key_env= are both given: leave one out"):
            surface(model=model, api_key_env="MY_KEY", api_key=KEY)
        for wrong in ("sk-CANARY-0123456789abcdef", "hf_CANARYabcdefGHIJ0123", "MY KEY", "", 5):
            with pytest.raises(ConfigurationError, match="api_key_env") as refused:
                surface(model=model, api_key_env=wrong)
            assert "CANARY" not in str(refused.value)


@each("name", ["AZURE_OPENAI_KEY_FOR_PRODUCTION_2", "key_of_the_team", "hf_token_production", "_K"])
def test_names_of_variables_are_no_keys(name: str) -> None:
    assert LLMConfig(model=GPT, api_key_env=name).api_key_env == name


def test_a_fallback_inherits_the_variable_unless_it_has_a_key_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MY_KEY", KEY)
    for own, key in (({}, KEY), ({"api_key": "sk-own-0123456789"}, "sk-own-0123456789")):
        client = LLMClient(GPT, api_key_env="MY_KEY", fallbacks=[{"base_url": "https://eu.example", **own}])
        assert client.targets[1].key.reveal() == key  # type: ignore[union-attr]
    client = LLMClient(GPT, api_key=KEY, fallbacks=[{"base_url": "https://eu.example", "api_key_env": None}])
    assert client.targets[1].key == client.targets[0].key is not None


# Copies without a key


def test_a_copy_without_its_key_knows_its_window_and_features(monkeypatch: pytest.MonkeyPatch) -> None:
    fallback = {"model": "anthropic/claude-haiku-4-5", "api_key": KEY}
    for more in ({"api_key": KEY}, {"api_key": closure()}, {"api_key_env": "MY_KEY"}, {"skip_unconfigured": True}):
        monkeypatch.setenv("MY_KEY", KEY)
        monkeypatch.setenv("OPENAI_API_KEY", KEY)
        llm = UnifiedLLM(GPT, fallbacks=[fallback], **more)
        chat = ChatUnified(GPT, fallbacks=[fallback], **more)
        metadata, profile, payload = llm.metadata, chat.profile, llm.to_payload()
        data = pickle.dumps((llm, chat))
        monkeypatch.delenv("MY_KEY")
        monkeypatch.delenv("OPENAI_API_KEY")
        llm, chat = pickle.loads(data)  # noqa: S301 - made here
        assert llm.metadata == metadata
        assert llm.to_payload() == payload
        assert chat.profile == profile
        chat.max_tokens = 9  # after which the profile is computed again
        assert chat.profile == profile
        if not llm.skip_unconfigured:
            with pytest.raises(UnconfiguredError, match=r"API key|MY_KEY"):
                llm.complete("Hello?")


# Keys that are set for the process


def test_the_key_of_a_provider_that_is_set_for_the_process_may_be_a_callable_or_a_variable(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("MY_KEY", KEY)
    configure(
        providers={"azure": {"api_key": key_of_a_module, "base_url": "https://eu.openai.azure.com", "account": "eu"}}
    )
    (target,) = LLMClient("azure/chat").targets
    assert (target.key_callable is not None, target.account_name) == (True, "eu")
    own = LLMClient("azure/chat", api_key=KEY).targets[0]
    assert (own.key_callable, own.account_name) == (None, None)
    configure(providers={"openai": {"api_key_env": "MY_KEY"}})
    assert LLMClient(GPT).targets[0].key.reveal() == KEY  # type: ignore[union-attr]
    assert LLMClient(GPT, api_key=key_of_a_module).targets[0].key_callable is not None
