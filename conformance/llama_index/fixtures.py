"""Fixtures of every test: the contender's LLM and scripted models for it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import llama_index.core
import pytest

from conformance.llama_index.contender import Contender
from conformance.llama_index.script import Answer
from conformance.llama_index.upstream import KEY, Server, Upstream

if TYPE_CHECKING:
    from llama_index.core.llms.llm import LLM


class Bench:
    """Factory of LLMs and the scripted models behind them; checks the requests that the models receive."""

    def __init__(self, contender: Contender, server: Server) -> None:
        self.contender = contender
        self._server = server
        self._opened: list[Upstream] = []

    def open(self, *answers: Answer) -> Upstream:
        """Create a model that answers its requests in this way."""
        upstream = self._server.open(*answers)
        self._opened.append(upstream)
        self.contender.opened(upstream)
        return upstream

    def start(self, *answers: Answer, **fields: Any) -> tuple[LLM, Upstream]:
        """Create a model, and an LLM with function calling over it."""
        upstream = self.open(*answers)
        return self.llm(upstream.url, **fields), upstream

    def start_without_functions(self, *answers: Answer, **fields: Any) -> tuple[LLM, Upstream]:
        """Create a model, and an LLM without function calling over it."""
        upstream = self.open(*answers)
        return self.contender.without_functions(upstream.url, KEY, **{"max_retries": 0, **fields}), upstream

    def llm(self, url: str, **fields: Any) -> LLM:
        """Create an LLM with function calling over the model at this address."""
        return self.contender.calling_functions(url, KEY, **{"max_retries": 0, **fields})

    def check(self) -> None:
        """Fail if a malformed request was sent."""
        assert [violation for upstream in self._opened for violation in upstream.violations] == []


@pytest.fixture(scope="session")
def _server() -> Iterator[Server]:
    with Server() as server:
        yield server


@pytest.fixture
def bench(contender: Contender, _server: Server, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    """Create LLMs; the test fails if one of them sent a malformed request."""
    contender.forget()
    # Counting words needs no download, and the numbers do not matter here.
    monkeypatch.setattr(llama_index.core, "global_tokenizer", str.split)
    bench = Bench(contender, _server)
    yield bench
    bench.check()
