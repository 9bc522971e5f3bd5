"""A LlamaIndex LLM object as the primary of a ``UnifiedLLM``."""

from __future__ import annotations

import asyncio
import copy
import pickle
from typing import Any

import pytest
from llama_index.core import MockEmbedding
from llama_index.core.llms import MockLLM

from tests.support.each import each
from tests.support.langchain_targets import with_wrapped_models
from tests.support.llama_index_models import Plain
from tests.support.scripted_targets import ScriptedTargets, say
from unified_llm.exceptions import ConfigurationError
from unified_llm.llama_index import UnifiedEmbedding, UnifiedLLM

BACKUP = "ollama/llama2"


def test_an_object_is_the_primary_in_all_four_ways() -> None:
    llm = UnifiedLLM(model=MockLLM(max_tokens=3), fallbacks=[BACKUP])

    async def collect() -> str:
        return "".join([chunk.delta or "" async for chunk in await llm.astream_complete("Hi")])

    with with_wrapped_models(ScriptedTargets({BACKUP: [say("Hello from the backup")]})):
        whole = llm.complete("Hi")
        texts = [whole.text, asyncio.run(llm.acomplete("Hi")).text, asyncio.run(collect())]
        texts.append("".join(chunk.delta or "" for chunk in llm.stream_complete("Hi")))
    assert {text.strip() for text in texts} == {"text text text"}


def test_names_copies_and_pickles() -> None:
    mock = MockLLM(max_tokens=3)
    llm = UnifiedLLM(model=mock, fallbacks=[BACKUP])
    assert repr(llm) == "UnifiedLLM(MockLLM/MockLLM -> ollama/llama2)"
    assert llm.metadata.model_name == llm.to_payload()["model"] == llm.to_dict()["model"] == "MockLLM/MockLLM"
    assert copy.deepcopy(llm).model is llm.model_copy().model is mock
    with with_wrapped_models(ScriptedTargets({})):
        assert pickle.loads(pickle.dumps(llm)).complete("Hi").text.strip() == "text text text"  # noqa: S301


def test_settings_beside_it_reach_the_object() -> None:
    plain = Plain()
    with with_wrapped_models(ScriptedTargets({})):
        UnifiedLLM(model=plain, temperature=0.5, max_tokens=7, stop=["END"]).complete("Hi")
    options = plain.calls[0]
    assert (options["temperature"], options["max_tokens"], options["stop"]) == (0.5, 7, ["END"])


@each(
    ("given", "message"),
    [
        (5, 'such as "openai/gpt-5-mini", or a LlamaIndex LLM, not int'),
        (MockLLM, "make an object of it"),
        (UnifiedLLM(model=BACKUP), "is a chain already"),
    ],
)
def test_anything_else_is_refused_in_one_sentence(given: Any, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        UnifiedLLM(model=given)


def test_embeddings_take_no_object() -> None:
    objects: list[Any] = [MockLLM(), MockEmbedding(embed_dim=3)]
    for given in objects:
        with pytest.raises(ConfigurationError, match='model must be a string, such as "openai/gpt-5-mini", not Mock'):
            UnifiedEmbedding(model=given)
