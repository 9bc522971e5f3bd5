"""What every test of the suite stands on: a contender, and models for it to talk to."""

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
    """Makes LLMs and the models behind them, and keeps an eye on what these are sent."""

    def __init__(self, contender: Contender, server: Server) -> None:
        """Nothing has been made yet."""
        self.contender = contender
        self._server = server
        self._opened: list[Upstream] = []

    def open(self, *answers: Answer) -> Upstream:
        """A model that does this with what it is asked."""
        upstream = self._server.open(*answers)
        self._opened.append(upstream)
        return upstream

    def start(self, *answers: Answer, **fields: Any) -> tuple[LLM, Upstream]:
        """A model, and an LLM that calls its functions."""
        upstream = self.open(*answers)
        return self.llm(upstream.url, **fields), upstream

    def start_without_functions(self, *answers: Answer, **fields: Any) -> tuple[LLM, Upstream]:
        """A model, and an LLM that calls no functions."""
        upstream = self.open(*answers)
        return self.contender.without_functions(upstream.url, KEY, **{"max_retries": 0, **fields}), upstream

    def llm(self, url: str, **fields: Any) -> LLM:
        """An LLM that calls functions, over the model at this address."""
        return self.contender.calling_functions(url, KEY, **{"max_retries": 0, **fields})

    def check(self) -> None:
        """Fail if anything malformed was sent."""
        assert [each for upstream in self._opened for each in upstream.violations] == []


@pytest.fixture(scope="session")
def _server() -> Iterator[Server]:
    with Server() as server:
        yield server


@pytest.fixture
def bench(contender: Contender, _server: Server, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    """Where LLMs are made. The test fails if any of them sent something malformed."""
    contender.forget()
    # Counting characters by words needs no download, and the numbers do not matter here.
    monkeypatch.setattr(llama_index.core, "global_tokenizer", str.split)
    made = Bench(contender, _server)
    yield made
    made.check()
