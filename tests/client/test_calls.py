"""One call: the fields of its answer, the targets that may serve it, and what its options change."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests.support.each import each
from tests.support.four_ways import GPT, GROQ, HAIKU, SONAR, WAYS, Way, outcome_of
from tests.support.scripted_targets import Pause, ScriptedTargets, say
from unified_llm import LLMClient, LLMConfig, LLMRequest, Message
from unified_llm._core.outcome import Done, Failure
from unified_llm.exceptions import (
    AllTargetsFailedError,
    AuthenticationError,
    ConfigurationError,
    GenerationError,
    LLMError,
    TimeoutError,
    UnsupportedOperationError,
    ValidationError,
)
from unified_llm.types import Attempt, EmbeddingResponse, ImagePart, Tool

DEAD = Failure("server", 503)
TOOL = Tool("look", "Look something up.", {"type": "object", "properties": {}})


def test_an_answer_names_its_target_and_its_attempts() -> None:
    targets = ScriptedTargets({GPT: [DEAD], HAIKU: [say("Hello", model="claude-haiku-4-5-20251001")]})
    with targets.running():
        answer = LLMClient(GPT, fallbacks=[HAIKU]).generate("Hello?")
    assert (answer.content, answer.provider, answer.model) == ("Hello", "anthropic", "claude-haiku-4-5-20251001")
    assert (answer.used_fallback, answer.fallback_provider, answer.retry_count) == (True, "anthropic", 2)
    assert answer.latency_ms == pytest.approx(155.0)
    assert [(attempt.target, attempt.outcome) for attempt in answer.attempts] == [(GPT, "server")] * 2 + [(HAIKU, "ok")]


def test_an_answer_of_the_primary_is_no_fallback() -> None:
    targets = ScriptedTargets({GPT: [say("Hello", model="", provider="")]})
    with targets.running():
        answer = LLMClient(GPT, fallbacks=[HAIKU]).generate("Hello?")
    assert (answer.used_fallback, answer.fallback_provider, answer.retry_count) == (False, None, 0)
    assert (answer.provider, answer.model) == ("openai", "gpt-4o")


def test_the_same_model_in_another_region_is_a_fallback() -> None:
    east, west = "https://east.api.openai.com/v1", "https://west.api.openai.com/v1"
    targets = ScriptedTargets({east: [DEAD], west: [say("Hello", model="gpt-4o")]})
    with targets.running():
        client = LLMClient(LLMConfig(model=GPT, base_url=east, fallbacks=[{"base_url": west}]))
        answer = client.generate("Hello?")
    assert targets.names == [east, east, west]
    assert answer.used_fallback


def test_prompts_come_in_many_forms_and_mean_the_same() -> None:
    forms = [
        "Hello?",
        [Message.user("Hello?")],
        [{"role": "user", "content": "Hello?"}],
        [("user", "Hello?")],
        {"messages": [{"role": "user", "content": "Hello?"}]},
        LLMRequest((Message.user("Hello?"),)),
    ]
    targets = ScriptedTargets({GPT: [say("Hi")]})
    with targets.running():
        client = LLMClient(GPT)
        for form in forms:
            client.generate(form)  # type: ignore[arg-type]
        asyncio.run(client.acomplete("Hello?"))
        client.complete("Hello?")
    assert all(request == targets.asked[0][1] for _, request in targets.asked)
    assert len(targets.asked) == len(forms) + 2


# Timeouts and deadlines


@each("way", WAYS)
@pytest.mark.case(50)
def test_a_deadline_bounds_the_whole_call(way: Way) -> None:
    targets = ScriptedTargets({GPT: [[Pause()]], HAIKU: [[Pause()]]})
    with targets.running():
        result = outcome_of(way, LLMClient(GPT, fallbacks=[HAIKU]), deadline=7.0)
    assert result.error is AllTargetsFailedError
    assert targets.clock == pytest.approx(1007.0)
    assert targets.names == [GPT, HAIKU]  # each has had half of it


@each("way", WAYS)
def test_the_deadline_of_the_client_applies_unless_the_call_names_its_own(way: Way) -> None:
    targets = ScriptedTargets({GPT: [[Pause(50.0), *say("late")]]})
    with targets.running():
        client = LLMClient(GPT, deadline=10.0, timeout=60.0)
        assert outcome_of(way, client).error is TimeoutError
        assert outcome_of(way, client, deadline=100.0).content == "late"
        assert outcome_of(way, client, deadline=None).content == "late"


@each("way", WAYS)
def test_a_timeout_bounds_each_attempt(way: Way) -> None:
    targets = ScriptedTargets({GPT: [[Pause()]], HAIKU: [[Pause(4.0), *say("Hello")]]})
    with targets.running():
        result = outcome_of(way, LLMClient(GPT, fallbacks=[HAIKU]), timeout=5.0)
    assert result.content == "Hello"
    assert targets.clock == pytest.approx(1009.0, abs=0.1)


@each("wrong", [0, -1, float("nan"), "soon"])
@each("name", ["timeout", "deadline"])
def test_limits_that_make_no_sense_are_refused_before_anyone_is_asked(name: str, wrong: Any) -> None:
    targets = ScriptedTargets({GPT: [say("never")]})
    with targets.running(), pytest.raises(LLMError, match=f"{name} must be "):
        LLMClient(GPT).generate("Hello?", **{name: wrong})
    assert targets.asked == []


@each("wrong", [0, -1, float("nan"), "soon"])
def test_a_client_with_a_deadline_that_makes_no_sense_is_refused(wrong: Any) -> None:
    with pytest.raises(ConfigurationError, match="deadline must be "):
        LLMClient(GPT, deadline=wrong)


def test_a_deadline_that_ends_before_anyone_is_asked_is_a_timeout() -> None:
    targets = ScriptedTargets({GPT: [say("never")]}, latency=0.0)
    with targets.running():
        stream = LLMClient(GPT).stream("Hello?", deadline=2.0)
        targets.clock += 3.0
        with pytest.raises(TimeoutError, match="deadline of 2 s passed") as caught:
            next(stream)
    assert targets.asked == []
    assert caught.value.attempts == ()


# A model named by the call


def test_a_call_can_name_another_model_of_the_primary_or_another_provider() -> None:
    targets = ScriptedTargets({name: [say("Hi")] for name in (GPT, "openai/gpt-4o-mini", HAIKU)})
    with targets.running():
        client = LLMClient(GPT)
        assert client.generate("Hello?", model="gpt-4o-mini").model == "gpt-4o-mini"
        assert client.generate("Hello?", model=HAIKU).provider == "anthropic"
        assert client.generate({"messages": "Hello?", "model": "openai:gpt-4o-mini"}).model == "gpt-4o-mini"
        assert client.generate("Hello?").model == "gpt-4o"
    assert client.targets[0].name == GPT


def test_a_model_named_by_the_call_replaces_the_primary_and_keeps_the_fallbacks() -> None:
    targets = ScriptedTargets({"openai/gpt-4o-mini": [DEAD], HAIKU: [say("Hello")]})
    with targets.running():
        answer = LLMClient(GPT, fallbacks=[HAIKU]).generate("Hello?", model="gpt-4o-mini")
    assert answer.used_fallback
    assert targets.names == ["openai/gpt-4o-mini"] * 2 + [HAIKU]


def test_a_client_without_a_model_needs_one_from_the_call() -> None:
    targets = ScriptedTargets({GPT: [say("Hello")], HAIKU: [say("Hi")]})
    with targets.running():
        client = LLMClient(LLMConfig(provider="openai"))
        with pytest.raises(ValidationError, match="pass model="):
            client.generate("Hello?")
        assert client.generate("Hello?", model="gpt-4o").content == "Hello"
        with_fallback = LLMClient(LLMConfig(provider="openai"), fallbacks=[HAIKU])
        assert with_fallback.generate("Hello?").content == "Hi"


@each("model", ["", " ", "gpt-4o\n"])
def test_a_model_that_cannot_be_is_refused_before_anyone_is_asked(model: str) -> None:
    targets = ScriptedTargets({})
    with targets.running():
        client = LLMClient(GPT)
        with pytest.raises(ConfigurationError):
            client.generate("Hello?", model=model)
    assert targets.asked == []


# Capabilities of targets


@each("way", WAYS)
@pytest.mark.case(52)
def test_a_target_that_cannot_serve_the_request_is_skipped_and_never_asked(way: Way) -> None:
    targets = ScriptedTargets({GPT: [say("Hello")]})
    with targets.running():
        result = outcome_of(way, LLMClient(SONAR, fallbacks=[GPT]), tools=[TOOL])
    assert result.content == "Hello"
    assert [(attempt[0], attempt[1], attempt[5]) for attempt in result.attempts] == [
        (SONAR, "skipped", "it cannot call tools"),
        (GPT, "ok", None),
    ]
    assert targets.names == [GPT]


@each("way", WAYS)
def test_a_request_that_no_target_can_serve_is_refused_with_the_reasons(way: Way) -> None:
    targets = ScriptedTargets({})
    with targets.running():
        result = outcome_of(way, LLMClient(SONAR), tools=[TOOL])
    assert result.error is UnsupportedOperationError
    assert "perplexity/sonar cannot call tools" in result.message
    assert "fallback" in result.message
    assert targets.asked == []


def test_pictures_go_to_those_who_read_them() -> None:
    picture = Message("user", (ImagePart(url="https://example.com/a.png"),))
    targets = ScriptedTargets({HAIKU: [say("A cat.")]})
    with targets.running():
        answer = LLMClient("openai/gpt-3.5-turbo", fallbacks=[HAIKU]).generate([picture])
    assert answer.attempts[0].reason == "it cannot read images by URL"


def test_the_last_resort_is_skipped_for_what_it_cannot_do() -> None:
    targets = ScriptedTargets({GPT: [DEAD], SONAR: [say("never")]})
    with targets.running(), pytest.raises(LLMError) as caught:
        LLMClient(GPT, fallbacks=[LLMConfig(model=SONAR, last_resort=True)]).generate("Hello?", tools=[TOOL])
    assert [attempt.outcome for attempt in caught.value.attempts] == ["server", "server", "server", "skipped"]
    assert set(targets.names) == {GPT}


# Embeddings


def vectors(*numbers: float) -> list[Done]:
    return [Done(EmbeddingResponse([[number] for number in numbers]))]


@pytest.mark.parametrize("mode", ["sync", "async"])
def test_vectors_come_from_targets_of_the_same_model_or_space_only(mode: str) -> None:
    first, other = "openai/small", "openrouter/openai/small"  # names of which nothing is known
    targets = ScriptedTargets({first: [DEAD], "mistral/mistral-embed": [vectors(9.0)], other: [vectors(1.0)]})
    with targets.running():
        client = LLMClient(
            first, fallbacks=["mistral/mistral-embed", LLMConfig(model=other, api_key="sk-or-1")], deadline=None
        )
        answer = client.embed("Hello") if mode == "sync" else asyncio.run(client.aembed(["Hello"]))
    assert answer.vectors == [[1.0]]
    assert (answer.provider, answer.model) == ("openrouter", "openai/small")
    assert [attempt.outcome for attempt in answer.attempts] == ["server", "server", "skipped", "ok"]
    assert "another space" in (answer.attempts[2].reason or "")


def test_targets_that_declare_the_same_space_may_stand_in_for_each_other() -> None:
    targets = ScriptedTargets({"openai/a": [DEAD], "mistral/b": [vectors(1.0)], "openai/c": [vectors(2.0)]})
    with targets.running():
        client = LLMClient(
            LLMConfig(model="openai/a", space="mine"),
            fallbacks=["openai/c", LLMConfig(model="mistral/b", space="mine")],
        )
        assert client.embed("Hello").vectors == [[1.0]]


def test_as_many_vectors_must_come_as_texts_were_sent() -> None:
    targets = ScriptedTargets({"openai/a": [vectors(1.0, 2.0)]})
    with targets.running(), pytest.raises(GenerationError, match="2 vectors came for 3 texts") as caught:
        LLMClient("openai/a").embed(["a", "b", "c"])
    assert caught.value.provider == "openai"
    assert len(caught.value.attempts) == 1


@pytest.mark.parametrize("texts", [[], [1]])
def test_texts_must_be_texts(texts: list[str]) -> None:
    targets = ScriptedTargets({"openai/a": [vectors(1.0)]})
    with targets.running():
        client = LLMClient("openai/a")
        with pytest.raises(ValidationError, match="embed"):
            client.embed(texts)
    assert targets.asked == []


# The callback


@each("way", WAYS)
def test_the_callback_gets_each_attempt_as_it_ends(way: Way) -> None:
    seen: list[Attempt] = []
    targets = ScriptedTargets({GPT: [DEAD], HAIKU: [say("Hello")]})
    with targets.running():
        outcome_of(way, LLMClient(SONAR, fallbacks=[GPT, HAIKU], on_attempt=seen.append), tools=[TOOL])
    assert [(attempt.target, attempt.outcome) for attempt in seen] == [
        (SONAR, "skipped"),
        (GPT, "server"),
        (GPT, "server"),
        (HAIKU, "ok"),
    ]


@pytest.mark.parametrize("way", WAYS)
def test_a_callback_that_raises_does_not_cost_the_answer(way: Way, caplog: pytest.LogCaptureFixture) -> None:
    def raising(attempt: Attempt) -> None:
        raise RuntimeError("CANARY of the callback")

    targets = ScriptedTargets({GPT: [DEAD, say("Hello")]})
    with targets.running():
        assert outcome_of(way, LLMClient(GPT, on_attempt=raising)).content == "Hello"
    assert "on_attempt raised RuntimeError" in caplog.text
    assert "CANARY" not in caplog.text


# Concurrent calls


def test_one_client_serves_threads_and_event_loops_at_once() -> None:
    targets = ScriptedTargets({GPT: [say("Hello to you")]})
    gate = threading.Barrier(8)

    def work(number: int) -> list[str]:
        gate.wait()
        if number % 2:
            return [client.generate("Hello?").content for _ in range(10)]
        return [asyncio.run(client.agenerate("Hello?")).content for _ in range(10)]

    with targets.running():
        client = LLMClient(GPT)
        with ThreadPoolExecutor(8) as pool:
            answers = [answer for contents in pool.map(work, range(8)) for answer in contents]
    assert answers == ["Hello to you"] * 80


async def test_a_sync_call_works_inside_a_running_loop() -> None:
    targets = ScriptedTargets({GPT: [say("Hello")]})
    with targets.running():
        client = LLMClient(GPT)
        assert client.generate("Hello?").content == "Hello"
        assert "".join(chunk.content for chunk in client.stream("Hello?")) == "Hello"


def test_with_a_refused_key_each_call_says_so() -> None:
    targets = ScriptedTargets({GPT: [Failure("auth", 401)], GROQ: [say("Hello")]})
    with targets.running():
        client = LLMClient(GPT)
        for _ in range(3):
            with pytest.raises(AuthenticationError):
                client.generate("Hello?")
        answer = LLMClient(GPT, fallbacks=[GROQ]).generate("Hello?")
    assert answer.attempts[0].reason == "its API key was refused (auth)"
    assert len(targets.asked) == 4


@pytest.mark.parametrize("begin", [lambda client: client.agenerate("x"), lambda client: anext(client.astream("x"))])
def test_an_async_call_without_asyncio_says_what_it_needs(begin: Callable[[LLMClient], Any]) -> None:
    targets = ScriptedTargets({GPT: [say("Hello")]})
    with targets.running():
        client = LLMClient(GPT)
        coroutine = begin(client)
        with pytest.raises(ConfigurationError, match=r"need asyncio.*trio\.to_thread\.run_sync"):
            coroutine.send(None)  # as trio does it, and whoever runs coroutines without asyncio
    assert targets.names == []
