"""Calls and streams, sync and async: the same answers, the same errors, the same attempts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from tests.support.each import each
from tests.support.four_ways import GPT, GROQ, HAIKU, WAYS, CallOutcome, Way, outcome_of
from tests.support.scripted_targets import Attempt, Pause, ScriptedTargets, call_tool, say
from unified_llm import LLMClient, reset_health
from unified_llm._core.outcome import Failure
from unified_llm.exceptions import (
    AllTargetsFailedError,
    AuthenticationError,
    BadRequestError,
    ContentFilterError,
    ContextOverflowError,
    ServiceUnavailableError,
)

DEAD = Failure("server", 503, "overloaded", request_id="req-7")
LIMITED = Failure("rate_limit", 429, headers={"retry-after": "2"})
BOTH = [GPT, HAIKU]

SCRIPTS: dict[str, tuple[list[str], Mapping[str, Sequence[Attempt]]]] = {
    "the first answers": (BOTH, {GPT: [say("Hello to you")]}),
    "reasoning comes along": (BOTH, {GPT: [say("Yes", reasoning="Hm, well")]}),
    "a tool is called": (BOTH, {GPT: [call_tool("look", '{"at": "sea"}')]}),
    "a transient error": (BOTH, {GPT: [DEAD, say("Hello again")]}),
    "a dead primary": (BOTH, {GPT: [DEAD], HAIKU: [say("Hello from the second")]}),
    "two dead targets": ([GPT, HAIKU, GROQ], {GPT: [DEAD], HAIKU: [Failure("connect")], GROQ: [say("third")]}),
    "silence": (BOTH, {GPT: [[Pause()]], HAIKU: [say("Hello")]}),
    "throttled, then another": (BOTH, {GPT: [LIMITED], HAIKU: [say("Hello")]}),
    "throttled, and alone": ([GPT], {GPT: [LIMITED, say("Hello")]}),
    "a refused key": (BOTH, {GPT: [Failure("auth", 401)], HAIKU: [say("Hello")]}),
    "a refused key, and alone": ([GPT], {GPT: [Failure("auth", 401, "invalid_api_key")]}),
    "all dead": (BOTH, {GPT: [DEAD], HAIKU: [Failure("malformed", 200)]}),
    "dead, and alone": ([GPT], {GPT: [DEAD]}),
    "a bad request": (BOTH, {GPT: [Failure("bad_request", 400, "invalid")], HAIKU: [say("Hello")]}),
    "a bad request to all": (BOTH, {GPT: [Failure("bad_request", 400)], HAIKU: [Failure("unsupported", 400)]}),
    "a filter": (BOTH, {GPT: [DEAD, Failure("filter", 400)], HAIKU: [say("never")]}),
    "too long": (BOTH, {GPT: [Failure("context", 400)], HAIKU: [Failure("context", 400)]}),
    "empty": (BOTH, {GPT: [[Failure("empty", 200)]], HAIKU: [say("Hello")]}),
    "cut short": (BOTH, {GPT: [[]], HAIKU: [say("Hello")]}),
}
ERRORS = {
    "a refused key, and alone": AuthenticationError,
    "all dead": AllTargetsFailedError,
    "dead, and alone": ServiceUnavailableError,
    "a bad request to all": BadRequestError,
    "a filter": ContentFilterError,
    "too long": ContextOverflowError,
}


def run(way: Way, name: str) -> tuple[CallOutcome, ScriptedTargets]:
    chain, script = SCRIPTS[name]
    reset_health()
    targets = ScriptedTargets(script)
    with targets.running():
        result = outcome_of(way, LLMClient(chain[0], fallbacks=chain[1:]))
    assert targets.open == 0
    return result, targets


@each("name", SCRIPTS)
def test_all_four_ways_have_the_same_outcome(name: str) -> None:
    first, targets = run("generate", name)
    assert first.error is ERRORS.get(name)
    assert first.content or first.calls or first.error
    for way in WAYS[1:]:
        other, other_targets = run(way, name)
        assert other == first, way
        assert other_targets.names == targets.names
        assert other_targets.slept == targets.slept


def test_the_scripts_come_to_what_they_say() -> None:
    assert run("generate", "a dead primary")[0].metadata == (
        "stop",
        run("stream", "the first answers")[0].metadata[1],
        "r-1",
        "claude-haiku-4-5",
        "anthropic",
    )
    assert run("astream", "a tool is called")[0].calls == (("look", '{"at": "sea"}'),)
    assert run("stream", "reasoning comes along")[0].reasoning == "Hm, well"
    assert run("agenerate", "dead, and alone")[0].metadata == ("openai", "gpt-4o", 503, "req-7", "overloaded")
