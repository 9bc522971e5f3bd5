"""A request that targets refuse, or that cannot be written for them: what the caller gets, and what is logged."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import pytest

from tests.support.each import each
from tests.support.four_ways import GPT, GROQ, HAIKU, PROVIDER_TEXT, WAYS, CallOutcome, Way, outcome_of
from tests.support.scripted_targets import Attempt, ScriptedTargets, say
from unified_llm import LLMClient, health_snapshot, reset_health
from unified_llm._core.outcome import Failure, FailureKind
from unified_llm._core.runtime import current, use
from unified_llm._core.target import Target
from unified_llm._formats.codecs import codec_for
from unified_llm.exceptions import (
    AllTargetsFailedError,
    BadRequestError,
    ContextOverflowError,
    LLMError,
    UnsupportedOperationError,
    ValidationError,
)
from unified_llm.langchain import ChatUnified
from unified_llm.llama_index import UnifiedLLM
from unified_llm.types import Message, Tool

BAD = Failure("bad_request", 400, "invalid_request_error", PROVIDER_TEXT)
DEAD = Failure("server", 503)
GEMINI = "gemini/gemini-2.5-flash"
REFUSALS: dict[FailureKind, type[LLMError]] = {
    "bad_request": BadRequestError,
    "unsupported": UnsupportedOperationError,
    "context": ContextOverflowError,
    "too_large": ContextOverflowError,
}
THEN: tuple[FailureKind, ...] = ("bad_request", "unsupported")
SEARCH = Tool.from_dict({"type": "web_search_preview"})  # OpenAI's own


@contextmanager
def with_codecs(targets: ScriptedTargets) -> Iterator[None]:
    """Run scripted targets that get only what the codec of their format can write."""
    with targets.running():
        make = current()

        def encoding(connect: Callable[[Any, Target], Any] | None) -> Callable[[Any, Target], Any]:
            def connect_encoded(request: Any, target: Target) -> Any:
                codec_for(target.format).encode(request, target)
                assert connect
                return connect(request, target)

            return connect_encoded

        with use(replace(make, exchange=encoding(make.exchange), aexchange=encoding(make.aexchange))):
            yield


def outcomes(result: CallOutcome) -> list[tuple[str, str]]:
    return [(attempt[0], attempt[1]) for attempt in result.attempts]


@each("way", WAYS)
def test_the_first_refusal_is_raised_as_itself_where_all_targets_refuse(way: Way) -> None:
    for first, error in REFUSALS.items():
        # A prompt that is too long goes only where there is more room, as in gpt-4.1.
        others = ["openai/gpt-4.1"] if error is ContextOverflowError else [HAIKU, GROQ]
        for then in THEN:
            refused = {other: [Failure(then, 422)] for other in others}
            targets = ScriptedTargets({GPT: [Failure(first, 400)], **refused})
            with targets.running():
                result = outcome_of(way, LLMClient(GPT, fallbacks=others))
            assert result.error is error
            assert targets.names == [GPT, *others]
            assert outcomes(result) == [(GPT, first), *((other, then) for other in others)]
            assert result.message.startswith(f"{GPT}: ")
            assert result.message.endswith(f" Refused as well by {', '.join(others)}.")
            assert result.metadata[:3] == ("openai", "gpt-4o", 400)


@each("way", WAYS)
def test_an_outage_among_refusals_is_an_error_of_all_targets(way: Way) -> None:
    for script in ((BAD, DEAD), (DEAD, BAD)):
        targets = ScriptedTargets({GPT: [script[0]], HAIKU: [script[1]]})
        with targets.running():
            result = outcome_of(way, LLMClient(GPT, fallbacks=[HAIKU], max_retries=0))
        assert result.error is AllTargetsFailedError
        assert outcomes(result) == [(GPT, script[0].kind), (HAIKU, script[1].kind)]


@each("way", WAYS)
def test_a_bad_request_is_raised_at_once_where_the_client_or_the_call_wants_that(way: Way) -> None:
    rules: Any = {"bad_request": False}
    targets = ScriptedTargets({GPT: [BAD], HAIKU: [say("Hello")]})
    with targets.running():
        for client, options in (
            (LLMClient(GPT, fallbacks=[HAIKU], failover_on=rules), {}),
            (LLMClient(GPT, fallbacks=[HAIKU]), {"failover_on": rules}),
        ):
            assert outcome_of(way, client, **options).error is BadRequestError
    assert targets.names == [GPT, GPT]


def test_one_warning_a_minute_for_each_target_and_code_says_how_many_there_were(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.WARNING, "unified_llm")
    other = Failure("bad_request", 400, "another_code")
    targets = ScriptedTargets({GPT: [BAD, BAD, other, BAD, other, BAD], HAIKU: [say("Hello")]})
    with targets.running():
        client = LLMClient(GPT, fallbacks=[HAIKU])
        for _ in range(5):
            client.generate("Hello?")
        targets.clock += 61.0
        client.generate("Hello?")
        refused = {row["target"]: row["refused"] for row in health_snapshot()}
    refusal = f"{GPT}: it refused the request, HTTP 400; failed over to {HAIKU}"
    assert [record.getMessage() for record in caplog.records] == [
        refusal,
        refusal,
        f"{refusal} (2 more since the last warning)",
    ]
    assert [vars(record)["suppressed"] for record in caplog.records] == [0, 0, 2]
    assert refused == {GPT: 6, HAIKU: 0}


# What one codec cannot write


@each("way", WAYS)
def test_langchain_f_and_m_a_target_that_the_request_cannot_be_written_for_is_skipped(way: Way) -> None:
    search: dict[str, Any] = {"tools": [SEARCH]}
    cases: list[tuple[Sequence[Message], dict[str, Any], str]] = [
        ([Message.user("Hi")], search, "another provider"),
        ([Message.user("")], {}, "no message in it has content"),
    ]
    for fallback in (HAIKU, GEMINI, "cohere/command-a-03-2025", "ollama/llama3.2"):
        for messages, options, reason in cases[: 1 if fallback.startswith("ollama") else 2]:
            script: dict[str, list[Attempt]] = {GPT: [DEAD], fallback: [say("never")], "openai/gpt-4.1": [say("third")]}
            targets = ScriptedTargets(script)
            reset_health()
            with with_codecs(targets):
                client = LLMClient(GPT, fallbacks=[fallback, "openai/gpt-4.1"], max_retries=0)
                result = outcome_of(way, client, messages, **options)
                assert result.content == "third", result
                assert outcomes(result) == [(GPT, "server"), (fallback, "skipped"), ("openai/gpt-4.1", "ok")]
                assert targets.names == [GPT, "openai/gpt-4.1"]

                alone = outcome_of(way, LLMClient(GPT, fallbacks=[fallback], max_retries=0), messages, **options)
            assert alone.error is AllTargetsFailedError
            assert outcomes(alone) == [(GPT, "server"), (fallback, "skipped")]
            lines = alone.message.splitlines()
            assert "it failed (HTTP 503)" in lines[1]
            assert reason in lines[2]


@each("way", WAYS)
def test_where_no_target_can_be_sent_the_request_the_error_names_each_with_its_reason(way: Way) -> None:
    with with_codecs(ScriptedTargets({})):
        result = outcome_of(way, LLMClient(HAIKU, fallbacks=[GEMINI]), [Message.user("")])
        alone = outcome_of(way, LLMClient(HAIKU), [Message.user("")])
    assert result.error is alone.error is ValidationError
    assert outcomes(result) == [(HAIKU, "skipped"), (GEMINI, "skipped")]
    assert [line.split(":")[0].strip() for line in result.message.splitlines()[1:]] == [HAIKU, GEMINI]
    assert result.message.count("no message in it has content") == 2
    assert alone.message.startswith(f"{HAIKU}: messages is empty")


def test_a_refusal_names_the_targets_that_were_skipped() -> None:
    with with_codecs(ScriptedTargets({GPT: [BAD]})), pytest.raises(BadRequestError) as caught:
        LLMClient(GPT, fallbacks=[HAIKU]).generate("Hi", tools=[SEARCH])
    assert f" 1 fallback was skipped: {HAIKU}: tools[0] is another provider" in str(caught.value)
    assert [attempt.outcome for attempt in caught.value.attempts] == ["bad_request", "skipped"]


def test_what_is_wrong_with_the_call_itself_is_raised_before_anything_is_sent() -> None:
    targets = ScriptedTargets({GPT: [say("never")], HAIKU: [say("never")]})
    wrong: list[tuple[Any, dict[str, Any]]] = [
        ("", {}), ({"messages": ""}, {}), ([], {}), (7, {}), ("Hi", {"temprature": 1}), ("Hi", {"temperature": "hot"}),
    ]  # fmt: skip
    with targets.running():
        for prompt, options in wrong:
            for way in WAYS:
                result = outcome_of(way, LLMClient(GPT, fallbacks=[HAIKU]), prompt, **options)
                assert result.error is ValidationError
                assert result.attempts == ()
    assert targets.asked == []


# Through the adapters


def _langchain(way: Way, chat: ChatUnified) -> str:
    async def collect() -> str:
        return "".join([chunk.text async for chunk in chat.astream("")])

    match way:
        case "generate":
            return chat.invoke("").text
        case "agenerate":
            return asyncio.run(chat.ainvoke("")).text
        case "stream":
            return "".join(chunk.text for chunk in chat.stream(""))
        case "astream":
            return asyncio.run(collect())


def _llama_index(way: Way, llm: UnifiedLLM) -> str:
    from llama_index.core.llms import ChatMessage

    async def collect() -> str:
        return "".join([chunk.delta or "" async for chunk in await llm.astream_chat([ChatMessage("")])])

    match way:
        case "generate":
            return llm.chat([ChatMessage("")]).message.content or ""
        case "agenerate":
            return asyncio.run(llm.achat([ChatMessage("")])).message.content or ""
        case "stream":
            return "".join(chunk.delta or "" for chunk in llm.stream_chat([ChatMessage("")]))
        case "astream":
            return asyncio.run(collect())


@each("way", WAYS)
def test_both_adapters_skip_and_fail_over_alike(way: Way) -> None:
    chain: Any = {"model": GPT, "fallbacks": [HAIKU, "openai/gpt-4.1"], "max_retries": 0}
    surfaces: list[Callable[[], str]] = [
        lambda: _langchain(way, ChatUnified(**chain)),
        lambda: _llama_index(way, UnifiedLLM(**chain)),
    ]
    for surface in surfaces:
        for first in (DEAD, BAD):
            with with_codecs(ScriptedTargets({GPT: [first], "openai/gpt-4.1": [say("third")]})):
                assert surface() == "third"
        for script, error in (((BAD, BAD), BadRequestError), ((DEAD, BAD), AllTargetsFailedError)):
            targets = ScriptedTargets({GPT: [script[0]], "openai/gpt-4.1": [script[1]]})
            with with_codecs(targets), pytest.raises(error) as caught:
                surface()
            assert f"{HAIKU}: messages is empty" in str(caught.value)
            names = [attempt.target for attempt in caught.value.attempts]
            assert names == [GPT, HAIKU, "openai/gpt-4.1"]
