"""Texts to embed: one rule for the client and both adapters."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

import pytest

from tests.support.each import each
from tests.support.sent_requests import SentRequests
from unified_llm import LLMClient
from unified_llm.exceptions import ValidationError
from unified_llm.langchain import UnifiedEmbeddings
from unified_llm.llama_index import UnifiedEmbedding

MODEL = {"model": "openai/text-embedding-3-small", "api_key": "sk-canary-texts"}


class Array:
    """What NumPy, pandas and PyTorch have in common."""

    def tolist(self) -> list[str]:
        return ["CANARY"]

    def __bool__(self) -> bool:
        raise ValueError("CANARY is ambiguous")


def client() -> LLMClient:
    return LLMClient(MODEL["model"], api_key=MODEL["api_key"])


def langchain() -> UnifiedEmbeddings:
    return UnifiedEmbeddings(**MODEL)  # type: ignore[arg-type]


def llama_index() -> UnifiedEmbedding:
    return UnifiedEmbedding(**MODEL)  # type: ignore[arg-type]


SEVERAL: Mapping[str, Callable[[Any], Any]] = {
    "embed_documents": lambda texts: langchain().embed_documents(texts),
    "aembed_documents": lambda texts: asyncio.run(langchain().aembed_documents(texts)),
    "get_text_embedding_batch": lambda texts: llama_index().get_text_embedding_batch(texts),
    "aget_text_embedding_batch": lambda texts: asyncio.run(llama_index().aget_text_embedding_batch(texts)),
}
ALL: Mapping[str, Callable[[Any], Any]] = {
    "embed": lambda texts: client().embed(texts).vectors,
    "aembed": lambda texts: asyncio.run(client().aembed(texts)).vectors,
    **SEVERAL,
}
ONE: Mapping[str, Callable[[Any], Any]] = {
    "embed_query": lambda text: langchain().embed_query(text),
    "aembed_query": lambda text: asyncio.run(langchain().aembed_query(text)),
    "get_text_embedding": lambda text: llama_index().get_text_embedding(text),
    "get_query_embedding": lambda text: llama_index().get_query_embedding(text),
}


@each(
    ("texts", "problem"),
    [
        (Array(), r"got Array: use \.tolist\(\)\."),
        (5, r"got int\."),
        (None, r"got NoneType\."),
        (b"CANARY", r"got bytes\."),
        ({"CANARY": 1}, r"got dict\."),
        ({"CANARY"}, r"got set: use list\(\.\.\.\)\."),
        ((text for text in ["CANARY"]), r"got generator: use list\(\.\.\.\)\."),
        (["CANARY", 5], r"item 1 is of the type int\."),
        ([["CANARY"]], r"item 0 is of the type list\."),
        (["CANARY", None], r"item 1 is of the type NoneType\."),
    ],
)
def test_what_is_no_list_of_texts_is_refused_with_what_it_is(texts: Any, problem: str) -> None:
    with SentRequests().running() as network:
        for call in ALL.values():
            with pytest.raises(ValidationError, match=f"needs a .*; {problem}") as refused:
                call(texts)
            assert "CANARY" not in str(refused.value)
    assert network.sent == []


def test_one_text_is_no_list_of_its_letters() -> None:
    with SentRequests().running() as network:
        for call in SEVERAL.values():
            with pytest.raises(ValidationError, match=r"got one string: write \[text\], or call \w+\(text\)"):
                call("abc")
        assert network.sent == []
        assert len(ALL["embed"]("abc")) == 1


def test_no_text_is_refused_by_the_client_and_gives_no_vectors_in_the_frameworks() -> None:
    with SentRequests().running() as network:
        for name, call in ALL.items():
            if name in SEVERAL:
                assert call([]) == []
            else:
                with pytest.raises(ValidationError, match="at least one string; the list is empty"):
                    call([])
    assert network.sent == []


def test_an_empty_text_is_left_to_the_provider_on_every_surface() -> None:
    for call in ALL.values():
        with SentRequests().running() as network:
            assert len(call([""])) == 1
        assert network.sent[0].body["input"] == [""]


def test_one_text_must_be_a_string() -> None:
    with SentRequests().running() as network:
        for call in ONE.values():
            for wrong in (5, None, ["CANARY"], b"CANARY"):
                with pytest.raises(ValidationError):
                    call(wrong)
    assert network.sent == []


def test_several_texts_are_not_one() -> None:
    with SentRequests().running() as network:
        for name, call in ONE.items():
            several = "embed_documents" if "embed_query" in name else "get_text_embedding_batch"
            with pytest.raises(ValidationError) as refused:
                call(["CANARY"])
            method = name.removeprefix("a")
            assert str(refused.value).endswith(
                f"{method}() needs a string; got list: for several texts call {several}(texts)."
            )
            with pytest.raises(ValidationError, match=f"{method}\\(\\) needs a string; got NoneType"):
                call(None)
    assert network.sent == []
