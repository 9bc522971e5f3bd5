"""LLMClient, LangChain's and LlamaIndex's structured output accept and reject the same responses."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterator
from typing import Any, Literal

import pytest
from llama_index.core.prompts import PromptTemplate
from pydantic import BaseModel, Field, ValidationError

from tests.support.each import each
from tests.support.langchain_targets import KEY
from tests.support.llama_index_calls import collected
from tests.support.scripted_targets import ScriptedTargets, say
from tests.support.thorough import some
from unified_llm import LLMClient
from unified_llm._adapters.structured_output import PydanticCheck
from unified_llm.exceptions import LLMError
from unified_llm.langchain import ChatUnified
from unified_llm.llama_index import UnifiedLLM
from unified_llm.types import ResponseFormat

GPT = "openai/gpt-4o"


class Address(BaseModel):
    city: str
    zip_code: str | None = None


class Person(BaseModel):
    """A person."""

    name: str
    age: int = Field(ge=0, le=150)
    tags: list[str] = []
    mood: Literal["good", "bad"] | None = None
    address: Address | None = None


ADA = '{"name": "Ada", "age": 36}'
JSON_TEXTS = {
    "right": ADA,
    "right, indented": '{\n  "name": "Ada",\n  "age": 36,\n  "tags": []\n}',
    "unicode": '{"name": "Ada Ловлейс 💡", "age": 36, "tags": ["\\u00e9"]}',
    "braces in strings": '{"name": "A {d} } a \\" [", "age": 36}',
    "nested": '{"name": "Ada", "age": 36, "address": {"city": "London", "zip_code": null}}',
    "extra field": '{"name": "Ada", "age": 36, "height": 1.6}',
    "number as a string": '{"name": "Ada", "age": "36"}',
    "word for a number": '{"name": "Ada", "age": "many"}',
    "whole float": '{"name": "Ada", "age": 36.0}',
    "fraction": '{"name": "Ada", "age": 36.5}',
    "string as a number": '{"name": 7, "age": 36}',
    "null": '{"name": "Ada", "age": null}',
    "NaN": '{"name": "Ada", "age": NaN}',
    "infinity": '{"name": "Ada", "age": Infinity}',
    "missing field": '{"name": "Ada"}',
    "empty object": "{}",
    "beyond a bound": '{"name": "Ada", "age": 1000}',
    "wrong choice": '{"name": "Ada", "age": 36, "mood": "fair"}',
    "wrong nested": '{"name": "Ada", "age": 36, "address": {"zip_code": "N1"}}',
    "list in place of a string": '{"name": ["Ada"], "age": 36}',
    "array": f"[{ADA}]",
    "array of numbers": "[1, 2]",
    "truncated": '{"name": "Ada", "age": 36, "address": {"city": "London"}',
    "trailing comma": '{"name": "Ada", "age": 36,}',
    "single quotes": "{'name': 'Ada', 'age': 36}",
}
SURROUNDINGS = {
    "bare": "{}",
    "white space": "\n  {}\n",
    "fence": "```json\n{}\n```",
    "fence without a language": "Sure!\n```\n{}\n```\nAnything else?",
    "prose": "The answer, which has {{two}} fields, is: {} I hope that [this] helps.",
    "thoughts": "<think>A name? {{maybe}}</think>{}",
    "before a right one": "{} or rather " + ADA.replace("{", "{{").replace("}", "}}"),
    "after a wrong one": '{{"name": "Bob"}}, no: {}',
}
RESPONSES = {
    f"{text}, {surroundings}": around.format(JSON_TEXTS[text])
    for text in JSON_TEXTS
    for surroundings, around in SURROUNDINGS.items()
}
# The async surfaces share all but their drivers with the others; for them, 50 responses.
FOR_ASYNC = {f"{text}, {surroundings}" for text in JSON_TEXTS for surroundings in ("bare", "prose")}

FORMAT = ResponseFormat(Person.model_json_schema(), "Person", validate=PydanticCheck(Person))
PROMPT = PromptTemplate("Who wrote the first program?")
QUESTION = "Who wrote the first program?"


def person_of(text: str) -> Person:
    """Read a response of the client."""
    return Person.model_validate_json(text)


class Models:
    """A model of each surface, and the event loop of their async calls, for all tests of this module."""

    def __init__(self, run: Callable[[Coroutine[Any, Any, Any]], Any]) -> None:
        self.client = LLMClient(GPT)
        self.structured: Any = ChatUnified(model=GPT).with_structured_output(Person, method="json_schema")
        self.llm = UnifiedLLM(model=GPT)
        self.run = run


async def _last(stream: Any) -> Any:
    return [item async for item in stream][-1]


SURFACES: dict[str, dict[str, Callable[[Models], Any]]] = {
    "whole": {
        "LLMClient": lambda m: person_of(m.client.generate(QUESTION, response_format=FORMAT).content),
        "LLMClient async": lambda m: person_of(m.run(m.client.agenerate(QUESTION, response_format=FORMAT)).content),
        "LangChain": lambda m: m.structured.invoke(QUESTION),
        "LangChain async": lambda m: m.run(m.structured.ainvoke(QUESTION)),
        "LlamaIndex": lambda m: m.llm.structured_predict(Person, PROMPT),
        "LlamaIndex async": lambda m: m.run(m.llm.astructured_predict(Person, PROMPT)),
        # A stream of objects that turns out wrong is followed by a whole answer, since objects replace each other.
        "LlamaIndex stream": lambda m: list(m.llm.stream_structured_predict(Person, PROMPT))[-1],
        "LlamaIndex async stream": lambda m: m.run(collected(m.llm.astream_structured_predict(Person, PROMPT)))[-1],
    },
    "stream": {
        "LLMClient": lambda m: bool(list(m.client.stream(QUESTION, response_format=FORMAT))),
        "LLMClient async": lambda m: bool(m.run(_last(m.client.astream(QUESTION, response_format=FORMAT)))),
        "LangChain": lambda m: bool(list(m.structured.stream(QUESTION))),
        "LangChain async": lambda m: bool(m.run(_last(m.structured.astream(QUESTION)))),
    },
}


@pytest.fixture(scope="module")
def models() -> Iterator[Models]:
    with asyncio.Runner() as runner, pytest.MonkeyPatch.context() as environment:
        environment.setenv("OPENAI_API_KEY", KEY)
        asyncio.set_event_loop(runner.get_loop())  # LlamaIndex would create one and never close it
        yield Models(runner.run)
        asyncio.set_event_loop(None)


def verdict(models: Models, surface: Callable[[Models], Any], response: str) -> Any:
    """Return what a surface makes of a model that always gives this response: an object, or None for an error."""
    with ScriptedTargets({GPT: [say(response)]}).running() as targets:
        try:
            result = surface(models)
        except LLMError:
            result = None
    assert targets.open == 0
    return result


def test_there_are_two_hundred_responses_of_both_kinds(models: Models) -> None:
    assert len(RESPONSES) == 200
    verdicts = [verdict(models, SURFACES["whole"]["LLMClient"], response) for response in RESPONSES.values()]
    assert 60 < sum(result is not None for result in verdicts) < 140


@pytest.mark.parametrize("name", some(RESPONSES, 8))
def test_every_surface_has_the_same_verdict(models: Models, name: str) -> None:
    for surfaces in SURFACES.values():
        calls = {surface: call for surface, call in surfaces.items() if "async" not in surface or name in FOR_ASYNC}
        verdicts = {surface: verdict(models, call, RESPONSES[name]) for surface, call in calls.items()}
        assert len({repr(result) for result in verdicts.values()}) == 1, verdicts


@each("name", JSON_TEXTS)
def test_the_verdict_on_bare_json_is_that_of_the_class(models: Models, name: str) -> None:
    try:
        expected: Person | None = Person.model_validate_json(JSON_TEXTS[name])
    except ValidationError:
        expected = None
    # The object in an array is found, as one within any other text; a comma too many is removed.
    if name in {"array", "trailing comma"}:
        expected = person_of(ADA)
    assert verdict(models, SURFACES["whole"]["LLMClient"], JSON_TEXTS[name]) == expected
