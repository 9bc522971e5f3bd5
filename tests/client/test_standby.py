"""Targets on standby: when their models are loaded in the background, and when they are unloaded again."""

from __future__ import annotations

import asyncio
import gc
import json
import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pytest

from tests.support.each import each
from tests.support.four_ways import GPT, HAIKU
from tests.support.scripted_targets import Attempt, Pause, ScriptedTargets, say
from tests.support.slow_models import SlowModels
from unified_llm import LLMClient, LLMConfig, configure, health_snapshot
from unified_llm._core.outcome import Failure
from unified_llm._state import standby
from unified_llm._state.standby import KEPT_AFTERWARDS, Standby, Standbys
from unified_llm.exceptions import ConfigurationError
from unified_llm.langchain import ChatUnified
from unified_llm.types import LLMResponse

DEAD, GONE = Failure("server", 503), Failure("model_not_found", 404)
LOCAL, OTHER = "ollama/llama3.2", "anthropic/claude-haiku-4-5"
WARM = {"model": LOCAL, "standby": "warm"}
BEGINS = "ollama/llama3.2: on standby, its model is being loaded (openai/gpt-4o: "


@dataclass
class Outage:
    """A process whose primary fails, with one model on standby that takes 10 s to load."""

    targets: ScriptedTargets
    standbys: Standbys
    started: list[Standby]

    @property
    def models(self) -> SlowModels:
        models: SlowModels = self.targets.models
        return models

    def call(self, client: LLMClient, **options: Any) -> LLMResponse:
        response = client.generate("Hello?", **options)
        self.pass_time(0.0)
        return response

    def calls(self, client: LLMClient, count: int) -> None:
        for _ in range(count):
            self.call(client)

    def script(self, *attempts: Attempt) -> None:
        """Let the primary do this from now on."""
        self.targets.scripts = {**self.targets.scripts, GPT: attempts}
        self.targets.asked.clear()

    def pass_time(self, seconds: float) -> None:
        """Let the time pass; the threads of models on standby do what is due."""
        self.targets.clock += seconds
        for each_one in self.started:
            each_one.poll()


@contextmanager
def an_outage(*attempts: Attempt, answer: Sequence[Any] = say("Here")) -> Iterator[Outage]:
    targets = ScriptedTargets({GPT: attempts or [DEAD], LOCAL: [answer], HAIKU: [say("There")]})
    targets.models = SlowModels(targets, {LOCAL: 10.0})
    started: list[Standby] = []
    with targets.running(), standby.apart(Standbys(start=started.append)) as standbys:
        yield Outage(targets, standbys, started)


def a_client(*fallbacks: Any, **fields: Any) -> LLMClient:
    return LLMClient(GPT, fallbacks=[*(fallbacks or (WARM, HAIKU))], **fields)


def row_of(client: LLMClient, name: str = LOCAL) -> dict[str, Any] | None:
    rows = [row["standby"] for row in client.health() if row["target"] == name]
    return rows[0] if rows else None


# When loading begins


def test_it_begins_when_the_breaker_of_the_primary_opens(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "unified_llm")
    with an_outage() as outage:
        client = a_client(max_retries=0, breaker={"failures": 2})
        assert outage.call(client).content == "There"
        assert outage.models.preloaded == []
        assert row_of(client) is None
        assert outage.call(client).content == "There"
        assert outage.models.preloaded == [LOCAL]
        assert row_of(client) == {
            "state": "loaded", "reason": "openai/gpt-4o: its circuit breaker opened", "seconds": 0.0,
            "unloaded_in": None,
        }  # fmt: skip
        response = outage.call(client)
        reasons = {attempt.target: attempt.reason for attempt in response.attempts}
        assert (response.content, reasons[LOCAL]) == ("There", "its model is being loaded")
        outage.pass_time(10.0)
        assert outage.call(client).content == "Here"
        assert json.dumps(health_snapshot())
    assert f"{BEGINS}its circuit breaker opened)" in caplog.messages
    assert outage.models.waits == []


@each(("pause", "begins"), [(29.0, True), (31.0, False)])
def test_it_begins_after_three_failures_within_a_minute(pause: float, *, begins: bool) -> None:
    with an_outage() as outage:
        client = a_client(max_retries=0)
        for _ in range(3):
            outage.call(client)
            outage.targets.clock += pause
        assert outage.models.preloaded == [LOCAL] * begins


def test_failures_of_other_clients_count_and_a_model_is_loaded_once_for_all() -> None:
    with an_outage() as outage:
        others = [a_client(HAIKU, max_retries=0), LLMClient(GPT, fallbacks=[HAIKU], max_retries=0)]
        clients = [a_client(), a_client(), LLMClient(GPT, fallbacks=[{**WARM, "timeout": 3}])]
        for client in [*others, *others]:
            outage.call(client)
        outage.pass_time(0.0)
        assert outage.models.preloaded == [LOCAL]
        assert all(row_of(client) for client in clients)
        assert LOCAL not in outage.targets.names


def test_a_client_that_is_made_during_the_outage_begins_at_once() -> None:
    with an_outage() as outage:
        outage.calls(a_client(HAIKU, max_retries=0), 5)
        client = a_client()
        outage.pass_time(0.0)
        assert row_of(client)
        assert outage.models.preloaded == [LOCAL]


def test_nothing_is_loaded_for_a_client_that_is_gone() -> None:
    with an_outage() as outage:
        client = a_client()
        known = outage.standbys.find(client.targets[1])
        assert known
        del client
        gc.collect()
        outage.calls(a_client(HAIKU, max_retries=0), 5)
        known.poll()
        assert outage.models.preloaded == []


def test_a_load_that_failed_is_not_tried_again_for_a_client_that_is_gone() -> None:
    with an_outage() as outage:
        outage.models.broken.add(LOCAL)
        client = a_client(max_retries=0)
        outage.calls(client, 3)
        outage.models.broken.clear()
        del client
        gc.collect()
        outage.pass_time(301.0)
        assert outage.models.preloaded == []


def test_what_the_primary_refuses_is_no_trouble_and_neither_is_the_impatience_of_another_client() -> None:
    with an_outage(GONE) as outage:
        client = a_client()
        outage.calls(client, 5)
        outage.script([Pause()])
        outage.calls(LLMClient(GPT, fallbacks=[HAIKU], timeout=0.05, max_retries=0), 6)
        assert outage.models.preloaded == []


def test_a_chain_of_one_call_and_one_that_a_process_wide_default_puts_on_standby() -> None:
    with an_outage() as outage:
        client = LLMClient(GPT, max_retries=0)
        for _ in range(3):
            assert outage.call(client, fallbacks=[LLMConfig(model=LOCAL, standby="warm"), HAIKU]).content == "There"
        assert outage.models.preloaded == [LOCAL]
    configure(standby="warm")
    with an_outage() as outage:
        client = a_client(LOCAL, HAIKU, max_retries=0)
        assert [target.standby for target in client.targets] == [None, "warm", None]
        outage.calls(client, 3)
        assert outage.models.preloaded == [LOCAL]
        assert LLMClient(LOCAL, fallbacks=[GPT]).targets[0].standby is None


def test_adapters_async_calls_streams_and_embeddings_have_it_too() -> None:
    with an_outage() as outage:
        client = LLMClient("openai/text-embedding-3-small", fallbacks=[{**WARM, "space": "s"}], space="s")
        outage.targets.scripts = {**outage.targets.scripts, "openai/text-embedding-3-small": [DEAD]}
        assert client.embed(["one"]).provider == "ollama"
        assert outage.models.waits == [(LOCAL, 10.0)]
    with an_outage() as outage:
        chat = ChatUnified(model=GPT, fallbacks=[WARM], max_retries=0)
        assert asyncio.run(chat.ainvoke("Hello?")).content == "Here"
        assert "".join(chunk.text for chunk in chat.stream("Hello?")) == "Here"
        assert outage.models.waits == [(LOCAL, 10.0)]


# When it is undone


def test_it_is_unloaded_ten_minutes_after_the_primary_is_back(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "unified_llm")
    with an_outage() as outage:
        client = a_client(max_retries=0)
        outage.calls(client, 3)
        outage.script(say("Back"))
        outage.pass_time(70.0)
        outage.call(client)
        row = row_of(client)
        assert row
        assert row["unloaded_in"] == pytest.approx(KEPT_AFTERWARDS, abs=0.1)
        outage.pass_time(KEPT_AFTERWARDS - 1)
        assert outage.models.unloaded == []
        outage.pass_time(2)
        assert outage.models.unloaded == [LOCAL]
        assert row_of(client) is None
        outage.script(DEAD)  # and the next outage begins from the start
        outage.calls(client, 3)
        assert outage.models.preloaded == [LOCAL, LOCAL]
    assert caplog.messages.count(f"{BEGINS}3 failures within 60 s)") == 2
    assert any("is unloaded: the primary has responded for" in message for message in caplog.messages)


def test_trouble_within_these_minutes_keeps_it_loaded() -> None:
    with an_outage() as outage:
        client = a_client(max_retries=0)
        outage.calls(client, 3)
        outage.script(say("Back"), DEAD)
        outage.call(client)
        outage.pass_time(300.0)
        outage.calls(client, 3)
        outage.pass_time(KEPT_AFTERWARDS)
        assert (outage.models.preloaded, outage.models.unloaded) == ([LOCAL], [])


def test_a_model_that_a_call_has_used_stays_loaded() -> None:
    with an_outage() as outage:
        client = a_client(WARM, max_retries=0)
        outage.calls(client, 4)
        assert outage.models.preloaded == [LOCAL]
        outage.script(say("Back"))
        outage.pass_time(60.0)
        outage.calls(client, 1)
        outage.pass_time(KEPT_AFTERWARDS + 1)
        assert outage.models.unloaded == []
        assert row_of(client) is None


def test_where_nothing_else_unloads_it_a_model_is_unloaded_ten_minutes_after_the_last_call() -> None:
    with an_outage() as outage:
        outage.models.unloads = False
        client = a_client(max_retries=0)
        outage.calls(client, 3)
        outage.pass_time(11.0)
        assert outage.call(client).model == LOCAL.partition("/")[2]
        outage.script(say("Back"))
        outage.pass_time(60.0)
        outage.calls(client, 1)
        outage.pass_time(KEPT_AFTERWARDS - 1)
        LLMClient(LOCAL).generate("Hello?")  # which no later call makes known
        outage.pass_time(2.0)
        assert outage.models.unloaded == []
        outage.pass_time(KEPT_AFTERWARDS - 1)
        assert outage.models.unloaded == [LOCAL]


def test_the_last_call_before_a_model_is_due_counts() -> None:
    with an_outage() as outage:
        client = a_client(max_retries=0)
        outage.calls(client, 3)
        outage.script(say("Back"))
        outage.calls(client, 1)
        outage.pass_time(KEPT_AFTERWARDS - 1)
        LLMClient(LOCAL).generate("Hello?")
        outage.pass_time(2.0)
        assert (outage.models.unloaded, row_of(client)) == ([], None)


def test_a_model_that_was_loaded_before_stays_loaded() -> None:
    with an_outage() as outage:
        client = a_client(max_retries=0)
        outage.models.begin(client.targets[1])
        outage.calls(client, 3)
        outage.script(say("Back"))
        outage.calls(client, 1)
        outage.pass_time(KEPT_AFTERWARDS + 1)
        assert (outage.models.preloaded, outage.models.unloaded) == ([LOCAL], [])


def test_a_model_that_was_unloaded_during_the_outage_is_loaded_again() -> None:
    with an_outage() as outage:
        client = a_client(max_retries=0)
        outage.calls(client, 3)
        del outage.models.ready_at[LOCAL]
        outage.targets.clock += 60.0
        outage.calls(client, 3)
        assert outage.models.preloaded == [LOCAL, LOCAL]


def test_a_server_that_unloads_by_itself_is_asked_again_in_time() -> None:
    with an_outage() as outage:
        outage.models.kept = 900.0
        client = a_client(max_retries=0)
        outage.calls(client, 3)
        for _ in range(3):
            outage.pass_time(901.0)
        assert outage.models.preloaded == [LOCAL] * 4


# When it fails


def test_a_model_that_cannot_be_loaded_is_one_line_of_the_log_and_no_error_of_a_call(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with an_outage() as outage:
        outage.models.broken.add(LOCAL)
        client = a_client(max_retries=0)
        outage.calls(client, 6)
        outage.pass_time(299.0)
        lines = [line for line in caplog.messages if "could not be loaded" in line]
        assert lines == ["ollama/llama3.2: its model could not be loaded: there is no memory for it"]
        outage.models.broken.clear()
        outage.pass_time(2.0)
        assert outage.models.preloaded == [LOCAL]


def test_a_forked_child_begins_with_nothing_loaded_and_goes_on_watching() -> None:
    with an_outage() as outage:
        client = a_client(max_retries=0)
        outage.calls(client, 3)
        outage.standbys.reset_in_child()
        assert row_of(client) is None
        outage.calls(client, 1)
        assert outage.models.preloaded == [LOCAL, LOCAL]


def test_the_threads_that_load_end_when_nothing_is_planned() -> None:
    with an_outage() as outage, standby.apart() as standbys:
        client = a_client(max_retries=0)
        known = standbys.find(client.targets[1])
        assert known
        known.run()  # nothing is in trouble, so there is nothing to do
        assert outage.models.preloaded == []


# What is refused


@each(
    ("fields", "problem"),
    [
        ({"model": "openai/gpt-4o", "standby": "warm"}, "rather than to openai"),
        ({"model": "vllm/llama", "standby": "warm"}, "rather than to vllm"),
        ({"model": "mlx/demo", "standby": "cold"}, "standby"),
    ],
)
def test_a_target_whose_model_cannot_be_loaded_in_advance_is_refused(fields: dict[str, Any], problem: str) -> None:
    with pytest.raises(ConfigurationError, match=problem):
        LLMConfig(**fields)
    with pytest.raises(ConfigurationError, match=problem):
        LLMClient(GPT, fallbacks=[fields])


def test_a_first_target_with_fallbacks_is_refused_and_one_alone_may_be_a_fallback_elsewhere() -> None:
    with pytest.raises(ConfigurationError, match="is for a fallback, which is loaded when the first target is in"):
        LLMClient(LOCAL, standby="warm", fallbacks=[GPT])
    assert LLMClient(LOCAL, standby="warm").targets[0].standby is None
    chat = ChatUnified(model=GPT).with_fallbacks([ChatUnified(model=LOCAL, standby="warm")])
    assert isinstance(chat, ChatUnified)
    assert [row["target"] for row in chat.health()] == [GPT, LOCAL]
