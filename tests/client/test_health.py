"""Health as users see it: everything that decides where the next request goes, in plain dicts."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.support.each import each
from tests.support.four_ways import CANARY, GPT, GROQ, HAIKU, SONAR, WAYS, Way, outcome_of
from tests.support.scripted_targets import Attempt, Pause, ScriptedTargets, say
from unified_llm import LLMClient, LLMConfig, health_snapshot, register_provider, reset_health
from unified_llm._core.outcome import Failure

DEAD = Failure("server", 503)
REFUSED = "its API key was refused (auth)"
FIELDS = {
    "target", "provider", "model", "host", "state", "consecutive_failures", "probe_in", "retry_in", "reason",
    "cooldowns", "rate_limit", "calls", "failures", "refused", "last_failure", "retry_budget", "standby",
}  # fmt: skip


def row_of(name: str, rows: list[dict[str, Any]] | None = None) -> dict[str, Any]:
    return next(row for row in (health_snapshot() if rows is None else rows) if row["target"] == name)


@each("way", WAYS)
def test_a_refused_key_is_shown_with_its_reason_and_its_end(way: Way) -> None:
    with ScriptedTargets({GPT: [Failure("auth", 401, detail=CANARY)], HAIKU: [say("Hello")]}).running() as targets:
        client = LLMClient(GPT, fallbacks=["openai/gpt-4o-mini", HAIKU])
        outcome_of(way, client)
        targets.clock += 12.0
        for name in (GPT, "openai/gpt-4o-mini"):  # which has the same key, and was not asked
            row = row_of(name, client.health())
            (cooldown,) = row["cooldowns"]
            assert cooldown == {"scope": "api_key", "reason": REFUSED, "seconds": pytest.approx(288, abs=0.1)}
            assert (row["state"], row["retry_in"], row["reason"]) == ("closed", cooldown["seconds"], REFUSED)
        shown = row_of(GPT)
    assert (shown["calls"], shown["failures"], shown["refused"]) == (1, 1, 0)
    assert shown["last_failure"]["kind"] == "auth"
    assert row_of(HAIKU)["cooldowns"] == []


@each(
    ("attempts", "cooldown"),
    [
        ([Failure("rate_limit", 429, retry_after=20.0)], ("rate_limit", "rate limited", 20.0)),
        ([Failure("quota", 402)], ("api_key", "its quota is used up (quota)", 300.0)),
        ([Failure("permission", 403)], ("api_key", "its API key lacks the permission (permission)", 300.0)),
        (
            [Failure("server", 503, headers={"retry-after": "40"})],
            ("target", "its server asked for a pause (Retry-After)", 40.0),
        ),
    ],
)
def test_each_cooldown_says_what_it_holds_and_why(attempts: list[Attempt], cooldown: tuple[str, str, float]) -> None:
    with ScriptedTargets({GPT: attempts, HAIKU: [say("Hello")]}).running():
        LLMClient(GPT, fallbacks=[HAIKU]).generate("Hello?")
        (shown,) = row_of(GPT)["cooldowns"]
    assert (shown["scope"], shown["reason"], shown["seconds"]) == (*cooldown[:2], pytest.approx(cooldown[2], abs=0.5))


def test_several_cooldowns_are_all_shown_and_the_longest_decides() -> None:
    limited, refused = Failure("rate_limit", 429, retry_after=20.0), Failure("auth", 401)
    with ScriptedTargets({GPT: [limited, refused], HAIKU: [say("Hello")]}).running() as targets:
        client = LLMClient(GPT, fallbacks=[HAIKU])
        client.generate("Hello?")
        with_other_key = LLMClient(GPT, api_key="sk-other", fallbacks=[HAIKU])
        with_other_key.generate("Hello?")
        assert [each["scope"] for each in row_of(GPT, client.health())["cooldowns"]] == ["rate_limit"]
        assert [each["scope"] for each in row_of(GPT, with_other_key.health())["cooldowns"]] == ["api_key"]
        assert sorted(each["scope"] for each in row_of(GPT)["cooldowns"]) == ["api_key", "rate_limit"]
        targets.clock += 30.0
        assert [each["scope"] for each in row_of(GPT)["cooldowns"]] == ["api_key"]


@pytest.mark.parametrize("way", WAYS)
def test_calls_failures_and_refusals_are_counted(way: Way) -> None:
    broken: Attempt = ["Hel", Failure("connection")] if "stream" in way else [Failure("connection")]
    script: list[Attempt] = [DEAD, say("Hello"), Failure("bad_request", 400), broken, Failure("auth", 401)]
    with ScriptedTargets({GPT: script, HAIKU: [say("Hello")]}).running() as targets:
        client = LLMClient(GPT, fallbacks=[HAIKU], max_retries=0)
        for _ in range(5):
            outcome_of(way, client)
            targets.clock += 1.0
        targets.clock += 400.0
        outcome_of(way, client)
        row = row_of(GPT)
    assert (row["calls"], row["failures"], row["refused"]) == (6, 4, 1)
    assert row["consecutive_failures"] == 1, "a refused key says nothing of the target"


def test_the_last_failure_has_its_kind_its_time_and_a_sentence() -> None:
    with ScriptedTargets({GPT: [DEAD, say("Hello"), Failure("bad_request", 400)]}).running() as targets:
        client = LLMClient(GPT, max_retries=1)
        assert client.health()[0]["last_failure"] is None
        client.generate("Hello?")
        targets.clock += 5.0
        outcome_of("generate", client)  # refused, which is no failure
        last = client.health()[0]["last_failure"]
    assert last == {
        "kind": "server",
        "status": 503,
        "message": "HTTP 503",
        "seconds_ago": pytest.approx(5.15, abs=0.1),
        "elsewhere": False,
        "at": "2027-01-15T08:16:40+00:00",
    }


def test_an_open_breaker_says_when_its_probe_is_due() -> None:
    with ScriptedTargets({GPT: [DEAD], HAIKU: [say("Hello")]}).running() as targets:
        client = LLMClient(GPT, fallbacks=[HAIKU], max_retries=0)
        for _ in range(8):
            client.generate("Hello?")
        row = row_of(GPT)
        assert (row["state"], row["reason"], row["calls"]) == ("open", "circuit breaker open", 5)
        assert 29.0 < row["probe_in"] == row["retry_in"] <= 30.0
        assert (row["consecutive_failures"], row["last_failure"]["message"]) == (5, "HTTP 503")
        targets.clock += 31.0
        assert (row_of(GPT)["state"], row_of(GPT)["probe_in"]) == ("half_open", 0.0)
        assert (row_of(HAIKU)["probe_in"], row_of(HAIKU)["calls"]) == (None, 8)


def test_a_request_that_was_never_sent_is_no_call() -> None:
    with ScriptedTargets({GPT: [Failure("unsendable", detail="no"), say("Hello")], HAIKU: [say("Hello")]}).running():
        LLMClient(GPT, fallbacks=[HAIKU]).generate("Hello?")
        assert (row_of(GPT)["calls"], row_of(GPT)["failures"]) == (0, 0)


def test_a_call_that_the_caller_ends_is_counted_once_and_is_no_failure() -> None:
    with ScriptedTargets({GPT: [["Hel", Pause()]]}).running():
        with LLMClient(GPT).stream("Hello?") as stream:
            next(iter(stream))
        assert (row_of(GPT)["calls"], row_of(GPT)["failures"]) == (1, 0)


def test_the_health_of_a_client_has_every_target_of_its_chain_in_its_order() -> None:
    with ScriptedTargets({GPT: [say("Hello")]}).running():
        inner = LLMConfig(model=HAIKU, fallbacks=[GROQ])
        client = LLMClient(GPT, fallbacks=[inner, SONAR])
        client.generate("Hello?")
        rows = client.health()
        assert [row["target"] for row in rows] == [GPT, HAIKU, GROQ, SONAR]
        assert [row["calls"] for row in rows] == [1, 0, 0, 0]
        assert all(set(row) == FIELDS for row in rows)


def test_health_is_json_and_has_no_key() -> None:
    with ScriptedTargets({GPT: [DEAD] * 6 + [Failure("auth", 401)], HAIKU: [say("Hello")]}).running():
        client = LLMClient(GPT, api_key=CANARY, fallbacks=[HAIKU])
        for _ in range(8):
            client.generate("Hello?")
        text = json.dumps([client.health(), health_snapshot()])
    assert "CANARY" not in text
    reset_health()
    assert health_snapshot() == []
    assert client.health()[0]["calls"] == 0


def test_rows_say_what_and_where_a_target_is() -> None:
    local = LLMConfig(model="openai-compatible/qwen3", base_url="http://127.0.0.1:8000/v1", name="here")
    with ScriptedTargets({"http://127.0.0.1:8000/v1": [say("Hello")]}).running():
        client = LLMClient(local, fallbacks=[GPT])
        client.generate("Hello?")
        rows = [*client.health(), *health_snapshot()]
    shown = [tuple(row[name] for name in ("target", "provider", "model", "host")) for row in rows]
    here = ("here", "openai-compatible", "qwen3", "127.0.0.1:8000")
    gpt = (GPT, "openai", "gpt-4o", "api.openai.com")
    assert shown == [here, gpt] * 2


def test_an_object_that_answers_has_health_and_no_host() -> None:
    class Echo:
        def generate(self, request: Any) -> Any:
            raise ConnectionError("no")

    register_provider("mine", Echo())
    client = LLMClient("mine/a", max_retries=0)
    with pytest.raises(Exception, match="mine/a"):
        client.generate("Hello?")
    (row,) = client.health()
    assert (row["target"], row["host"], row["calls"], row["failures"]) == ("mine/a", None, 1, 1)
    assert row["last_failure"]["kind"] == "connection"
