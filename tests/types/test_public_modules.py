from __future__ import annotations

import dataclasses
import importlib
import inspect
import pickle
import subprocess
import sys
from typing import Any, get_type_hints

from pydantic import TypeAdapter

import unified_llm
import unified_llm.exceptions
import unified_llm.types
from tests.support.each import each
from unified_llm.types import LLMRequest, MediaFile, Message

ERRORS = [getattr(unified_llm.exceptions, name) for name in unified_llm.exceptions.__all__]
TYPES = [value for name in unified_llm.types.__all__ if isinstance(value := getattr(unified_llm.types, name), type)]
CHAT = LLMRequest((Message("user", "Hello?"),))
# A value for every field that has no default.
VALUES = {
    "audio": MediaFile(b"RIFF"), "job": "video_1", "method": "GET", "path": "/files", "feature": "file_storage",
    "prompt": "a", "start": 0.0, "end": 1.0, "word": "a",
    "arguments": {"city": "Bern"}, "chat": CHAT, "data": b"RIFF", "documents": ("a", "b"), "format": "openai_chat",
    "id": "m-1", "index": 1, "logprob": -0.5, "messages": CHAT.messages, "name": "look", "outcome": "ok",
    "provider": "openai", "query": "a", "results": (), "role": "user", "score": 0.5, "target": "openai/gpt-5-mini",
    "text": "Hello", "texts": ("a",), "token": "a", "vectors": [[0.5]],
}  # fmt: skip


def example_of(kind: Any) -> Any:
    required = [
        field.name
        for field in dataclasses.fields(kind)
        if field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
    ]
    return kind(**{name: VALUES[name] for name in required})


def test_there_are_classes_to_look_at() -> None:
    assert len(TYPES) > 25
    assert len(ERRORS) > 15


@each("kind", TYPES)
def test_a_type_names_the_module_that_it_is_imported_from(kind: type[object]) -> None:
    name = kind.__name__
    assert kind.__module__ == ("unified_llm" if name in unified_llm.__all__ else "unified_llm.types")
    assert getattr(sys.modules[kind.__module__], name) is kind


@each("kind", ERRORS)
def test_an_error_names_the_module_that_it_is_imported_from(kind: type[object]) -> None:
    assert kind.__module__ == "unified_llm.exceptions"
    assert kind.__qualname__ == kind.__name__


@each("kind", TYPES)
def test_every_type_survives_pickle(kind: Any) -> None:
    example = example_of(kind)
    copy = pickle.loads(pickle.dumps(example))  # noqa: S301
    assert copy == example
    assert type(copy) is kind
    assert pickle.loads(pickle.dumps(kind)) is kind  # noqa: S301


@each("kind", ERRORS)
def test_every_error_survives_pickle(kind: Any) -> None:
    copy = pickle.loads(pickle.dumps(kind("No answer.", provider="openai")))  # noqa: S301
    assert type(copy) is kind
    assert (str(copy), copy.provider) == ("No answer.", "openai")


def test_pickles_are_read_in_a_process_that_has_imported_nothing() -> None:
    things = [*map(example_of, TYPES), *(kind("No answer.") for kind in ERRORS)]
    code = "import pickle, sys; print(*(type(thing).__name__ for thing in pickle.load(sys.stdin.buffer)))"
    done = subprocess.run([sys.executable, "-c", code], input=pickle.dumps(things), capture_output=True, check=True)
    assert done.stdout.decode().split() == [kind.__name__ for kind in (*TYPES, *ERRORS)]


def test_annotations_resolve_although_they_were_written_in_another_module() -> None:
    code = """
from typing import get_type_hints
import unified_llm.types as types
for name in types.__all__:
    if isinstance(getattr(types, name), type):
        get_type_hints(getattr(types, name))
"""
    subprocess.run([sys.executable, "-c", code], check=True)
    assert get_type_hints(unified_llm.LLMResponse)["alternatives"] == tuple[unified_llm.LLMResponse, ...]


@each("kind", TYPES)
def test_pydantic_takes_every_type_as_a_field(kind: Any) -> None:
    example = example_of(kind)
    assert TypeAdapter(kind).validate_python(example) == example


@each("home", ["unified_llm", "unified_llm.langchain", "unified_llm.llama_index", "unified_llm.testing"])
def test_every_public_class_and_function_names_the_module_that_it_is_imported_from(home: str) -> None:
    module = importlib.import_module(home)
    values = {name: getattr(module, name) for name in module.__all__}
    private = {
        name: value.__module__
        for name, value in values.items()
        if (isinstance(value, type) or inspect.isfunction(value)) and value.__module__ != home
    }
    assert private == {}
