"""What ``map`` works with: providers of one's own, keys from callables, progress bars, pickles."""

from __future__ import annotations

import asyncio
import io
import pickle
import sys
import threading
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from tests.support.each import each
from tests.support.four_ways import GPT
from tests.support.prompt_targets import PromptTargets
from unified_llm import LLMClient, LLMRequest, LLMResponse, MapResult, register_provider
from unified_llm._client.map import progress
from unified_llm._providers import registry
from unified_llm.exceptions import BadRequestError


class SyncProvider:
    """A provider with a sync method, which records its threads."""

    def __init__(self) -> None:
        self.threads: set[str] = set()

    def generate(self, request: LLMRequest) -> LLMResponse:
        self.threads.add(threading.current_thread().name)
        if request.messages[-1].text == "wrong":
            raise KeyError("wrong")
        return LLMResponse(request.messages[-1].text.upper())


class AsyncProvider:
    """A provider with an async method, which records the loops that it ran in."""

    def __init__(self) -> None:
        self.loops: set[int] = set()

    async def generate(self, request: LLMRequest) -> LLMResponse:
        self.loops.add(id(asyncio.get_running_loop()))
        await asyncio.sleep(0)
        return LLMResponse(request.messages[-1].text.upper())


@pytest.fixture
def registered() -> Iterator[dict[str, Any]]:
    providers: dict[str, Any] = {"sync-one": SyncProvider(), "async-one": AsyncProvider()}
    for name, provider in providers.items():
        register_provider(name, provider)
    yield providers
    for name in providers:
        registry.unregister(name)


def test_providers_of_ones_own_are_called_as_in_sync_code(registered: dict[str, Any]) -> None:
    for name in registered:
        results = list(LLMClient(f"{name}/m").map(["a", "b", "c"]))
        assert [result.text for result in results] == ["A", "B", "C"]
    assert registered["sync-one"].threads == {"unified-llm-model"}


def test_providers_of_ones_own_are_called_in_the_loop_of_an_async_caller(registered: dict[str, Any]) -> None:
    async def main() -> set[int]:
        assert [result.text async for result in LLMClient("async-one/m").amap(["a"])] == ["A"]
        assert [result.text async for result in LLMClient("sync-one/m").amap(["a"])] == ["A"]
        return {id(asyncio.get_running_loop())}

    assert asyncio.run(main()) == registered["async-one"].loops


def test_a_mistake_in_a_provider_of_ones_own_is_the_error_of_one_prompt(registered: dict[str, Any]) -> None:
    assert registered
    results = list(LLMClient("sync-one/m").map(["a", "wrong", "b"]))
    assert [result.ok for result in results] == [True, False, True]


def test_results_can_be_pickled() -> None:
    good, bad = MapResult(3, "id", LLMResponse("text")), MapResult[LLMResponse](4, error=BadRequestError("refused"))
    assert pickle.loads(pickle.dumps(good)) == good  # noqa: S301 - our own
    restored = pickle.loads(pickle.dumps(bad))  # noqa: S301
    assert (restored.index, str(restored.error)) == (4, "refused")


class Terminal(io.StringIO):
    """A stderr that is a terminal."""

    def isatty(self) -> bool:
        return True


@each("installed, used", [({"rich", "tqdm"}, "rich"), ({"rich"}, "rich"), ({"tqdm"}, "tqdm"), (set(), "")])
def test_a_terminal_gets_a_bar_of_what_is_installed(installed: set[str], used: str) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(progress, "find_spec", lambda name: name in installed or None)
        patch.setattr(sys, "stderr", terminal := Terminal())
        patch.setenv("TERM", "xterm")
        with PromptTargets().running():
            assert len(list(LLMClient(GPT).map(["a", "", "b"]))) == 3
            shown = terminal.getvalue()
            assert ("3/3" in shown) == bool(used)
            assert ("prompts" in shown) == (used == "tqdm")
            assert ("1 failed" in shown) == bool(used)
            list(LLMClient(GPT).map(["a"], progress=False))
            assert terminal.getvalue() == shown


def test_a_notebook_gets_a_bar_where_it_asks_for_one() -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "stderr", stderr := io.StringIO())
        patch.setitem(sys.modules, "ipykernel", SimpleNamespace())
        with PromptTargets().running():
            list(LLMClient(GPT).map(["a"]))
            assert stderr.getvalue() == ""
            list(LLMClient(GPT).map((text for text in ("a", "b")), progress=True))
            assert "2 prompts" in stderr.getvalue()


def test_a_program_without_stderr_gets_no_bar() -> None:
    with pytest.MonkeyPatch.context() as patch, PromptTargets().running():
        patch.setattr(sys, "stderr", None)
        assert len(list(LLMClient(GPT).map(["a"], progress=True))) == 1
        assert len(list(LLMClient(GPT).map(["a"]))) == 1


def test_a_key_that_only_async_code_can_fetch_fails_as_in_sync_code() -> None:
    async def key() -> str:
        raise AssertionError

    client = LLMClient(GPT, api_key=key)
    (result,) = client.map(["a"])
    assert "async" in str(result.error)
