"""Every kind of fault, with all four ways to call a client."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, get_args

import pytest

from tests.support.each import each
from tests.support.four_ways import GPT, HAIKU, WAYS, Way, outcome_of
from unified_llm import LLMClient
from unified_llm import exceptions as exc
from unified_llm.testing import outage
from unified_llm.testing._faults import FaultKind

EVERY_WAY = pytest.mark.parametrize("way", WAYS)

# What a user gets from a failing target without a fallback: the error, the status, the outcome of the attempt.
ALONE: Mapping[str, tuple[type[exc.LLMError], int | None, str]] = {
    "refused": (exc.ConnectionError, None, "connect"),
    "dns": (exc.ConnectionError, None, "connect"),
    "tls": (exc.ConfigurationError, None, "tls"),
    "hang": (exc.TimeoutError, None, "timeout"),
    "cut": (exc.ConnectionError, None, "connection"),
    "truncated": (exc.GenerationError, None, "truncated"),
    "empty": (exc.GenerationError, None, "empty"),
    "malformed": (exc.GenerationError, None, "malformed"),
    "auth": (exc.AuthenticationError, 401, "auth"),
    "quota": (exc.QuotaExceededError, 429, "quota"),
    "rate_limit": (exc.RateLimitError, 429, "rate_limit"),
    "context": (exc.ContextOverflowError, 400, "context"),
    "filter": (exc.ContentFilterError, 400, "filter"),
    "400": (exc.BadRequestError, 400, "bad_request"),
    "401": (exc.AuthenticationError, 401, "auth"),
    "402": (exc.QuotaExceededError, 402, "quota"),
    "403": (exc.PermissionDeniedError, 403, "permission"),
    "404": (exc.ModelNotFoundError, 404, "model_not_found"),
    "408": (exc.TimeoutError, 408, "request_timeout"),
    "413": (exc.ContextOverflowError, 413, "too_large"),
    "429": (exc.RateLimitError, 429, "rate_limit"),
    "500": (exc.ServiceUnavailableError, 500, "server"),
    "502": (exc.ServiceUnavailableError, 502, "server"),
    "503": (exc.ServiceUnavailableError, 503, "server"),
    "504": (exc.ServiceUnavailableError, 504, "server"),
    "529": (exc.ServiceUnavailableError, 529, "server"),
}
RAISED = {"filter"}
MIDWAY = {"cut", "truncated"}


def test_the_table_is_that_of_the_kinds() -> None:
    assert list(ALONE) == list(get_args(FaultKind))


@each("kind", ALONE)
def test_a_target_alone_fails_as_its_kind_says(kind: FaultKind) -> None:
    error, status, outcome = ALONE[kind]
    for way in WAYS:
        broken = kind in MIDWAY and "stream" in way
        with outage("openai", kind) as seen:
            result = outcome_of(way, LLMClient(GPT))
        assert result.error is (exc.StreamInterruptedError if broken else error), way
        assert result.metadata[2] == status
        assert {attempt.outcome for attempt in seen.attempts} == {outcome}
        assert set(seen.asked) == {GPT}


@each("kind", [kind for kind in ALONE if kind not in RAISED])
def test_a_fallback_answers_in_its_place(kind: FaultKind) -> None:
    # A prompt that is too long is tried again only where there is more room.
    chain = [GPT, "openai/gpt-4.1"] if kind in {"context", "413"} else [GPT, HAIKU]
    for way in WAYS:
        # A stream that breaks before its first chunk fails over like a whole answer.
        with outage(GPT, kind, reply="I am still here.", after=0) as seen:
            result = outcome_of(way, LLMClient(chain[0], fallbacks=chain[1:]))
        assert result.content == "I am still here.", way
        assert result.metadata[-2:] == (chain[1].partition("/")[2], chain[1].partition("/")[0])
        assert seen.asked[0] == GPT
        assert seen.asked[-1] == chain[1]
        assert [attempt[:2] for attempt in result.attempts] == [
            (attempt.target, attempt.outcome) for attempt in seen.attempts
        ]


@EVERY_WAY
@pytest.mark.parametrize("kind", sorted(RAISED))
def test_what_is_wrong_with_the_request_is_raised(kind: FaultKind, way: Way) -> None:
    with outage("openai", kind, reply="I am still here.") as seen:
        result = outcome_of(way, LLMClient(GPT, fallbacks=[HAIKU]))
    assert result.error is ALONE[kind][0]
    assert seen.asked == [GPT]


async def read(way: str, client: LLMClient, texts: list[str]) -> None:
    """Read a stream to its end, or to its error."""
    if way == "stream":
        texts.extend(chunk.content for chunk in client.stream("Hello?"))
    else:
        async for chunk in client.astream("Hello?"):
            texts.append(chunk.content)  # noqa: PERF401 - the texts before an error count


@pytest.mark.parametrize("way", ["stream", "astream"])
@pytest.mark.parametrize("kind", [*sorted(MIDWAY), "hang", "503"])
@pytest.mark.parametrize("after", [1, 5])
async def test_a_stream_breaks_after_so_many_chunks(kind: FaultKind, way: str, after: int) -> None:
    texts: list[str] = []
    with outage("openai", kind, reply="never asked for", after=after) as seen:
        client = LLMClient(GPT, fallbacks=[HAIKU])
        with pytest.raises(exc.StreamInterruptedError) as caught:
            await read(way, client, texts)
    assert len(texts) == after
    assert caught.value.partial == "".join(texts)
    assert "This answer breaks off This ".startswith(caught.value.partial)
    assert seen.asked == [GPT]


def test_a_whole_answer_breaks_whatever_after_says() -> None:
    with outage("openai", "cut", reply="Hello", after=7):
        assert LLMClient(GPT, fallbacks=[HAIKU]).generate("Hello?").used_fallback


@pytest.mark.parametrize("kind", ["429", "503"])
def test_a_server_says_when_to_come_back_and_is_asked_then(kind: FaultKind) -> None:
    with outage("openai", kind, reply="Here again.", times=1, retry_after=20) as seen:
        answer = LLMClient(GPT).generate("Hello?")
    assert (answer.content, answer.retry_count) == ("Here again.", 1)
    assert 20 <= seen.attempts[1].waited <= 22
    assert seen.seconds >= 20


def test_a_rate_limit_is_raised_with_its_hint() -> None:
    with outage("openai", "rate_limit", retry_after=90), pytest.raises(exc.RateLimitError) as caught:
        LLMClient(GPT).generate("Hello?")
    assert caught.value.retry_after == 90


@each(
    ("arguments", "message"),
    [
        (
            {"kind": "refusd"},
            "outage() has no kind 'refusd': did you mean 'refused'? The kinds are refused, dns, ",
        ),
        ({"kind": "QUOTA"}, "did you mean 'quota'?"),
        ({"kind": 503}, "did you mean '503'?"),
        ({"kind": "timeout"}, "outage() has no kind 'timeout': did you mean 'hang'? "),
        ({"kind": "Server"}, "outage() has no kind 'Server': did you mean '500'? "),
        ({"kind": [503]}, "outage() has no kind list: The kinds are refused"),
        ({"kind": "429", "retry_after": "5"}, "retry_after= must be a number of seconds"),
        ({"kind": "429", "retry_after": True}, "retry_after= must be a number of seconds"),
        ({"kind": "429", "retry_after": float("nan")}, "retry_after= must be a number of seconds"),
        ({"kind": "earthquake"}, "outage() has no kind 'earthquake': The kinds are refused"),
        ({"kind": "cut", "after": -1}, "after= must be a number of chunks"),
        ({"kind": "cut", "after": True}, "after= must be a number of chunks"),
        ({"kind": "cut", "after": 1.5}, "after= must be a number of chunks"),
        ({"kind": "refused", "retry_after": 3}, "'refused' has none: leave it out"),
        ({"kind": "hang", "retry_after": 3}, "'hang' has none: leave it out"),
        ({"retry_after": -1}, "retry_after= must be a number of seconds"),
        ({"retry_after": float("nan")}, "retry_after= must be a number of seconds"),
        ({"retry_after": 1e9}, "retry_after= must be a number of seconds"),
        ({"times": 0}, "times= must be a number of attempts"),
        ({"times": True}, "times= must be a number of attempts"),
        ({"times": 1.5}, "times= must be a number of attempts"),
        ({"targets": []}, "Name the targets that fail"),
        ({"targets": " "}, "Name the targets that fail"),
        ({"targets": ["openai", 7]}, "Name the targets that fail"),
        ({"reply": []}, "reply= is an empty list"),
        ({"reply": 7}, "not int"),
        ({"reply": ["Hello", 7]}, "not int"),
        ({"reply": {"anthropic": "Hello"}}, "not dict"),
    ],
)
def test_what_makes_no_sense_is_refused_at_once(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(exc.ConfigurationError) as caught:
        outage(**{"targets": "openai"} | arguments)
    assert message in str(caught.value)
