"""Errors that are ours and LangChain's at once."""

from __future__ import annotations

import pickle
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from langchain_core import exceptions as theirs
from langchain_core.tracers.base import BaseTracer

from tests.support.each import each
from tests.support.langchain_targets import KEY
from tests.support.scripted_targets import ScriptedTargets
from unified_llm import exceptions as ours
from unified_llm._core.outcome import Failure
from unified_llm.langchain import ChatUnified
from unified_llm.langchain._errors import ChainError, translate
from unified_llm.types import Attempt

REFUSAL = getattr(theirs, "ModelRefusalError", theirs.ModelInvalidRequestError)
PAIRS = [
    (ours.ConfigurationError, theirs.ModelInvalidRequestError),
    (ours.UnconfiguredError, theirs.ModelInvalidRequestError),
    (ours.ValidationError, theirs.ModelInvalidRequestError),
    (ours.BadRequestError, theirs.ModelInvalidRequestError),
    (ours.ContextOverflowError, theirs.ContextOverflowError),
    (ours.UnsupportedOperationError, theirs.ModelInvalidRequestError),
    (ours.AuthenticationError, theirs.ModelAuthenticationError),
    (ours.PermissionDeniedError, theirs.ModelPermissionDeniedError),
    (ours.QuotaExceededError, theirs.ModelRateLimitError),
    (ours.RateLimitError, theirs.ModelRateLimitError),
    (ours.ModelNotFoundError, theirs.ModelNotFoundError),
    (ours.ContentFilterError, REFUSAL),
    (ours.ConnectionError, theirs.ModelConnectionError),
    (ours.TimeoutError, theirs.ModelTimeoutError),
    (ours.ServiceUnavailableError, theirs.ModelAPIError),
    (ours.GenerationError, theirs.ModelAPIError),
    (ours.StreamInterruptedError, theirs.ModelConnectionError),
    (ours.AllTargetsFailedError, theirs.ModelAPIError),
]


@each(("kind", "native"), PAIRS)
def test_every_error_of_ours_is_one_of_langchains_and_not_retryable(
    kind: type[ours.LLMError], native: type[Any]
) -> None:
    attempt = Attempt("openai/gpt-5", "auth", 401)
    error = translate(kind("what happened", provider="openai", status_code=401, attempts=[attempt]))
    assert isinstance(error, kind)
    assert isinstance(error, native)
    assert error.is_retryable is False
    assert (str(error), error.provider, error.status_code, error.attempts) == (
        "what happened",
        "openai",
        401,
        (attempt,),
    )
    assert translate(error) is error
    again = pickle.loads(pickle.dumps(error))  # noqa: S301 - made here
    assert (type(again), str(again), again.attempts) == (type(error), "what happened", (attempt,))


def test_every_public_error_has_a_class_that_is_langchains_too() -> None:
    assert {kind.__name__ for kind, _ in PAIRS} | {"LLMError"} == set(ours.__all__)


def test_an_error_of_a_users_own_class_gets_the_class_of_its_base() -> None:
    class SpecialError(ours.RateLimitError):
        pass

    assert isinstance(translate(SpecialError("x")), theirs.ModelRateLimitError)
    assert isinstance(translate(ours.LLMError("x")), theirs.ModelError)


async def whole(llm: ChatUnified) -> None:
    llm.invoke("Hi")


async def awhole(llm: ChatUnified) -> None:
    await llm.ainvoke("Hi")


async def streamed(llm: ChatUnified) -> None:
    list(llm.stream("Hi"))


async def astreamed(llm: ChatUnified) -> None:
    [chunk async for chunk in llm.astream("Hi")]


@pytest.mark.parametrize("ask", [whole, awhole, streamed, astreamed])
async def test_every_way_of_asking_raises_the_same(ask: Callable[[ChatUnified], Awaitable[None]]) -> None:
    llm = ChatUnified(model="openai/gpt-5-mini", api_key=KEY)
    targets = ScriptedTargets({"openai/gpt-5-mini": [Failure("auth", 401)]})
    with targets.running(), pytest.raises(ours.AuthenticationError) as caught:
        await ask(llm)
    assert isinstance(caught.value, theirs.ModelAuthenticationError)
    assert caught.value.attempts[0].outcome == "auth"
    assert KEY not in str(caught.value)
    assert targets.open == 0


def test_when_all_targets_failed_a_retry_middleware_will_not_multiply_that() -> None:
    llm = ChatUnified(model="openai/gpt-5-mini", api_key=KEY, fallbacks=["ollama/llama2"], max_retries=0)
    script = {"openai/gpt-5-mini": [Failure("server", 503)], "ollama/llama2": [Failure("connect")]}
    with ScriptedTargets(script).running(), pytest.raises(theirs.ModelAPIError) as caught:
        llm.invoke("Hi")
    assert isinstance(caught.value, ours.AllTargetsFailedError)
    assert caught.value.is_retryable is False
    assert [type(each) for each in caught.value.errors] == [ours.ServiceUnavailableError, ours.ConnectionError]


def test_a_stream_that_breaks_carries_what_had_come() -> None:
    llm = ChatUnified(model="openai/gpt-5-mini", api_key=KEY, fallbacks=["ollama/llama2"])
    got: list[Any] = []
    with (
        ScriptedTargets({"openai/gpt-5-mini": [["Hello ", Failure("connection")]]}).running(),
        pytest.raises(ours.StreamInterruptedError) as caught,
    ):
        got.extend(chunk.content for chunk in llm.stream("Hi"))
    assert caught.value.partial == "Hello "
    assert isinstance(caught.value, theirs.ModelConnectionError)


class Tracer(BaseTracer):
    def __init__(self) -> None:
        super().__init__()
        self.runs: list[Any] = []

    def _persist_run(self, run: Any) -> None:
        self.runs.append(run)


def test_a_trace_of_a_failure_has_the_attempts_and_no_text_of_the_provider() -> None:
    tracer = Tracer()
    llm = ChatUnified(model="openai/gpt-5-mini", api_key=KEY)
    failure = Failure("auth", 401, detail="You sent: a prompt")
    with ScriptedTargets({"openai/gpt-5-mini": [failure]}).running(), pytest.raises(ours.AuthenticationError) as caught:
        llm.invoke("Hi", config={"callbacks": [tracer]})
    metadata = tracer.runs[-1].outputs["generations"][0][0]["message"]["kwargs"]["response_metadata"]
    assert metadata["status_code"] == 401
    assert [each["outcome"] for each in metadata["body"]["attempts"]] == ["auth"]
    assert "prompt" not in repr(metadata)
    assert isinstance(caught.value, ChainError)
    assert caught.value.response.headers == {}
