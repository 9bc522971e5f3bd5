"""Structured output that is checked within the call: asked again, failed over, and what ``include_raw`` returns."""

from __future__ import annotations

import json
from typing import Any, Literal, cast

import pytest
from langchain.agents import create_agent
from langchain.agents.structured_output import ToolStrategy
from langchain_core.exceptions import OutputParserException
from langchain_core.messages import AIMessage, AIMessageChunk, HumanMessage
from langchain_core.output_parsers import JsonOutputParser
from pydantic import BaseModel, field_validator
from pydantic.v1 import BaseModel as OldBaseModel

from tests.support.langchain_models import Native, Plain, WithForms
from tests.support.langchain_targets import KEY, with_wrapped_models
from tests.support.scripted_targets import ScriptedTargets, call_tool, say
from unified_llm import LLMConfig
from unified_llm._adapters.structured_output import BoundFormat
from unified_llm._core.outcome import Done, Failure
from unified_llm.exceptions import AllTargetsFailedError, AuthenticationError, GenerationError, StreamInterruptedError
from unified_llm.langchain import ChatUnified
from unified_llm.testing import outage
from unified_llm.types import LLMChunk, LLMRequest, LLMResponse, ToolCall

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


# langchain A and B of the field reports: the default is JSON by a schema, and each target is asked as it can be.
CHAINS: Any = (
    ("deepseek/deepseek-v4-flash", (), "ollama"),
    ("zai/glm-4.6", (PRIMARY,), "ollama"),
    (PRIMARY, ("moonshot/kimi-k2",), "openai"),
    ("openai/gpt-3.5-turbo", ("ollama/llama3.2",), "openai"),
    (PRIMARY, ("perplexity/sonar",), "openai"),
)


def even(by_tool: str) -> Any:
    """Answer as a model does: by the tool that it has, or in JSON."""
    call = ToolCall("c", by_tool, {"number": 2})
    return lambda request: LLMResponse(tool_calls=(call,)) if request.tools else TWO


def test_langchain_b_every_chain_gives_objects_by_default_and_by_each_method(monkeypatch: pytest.MonkeyPatch) -> None:
    for provider in ("DEEPSEEK", "ZAI", "MOONSHOT", "PERPLEXITY"):
        monkeypatch.setenv(f"{provider}_API_KEY", KEY)
    for primary, fallbacks, fails in CHAINS:
        llm = ChatUnified(model=primary, fallbacks=list(fallbacks), max_retries=0)
        profile: Any = llm.profile
        assert profile["structured_output"] is True
        methods: Any = (None, "json_schema", "json_mode", "function_calling" if profile["tool_calling"] else None)
        with outage(fails, "503", reply=even("Even"), allow_unused=True) as seen:
            for method in methods:
                structured: Any = llm.with_structured_output(Even, method=method)
                assert structured.invoke("A number") == Even(number=2)
                assert list(structured.stream("A number"))[-1] == Even(number=2)
        assert set(seen.asked) == {primary, *(fallbacks if fails == "openai" else ())}
        if profile["tool_calling"]:
            assert profile["tool_choice"] is True
            with outage(fails, "503", reply=even("Even"), allow_unused=True):
                agent = create_agent(llm, [], response_format=ToolStrategy(Even))
                assert agent.invoke({"messages": [HumanMessage("?")]})["structured_response"] == Even(number=2)


def test_langchain_a_an_agent_with_tools_and_a_response_format_calls_its_tools_at_every_target() -> None:
    calls: list[str] = []

    def weather(city: str) -> str:
        """Tell the weather."""
        calls.append(city)
        return "2 degrees"

    def answer(request: LLMRequest) -> LLMResponse:
        """Call the tool first, unless the format lets nothing but JSON be written (ollama#8095)."""
        if request.response_format is not None or any(message.role == "tool" for message in request.messages):
            return LLMResponse(TWO)
        return LLMResponse(tool_calls=(ToolCall("c", "weather", {"city": "Oslo"}),))

    for target in (
        "ollama/llama3.2",
        "gemini/gemini-2.5-flash",
        "vllm/qwen3",
        "llamacpp/m",
        "cohere/command-a-03-2025",
    ):
        fallback = LLMConfig(model=target, api_key=KEY)
        with outage("openai", "503", reply=answer):
            agent = create_agent(model(fallback), [weather], response_format=Even)
            result = agent.invoke({"messages": [HumanMessage("?")]})
        assert (result["structured_response"], calls.pop(), calls) == (Even(number=2), "Oslo", [])


async def test_langchain_b_a_wrapped_model_without_structured_output_is_asked_by_prompt() -> None:
    for answers in (TWO, f"Sure: {TWO}"):
        outside = Plain(answer=AIMessage(answers))
        llm = model(outside)
        profile: Any = llm.profile
        assert profile["structured_output"] is True
        structured: Any = llm.with_structured_output(Even)
        with with_wrapped_models(ScriptedTargets({PRIMARY: [Failure("auth", 401)]})):
            assert structured.invoke("A number") == Even(number=2)
            assert await structured.ainvoke("A number") == Even(number=2)
            assert list(structured.stream("A number"))[-1] == Even(number=2)
        assert all("JSON schema" in call["messages"][-1].content for call in outside.calls)


def test_langchain_b_wrong_arguments_of_a_call_that_was_asked_for_in_words_are_corrected(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("DEEPSEEK_API_KEY", KEY)
    for name, method in (("deepseek/deepseek-v4-flash", "function_calling"), (DEEPSEEK, "json_schema")):
        structured: Any = ChatUnified(model=name).with_structured_output(Even, method=cast("Any", method))
        answers = [call_tool("Even", WORD), call_tool("Even", TWO)]
        with ScriptedTargets({name: answers}).running() as targets:
            assert structured.invoke("A number") == Even(number=2)
        assert targets.asked[1][1].messages[-1].role == "tool"
