"""Fault cases 45 to 56, which the policy handles: in fake time, through the client, in all four ways to call."""

from __future__ import annotations

import asyncio
import re
import statistics
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from tests.support.each import each
from tests.support.four_ways import GPT, GROQ, HAIKU, SONAR, WAYS, CallOutcome, Way, outcome_of
from tests.support.scripted_targets import Attempt, Pause, ScriptedTargets, say
from unified_llm import LLMClient, health_snapshot, reset_health
from unified_llm._core.exchange import Event
from unified_llm._core.outcome import Failure
from unified_llm._core.runtime import current, use
from unified_llm.exceptions import (
    AllTargetsFailedError,
    ConfigurationError,
    RateLimitError,
    ServiceUnavailableError,
)
from unified_llm.types import Tool

DEAD = Failure("server", 503)
MLX = "mlx/demo"
TOOL = Tool("look", "Look something up.", {"type": "object", "properties": {}})


@pytest.fixture(params=WAYS)
def way(request: pytest.FixtureRequest) -> Way:
    way: Way = request.param
    return way


def limited(seconds: float) -> Failure:
    """Return a failure for too many requests."""
    return Failure("rate_limit", 429, retry_after=seconds)


def outcomes(result: CallOutcome) -> list[tuple[str, str]]:
    return [(attempt[0], attempt[1]) for attempt in result.attempts]


def state(name: str) -> str:
    return next(str(row["state"]) for row in health_snapshot() if row["target"] == name)


def trip(client: LLMClient) -> None:
    """Make calls until the breaker of the only target is open."""
    for _ in range(2):
        with pytest.raises(ServiceUnavailableError):
            client.generate("Hello?")
    assert state(GPT) == "open"


# 45: all are down


@pytest.mark.case(45)
def test_when_all_are_down_the_last_error_of_each_is_reported(way: Way) -> None:
    script: dict[str, Sequence[Attempt]] = {
        GPT: [DEAD, Failure("timeout")],
        HAIKU: [Failure("connect")],
        GROQ: [Failure("server", 502), Failure("malformed", 200), Failure("auth", 401)],
    }
    targets = ScriptedTargets(script)
    with targets.running():
        result = outcome_of(way, LLMClient(GPT, fallbacks=[HAIKU, GROQ]))
    assert result.error is AllTargetsFailedError
    assert [line.partition(":")[0].strip() for line in result.message.splitlines()[1:]] == [GPT, HAIKU, GROQ]
    assert "could be made" in result.message
    assert set(targets.names) == {GPT, HAIKU, GROQ}


@pytest.mark.case(45)
def test_when_all_are_down_the_model_on_this_machine_answers(way: Way) -> None:
    targets = ScriptedTargets({GPT: [DEAD], HAIKU: [Failure("connect")], MLX: [say("from here")]})
    with targets.running():
        for _ in range(3):  # with the breakers closed at first, and open in the end
            result = outcome_of(way, LLMClient(GPT, fallbacks=[HAIKU, MLX]))
            assert (result.content, outcomes(result)[-1]) == ("from here", (MLX, "ok"))


# 46: an old call ends when the breaker has changed since


@pytest.mark.parametrize("way", ["stream", "astream"])  # not each(): the table of faults reads the ways
@each("when", ["open", "half_open"])
@pytest.mark.case(46)
def test_an_old_stream_that_ends_well_moves_no_breaker(way: Way, when: str) -> None:
    targets = ScriptedTargets({GPT: [say("Hello to you"), DEAD]})
    with targets.running(), asyncio.Runner() as runner:
        client = LLMClient(GPT)
        stream, astream = client.stream("Hello?"), client.astream("Hello?")
        first = next(stream) if way == "stream" else runner.run(_step(astream))
        assert first.content == "Hello "
        trip(client)
        targets.clock += 100.0 if when == "half_open" else 1.0
        assert state(GPT) == when
        rest = list(stream) if way == "stream" else runner.run(_rest(astream))
        assert "".join(chunk.content for chunk in rest) == "to you"
        assert state(GPT) == when


async def _step(stream: Any) -> Any:
    return await anext(stream)


async def _rest(stream: Any) -> list[Any]:
    return [chunk async for chunk in stream]


# 47: the probe of a half-open breaker


@pytest.mark.parametrize("way", ["agenerate", "astream"])
@pytest.mark.case(47)
async def test_of_a_hundred_callers_one_probes_and_the_others_are_answered_elsewhere(way: Way) -> None:
    targets = ScriptedTargets({GPT: [DEAD] * 6 + [say("Hello again")], HAIKU: [say("Hello")]})
    with targets.running():
        alone = LLMClient(GPT)
        trip(alone)
        targets.clock += 100.0
        targets.asked.clear()
        targets.scripts = {GPT: [say("Hello again")], HAIKU: [say("Hello")]}
        client = LLMClient(GPT, fallbacks=[HAIKU])
        answers = await asyncio.gather(*(_aask(client, way) for _ in range(100)))
    assert targets.names.count(GPT) == answers.count("Hello again")
    assert targets.names[:2] == [GPT, HAIKU]
    assert sorted(set(answers)) == ["Hello", "Hello again"]
    assert state(GPT) == "closed"


class Hanging:
    """An attempt that never has an event."""

    async def open(self, until: float) -> Failure | None:
        await asyncio.Event().wait()
        raise AssertionError

    async def read(self, until: float) -> Event:
        raise AssertionError

    async def close(self) -> None:
        pass


@pytest.mark.parametrize("way", ["agenerate", "astream"])
@pytest.mark.case(47)
async def test_a_probe_that_is_cancelled_gives_way_to_the_next(way: Way) -> None:
    targets = ScriptedTargets({GPT: [DEAD]})
    with targets.running():
        trip(LLMClient(GPT))
        targets.clock += 100.0
        targets.scripts = {GPT: [say("Hello again")], HAIKU: [say("Hello")]}
        client = LLMClient(GPT, fallbacks=[HAIKU])
        with use(replace(current(), aexchange=lambda request, target: Hanging())):
            probe = asyncio.create_task(_aask(client, way))
            await asyncio.sleep(0)
        assert await _aask(client, way) == "Hello"
        probe.cancel()
        with pytest.raises(asyncio.CancelledError):
            await probe
        assert state(GPT) == "half_open"
        assert await _aask(client, way) == "Hello again"


async def _aask(client: LLMClient, way: Way) -> str:
    if way == "agenerate":
        return (await client.agenerate("Hello?")).content
    return "".join([chunk.content async for chunk in client.astream("Hello?")])


@pytest.mark.parametrize("way", ["generate", "stream"])
@pytest.mark.case(47)
def test_a_probe_that_is_interrupted_gives_way_to_the_next(way: Way) -> None:
    targets = ScriptedTargets({GPT: [DEAD]})
    with targets.running():
        client = LLMClient(GPT, fallbacks=[HAIKU])
        trip(LLMClient(GPT))
        targets.clock += 100.0
        targets.asked.clear()
        targets.scripts = {GPT: [[KeyboardInterrupt()], say("Hello again")], HAIKU: [say("never")]}
        with pytest.raises(KeyboardInterrupt):
            outcome_of(way, client)
        assert state(GPT) == "half_open"
        assert outcome_of(way, client).content == "Hello again"


# 48: many clients that received the same Retry-After


@pytest.mark.case(48)
def test_clients_that_received_the_same_retry_after_do_not_retry_in_the_same_instant(way: Way) -> None:
    instants: list[float] = []
    for number in range(20):
        reset_health()
        targets = ScriptedTargets({GPT: [limited(10.0), say("Hello")]}, draw=number / 19, latency=0.0)
        with targets.running():
            assert outcome_of(way, LLMClient(GPT)).content == "Hello"
        instants.append(targets.clock - 1000.0)
    assert min(instants) >= 10.0
    assert max(instants) <= 11.0
    assert len(set(instants)) == 20
    assert statistics.stdev(instants) > 0.25


# 50 and 51: deadlines


@pytest.mark.parametrize("deadline", [0, -1, -0.001, float("nan")])
@pytest.mark.case(50)
def test_a_deadline_that_makes_no_sense_is_refused(way: Way, deadline: float) -> None:
    targets = ScriptedTargets({GPT: [say("never")]})
    with targets.running():
        result = outcome_of(way, LLMClient(GPT), deadline=deadline)
    assert result.error
    assert re.match(r"deadline must be (greater than 0|a finite number of) seconds", result.message)
    assert targets.asked == []


@pytest.mark.case(50)
def test_a_deadline_of_a_millisecond_is_kept(way: Way) -> None:
    targets = ScriptedTargets({GPT: [[Pause(0.1), *say("late")]], HAIKU: [[Pause(0.1), *say("later")]]})
    with targets.running():
        result = outcome_of(way, LLMClient(GPT, fallbacks=[HAIKU]), deadline=0.001)
    assert result.error is AllTargetsFailedError
    assert targets.clock == pytest.approx(1000.001)
    assert targets.names == [GPT, HAIKU]


@pytest.mark.case(50)
def test_without_a_deadline_an_answer_is_waited_for(way: Way) -> None:
    targets = ScriptedTargets({GPT: [[Pause(100_000.0), *say("at last")]]})
    with targets.running():
        client = LLMClient(GPT, deadline=None, timeout=1e6)
        assert outcome_of(way, client).content == "at last"


@pytest.mark.case(50)
def test_a_sleep_that_would_pass_the_deadline_is_not_begun(way: Way) -> None:
    targets = ScriptedTargets({GPT: [limited(4.0)]})
    with targets.running():
        result = outcome_of(way, LLMClient(GPT), deadline=3.0)
    assert result.error is RateLimitError
    assert targets.slept == []
    assert targets.clock < 1001.0


@pytest.mark.parametrize("seconds", [4.0, 61.0, 5000.0])
@pytest.mark.case(51)
def test_a_wait_longer_than_the_deadline_fails_over_at_once(way: Way, seconds: float) -> None:
    targets = ScriptedTargets({GPT: [limited(seconds)], HAIKU: [say("Hello")]})
    with targets.running():
        result = outcome_of(way, LLMClient(GPT, fallbacks=[HAIKU]), deadline=3.0)
    assert outcomes(result) == [(GPT, "rate_limit"), (HAIKU, "ok")]
    assert targets.slept == []


# 52: what a fallback cannot do


@pytest.mark.parametrize(
    ("request_", "reason"),
    [
        ({"tools": [TOOL]}, "it cannot call tools"),
        ({"tools": [TOOL], "tool_choice": "look"}, "it cannot call tools"),
    ],
)
@pytest.mark.case(52)
def test_a_fallback_that_lacks_something_is_skipped(way: Way, request_: dict[str, Any], reason: str) -> None:
    targets = ScriptedTargets({GPT: [DEAD], SONAR: [say("never")], GROQ: [say("Hello")]})
    with targets.running():
        result = outcome_of(way, LLMClient(GPT, fallbacks=[SONAR, GROQ]), **request_)
    assert result.content == "Hello"
    assert (SONAR, "skipped", reason) in [(attempt[0], attempt[1], attempt[5]) for attempt in result.attempts]
    assert SONAR not in targets.names


PICTURE = {"role": "user", "content": [{"type": "image_url", "image_url": {"url": "https://example.com/a.png"}}]}
SCHEMA = {"type": "json_schema", "json_schema": {"name": "a", "schema": {"type": "object", "properties": {}}}}


@pytest.mark.parametrize(
    ("able", "prompt", "overrides"),
    [(GPT, [PICTURE], {}), (GPT, "Hello?", {"response_format": SCHEMA}), (GROQ, "Hello?", {"tools": [TOOL]})],
    ids=["pictures", "a schema", "tools"],
)
@pytest.mark.case(52)
def test_the_model_on_this_machine_is_skipped_for_what_it_cannot_do(
    way: Way, able: str, prompt: Any, overrides: dict[str, Any]
) -> None:
    targets = ScriptedTargets({able: [DEAD], MLX: [say("never")]})
    with targets.running():
        result = outcome_of(way, LLMClient(able, fallbacks=[MLX]), prompt, **overrides)
    assert result.error is ServiceUnavailableError
    assert (MLX, "skipped") in outcomes(result)
    assert MLX not in targets.names


# 56: chains of a strange shape


@pytest.mark.case(56)
def test_without_retries_each_target_is_asked_once(way: Way) -> None:
    targets = ScriptedTargets({GPT: [DEAD], HAIKU: [DEAD]})
    with targets.running():
        client = LLMClient(GPT, max_retries=0, fallbacks=[{"model": HAIKU, "max_retries": 0}])
        assert outcome_of(way, client).error is AllTargetsFailedError
    assert targets.names == [GPT, HAIKU]


@pytest.mark.case(56)
def test_a_target_that_stands_twice_in_a_chain_shares_its_health(way: Way) -> None:
    targets = ScriptedTargets({GPT: [DEAD]})
    with targets.running():
        result = outcome_of(way, LLMClient(GPT, fallbacks=[GPT, GPT]))
    assert result.error is AllTargetsFailedError
    assert len(targets.names) <= 6
    assert {row["target"] for row in health_snapshot()} == {GPT}


@pytest.mark.case(56)
def test_an_empty_list_of_fallbacks_is_none(way: Way) -> None:
    targets = ScriptedTargets({GPT: [say("Hello")]})
    with targets.running():
        assert outcome_of(way, LLMClient(GPT, fallbacks=[])).content == "Hello"


@pytest.mark.case(56)
def test_a_chain_that_holds_itself_is_refused() -> None:
    ring: dict[str, Any] = {"model": GPT}
    ring["fallbacks"] = [ring]
    with pytest.raises(ConfigurationError, match="fallbacks"):
        LLMClient(ring)
