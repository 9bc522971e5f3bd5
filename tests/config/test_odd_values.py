"""Values of any type for any setting: used, or refused in one sentence that names the setting and not the value."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.support.each import each
from tests.support.sent_requests import SentRequests
from unified_llm import LLMClient, LLMConfig, configure, register_provider
from unified_llm.exceptions import ConfigurationError, ValidationError
from unified_llm.langchain import ChatUnified
from unified_llm.llama_index import UnifiedLLM
from unified_llm.testing import outage

MODEL = {"model": "openai/gpt-4o", "api_key": "sk-canary-odd-values"}
# Whose values are names, or paths of files, which are repeated.
NAMES = {"model", "provider", "api", "fallbacks", "default_headers", "client_cert"}


class Unprintable:
    def __repr__(self) -> str:
        raise AssertionError("was asked for its repr")

    __str__ = __repr__


VALUES: list[Any] = [
    "CANARY", b"CANARY", b"\xff", "\ud800", ["CANARY"], {"CANARY": 1}, {"CANARY"}, 5, -1, True, 1.5, float("nan"),
    10**400, object(), Unprintable(), Unprintable, print, ValueError("CANARY"), Path("CANARY"), timedelta(seconds=3),
    Decimal(3), [None], iter(["CANARY"]), (), range(2), memoryview(b"x"),
]  # fmt: skip
VAGUE = ("wrong value", "function-", "is-instance", "unified_llm.")


def problem_with(call: Callable[[], object]) -> str:
    """Return what is said of a value; nothing if it was used."""
    try:
        call()
    except (ConfigurationError, ValidationError) as error:
        return str(error)
    return ""


@each("surface", (LLMConfig, ChatUnified, UnifiedLLM))
def test_a_setting_of_any_type_is_used_or_refused_in_one_sentence(surface: Callable[..., Any]) -> None:
    for name in LLMConfig.model_fields.keys() & getattr(surface, "model_fields", {}).keys():
        for value in VALUES if surface is LLMConfig else VALUES[:6]:
            if name == "callbacks":
                continue
            problem = problem_with(partial(surface, **{**MODEL, name: value}))
            assert not any(words in problem for words in VAGUE), (name, problem)
            assert name in NAMES or "CANARY" not in re.sub(r"(breaker|mlx)\.CANARY is no field", "", problem), problem
            assert len(problem) < 700, problem


@each("name", ["timeout", "deadline", "tool_choice", "max_tokens", "temperature", "stop", "extra_body", "failover_on"])
def test_so_is_an_argument_of_a_call(name: str) -> None:
    client, chat, llm = LLMClient(MODEL), ChatUnified(**MODEL), UnifiedLLM(**MODEL)  # type: ignore[arg-type]
    with SentRequests().running():
        for value in VALUES:
            for call in (client.generate, chat.invoke, llm.complete):
                problem = problem_with(partial(call, "Hello?", **{name: value}))
                assert not any(words in problem for words in VAGUE), problem
                assert "CANARY" not in problem or name in {"tool_choice", "failover_on"}, problem


def test_so_are_the_arguments_of_functions() -> None:
    for value in VALUES:
        for call in (
            partial(register_provider, "odd", base_url=value),
            partial(register_provider, "odd", base_url="http://localhost:9", features=value),
            partial(register_provider, "odd", base_url="http://localhost:9", api_key_env=value),
            partial(outage, value),
            partial(outage, "openai", value),
            partial(configure, timeout=value),
        ):
            assert not any(words in problem_with(call) for words in VAGUE)
    configure(timeout=None)


def test_each_says_what_it_must_be() -> None:
    for fields, expected in (
        ({"reasoning_format": "all"}, "reasoning_format must be 'parsed', 'raw' or 'hidden'."),
        ({"temperature": True}, "temperature must be a number, not True or False."),
        ({"timeout": 10**400}, "timeout must be a finite number of seconds."),
        ({"breaker": {"failure": 3}}, "breaker.failure is no field."),
        ({"temperature": "\ud800"}, "temperature has characters that are no valid text."),
    ):
        with pytest.raises(ConfigurationError) as refused:
            LLMConfig(**fields)
        assert str(refused.value) == expected
    assert LLMConfig(timeout=int(sys.float_info.max)).timeout
    with pytest.raises(ConfigurationError, match=r"base_url= must be a string, not int\."):
        register_provider("odd", base_url=5)  # type: ignore[arg-type]
    with pytest.raises(ConfigurationError, match="features= has no field 'tolls': did you mean 'tools'"):
        register_provider("odd", base_url="http://localhost:9", features=["tolls"])
    with pytest.raises(ConfigurationError, match="features= has no field 'xyz': known are tools, "):
        register_provider("odd", base_url="http://localhost:9", features=["xyz"])
    with pytest.raises(ConfigurationError, match="has no kind 503: did you mean '503'"):
        outage("openai", 503)  # type: ignore[arg-type]
    with pytest.raises(ConfigurationError, match="Name the targets that fail"):
        outage(5)  # type: ignore[arg-type]
