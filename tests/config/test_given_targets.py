"""What users give in place of a model string, of a list of fallbacks or of a number of seconds, on every surface."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest
from pydantic import AnyHttpUrl

from tests.support.each import each
from tests.support.langchain_models import Plain
from unified_llm import BreakerConfig, LLMClient, LLMConfig, configure
from unified_llm.exceptions import ConfigurationError, ValidationError
from unified_llm.langchain import ChatUnified, UnifiedEmbeddings
from unified_llm.llama_index import UnifiedEmbedding, UnifiedLLM, UnifiedRerank

MODEL, OTHER = "ollama/nomic-embed-text", "lmstudio/nomic-embed-text"
KEY = "sk-MISPLACED-0123456789abcdef"
ADAPTERS: tuple[Callable[..., Any], ...] = (ChatUnified, UnifiedLLM, UnifiedEmbeddings, UnifiedEmbedding, UnifiedRerank)
SURFACES: tuple[Callable[..., Any], ...] = (LLMClient, *ADAPTERS)


def names_of(made: Any) -> list[str]:
    return [target.name for target in (made if isinstance(made, LLMClient) else made.client).targets]


# Fallbacks


@each("surface", SURFACES)
def test_fallbacks_are_read_from_anything_that_has_an_order(surface: Callable[..., Any]) -> None:
    for given in ([OTHER], (OTHER,), iter([OTHER]), (name for name in [OTHER]), map(str, [OTHER]), [{"model": OTHER}]):
        assert names_of(surface(MODEL, fallbacks=given)) == [MODEL, OTHER]
    assert names_of(surface(MODEL, fallbacks=None)) == names_of(surface(MODEL, fallbacks=[])) == [MODEL]


WRONG_LISTS: list[tuple[Any, str]] = [
    (OTHER, f"got a string: write fallbacks=['{OTHER}']"),
    (KEY, "got a string: write fallbacks=[...]"),
    ({"model": OTHER}, "got dict: write fallbacks=[...], with brackets around it"),
    ({OTHER}, "got a set, which has no order: write a list"),
    (frozenset({OTHER}), "got a set, which has no order: write a list"),
    (LLMConfig(model=OTHER), "got LLMConfig: write fallbacks=[...], with brackets around it"),
    (LLMConfig, "got the class LLMConfig"),
    (OTHER.encode(), "got bytes."),
    (5, "got int."),
    (True, "got bool."),
    (Path("x"), "got PosixPath"),
]


@each(("given", "expected"), WRONG_LISTS)
def test_what_is_no_list_of_fallbacks_is_named(given: Any, expected: str) -> None:
    for surface in (*SURFACES, LLMConfig):
        with pytest.raises(ConfigurationError) as refused:
            surface(**{"config" if surface is LLMClient else "model": MODEL}, fallbacks=given)
        assert f"fallbacks is a list of model strings, mappings or LLMConfig, and {expected}" in str(refused.value)
        assert "MISPLACED" not in str(refused.value)


WRONG_ITEMS: list[tuple[Any, str]] = [
    (None, "not None: leave it out"),
    (5, "not int."),
    ([OTHER], "not a list: write one model after the other"),
    (LLMConfig, "not the class LLMConfig: make an object of it"),
    (LLMClient("mlx/demo"), "not LLMClient, an object of this package: pass its model string"),
    (httpx.Client, "not the class Client"),
    (OTHER.encode(), "not bytes."),
]


@each(("item", "expected"), WRONG_ITEMS)
def test_what_is_no_fallback_is_named(item: Any, expected: str) -> None:
    for surface in SURFACES:
        with pytest.raises(ConfigurationError) as refused:
            surface(MODEL, fallbacks=[item])
        assert expected in str(refused.value)


def test_embeddings_of_a_framework_and_other_values_of_options_are_named() -> None:
    class Embeddings:
        """Stands for LangChain's class, which is recognised by its name."""

    for surface in (SURFACES[0], SURFACES[3]):
        with pytest.raises(ConfigurationError, match="embeddings of a framework are no target; write a model string"):
            surface(MODEL, fallbacks=[Embeddings()])
    with pytest.raises(ConfigurationError, match="skip_unconfigured must be True or False, not str"):
        SURFACES[0](MODEL, skip_unconfigured="no")
    for surface in SURFACES:
        with pytest.raises(ConfigurationError, match=r"breaker must be a BreakerConfig\(\.\.\.\)"):
            surface(MODEL, breaker=3)


# The first target of a client

WRONG_FIRST: list[tuple[Any, str]] = [
    ([MODEL, OTHER], "not from a list: write one model after the other, the first as model= and the others"),
    ((MODEL,), "not from a tuple: write one model"),
    (5, "not from int."),
    (MODEL.encode(), "not from bytes."),
    (LLMConfig, "not from the class LLMConfig: make an object of it"),
    (LLMClient("mlx/demo"), "not from LLMClient, an object of this package"),
    (ChatUnified(model="mlx/demo"), "not from ChatUnified, an object of this package"),
    (Plain(), "an object of LangChain: a chat model goes into unified_llm.langchain.ChatUnified"),
    (Path("model"), "a path: write a model string; a local model is 'mlx/<folder>'"),
]


@each(("given", "expected"), WRONG_FIRST)
def test_what_no_client_is_made_from_is_named_with_where_it_goes(given: Any, expected: str) -> None:
    with pytest.raises(ConfigurationError) as refused:
        LLMClient(given)
    assert expected in str(refused.value)


@each("surface", SURFACES)
def test_a_model_that_is_given_twice_is_refused(surface: Callable[..., Any]) -> None:
    with pytest.raises(ConfigurationError, match="model is given twice"):
        surface(MODEL, model=OTHER)


@each("surface", SURFACES)
def test_the_address_may_be_a_url_object(surface: Callable[..., Any]) -> None:
    address = "http://127.0.0.1:9"
    for url in (httpx.URL(address), AnyHttpUrl(address)):
        made = surface(MODEL, base_url=url)
        assert (made if isinstance(made, LLMClient) else made.client).targets[0].base_url == f"{address}/v1"
    with pytest.raises(ConfigurationError, match="holds a user name or password"):
        surface(MODEL, base_url=httpx.URL("https://user:pw@h.example"))
    with pytest.raises(ConfigurationError, match="base_url must be a string"):
        surface(MODEL, base_url=5)


@each("surface", (LLMConfig, *ADAPTERS))
def test_a_model_that_is_no_string_is_named(surface: Callable[..., Any]) -> None:
    for given, expected in ((5, "not int."), (b"x", "not bytes."), ([MODEL], "not a list: write one model after")):
        for make in (partial(surface, model=given), partial(LLMClient, MODEL, fallbacks=[{"model": given}])):
            with pytest.raises(ConfigurationError, match="model must be a string") as refused:
                make()
            assert expected in str(refused.value)


@each("surface", SURFACES)
def test_what_is_copied_around_the_name_of_a_model_is_left_out_of_the_suggestion(surface: Callable[..., Any]) -> None:
    for given in (f" {MODEL} ", f"{MODEL}\n", f"\t{MODEL}\r\n", f"'{MODEL}'", f'"{MODEL}"'):
        for make in (partial(surface, given), partial(surface, MODEL, fallbacks=[given])):
            with pytest.raises(ConfigurationError, match=f"did you mean '{MODEL}'"):
                make()
    with pytest.raises(ConfigurationError, match="is not printable"):
        surface("ollama/a\nb")


# None stands for the default


@each("surface", (LLMClient, LLMConfig, *ADAPTERS))
def test_none_stands_for_the_default_of_every_setting(surface: Callable[..., Any]) -> None:
    first = {"config" if surface is LLMClient else "model": MODEL}
    known = getattr(surface, "model_fields", LLMConfig.model_fields).keys() & LLMConfig.model_fields.keys()
    for name in known - {"model", "name"}:
        if surface in ADAPTERS and name in {"batch_size", "callbacks"}:
            continue
        surface(**first, **{name: None})
    made = LLMConfig(**dict.fromkeys(LLMConfig.model_fields))
    assert made == LLMConfig()
    assert made.verify_ssl is True


@each("surface", (LLMConfig, *ADAPTERS))
def test_how_certificates_are_checked_is_a_flag_a_path_or_a_context(surface: Callable[..., Any]) -> None:
    assert surface(model=MODEL, verify_ssl=Path("certificates.pem")).verify_ssl == "certificates.pem"
    with pytest.raises(ConfigurationError, match=r"^verify_ssl must be True, False, the path .* not int\.$"):
        surface(model=MODEL, verify_ssl=5)


# Seconds

WRONG_SECONDS: list[tuple[Any, str]] = [
    ("10", "must be a number of seconds, not text: write 10 without quotes"),
    ("2.5", "must be a number of seconds, not text: write 2.5 without quotes"),
    (" 10 ", "must be a number of seconds, not text: write 10 without quotes"),
    ("10s", "must be a number of seconds, not text."),
    (KEY, "must be a number of seconds, not text."),
    (b"10", "must be a number of seconds, not text: write 10"),
    (True, "must be a number of seconds, not True"),
    (httpx.Timeout(5), "not Timeout: timeout= limits an attempt, connect_timeout= each step of connecting"),
    ((3, 10), "not tuple: timeout= limits an attempt"),
    ([10], "not list: timeout= limits an attempt"),
    ({"read": 5}, "must be a number of seconds, not dict"),
    (timedelta(seconds=5), "not timedelta: pass its total_seconds()"),
    (float("nan"), "must be a finite number of seconds"),
    (float("-inf"), "must be a finite number of seconds"),
    (0, "must be greater than 0 seconds"),
    (0.0, "must be greater than 0 seconds"),
    (-1, "must be greater than 0 seconds"),
]


@each(("value", "expected"), WRONG_SECONDS)
def test_a_time_that_is_no_number_of_seconds_is_refused_in_the_same_words_everywhere(value: Any, expected: str) -> None:
    def refused_by(call: Callable[[], object]) -> str:
        with pytest.raises((ConfigurationError, ValidationError)) as refused:
            call()
        return str(refused.value)

    client = LLMClient(MODEL)
    messages = [
        refused_by(lambda: LLMConfig(model=MODEL, timeout=value)),
        refused_by(lambda: LLMClient(MODEL, connect_timeout=value)),
        refused_by(lambda: LLMClient(MODEL, deadline=value)),
        refused_by(lambda: LLMClient(MODEL, hedge_after=value)),
        refused_by(lambda: client.stream("Hello", timeout=value)),
        refused_by(lambda: client.astream("Hello", deadline=value)),
        refused_by(lambda: ChatUnified(model=MODEL).invoke("Hello", timeout=value)),
        refused_by(lambda: UnifiedLLM(model=MODEL).complete("Hello", timeout=value)),
        refused_by(lambda: client.warm(timeout=value)),
        refused_by(lambda: configure(timeout=value)),
        refused_by(lambda: BreakerConfig(window=value)),
        *(refused_by(partial(made, MODEL, request_timeout=value)) for made in ADAPTERS),
        *(refused_by(partial(made, MODEL, deadline=value)) for made in ADAPTERS),
        refused_by(lambda: ChatUnified(model=MODEL, hedge_after=value)),
        refused_by(lambda: UnifiedLLM(model=MODEL, hedge_after=value)),
    ]
    assert [message for message in messages if expected.rstrip(".") not in message] == []
    assert not any("MISPLACED" in message or "wrong" in message for message in messages)


@each("value", [5, 5.0, Decimal(5), Fraction(5)])
def test_any_kind_of_number_is_a_time(value: Any) -> None:
    for made in (LLMClient(MODEL, timeout=value), *(adapter(MODEL, timeout=value).client for adapter in ADAPTERS)):
        assert made.targets[0].timing.whole == 5.0
    configure(timeout=value)
    assert LLMClient(MODEL).targets[0].timing.whole == 5.0


def test_a_wait_may_be_zero() -> None:
    assert LLMClient(MODEL, retry_delay=0).targets[0].retry.delay == 0
    with pytest.raises(ConfigurationError, match="retry_delay must be a number of seconds, 0 or greater"):
        ChatUnified(model=MODEL, retry_delay=-1)
    with pytest.raises(ConfigurationError, match="cache_ttl must be a number of seconds, not text"):
        ADAPTERS[1](MODEL, cache_ttl="300")


# failover_on


@each("surface", ADAPTERS)
def test_rules_of_failover_are_checked_alike_by_the_adapters(surface: Callable[..., Any]) -> None:
    for given, expected in (
        ({429: True}, "failover_on has no kind of failure 429: HTTP 429 is 'rate_limit'"),
        ({"rate_limt": True}, "failover_on has no kind of failure 'rate_limt': did you mean 'rate_limit'"),
        (["rate_limit"], "got list: write failover_on={'rate_limit': True}"),
    ):
        with pytest.raises(ConfigurationError) as refused:
            surface(MODEL, failover_on=given)
        assert expected in str(refused.value)
