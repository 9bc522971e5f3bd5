"""The public interface as a user writes it, for type checkers alone: nothing here is ever run.

A line that stops being right, or whose type becomes ``Any``, fails ``make types``.
"""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator, Iterator, Mapping
from typing import Any, assert_type

from pydantic import SecretStr

from unified_llm import (
    AsyncMapRun,
    Attempt,
    BreakerConfig,
    ChatProvider,
    EmbeddingResponse,
    LLMChunk,
    LLMClient,
    LLMConfig,
    LLMRequest,
    LLMResponse,
    MapResult,
    MapRun,
    MapTotals,
    Message,
    ModelInfo,
    Provider,
    ToolCall,
    Usage,
    configure,
    health_snapshot,
    register_provider,
    reset_health,
)
from unified_llm.exceptions import (
    AllTargetsFailedError,
    ConnectionError,
    LLMError,
    RateLimitError,
    StreamInterruptedError,
)
from unified_llm.langchain import ChatUnified, UnifiedEmbeddings
from unified_llm.llama_index import UnifiedEmbedding, UnifiedLLM, UnifiedRerank
from unified_llm.types import RerankResponse


def expiring() -> tuple[SecretStr, int]:
    return SecretStr("sk-..."), 3600


async def fetched() -> str:
    return "sk-..."


def keys() -> None:
    LLMClient("openai/gpt-5-mini", api_key=expiring, account="team")
    LLMClient("azure/chat", fallbacks=[LLMConfig(base_url="https://eu.example", api_key=fetched)])
    ChatUnified("openai/gpt-5-mini", api_key=lambda: "sk-...")
    UnifiedLLM("openai/gpt-5-mini", api_key=fetched)
    UnifiedEmbedding("openai/text-embedding-3-small", api_key_env="MY_KEY")
    LLMConfig(model="openai/gpt-5-mini", api_key=LLMConfig(api_key=expiring).api_key)


def making(context: ssl.SSLContext, seen: list[Attempt]) -> None:
    LLMClient("openai/gpt-5-mini")
    LLMClient("gpt-5-mini", provider=Provider.OPENAI, api_key="sk-...")
    LLMClient({"model": "openai/gpt-5-mini", "timeout": 10})
    LLMClient(
        LLMConfig(
            model="openai/gpt-5-mini", verify_ssl=context, breaker=BreakerConfig(failures=3), fallbacks=["mlx/demo"]
        ),
        fallbacks=["ollama/llama2", {"base_url": "https://west.example"}, LLMConfig(model="mlx/demo")],
        deadline=None,
        skip_unconfigured=True,
        on_attempt=seen.append,
    )
    LLMConfig(model="openai/gpt-5-mini", request_timeout=5, stop="END", default_headers={"x-team": "a"})
    LLMClient(5)  # type: ignore[arg-type] # pyright: ignore[reportArgumentType]
    LLMClient("x", deadline="soon")  # type: ignore[arg-type] # pyright: ignore[reportArgumentType]


def asking(client: LLMClient) -> None:
    assert_type(client.generate("Hello"), LLMResponse)
    assert_type(client.generate([Message.system("Be brief."), Message.user("Hello")], temperature=0), LLMResponse)
    assert_type(client.generate([("system", "Be brief."), {"role": "user", "content": "Hello"}]), LLMResponse)
    assert_type(client.generate({"messages": [{"role": "user", "content": "Hello"}]}), LLMResponse)
    assert_type(client.generate(LLMRequest(messages=(Message.user("Hello"),), max_tokens=5)), LLMResponse)
    assert_type(client.complete("Hello"), LLMResponse)
    assert_type(client.embed(["a", "b"]), EmbeddingResponse)
    assert_type(client.list_models(use_cache=False), list[ModelInfo])
    assert_type(client.list_models(provider="openai", supports=["tools", "images"]), list[ModelInfo])
    assert_type(client.health_check(provider="openai"), bool)
    assert_type(client.check_providers(), list[dict[str, Any]])
    assert_type(client.close(), None)
    client.generate(5)  # type: ignore[arg-type] # pyright: ignore[reportArgumentType]


def mapping(client: LLMClient, rows: Iterator[str]) -> None:
    run = client.map(rows, concurrency=5, ordered=False, progress=print, checkpoint="run.jsonl", temperature=0)
    assert_type(run, MapRun[LLMResponse])
    for result in run:
        assert_type(result, MapResult[LLMResponse])
        assert_type(result.response, LLMResponse | None)
        assert_type(result.error, LLMError | None)
        assert_type(result.text, str)
    assert_type(run.totals, MapTotals)
    client.map([{"custom_id": "a", "messages": "Hello"}, [Message.user("Hello")], LLMRequest((Message.user("a"),))])
    assert_type([result.vector for result in client.map_embed([{"text": "a"}, "b"])], list[list[float]])
    client.map(5)  # type: ignore[arg-type] # pyright: ignore[reportArgumentType]
    client.map(["a"], concurency=5)  # type: ignore[call-arg] # pyright: ignore[reportCallIssue]


async def mapping_later(client: LLMClient, rows: AsyncIterator[str]) -> None:
    async with client.amap(rows) as run:
        assert_type(run, AsyncMapRun[LLMResponse])
        async for result in run:
            assert_type(result, MapResult[LLMResponse])
    assert_type([result.vector async for result in client.amap_embed(["a"])], list[list[float]])


def streaming(client: LLMClient) -> str:
    text = ""
    with client.stream("Hello") as answer:
        for chunk in answer:
            assert_type(chunk, LLMChunk)
            text += chunk.content
        assert_type(answer.partial, str)
    return text


async def asking_later(client: LLMClient) -> None:
    assert_type(await client.agenerate("Hello"), LLMResponse)
    assert_type(await client.acomplete("Hello"), LLMResponse)
    assert_type(await client.aembed("a"), EmbeddingResponse)
    assert_type(await client.alist_models(), list[ModelInfo])
    assert_type(await client.ahealth_check(), bool)
    async with client.astream("Hello") as answer:
        async for chunk in answer:
            assert_type(chunk, LLMChunk)
        assert_type(answer.partial, str)
    async with LLMClient("mlx/demo") as another:
        assert_type(another, LLMClient)
    with LLMClient("mlx/demo") as one_more:
        assert_type(one_more, LLMClient)


def reading(answer: LLMResponse) -> None:
    assert_type(answer.content, str)
    assert_type(answer.model, str)
    assert_type(answer.usage, Usage | None)
    assert_type(answer.tool_calls, tuple[ToolCall, ...])
    assert_type(answer.attempts, tuple[Attempt, ...])
    assert_type(answer.used_fallback, bool)
    assert_type(answer.fallback_provider, str | None)
    assert_type(answer.attempts[0].as_dict(), dict[str, Any])
    for call in answer.tool_calls:
        assert_type(call.arguments, Mapping[str, Any])
        assert_type(call.error, str | None)
    if answer.finish_reason == "stop":
        return
    answer.content = "x"  # type: ignore[misc] # pyright: ignore[reportAttributeAccessIssue]


def failing(client: LLMClient) -> str | None:
    try:
        client.generate("Hello")
    except RateLimitError as error:
        assert_type(error.retry_after, float | None)
    except AllTargetsFailedError as error:
        assert_type(error.errors, tuple[LLMError, ...])
    except StreamInterruptedError as error:
        assert_type(error.partial, str)
    except ConnectionError as error:
        os_error: OSError = error
        raise os_error from None
    except LLMError as error:
        assert_type(error.attempts, tuple[Attempt, ...])
        assert_type(error.status_code, int | None)
        return error.provider
    return None


def settings() -> None:
    configure(timeout=10, max_retries=None)
    assert_type(health_snapshot(), list[dict[str, Any]])
    assert_type(LLMClient("openai/gpt-5-mini").health(), list[dict[str, Any]])
    assert_type(reset_health(), None)
    configure(timeout=["soon"])  # type: ignore[arg-type] # pyright: ignore[reportArgumentType]


def chain() -> None:
    from langchain_core.messages import AIMessage
    from langchain_core.output_parsers import StrOutputParser
    from langchain_core.prompts import ChatPromptTemplate

    model = ChatUnified(model="openai/gpt-5-mini", fallbacks=["mlx/demo"])
    assert_type(model.invoke("Hello"), AIMessage)
    whole = ChatPromptTemplate.from_template("{topic}") | model | StrOutputParser()
    assert_type(whole.invoke({"topic": "failover"}), str)
    vectors = UnifiedEmbeddings(model="openai/text-embedding-3-small")
    assert_type(vectors.embed_query("a"), list[float])


class Parrot:
    def generate(self, request: LLMRequest) -> LLMResponse:
        return LLMResponse(request.messages[-1].text)

    def stream(self, request: LLMRequest) -> Iterator[LLMChunk]:
        yield LLMChunk(request.messages[-1].text)


class Whole:
    async def generate(self, request: LLMRequest) -> str:
        return request.messages[-1].text


def own_providers() -> None:
    parrot: ChatProvider = Parrot()
    register_provider("parrot", parrot)
    register_provider("whole", Whole())
    register_provider("lan", base_url="http://10.0.0.7:8000", features=["tools"], local=True)


async def smaller_questions(client: LLMClient) -> None:
    assert_type(client.rerank("a", ["b"]), RerankResponse)
    assert_type(await client.arerank("a", ["b"], top_n=1), RerankResponse)
    assert_type(client.count_tokens("a"), int)
    assert_type(await client.amodel_info("openai/gpt-5"), ModelInfo)


def llama_index() -> None:
    llm = UnifiedLLM(model="openai/gpt-5-mini", fallbacks=["mlx/demo"])
    assert_type(llm.complete("a").text, str)
    assert_type(UnifiedEmbedding(model="openai/text-embedding-3-small").get_query_embedding("a"), list[float])
    UnifiedRerank(model="cohere/rerank-v3.5", top_n=3)
