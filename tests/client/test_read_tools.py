"""Tools from what users pass to a client: functions, classes, dicts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

import pytest
from langchain_core.tools import tool as langchain_tool
from llama_index.core.tools import FunctionTool
from pydantic import BaseModel, Field
from typing_extensions import TypedDict

from tests.support.each import each
from tests.support.sent_requests import SentRequests
from unified_llm import LLMClient, LLMRequest
from unified_llm._client import read_request
from unified_llm.exceptions import ValidationError
from unified_llm.langchain import ChatUnified
from unified_llm.llama_index import UnifiedLLM
from unified_llm.types import Tool


def weather(city: str, unit: Literal["c", "f"] = "c", *, days: int | None = None) -> str:
    """Tell the weather.

    Of today, or of some days.

    Args:
        city: The city, as people
            call it.
        unit (str): Celsius or Fahrenheit.

    Returns:
        A sentence.
    """
    return f"Sunny in {city} {unit} {days}"


class Weather(BaseModel):
    """Tell the weather."""

    city: str = Field(description="The city.")
    days: list[int] = []


class City(TypedDict):
    """Look up a city."""

    name: str


@dataclass
class Place:
    """Look up a place."""

    name: str
    zoom: int = 1


class Finder:
    """Looks for things."""

    def find(self, what: str) -> str:
        """Find it."""
        return what


async def later(text: str) -> str:
    """Repeat it later."""
    return text


NOW = {"type": "function", "function": {"name": "weather", "parameters": {"type": "object"}}}


def read(*tools: Any, **fields: Any) -> LLMRequest:
    return read_request.chat("Hello", {"tools": [*tools], **fields})


def test_a_function_is_a_tool_with_a_schema_of_its_signature_and_docstring() -> None:
    (tool,) = read(weather).tools
    assert (tool.name, tool.description) == ("weather", "Tell the weather.\n\nOf today, or of some days.")
    assert tool.parameters["required"] == ["city"]
    assert tool.parameters["properties"] == {
        "city": {"type": "string", "description": "The city, as people call it."},
        "unit": {"type": "string", "enum": ["c", "f"], "default": "c", "description": "Celsius or Fahrenheit."},
        "days": {"anyOf": [{"type": "integer"}, {"type": "null"}], "default": None},
    }


def test_such_a_tool_reaches_the_provider() -> None:
    client = LLMClient("openai/gpt-4o", api_key="sk-canary-tools")
    with SentRequests().running() as network:
        client.generate("Hello", tools=[weather, Weather], tool_choice="Weather")
    functions = [tool["function"] for tool in network.sent[0].body["tools"]]
    assert [function["name"] for function in functions] == ["weather", "Weather"]
    assert functions[1]["parameters"]["properties"]["city"] == {"type": "string", "description": "The city."}


@each(
    ("thing", "name", "description", "arguments"),
    [
        (later, "later", "Repeat it later.", ["text"]),
        (Finder().find, "find", "Find it.", ["what"]),
        (Weather, "Weather", "Tell the weather.", ["city", "days"]),
        (City, "City", "Look up a city.", ["name"]),
        (Place, "Place", "Look up a place.", ["name", "zoom"]),
        ({"type": "function", "name": "now", "parameters": {"properties": {"a": {}}}}, "now", "", ["a"]),
        ({"name": "now", "description": "Now.", "parameters": {"properties": {"a": {}}}}, "now", "Now.", ["a"]),
        ({"function": {"name": "now", "parameters": {"properties": {"a": {}}}}}, "now", "", ["a"]),
        (Tool("now"), "now", "", []),
    ],
)
def test_many_things_are_tools(thing: Any, name: str, description: str, arguments: list[str]) -> None:
    (tool,) = read(thing).tools
    assert (tool.name, tool.builtin) == (name, None)
    assert [*tool.parameters.get("properties", {})] == arguments
    assert tool.description.startswith(description)


def test_a_tool_of_a_provider_is_left_as_it_is() -> None:
    builtins: list[dict[str, Any]] = [
        {"type": "web_search"},
        {"google_search": {}},
        {"name": "w", "input_schema": {}, "cache_control": {}},
    ]
    for builtin in builtins:
        assert read(builtin).tools[0].builtin == builtin


def anything(*values: str) -> None:
    """Take anything."""


def handler(callback: Callable[[object], object], other: object) -> None:
    """Take what JSON does not have."""


@langchain_tool
def search(query: str) -> str:
    """Search."""
    return query


@each(
    ("tools", "problem"),
    [
        ([{}], r'A tool needs a type and a function: \{"type": "function", "function":'),
        ([{"name": "CANARY"}], "A tool needs a type and a function"),
        ([{"type": "function"}], "A tool needs a type and a function"),
        ([{"type": "function", "function": {}}], "A function tool needs a name"),
        ([{"description": "CANARY", "title": "x"}], "A tool needs a type and a function"),
        ("CANARY", r"tools is a list: tools=\[\.\.\.\]"),
        ({}, "tools is a list"),
        ("", "tools is a list"),
        (weather, "tools is a list"),
        (Weather, "tools is a list"),
        ({weather}, "tools is a list"),
        ([None], "A tool is a Tool, .*; got NoneType"),
        (["CANARY"], "A tool is a Tool, .*; got str"),
        ([anything], r"the arguments of anything\(\) cannot be described"),
        ([handler], r"the arguments of handler\(\) cannot be described"),
        ([lambda city: city], "this one has no name to call it by"),
        ([partial(weather, unit="f")], "this one has no name to call it by"),
        ([int], "the class int has no fields"),
        ([Tool], "the class Tool has no fields"),
        ([Finder], "the class Finder has no fields"),
        ([search], r"a LangChain tool goes to ChatUnified\(\.\.\.\)\.bind_tools"),
        ([FunctionTool.from_defaults(weather)], r"a LlamaIndex tool goes to UnifiedLLM\(\.\.\.\)\.chat_with_tools"),
    ],
)
def test_what_is_no_tool_is_refused_with_how_to_make_one(tools: Any, problem: str) -> None:
    with pytest.raises(ValidationError, match=problem) as refused:
        read_request.chat("CANARY", {"tools": tools})
    assert "CANARY" not in str(refused.value)


def test_a_misspelled_choice_of_a_tool_is_refused_with_the_nearest_name() -> None:
    for choice, near in (("requird", "required"), ("Auto", "auto"), ("wheather", "weather"), ("zzz", None)):
        with pytest.raises(ValidationError, match="or the name of a tool: 'weather'") as refused:
            read(weather, tool_choice=choice)
        assert str(refused.value).endswith(f"Did you mean {near!r}?" if near else "'weather'.")
    choices: list[Any] = ["auto", "none", "required", "any", "weather"]
    for accepted in [*choices, {"type": "function", "function": {"name": "weather"}}]:
        assert read(weather, tool_choice=accepted).tool_choice
    assert read(tool_choice="weather").tool_choice == "weather"  # without tools it has no effect


@each("tools", ["CANARY", {"CANARY": 1}, weather, Weather])
def test_one_tool_alone_is_refused_by_the_adapters_too(tools: Any) -> None:
    target: dict[str, Any] = {"model": "openai/gpt-4o", "api_key": "sk-canary-tools"}
    for call in (
        lambda: ChatUnified(**target).invoke("Hello", tools=tools),
        lambda: ChatUnified(**target).bind_tools(tools),
        lambda: UnifiedLLM(**target).complete("Hello", tools=tools),
    ):
        with pytest.raises(ValidationError, match=r"tools is a list: tools=\[\.\.\.\]"):
            call()


def test_the_adapters_suggest_a_choice_of_tool_too() -> None:
    target: dict[str, Any] = {"model": "openai/gpt-4o", "api_key": "sk-canary-tools"}
    for call in (
        lambda: ChatUnified(**target).bind_tools([weather], tool_choice="wheather"),
        lambda: UnifiedLLM(**target).complete("Hello", tools=[NOW], tool_choice="wheather"),
    ):
        with pytest.raises(ValidationError, match=r"or the name of a tool: 'weather'\. Did you mean 'weather'"):
            call()
    with pytest.raises(ValidationError, match=r"got function: make one with FunctionTool\.from_defaults\(function\)"):
        UnifiedLLM(**target).complete("Hello", tools=[weather])
