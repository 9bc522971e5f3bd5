"""LLMClient, LangChain's and LlamaIndex's structured output accept and reject the same responses."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from typing import Any, Literal

import pytest
from llama_index.core.prompts import PromptTemplate
from pydantic import BaseModel, Field, ValidationError

from tests.support.langchain_targets import KEY
from tests.support.llama_index_calls import collected
from tests.support.scripted_targets import ScriptedTargets, say
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

FORMAT = ResponseFormat(Person.model_json_schema(), "Person", validate=PydanticCheck(Person))
PROMPT = PromptTemplate("Who wrote the first program?")
QUESTION = "Who wrote the first program?"


def person_of(text: str) -> Person:
    """Read a response of the client."""
    return Person.model_validate_json(text)


async def _last(stream: Any) -> Any:
    return [item async for item in stream][-1]


SURFACES: dict[str, dict[str, Callable[[], Any]]] = {
    "whole": {
        "LLMClient": lambda: person_of(LLMClient(GPT).generate(QUESTION, response_format=FORMAT).content),
        "LLMClient async": lambda: person_of(
            asyncio.run(LLMClient(GPT).agenerate(QUESTION, response_format=FORMAT)).content
        ),
        "LangChain": lambda: structured().invoke(QUESTION),
        "LangChain async": lambda: asyncio.run(structured().ainvoke(QUESTION)),
        "LlamaIndex": lambda: UnifiedLLM(model=GPT).structured_predict(Person, PROMPT),
        "LlamaIndex async": lambda: asyncio.run(UnifiedLLM(model=GPT).astructured_predict(Person, PROMPT)),
        # A stream of objects that turns out wrong is followed by a whole answer, since objects replace each other.
        "LlamaIndex stream": lambda: list(UnifiedLLM(model=GPT).stream_structured_predict(Person, PROMPT))[-1],
        "LlamaIndex async stream": lambda: asyncio.run(
            collected(UnifiedLLM(model=GPT).astream_structured_predict(Person, PROMPT))
        )[-1],
    },
    "stream": {
        "LLMClient": lambda: accepted(LLMClient(GPT).stream(QUESTION, response_format=FORMAT)),
        "LLMClient async": lambda: asyncio.run(_last(LLMClient(GPT).astream(QUESTION, response_format=FORMAT))) and 1,
        "LangChain": lambda: list(structured().stream(QUESTION))[-1] and 1,
        "LangChain async": lambda: asyncio.run(_last(structured().astream(QUESTION))) and 1,
    },
}


def accepted(chunks: Any) -> int:
    """Read a stream to its end."""
    return len(list(chunks)) and 1


def structured() -> Any:
    return ChatUnified(model=GPT).with_structured_output(Person, method="json_schema")


@pytest.fixture(autouse=True)
def _key(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    loop = asyncio.new_event_loop()  # LlamaIndex would create one and never close it
    asyncio.set_event_loop(loop)
    yield
    asyncio.set_event_loop(None)
    loop.close()


def verdict(surface: Callable[[], Any], response: str) -> Any:
    """Return what a surface makes of a model that always gives this response: an object, or None for an error."""
    with ScriptedTargets({GPT: [say(response)]}).running() as targets:
        try:
            result = surface()
        except LLMError:
            result = None
    assert targets.open == 0
    return result


def test_there_are_two_hundred_responses_of_both_kinds() -> None:
    assert len(RESPONSES) == 200
    verdicts = [verdict(SURFACES["whole"]["LLMClient"], response) for response in RESPONSES.values()]
    assert 60 < sum(result is not None for result in verdicts) < 140


@pytest.mark.parametrize("name", RESPONSES)
def test_every_surface_has_the_same_verdict(name: str) -> None:
    for surfaces in SURFACES.values():
        verdicts = {surface: verdict(call, RESPONSES[name]) for surface, call in surfaces.items()}
        assert len({repr(result) for result in verdicts.values()}) == 1, verdicts


@pytest.mark.parametrize("name", JSON_TEXTS)
def test_the_verdict_on_bare_json_is_that_of_the_class(name: str) -> None:
    try:
        expected: Person | None = Person.model_validate_json(JSON_TEXTS[name])
    except ValidationError:
        expected = None
    if name == "array":  # the object in it is found, as an object within any other text
        expected = person_of(ADA)
    assert verdict(SURFACES["whole"]["LLMClient"], JSON_TEXTS[name]) == expected
