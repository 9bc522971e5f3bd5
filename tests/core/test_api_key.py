"""API keys: validation, hiding, fingerprints; and names that could be keys."""

from __future__ import annotations

import copy
import pickle
import traceback
from typing import Any

import pytest
from pydantic import SecretStr

from tests.support.each import each
from unified_llm._core.api_key import Secret
from unified_llm._core.redaction import hide_keys, quoted
from unified_llm.exceptions import ConfigurationError

KEY = "sk-CANARY-0123456789"

# Case 61 of reliability.md: malformed keys, and what the message says is wrong.
MALFORMED = [
    ("", "is empty"),
    ("   ", "is empty"),
    (KEY + "\n", "line break"),
    (" " + KEY, "white space"),
    (KEY + "\r\nX-Evil: 1", "control character"),
    (KEY + " two", "a space"),
    (KEY + "\x00x", "control character"),
    ("\x7f" + KEY, "control character"),
    ("“" + KEY + "”", "curly quote"),
    (KEY + "\u2028x", "outside ASCII"),
    (KEY + "\ud800", "outside ASCII"),
    ("ключ-" + KEY, "outside ASCII"),
    (KEY * 500, "longer than 8192"),
    (KEY.encode(), "not bytes"),
    (12345, "not int"),
    ([KEY], "not list"),
]


@each(("value", "expected"), MALFORMED)
@pytest.mark.case(61)
def test_a_malformed_key_is_refused_without_being_repeated(value: Any, expected: str) -> None:
    with pytest.raises(ConfigurationError) as refused:
        Secret(value, "api_key=")
    message = str(refused.value)
    assert expected in message
    assert message.startswith("The key from api_key= ")
    assert "CANARY" not in message
    assert "12345" not in message
    assert refused.value.__context__ is None


def test_the_message_names_the_source_of_a_bad_key() -> None:
    with pytest.raises(ConfigurationError, match="The key from the environment variable OPENAI_API_KEY is empty"):
        Secret("", "the environment variable OPENAI_API_KEY")


def test_the_longest_key_is_still_one() -> None:
    assert len(Secret("k" * 8192, "api_key=").reveal()) == 8192


def test_a_secret_shows_itself_to_reveal_alone() -> None:
    secret = Secret(KEY, "api_key=")
    assert secret.reveal() == KEY
    for shown in (repr(secret), str(secret), f"{secret}", f"{secret!s:>20}", repr([secret]), repr({"key": secret})):
        assert "CANARY" not in shown
        assert "Secret('***')" in shown


def test_a_secret_has_no_dictionary_to_print() -> None:
    assert not hasattr(Secret(KEY, "api_key="), "__dict__")


@each("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_a_secret_is_never_pickled(protocol: int) -> None:
    with pytest.raises(TypeError, match="never pickled"):
        pickle.dumps(Secret(KEY, "api_key="), protocol)


def test_a_copy_of_a_secret_is_the_secret_itself() -> None:
    secret = Secret(KEY, "api_key=")
    assert copy.copy(secret) is secret
    assert copy.deepcopy({"inside": [secret]})["inside"][0] is secret


def test_secrets_are_equal_when_their_keys_are() -> None:
    one, same, other = Secret(KEY, "api_key="), Secret(KEY, "elsewhere"), Secret(KEY + "x", "api_key=")
    assert one == same
    assert hash(one) == hash(same)
    assert one != other
    assert one != KEY
    assert len({one, same, other}) == 2


def test_fingerprints_tell_keys_apart_and_hold_nothing_of_them() -> None:
    one, same, other = Secret(KEY, "a"), Secret(KEY, "b"), Secret(KEY + "x", "a")
    assert one.fingerprint == same.fingerprint != other.fingerprint
    assert not any(KEY[i : i + 6] in one.fingerprint for i in range(len(KEY) - 6))


def test_a_key_among_arguments_is_replaced_in_place() -> None:
    arguments: dict[str, Any] = {"model": "openai/gpt-5-mini", "api_key": KEY}
    hide_keys(arguments)
    assert arguments["api_key"] == Secret(KEY, "api_key=")
    before = arguments["api_key"]
    hide_keys(arguments)
    assert arguments["api_key"] is before


def test_a_key_in_a_secret_of_pydantic_is_opened() -> None:
    arguments: dict[str, Any] = {"api_key": SecretStr(KEY)}
    hide_keys(arguments)
    assert arguments["api_key"].reveal() == KEY


@pytest.mark.parametrize("arguments", [{}, {"api_key": None}])
def test_no_key_stays_no_key(arguments: dict[str, Any]) -> None:
    before = dict(arguments)
    hide_keys(arguments)
    assert arguments == before


@pytest.mark.case(67)
def test_a_malformed_key_is_in_no_variable_of_the_traceback() -> None:
    def make(**arguments: Any) -> None:
        hide_keys(arguments)

    with pytest.raises(ConfigurationError) as refused:
        make(api_key=f"{KEY}\n")
    report = "".join(traceback.TracebackException.from_exception(refused.value, capture_locals=True).format())
    assert "in hide" in report
    assert "arguments = {}" in report
    assert "CANARY" not in report


@each(
    "text",
    [
        "sk-CANARY0123456789",
        "sk-proj-CANARY_0123456789abcdef",
        "sk-ant-api03-CANARY0123456789",
        "gsk_CANARY0123456789",
        "hf_CANARY0123456789",
        "xai-CANARY0123456789",
        "nvapi-CANARY0123456789",
        "pplx-CANARY0123456789",
        "AIzaCANARY0123456789",
        "AIza",
        "0123456789CANARY0123456789abcdef",
        "0123456789CANARY0123456789abcdef/model",
        "name\nCANARY",
        "CANARY " * 20,
    ],
)
def test_what_could_be_a_key_is_not_quoted(text: str) -> None:
    assert quoted(text) == "that name"


@each(
    "text",
    ["gpt-5-mini", "opnai/gpt-5-mini", "foo/bar", "claude-haiku-4-5-20251001", "meta-llama/llama-3.1-8b-instruct"],
)
def test_a_name_is_quoted(text: str) -> None:
    assert quoted(text) == repr(text)
