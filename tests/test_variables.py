"""No variable of a call shows a key, a prompt or a response: while it waits, and wherever it is interrupted."""

from __future__ import annotations

import asyncio
import gc
import logging
import random
import traceback
from collections.abc import Awaitable, Callable, Iterable, Iterator
from itertools import product
from typing import Any, Final

import pytest
from llama_index.core.llms import ChatMessage
from llama_index.core.prompts import PromptTemplate
from pydantic import BaseModel

from tests.support.lines import in_own_thread
from tests.support.prefilled_sockets import PrefilledSockets, events, whole
from tests.support.thorough import THOROUGH
from tests.support.variables import (
    Interrupted,
    LineInterrupter,
    Stepped,
    WaitChecker,
    is_ours_or_library,
    is_own,
    traceback_leaks,
)
from unified_llm import LLMClient, reset_health
from unified_llm.exceptions import LLMError, ValidationError
from unified_llm.langchain import ChatUnified, UnifiedEmbeddings
from unified_llm.llama_index import UnifiedEmbedding, UnifiedLLM

# Generators of httpcore's are interrupted while they are closed.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")

MOST_WAITS: Final = 30 if THOROUGH else 6
LINES: Final = 40 if THOROUGH else 8  # of those that a call runs, chosen at random
FIELDS: Final[dict[str, Any]] = {
    "api_key": "sk-CANARY-key",
    "default_headers": {"X-Gateway-Key": "CANARY-header"},
    "extra_body": {"user_token": "CANARY-body"},
    "max_retries": 0,
}
EMBEDDER: Final = {"model": "vllm/m", "base_url": "http://127.0.0.1:1", **FIELDS}
OTHER: Final = {"model": "openai-compatible/f", "base_url": "http://127.0.0.1:2", "api_key": "sk-CANARY-key"}
CALL: Final = {"id": "c1", "type": "function", "function": {"name": "f", "arguments": '{"a": "CANARY-argument"}'}}
MESSAGES: Final[list[Any]] = [
    {"role": "system", "content": "CANARY-system"},
    {"role": "user", "content": "CANARY-prompt"},
    {"role": "assistant", "content": None, "tool_calls": [CALL]},
    {"role": "tool", "tool_call_id": "c1", "content": "CANARY-result"},
]
TOOL: Final = {"name": "f", "description": "CANARY-tool", "parameters": {"type": "object", "properties": {}}}
TOOLS: Final[list[dict[str, Any]]] = [
    {"type": "function", "function": TOOL},
    {"type": "mcp", "authorization": "CANARY-mcp"},
]
REFUSED: Final = whole({"error": {"message": "CANARY-echo of sk-CANARY-key", "code": "sk-CANARY-key"}}, 401)
SERVED_OPENAI: Final = whole(
    {
        "model": "m",
        "choices": [{"message": {"content": "CANARY-answer", "tool_calls": [CALL]}, "finish_reason": "stop"}],
    }
)
TEXT: Final = whole({"choices": [{"message": {"content": '{"text": "CANARY-answer"}'}, "finish_reason": "stop"}]})
STREAM: Final = events(
    *[{"choices": [{"index": 0, "delta": {"content": f"CANARY-answer {number}"}}]} for number in range(3)],
    {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]},
    end=b"data: [DONE]\n\n",
)
VECTORS: Final = whole({"data": [{"index": 0, "embedding": [1.0]}]})

# format: (its model, a whole response, a stream)
FORMATS: Final[dict[str, tuple[str, bytes, bytes]]] = {
    "openai": ("openai-compatible/m", SERVED_OPENAI, STREAM),
    "anthropic": (
        "anthropic/claude-haiku-4-5",
        whole({"type": "message", "content": [{"type": "text", "text": "CANARY-answer"}], "stop_reason": "end_turn"}),
        events(
            {"type": "message_start", "message": {"model": "m", "usage": {}}},
            {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
            {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "CANARY-answer"}},
            {"type": "message_delta", "delta": {"stop_reason": "end_turn"}},
            {"type": "message_stop"},
        ),
    ),
    "gemini": (
        "gemini/gemini-2.5-flash",
        whole({"candidates": [{"content": {"parts": [{"text": "CANARY-answer"}]}, "finishReason": "STOP"}]}),
        events({"candidates": [{"content": {"parts": [{"text": "CANARY-answer"}]}, "finishReason": "STOP"}]}),
    ),
}  # fmt: skip


class Answer(BaseModel):
    text: str


@pytest.fixture
def sockets(monkeypatch: pytest.MonkeyPatch) -> PrefilledSockets:
    return PrefilledSockets(monkeypatch)


def make(model: str = "openai-compatible/m") -> LLMClient:
    return LLMClient(model, base_url="http://127.0.0.1:1", fallbacks=[OTHER], deadline=5, **FIELDS)


def read(chunks: Iterable[object]) -> None:
    for chunk in chunks:
        del chunk


async def aread(chunks: Any) -> None:
    async for chunk in chunks:
        del chunk


def check_waits(call: Callable[[], object], sockets: PrefilledSockets, responses: list[bytes]) -> int:
    """Interrupt a sync call wherever it waits; return how often it waits."""
    for number in range(MOST_WAITS):
        error: BaseException | None = None
        checker = WaitChecker(number)
        reset_health()
        with sockets.having(responses):
            try:
                with checker:
                    call()
            except (Interrupted, LLMError) as raised:
                error = raised
        assert checker.leaks == []
        if error is not None:
            assert traceback_leaks(error) == []
        if not isinstance(error, Interrupted):
            return number
    return MOST_WAITS


def check_suspensions(
    call: Callable[[], Awaitable[object]], sockets: PrefilledSockets, responses: list[bytes], most: int = MOST_WAITS
) -> int:
    """Interrupt an async call wherever it is suspended; return how often it is."""

    async def run(number: int) -> BaseException | None:
        stepped = Stepped(call(), number)
        try:
            await stepped
        except (Interrupted, LLMError) as raised:
            return raised
        finally:
            assert stepped.leaks == []
        return None

    for number in range(most):
        reset_health()
        with sockets.having(responses):
            error = asyncio.run(run(number))
        if error is not None:
            assert traceback_leaks(error) == []
        if not isinstance(error, Interrupted):
            return number
    return most


@pytest.mark.parametrize(
    ("name", "outcome"),
    [*product(FORMATS, ["served", "streamed"]), ("openai", "failed over"), ("openai", "refused")],
)
def test_no_variable_shows_anything_wherever_a_call_waits(sockets: PrefilledSockets, name: str, outcome: str) -> None:
    model, response, stream = FORMATS[name]
    responses = {
        "served": [response],
        "streamed": [stream],
        "failed over": [REFUSED, SERVED_OPENAI if outcome == "failed over" else b""],
        "refused": [REFUSED, REFUSED],
    }[outcome]
    tools = TOOLS[:1]

    def call() -> None:
        if outcome == "streamed":
            read(make(model).stream(MESSAGES, tools=tools, stop=["CANARY-stop"]))
        else:
            make(model).generate(MESSAGES, tools=tools, stop=["CANARY-stop"], extra_body={"x": "CANARY-extra"})

    async def acall() -> None:
        if outcome == "streamed":
            await aread(make(model).astream(MESSAGES, tools=tools, stop=["CANARY-stop"]))
        else:
            await make(model).agenerate(MESSAGES, tools=tools, stop=["CANARY-stop"], extra_body={"x": "CANARY-extra"})

    assert check_waits(call, sockets, responses) > 1
    assert check_suspensions(acall, sockets, responses) > 0


def test_no_variable_shows_anything_while_an_upload_is_not_read(sockets: PrefilledSockets) -> None:
    prompt = "CANARY-prompt" * 400_000

    def interrupt(number: int) -> list[str]:
        checker = WaitChecker(number, is_ours_or_library)
        try:
            with sockets.having([]), checker:
                make().generate(prompt)
        except Interrupted as error:
            return [*checker.leaks, *traceback_leaks(error, is_ours_or_library)]
        return ["it was not interrupted"]

    for number in range(2):  # what httpcore holds meanwhile shows nothing either
        assert interrupt(number) == []
    assert check_suspensions(lambda: make().agenerate(prompt), sockets, [], most=2) == 2


OTHER_CALLS: Final[dict[str, tuple[Callable[[LLMClient], object], bytes]]] = {
    "complete": (lambda client: client.complete("CANARY-prompt"), SERVED_OPENAI),
    "embed": (lambda client: client.embed(["CANARY-a", "CANARY-b"]), REFUSED),
    "list_models": (lambda client: client.list_models(), REFUSED),
    "health_check": (lambda client: client.health_check(), REFUSED),
    "rerank": (lambda client: client.rerank("CANARY-query", ["CANARY-document"]), REFUSED),
    "structured": (
        lambda client: client.generate("CANARY-prompt", response_format={"type": "json_object"}), TEXT
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", OTHER_CALLS)
def test_other_calls_show_nothing_either(sockets: PrefilledSockets, name: str) -> None:
    call, response = OTHER_CALLS[name]
    model = "cohere/rerank-v3.5" if name == "rerank" else "vllm/m"
    client = LLMClient(model, base_url="http://127.0.0.1:1", fallbacks=[OTHER], deadline=5, **FIELDS)
    assert check_waits(lambda: call(client), sockets, [response, response]) > 0


def chat(**fields: Any) -> ChatUnified:
    return ChatUnified(model="openai-compatible/m", base_url="http://127.0.0.1:1", deadline=5, **FIELDS, **fields)


def llm(**fields: Any) -> UnifiedLLM:
    return UnifiedLLM(model="openai-compatible/m", base_url="http://127.0.0.1:1", deadline=5, **FIELDS, **fields)


TURN: Final = [ChatMessage(content="CANARY-prompt")]
ADAPTERS: Final[dict[str, tuple[Callable[[], object], bytes]]] = {
    "invoke": (lambda: chat(model_kwargs={"z": "CANARY-z"}).invoke("CANARY-prompt", stop=["CANARY-stop"]), TEXT),
    "stream": (lambda: read(chat().stream("CANARY-prompt")), STREAM),
    "with_structured_output": (lambda: chat().with_structured_output(Answer).invoke("CANARY-prompt"), TEXT),
    "embed_documents": (
        lambda: UnifiedEmbeddings(**EMBEDDER).embed_documents(["CANARY"]), VECTORS
    ),
    "chat": (lambda: llm(additional_kwargs={"z": "CANARY-z"}).chat(TURN, user_token="CANARY-token"), TEXT),
    "complete": (lambda: llm().complete("CANARY-prompt"), TEXT),
    "stream_chat": (lambda: read(llm().stream_chat(TURN)), STREAM),
    "stream_complete": (lambda: read(llm().stream_complete("CANARY-prompt")), STREAM),
    "structured_predict": (
        lambda: llm().structured_predict(Answer, PromptTemplate("CANARY {x}"), x="CANARY-argument"), TEXT
    ),
    "predict_and_call": (
        lambda: llm().predict_and_call([], "CANARY-prompt", TURN, error_on_no_tool_call=False), TEXT
    ),
    "get_text_embedding_batch": (
        lambda: UnifiedEmbedding(**EMBEDDER).get_text_embedding_batch(["CANARY"]),
        VECTORS,
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", ADAPTERS)
def test_adapters_show_nothing_either(sockets: PrefilledSockets, name: str) -> None:
    call, response = ADAPTERS[name]
    assert check_waits(call, sockets, [response]) > 1


async def _astream_chat() -> None:
    await aread(await llm().astream_chat(TURN))


ASYNC_ADAPTERS: Final[dict[str, tuple[Callable[[], Awaitable[object]], bytes]]] = {
    "ainvoke": (lambda: chat().ainvoke("CANARY-prompt"), TEXT),
    "astream": (lambda: aread(chat().astream("CANARY-prompt")), STREAM),
    "aembed_query": (
        lambda: UnifiedEmbeddings(**EMBEDDER).aembed_query("CANARY"), VECTORS
    ),
    "achat": (lambda: llm().achat(TURN), TEXT),
    "astream_chat": (_astream_chat, STREAM),
    "astructured_predict": (
        lambda: llm().astructured_predict(Answer, PromptTemplate("CANARY {x}"), x="CANARY-argument"), TEXT
    ),
}  # fmt: skip


@pytest.fixture
def _silent_futures() -> Iterator[None]:
    """Silence asyncio, which complains of the futures of a gathering that was interrupted, once they are collected."""
    logger = logging.getLogger("asyncio")
    logger.disabled = True
    yield
    gc.collect()
    logger.disabled = False


@pytest.mark.usefixtures("_silent_futures")
@pytest.mark.parametrize("name", ASYNC_ADAPTERS)
def test_async_adapters_show_nothing_either(sockets: PrefilledSockets, name: str) -> None:
    call, response = ASYNC_ADAPTERS[name]
    assert check_suspensions(call, sockets, [response]) > 0


@pytest.mark.parametrize(
    ("name", "outcome"), [("openai", "served"), ("anthropic", "streamed"), ("gemini", "refused"), ("gemini", "served")]
)
@in_own_thread
def test_an_interruption_at_any_line_leaves_nothing_in_its_traceback(
    sockets: PrefilledSockets, name: str, outcome: str
) -> None:
    model, response, stream = FORMATS[name]
    responses = [{"served": response, "streamed": stream, "refused": REFUSED}[outcome], SERVED_OPENAI]

    def interrupt(line: tuple[str, int] | None) -> tuple[LineInterrupter, BaseException | None]:
        reset_health()
        client = make(model)  # a line of the constructor is not one of a call
        interrupter = LineInterrupter(line)
        with sockets.having(responses):
            try:
                with interrupter:
                    read(client.stream(MESSAGES)) if outcome == "streamed" else client.generate(MESSAGES)
            except BaseException as raised:  # noqa: BLE001 - the interruption
                return interrupter, raised
        return interrupter, None

    lines = list(interrupt(None)[0].lines)
    assert len(lines) > 300
    for line in random.Random(f"{name} {outcome}").sample(lines, LINES):  # noqa: S311
        _, error = interrupt(line)
        if error is not None:
            assert traceback_leaks(error, is_ours_or_library) == [], line


def test_a_request_that_is_wrong_shows_nothing() -> None:
    client = make()
    for call in (
        lambda: client.generate("CANARY-prompt", temperature="CANARY"),  # type: ignore[arg-type]
        lambda: client.generate([{"role": "CANARY", "content": "CANARY-prompt"}]),
        lambda: client.generate("CANARY-prompt", extra_body={"x": {"CANARY"}}),
        lambda: client.stream("CANARY-prompt", modle="CANARY"),  # type: ignore[call-arg]
        lambda: client.embed(["CANARY-text"], dimensions="CANARY"),  # type: ignore[arg-type]
        lambda: client.rerank("CANARY-query", []),
        lambda: client.count_tokens("CANARY-prompt", tools="CANARY"),  # type: ignore[arg-type]
        lambda: chat().invoke("CANARY-prompt", tool_choice="CANARY", tools=[TOOL]),
        lambda: llm().chat(TURN, tool_choice="CANARY", tools=[{"type": "function", "function": TOOL}]),
    ):
        with pytest.raises((ValidationError, LLMError)) as wrong:
            call()
        assert traceback_leaks(wrong.value, is_own) == []


def test_the_standard_library_prints_no_key_of_an_interrupted_upload(sockets: PrefilledSockets) -> None:
    async def call() -> None:
        await asyncio.wait_for(make().agenerate("CANARY-prompt" * 400_000), 0.2)

    with sockets.having([]), pytest.raises(TimeoutError) as late:
        asyncio.run(call())
    shown = "".join(traceback.TracebackException.from_exception(late.value, capture_locals=True).format())
    assert "_backends/http/deadline_socket_async.py" in shown
    assert "sk-CANARY" not in shown
    assert "CANARY-promptCANARY" not in shown
