"""Mistakes that type checkers find, for mypy and pyright alone: nothing here is ever run.

Each line with a mistake says which error it is. A mistake that is no longer found is a comment that is not needed, and
both checkers report those. The first 21 are those of a newcomer; the others are the same mistakes at other places.
"""

from __future__ import annotations

from typing import Any

from unified_llm import LLMClient, LLMConfig, Message, configure, register_provider
from unified_llm.langchain import ChatUnified, UnifiedEmbeddings
from unified_llm.llama_index import UnifiedEmbedding, UnifiedLLM, UnifiedRerank


def the_21_mistakes_of_a_newcomer(client: LLMClient) -> None:
    # Names
    LLMClient("x", temprature=1)  # type: ignore[call-arg] # pyright: ignore[reportCallIssue]
    LLMConfig(model="x", temprature=1)  # type: ignore[call-arg] # pyright: ignore[reportCallIssue]
    configure(timeoot=5)  # type: ignore[call-arg] # pyright: ignore[reportCallIssue]
    client.generate("hi", temprature=1)  # type: ignore[call-arg] # pyright: ignore[reportCallIssue]
    register_provider("x", base_uri="https://x")  # type: ignore[call-arg] # pyright: ignore[reportCallIssue]
    ChatUnified(model="x", temprature=1)  # type: ignore[call-arg] # pyright: ignore[reportCallIssue]
    UnifiedLLM(model="x", temprature=1)  # type: ignore[call-arg] # pyright: ignore[reportCallIssue]
    client.genrate("hi")  # type: ignore[attr-defined] # pyright: ignore[reportAttributeAccessIssue]
    client.generate("hi").text  # type: ignore[attr-defined] # pyright: ignore[reportAttributeAccessIssue] # noqa: B018
    # Types
    LLMClient("x", fallbacks="mlx/demo")  # type: ignore[arg-type] # pyright: ignore[reportArgumentType]
    ChatUnified(model="x", fallbacks="mlx/demo")  # type: ignore[arg-type] # pyright: ignore[reportArgumentType]
    client.generate("hi", max_tokens="many")  # type: ignore[arg-type] # pyright: ignore[reportArgumentType]
    ChatUnified(model="x", temperature="hot")  # type: ignore[arg-type] # pyright: ignore[reportArgumentType]
    ChatUnified(model=5)  # type: ignore[arg-type] # pyright: ignore[reportArgumentType]
    LLMClient("x", deadline="soon")  # type: ignore[arg-type] # pyright: ignore[reportArgumentType]
    LLMClient("x", failover_on={"fliter": True})  # type: ignore[dict-item] # pyright: ignore[reportArgumentType]
    LLMConfig(model="x", timeout="10")  # type: ignore[arg-type] # pyright: ignore[reportArgumentType]
    configure(timeout=["soon"])  # type: ignore[arg-type] # pyright: ignore[reportArgumentType]
    client.generate(5)  # type: ignore[arg-type] # pyright: ignore[reportArgumentType]
    client.embed([1, 2])  # type: ignore[list-item] # pyright: ignore[reportArgumentType]
    Message("robot", "hi")  # type: ignore[arg-type] # pyright: ignore[reportArgumentType]


def in_the_names_of_calls(client: LLMClient) -> None:
    client.stream("hi", temprature=1)  # type: ignore[call-arg] # pyright: ignore[reportCallIssue]
    client.astream("hi", max_token=1)  # type: ignore[call-arg] # pyright: ignore[reportCallIssue]
    client.complete("hi", stp="x")  # type: ignore[call-arg] # pyright: ignore[reportCallIssue]
    client.count_tokens("hi", tool=[])  # type: ignore[call-arg] # pyright: ignore[reportCallIssue]
    client.embed("hi", dimension=5)  # type: ignore[call-arg] # pyright: ignore[reportCallIssue]
    client.embed("hi", temperature=1)  # type: ignore[call-arg] # pyright: ignore[reportCallIssue]
    client.embed("hi", hedge_after=1)  # type: ignore[call-arg] # pyright: ignore[reportCallIssue]
    client.rerank("hi", ["a"], top_k=1)  # type: ignore[call-arg] # pyright: ignore[reportCallIssue]
    client.generate("hi", apikey="k")  # type: ignore[call-arg] # pyright: ignore[reportCallIssue]


async def in_the_names_of_async_calls(client: LLMClient) -> None:
    await client.agenerate("hi", temprature=1)  # type: ignore[call-arg] # pyright: ignore[reportCallIssue]
    await client.acomplete("hi", temprature=1)  # type: ignore[call-arg] # pyright: ignore[reportCallIssue]
    await client.aembed("hi", dimension=1)  # type: ignore[call-arg] # pyright: ignore[reportCallIssue]
    await client.arerank("hi", ["a"], top_k=1)  # type: ignore[call-arg] # pyright: ignore[reportCallIssue]
    await client.acount_tokens("hi", temprature=1)  # type: ignore[call-arg] # pyright: ignore[reportCallIssue]


def in_the_names_of_settings() -> None:
    LLMClient("x", max_retry=1)  # type: ignore[call-arg] # pyright: ignore[reportCallIssue]
    LLMClient("x", streaming=True)  # type: ignore[call-arg] # pyright: ignore[reportCallIssue]
    LLMConfig(model="x", deadline=1)  # type: ignore[call-arg] # pyright: ignore[reportCallIssue]
    ChatUnified(model="x", openai_api_key="k")  # type: ignore[call-arg] # pyright: ignore[reportCallIssue]
    UnifiedEmbeddings(model="x", temperature=1)  # type: ignore[call-arg] # pyright: ignore[reportCallIssue]
    UnifiedEmbedding(model="x", batchsize=1)  # type: ignore[call-arg] # pyright: ignore[reportCallIssue]
    UnifiedRerank(model="x", topn=1)  # type: ignore[call-arg] # pyright: ignore[reportCallIssue]
    configure(max_tokns=1)  # type: ignore[call-arg] # pyright: ignore[reportCallIssue]
    register_provider("x", base_url="https://x", quirk={})  # type: ignore[call-arg] # pyright: ignore[reportCallIssue]


def in_lists_that_are_strings(client: LLMClient) -> None:
    LLMConfig(model="x", fallbacks="mlx/demo")  # type: ignore[arg-type] # pyright: ignore[reportArgumentType]
    UnifiedLLM(model="x", fallbacks="mlx/demo")  # type: ignore[arg-type] # pyright: ignore[reportArgumentType]
    UnifiedEmbeddings(model="x", fallbacks="mlx/demo")  # type: ignore[arg-type] # pyright: ignore[reportArgumentType]
    UnifiedEmbedding(model="x", fallbacks="mlx/demo")  # type: ignore[arg-type] # pyright: ignore[reportArgumentType]
    UnifiedRerank(model="x", fallbacks="mlx/demo")  # type: ignore[arg-type] # pyright: ignore[reportArgumentType]
    LLMClient("x", fallbacks={"model": "y"})  # type: ignore[arg-type] # pyright: ignore[reportArgumentType]
    LLMClient("x", fallbacks={"y", "z"})  # type: ignore[arg-type] # pyright: ignore[reportArgumentType]
    LLMClient("x", fallbacks=[5])  # type: ignore[list-item] # pyright: ignore[reportArgumentType]
    client.rerank("hi", "a")  # type: ignore[arg-type] # pyright: ignore[reportArgumentType]
    client.generate("hi", tools="find")  # type: ignore[arg-type] # pyright: ignore[reportArgumentType]
    client.generate(["a", "b"])  # type: ignore[list-item] # pyright: ignore[reportArgumentType]


def in_types(client: LLMClient) -> None:
    client.generate("hi", stop=5)  # type: ignore[arg-type] # pyright: ignore[reportArgumentType]
    client.generate("hi", timeout="5")  # type: ignore[arg-type] # pyright: ignore[reportArgumentType]
    client.generate("hi", failover_on={429: True})  # type: ignore[dict-item] # pyright: ignore[reportArgumentType]
    client.embed("hi", purpose="search")  # type: ignore[arg-type] # pyright: ignore[reportArgumentType]
    ChatUnified(model="x", failover_on={"fliter": True})  # type: ignore[dict-item] # pyright: ignore[reportArgumentType]
    ChatUnified(model="x", api_key=b"k")  # type: ignore[arg-type] # pyright: ignore[reportArgumentType]
    ChatUnified(model="x", on_attempt="print")  # type: ignore[arg-type] # pyright: ignore[reportArgumentType]
    ChatUnified(model="x", callbacks="trace")  # type: ignore[arg-type] # pyright: ignore[reportArgumentType]
    UnifiedLLM(model="x", max_tokens="many")  # type: ignore[arg-type] # pyright: ignore[reportArgumentType]
    register_provider("x", base_url=5)  # type: ignore[arg-type] # pyright: ignore[reportArgumentType]
    register_provider("x", base_url="https://x", local="yes")  # type: ignore[arg-type] # pyright: ignore[reportArgumentType]


def what_is_no_mistake(client: LLMClient, further: dict[str, Any]) -> None:
    LLMClient("x", **further)
    ChatUnified(**further)
    client.generate("hi", **further)
    client.generate("hi", extra_body={"top_k": 5})
