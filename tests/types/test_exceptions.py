from __future__ import annotations

import builtins
import copy
import inspect
import pickle
from typing import Any

import pytest

from tests.support.each import each
from unified_llm import exceptions as exc
from unified_llm.types import Attempt, Usage

FACTS: dict[str, Any] = {
    "provider": "openai",
    "model": "gpt-5-mini",
    "status_code": 503,
    "request_id": "req-1",
    "code": "overloaded",
    "detail": "CANARY of the provider",
    "attempts": [Attempt("openai/gpt-5-mini", "server", 503)],
}
KINDS = [getattr(exc, name) for name in exc.__all__]


@each("kind", KINDS)
def test_every_error_carries_what_is_known(kind: type[exc.LLMError]) -> None:
    error = kind("openai/gpt-5-mini: it failed.", **FACTS)
    assert str(error) == "openai/gpt-5-mini: it failed."
    assert error.args == ("openai/gpt-5-mini: it failed.",)
    assert (error.provider, error.model, error.status_code) == ("openai", "gpt-5-mini", 503)
    assert (error.request_id, error.code, error.detail) == ("req-1", "overloaded", "CANARY of the provider")
    assert error.attempts == (Attempt("openai/gpt-5-mini", "server", 503),)


@each("kind", KINDS)
def test_every_error_can_be_made_from_a_message_alone(kind: type[exc.LLMError]) -> None:
    error = kind("It failed.")
    assert error.attempts == ()
    assert (error.provider, error.status_code, error.detail) == (None, None, None)


@each("kind", KINDS)
@each("protocol", [0, pickle.HIGHEST_PROTOCOL])
def test_an_error_is_pickled_without_the_message_of_the_provider(kind: type[exc.LLMError], protocol: int) -> None:
    error = kind("It failed.", **FACTS)
    error.__cause__ = ValueError("CANARY")
    error.raw = "CANARY"  # type: ignore[attr-defined]
    data = pickle.dumps(error, protocol)
    assert b"CANARY" not in data
    again = pickle.loads(data)  # noqa: S301 - our own
    assert type(again) is kind
    assert str(again) == "It failed."
    assert again.detail is None
    assert (again.status_code, again.attempts) == (503, error.attempts)


def test_what_had_arrived_of_a_stream_is_kept_but_not_pickled() -> None:
    error = exc.StreamInterruptedError("It broke.", partial="CANARY", usage=Usage(1, 2, 3), **FACTS)
    assert error.partial == "CANARY"
    again = pickle.loads(pickle.dumps(error))  # noqa: S301
    assert again.partial == ""
    assert again.usage == Usage(1, 2, 3)


def test_the_error_of_each_target_travels_along() -> None:
    inner = exc.RateLimitError("Too many.", **FACTS)
    inner.retry_after = 2.5
    error = exc.AllTargetsFailedError("None of 2 targets answered.", errors=[inner, exc.LLMError("x")], **FACTS)
    data = pickle.dumps(error)
    assert b"CANARY" not in data
    first, second = pickle.loads(data).errors  # noqa: S301
    assert (type(first), str(first), first.retry_after, first.detail) == (exc.RateLimitError, "Too many.", 2.5, None)
    assert type(second) is exc.LLMError


def test_errors_can_be_copied() -> None:
    error = copy.copy(exc.TimeoutError("Too late.", **FACTS))
    assert (str(error), error.provider) == ("Too late.", "openai")


def test_a_rate_limit_without_a_hint_has_none() -> None:
    assert exc.RateLimitError("Too many.").retry_after is None


@pytest.mark.parametrize("name", ["ConnectionError", "TimeoutError"])
def test_errors_with_the_name_of_a_builtin_are_that_builtin_too(name: str) -> None:
    kind = getattr(exc, name)
    assert issubclass(kind, getattr(builtins, name))
    assert issubclass(kind, exc.LLMError)
    with pytest.raises(getattr(builtins, name)):
        raise kind("It failed.", provider="openai")


def test_the_tree_is_the_one_that_is_drawn() -> None:
    depth_of = {"LLMError": 0}
    drawing = (exc.__doc__ or "").splitlines()
    for line in drawing:
        if "─ " in line:
            branch, name = line.split("─ ", 1)
            depth_of[name.split()[0]] = 2 if branch.strip().startswith("│") else 1
    assert set(depth_of) == set(exc.__all__)
    for name, depth in depth_of.items():
        kind = getattr(exc, name)
        assert sum(issubclass(each, exc.LLMError) for each in inspect.getmro(kind)) == depth + 1


def test_an_error_of_several_targets_is_no_exception_group() -> None:
    assert not issubclass(exc.AllTargetsFailedError, BaseExceptionGroup)
