"""Every way into a configuration validates, and the key that was given is the key that is used, or an error."""

from __future__ import annotations

import copy
import dataclasses
import json
import pickle
from collections.abc import Callable
from functools import partial
from ssl import create_default_context
from types import SimpleNamespace
from typing import Any

import pydantic
import pytest

from tests.support.each import each
from tests.support.sent_requests import SentRequests
from unified_llm import BreakerConfig, LLMClient, LLMConfig, register_provider
from unified_llm._core.api_key import OmittedKey, Secret
from unified_llm._providers import registry
from unified_llm.exceptions import ConfigurationError

OPERATOR = "sk-of-the-operator-0123456789"
TENANT = "sk-of-tenant-seven-0123456789"
BASE = LLMConfig(model="openai/gpt-5-mini")

Way = Callable[..., LLMConfig]
WAYS: dict[str, Way] = {
    "constructor": partial(LLMConfig, model="openai/gpt-5-mini"),
    "model_copy": lambda **fields: BASE.model_copy(update=fields),  # noqa: PLW0108 - it takes them in one argument
    "model_copy deep": lambda **fields: BASE.model_copy(update=fields, deep=True),
    "copy": lambda **fields: BASE.copy(update=fields),  # noqa: PLW0108
    "replace": BASE.__replace__,
    "model_construct": partial(LLMConfig.model_construct, model="openai/gpt-5-mini"),
    "construct": partial(LLMConfig.construct, model="openai/gpt-5-mini"),
    "model_validate": lambda **fields: LLMConfig.model_validate({"model": "openai/gpt-5-mini", **fields}),
    "TypeAdapter": lambda **fields: pydantic.TypeAdapter(LLMConfig).validate_python(
        {"model": "openai/gpt-5-mini", **fields}
    ),
    "dump": lambda **fields: LLMConfig(**{**BASE.model_dump(), **fields}),
    "read": lambda **fields: LLMConfig.read({"model": "openai/gpt-5-mini"}, fields),
}


def force_into_dict(config: Any, name: str, value: Any) -> None:
    config.__dict__[name] = value


FORCED = each("force", [object.__setattr__, force_into_dict])
EVERY_WAY = pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)


def key_of(client: LLMClient, index: int = 0) -> str | None:
    key = client.targets[index].key
    return key.reveal() if key else None


@pytest.fixture(autouse=True)
def _operator(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", OPERATOR)


@EVERY_WAY
def test_the_key_that_was_given_is_the_key_that_is_used(way: Way) -> None:
    for key in (TENANT, pydantic.SecretStr(TENANT), Secret(TENANT, "a test")):
        config = way(api_key=key)
        assert isinstance(config.api_key, Secret)
        assert key_of(LLMClient(config)) == TENANT
        assert key_of(LLMClient("mlx/demo", fallbacks=[config]), 1) == TENANT
    assert key_of(LLMClient(way())) == OPERATOR


WRONG: list[tuple[dict[str, Any], str]] = [
    ({"api_key": "sk\n"}, "white space"),
    ({"api_key": ""}, "is empty"),
    ({"api_key": b"sk-as-bytes"}, "must be a string, not bytes"),
    ({"api_key": 5}, "must be a string, not int"),
    ({"timeout": -5}, "timeout must be greater than 0"),
    ({"request_timeout": 0}, "timeout must be greater than 0"),
    ({"max_retries": -1}, "max_retries must be at least 0"),
    ({"cache_ttl": float("nan")}, "cache_ttl"),
    ({"default_headers": {"Authorization": "Bearer z"}}, "must not set Authorization: pass the key as api_key="),
    ({"default_headers": {"hOST": "h"}}, "must not set hOST"),
    ({"default_headers": {"content_length": "1"}}, "must not set content_length"),
    ({"default_headers": {"x": "a\r\nb: c"}}, "no plain ASCII text"),
    ({"base_url": "http://169.254.169.254"}, "serve credentials"),
    ({"base_url": "https://h/../x"}, '"." or ".."'),
    ({"api_version": "../x"}, "no version of an API"),
    ({"breaker": {"failures": -1}}, "BreakerConfig.failures"),
    ({"fallbacks": [{"api_key": "sk\n"}]}, "white space"),
    ({"modle": "x"}, "did you mean 'model'?"),
    ({"model": 5}, "model must be a string"),
    ({"model": "gemini/../../x"}, '"." or ".."'),
    ({"provider": "gemini", "model": "%2e%2e/x"}, '"." or ".."'),
    ({"model": "openai/a\nb"}, "not printable"),
]


@EVERY_WAY
def test_every_way_in_has_the_errors_of_the_constructor(way: Way) -> None:
    for fields, constructors in WRONG:
        by_two_names = "request_timeout" in fields and way is WAYS["dump"]
        expected = "timeout is given twice" if by_two_names else constructors
        with pytest.raises(ConfigurationError, match=expected):
            way(**fields)


def test_a_copy_keeps_what_was_set_and_what_was_not() -> None:
    config = LLMConfig(model="openai/x", api_key=TENANT, temperature=0.1, extra_body={"a": {"b": 1}})
    copied = config.model_copy(update={"request_timeout": 5})
    assert copied.model_fields_set == config.model_fields_set | {"timeout"}
    assert (copied.timeout, copied.temperature, copied.api_key) == (5, 0.1, config.api_key)
    assert config.model_copy() == copy.copy(config) == copy.deepcopy(config) == config
    assert config.model_copy(update={"api_key": None}).api_key is None
    with pytest.raises(ConfigurationError, match="copies all fields"):
        config.copy(include={"model"})


@each("wrong", [5, "openai/x", None, SimpleNamespace(model="openai/x", api_key=TENANT)])
def test_a_configuration_is_made_from_a_mapping(wrong: Any) -> None:
    with pytest.raises(ConfigurationError, match="made from a mapping"):
        LLMConfig.model_validate(wrong, from_attributes=True)


@FORCED
@each(
    ("name", "value", "expected"),
    [
        ("timeout", -5, "timeout must be greater than 0"),
        ("default_headers", {"Authorization": "Bearer z"}, "must not set Authorization"),
        ("default_headers", {"x-ok": "a\nb"}, "no plain ASCII text"),
        ("base_url", "http://metadata/", "serve credentials"),
        ("model", "openai/../x", '"." or ".."'),
        ("breaker", {"failures": 0}, "BreakerConfig.failures"),
    ],
)
def test_what_was_forced_into_one_is_found_by_the_client(force: Any, name: str, value: Any, expected: str) -> None:
    for place in (0, 1):
        config = copy.copy(BASE)
        force(config, name, value)
        with pytest.raises(ConfigurationError, match=expected):
            LLMClient("mlx/demo", fallbacks=[config]) if place else LLMClient(config)


@FORCED
def test_a_key_that_was_forced_into_one_is_used(force: Any) -> None:
    config = copy.copy(BASE)
    force(config, "api_key", TENANT)
    assert key_of(LLMClient(config)) == TENANT
    assert key_of(LLMClient("mlx/demo", fallbacks=[config]), 1) == TENANT


class WithDefaults(LLMConfig):
    api_key: Any = Secret(TENANT, "a subclass")
    temperature: Any = 0.5


def test_defaults_of_a_subclass_are_used() -> None:
    for client in (LLMClient(WithDefaults(model="openai/x")), LLMClient(WithDefaults(model="openai/x").model_copy())):
        assert key_of(client) == TENANT
        assert client.targets[0].defaults == {"temperature": 0.5}
    assert key_of(LLMClient("mlx/demo", fallbacks=[WithDefaults(model="openai/x")]), 1) == TENANT


class WithRawKey(LLMConfig):
    api_key: Any = TENANT


def test_a_key_that_a_subclass_left_unchecked_is_used_as_well() -> None:
    assert key_of(LLMClient(WithRawKey(model="openai/x"))) == TENANT


def test_an_object_with_a_key_of_its_own_takes_no_other() -> None:
    class Answers:
        def generate(self, request: Any) -> str:
            return "Hello"

    register_provider("ways-in-test", Answers())
    try:
        with pytest.raises(ConfigurationError, match="a key of its own: leave out api_key="):
            LLMClient("ways-in-test/m", api_key=TENANT)
    finally:
        registry.unregister("ways-in-test")


def test_mappings_are_copied_and_cannot_be_changed() -> None:
    headers: dict[str, str] = {"x-team": "one"}
    body: dict[str, Any] = {"options": {"num_ctx": 1}, "stop": ["a"]}
    config = LLMConfig(model="ollama/x", default_headers=headers, extra_body=body)
    client = LLMClient(config)
    headers["Authorization"] = "Bearer z"
    body["options"]["num_ctx"] = 2
    body["stop"].append("b")
    for kept in (config.default_headers, client.targets[0].headers):
        assert kept == {"x-team": "one"}
    for kept in (config.extra_body, client.targets[0].extra_body):
        assert kept == {"options": {"num_ctx": 1}, "stop": ["a"]}
    mappings: list[Any] = [config.default_headers, config.extra_body, config.extra_body["options"]]
    mappings += [client.targets[0].headers, LLMConfig().default_headers]
    changes: dict[str, list[Any]] = {
        "update": [{"a": 1}], "__setitem__": ["a", 1], "__delitem__": ["a"], "setdefault": ["a", 1], "pop": ["a"],
        "popitem": [], "clear": [], "__ior__": [{"a": 1}],
    }  # fmt: skip
    for mapping in mappings:
        for name, arguments in changes.items():
            with pytest.raises(TypeError, match="read-only"):
                getattr(mapping, name)(*arguments)
    copies: list[Any] = [copy.copy(config), copy.deepcopy(config), pickle.loads(pickle.dumps(config))]  # noqa: S301
    for copied in copies:
        assert copied == config
        for mapping in (copied.extra_body, copied.default_headers):
            with pytest.raises(TypeError, match="read-only"):
                mapping["a"] = 1
    assert config.model_dump()["extra_body"] == {"options": {"num_ctx": 1}, "stop": ["a"]}


def test_the_headers_of_a_row_are_copied_and_checked() -> None:
    headers = {"x-team": "one"}
    try:
        register_provider("ways-in-test", base_url="https://gateway.example", headers=headers)
        headers["Authorization"] = "Bearer z"
        requests = SentRequests()
        with requests.running():
            LLMClient("ways-in-test/m", api_key=TENANT).generate("Hello?")
        assert requests.sent[0].headers["authorization"] == f"Bearer {TENANT}"
        assert requests.sent[0].headers["x-team"] == "one"
        for name in ("Authorization", "host", "Content_Length", "x y", "a:b", "ä"):
            with pytest.raises(ConfigurationError, match="header"):
                register_provider("ways-in-test", base_url="https://g.example", headers={name: "x"})
        with pytest.raises(ConfigurationError, match="that header carries the key"):
            register_provider(
                "ways-in-test", base_url="https://g.example", headers={"X-Key": "x"}, quirks={"key_header": "x-key"}
            )
        for name in ("host", "Content-Length", "a b", "a\r\nb"):
            with pytest.raises(ConfigurationError, match="no name of a header that can hold a key"):
                register_provider("ways-in-test", base_url="https://g.example", quirks={"key_header": name})
    finally:
        registry.unregister("ways-in-test")


def test_breakers_are_checked_on_every_way_in() -> None:
    breaker = BreakerConfig()
    for build in (
        lambda: BreakerConfig(cooldown=-1),
        lambda: dataclasses.replace(breaker, cooldown=-1),
        lambda: LLMConfig.read(None, {"breaker": {"cooldown": -1}}),
        lambda: BASE.model_copy(update={"breaker": {"cooldown": -1}}),
    ):
        with pytest.raises(ConfigurationError, match=r"BreakerConfig\.cooldown"):
            build()


# Dumps as JSON


def test_a_dump_as_json_has_no_key_and_says_so() -> None:
    config = LLMConfig(
        model="openai/x",
        api_key=TENANT,
        default_headers={"X-Gateway-Key": TENANT, "x-team": "one"},
        verify_ssl=create_default_context(),
        cache_ttl=float("inf"),
        fallbacks=["mlx/demo", {"model": "openai/y", "api_key": TENANT}],
    )
    text = config.model_dump_json()
    assert TENANT not in text
    assert TENANT not in json.dumps(config.model_dump(mode="json"))
    dump = json.loads(text)
    assert (dump["api_key"], dump["verify_ssl"]) == (OmittedKey.KEY.value, True)
    assert dump["default_headers"] == {"X-Gateway-Key": OmittedKey.KEY.value, "x-team": "one"}
    assert dump["fallbacks"][1]["api_key"] == OmittedKey.KEY.value
    with pytest.raises(ConfigurationError, match="The value of the header X-Gateway-Key was left out of the dump"):
        LLMConfig.model_validate_json(text)


def test_a_dump_as_json_can_be_loaded_and_finds_its_key_in_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    config = LLMConfig(model="openai/x", api_key=TENANT, cache_ttl=float("inf"), breaker=BreakerConfig(failures=2))
    loaded = LLMConfig.model_validate_json(config.model_dump_json())
    assert loaded.api_key is OmittedKey.KEY
    assert loaded.model_copy(update={"api_key": TENANT}) == config
    assert LLMConfig(**json.loads(config.model_dump_json())) == loaded
    assert key_of(LLMClient(loaded)) == OPERATOR
    monkeypatch.delenv("OPENAI_API_KEY")
    with pytest.raises(ConfigurationError, match=r"left out of the pickle \(set OPENAI_API_KEY"):
        LLMClient(loaded)
    assert LLMConfig.model_validate_json(BASE.model_dump_json()) == BASE


def test_a_dump_as_objects_keeps_the_key_hidden_and_can_be_loaded() -> None:
    config = LLMConfig(model="openai/x", api_key=TENANT)
    dump = config.model_dump()
    assert TENANT not in repr(dump)
    assert key_of(LLMClient(LLMConfig(**dump))) == TENANT
