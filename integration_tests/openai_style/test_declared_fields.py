"""Our classes declare the fields of the classes of OpenAI's SDK, in the same order, and dump the same dictionaries."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import openai.types
import pytest
from openai import BaseModel
from openai.types.chat import ChatCompletion as SDKChatCompletion

import unified_llm.openai_style.types
from unified_llm.openai_style._declared_fields import read_annotations
from unified_llm.openai_style._objects import OpenAIObject
from unified_llm.openai_style.types.chat import ChatCompletion

# Classes that the SDK has twice under longer names, once for the prompt and once for the answer.
SAME = {
    "ModerationResult": "ModerationInputModerationResultsResult",
    "ModerationResults": "ModerationInputModerationResults",
    "ModerationError": "ModerationInputError",
}


def modules(package: ModuleType) -> Iterator[ModuleType]:
    for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
        yield importlib.import_module(module.name)


def classes(package: ModuleType, base: type[Any]) -> dict[tuple[str, str], type[Any]]:
    """Return the classes of a package by the last part of their module's name and their own name."""
    return {
        (module.__name__.rpartition(".")[2], name): kind
        for module in modules(package)
        for name, kind in vars(module).items()
        if inspect.isclass(kind) and issubclass(kind, base) and kind is not base and "[" not in name
    }


OURS = {
    names: kind
    for names, kind in classes(unified_llm.openai_style.types, OpenAIObject).items()
    if kind.__module__.endswith(f".{names[0]}")
}
THEIRS = classes(openai.types, BaseModel)


def of_the_sdk(module: str, name: str) -> Any:
    name = SAME.get(name, name)
    alike = [kind for (home, other), kind in THEIRS.items() if other == name and home.startswith("chat_completion")]
    alike += [kind for (_, other), kind in THEIRS.items() if other == name]
    return THEIRS.get((module, name)) or (alike[0] if alike else None)


@pytest.mark.parametrize("names", OURS, ids=".".join)
def test_a_class_declares_the_fields_of_the_sdk(names: tuple[str, str]) -> None:
    ours, theirs = OURS[names], of_the_sdk(*names)
    assert theirs is not None, "the SDK has no such class"
    declared = read_annotations(ours, OpenAIObject)
    fields = {name: field.alias or name for name, field in theirs.model_fields.items()}
    assert {name: field.key for name, field in declared.items()} == fields
    assert list(declared) == list(fields)


def test_a_dump_is_that_of_the_sdk() -> None:
    body: dict[str, Any] = {
        "id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": "gpt-5", "unknown": {"x": [1]},
        "choices": [{
            "index": 0, "finish_reason": "stop", "logprobs": {"content": [{"token": "a", "logprob": -1, "bytes": [1]}]},
            "message": {
                "role": "assistant", "content": "Hi", "refusal": None, "reasoning_content": "r",
                "tool_calls": [
                    {"id": "1", "type": "function", "function": {"name": "f", "arguments": "{}"}},
                    {"id": "2", "type": "custom", "custom": {"name": "g", "input": "x"}},
                ],
            },
        }],
        "usage": {"prompt_tokens": 1, "completion_tokens": 2, "prompt_tokens_details": {"cached_tokens": 0}},
    }  # fmt: skip
    ours, theirs = ChatCompletion.from_json(body), SDKChatCompletion.construct(**body)
    assert ours.model_dump_json() == theirs.model_dump_json()
    assert ours.to_json() == theirs.to_json()
    options: list[dict[str, Any]] = [
        {}, {"exclude_none": True}, {"exclude_unset": True}, {"mode": "json"},
        {"include": {"id", "usage"}}, {"include": {"choices": {0: {"message"}}}}, {"exclude": {"choices": {0}}},
        {"exclude": {"choices": {"__all__": {"message": {"content"}}}}},
    ]  # fmt: skip
    for chosen in options:
        assert ours.model_dump(**chosen) == theirs.model_dump(**chosen), chosen
    assert ours.to_dict() == theirs.to_dict()
    assert ours.model_extra == theirs.model_extra
