"""From failures to exceptions: their types, fields and messages, without the provider's text."""

from __future__ import annotations

import builtins
import pickle
from typing import get_args

import pytest

from tests.support.each import each
from tests.support.four_ways import CANARY, GPT, GROQ, HAIKU, PROVIDER_TEXT
from tests.support.scripted_targets import Attempt, ScriptedTargets
from unified_llm import LLMClient
from unified_llm import exceptions as exc
from unified_llm._client import errors
from unified_llm._core.outcome import Failure, FailureKind
from unified_llm._core.target import Target
from unified_llm._policy.call_state import CallFailed
from unified_llm.exceptions import AllTargetsFailedError, LLMError, RateLimitError

KINDS: dict[FailureKind, type[LLMError]] = {
    "connect": exc.ConnectionError,
    "tls": exc.ConfigurationError,
    "pool": exc.ConnectionError,
    "setup": exc.ConfigurationError,
    "unsendable": exc.ValidationError,
    "connection": exc.ConnectionError,
    "stale": exc.ConnectionError,
    "timeout": exc.TimeoutError,
    "auth": exc.AuthenticationError,
    "permission": exc.PermissionDeniedError,
    "quota": exc.QuotaExceededError,
    "rate_limit": exc.RateLimitError,
    "model_not_found": exc.ModelNotFoundError,
    "not_found": exc.ConfigurationError,
    "redirect": exc.ConfigurationError,
    "bad_request": exc.BadRequestError,
    "unsupported": exc.UnsupportedOperationError,
    "context": exc.ContextOverflowError,
    "too_large": exc.ContextOverflowError,
    "filter": exc.ContentFilterError,
    "conflict": exc.ServiceUnavailableError,
    "request_timeout": exc.TimeoutError,
    "server": exc.ServiceUnavailableError,
    "loading": exc.ServiceUnavailableError,
    "malformed": exc.GenerationError,
    "empty": exc.GenerationError,
    "truncated": exc.GenerationError,
    "invalid": exc.GenerationError,
    "oversized": exc.GenerationError,
}


def test_an_oversized_response_says_which_setting_to_raise() -> None:
    error = raised([GPT], {GPT: [Failure("oversized")]})
    assert "raise max_response_bytes= of this target" in str(error)
    targets = ScriptedTargets({GPT: [["Hel", Failure("oversized")]]})
    with targets.running(), pytest.raises(exc.StreamInterruptedError, match="raise max_response_bytes= of this target"):
        list(LLMClient(GPT).stream("Hello?"))


def raised(chain: list[str], script: dict[str, list[Attempt]]) -> LLMError:
    targets = ScriptedTargets(script)
    with targets.running(), pytest.raises(LLMError) as caught:
        LLMClient(chain[0], fallbacks=chain[1:], max_retries=0).generate("Hello?")
    assert targets.open == 0
    return caught.value


def test_every_kind_of_failure_has_an_exception() -> None:
    assert set(KINDS) == set(get_args(FailureKind))


@each("kind", KINDS)
def test_a_failure_is_raised_as_its_own_exception_with_its_facts(kind: FailureKind) -> None:
    failure = Failure(kind, 418, "some_code", None if kind == "unsendable" else CANARY, "req-9")
    error = raised([GPT], {GPT: [failure]})
    assert type(error) is KINDS[kind]
    assert (error.provider, error.model, error.status_code) == ("openai", "gpt-4o", 418)
    assert (error.request_id, error.code, error.detail) == ("req-9", "some_code", failure.detail)
    attempts = [(attempt.target, attempt.outcome, attempt.status) for attempt in error.attempts]
    assert attempts == [(GPT, "skipped" if kind == "unsendable" else kind, 418)] * (2 if kind == "stale" else 1)


@each("kind", KINDS)
def test_a_message_says_where_what_and_what_to_do_without_the_providers_text(kind: FailureKind) -> None:
    detail = "temperature is not a number." if kind == "unsendable" else CANARY
    error = raised([GPT], {GPT: [Failure(kind, 418, "some_code", detail, "req-9")]})
    text = str(error)
    assert text.startswith(f"{GPT}: ")
    assert "(HTTP 418, some_code, request req-9); " in text
    assert text.endswith(".")
    assert "\n" not in text
    assert CANARY not in text
    assert CANARY not in repr(error)
    assert ("temperature is not a number" in text) == (kind == "unsendable")


def test_a_message_without_facts_has_no_empty_brackets() -> None:
    assert "(" not in str(raised([GPT], {GPT: [Failure("connect")]}))


@each(
    ("detail", "message"),
    [
        ("The model wants Python code: use another.", "mlx/demo: The model wants Python code; use another."),
        ("The model failed (KeyError).", "mlx/demo: The model failed (KeyError)."),
        (None, "mlx/demo: it failed; try again later, or add a fallback at another provider."),
    ],
)
def test_the_detail_of_a_model_in_this_process_is_in_the_message(detail: str | None, message: str) -> None:
    assert str(errors.from_failure(Target("mlx", "demo", "mlx"), Failure("server", detail=detail))) == message


def test_connection_and_timeout_errors_are_the_builtin_ones_too() -> None:
    assert isinstance(raised([GPT], {GPT: [Failure("connect")]}), builtins.ConnectionError)
    assert isinstance(raised([GPT], {GPT: [Failure("request_timeout")]}), builtins.TimeoutError)


@pytest.mark.parametrize("failure", [Failure("rate_limit", headers={"retry-after": "90"}), Failure("rate_limit")])
def test_a_rate_limit_error_says_when_to_retry(failure: Failure) -> None:
    error = raised([GPT], {GPT: [failure]})
    assert isinstance(error, RateLimitError)
    assert error.retry_after == (90.0 if failure.headers else None)


def test_when_several_targets_failed_the_error_holds_the_last_of_each_in_the_order_of_the_chain() -> None:
    script: dict[str, list[Attempt]] = {
        GPT: [Failure("server", 503, detail=CANARY)],
        HAIKU: [Failure("rate_limit", 429)],
        GROQ: [Failure("auth", 401, request_id="req-3")],
    }
    error = raised([GPT, HAIKU, GROQ], script)
    assert isinstance(error, AllTargetsFailedError)
    assert not isinstance(error, BaseExceptionGroup)
    assert [type(target_error).__name__ for target_error in error.errors] == [
        "ServiceUnavailableError",
        "RateLimitError",
        "AuthenticationError",
    ]
    assert [target_error.provider for target_error in error.errors] == ["openai", "anthropic", "groq"]
    assert (error.provider, error.model, error.status_code, error.request_id) == ("groq", "llama-3", 401, "req-3")
    assert [attempt.outcome for attempt in error.attempts] == ["server", "rate_limit", "auth"]
    assert all(target_error.attempts == error.attempts for target_error in error.errors)
    lines = str(error).splitlines()
    assert lines[0] == "None of 3 targets answered:"
    assert [line.split(":")[0].strip() for line in lines[1:]] == [GPT, HAIKU, GROQ]
    assert CANARY not in str(error)


def test_a_failure_that_ends_the_call_is_raised_as_itself_although_others_failed_before() -> None:
    error = raised([GPT, HAIKU], {GPT: [Failure("server", 503)], HAIKU: [Failure("filter", 400)]})
    assert type(error) is exc.ContentFilterError
    assert error.provider == "anthropic"
    assert [attempt.outcome for attempt in error.attempts] == ["server", "filter"]


def test_one_failed_target_beside_skipped_ones_is_raised_as_itself() -> None:
    error = raised([GPT, "openai/gpt-4o-mini"], {GPT: [Failure("auth", 401)]})
    assert type(error) is exc.AuthenticationError
    assert [attempt.outcome for attempt in error.attempts] == ["auth", "skipped"]


def test_a_deadline_that_ends_a_call_of_several_failures_is_mentioned() -> None:
    target = Target("openai", "gpt-4o", "openai_chat")
    failed = CallFailed(((target, Failure("server")), (target, Failure("timeout"))), expired=True)
    assert str(errors.from_call_failed(failed, errors.FailedCall(deadline=5.0))).startswith(
        "None of 2 targets answered before the deadline:"
    )


@pytest.mark.parametrize(("deadline", "message"), [(5.0, "The deadline of 5 s passed"), (None, "The deadline passed")])
def test_a_deadline_that_ends_a_call_in_silence_is_a_timeout(deadline: float | None, message: str) -> None:
    error = errors.from_call_failed(CallFailed((), expired=True), errors.FailedCall(deadline=deadline))
    assert type(error) is exc.TimeoutError
    assert str(error).startswith(message)


@each("kind", KINDS)
def test_errors_survive_pickling_without_the_providers_text(kind: FailureKind) -> None:
    error = raised([GPT], {GPT: [Failure(kind, 418, "some_code", PROVIDER_TEXT, "req-9")]})
    data = pickle.dumps(error)
    copy = pickle.loads(data)  # noqa: S301 - our own
    assert type(copy) is type(error)
    assert (str(copy), copy.attempts, copy.status_code) == (str(error), error.attempts, 418)
    assert copy.detail is None
    assert kind == "unsendable" or PROVIDER_TEXT.encode() not in data


def test_an_error_of_several_targets_survives_pickling_with_all_of_them() -> None:
    error = raised([GPT, HAIKU], {GPT: [Failure("server", 503, detail=CANARY)], HAIKU: [Failure("auth", 401)]})
    data = pickle.dumps(error)
    copy = pickle.loads(data)  # noqa: S301 - our own
    assert [type(error) for error in copy.errors] == [exc.ServiceUnavailableError, exc.AuthenticationError]
    assert CANARY.encode() not in data


def test_a_model_that_ollama_lacks_can_be_had() -> None:
    error = raised(["ollama/llama9"], {"ollama/llama9": [Failure("model_not_found", 404)]})
    assert isinstance(error, exc.ModelNotFoundError)
    assert "get it with: ollama pull llama9" in str(error)
