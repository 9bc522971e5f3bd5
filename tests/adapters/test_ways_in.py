"""What is changed on a model of a framework is used by its next call, or refused: never ignored."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from typing import Any

import pytest
from langchain_core.runnables import ConfigurableField
from llama_index.core.schema import NodeWithScore, TextNode
from pydantic import SecretStr

from tests.support.sent_requests import SentRequests
from tests.support.thorough import some
from unified_llm._adapters.target_fields import TargetFields
from unified_llm._core.api_key import Secret
from unified_llm.exceptions import ConfigurationError
from unified_llm.langchain import ChatUnified, UnifiedEmbeddings
from unified_llm.llama_index import UnifiedEmbedding, UnifiedLLM, UnifiedRerank

OPERATOR = "sk-of-the-operator-0123456789"
TENANT = "sk-of-tenant-seven-0123456789"
GATEWAY = "https://gateway.example/v1"

CALLS: dict[type[TargetFields], Callable[[Any], Any]] = {
    ChatUnified: lambda model: model.invoke("Hello?"),
    UnifiedEmbeddings: lambda model: model.embed_query("Hello?"),
    UnifiedLLM: lambda model: model.complete("Hello?"),
    UnifiedEmbedding: lambda model: model.get_text_embedding("Hello?"),
    UnifiedRerank: lambda model: model.postprocess_nodes([NodeWithScore(node=TextNode(text="a"))], query_str="Hello?"),
}
CLASSES = pytest.mark.parametrize("cls", CALLS, ids=lambda cls: cls.__name__)
MODEL = "cohere/a-model"

Change = Callable[[Any, dict[str, Any]], Any]


def _set(model: Any, fields: dict[str, Any]) -> Any:
    for name, value in fields.items():
        setattr(model, name, value)
    return model


CHANGES: dict[str, Change] = {
    "setattr": _set,
    "setattr of a copy": lambda model, fields: _set(copy.copy(model), fields),
    "setattr of a deep copy": lambda model, fields: _set(copy.deepcopy(model), fields),
    "setattr of a pickle": lambda model, fields: _set(pickle.loads(pickle.dumps(model)), fields),  # noqa: S301 - our own
    "model_copy": lambda model, fields: model.model_copy(update=fields),
    "model_copy deep": lambda model, fields: model.model_copy(update=fields, deep=True),
    "copy": lambda model, fields: model.copy(update=fields),
    "replace": lambda model, fields: model.__replace__(**fields),
    "model_construct": lambda model, fields: type(model).model_construct(**{"model": MODEL, **fields}),
    "construct": lambda model, fields: type(model).construct(**{"model": MODEL, **fields}),
}
EVERY_CHANGE = pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)


@pytest.fixture(autouse=True)
def _operator(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CO_API_KEY", OPERATOR)


@CLASSES
@EVERY_CHANGE
def test_a_changed_setting_is_used(cls: type[TargetFields], change: Change) -> None:
    requests = SentRequests()
    with requests.running():
        for key in (TENANT, SecretStr(TENANT), Secret(TENANT, "a test")):
            model: Any = cls(model=MODEL)
            fields = {"api_key": key, "base_url": GATEWAY, "default_headers": {"x-team": "one"}}
            changed = change(model, fields | {"extra_body": {"a": 1}})
            CALLS[cls](changed)
        CALLS[cls](cls(model=MODEL))
    *changed_requests, unchanged = requests.sent
    for sent in changed_requests:
        assert sent.headers["authorization"] == f"Bearer {TENANT}"
        assert sent.headers["x-team"] == "one"
        assert sent.url.startswith("https://gateway.example/")
        assert sent.body["a"] == 1
    assert unchanged.headers["authorization"] == f"Bearer {OPERATOR}"


WRONG: list[dict[str, Any]] = [
    {"api_key": "sk\n"},
    {"api_key": ""},
    {"api_key": b"sk-as-bytes"},
    {"api_key": 5},
    {"timeout": -5},
    {"max_retries": "many"},
    {"default_headers": {"Authorization": "Bearer z"}},
    {"default_headers": {"host": "h"}},
    {"default_headers": ["a"]},
    {"base_url": "http://metadata.google.internal"},
    {"model": "cohere/../x"},
    {"api_version": "../x"},
    {"deadline": -1},
    {"failover_on": {"no such kind": True}},
    {"fallbacks": [{"model": "openai/x", "api_key": "sk\n"}]},
]


@CLASSES
@EVERY_CHANGE
def test_a_change_that_makes_no_sense_is_refused(cls: type[TargetFields], change: Change) -> None:
    requests = SentRequests()
    with requests.running():
        for wrong in some(WRONG, 3, [*CHANGES.values()].index(change)):  # each with some of the changes
            with pytest.raises(ConfigurationError):
                CALLS[cls](change(cls(model=MODEL), wrong))
    assert requests.sent == []


@CLASSES
@pytest.mark.parametrize("way", ["model_copy", "copy", "replace", "model_construct"])
def test_a_copy_finds_the_mistake_when_it_is_made(cls: type[TargetFields], way: str) -> None:
    model = cls(model=MODEL)
    for wrong in ({"api_key": "sk\n"}, {"timeout": -5}, {"default_headers": {"Authorization": "x"}}, {"modle": "x"}):
        with pytest.raises(ConfigurationError):
            CHANGES[way](model, wrong)


@CLASSES
def test_settings_that_are_mappings_cannot_be_changed_in_place(cls: type[TargetFields]) -> None:
    headers, body = {"x-team": "one"}, {"options": {"a": 1}}
    model: Any = cls(model=MODEL, default_headers=headers, extra_body=body)
    model.failover_on = {"filter": True}
    headers["Authorization"] = "Bearer z"
    body["options"]["a"] = 2
    assert model.default_headers == {"x-team": "one"}
    assert model.extra_body == {"options": {"a": 1}}
    names = [name for name in ("model_kwargs", "additional_kwargs") if name in cls.model_fields]
    for mapping in (
        model.default_headers,
        model.extra_body,
        model.failover_on,
        *(getattr(model, name) for name in names),
    ):
        with pytest.raises(TypeError, match="read-only"):
            mapping["Authorization"] = "Bearer z"
    model.default_headers = headers = {"x-team": "two"}
    headers["Authorization"] = "Bearer z"
    requests = SentRequests()
    with requests.running():
        CALLS[cls](model)
    assert requests.sent[0].headers["x-team"] == "two"
    assert requests.sent[0].headers["authorization"] == f"Bearer {OPERATOR}"


def test_configurable_fields_are_used() -> None:
    model = ChatUnified(model=MODEL).configurable_fields(
        api_key=ConfigurableField("key"), default_headers=ConfigurableField("headers")
    )
    requests = SentRequests()
    with requests.running():
        model.with_config(configurable={"key": TENANT, "headers": {"x-team": "one"}}).invoke("Hello?")
        with pytest.raises(ConfigurationError):
            model.with_config(configurable={"headers": {"Authorization": "x"}}).invoke("Hello?")
    assert [(sent.headers["authorization"], sent.headers["x-team"]) for sent in requests.sent] == [
        (f"Bearer {TENANT}", "one")
    ]
