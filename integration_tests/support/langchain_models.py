"""LangChain's own chat models as fallbacks of a ``ChatUnified`` whose primary is down; prints what each case found.

Runs in the environment ``langchain-models``: ``python -m integration_tests.support.langchain_models``. The output maps
``case/model`` to the error, or to an empty text. Each model talks to a server that checks its requests strictly.
"""

# ruff: noqa: T201
from __future__ import annotations

import asyncio
import json
import sys
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import reduce
from operator import add
from typing import Any, Final

from integration_tests.fakes import anthropic, gemini, ollama
from integration_tests.support import upstream

MODELS: Final = ("openai", "anthropic", "ollama", "gemini")
# The newest version of Anthropic's API takes no temperature, which is for a test of the settings to say.
_WITH_SAMPLING: Final = {"anthropic-version": "2023-06-01"}
_ASK: Final = "Please call weather."


@dataclass(frozen=True)
class Fallback:
    """A model of LangChain's, and the server that it talks to."""

    name: str
    model: Any
    server: Any

    def body(self) -> Any:
        """Return the body of the last request."""
        return self.server.requests[-1].body

    def check(self) -> None:
        """Check that the server has refused nothing."""
        refused = getattr(self.server, "refused", None) or getattr(self.server, "violations", None)
        assert not refused, refused


@contextmanager
def _fallback(name: str, **settings: Any) -> Iterator[Fallback]:
    match name:
        case "openai":
            from langchain_openai import ChatOpenAI

            with upstream.Upstream() as server:
                yield Fallback(name, ChatOpenAI(model="scripted-small", base_url=server.base_url,
                                                api_key=upstream.KEY, max_retries=0, **settings), server)  # fmt: skip
        case "anthropic":
            from langchain_anthropic import ChatAnthropic

            with anthropic.FakeAnthropic() as server:
                yield Fallback(name, ChatAnthropic(model="claude-haiku-4-5", base_url=server.address,
                                                   api_key=anthropic.KEY, max_retries=0,
                                                   default_headers=_WITH_SAMPLING, **settings), server)  # fmt: skip
        case "ollama":
            from langchain_ollama import ChatOllama

            with ollama.FakeOllama() as server:
                yield Fallback(name, ChatOllama(model=ollama.MODELS[0], base_url=server.address, **settings), server)
        case _:
            from langchain_google_genai import ChatGoogleGenerativeAI

            with gemini.FakeGemini() as server:
                yield Fallback(name, ChatGoogleGenerativeAI(
                    model="gemini-2.5-flash", base_url=server.address, api_key=gemini.KEY, max_retries=1, **settings
                ), server)  # fmt: skip


def weather(city: str) -> str:
    """Return the weather of a city."""
    return f"rain in {city}"


def _chain(*fallbacks: Any, **fields: Any) -> Any:
    """Return a chain whose primary is down: nothing listens at its address."""
    from unified_llm.langchain import ChatUnified

    primary: dict[str, Any] = {
        "model": "deepseek/deepseek-chat",
        "base_url": "http://127.0.0.1:1",
        "api_key": "sk-CANARY-12345678",
    }
    return ChatUnified(**primary, max_retries=0, fallbacks=fallbacks, **fields)


def _four_ways(llm: Any, prompt: Any = _ASK) -> list[Any]:
    async def call() -> list[Any]:
        return [await llm.ainvoke(prompt), reduce(add, [chunk async for chunk in llm.astream(prompt)])]

    whole, streamed = asyncio.run(call())
    return [llm.invoke(prompt), whole, reduce(add, llm.stream(prompt)), streamed]


def _called(message: Any) -> bool:
    return {call["name"] for call in message.tool_calls} == {"weather"}


def _tools(fallback: Fallback) -> None:
    """Parallel calls are switched off in the words of those models that have any, and of no others."""
    for message in _four_ways(_chain(fallback.model).bind_tools([weather], parallel_tool_calls=False)):
        assert _called(message), message
    body = fallback.body()
    match fallback.name:
        case "openai":
            assert body["parallel_tool_calls"] is False
        case "anthropic":
            assert body["tool_choice"]["disable_parallel_tool_use"] is True
        case _:
            assert "parallel" not in json.dumps(body)


def _settings(fallback: Fallback) -> None:
    """Settings of a call go into the fields that the model has for them."""
    llm = _chain(fallback.model)
    settings = {"temperature": 0.25, "max_tokens": 77, "seed": 3, "frequency_penalty": 0.5, "presence_penalty": 0.5}
    for message in _four_ways(llm.bind(**settings), "Hello"):
        assert message.text
    body = fallback.body()
    written = json.dumps(body)
    sampling = body.get("options") or body.get("generationConfig") or body
    assert sampling["temperature"] == 0.25, body
    assert ": 77" in written, body
    llm.invoke("Hello", top_p=0.5)
    sampling = fallback.body().get("options") or fallback.body().get("generationConfig") or fallback.body()
    assert sampling.get("top_p", sampling.get("topP")) == 0.5, sampling
    assert fallback.model.temperature != 0.25, "the user's own model is not changed"


def _choices(fallback: Fallback) -> None:
    """Every form of a choice is translated."""
    llm = _chain(fallback.model)
    for choice in ("any", "required", True, "weather", "auto", {"type": "function", "function": {"name": "weather"}}):
        message = llm.bind_tools([weather], tool_choice=choice).invoke(_ASK)
        assert _called(message), (choice, message)
    assert not llm.bind_tools([weather], tool_choice="none").invoke("Hello").tool_calls


def _stop(fallback: Fallback) -> None:
    """Texts at which to stop reach the model."""
    for message in _four_ways(_chain(fallback.model).bind(stop=["Observation"]), "Hello"):
        assert message.text
    assert '"Observation"' in json.dumps(fallback.body())


def _structured(fallback: Fallback) -> None:
    """Every method of structured output answers, also the one that the chain chooses."""
    from pydantic import BaseModel

    class weather(BaseModel):  # noqa: N801 - the servers know a tool of that name
        """The weather of a city."""

        city: str

    for method in (None, "json_schema", "function_calling", "json_mode"):
        structured = _chain(fallback.model).with_structured_output(weather, method=method)
        prompt = "Give the weather in JSON with 'city'."
        assert isinstance(structured.invoke(prompt), weather), method
        assert isinstance(list(structured.stream(prompt))[-1], weather), method


def _strict(fallback: Fallback) -> None:
    """Strict tools reach models of every package."""
    message = _chain(fallback.model).bind_tools([weather], strict=True).invoke(_ASK)
    assert _called(message), message


def _history(fallback: Fallback) -> None:
    """A history with calls and their results goes back to the model that wrote it."""
    from langchain_core.messages import HumanMessage, ToolMessage

    llm = _chain(fallback.model).bind_tools([weather])
    answer = llm.invoke(_ASK)
    results = [ToolMessage(weather(city=call["args"]["city"]), tool_call_id=call["id"]) for call in answer.tool_calls]
    for message in _four_ways(llm, [HumanMessage(_ASK), answer, *results]):
        assert message.text or message.tool_calls


def _blocks(fallback: Fallback) -> None:
    """With ``output_version="v1"`` a stream has the blocks of a whole response."""
    llm = _chain(fallback.model, output_version="v1").bind_tools([weather])
    kinds = [[block["type"] for block in message.content] for message in _four_ways(llm)]
    assert kinds[0] == kinds[1] == kinds[2] == kinds[3], kinds
    assert kinds[0][-1] == "tool_call", kinds


def _own_tools(fallback: Fallback) -> None:
    """Gemini's own tool is refused by the other models, or by their servers; the target after them answers."""
    with gemini.FakeGemini() as last:
        target = {"model": "gemini/gemini-2.5-flash", "base_url": last.address, "api_key": gemini.KEY}
        chain = _chain(fallback.model, target, failover_on={"bad_request": True})
        message = chain.bind_tools([{"google_search": {}}]).invoke("Hello")
        served_by = message.response_metadata["unified_llm"]["served_by"]
        assert served_by.startswith("google_genai/" if fallback.name == "gemini" else "gemini/"), served_by


_CASES: Final[Mapping[str, Callable[[Fallback], None]]] = {
    "tools": _tools,
    "settings": _settings,
    "choices": _choices,
    "stop": _stop,
    "structured": _structured,
    "strict": _strict,
    "history": _history,
    "blocks": _blocks,
    "own tools": _own_tools,
}
CASES: Final = tuple(_CASES)
_UNCHECKED: Final = frozenset({"own tools"})  # where a server may refuse


def _run(case: str, model: str) -> str:
    try:
        with _fallback(model) as fallback:
            _CASES[case](fallback)
            if case not in _UNCHECKED:
                fallback.check()
    except Exception as error:  # noqa: BLE001 - it is what the test reports
        return f"{traceback.format_exc(limit=-1)}\n{getattr(error, 'detail', '')}"
    return ""


def _run_cold() -> str:
    """Make the first call of this process where calls that block an event loop are errors, as in LangGraph's server."""
    from blockbuster import blockbuster_ctx

    from unified_llm.langchain import ChatUnified

    async def call() -> Any:
        with blockbuster_ctx():
            return await llm.ainvoke("Hello")

    with ollama.FakeOllama() as server:
        llm = ChatUnified(model="ollama/" + ollama.MODELS[0], base_url=server.address)
        return str(asyncio.run(call()).text)


def main() -> None:
    """Run all cases, or the first call of a process (``cold``)."""
    if sys.argv[1:] == ["cold"]:
        print(json.dumps(_run_cold()))
        return
    print(json.dumps({f"{case}/{model}": _run(case, model) for case in CASES for model in MODELS}))


if __name__ == "__main__":
    main()
