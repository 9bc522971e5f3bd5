"""Tools, structured output and agents."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Literal, TypedDict, get_type_hints

import pytest
from langchain.agents import create_agent
from langchain.agents.structured_output import ProviderStrategy, ToolStrategy
from langchain_core.exceptions import OutputParserException
from langchain_core.messages import AIMessage, AIMessageChunk, HumanMessage
from langchain_core.runnables import Runnable, RunnableBinding
from langchain_core.tools import tool
from langgraph.graph import START, MessagesState, StateGraph
from pydantic import BaseModel, Field
from pydantic.v1 import BaseModel as OldBaseModel

from tests.support.each import each
from tests.support.langchain_targets import KEY
from tests.support.scripted_targets import ScriptedTargets, call_tool, say
from unified_llm import LLMConfig
from unified_llm._core.outcome import Failure
from unified_llm.exceptions import ContentFilterError, ValidationError
from unified_llm.langchain import ChatUnified
from unified_llm.langchain._call_kwargs import convert_tool, read_response_format, read_tool_choice
from unified_llm.types import LLMRequest

pytestmark = pytest.mark.filterwarnings("ignore::langchain_core._api.LangChainBetaWarning")

PRIMARY, SECOND = "openai/gpt-5-mini", "groq/llama-3.3-70b"
DOWN = Failure("auth", 401)


@tool
def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


def multiply(a: int, b: int) -> int:
    """Multiply two numbers."""
    return a * b


class Joke(BaseModel):
    """A joke."""

    setup: str = Field(description="How it begins")
    punchline: str


class OldJoke(OldBaseModel):
    """A joke, in Pydantic 1."""

    setup: str
    punchline: str


class DictJoke(TypedDict):
    """A joke."""

    setup: Annotated[str, ..., "How it begins"]
    punchline: str


SCHEMA = {
    "title": "Joke",
    "description": "A joke.",
    "type": "object",
    "properties": {"setup": {"type": "string"}, "punchline": {"type": "string"}},
    "required": ["setup", "punchline"],
}
ANSWER = '{"setup": "Why?", "punchline": "Because."}'
JOKE = {"setup": "Why?", "punchline": "Because."}


def model(**fields: Any) -> ChatUnified:
    return ChatUnified(
        **{"model": PRIMARY, "api_key": KEY, "fallbacks": [LLMConfig(model=SECOND, api_key=KEY)]} | fields
    )


def sent_request(targets: ScriptedTargets, index: int = -1) -> LLMRequest:
    request = targets.asked[index][1]
    assert isinstance(request, LLMRequest)
    return request


# Tools


@each("offered", [add, multiply, Joke, OldJoke, SCHEMA, DictJoke])
def test_every_kind_of_tool_becomes_a_function(offered: Any) -> None:
    with ScriptedTargets({PRIMARY: [say("Hi")]}).running() as targets:
        model().bind_tools([offered]).invoke("Hi")
    (sent,) = sent_request(targets).tools
    assert sent.name in {"add", "multiply", "Joke", "OldJoke", "DictJoke"}
    assert set(sent.parameters["properties"]) in ({"a", "b"}, {"setup", "punchline"})


@each(
    ("given", "sent"),
    [
        (
            {"name": "pick", "description": "Pick.", "input_schema": {"type": "object", "properties": {"a": {}}}},
            {"name": "pick", "description": "Pick.", "parameters": {"type": "object", "properties": {"a": {}}}},
        ),
        (
            {"type": "custom", "name": "pick", "input_schema": {"type": "object", "properties": {}}},
            {"name": "pick", "parameters": {"type": "object", "properties": {}}},
        ),
        (
            {"type": "function", "name": "pick", "parameters": {"type": "object", "properties": {}}},
            {"name": "pick", "parameters": {"type": "object", "properties": {}}},
        ),
        ({"type": "function", "function": {"name": "pick"}}, {"name": "pick"}),
    ],
)
def test_a_dict_of_another_providers_form_becomes_the_same(given: dict[str, Any], sent: dict[str, Any]) -> None:
    assert convert_tool(given) == {"type": "function", "function": sent}


def test_a_providers_own_tool_is_passed_through() -> None:
    search = {"type": "web_search_20250305", "name": "web_search", "max_uses": 3}
    with ScriptedTargets({PRIMARY: [say("Hi")]}).running() as targets:
        model().bind_tools([search]).invoke("Hi")
    assert sent_request(targets).tools[0].builtin == search


def test_a_tool_that_is_bound_by_hand_is_converted_too() -> None:
    with ScriptedTargets({PRIMARY: [say("Hi")]}).running() as targets:
        model().invoke("Hi", tools=[add], tool_choice="any")
    assert (sent_request(targets).tools[0].name, sent_request(targets).tool_choice) == ("add", "required")


def test_what_is_no_tool_is_refused() -> None:
    with pytest.raises(ValidationError, match="int"):
        model().bind_tools([42])  # type: ignore[list-item]


@each(
    ("choice", "sent"),
    [
        (None, None),
        (False, None),
        (True, "required"),
        ("any", "required"),
        ("required", "required"),
        ("auto", "auto"),
        ("none", "none"),
        ("add", "add"),
        ({"type": "function", "function": {"name": "add"}}, "add"),
        ({"type": "tool", "name": "add"}, "add"),
        ({"type": "any"}, "required"),
    ],
)
def test_a_choice_among_tools_has_one_form(choice: Any, sent: str | None) -> None:
    with ScriptedTargets({PRIMARY: [say("Hi")]}).running() as targets:
        model().bind_tools([add], tool_choice=choice).invoke("Hi")
    assert sent_request(targets).tool_choice == sent


def test_a_choice_of_a_tool_that_is_not_there_names_those_that_are() -> None:
    with pytest.raises(ValidationError, match="'add'"):
        model().bind_tools([add], tool_choice="subtract")
    assert read_tool_choice("subtract", []) is None


def test_strict_and_parallel_reach_the_request() -> None:
    with ScriptedTargets({PRIMARY: [say("Hi")]}).running() as targets:
        model().bind_tools([add], strict=True, parallel_tool_calls=False).invoke("Hi")
    assert sent_request(targets).parallel_tool_calls is False
    assert sent_request(targets).tools[0].strict is True
    assert sent_request(targets).tools[0].parameters["additionalProperties"] is False


def test_an_empty_list_of_tools_is_dropped_with_all_that_belongs_to_it() -> None:
    bound = model().bind_tools([], tool_choice="any", parallel_tool_calls=True)
    assert isinstance(bound, RunnableBinding)
    assert bound.kwargs == {}
    with ScriptedTargets({PRIMARY: [say("Hi")]}).running() as targets:
        model().invoke("Hi", tools=[], tool_choice="any", parallel_tool_calls=True)
    request = sent_request(targets)
    assert (request.tools, request.tool_choice, request.parallel_tool_calls) == ((), None, None)


async def test_a_streamed_call_of_a_tool_adds_up() -> None:
    bound = model().bind_tools([add])
    with ScriptedTargets({PRIMARY: [DOWN], SECOND: [call_tool("add", '{"a": 1, "b": 2}')]}).running():
        chunks = list(bound.stream("1 + 2?"))
        achunks = [chunk async for chunk in bound.astream("1 + 2?")]
    for got in (chunks, achunks):
        whole = sum(got[1:], start=got[0])
        assert [(call["name"], call["args"]) for call in whole.tool_calls] == [("add", {"a": 1, "b": 2})]


def test_annotations_can_be_read_at_run_time_so_that_langchains_fallbacks_apply_methods_to_all() -> None:
    for name in ("bind_tools", "with_structured_output"):
        assert issubclass(get_type_hints(getattr(ChatUnified, name))["return"].__origin__, Runnable)
    chain: Any = model().with_fallbacks([model()], exceptions_to_handle=(ValueError,))
    bound = chain.bind_tools([add])
    assert [each.kwargs["tools"][0]["function"]["name"] for each in (bound.runnable, *bound.fallbacks)] == ["add"] * 2
    assert len(chain.with_structured_output(Joke).fallbacks) == 1


# Structured output


@pytest.mark.parametrize("method", ["function_calling", "json_schema", "json_mode", None])
@pytest.mark.parametrize("schema", [Joke, OldJoke, DictJoke, SCHEMA])
async def test_every_schema_and_method_gives_the_same_joke(
    schema: Any, method: Literal["function_calling", "json_schema", "json_mode"] | None
) -> None:
    structured = model().with_structured_output(schema, method=method)
    by_tool = method == "function_calling" or (schema is OldJoke and method != "json_mode")
    answer = call_tool(getattr(schema, "__name__", "Joke"), ANSWER) if by_tool else say(ANSWER)
    with ScriptedTargets({PRIMARY: [DOWN], SECOND: [answer]}).running() as targets:
        results = [
            structured.invoke("A joke"),
            await structured.ainvoke("A joke"),
            list(structured.stream("A joke"))[-1],
        ]
    for result in results:
        assert (result if isinstance(result, dict) else dict(result)) == JOKE
    request = next(request for name, request in targets.asked if name == SECOND)  # streams have no JSON mode there
    if by_tool:
        assert (request.tool_choice, request.parallel_tool_calls) == (request.tools[0].name, False)
    else:
        assert request.response_format is not None
        assert (request.response_format.schema is None) == (method == "json_mode")


def test_langchain_b_json_schema_is_the_default_whatever_the_chain_has() -> None:
    deepseek = LLMConfig(model="deepseek/deepseek-chat", api_key=KEY)
    with ScriptedTargets({PRIMARY: [say(ANSWER)]}).running() as targets:
        assert model(fallbacks=[deepseek]).with_structured_output(Joke).invoke("A joke") == Joke(**JOKE)
    request = sent_request(targets)
    assert (request.tools, request.response_format is not None) == ((), True)


@pytest.mark.parametrize("method", ["function_calling", "json_schema"])
def test_strict_reaches_the_request(method: Literal["function_calling", "json_schema"]) -> None:
    answer = call_tool("Joke", ANSWER) if method == "function_calling" else say(ANSWER)
    with ScriptedTargets({PRIMARY: [answer]}).running() as targets:
        model().with_structured_output(SCHEMA, method=method, strict=True).invoke("A joke")
    request = sent_request(targets)
    asked_for = request.tools[0] if request.tools else request.response_format
    assert asked_for
    assert asked_for.strict is True


def test_with_include_raw_the_error_of_a_parser_is_a_value() -> None:
    structured = model(fallbacks=[]).with_structured_output(Joke, method="json_schema", include_raw=True)
    with ScriptedTargets({PRIMARY: [say(ANSWER), say("no json")]}).running():
        good, bad = structured.invoke("A joke"), structured.invoke("A joke")
    assert isinstance(good, dict)
    assert isinstance(bad, dict)
    assert (good["parsed"], good["parsing_error"]) == (Joke(**JOKE), None)
    assert isinstance(good["raw"], AIMessage)
    assert bad["parsed"] is None
    assert bad["raw"].content == "no json"
    assert isinstance(bad["parsing_error"], OutputParserException)


@pytest.mark.parametrize("schema", [Joke, SCHEMA])
async def test_a_model_that_declines_is_reported_as_a_refusal(schema: Any) -> None:
    structured = model().with_structured_output(schema, method="json_schema")
    with ScriptedTargets({PRIMARY: [say("", refusal="I would rather not.")]}).running():
        with pytest.raises(ContentFilterError, match="declined") as caught:
            structured.invoke("A joke")
        with pytest.raises(ContentFilterError, match="declined"):
            await structured.ainvoke("A joke")
    assert caught.value.detail == "I would rather not."


def test_tools_beside_a_schema_come_first() -> None:
    structured = model().with_structured_output(Joke, method="json_schema", tools=[add])
    with ScriptedTargets({PRIMARY: [call_tool("add", '{"a": 1, "b": 2}'), say(ANSWER)]}).running() as targets:
        assert structured.invoke("A joke") is None
        assert structured.invoke("A joke") == Joke(**JOKE)
    assert (sent_request(targets).tools[0].name, bool(sent_request(targets).response_format)) == ("add", True)


def test_json_mode_needs_no_schema_and_the_others_do() -> None:
    with ScriptedTargets({PRIMARY: [say(ANSWER)]}).running():
        assert model().with_structured_output(method="json_mode").invoke("A joke") == JOKE
    for method in ("json_schema", "function_calling"):
        with pytest.raises(ValidationError, match="schema"):
            model().with_structured_output(method=method)
    with pytest.raises(ValidationError, match="json_mode"):
        model().with_structured_output(Joke, method="yaml")  # type: ignore[arg-type]


def test_partial_answers_are_parsed_as_they_come() -> None:
    structured = model().with_structured_output(SCHEMA, method="json_schema")
    with ScriptedTargets({PRIMARY: [say('{"setup": "Why not?", "punchline": "Because."}')]}).running():
        partials = list(structured.stream("A joke"))
    assert len(partials) > 2
    assert partials[-1] == {"setup": "Why not?", "punchline": "Because."}


@each(
    ("form", "name"),
    [
        ({"type": "json_schema", "json_schema": {"name": "J", "schema": SCHEMA}}, "J"),
        ({"name": "J", "schema": SCHEMA}, "J"),
        ({"type": "object", "properties": {"a": {"type": "string"}}}, "answer"),
        ({"name": "J", "description": "A joke.", "parameters": SCHEMA}, "J"),
    ],
)
def test_a_schema_is_found_in_every_wrapping(form: dict[str, Any], name: str) -> None:
    wrapped = read_response_format(form)
    assert wrapped
    assert (wrapped["type"], wrapped["json_schema"]["name"]) == ("json_schema", name)
    assert wrapped["json_schema"]["schema"]["properties"]


def test_what_is_no_schema_is_refused() -> None:
    with pytest.raises(ValidationError, match="int"):
        read_response_format(42)


def test_traces_get_the_schema() -> None:
    structured = model().with_structured_output(Joke, method="json_schema", strict=True)
    assert structured.first.kwargs["ls_structured_output_format"] == {  # type: ignore[attr-defined]
        "kwargs": {"method": "json_schema", "strict": True},
        "schema": Joke,
    }


# Agents


async def test_an_agent_uses_tools_while_its_primary_is_down() -> None:
    agent = create_agent(model(), tools=[add])
    script = [call_tool("add", '{"a": 1, "b": 2}'), say("It is 3.")]
    with ScriptedTargets({PRIMARY: [DOWN], SECOND: script * 2}).running() as targets:
        result = agent.invoke({"messages": [HumanMessage("1 + 2?")]})
        aresult = await agent.ainvoke({"messages": [HumanMessage("1 + 2?")]})
    assert [message.content for message in result["messages"]] == ["1 + 2?", "", "3", "It is 3."]
    assert aresult["messages"][-1].content == "It is 3."
    assert [message.role for message in sent_request(targets).messages] == ["user", "assistant", "tool"]


@pytest.mark.parametrize("strategy", [ProviderStrategy, ToolStrategy, None])
def test_an_agent_answers_in_a_shape_by_either_strategy(strategy: Any) -> None:
    shape = strategy(Joke) if strategy else Joke
    agent = create_agent(model(), tools=[add], response_format=shape)
    answer = call_tool("Joke", ANSWER) if strategy is ToolStrategy else say(ANSWER)
    with ScriptedTargets({PRIMARY: [call_tool("add", '{"a": 1, "b": 2}'), answer]}).running() as targets:
        result = agent.invoke({"messages": [HumanMessage("A joke")]})
    assert result["structured_response"] == Joke(**JOKE)
    assert sent_request(targets).tool_choice == ("required" if strategy is ToolStrategy else None)


def test_an_agent_without_tools_sends_none() -> None:
    agent = create_agent(model(), tools=[], response_format=ProviderStrategy(Joke))
    with ScriptedTargets({PRIMARY: [say(ANSWER)]}).running() as targets:
        assert agent.invoke({"messages": [HumanMessage("A joke")]})["structured_response"] == Joke(**JOKE)
    assert sent_request(targets).tools == ()


async def test_langgraph_streams_the_messages_of_whoever_answers() -> None:
    llm = model()

    def respond(state: MessagesState) -> dict[str, Sequence[Any]]:
        return {"messages": [llm.invoke(state["messages"])]}

    graph: Any = StateGraph(MessagesState).add_node(respond).add_edge(START, "respond").compile()
    question = {"messages": [HumanMessage("Hi")]}
    with ScriptedTargets({PRIMARY: [DOWN], SECOND: [say("Hello over there")]}).running():
        pieces: list[Any] = [chunk for chunk, _ in graph.stream(question, stream_mode="messages")]
        result = graph.invoke(question)
    assert all(isinstance(piece, AIMessageChunk) for piece in pieces)
    assert len([piece for piece in pieces if piece.content]) == 3
    assert "".join(piece.content for piece in pieces) == "Hello over there"
    assert result["messages"][-1].response_metadata["unified_llm"]["used_fallback"] is True
