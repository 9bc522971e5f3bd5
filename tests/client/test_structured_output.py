"""JSON by a schema, in all four ways to call, from targets that support it differently."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.each import each
from tests.support.four_ways import CANARY, GPT, HAIKU, WAYS, Way, outcome_of
from tests.support.scripted_targets import ScriptedTargets, call_tool, say
from unified_llm import LLMClient
from unified_llm._core.outcome import Failure
from unified_llm.exceptions import GenerationError, LLMError, StreamInterruptedError, UnsupportedOperationError
from unified_llm.types import LLMRequest

DEEPSEEK = "deepseek/deepseek-chat"  # has a mode for JSON and tools, but no schemas
SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
FORM = {"type": "json_schema", "json_schema": {"name": "place", "schema": SCHEMA}}
ROME = '{"city": "Rome"}'
DEAD = Failure("server", 503)


@pytest.fixture(autouse=True)
def _key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DEEPSEEK_API_KEY", CANARY)


def call(way: Way, targets: ScriptedTargets, chain: list[str], **overrides: Any) -> Any:
    with targets.running():
        result = outcome_of(
            way, LLMClient(chain[0], fallbacks=chain[1:], max_retries=0), response_format=FORM, **overrides
        )
    assert targets.open == 0
    return result


def sent(targets: ScriptedTargets, name: str) -> LLMRequest:
    request: LLMRequest = next(request for key, request in targets.asked if key == name)
    return request


@each("way", WAYS)
def test_each_target_is_asked_in_its_own_way_and_all_answer_alike(way: Way) -> None:
    targets = ScriptedTargets({GPT: [DEAD], DEEPSEEK: [call_tool("place", ROME)]})
    answer = call(way, targets, [GPT, DEEPSEEK])
    assert (answer.content, answer.calls, answer.metadata[0]) == (ROME, (), "stop")
    assert sent(targets, GPT).response_format is not None
    assert sent(targets, DEEPSEEK).response_format is None
    assert sent(targets, DEEPSEEK).tool_choice == "place"


@pytest.mark.parametrize("way", ["generate", "agenerate"])
def test_an_answer_that_does_not_fit_fails_over(way: Way) -> None:
    targets = ScriptedTargets({DEEPSEEK: [say("I cannot say.")], GPT: [say(ROME)]})
    answer = call(way, targets, [DEEPSEEK, GPT])
    assert answer.content == ROME
    assert [attempt[1] for attempt in answer.attempts] == ["invalid", "ok"]


def test_a_model_that_will_not_fit_is_asked_again_and_then_given_up() -> None:
    targets = ScriptedTargets({DEEPSEEK: [say('{"city": 7}')]})
    with targets.running(), pytest.raises(GenerationError, match="does not fit the schema") as caught:
        LLMClient(DEEPSEEK).generate("Where?", response_format=FORM)
    assert caught.value.detail == "$.city is no string"
    assert len(targets.asked) == 3


@pytest.mark.parametrize("way", ["stream", "astream"])
def test_a_stream_that_turns_out_wrong_says_so_at_its_end(way: Way) -> None:
    answer = call(way, ScriptedTargets({DEEPSEEK: [call_tool("place", '{"city": 7}')]}), [DEEPSEEK])
    assert answer.error is StreamInterruptedError


def test_a_stream_of_text_without_json_fails_over_unseen() -> None:
    targets = ScriptedTargets({DEEPSEEK: [say("I cannot say.")], GPT: [say(ROME)]})
    assert call("stream", targets, [DEEPSEEK, GPT]).content == ROME


def test_a_last_resort_is_not_trusted_with_it() -> None:
    with (
        ScriptedTargets({}).running(),
        pytest.raises(UnsupportedOperationError, match="answer by a JSON schema") as caught,
    ):
        LLMClient(DEEPSEEK, last_resort=True).generate("Where?", response_format=FORM)
    assert isinstance(caught.value, LLMError)


def test_json_is_asked_for_by_prompt_where_there_are_tools_of_the_user() -> None:
    tool = {"type": "function", "function": {"name": "look", "parameters": {"type": "object", "properties": {}}}}
    targets = ScriptedTargets({HAIKU: [DEAD], DEEPSEEK: [say(f"```json\n{ROME}\n```")]})
    answer = call("generate", targets, [DEEPSEEK], tools=[tool])
    assert answer.content == ROME
    assert "JSON schema" in sent(targets, DEEPSEEK).messages[0].text
