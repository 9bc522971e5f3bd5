"""``rpm`` and ``tpm`` of targets, as the callers of a client see them, in fake time."""

from __future__ import annotations

import asyncio
import gc
import logging
import pickle
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from typing import Any

import pytest

from tests.support.each import each
from tests.support.four_ways import WAYS, Way, outcome_of
from tests.support.scripted_targets import ScriptedTargets, say
from unified_llm import LLMClient, LLMConfig, configure, reset_health
from unified_llm._client.queued_calls import queued_calls
from unified_llm._core.outcome import Done, Failure
from unified_llm._policy.rate_limits import HeldTurn, Outcome, RateLimits
from unified_llm._state import process_limits
from unified_llm.exceptions import LLMError, RateLimitError
from unified_llm.types import EmbeddingResponse, LLMChunk, LLMResponse, Usage

GPT, HAIKU = "openai/gpt-4o", "anthropic/claude-haiku-4-5"
KEY: dict[str, Any] = {"api_key": "sk-CANARY-0123456789"}


def client(*fallbacks: Any, **fields: Any) -> LLMClient:
    return LLMClient(
        LLMConfig(model=GPT, **KEY, **fields), fallbacks=[LLMConfig(model=each, **KEY) for each in fallbacks]
    )


def targets(**scripts: Any) -> ScriptedTargets:
    return ScriptedTargets({GPT: [say("One.")], HAIKU: [say("Two.")], **scripts})


def room(llm: LLMClient) -> Any:
    return llm.health()[0]["rate_limit"]


@each("way", WAYS)
def test_a_call_beyond_rpm_waits_until_a_minute_after_the_first(way: Way) -> None:
    with targets().running() as servers:
        llm = client(rpm=3)
        instants = []
        for _ in range(7):
            assert outcome_of(way, llm).content == "One."
            instants.append(servers.clock)
    assert [round(instant - instants[0]) for instant in instants] == [0, 0, 0, 60, 61, 61, 121]


@each("way", WAYS)
def test_another_target_that_is_ready_gets_the_call_at_once(way: Way) -> None:
    with targets().running() as servers:
        llm = client(HAIKU, rpm=1)
        answers = [outcome_of(way, llm) for _ in range(3)]
    assert [answer.content for answer in answers] == ["One.", "Two.", "Two."]
    assert servers.slept == []
    assert answers[1].attempts[0][:2] == (GPT, "skipped")
    assert "rpm=1" in answers[1].attempts[0][5]


@each("way", WAYS)
def test_a_turn_after_the_deadline_is_an_error_that_names_the_limit(way: Way) -> None:
    with targets().running() as servers:
        llm = client(rpm=1)
        outcome_of(way, llm)
        refused = outcome_of(way, llm, deadline=10)
        rows = llm.health()
    assert refused.error is RateLimitError
    assert "its limit is used up (rpm=1), and no turn is left before the deadline" in refused.message
    assert len(servers.asked) == 1
    assert servers.slept == []
    assert (rows[0]["failures"], rows[0]["cooldowns"], rows[0]["reason"]) == (0, [], "")


def test_the_error_says_when_the_turn_would_be() -> None:
    with targets().running():
        llm = client(rpm=1)
        llm.generate("Hello?")
        with pytest.raises(RateLimitError) as refused:
            llm.generate("Hello?", deadline=1)
    assert refused.value.retry_after == pytest.approx(60.5, abs=0.1)


def test_threads_get_as_many_turns_as_there_are() -> None:
    limits, limited = RateLimits(), LLMClient(LLMConfig(model=GPT, rpm=100, **KEY)).targets[0]

    def ask(_: int) -> bool:
        held = limits.ask(limited, 0, 1000.0, queued=True)
        if isinstance(held, HeldTurn):
            limits.finish(held, Outcome(sent=True, tokens=0, ok=True), 1000.0)
        return isinstance(held, HeldTurn) or limits.reserve(limited, 0, 1000.0, queued=False).turn.at <= 1000.0

    with ThreadPoolExecutor(8) as threads:
        assert sum(threads.map(ask, range(400))) == 100


def test_retries_count_for_the_limit() -> None:
    with targets(**{GPT: [Failure("server", 503), say("One.")]}).running() as servers:
        assert client(rpm=1).generate("Hello?").content == "One."
    assert servers.clock - 1000 > 60


def test_what_was_not_sent_is_given_back() -> None:
    with targets(**{GPT: [Failure("connect"), say("One.")]}).running() as servers:
        assert client(rpm=1).generate("Hello?").content == "One."
    assert servers.clock - 1000 < 5


def test_tokens_are_reserved_as_an_estimate_and_counted_as_they_were_used() -> None:
    usage = Usage(prompt_tokens=90, completion_tokens=10, total_tokens=100)
    with targets(**{GPT: [[LLMResponse(content="One.", usage=usage)]]}).running() as servers:
        llm = client(tpm=1000)
        for _ in range(5):
            llm.generate("Hello?", max_tokens=550)
        assert (room(llm)["available_tokens"], servers.slept) == (500, [])
        llm.generate("Hello?", max_tokens=550)
    assert 55 < servers.slept[0] <= 60.5


def test_a_request_larger_than_tpm_is_sent_when_nothing_else_counts(caplog: pytest.LogCaptureFixture) -> None:
    with targets().running() as servers, caplog.at_level(logging.WARNING, "unified_llm"):
        llm = client(tpm=100)
        for _ in range(3):
            llm.generate("Hello?", max_tokens=5000)
    assert [round(seconds) for seconds in servers.slept] == [60, 60]
    assert [record.getMessage() for record in caplog.records if "tpm" in record.getMessage()] == [
        "openai/gpt-4o: a request of about 5006 tokens is larger than tpm=100"
    ]


@each(("read", "left"), [(True, 970), (False, 900)])
def test_a_stream_is_settled_when_it_ends_or_is_dropped(*, read: bool, left: int) -> None:
    chunks = [LLMChunk(content="One "), LLMChunk(content="two."), Done(LLMChunk(usage=Usage(total_tokens=30)))]
    with targets(**{GPT: [chunks]}).running():
        llm = client(tpm=1000)
        stream = llm.stream("Hello?", max_tokens=94)
        next(stream)
        reserved = room(llm)["available_tokens"]
        list(stream) if read else None
        del stream
        gc.collect()
        assert (reserved, room(llm)["available_tokens"]) == (900, left)


class Sleepless(ScriptedTargets):
    """Servers whose callers sleep until they are cancelled, while ``asleep_for_ever`` is set."""

    asleep_for_ever = False

    async def asleep(self, until: float) -> None:
        if self.asleep_for_ever:
            await asyncio.Event().wait()
        await super().asleep(until)


@each("queued", [False, True])
def test_a_call_that_is_cancelled_while_it_waits_gives_its_turn_back(*, queued: bool) -> None:
    servers = Sleepless({GPT: [say("One.")]})

    async def wait_and_cancel() -> float:
        llm = client(rpm=1)
        await llm.agenerate("Hello?")
        servers.asleep_for_ever = True
        with queued_calls() if queued else nullcontext():
            waiting = asyncio.create_task(llm.agenerate("Hello?"))
        await asyncio.sleep(0)
        assert room(llm)["waiting"] == 1
        waiting.cancel()
        await asyncio.wait([waiting])
        assert room(llm)["waiting"] == 0
        servers.asleep_for_ever = False
        await llm.agenerate("Hello?")
        return servers.clock

    with servers.running():
        assert round(asyncio.run(wait_and_cancel()) - 1000) == 61  # and not 121


def test_embeddings_and_rankings_are_limited_and_lists_of_models_are_not() -> None:
    vectors = [[Done(EmbeddingResponse([[1.0, 0.0]], usage=Usage(prompt_tokens=5, total_tokens=5)))]]
    model = "openai/text-embedding-3-small"
    with targets(**{model: vectors}).running() as servers:
        llm = LLMClient(LLMConfig(model=model, rpm=2, tpm=1000, **KEY))
        for _ in range(3):
            llm.embed("Hello")
        assert room(llm)["available_tokens"] >= 990
    assert round(sum(servers.slept)) == 60


def test_targets_with_the_same_limit_share_the_count_and_keep_their_own_limits() -> None:
    with targets().running() as servers:
        few, many = client(rpm=2), client(rpm=4)
        for llm in (few, many, many):
            llm.generate("Hello?")
        assert servers.slept == []
        few.generate("Hello?")
        assert round(sum(servers.slept)) == 60


def test_other_keys_and_models_have_limits_of_their_own() -> None:
    with targets(**{"openai/gpt-4.1": [say("Three.")]}).running() as servers:
        for fields in ({}, {"api_key": "sk-CANARY-other-key"}, {"model": "openai/gpt-4.1"}):
            LLMClient(LLMConfig(**{"model": GPT, "rpm": 1, **KEY, **fields})).generate("Hello?")
    assert servers.slept == []


def test_limits_come_from_configure_and_pickles_and_are_forgotten_by_a_reset() -> None:
    configure(rpm=1, providers={"anthropic": {"rpm": 7, "tpm": 90}})
    llm: LLMClient = pickle.loads(pickle.dumps(LLMClient(GPT, fallbacks=[HAIKU], skip_unconfigured=False, **KEY)))  # noqa: S301
    assert [(each.rpm, each.tpm) for each in llm.targets] == [(1, None), (7, 90)]


def test_a_reset_forgets_what_was_counted() -> None:
    with targets().running() as servers:
        llm = client(rpm=1)
        llm.generate("Hello?")
        assert room(llm) == {
            "rpm": 1, "tpm": None, "available": 0, "available_tokens": None, "in_flight": 0, "waiting": 0, "window": 8,
        }  # fmt: skip
        reset_health()
        assert room(llm) is None
        llm.generate("Hello?")
        assert servers.slept == []


def test_calls_without_limits_are_not_counted() -> None:
    with targets().running():
        llm = client()
        llm.generate("Hello?")
        assert room(llm) is None
        with queued_calls():
            llm.generate("Hello?")
        assert room(llm)["in_flight"] == 0


def test_a_forked_child_forgets_the_calls_of_its_parent() -> None:
    with targets().running(), queued_calls():
        llm = client()
        stream = llm.stream("Hello?")
        next(stream)
        assert room(llm)["in_flight"] == 1
        process_limits.current().forget_calls()
        assert room(llm)["in_flight"] == 0
        list(stream)
        assert room(llm)["in_flight"] == 0


def test_an_error_after_a_refusal_keeps_what_the_server_said() -> None:
    with targets(**{GPT: [Failure("rate_limit", 429, retry_after=5)]}).running(), pytest.raises(LLMError) as failed:
        client(rpm=1).generate("Hello?", deadline=20)
    assert failed.value.status_code == 429
