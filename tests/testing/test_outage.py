"""``outage``: which targets fail, for how long, on which clock, and that nothing is left behind."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import pytest

from tests.support.each import each
from tests.support.four_ways import GPT, HAIKU, WAYS, Way, outcome_of
from tests.support.scripted_targets import ScriptedTargets, say
from unified_llm import LLMClient, LLMConfig, LLMRequest, LLMResponse, health_snapshot
from unified_llm._core import runtime
from unified_llm._core.outcome import Failure
from unified_llm._core.target import Target
from unified_llm.exceptions import (
    AllTargetsFailedError,
    ConfigurationError,
    ConnectionError,
    ServiceUnavailableError,
    StreamInterruptedError,
    TimeoutError,
)
from unified_llm.testing import outage
from unified_llm.testing._target_patterns import TargetPatterns
from unified_llm.types import Citation, ProviderState, TokenLogprob

MINI, GROQ = "openai/gpt-4o-mini", "groq/llama-3.3-70b"
EU, US = "https://eu.example", "https://us.example"
EVERY_WAY = each("way", WAYS)


def chain(*models: Any, **fields: Any) -> LLMClient:
    return LLMClient(models[0], fallbacks=models[1:], **fields)


# Who fails


@each(
    ("targets", "asked"),
    [
        ("openai", [GPT, MINI, HAIKU]),
        ("openai/gpt-4o", [GPT, MINI]),
        ("openai:gpt-4o", [GPT, MINI]),
        (" openai/gpt-4o ", [GPT, MINI]),
        (["openai", "anthropic"], [GPT, MINI, HAIKU, GROQ]),
        ({GPT, "anthropic"}, [GPT, MINI]),
        ("OpenAI/gpt-4o", [GPT, MINI]),
        ("OpenAI", [GPT, MINI, HAIKU]),
        ("api.openai.com", [GPT, MINI, HAIKU]),
    ],
)
def test_a_target_goes_by_its_provider_or_its_name(targets: Any, asked: list[str]) -> None:
    with outage(targets, "refused", reply="Hello") as seen:
        chain(GPT, MINI, HAIKU, GROQ, max_retries=0).generate("Hello?")
    assert list(dict.fromkeys(seen.asked)) == asked


def test_an_alias_is_as_good_as_the_name() -> None:
    with outage("hf", reply="Hello") as seen:
        chain(LLMConfig(model="hf/org/name", api_key="sk-canary-hf"), GPT).generate("Hello?")
    assert seen.asked[-1] == GPT


def test_a_region_goes_by_its_address() -> None:
    client = LLMClient(GPT, base_url=EU, api_key="sk-canary-eu", fallbacks=[{"base_url": US}])
    with outage(EU + "/", reply="Hello") as seen:
        assert client.generate("Hello?").used_fallback
    assert [attempt.outcome for attempt in seen.attempts] == ["server", "server", "ok"]
    with outage("https://eu.exam", reply="Hello", allow_unused=True):
        assert not client.generate("Hello?").used_fallback


def test_a_host_and_a_name_of_the_users_match_one_of_two_equal_models() -> None:
    config = LLMConfig(model=GPT, base_url=f"{EU}:8443", api_key="sk-canary-eu", name="west")
    client = LLMClient(config, fallbacks=[{"base_url": US}])
    for pattern, second in (("west", 1), ("eu.example", 1), ("eu.example:8443", 1), (GPT, 0)):
        with outage(pattern, "refused", reply="Hello") as seen:
            try:
                assert client.generate("Hello?").used_fallback
            except AllTargetsFailedError:
                assert not second
        assert seen.asked[0] == "west"


@each(
    ("wrong", "meant"),
    [
        ("opanai", "'openai'"),
        ("Antropic", "'anthropic'"),
        ("openia/gpt-5-mini", "'openai/gpt-5-mini'"),
        ("groqq:llama", "'groq:llama'"),
        ("gpt-5-mini", "'openai/gpt-5-mini'"),
        ("claude", "'anthropic'"),
        ("google/gemini-2.5-flash", "'gemini/gemini-2.5-flash'"),
        ("claude-haiku-4-5", "'anthropic/claude-haiku-4-5'"),
        ("all", r"'\*'"),
        ("openai/*", "'openai' matches every model"),
        ("openai/", "named without a model"),
        (["openai", "antropic"], "'anthropic'"),
        ("", "Name the targets that fail"),
        ([], "Name the targets that fail"),
        ([5], "Name the targets that fail"),
        (None, "Name the targets that fail"),
        (5, "Name the targets that fail"),
        (b"openai", "Name the targets that fail"),
    ],
)
def test_what_cannot_be_the_name_of_a_target_is_refused_with_what_is_meant(wrong: Any, meant: str) -> None:
    with pytest.raises(ConfigurationError, match=meant):
        outage(wrong, "503", reply="Hello")


async def test_a_block_of_async_code_says_to_write_a_plain_with() -> None:
    block: Any = outage("openai")
    with pytest.raises(TypeError, match=r"write `with outage\(\.\.\.\):`"):
        async with block:
            raise AssertionError


# What was never tested


@each(
    ("targets", "problem"),
    [
        ("openai/gpt4o", "got 'openai/gpt4o', but .* other targets: openai/gpt-4o, .* Did you mean 'openai/gpt-4o'"),
        (["openai", "groq", "west"], "got 'groq', 'west', but .* other targets: openai/gpt-4o, anthropic/"),
        ("anthropic", "Nothing failed in the outage of anthropic: its targets got no request"),
        ("openai_llm", "got 'openai_llm'"),
        ("https://eu.example", "got 'https://eu.example'"),
    ],
)
def test_a_block_in_which_nothing_failed_fails_at_its_end(targets: Any, problem: str) -> None:
    before = runtime.current()
    with pytest.raises(AssertionError, match=problem), outage(targets, "503", reply="Hello"):
        chain(GPT, HAIKU).generate("Hello?")
    assert runtime.current() is before
    with outage(targets, "503", reply="Hello", allow_unused=True):
        chain(GPT, HAIKU).generate("Hello?")


def test_a_block_without_a_call_fails_unless_an_error_leaves_it() -> None:
    with pytest.raises(AssertionError, match="No call was made in the outage of openai"), outage("openai"):
        pass
    with pytest.raises(KeyError), outage("openai"):
        raise KeyError


def test_each_of_two_nested_blocks_needs_a_target_of_its_own() -> None:
    with pytest.raises(AssertionError, match="got 'groq'"), outage("groq"), outage("openai", reply="Hello"):
        chain(GPT, HAIKU).generate("Hello?")
    with outage("openai", "401") as outer, outage(GPT, "503", reply="Hello"):
        chain(GPT, HAIKU).generate("Hello?")
    assert outer.attempts[0].outcome == "server"


async def test_async_blocks_and_blips_count_their_attempts() -> None:
    with outage(["openai", "anthropic"], "503", reply="Hello", times=1):
        await chain(GPT, GROQ, HAIKU, max_retries=0).agenerate("Hello?")
    with outage("openai", "503", reply="Hello"):
        assert [chunk async for chunk in chain(GPT, HAIKU).astream("Hello?")]


def test_a_star_is_every_target_but_models_in_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("unified_llm._config.make_target.check_mlx", lambda _: None)
    client = chain(GPT, HAIKU, "ollama/llama2", "mlx/demo")
    with outage("*", "dns", reply="On my own.") as seen:
        assert client.generate("Hello?").provider == "mlx"
    assert set(seen.asked) == {GPT, HAIKU, "ollama/llama2", "mlx/demo"}
    with outage(["*", "mlx"], "dns"), pytest.raises(AllTargetsFailedError):
        client.generate("Hello?")


def test_a_framework_may_have_an_alias_of_ours_for_its_models() -> None:
    wrapped = Target("google_genai", "gemini-2.5-flash", "wrapped")
    ours = Target("gemini", "gemini-2.5-flash", "gemini")
    for pattern in ("google_genai", "google_genai/gemini-2.5-flash"):
        assert wrapped in TargetPatterns(pattern)
        assert ours in TargetPatterns(pattern)
    assert wrapped not in TargetPatterns("gemini")


# What others answer


def test_answers_come_in_turns_and_the_last_one_again_and_again() -> None:
    client = chain(GPT, HAIKU)
    with outage("openai", reply=("one", "two")):
        assert [client.generate("Hello?").content for _ in range(3)] == ["one", "two", "two"]


@EVERY_WAY
def test_an_answer_can_be_made_of_the_request(way: Way) -> None:
    def shout(request: LLMRequest) -> str:
        return request.messages[-1].text.upper()

    with outage("openai", reply=shout):
        assert outcome_of(way, chain(GPT, HAIKU), "  are you  there?\n").content == "  ARE YOU  THERE?\n"


def test_a_stream_has_all_that_the_whole_answer_has() -> None:
    reply = LLMResponse("Rome", citations=(Citation("https://x.example"),), logprobs=(TokenLogprob("Rome", -0.1),))
    with outage("openai", reply=replace(reply, provider_state=ProviderState("openai", "openai_chat", 1))):
        *chunks, last = chain(GPT, HAIKU).stream("Where?")
    assert ([chunk.citations for chunk in chunks if chunk.citations], last.provider_state is not None) == (
        [reply.citations],
        True,
    )
    assert [chunk.logprobs for chunk in chunks if chunk.logprobs] == [reply.logprobs]


def test_what_a_function_gives_must_be_an_answer() -> None:
    wrong: Callable[[LLMRequest], Any] = lambda _: 7  # noqa: E731
    with outage("openai", reply=wrong), pytest.raises(ConfigurationError, match="not int"):
        chain(GPT, HAIKU).generate("Hello?")


@EVERY_WAY
def test_an_answer_has_every_part_that_it_was_given(way: Way) -> None:
    from unified_llm import LLMResponse, ToolCall, Usage

    usage = Usage(prompt_tokens=7, completion_tokens=3, total_tokens=10)
    calls = (ToolCall("call_1", "add", {"a": 1}), ToolCall.parse("call_2", "sub", '{"a": 2}'))
    answer = LLMResponse("Let me see.", tool_calls=calls, reasoning="Hm.", usage=usage, response_id="r-1", model="x")
    with outage("openai", reply=answer):
        result = outcome_of(way, chain(GPT, HAIKU))
    assert (result.content, result.reasoning) == ("Let me see.", "Hm.")
    assert result.calls == (("add", '{"a":1}'), ("sub", '{"a": 2}'))
    assert result.metadata == ("tool_calls", usage, "r-1", "x", "anthropic")


@EVERY_WAY
def test_without_a_reply_other_targets_get_real_requests(way: Way) -> None:
    with ScriptedTargets({HAIKU: [say("I am here.")]}).running() as targets, outage("openai", "hang") as seen:
        assert outcome_of(way, chain(GPT, HAIKU)).content == "I am here."
    assert targets.names == [HAIKU]
    assert targets.open == 0
    assert seen.attempts[-1].seconds == pytest.approx(targets.latency)


@each("way", ["stream", "astream"])
def test_a_refusal_is_streamed_too(way: Way) -> None:
    from unified_llm import LLMResponse

    with outage("openai", reply=LLMResponse(refusal="I would rather not.", finish_reason="length")):
        assert [chunk.refusal for chunk in chain(GPT, HAIKU).stream("Hello?")] == ["I would rather not.", ""]
        assert outcome_of(way, chain(GPT, HAIKU)).metadata[0] == "length"


async def test_made_up_vectors_are_those_of_their_texts() -> None:
    small = "text-embedding-3-small"
    client = LLMClient(f"openai/{small}", base_url=EU, api_key="sk-canary-eu", fallbacks=[{"base_url": US}])
    with outage(EU, "503", reply="no text is embedded by this"):
        one, other, same = client.embed(["one", "other", "one"]).vectors
        short = await client.aembed("one", dimensions=3)
    assert one == same != other
    assert len(one) == 8
    assert all(-1 <= value <= 1 for value in one)
    assert [len(vector) for vector in short.vectors] == [3]
    assert short.provider == "openai"


async def test_a_model_list_fails_or_is_empty_and_is_forgotten_afterwards() -> None:
    client = chain(GPT, HAIKU)
    with ScriptedTargets({name: [Failure("server", 500)] for name in ("openai", "anthropic")}).running():
        with outage("openai", "503", reply="Hello") as seen:
            assert client.list_models() == []
            assert await client.alist_models() == []
            assert client.health_check()
        assert {attempt.target for attempt in seen.attempts if attempt.outcome == "server"} == {"openai"}
        with outage("*", "503"):
            assert not await client.ahealth_check()
        with pytest.raises(ServiceUnavailableError):
            client.list_models()


# For how long


@EVERY_WAY
def test_a_blip_is_over_after_so_many_attempts(way: Way) -> None:
    with outage("openai", "503", reply="Here again.", times=2) as seen:
        result = outcome_of(way, LLMClient(GPT))
    assert result.content == "Here again."
    assert [attempt.outcome for attempt in seen.attempts] == ["server", "server", "ok"]


def test_every_target_has_its_own_transient_error() -> None:
    with outage("*", "503", reply="Here again.", times=1) as seen:
        with pytest.raises(AllTargetsFailedError):
            chain(GPT, HAIKU, max_retries=0).generate("Hello?")
        chain(GPT, HAIKU, max_retries=0).generate("Hello?")
    outcomes = [(attempt.target, attempt.outcome) for attempt in seen.attempts]
    assert outcomes == [(GPT, "server"), (HAIKU, "server"), (GPT, "ok")]


# Outages within outages


@EVERY_WAY
def test_what_any_of_them_names_fails_and_the_innermost_answer_is_given(way: Way) -> None:
    client = chain(GPT, HAIKU, GROQ)
    with outage("openai", "503", reply="outer") as outer:
        with outage("anthropic", "429", reply="inner") as inner:
            assert outcome_of(way, client).content == "inner"
        assert outcome_of(way, client).content == "outer"
    assert [attempt.outcome for attempt in inner.attempts] == ["server", "server", "rate_limit", "ok"]
    assert outer.attempts[: len(inner.attempts)] == inner.attempts
    assert [attempt.outcome for attempt in outer.attempts[len(inner.attempts) :]] == ["server", "server", "ok"]


def test_the_innermost_says_how_a_target_fails_and_the_outer_one_gives_the_answer() -> None:
    with outage("openai", "503", reply="outer"), outage("openai", "401") as seen:
        assert chain(GPT, HAIKU).generate("Hello?").content == "outer"
    assert [attempt.outcome for attempt in seen.attempts] == ["auth", "ok"]


def test_time_that_passed_in_an_inner_one_has_passed_in_the_outer_one() -> None:
    with outage("groq", reply="Hello") as outer:
        with outage("openai", "hang") as inner:
            chain(GPT, GROQ, HAIKU).generate("Hello?", timeout=7)
        assert outer.seconds >= inner.seconds >= 7


def test_an_outage_is_used_once() -> None:
    made = outage("openai", "503", reply="Hello")
    assert made.seconds == 0
    with made:
        chain(GPT, HAIKU).generate("Hello?")
        with pytest.raises(ConfigurationError, match="in one `with` only"), made:
            pass
    with pytest.raises(ConfigurationError, match="in one `with` only"), made:
        pass
    assert repr(made) == "<Outage of openai: 3 attempts>"
    assert not callable(made)  # as a decorator it would be over before an async function has begun


# Time


@each(("way", "seconds"), [("generate", 600), ("agenerate", 600), ("stream", 60), ("astream", 60)])
def test_a_target_that_hangs_alone_is_given_up_when_its_time_is_over(way: Way, seconds: float) -> None:
    begun = time.monotonic()
    with outage("openai", "hang") as seen:
        assert outcome_of(way, LLMClient(GPT)).error is TimeoutError
        # One try of all the time that there is, or two of 30 s to the first token, and a pause between them.
        assert seconds <= seen.seconds < seconds + 2
    assert seconds <= seen.seconds < seconds + 2
    assert time.monotonic() - begun < 30


@EVERY_WAY
def test_no_call_waits_without_end(way: Way) -> None:
    client = LLMClient(GPT, deadline=None)
    with outage("openai", "hang", after=None):
        if "stream" in way:  # there is a limit to the first token
            assert outcome_of(way, client).error is TimeoutError
        else:
            with pytest.raises(AssertionError, match="the call has no limit"):
                outcome_of(way, client)


@EVERY_WAY
def test_a_long_wait_passes_at_once_and_is_recorded(way: Way) -> None:
    begun = time.monotonic()
    with outage("openai", "429", reply="Here again.", times=1, retry_after=55) as seen:
        assert outcome_of(way, LLMClient(GPT)).content == "Here again."
    assert seen.seconds == pytest.approx(55 * 1.05, abs=1)
    assert seen.attempts[-1].waited >= 55
    assert time.monotonic() - begun < 30


def test_a_breaker_that_opened_lets_a_probe_through_when_its_time_has_come() -> None:
    client = chain(GPT, HAIKU, max_retries=0)
    with outage("openai", "503", reply="Hello") as seen:
        for _ in range(6):
            client.generate("Hello?")
        assert seen.asked.count(GPT) == 5
        assert seen.attempts[-2].reason == "circuit breaker open"
        with outage("groq", "hang"):
            chain(GROQ, HAIKU).generate("Hello?")
        assert seen.seconds >= 60
        client.generate("Hello?")
    assert seen.asked.count(GPT) == 6


async def test_tasks_that_hang_at_once_wait_at_once() -> None:
    client = chain(GPT, HAIKU)
    with outage("openai", "hang", reply="Hello") as seen:
        answers = await asyncio.gather(*(client.agenerate("Hello?") for _ in range(20)))
    assert {answer.content for answer in answers} == {"Hello"}
    assert seen.seconds < 150  # the limit of a whole answer is 60 s


def test_threads_may_share_one() -> None:
    client = chain(GPT, HAIKU, max_retries=0)
    repeated = outage("openai", "503", reply=lambda request: request.messages[-1].text, times=50)
    with repeated as seen, ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda number: client.generate(str(number)).content, range(200)))
    assert answers == [str(number) for number in range(200)]
    assert sum(attempt.outcome == "ok" for attempt in seen.attempts) == 200


# What is left behind


def test_afterwards_everything_is_as_it_was() -> None:
    client = chain(GPT, HAIKU, max_retries=0)
    before = runtime.current()
    with ScriptedTargets({GPT: [Failure("server", 503), say("Hello")], HAIKU: [say("Hi")]}).running() as targets:
        client.generate("Hello?")
        known, outside = health_snapshot(), runtime.current()
        with outage("*", "401"):
            assert health_snapshot() == []
            with pytest.raises(AllTargetsFailedError):
                client.generate("Hello?")
            assert len(health_snapshot()) == 2
        assert health_snapshot() == known
        assert runtime.current() is outside
        assert client.generate("Hello?").content == "Hello"
        assert targets.open == 0
    assert runtime.current() is before


def test_a_test_that_fails_ends_the_outage_too() -> None:
    before = runtime.current()
    with pytest.raises(ZeroDivisionError), outage("openai"):
        raise ZeroDivisionError
    assert runtime.current() is before
    assert health_snapshot() == []


def test_earlier_failures_do_not_disturb_it() -> None:
    client = chain(GPT, HAIKU, max_retries=0)
    with ScriptedTargets({GPT: [Failure("auth", 401)], HAIKU: [say("Hi")]}).running():
        client.generate("Hello?")
        with outage("anthropic", "503") as seen, pytest.raises(AllTargetsFailedError):
            client.generate("Hello?")
        assert seen.asked == [GPT, HAIKU]


def test_a_stream_that_outlives_the_block_stays_in_it() -> None:
    with outage("openai", "cut", after=2) as seen:
        stream = LLMClient(GPT).stream("Hello?")
        next(stream)
    next(stream)
    with pytest.raises(StreamInterruptedError):
        next(stream)
    assert [attempt.outcome for attempt in seen.attempts] == ["connection"]
    assert health_snapshot() == []


def test_a_users_own_callback_is_called_as_ever() -> None:
    attempts: list[Any] = []
    with outage("openai", "dns", reply="Hello") as outer, outage("groq", allow_unused=True) as inner:
        chain(GPT, HAIKU, on_attempt=attempts.append).generate("Hello?")
    assert attempts == outer.attempts == inner.attempts


def test_the_last_error_is_the_one_that_was_asked_for() -> None:
    with outage(["openai", "anthropic"], "refused"), pytest.raises(AllTargetsFailedError) as caught:
        chain(GPT, HAIKU).generate("Hello?")
    assert [type(error) for error in caught.value.errors] == [ConnectionError, ConnectionError]
