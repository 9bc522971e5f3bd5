"""Errors in the shape of OpenAI's SDK: each is one of ours, of the family, and of the SDK where that is installed."""

from __future__ import annotations

import copy
import importlib.util
import json
import pickle
import re
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.support.each import each
from tests.support.openai_sdk import SDK
from unified_llm import exceptions as ours
from unified_llm import openai_style as family
from unified_llm.exceptions import LLMError
from unified_llm.openai_style import _errors
from unified_llm.types import Attempt


def translate(error: LLMError) -> Any:
    return _errors.translate(error)


BODY = json.dumps({"error": {"message": "words", "type": "requests", "param": "messages[0]", "code": None}})
TRIED = (Attempt("openai/gpt-5-mini", "tls"),)
SKIPPED = (Attempt("openai/gpt-5-mini", "skipped"),)


@each(
    ("error", "name", "status"),
    [
        (ours.AuthenticationError("x", status_code=401), "AuthenticationError", 401),
        (ours.AuthenticationError("x", status_code=400), "AuthenticationError", 400),
        (ours.PermissionDeniedError("x", status_code=403), "PermissionDeniedError", 403),
        (ours.QuotaExceededError("x", status_code=402), "RateLimitError", 402),
        (ours.RateLimitError("x", status_code=429), "RateLimitError", 429),
        (ours.RateLimitError("x"), "RateLimitError", 429),
        (ours.ModelNotFoundError("x", status_code=404), "NotFoundError", 404),
        (ours.ModelNotFoundError("x", status_code=200), "NotFoundError", 404),
        (ours.RateLimitError("x", status_code=200), "RateLimitError", 429),
        (ours.ConfigurationError("x", status_code=404, attempts=TRIED), "NotFoundError", 404),
        (ours.ConfigurationError("x", status_code=307, attempts=TRIED), "APIStatusError", 307),
        (ours.ConfigurationError("x", attempts=TRIED), "APIConnectionError", None),
        (ours.ConfigurationError("x", attempts=SKIPPED), "OpenAIError", None),
        (ours.UnconfiguredError("x"), "OpenAIError", None),
        (ours.BadRequestError("x", status_code=400), "BadRequestError", 400),
        (ours.BadRequestError("x", status_code=422), "UnprocessableEntityError", 422),
        (ours.BadRequestError("x", status_code=415), "APIStatusError", 415),
        (ours.ValidationError("x"), "BadRequestError", 400),
        (ours.ContextOverflowError("x", status_code=403), "BadRequestError", 403),
        (ours.ContentFilterError("x", status_code=400), "BadRequestError", 400),
        (ours.UnsupportedOperationError("x"), "BadRequestError", 400),
        (ours.ConnectionError("x"), "APIConnectionError", None),
        (ours.TimeoutError("x"), "APITimeoutError", None),
        (ours.TimeoutError("x", status_code=408), "APIStatusError", 408),
        (ours.ServiceUnavailableError("x", status_code=529), "InternalServerError", 529),
        (ours.ServiceUnavailableError("x", status_code=409), "ConflictError", 409),
        (ours.ServiceUnavailableError("x"), "InternalServerError", 500),
        (ours.GenerationError("x"), "APIResponseValidationError", None),
        (ours.StreamInterruptedError("x"), "APIError", None),
        (ours.AllTargetsFailedError("x"), "APIError", None),
        (LLMError("x"), "APIError", None),
    ],
)
def test_an_error_is_of_our_class_of_the_family_and_of_the_sdk(error: LLMError, name: str, status: int | None) -> None:
    translated = translate(error)
    assert type(translated).__name__ == name
    assert isinstance(translated, type(error))
    assert isinstance(translated, getattr(family, name))
    assert isinstance(translated, getattr(SDK, name))
    assert translated.status_code == status
    assert str(translated) == "x"
    assert translate(translated) is translated


def test_the_page_about_errors_has_both_names_of_each() -> None:
    page = (Path(__file__).parents[2] / "docs" / "errors.md").read_text(encoding="utf-8")
    table = page.partition("| `unified_llm.exceptions` | `unified_llm.openai_style` |\n|---|---|\n")[2].partition(
        "\n\n"
    )[0]
    rows = [[re.findall(r"`(\w+)`", cell) for cell in row.split(" | ")] for row in table.splitlines()]
    named = [name for names, _ in rows for name in names]
    assert sorted(named) == sorted(ours.__all__)
    for names, theirs in rows[1:-1]:
        assert {type(translate(getattr(ours, name)("x"))).__name__ for name in names} <= {*theirs, *names, "APIError"}


@each(
    ("provider", "status", "name"),
    [
        ("openai", 402, "APIStatusError"),
        ("deepseek", 402, "APIStatusError"),
        ("azure", 429, "RateLimitError"),
        ("anthropic", 402, "RateLimitError"),
        ("of-your-own", 402, "RateLimitError"),
    ],
)
def test_where_openais_api_is_spoken_the_status_decides_as_in_the_sdk(provider: str, status: int, name: str) -> None:
    error = ours.QuotaExceededError("x", provider=provider, status_code=status)
    assert type(translate(error)).__name__ == name


def test_an_error_has_the_attributes_that_programs_read() -> None:
    error = ours.RateLimitError(
        "openai/x: too many requests.",
        status_code=429,
        request_id="req_1",
        code="requests",
        detail="words",
        response_body=BODY,
        response_headers={"retry-after": "7"},
    )
    caught = translate(error)
    assert isinstance(caught, SDK.RateLimitError)
    assert caught.message == "openai/x: too many requests."
    assert (caught.code, caught.type, caught.param) == (None, "requests", "messages[0]")
    assert caught.body == json.loads(BODY)["error"]
    assert caught.request_id == "req_1"
    assert caught.request.method == "POST"
    response = caught.response
    assert (response.status_code, response.headers["Retry-After"]) == (429, "7")
    assert "X-Request-ID" in response.headers
    assert response.headers.get("X-Request-ID") == "req_1"
    assert response.headers.get("date") is None
    assert response.json() == json.loads(BODY)
    assert "words" not in repr(response)


@each(
    ("body", "expected"),
    [("<html>", "<html>"), ('{"detail": "x"}', {"detail": "x"}), ('["x"]', ["x"]), ("", None), (None, None)],
)
def test_a_body_of_any_shape_can_be_read(body: str | None, expected: object) -> None:
    error = ours.ServiceUnavailableError("x", status_code=502, code="bad_gateway", response_body=body)
    caught = translate(error)
    assert isinstance(caught, family.InternalServerError)
    assert caught.body == expected
    assert caught.code == "bad_gateway"


def test_several_failures_are_an_error_of_the_kind_of_the_first() -> None:
    first = ours.RateLimitError("a", status_code=429, response_body=BODY)
    second = ours.ServiceUnavailableError("b", status_code=503)
    caught = translate(ours.AllTargetsFailedError("both", errors=(first, second), status_code=503))
    assert issubclass(type(caught), SDK.RateLimitError)
    assert issubclass(type(caught), ours.AllTargetsFailedError)
    assert (caught.status_code, caught.type, str(caught)) == (429, "requests", "both")
    assert caught.errors == (first, second)


def test_a_broken_stream_is_an_error_of_the_kind_of_its_cause() -> None:
    error = ours.StreamInterruptedError("broke", partial="text so far")
    error.__cause__ = ours.TimeoutError("late")
    caught = translate(error)
    assert isinstance(caught, SDK.APITimeoutError)
    assert isinstance(caught, ours.StreamInterruptedError)
    assert caught.partial == "text so far"


@each("error", [ours.RateLimitError("x", status_code=429), ours.ConnectionError("x"), ours.UnconfiguredError("x")])
def test_errors_are_copied_and_pickled_without_texts(error: LLMError) -> None:
    error.response_body, error.detail, error.request_id = BODY, "words", "req_1"
    caught = translate(error)
    assert b"words" not in pickle.dumps(caught)
    for again in (pickle.loads(pickle.dumps(caught)), copy.copy(caught), copy.deepcopy(caught)):  # noqa: S301 - ours
        assert type(again) is type(caught)
        assert (str(again), again.status_code, again.body) == ("x", caught.status_code, None)
        if again.response:
            assert again.response.headers["x-request-id"] == "req_1"


def test_errors_of_a_parsed_response_keep_it_and_are_pickled_without_it() -> None:
    error = family.LengthFinishReasonError(completion="the response")
    assert error.completion == "the response"
    assert isinstance(error, SDK.LengthFinishReasonError)
    assert isinstance(error, ours.GenerationError)
    again = pickle.loads(pickle.dumps(error))  # noqa: S301 - ours
    assert type(again) is family.LengthFinishReasonError
    assert not hasattr(again, "completion")


def test_errors_can_be_made_by_tests_of_programs() -> None:
    class Response:
        status_code = 429
        headers = {"x-request-id": "req_1"}  # noqa: RUF012 - a stand-in
        request = None

    error = family.RateLimitError("slow down", response=Response(), body={"code": "a", "type": "b"})
    assert (error.status_code, error.request_id, error.code, error.type) == (429, "req_1", "a", "b")
    with pytest.raises(SDK.RateLimitError, match="slow down"):
        raise error


def test_the_family_does_without_the_sdk(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "openai", None)
    spec = importlib.util.find_spec("unified_llm.openai_style._errors")
    assert spec is not None
    assert spec.loader is not None
    without_sdk = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(without_sdk)
    caught = without_sdk.translate(ours.RateLimitError("x", status_code=429))
    assert isinstance(caught, without_sdk.RateLimitError)
    assert isinstance(caught, ours.RateLimitError)
    assert not isinstance(caught, SDK.OpenAIError)
