"""``LLMConfig``: fields, validation, headers, copies and pickles."""

from __future__ import annotations

import copy
import pickle
import re
import ssl
from typing import Any

import pytest
from pydantic import BaseModel, SecretStr

from tests.support.each import each
from unified_llm import BreakerConfig, LLMClient, LLMConfig
from unified_llm._config.field_groups import CALL_FIELDS
from unified_llm._core.api_key import OmittedKey, Secret
from unified_llm.exceptions import ConfigurationError

KEY = "sk-CANARY-0123456789"
# A key in a wrong argument: it may be in our variables, as it is in the caller's, but never in a message.
MISPLACED = "sk-MISPLACED-0123456789"


def test_nothing_but_a_model_is_needed_and_not_even_that() -> None:
    assert LLMConfig(model="openai/gpt-5-mini").model == "openai/gpt-5-mini"
    assert LLMConfig().model is None


def test_defaults_are_those_that_are_documented() -> None:
    config = LLMConfig(model="openai/gpt-5-mini")
    assert (config.timeout, config.verify_ssl, config.max_retries) == (None, True, None)
    assert (config.retry_delay, config.retry_max_delay, config.retry_exponential_base) == (1.0, 10.0, 2.0)
    assert config.cache_ttl == 300
    assert config.breaker == BreakerConfig(failures=5, window=60, cooldown=30, cooldown_max=300)


def test_fields_have_the_names_that_other_libraries_give_them() -> None:
    config = LLMConfig(model="openai/gpt-5-mini", request_timeout=5, fallback_configs=["mlx/demo"])
    assert (config.timeout, config.fallbacks) == (5, ("mlx/demo",))


def test_a_breaker_may_be_a_mapping_and_a_stop_a_string() -> None:
    config = LLMConfig(breaker={"failures": 2}, stop="END")
    assert config.breaker == BreakerConfig(failures=2)
    assert config.stop == ("END",)
    assert LLMConfig(stop=["a", "b"]).stop == ("a", "b")


@each("key", [KEY, SecretStr(KEY), Secret(KEY, "elsewhere")])
def test_a_key_is_hidden_whatever_it_came_in(key: Any) -> None:
    config = LLMConfig(model="openai/gpt-5-mini", api_key=key)
    assert config.api_key == Secret(KEY, "api_key=")
    for shown in (repr(config), str(config), repr(config.model_dump()), repr(vars(config))):
        assert "CANARY" not in shown


def test_headers_and_bodies_are_in_no_repr() -> None:
    config = LLMConfig(
        default_headers={"x-gateway-key": KEY}, extra_body={"user": "CANARY"}, fallbacks=[{"api_key": KEY}]
    )
    assert "CANARY" not in repr(config)


def test_a_configuration_cannot_be_changed() -> None:
    with pytest.raises(ValueError, match="frozen"):
        LLMConfig(model="openai/x").model = "openai/y"  # type: ignore[misc]


WRONG: list[tuple[dict[str, Any], str]] = [
    ({"timeout": 0}, "timeout must be greater than 0"),
    ({"timeout": -1}, "timeout must be greater than 0"),
    ({"timeout": MISPLACED}, "timeout must be a number"),
    ({"timeout": [MISPLACED]}, "timeout must be a number"),
    ({"timeout": True}, "timeout must be a number of seconds, not True"),
    ({"timeout": float("nan")}, "timeout must be a finite number"),
    ({"timeout": float("inf")}, "timeout must be a finite number"),
    ({"request_timeout": 0}, "timeout must be greater than 0"),
    ({"max_retries": -1}, "max_retries must be at least 0"),
    ({"max_response_bytes": 0}, "max_response_bytes must be "),
    ({"max_response_bytes": True}, "max_response_bytes must be a number, not True or False"),
    ({"max_response_bytes": 1.5}, "max_response_bytes must be a whole number"),
    ({"rpm": 0}, "rpm must be greater than 0"),
    ({"tpm": 1.5}, "tpm must be a whole number"),
    ({"rpm": True}, "rpm must be a number, not True or False"),
    ({"max_retries": 1.5}, "max_retries must be a whole number"),
    ({"max_retries": MISPLACED}, "max_retries must be a whole number"),
    ({"retry_exponential_base": 0.5}, "retry_exponential_base must be at least 1"),
    ({"cache_ttl": -1}, "cache_ttl must be a number of seconds, 0 or greater"),
    ({"max_tokens": 0}, "max_tokens must be greater than 0"),
    ({"temperature": float("inf")}, "temperature must be a finite number"),
    ({"temperature": MISPLACED}, "temperature must be a number"),
    ({"stop": 5}, "stop must be a string, or a list of strings"),
    ({"model": 5}, "model must be a string"),
    ({"provider": [MISPLACED]}, "provider must be a string"),
    ({"base_url": 5}, "base_url must be a string"),
    ({"base_url": MISPLACED}, "base_url= must begin with https://"),
    ({"allow_http": MISPLACED}, "allow_http must be True or False"),
    ({"default_headers": MISPLACED}, "default_headers must be a mapping"),
    ({"extra_body": MISPLACED}, "extra_body must be a mapping"),
    ({"breaker": 5}, "breaker"),
    ({"breaker": {"failures": MISPLACED}}, "breaker.*must be a whole number"),
    ({"breaker": {"failures": 0}}, r"BreakerConfig\.failures must be a number greater than 0"),
    ({"breaker": {"mode": MISPLACED}}, "breaker"),
    ({"verify_ssl": [MISPLACED]}, "verify_ssl"),
    ({"fallbacks": "mlx/demo"}, "fallbacks is a list"),
    ({"fallbacks": {"model": MISPLACED}}, "fallbacks is a list"),
    ({"fallbacks": 5}, "fallbacks is a list"),
    ({"fallbacks": [{"modle": "x"}]}, "did you mean 'model'"),
    ({"fallbacks": [{"api_key": KEY + "\n"}]}, "The key from api_key= has white space"),
    ({"modle": "openai/x"}, "LLMConfig has no field 'modle': did you mean 'model'"),
    ({"base_ur": MISPLACED}, "did you mean 'base_url'"),
    ({"top_k": 5}, "no field 'top_k'"),
    ({"zzz": 5}, "go into extra_body="),
    ({MISPLACED: 5}, "LLMConfig has no field of that name"),
    (
        {"timeout": MISPLACED, "max_tokens": MISPLACED},
        "timeout must be a .*, not text; max_tokens must be a whole",
    ),
]


@each(("fields", "expected"), WRONG)
def test_a_wrong_field_is_named_and_its_value_not_repeated(fields: dict[str, Any], expected: str) -> None:
    with pytest.raises(ConfigurationError, match=expected) as refused:
        LLMConfig(**fields)
    error: BaseException | None = refused.value
    while error:
        assert "CANARY" not in str(error)
        error = error.__cause__ or error.__context__


@pytest.mark.parametrize("way", ["validate", "strings"])
def test_pydantics_own_ways_in_are_no_way_around(way: str) -> None:
    with pytest.raises(ConfigurationError, match="The key from api_key= has white space"):
        getattr(LLMConfig, f"model_{'validate' if way == 'validate' else 'validate_strings'}")({"api_key": KEY + "\n"})


class Application(BaseModel):
    """A user's own settings."""

    llm: LLMConfig


def test_a_configuration_is_read_from_strings_wherever_it_is() -> None:
    given = {"model": "openai/m", "api_key": KEY, "timeout": "5"}
    nested = Application.model_validate_strings({"llm": given}).llm
    for config in (LLMConfig.model_validate_strings(given), nested):
        assert isinstance(config.api_key, Secret)
        assert config.timeout == 5.0
    for read, wrong in (
        (LLMConfig.model_validate_strings, {**given, "timeout": MISPLACED}),
        (Application.model_validate_strings, {"llm": {**given, "timeout": MISPLACED}}),
    ):
        with pytest.raises(ConfigurationError) as refused:
            read(wrong)
        assert "sk-" not in str(refused.value)


# reliability.md, case 66
@each(
    "name",
    ["Authorization", "authorization", "Host", "Content-Length", "Transfer-Encoding", "Connection", "Accept-Encoding",
     "Content-Type", "Proxy-Authorization"],
)  # fmt: skip
@pytest.mark.case(66)
def test_headers_that_frame_or_authorise_a_message_are_ours(name: str) -> None:
    with pytest.raises(ConfigurationError, match=f"(?i)default_headers must not set {name}"):
        LLMConfig(default_headers={name: MISPLACED})


@each("name", ["", " ", "X\r\nEvil: CANARY", "authorization ", "a b", "a:b", "é", "x\x00", 5])
@pytest.mark.case(66)
def test_a_name_that_no_header_can_have_is_refused(name: Any) -> None:
    with pytest.raises(ConfigurationError, match="no header name") as refused:
        LLMConfig(default_headers={name: "v"})
    assert "CANARY" not in str(refused.value)


@each("text", ["CANARY\r\nEvil: 1", "CANARY\n", " CANARY", "CANARÝ", "CANARY\x00", 5, None, b"CANARY"])
@pytest.mark.case(66)
def test_a_value_that_no_header_can_have_is_refused(text: Any) -> None:
    with pytest.raises(ConfigurationError, match="The value of the header x-team") as refused:
        LLMConfig(default_headers={"x-team": text})
    assert "CANAR" not in str(refused.value)


def test_other_headers_are_the_users_own() -> None:
    headers = {"X-Team": "a b", "api-key": "k", "OpenAI-Organization": "org"}
    assert LLMConfig(default_headers=headers).default_headers == headers


@pytest.mark.parametrize("copy_of", [copy.copy, copy.deepcopy, LLMConfig.model_copy])
def test_copies_keep_the_key(copy_of: Any) -> None:
    context = ssl.create_default_context()
    config = LLMConfig(model="openai/x", api_key=KEY, verify_ssl=context, fallbacks=[{"base_url": "https://e.org"}])
    copied = copy_of(config)
    assert copied.api_key.reveal() == KEY
    assert copied.verify_ssl is context
    assert copied == config


@pytest.mark.case(67)
def test_a_pickle_holds_no_key() -> None:
    config = LLMConfig(
        model="openai/x",
        api_key=KEY,
        verify_ssl=ssl.create_default_context(),
        temperature=0.5,
        extra_body={"prompt_cache_key": "tenant-1", "seed": 1, "gateway": {"team_token": KEY, "team": "one"}},
        fallbacks=[{"model": "openai/y", "api_key": KEY}, LLMConfig(model="openai/z", api_key=KEY)],
    )
    data = pickle.dumps(config)
    assert b"CANARY" not in data
    loaded = pickle.loads(data)  # noqa: S301 - our own
    assert (loaded.model, loaded.api_key) == ("openai/x", OmittedKey.KEY)
    assert (loaded.verify_ssl, loaded.temperature) == (True, 0.5)
    assert loaded.extra_body == {"prompt_cache_key": "tenant-1", "seed": 1, "gateway": {"team": "one"}}
    assert [fallback.api_key for fallback in loaded.fallbacks] == [OmittedKey.KEY, OmittedKey.KEY]
    assert pickle.loads(pickle.dumps(loaded)) == loaded  # noqa: S301
    assert pickle.loads(pickle.dumps(LLMConfig(model="openai/x"))).api_key is None  # noqa: S301


@pytest.mark.usefixtures("no_keys")
def test_a_key_that_was_left_out_says_so() -> None:
    assert repr(OmittedKey.KEY) == "<key left out of the pickle>"
    loaded = pickle.loads(pickle.dumps(LLMConfig(model="ollama/x", api_key=KEY)))  # noqa: S301
    with pytest.raises(ConfigurationError, match=r"left out of the pickle \(set OLLAMA_API_KEY"):
        LLMClient(loaded)


def test_a_bundle_of_certificates_survives_a_pickle() -> None:
    assert pickle.loads(pickle.dumps(LLMConfig(verify_ssl="/etc/ca.pem"))).verify_ssl == "/etc/ca.pem"  # noqa: S301


def test_what_was_given_is_distinguished_from_what_is_default() -> None:
    config = LLMConfig(model="openai/x", max_retries=0, api_key=KEY)
    assert config.given(CALL_FIELDS) == {"max_retries": 0}
    assert set(config.given(tuple(LLMConfig.model_fields))) == {"model", "max_retries", "api_key"}


def test_every_field_is_documented() -> None:
    text = LLMConfig.__doc__ or ""
    sampling = {"top_p", "max_tokens", "stop", "seed", "frequency_penalty", "presence_penalty", "reasoning_effort"}
    assert [
        name
        for name in LLMConfig.model_fields
        if not re.search(rf"^ +{name}: ", text, re.MULTILINE) and name not in sampling
    ] == []
