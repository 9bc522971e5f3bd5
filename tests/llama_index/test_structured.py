"""Structured output: validated, corrected by the same target, then by others; an exception rather than a blank."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Callable
from typing import Any, Literal

import pytest
from llama_index.core.base.llms.types import AudioBlock, ChatMessage
from llama_index.core.prompts import ChatPromptTemplate, PromptTemplate
from llama_index.core.types import PydanticProgramMode
from pydantic import BaseModel, Field

from tests.support.each import each
from tests.support.llama_index_calls import PRIMARY, SECOND, collected, model, record_events
from tests.support.scripted_targets import Pause, ScriptedTargets, call_tool, say
from unified_llm import ToolCall, reset_health
from unified_llm._core.outcome import Done, Failure
from unified_llm._lib import bounded_json
from unified_llm.exceptions import (
    AllTargetsFailedError,
    BadRequestError,
    ContentFilterError,
    ContextOverflowError,
    GenerationError,
    LLMError,
    TimeoutError,
    UnsupportedOperationError,
)
from unified_llm.llama_index import UnifiedLLM
from unified_llm.types import LLMChunk, LLMResponse


class City(BaseModel):
    """A city."""

    name: str
    country: Literal["France", "Italy"]
    size: int = Field(default=0, ge=0)


PROMPT = PromptTemplate("The capital of {country}?")
PARIS = '{"name": "Paris", "country": "France"}'
WRONG = '{"name": "Paris", "country": "Prance"}'
BUSY = Failure("server", 503)

WAYS: dict[str, Callable[..., Any]] = {
    "structured_predict": lambda llm, **kw: llm.structured_predict(City, PROMPT, country="France", **kw),
    "astructured_predict": lambda llm, **kw: asyncio.run(llm.astructured_predict(City, PROMPT, country="France", **kw)),
    "stream_structured_predict": lambda llm, **kw: list(
        llm.stream_structured_predict(City, PROMPT, country="France", **kw)
    )[-1],
    "astream_structured_predict": lambda llm, **kw: asyncio.run(
        collected(llm.astream_structured_predict(City, PROMPT, country="France", **kw))
    )[-1],
}
every_way = each("way", WAYS)

# Two kinds of target: one supports JSON schemas, one has to be asked by prompt.
SCHEMA = "openai/gpt-5-mini"
WORDS = "openai-compatible/plain"


def with_features(llm: UnifiedLLM, *lost: str) -> UnifiedLLM:
    """Remove features from the targets of a model."""
    client = llm.client
    client._chain = tuple(
        dataclasses.replace(link, target=dataclasses.replace(link.target, features=link.target.features - set(lost)))
        for link in client._chain
    )
    return llm


@every_way
def test_an_object_comes_out_and_the_prompt_goes_in(way: str) -> None:
    options = {"temperature": 0.5, "tool_choice": "ignored"}
    with ScriptedTargets({PRIMARY: [BUSY], SECOND: [say(PARIS)]}).running() as targets, record_events() as events_seen:
        answer = WAYS[way](model(system_prompt="Be brief."), llm_kwargs=options)
    assert answer == City(name="Paris", country="France")
    request = targets.asked[-1][1]
    assert [message.text for message in request.messages] == ["Be brief.", "The capital of France?"]
    assert request.response_format.schema["properties"]["country"]["enum"] == ["France", "Italy"]
    assert (request.response_format.name, request.temperature, request.tools) == ("City", 0.5, ())
    assert options == {"temperature": 0.5, "tool_choice": "ignored"}
    assert events_seen.names[0] == "LLMStructuredPredictStartEvent"
    assert events_seen.names[-1] == "LLMStructuredPredictEndEvent"
    assert "LLMChatEndEvent" in events_seen.names


@every_way
def test_an_answer_that_does_not_fit_is_asked_for_again_and_then_of_others(way: str) -> None:
    with ScriptedTargets({PRIMARY: [say(WRONG), say(PARIS)]}).running() as targets:
        assert WAYS[way](model()).country == "France"
    assert targets.names == [PRIMARY, PRIMARY]
    if "stream" not in way:  # a stream has been handed out in part, and is followed by a whole answer
        *_, answer, complaint = targets.asked[1][1].messages
        assert (answer.role, answer.text, complaint.role) == ("assistant", WRONG, "user")
        assert "country: Input should be 'France' or 'Italy'" in complaint.text
    with ScriptedTargets({PRIMARY: [say(WRONG)], SECOND: [say(f"Sure!\n```json\n{PARIS}\n```")]}).running() as targets:
        assert WAYS[way](model()).country == "France"
    assert targets.names == [PRIMARY] * (5 if "stream" in way else 4) + [SECOND]


@every_way
def test_an_exception_is_raised_rather_than_a_blank_object_returned(way: str) -> None:
    with ScriptedTargets({PRIMARY: [say(WRONG)], SECOND: [say("I like trains.")]}).running() as targets:
        with pytest.raises(AllTargetsFailedError) as caught:
            WAYS[way](model())
        assert targets.names[-6:] == [PRIMARY] * 4 + [SECOND] * 2
        with pytest.raises(GenerationError, match="does not fit the schema") as alone:
            WAYS[way](model(fallbacks=[]))
    assert alone.value.detail == "country: Input should be 'France' or 'Italy'"
    assert caught.value.errors[-1].detail == "it is not JSON"
    text = str(caught.value)
    assert "Prance" not in text
    assert "trains" not in text
    cut = ScriptedTargets({PRIMARY: [say('{"name": "Pa', finish_reason="length")]})
    with cut.running(), pytest.raises(GenerationError, match="raise max_tokens"):
        WAYS[way](model(fallbacks=[]))


@every_way
def test_outages_on_the_way_are_survived(way: str) -> None:
    outages: dict[str, Any] = {
        "refused": [Failure("connect")],
        "hung": [[Pause()]],
        "503": [BUSY],
        "401": [Failure("auth", 401)],
        "rate limited": [Failure("rate_limit", 429, headers={"retry-after": "60"})],
        "cut before the first token": [[Failure("truncated")]],
        "wrong, then gone": [say(WRONG), BUSY],
    }
    for name, outage in outages.items():
        reset_health()
        with ScriptedTargets({PRIMARY: outage, SECOND: [say(PARIS)]}).running() as targets:
            assert WAYS[way](model()).name == "Paris", name
        assert targets.names[-1] == SECOND
        assert targets.open == 0


class Report(BaseModel):
    """A long text."""

    text: str


def test_a_long_object_is_not_parsed_again_for_each_chunk(monkeypatch: pytest.MonkeyPatch) -> None:
    parsed: list[int] = []

    def parse_partial(text: str) -> Any:
        parsed.append(len(text))
        return bounded_json.parse_partial(text)

    monkeypatch.setattr("unified_llm.llama_index._structured.parse_partial", parse_partial)
    chunks = ['{"text": "', *["word "] * 3000, '"}']
    targets = ScriptedTargets({PRIMARY: [[*chunks, Done(LLMChunk(finish_reason="stop"))]]})
    with targets.running():
        *pieces, last = model().stream_structured_predict(Report, PROMPT, country="France")
    assert last == Report(text="word " * 3000)
    assert 100 < len(pieces) < 1000
    assert sum(parsed) < 70 * len("".join(chunks))


@each("way", [way for way in WAYS if "stream" in way])
def test_a_stream_that_breaks_is_no_loss_since_objects_replace_each_other(way: str) -> None:
    cut: Any = ['{"name": "Par', Failure("connection")]
    with ScriptedTargets({PRIMARY: [cut, BUSY], SECOND: [say(PARIS)]}).running() as targets:
        assert WAYS[way](model()).name == "Paris"
    assert targets.names == [PRIMARY, PRIMARY, PRIMARY, SECOND]
    with ScriptedTargets({PRIMARY: [cut, say(PARIS)]}).running():
        pieces = list(model().stream_structured_predict(City, PROMPT, country="France"))
    assert [type(piece).__name__ for piece in pieces][-2:] == ["FlexibleCity", "City"]
    assert pieces[0].name == "Par"  # type: ignore[union-attr]


def test_pieces_come_as_they_change_and_the_last_is_whole() -> None:
    text = 'Here: {"name": "Paris", "country": "France", "size": 2}'
    with ScriptedTargets({PRIMARY: [say(text)]}).running():
        *pieces, last = model().stream_structured_predict(City, PROMPT, country="France")
    assert [piece.model_dump(exclude_unset=True) for piece in pieces] == [
        {"name": "Paris"}, {"name": "Paris", "country": "France"}, {"name": "Paris", "country": "France", "size": 2},
    ]  # fmt: skip
    assert last == City(name="Paris", country="France", size=2)


# The way to ask, target by target


@every_way
def test_a_target_without_schemas_is_given_a_tool(way: str) -> None:
    llm = with_features(model(), "json_schema")
    answers = [call_tool("City", WRONG), call_tool("City", PARIS)]
    with ScriptedTargets({PRIMARY: answers}).running() as targets:
        assert WAYS[way](llm).country == "France"
    first, second = (request for _, request in targets.asked)
    assert (first.tools[0].name, first.tools[0].parameters["description"]) == ("City", "A city.")
    assert (first.tool_choice, first.response_format) == ("City", None)
    if "stream" not in way:
        assert [message.role for message in second.messages][-2:] == ["assistant", "tool"]
        assert second.messages[-1].tool_call_id == "call_1"
        assert "is not accepted: country: Input should be" in second.messages[-1].text


def test_several_calls_are_looked_through_for_one_that_fits_and_words_will_do_too() -> None:
    calls = tuple(ToolCall.parse(f"c{number}", "City", text) for number, text in enumerate((WRONG, PARIS)))
    llm = with_features(model(pydantic_program_mode=PydanticProgramMode.FUNCTION), "tool_choice")
    with ScriptedTargets({PRIMARY: [[LLMResponse(tool_calls=calls)], say(PARIS)]}).running() as targets:
        assert llm.structured_predict(City, PROMPT, country="France").country == "France"
        assert llm.structured_predict(City, PROMPT, country="France").country == "France"
    assert targets.asked[0][1].tool_choice is None


@every_way
def test_a_target_with_neither_is_asked_in_words(way: str) -> None:
    llm = with_features(model(), "json_schema", "tools", "json_object")
    with ScriptedTargets({PRIMARY: [say(WRONG), say(f"Well. {PARIS} There.")]}).running() as targets:
        assert WAYS[way](llm).country == "France"
    first, second = (request for _, request in targets.asked)
    assert (first.tools, first.response_format) == ((), None)
    assert [message.role for message in first.messages] == ["system", "user"]
    assert first.messages[-1].text == "The capital of France?"
    for request in (first, second):
        assert "write one JSON value and nothing else" in request.messages[0].text
        assert '"enum":["France","Italy"]' in request.messages[0].text


def test_each_target_is_asked_in_its_own_way() -> None:
    llm = model(fallbacks=[{"model": "openai-compatible/x", "base_url": "http://localhost:1/v1"}])
    client = llm.client
    first, second = client._chain
    weak = dataclasses.replace(second.target, features=second.target.features - {"json_schema", "tools"})
    client._chain = (first, dataclasses.replace(second, target=weak))
    with ScriptedTargets({PRIMARY: [BUSY], "openai-compatible/x": [say(PARIS)]}).running() as targets:
        assert llm.structured_predict(City, PROMPT, country="France").country == "France"
    assert targets.asked[0][1].response_format.schema is not None
    assert "write one JSON value and nothing else" in targets.asked[-1][1].messages[0].text


@every_way
def test_a_target_that_turns_a_way_down_is_asked_in_the_next(way: str) -> None:
    refusals: Any = [Failure("bad_request", 400), Failure("bad_request", 400), say(PARIS)]
    with ScriptedTargets({PRIMARY: refusals}).running() as targets:
        assert WAYS[way](model(fallbacks=[])).country == "France"
    schema, tool, words = (request for _, request in targets.asked)
    assert schema.response_format.schema
    assert tool.tools
    assert not words.tools
    with ScriptedTargets({PRIMARY: [Failure("bad_request", 400)]}).running(), pytest.raises(BadRequestError):
        WAYS[way](model(fallbacks=[]))


@each("mode", [PydanticProgramMode.FUNCTION, PydanticProgramMode.LLM])
def test_the_mode_of_llama_index_is_obeyed(mode: PydanticProgramMode) -> None:
    llm = model(pydantic_program_mode=mode)
    answer = call_tool("City", PARIS) if mode == PydanticProgramMode.FUNCTION else say(PARIS)
    with ScriptedTargets({PRIMARY: [answer]}).running() as targets:
        assert llm.structured_predict(City, PROMPT, country="France").country == "France"
    assert bool(targets.asked[0][1].tools) == (mode == PydanticProgramMode.FUNCTION)
    if mode == PydanticProgramMode.FUNCTION:
        with pytest.raises(UnsupportedOperationError, match=r"JSON in the requested way \(tool\)"):
            with_features(model(pydantic_program_mode=mode, fallbacks=[]), "tools").structured_predict(
                City, PROMPT, country="France"
            )


@every_way
def test_a_mode_of_another_package_is_left_to_it(way: str) -> None:
    with pytest.raises(ImportError, match="lmformatenforcer"):
        WAYS[way](model(pydantic_program_mode=PydanticProgramMode.LM_FORMAT_ENFORCER))


@every_way
def test_a_prompt_that_is_too_long_goes_only_where_there_is_more_room(way: str) -> None:
    small = {"model": "openai-compatible/x", "base_url": "http://localhost:1/v1", "context_window": 100_000}
    llm = with_features(model(fallbacks=[small, "anthropic/claude-haiku-4-5"]), "json_object")
    windows = [target.context_window or 0 for target in llm.client.targets]
    targets = ScriptedTargets({PRIMARY: [Failure("context", 400)], "anthropic/claude-haiku-4-5": [say(PARIS)]})
    with targets.running(), pytest.raises(ContextOverflowError):
        WAYS[way](llm)
    assert windows[2] <= windows[0]
    assert targets.names == [PRIMARY]


def test_more_room_is_found_among_those_that_are_asked_in_another_way() -> None:
    llm = with_features(model(fallbacks=["anthropic/claude-haiku-4-5"]), "json_schema")
    first, second = llm.client._chain
    large = dataclasses.replace(second.target, context_window=9_000_000, features=second.target.features - {"tools"})
    llm.client._chain = (first, dataclasses.replace(second, target=large))
    with ScriptedTargets({PRIMARY: [Failure("context", 400)], "anthropic/claude-haiku-4-5": [say(PARIS)]}).running():
        assert llm.structured_predict(City, PROMPT, country="France").country == "France"


def test_what_no_target_can_read_is_an_error_before_anything_is_sent() -> None:
    question = ChatMessage(role="user", blocks=[AudioBlock(audio=b"RIFF\xff\xfe")])
    with ScriptedTargets({}).running() as targets, pytest.raises(UnsupportedOperationError, match="cannot hear audio"):
        with_features(model(), "audio").structured_predict(City, ChatPromptTemplate(message_templates=[question]))
    assert targets.asked == []


# What is final, and what it may cost


@every_way
def test_a_refusal_and_a_filter_are_final(way: str) -> None:
    words = "I would rather not."
    refusal: Any = [LLMResponse("", refusal=words)]
    if "stream" in way:
        refusal = [LLMChunk(refusal=words), Done(LLMChunk(finish_reason="stop"))]
    with ScriptedTargets({PRIMARY: [refusal], SECOND: [say(PARIS)]}).running():
        with pytest.raises(ContentFilterError) as caught:
            WAYS[way](model())
        assert caught.value.detail == words
    targets = ScriptedTargets({PRIMARY: [Failure("filter", 400)], SECOND: [say(PARIS)]})
    with targets.running():
        with pytest.raises(ContentFilterError):
            WAYS[way](model())
        assert WAYS[way](model(failover_on={"filter": True})).name == "Paris"
        alone = with_features(model(fallbacks=[SECOND]), "json_schema")
        assert WAYS[way](alone, llm_kwargs={"failover_on": {"filter": True}}).name == "Paris"


@every_way
def test_the_deadline_is_that_of_the_whole(way: str) -> None:
    slow: Any = [[Pause(6.0), *say(WRONG)], [Pause()]]
    with ScriptedTargets({PRIMARY: slow, SECOND: [[Pause()]]}).running() as targets:
        start = targets.clock
        with pytest.raises(LLMError):
            WAYS[way](model(deadline=10))
        assert targets.clock - start <= 10.1
    with ScriptedTargets({PRIMARY: [[Pause()]]}).running() as targets:
        start = targets.clock
        with pytest.raises(TimeoutError):
            WAYS[way](model(fallbacks=[], deadline=None), llm_kwargs={"deadline": 3})
        assert targets.clock - start <= 3.1


def test_a_call_can_name_another_model_and_both_are_asked_as_they_can_be() -> None:
    with ScriptedTargets({"openai/gpt-5": [say(WRONG)], SECOND: [say(PARIS)]}).running() as targets:
        answer = model().structured_predict(City, PROMPT, {"model": "openai/gpt-5"}, country="France")
    assert answer.country == "France"
    assert targets.names == ["openai/gpt-5"] * 4 + [SECOND]


def test_a_structured_model_of_llama_index_and_messages_of_many_kinds_work() -> None:
    messages = [ChatMessage(role="system", content="You know {cities}."), ChatMessage(role="assistant", content="Ask.")]
    structured = model().as_structured_llm(City)
    with ScriptedTargets({PRIMARY: [say(PARIS)]}).running() as targets:
        assert structured.chat(messages).raw == City(name="Paris", country="France")
        assert structured.complete("Paris?").raw == City(name="Paris", country="France")
        answer = model(pydantic_program_mode=PydanticProgramMode.LLM).structured_predict(
            City, ChatPromptTemplate(message_templates=messages)
        )
    assert answer.name == "Paris"
    assert [message.role for message in targets.asked[-1][1].messages] == ["system", "assistant"]
    assert targets.asked[0][1].messages[0].text == "You know {cities}."
