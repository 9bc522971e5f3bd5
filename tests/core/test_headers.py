"""Headers of requests: what a configuration refuses, the HTTP backend does not send."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.each import each
from unified_llm import LLMConfig
from unified_llm._backends.http.request import prepare_request
from unified_llm._core import headers
from unified_llm._core.codec import WireRequest
from unified_llm._core.outcome import Failure
from unified_llm.exceptions import ConfigurationError

URL = "https://api.example/v1"

NAMES: list[Any] = ["", " ", "a b", "a:b", "näme", "x\n", "x\r\nEvil: 1", "x\x00", 5, None]
VALUES: list[Any] = [" a", "a ", "a\n", "a\r\nEvil: 1", "a\x00", "a\tb", "ä", "“a”", "a\x7f", 5, None]


def sent(name: str, value: str) -> dict[str, str] | str | None:
    """The headers that are sent, or what is wrong with this one."""
    prepared = prepare_request(WireRequest("POST", URL, [(name, value)], b"{}"), stream=False)
    if isinstance(prepared, Failure):
        return prepared.detail
    return dict(prepared[1].headers)


@each("name", NAMES)
def test_a_name_that_http_cannot_carry_is_refused_and_never_sent(name: Any) -> None:
    assert not headers.is_name(name)
    with pytest.raises(ConfigurationError, match="no header name"):
        LLMConfig(default_headers={name: "v"})
    if isinstance(name, str):
        assert sent(name, "v") == "The name of a header is not valid in HTTP."


@each("value", VALUES)
def test_a_value_that_http_cannot_carry_is_refused_and_never_sent(value: Any) -> None:
    assert not headers.is_value(value)
    with pytest.raises(ConfigurationError, match="The value of the header x-team"):
        LLMConfig(default_headers={"x-team": value})
    if isinstance(value, str):
        assert sent("x-team", value) == "The value of the header x-team is not valid in HTTP."


@each("value", ["", "a", "a b  c", "!~", "Bearer of news"])
def test_other_headers_are_sent_as_they_are(value: str) -> None:
    assert LLMConfig(default_headers={"X-Team": value}).default_headers == {"X-Team": value}
    answer = sent("X-Team", value)
    assert isinstance(answer, dict)
    assert answer["x-team"] == value


@each("name", sorted(headers.OF_THE_CONNECTION))
def test_a_header_of_the_connection_is_refused_and_never_sent(name: str) -> None:
    with pytest.raises(ConfigurationError, match=f"must not set {name.title()}"):
        LLMConfig(default_headers={name.title(): "x-evil"})
    answer = sent(name.title(), "x-evil")
    assert isinstance(answer, dict)
    assert "x-evil" not in answer.values()


def test_only_a_format_sets_the_type_of_a_body() -> None:
    with pytest.raises(ConfigurationError, match="must not set Content-Type"):
        LLMConfig(default_headers={"Content-Type": "text/plain"})
    answer = sent("content-type", "multipart/form-data")
    assert isinstance(answer, dict)
    assert answer["content-type"] == "multipart/form-data"
