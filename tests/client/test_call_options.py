"""Options of calls: which failures fail over, when to hedge, what a broken stream does."""

from __future__ import annotations

import logging
import pickle
from copy import deepcopy
from typing import Any

import pytest

from tests.support.each import each
from tests.support.four_ways import GPT, HAIKU, WAYS, Way, outcome_of
from tests.support.racing import RacingTargets
from tests.support.scripted_targets import Attempt, Pause, ScriptedTargets, say
from unified_llm import LLMClient
from unified_llm._core.outcome import Done, Failure
from unified_llm.exceptions import (
    BadRequestError,
    ConfigurationError,
    ContentFilterError,
    RateLimitError,
    StreamInterruptedError,
    UnsupportedOperationError,
    ValidationError,
)
from unified_llm.types import EmbeddingResponse, LLMResponse, ModelInfo, Tool

BLOCKED = Failure("filter", 400)
LIMITED = Failure("rate_limit", 429, headers={"retry-after": "90"})

MODELS = tuple(ModelInfo(name, "openai") for name in ("gpt-4o", "gpt-5"))

# failover_on


@each("way", WAYS)
def test_a_blocked_prompt_goes_on_where_the_user_wants_that(way: Way) -> None:
    targets = ScriptedTargets({GPT: [BLOCKED], HAIKU: [say("Hello")]})
    with targets.running():
        assert outcome_of(way, LLMClient(GPT, fallbacks=[HAIKU])).error is ContentFilterError
        assert outcome_of(way, LLMClient(GPT, fallbacks=[HAIKU], failover_on={"filter": True})).content == "Hello"
        assert outcome_of(way, LLMClient(GPT, fallbacks=[HAIKU]), failover_on={"filter": True}).content == "Hello"


@each("way", WAYS)
def test_a_failure_that_must_not_fail_over_is_raised_as_itself(way: Way) -> None:
    targets = ScriptedTargets({GPT: [LIMITED], HAIKU: [say("Hello")]})
    with targets.running():
        result = outcome_of(way, LLMClient(GPT, fallbacks=[HAIKU], failover_on={"rate_limit": False}))
    assert result.error is RateLimitError
    assert targets.names == [GPT]


def test_the_rules_of_a_call_replace_those_of_the_client() -> None:
    targets = ScriptedTargets({GPT: [BLOCKED], HAIKU: [say("Hello")]})
    with targets.running():
        client = LLMClient(GPT, fallbacks=[HAIKU], failover_on={"filter": True})
        several: list[Any] = [{}, {"bad_request": True}, None]
        for rules in several:
            with pytest.raises(ContentFilterError):
                client.generate("Hello?", failover_on=rules)


def test_embeddings_follow_the_same_rules() -> None:
    small, ours = "openai/text-embedding-3-small", "http://127.0.0.1:9/v1"
    backup = {"model": "openai-compatible/text-embedding-3-small", "base_url": ours}
    targets = ScriptedTargets({small: [Failure("bad_request", 400)], ours: [[Done(EmbeddingResponse([[1.0]]))]]})
    with targets.running():
        client = LLMClient(small, fallbacks=[backup])
        assert client.embed("Hello").vectors == [[1.0]]
        with pytest.raises(BadRequestError):
            client.embed("Hello", failover_on={"bad_request": False})
        with pytest.raises(BadRequestError):
            LLMClient(small, fallbacks=[backup], failover_on={"bad_request": False}).embed("Hello")


WRONG: list[tuple[Any, str]] = [
    ({"ratelimit": False}, "did you mean 'rate_limit'"),
    ({"sk-MISPLACED": True}, "known are connect, tls"),
    ({"filter": 1}, "failover_on maps kinds of failure to True or False, and 'filter' to neither"),
    ({429: True}, "has no kind of failure 429: HTTP 429 is 'rate_limit'"),
    ({"500": True}, "HTTP 500 is 'server'"),
    ({RateLimitError: True}, "no kind of failure RateLimitError: it is raised for 'rate_limit'"),
    ({None: True}, "known are connect, tls"),
    ([429, 500], r"got list: write failover_on=\{'rate_limit': True, 'server': True\}"),
    ("timeout", r"got str: write failover_on=\{'timeout': True\}"),
    (["filter"], "failover_on maps kinds"),
]


@each(("wrong", "match"), WRONG)
def test_rules_that_make_no_sense_are_refused(wrong: Any, match: str) -> None:
    with pytest.raises(ConfigurationError, match=match) as caught:
        LLMClient(GPT, failover_on=wrong)
    assert "MISPLACED" not in str(caught.value)
    targets = ScriptedTargets({GPT: [say("never")]})
    with targets.running():
        client = LLMClient(GPT)
        for method in (client.generate, client.stream, client.embed):
            with pytest.raises(ValidationError, match=match):
                method("Hello?", failover_on=wrong)
    assert targets.asked == []


@each("wrong", [0, -1, True, float("nan"), "soon"])
def test_an_instant_to_hedge_that_makes_no_sense_is_refused(wrong: Any) -> None:
    with pytest.raises(ConfigurationError, match="hedge_after must be "):
        LLMClient(GPT, hedge_after=wrong)
    with pytest.raises(ValidationError, match="hedge_after must be "):
        LLMClient(GPT).generate("Hello?", hedge_after=wrong)


def test_copies_keep_the_rules() -> None:
    client = LLMClient(GPT, deadline=9.0, hedge_after=2.0, failover_on={"filter": True})
    for copy in (deepcopy(client), pickle.loads(pickle.dumps(client))):  # noqa: S301 - our own
        assert copy._options == client._options
        assert copy._options.failover_on == {"filter": True}


def test_rules_that_are_changed_by_their_owner_do_not_change_the_clients() -> None:
    mine: dict[Any, bool] = {"filter": True}
    client = LLMClient(GPT, failover_on=mine)
    mine.clear()
    assert client._options.failover_on == {"filter": True}


# Broken streams


def test_a_broken_stream_raises_and_nothing_else_is_offered() -> None:
    targets = ScriptedTargets({GPT: [["Hel", Failure("connection")]]})
    with targets.running(), pytest.raises(StreamInterruptedError):
        list(LLMClient(GPT, on_stream_break="raise").stream("Hello?"))
    for value in ("continue", "restart", None):
        with pytest.raises(ConfigurationError, match='on_stream_break knows "raise" alone'):
            LLMClient(GPT, on_stream_break=value)  # type: ignore[arg-type]


# Hedging


def slow() -> RacingTargets:
    return RacingTargets({GPT: [[Pause(15.0), *say("slow")]], HAIKU: [say("quick")]})


async def collect(client: LLMClient, prompt: Any = "Hello?", **overrides: Any) -> tuple[str, Any]:
    chunks = [chunk async for chunk in client.astream(prompt, **overrides)]
    return "".join(chunk.content for chunk in chunks), chunks[-1]


def test_an_async_call_is_hedged() -> None:
    client = LLMClient(GPT, fallbacks=[HAIKU], hedge_after=2.0)
    answer = slow().run(lambda: client.agenerate("Hello?"))
    assert (answer.content, answer.used_fallback, answer.retry_count) == ("quick", True, 1)
    assert [(attempt.target, attempt.outcome, attempt.reason) for attempt in answer.attempts] == [
        (GPT, "cancelled", "hedged"),
        (HAIKU, "ok", None),
    ]
    assert slow().run(lambda: client.agenerate("Hello?")).content == "slow"  # a fresh client has a budget for one hedge


def test_an_async_stream_is_hedged_if_the_call_says_so() -> None:
    client = LLMClient(GPT, fallbacks=[HAIKU])
    text, last = slow().run(lambda: collect(client, hedge_after=2.0))
    assert (text, last.used_fallback) == ("quick", True)
    assert [attempt.outcome for attempt in last.attempts] == ["cancelled", "ok"]


def test_a_call_can_do_without_a_hedge() -> None:
    client = LLMClient(GPT, fallbacks=[HAIKU], hedge_after=2.0)
    assert slow().run(lambda: collect(client, hedge_after=None))[0] == "slow"


def test_a_call_does_not_wait_for_the_attempt_that_lost() -> None:
    targets = slow()
    seen: list[str] = []
    client = LLMClient(GPT, fallbacks=[HAIKU], hedge_after=2.0, on_attempt=lambda attempt: seen.append(attempt.outcome))
    assert targets.run(lambda: collect(client))[0] == "quick"
    assert targets.clock == pytest.approx(1002.01)
    assert (seen, targets.open) == (["cancelled", "ok"], 0)


@each("overrides", [{"tools": [Tool("web_search", builtin={"type": "web_search"})]}, {"store": 1}])
def test_what_acts_on_the_server_is_not_asked_for_twice(overrides: dict[str, Any]) -> None:
    options = {"extra_body": overrides} if "store" in overrides else overrides
    client = LLMClient(
        "openai-compatible/one", base_url="http://127.0.0.1:9", fallbacks=[{"base_url": "http://127.0.0.1:8"}]
    )
    targets = RacingTargets({f"http://127.0.0.1:{port}/v1": [[Pause(20.0), *say("x")]] for port in (8, 9)})
    targets.run(lambda: client.agenerate("Hello?", hedge_after=2.0, **options))
    assert len(targets.asked) == 1
    targets.run(lambda: client.agenerate("Hello?", hedge_after=2.0, tools=[Tool("mine")]))
    assert len(targets.asked) == 3


def test_targets_that_keep_answers_are_not_hedged() -> None:
    client = LLMClient(GPT, extra_body={"store": True}, fallbacks=[HAIKU], hedge_after=2.0)
    assert slow().run(lambda: client.agenerate("Hello?")).content == "slow"


def test_embeddings_and_model_lists_are_not_hedged() -> None:
    client = LLMClient("openai/text-embedding-3-small", fallbacks=["azure/x"], skip_unconfigured=True, hedge_after=2.0)
    vectors: Attempt = [Pause(20.0), Done(EmbeddingResponse([[1.0]]))]
    targets = RacingTargets({"openai/text-embedding-3-small": [vectors]})
    assert targets.run(lambda: client.aembed("Hello")).vectors == [[1.0]]
    targets.scripts = {"openai": [[Pause(20.0), Done((MODELS, None))]]}
    assert targets.run(client.alist_models) == list(MODELS)
    with pytest.raises(ValidationError, match="hedge_after"):
        client.embed("Hello", hedge_after=2.0)  # type: ignore[call-arg]


def test_sync_calls_are_not_hedged_and_say_so_once(caplog: pytest.LogCaptureFixture) -> None:
    targets = ScriptedTargets({GPT: [[Pause(15.0), *say("slow")]], HAIKU: [say("quick")]})
    with targets.running(), caplog.at_level(logging.WARNING, "unified_llm"):
        client = LLMClient(GPT, fallbacks=[HAIKU], hedge_after=2.0)
        assert client.generate("Hello?").content == "slow"
        assert "".join(chunk.content for chunk in client.stream("Hello?")) == "slow"
    assert targets.names == [GPT, GPT]
    assert [record.message for record in caplog.records if "hedge_after" in record.message] == [
        "hedge_after has no effect on sync calls; use the async methods to hedge"
    ]


# Models that are not found


@each("way", WAYS)
def test_a_model_that_is_not_found_is_dropped_from_the_list_that_was_kept(way: Way) -> None:
    targets = ScriptedTargets(
        {
            "openai": [[Done((MODELS, None))]],
            "anthropic": [[Done(((ModelInfo("gpt-4o", "anthropic"),), None))]],
            GPT: [Failure("model_not_found", 404)],
            HAIKU: [say("Hello")],
        }
    )
    with targets.running():
        client = LLMClient(GPT, fallbacks=[HAIKU])
        assert len(client.list_models()) == 3
        assert outcome_of(way, client).content == "Hello"
        assert [(model.provider, model.id) for model in client.list_models()] == [
            ("openai", "gpt-5"),
            ("anthropic", "gpt-4o"),
        ]
    assert targets.names.count("openai") == 1


def test_a_model_that_is_not_found_before_any_list_was_read_is_no_matter() -> None:
    targets = ScriptedTargets({GPT: [Failure("model_not_found", 404)], HAIKU: [say("Hello")]})
    with targets.running():
        assert LLMClient(GPT, fallbacks=[HAIKU]).generate("Hello?").content == "Hello"


# Messages, and limits that are used up


def test_one_target_without_a_model_and_one_that_cannot_are_both_reported() -> None:
    targets = ScriptedTargets({})
    with targets.running(), pytest.raises(ValidationError) as caught:
        LLMClient(provider="openai", fallbacks=["perplexity/sonar"]).generate("Hello?", tools=[Tool("look")])
    message = str(caught.value)
    assert message.startswith(
        "No target can serve this request (openai: no model was named; perplexity/sonar cannot call"
    )
    assert message.endswith('Name the model: pass model="...".')
    with targets.running(), pytest.raises(UnsupportedOperationError):
        LLMClient("perplexity/sonar").generate("Hello?", tools=[Tool("look")])


def test_an_answer_that_uses_up_a_limit_sends_the_next_call_elsewhere() -> None:
    headers = {"x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": "30s"}
    targets = ScriptedTargets({GPT: [[Done(LLMResponse("Hi"), headers=headers)]], HAIKU: [say("Hello")]})
    with targets.running():
        client = LLMClient(GPT, fallbacks=[HAIKU])
        assert client.generate("Hello?").content == "Hi"
        assert client.generate("Hello?").content == "Hello"
