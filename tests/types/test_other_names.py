"""Attributes that other packages' responses have: an error that names ours."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import pytest

from tests.support.each import each
from unified_llm import EmbeddingResponse, LLMChunk, LLMResponse

RESPONSE, CHUNK, VECTORS = LLMResponse("CANARY"), LLMChunk("CANARY"), EmbeddingResponse([[1.0]])


@each(
    ("thing", "name", "instead"),
    [
        (RESPONSE, "text", ".content"),
        (RESPONSE, "choices", ".content"),
        (RESPONSE, "message", ".content"),
        (RESPONSE, "output_text", ".content"),
        (RESPONSE, "id", ".response_id"),
        (RESPONSE, "usage_metadata", ".usage"),
        (CHUNK, "text", ".content"),
        (CHUNK, "delta", ".content"),
        (CHUNK, "choices", ".content"),
        (VECTORS, "data", ".vectors"),
        (VECTORS, "embeddings", ".vectors"),
    ],
)
def test_an_attribute_of_other_packages_is_refused_with_ours(thing: Any, name: str, instead: str) -> None:
    with pytest.raises(AttributeError, match=f"object has no attribute '{name}': use {instead}") as refused:
        getattr(thing, name)
    assert "CANARY" not in str(refused.value)
    assert not hasattr(thing, name)


def test_other_attributes_copies_and_pickles_are_as_ever() -> None:
    for thing in (RESPONSE, CHUNK, VECTORS):
        with pytest.raises(AttributeError, match=r"has no attribute 'zzz'$"):
            thing.zzz  # type: ignore[union-attr] # noqa: B018
        assert copy.copy(thing) == copy.deepcopy(thing) == pickle.loads(pickle.dumps(thing)) == thing  # noqa: S301
        assert not hasattr(thing, "__dict__")
