"""Structured output: objects of a Pydantic class, by LlamaIndex's four methods."""

from __future__ import annotations

import json
from typing import Any, Literal

import pytest
from llama_index.core.prompts import PromptTemplate
from pydantic import BaseModel

from conformance.llama_index.call_modes import CHATS, collect, each_chat, user
from conformance.llama_index.fixtures import Bench
from conformance.llama_index.script import Refuse, Say, json_answer

FORMS = ("structured_predict", "astructured_predict", "stream_structured_predict", "astream_structured_predict")
each_form = pytest.mark.parametrize("form", FORMS)
each_kind = pytest.mark.parametrize("functions", [True, False], ids=["functions", "prompt"])


class Person(BaseModel):
    """A person."""

    name: str
    age: int


class Team(BaseModel):
    """People and their mood."""

    title: str
    members: list[Person]
    mood: Literal["good", "bad"] | None = None


ADA = {"name": "Ada", "age": 36}
PROMPT = PromptTemplate("Who wrote the {number} program?")
CHATTY = Say("I would rather talk about the weather.")


def predict(llm: Any, form: str, kind: type[BaseModel] = Person, **options: Any) -> Any:
    """Return the last object."""
    return collect(llm, form, kind, PROMPT, number="first", **options)[-1]


class TestStructuredOutput:
    """structured_predict and its variants, and StructuredLLM over them."""

    @each_form
    def test_an_object_comes(self, bench: Bench, form: str) -> None:
        """From a model with function calling. Needed by program/function_program.py."""
        llm, upstream = bench.start(json_answer(ADA))
        assert predict(llm, form) == Person(name="Ada", age=36)
        assert "first program" in str(upstream.body.messages)

    @each_form
    def test_an_object_comes_by_prompt(self, bench: Bench, form: str) -> None:
        """From a model without function calling. Needed by program/llm_program.py."""
        llm, upstream = bench.start_without_functions(json_answer(ADA))
        assert predict(llm, form) == Person(name="Ada", age=36)
        assert not upstream.body.tools

    @each_form
    def test_a_nested_object_comes(self, bench: Bench, form: str) -> None:
        """Lists of objects, enumerations and optional fields. Needed by program/utils.py."""
        llm, _ = bench.start(
            json_answer({"title": "Engines", "members": [ADA, {"name": "Charles", "age": 79}], "mood": "good"})
        )
        team = predict(llm, form, Team)
        assert isinstance(team, Team)
        assert [person.name for person in team.members] == ["Ada", "Charles"]

    @each_form
    def test_the_model_is_made_to_answer_so(self, bench: Bench, form: str) -> None:
        """A model for which the tool is optional chats instead. Needed by program/function_program.py."""
        llm, _ = bench.start(json_answer(ADA, obliging=False))
        assert predict(llm, form) == Person(name="Ada", age=36)

    @each_kind
    @each_form
    def test_an_answer_without_an_object_is_an_error(self, bench: Bench, form: str, *, functions: bool) -> None:
        """Not an object whose fields are empty. Needed by llms/llm.py."""
        llm, upstream = (bench.start if functions else bench.start_without_functions)(CHATTY)
        with pytest.raises(Exception):  # noqa: B017, PT011 - every LLM has its own exceptions
            predict(llm, form)
        upstream.violations.clear()  # a refused request is an error too

    @each_kind
    @each_form
    def test_an_object_that_does_not_fit_is_an_error(self, bench: Bench, form: str, *, functions: bool) -> None:
        """Callers rely on the declared types of its fields. Needed by llms/llm.py."""
        answer = json_answer({"name": "Ada", "age": "some"})
        llm, upstream = (bench.start if functions else bench.start_without_functions)(answer)
        with pytest.raises(Exception):  # noqa: B017, PT011 - every LLM has its own exceptions
            predict(llm, form)
        upstream.violations.clear()  # a refused request is an error too

    @each_form
    def test_a_failure_of_the_provider_is_raised(self, bench: Bench, form: str) -> None:
        """Not returned as an empty object. Needed by llms/llm.py."""
        llm, _ = bench.start(Refuse(500))
        with pytest.raises(Exception):  # noqa: B017, PT011 - every LLM has its own exceptions
            predict(llm, form)

    @each_form
    def test_arguments_of_the_call_are_passed_on(self, bench: Bench, form: str) -> None:
        """And their dict is not changed. Needed by llms/structured_llm.py."""
        llm, upstream = bench.start(json_answer(ADA))
        options = {"temperature": 0.25, "seed": 7}
        predict(llm, form, llm_kwargs=options)
        assert (upstream.body.temperature, upstream.body.seed) == (0.25, 7)
        assert options == {"temperature": 0.25, "seed": 7}

    @each_chat
    def test_a_structured_llm_chats_in_objects(self, bench: Bench, mode: str) -> None:
        """Agents with an output class, and query engines, use it. Needed by agent/utils.py."""
        llm, _ = bench.start(json_answer(ADA))
        last = collect(llm.as_structured_llm(Person), mode, user("Who wrote the first program?"))[-1]
        assert json.loads(last.message.content) == ADA
        assert isinstance(last.raw, Person)

    @pytest.mark.parametrize("mode", CHATS[:2])
    def test_a_structured_llm_raises(self, bench: Bench, mode: str) -> None:
        """An error must not look like an answer. Needed by agent/utils.py."""
        llm, _ = bench.start(CHATTY)
        with pytest.raises(Exception):  # noqa: B017, PT011 - every LLM has its own exceptions
            collect(llm.as_structured_llm(Person), mode, user("Who wrote the first program?"))
