"""Structured output that is checked within the call: asked again, failed over, and what ``include_raw`` returns."""

from __future__ import annotations

import json
from typing import Any, Literal

import pytest
from langchain_core.exceptions import OutputParserException
from langchain_core.messages import AIMessage, AIMessageChunk
from langchain_core.output_parsers import JsonOutputParser
from pydantic import BaseModel, field_validator
from pydantic.v1 import BaseModel as OldBaseModel

from tests.support.langchain_models import Native, WithForms
from tests.support.langchain_targets import KEY, with_wrapped_models
from tests.support.scripted_targets import ScriptedTargets, say
from unified_llm._adapters.structured_output import BoundFormat
from unified_llm._core.outcome import Done, Failure
from unified_llm.exceptions import AllTargetsFailedError, AuthenticationError, GenerationError, StreamInterruptedError
from unified_llm.langchain import ChatUnified
from unified_llm.types import LLMChunk

pytestmark = pytest.mark.filterwarnings("ignore::langchain_core._api.LangChainBetaWarning")

PRIMARY, SECOND, DEEPSEEK = "openai/gpt-5-mini", "groq/llama-3.3-70b", "deepseek/deepseek-chat"


class Even(BaseModel):
    """An even number."""

    number: int

    @field_validator("number")
    @classmethod
    def _check(cls, number: int) -> int:
        if number % 2:
            raise ValueError("it must be even")
        return number


class OldNumber(OldBaseModel):
    """A number, in Pydantic 1."""

    number: int


SCHEMA = {
    "title": "Number",
    "type": "object",
    "properties": {"number": {"type": "integer"}},
    "required": ["number"],
}
TWO, THREE, WORD = '{"number": 2}', '{"number": 3}', '{"number": "two"}'


@pytest.fixture(autouse=True)
def _keys(monkeypatch: pytest.MonkeyPatch) -> None:
    for provider in ("OPENAI", "GROQ"):
        monkeypatch.setenv(f"{provider}_API_KEY", KEY)


def model(*fallbacks: Any) -> ChatUnified:
    return ChatUnified(model=PRIMARY, fallbacks=list(fallbacks))


@pytest.mark.parametrize("method", ["json_schema", "json_mode", None])
async def test_what_the_class_refuses_is_asked_for_again_and_then_of_others(
    method: Literal["json_schema", "json_mode"] | None,
) -> None:
    structured = model(SECOND).with_structured_output(Even, method=method)
    with ScriptedTargets({PRIMARY: [say(THREE), say(f"Sure: {TWO}")]}).running() as targets:
        assert structured.invoke("A number") == Even(number=2)
        assert await structured.ainvoke("A number") == Even(number=2)
    assert targets.names == [PRIMARY] * 3
    assert "number: Value error, it must be even" in targets.asked[1][1].messages[-1].text
    with ScriptedTargets({PRIMARY: [say(THREE)], SECOND: [say(TWO)]}).running() as targets:
        assert structured.invoke("A number") == Even(number=2)
    assert targets.names == [PRIMARY] * 4 + [SECOND]


@pytest.mark.parametrize("method", ["json_schema", "json_mode"])
@pytest.mark.parametrize(("schema", "expected"), [(SCHEMA, {"number": 2}), (OldNumber, OldNumber(number=2))])
def test_a_schema_and_an_old_class_are_checked_as_well(
    schema: Any, expected: Any, method: Literal["json_schema", "json_mode"]
) -> None:
    if schema is OldNumber and method == "json_schema":
        method = "json_mode"  # LangChain asks for such a class by a tool
    with ScriptedTargets({PRIMARY: [say(WORD), say(TWO)]}).running() as targets:
        assert model().with_structured_output(schema, method=method).invoke("A number") == expected
    assert "not accepted: " in targets.asked[1][1].messages[-1].text


def test_an_error_is_that_of_the_client() -> None:
    structured = model(SECOND).with_structured_output(Even, method="json_schema")
    with ScriptedTargets({PRIMARY: [say(THREE)], SECOND: [say("No.")]}).running() as targets:
        with pytest.raises(AllTargetsFailedError, match="does not fit the schema"):
            structured.invoke("A number")
        with pytest.raises(GenerationError):
            model().with_structured_output(Even, method="json_schema").invoke("A number")
        with pytest.raises(StreamInterruptedError):
            list(structured.stream("A number"))
    assert targets.names[:6] == [PRIMARY] * 4 + [SECOND] * 2


async def test_with_raw_the_last_answer_that_was_not_accepted_is_returned() -> None:
    structured: Any = model(SECOND).with_structured_output(Even, method="json_schema", include_raw=True)
    with ScriptedTargets({PRIMARY: [say(THREE)], SECOND: [say("No.")]}).running():
        results = [structured.invoke("A number"), await structured.ainvoke("A number")]
    for result in results:
        assert (result["raw"].content, result["parsed"]) == ("No.", None)
        assert isinstance(result["parsing_error"], OutputParserException)
        record = result["raw"].response_metadata["unified_llm"]
        assert (record["served_by"], record["used_fallback"]) == (SECOND, True)
        assert [attempt["outcome"] for attempt in record["attempts"]] == ["invalid"] * 6


async def test_with_raw_a_stream_ends_with_the_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    structured: Any = model().with_structured_output(Even, method="json_schema", include_raw=True)
    for answer in (THREE, "No."):
        with ScriptedTargets({PRIMARY: [say(answer)]}).running():
            streams = [list(structured.stream("A number")), [piece async for piece in structured.astream("A number")]]
        for pieces in streams:
            assert "".join(piece["raw"].content for piece in pieces if "raw" in piece) == answer
    monkeypatch.setenv("DEEPSEEK_API_KEY", KEY)
    by_tool: Any = ChatUnified(model=DEEPSEEK).with_structured_output(Even, method="json_schema", include_raw=True)
    with ScriptedTargets({DEEPSEEK: [say("No.")]}).running():  # of which nothing is handed out
        streams = [list(by_tool.stream("A number")), [piece async for piece in by_tool.astream("A number")]]
    for pieces in streams:
        assert "".join(piece["raw"].content for piece in pieces if "raw" in piece) == "No."
    with ScriptedTargets({PRIMARY: [[Failure("empty")] * 3]}).running(), pytest.raises(GenerationError):
        list(structured.stream("A number"))


async def test_with_raw_other_errors_are_raised() -> None:
    structured: Any = model().with_structured_output(Even, method="json_schema", include_raw=True)
    with ScriptedTargets({PRIMARY: [Failure("auth", 401)]}).running():
        with pytest.raises(AuthenticationError):
            structured.invoke("A number")
        with pytest.raises(AuthenticationError):
            await structured.ainvoke("A number")
        with pytest.raises(AuthenticationError):
            _ = [piece async for piece in structured.astream("A number")]


def test_json_that_was_cut_off_is_not_completed() -> None:
    structured = model().with_structured_output(Even, method="json_schema")
    with (
        ScriptedTargets({PRIMARY: [say('{"number": 22', finish_reason="length")]}).running(),
        pytest.raises(OutputParserException, match="Failed to parse Even"),
    ):
        structured.invoke("A number")


async def test_a_stream_with_text_around_the_json_gives_the_object() -> None:
    structured: Any = model().with_structured_output(Even, method="json_schema")
    with ScriptedTargets({PRIMARY: [say(f"Sure! The {{number}} is: {TWO} Anything else?")]}).running():
        assert list(structured.stream("A number"))[-1] == Even(number=2)
        assert [piece async for piece in structured.astream("A number")][-1] == Even(number=2)


async def test_a_long_object_is_not_parsed_again_for_each_chunk(monkeypatch: pytest.MonkeyPatch) -> None:
    lengths: list[int] = []
    parse_result = JsonOutputParser.parse_result

    def count(self: Any, result: Any, *, partial: bool = False) -> Any:
        lengths.append(len(result[0].text))
        return parse_result(self, result, partial=partial)

    monkeypatch.setattr(JsonOutputParser, "parse_result", count)
    chunks = ['{"text": "', *["word "] * 1000, '"}', " Anything else?"]
    schema = {"title": "Report", "type": "object", "properties": {"text": {"type": "string"}}}
    structured: Any = model().with_structured_output(schema, method="json_schema")
    with ScriptedTargets({PRIMARY: [[*chunks, Done(LLMChunk(finish_reason="stop"))]]}).running():
        streams = [list(structured.stream("A text")), [piece async for piece in structured.astream("A text")]]
    for pieces in streams:
        assert pieces[-1] == {"text": "word " * 1000}
        assert 100 < len(pieces) < 700
    assert sum(lengths) < 2 * 70 * 5000


def test_a_wrapped_model_may_write_text_around_its_json() -> None:
    text = f"Here:\n```json\n{TWO}\n```"
    chunks = [AIMessageChunk(content=part) for part in (text[:12], text[12:25], text[25:])]
    down = ScriptedTargets({PRIMARY: [Failure("auth", 401)]})
    with with_wrapped_models(down):
        for outside in (WithForms(answer=AIMessage(text)), Native(answer=AIMessage(text), chunks=chunks)):
            structured: Any = model(outside).with_structured_output(Even, method="json_schema")
            assert structured.invoke("A number") == Even(number=2)
            assert list(structured.stream("A number"))[-1] == Even(number=2)


async def test_a_wrapped_model_is_told_once_what_is_wrong_then_the_next_target_serves() -> None:
    for ask in ("invoke", "ainvoke"):
        outside = WithForms(answer=AIMessage(THREE))
        structured: Any = model(outside, SECOND).with_structured_output(Even, method="json_schema")
        with with_wrapped_models(ScriptedTargets({PRIMARY: [Failure("auth", 401)], SECOND: [say(TWO)]})):
            result = structured.invoke("A number") if ask == "invoke" else await structured.ainvoke("A number")
        assert result == Even(number=2)
        first, second = (call["messages"] for call in outside.calls)
        assert [message.content for message in first] == ["A number"]
        assert [message.type for message in second] == ["human", "ai", "human"]
        assert "not accepted" in second[-1].content


def test_traces_and_cache_keys_have_the_format_of_openai_and_no_function() -> None:
    structured: Any = model().with_structured_output(Even, method="json_schema")
    bound = structured.first.kwargs["response_format"]
    assert isinstance(bound, BoundFormat)
    assert json.loads(json.dumps(bound))["type"] == "json_schema"
    assert repr(bound) == repr(dict(bound))
    assert "function" not in repr(bound)
