"""Everything that OpenAI's client has is offered, or refused by a name that the documentation lists."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import openai
import pytest

from unified_llm import openai_style
from unified_llm.exceptions import UnsupportedOperationError
from unified_llm.openai_style._unsupported import OF_OPENAI

PAGE = Path(__file__).parents[2] / "docs" / "openai-style.md"
CLIENTS = [(openai.OpenAI, openai_style.OpenAI), (openai.AsyncOpenAI, openai_style.AsyncOpenAI)]
RAW = {"with_raw_response", "with_streaming_response"}


def _resources_and_methods(theirs: Any, ours: Any, path: str) -> Iterator[tuple[str, Any]]:
    """Yield what each resource of the SDK has, and what is here in its place: an attribute, or the error it raises."""
    for name in dir(theirs):
        if name.startswith("_") or name in RAW:
            continue
        attribute = getattr(theirs, name)
        is_resource = type(attribute).__module__.startswith("openai.resources")
        if not path and not is_resource:
            continue
        try:
            here = getattr(ours, name)
        except (AttributeError, UnsupportedOperationError) as error:
            yield path + name, error
            continue
        yield path + name, here
        if is_resource:
            yield from _resources_and_methods(attribute, here, f"{path}{name}.")


@pytest.mark.parametrize(("theirs", "ours"), CLIENTS, ids=["sync", "async"])
def test_what_the_sdk_has_is_offered_or_refused_by_its_name(theirs: Any, ours: Any) -> None:
    with warnings.catch_warnings(action="ignore"):
        found = dict(_resources_and_methods(theirs(api_key="sk-of-a-test"), ours(api_key="sk-of-a-test"), ""))
    refused = {path: error for path, error in found.items() if isinstance(error, Exception)}
    assert len(found) > 60
    assert [path for path, error in refused.items() if not isinstance(error, UnsupportedOperationError)] == []
    assert all(f"openai.OpenAI().{path}" in str(error) for path, error in refused.items())


def test_the_documentation_lists_what_is_refused() -> None:
    page = PAGE.read_text(encoding="utf-8")
    short = {name.removeprefix("beta.").removeprefix("videos.") for name in OF_OPENAI} - {"put", "patch", "request"}
    unnamed = {"realtime", "responses", "create_character", "get_character", "delete"}  # said in other words
    assert [name for name in short - unnamed if f"`{name}`" not in page] == []
