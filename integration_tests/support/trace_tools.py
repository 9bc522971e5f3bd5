"""Makes calls under one tracing tool, and prints what was recorded of each as JSON.

Runs in the environment ``tracing``: ``python -m integration_tests.support.trace_tools <tool> <URL of the upstream>``.
The output maps each way of calling to its spans, in the order in which they ended, and to the scopes that measured
tokens.
"""

# ruff: noqa: T201
from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

from opentelemetry import metrics, trace
from opentelemetry.sdk.metrics import Histogram, MeterProvider
from opentelemetry.sdk.metrics.export import AggregationTemporality, InMemoryMetricReader
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

KEY: Final = "sk-CANARY-scripted-upstream"
_USAGE: Final = ("gen_ai.usage.", "llm.token_count.", "langfuse.observation.usage_details")
_EXPORTER: Final = InMemorySpanExporter()
_READER: Final = InMemoryMetricReader({Histogram: AggregationTemporality.DELTA})

Ways = Mapping[str, Callable[[], Any]]


def _describe(span: ReadableSpan) -> dict[str, Any]:
    scope = span.instrumentation_scope
    attributes = span.attributes or {}
    return {
        "scope": scope.name if scope else "",
        "name": span.name,
        "id": span.context.span_id if span.context else 0,
        "trace": span.context.trace_id if span.context else 0,
        "parent": span.parent.span_id if span.parent else None,
        "counts": any(name.startswith(_USAGE) for name in attributes),
    }


def _measured_by() -> list[str]:
    """Return the scopes that have measured tokens since the last look."""
    data = _READER.get_metrics_data()
    return [
        scope.scope.name
        for resource in (data.resource_metrics if data else ())
        for scope in resource.scope_metrics
        if any(metric.name == "gen_ai.client.token.usage" for metric in scope.metrics)
    ]


def _own_provider() -> TracerProvider:
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(_EXPORTER))
    trace.set_tracer_provider(provider)
    return provider


def _langfuse() -> list[Any]:
    os.environ.update(LANGFUSE_PUBLIC_KEY="p", LANGFUSE_SECRET_KEY="s", LANGFUSE_HOST="http://127.0.0.1:9")
    from langfuse import Langfuse
    from langfuse.langchain import CallbackHandler

    Langfuse(span_exporter=_EXPORTER)  # sets the global provider; its own filter decides what is exported
    return [CallbackHandler()]


def _openinference() -> list[Any]:
    provider = _own_provider()
    from openinference.instrumentation.langchain import LangChainInstrumentor
    from openinference.instrumentation.llama_index import LlamaIndexInstrumentor

    LangChainInstrumentor().instrument(tracer_provider=provider)
    LlamaIndexInstrumentor().instrument(tracer_provider=provider)
    return []


def _traceloop() -> list[Any]:
    _own_provider()
    from opentelemetry.instrumentation.langchain import LangchainInstrumentor
    from opentelemetry.instrumentation.llamaindex import LlamaIndexInstrumentor

    LangchainInstrumentor().instrument()
    LlamaIndexInstrumentor().instrument()
    return []


def _langsmith() -> list[Any]:
    os.environ.update(LANGSMITH_TRACING="true", LANGSMITH_TRACING_MODE="otel", LANGSMITH_API_KEY="k")
    os.environ["LANGSMITH_ENDPOINT"] = "http://127.0.0.1:9"
    _own_provider()
    return []


def _no_tool() -> list[Any]:
    _own_provider()
    return []


_TOOLS: Final[Mapping[str, Callable[[], list[Any]]]] = {
    "none": _no_tool,
    "langfuse": _langfuse,
    "openinference": _openinference,
    "traceloop": _traceloop,
    "langsmith": _langsmith,
}


def _finish(stream: Iterator[Any]) -> None:
    for _ in stream:
        pass


async def _afinish(stream: Any) -> None:
    async for _ in stream:
        pass


def _langchain_ways(url: str, callbacks: list[Any]) -> Ways:
    from langchain.agents import create_agent
    from langchain_core.prompts import ChatPromptTemplate

    from unified_llm.langchain import ChatUnified, UnifiedEmbeddings

    settings: dict[str, Any] = {"base_url": url, "api_key": KEY}
    chat = ChatUnified(model="openai-compatible/scripted-small", **settings)
    constructed = ChatUnified(model="openai-compatible/scripted-small", callbacks=callbacks, **settings)
    fallback = {"model": "openai-compatible/scripted-small", **settings}
    failing = ChatUnified(model="openai-compatible/absent", fallbacks=[fallback], **settings)
    bound = chat.bind_tools([_weather])
    chain = ChatPromptTemplate.from_messages([("user", "{question}")]) | chat
    agent: Any = create_agent(chat, [])
    embeddings = UnifiedEmbeddings(model="openai-compatible/scripted-embedding", **settings)
    config: Any = {"callbacks": callbacks}
    hello: Any = {"messages": [("user", "Hello")]}
    asked = {"question": "Hello"}
    return {
        "invoke": lambda: chat.invoke("Hello", config),
        "ainvoke": lambda: asyncio.run(chat.ainvoke("Hello", config)),
        "stream": lambda: _finish(chat.stream("Hello", config)),
        "astream": lambda: asyncio.run(_afinish(chat.astream("Hello", config))),
        "batch of two": lambda: chat.batch(["Hello", "Hello"], config),
        "abatch of two": lambda: asyncio.run(chat.abatch(["Hello", "Hello"], config)),
        "generate": lambda: chat.generate([[_human("Hello")], [_human("Hello")]], callbacks=callbacks),
        "constructed": lambda: constructed.invoke("Hello"),
        "chain": lambda: chain.invoke(asked, config),
        "chain, astream": lambda: asyncio.run(_afinish(chain.astream(asked, config))),
        "chain, events": lambda: asyncio.run(_afinish(chain.astream_events(asked, config))),
        "fallback": lambda: failing.invoke("Hello", config),
        "fallback, stream": lambda: _finish(failing.stream("Hello", config)),
        "tools, stream": lambda: _finish(bound.stream("Hello", config)),
        "streaming": lambda: chat.model_copy(update={"streaming": True}).invoke("Hello", config),
        "protocol": lambda: chat.stream_events("Hello", config, version="v3").output,
        "agent": lambda: agent.invoke(hello, config),
        "agent, astream": lambda: asyncio.run(_afinish(agent.astream(hello, config))),
        "agent, messages": lambda: _finish(agent.stream(hello, config, stream_mode="messages")),
        "embeddings": lambda: embeddings.embed_documents(["Hello"]),
    }


def _weather(city: str) -> str:
    """Return the weather."""
    return city


def _human(text: str) -> Any:
    from langchain_core.messages import HumanMessage

    return HumanMessage(text)


def _llama_index_ways(url: str) -> Ways:
    from llama_index.core.llms import ChatMessage

    from unified_llm.llama_index import UnifiedEmbedding, UnifiedLLM

    settings: dict[str, Any] = {"base_url": url, "api_key": KEY}
    llm = UnifiedLLM(model="openai-compatible/scripted-small", **settings)
    embedding = UnifiedEmbedding(model="openai-compatible/scripted-embedding", **settings)
    messages = [ChatMessage(role="user", content="Hello")]

    async def astream(method: Callable[..., Any], argument: Any) -> None:
        await _afinish(await method(argument))

    return {
        "chat": lambda: llm.chat(messages),
        "achat": lambda: asyncio.run(llm.achat(messages)),
        "stream_chat": lambda: _finish(llm.stream_chat(messages)),
        "astream_chat": lambda: asyncio.run(astream(llm.astream_chat, messages)),
        "complete": lambda: llm.complete("Hello"),
        "acomplete": lambda: asyncio.run(llm.acomplete("Hello")),
        "stream_complete": lambda: _finish(llm.stream_complete("Hello")),
        "astream_complete": lambda: asyncio.run(astream(llm.astream_complete, "Hello")),
        "embedding": lambda: embedding.get_text_embedding("Hello"),
        "embeddings, llama_index": lambda: embedding.get_text_embedding_batch(["Hello", "Hello"]),
    }


def _plain_ways(url: str) -> Ways:
    from unified_llm import LLMClient

    client = LLMClient("openai-compatible/scripted-small", base_url=url, api_key=KEY)
    return {
        "plain": lambda: client.generate("Hello"),
        "plain, stream": lambda: _finish(client.stream("Hello")),
        "plain, async": lambda: asyncio.run(client.agenerate("Hello")),
    }


def _flush(tool: str) -> None:
    if tool == "langfuse":
        from langfuse import get_client

        get_client().flush()
    elif tool == "langsmith":
        from langsmith.run_trees import get_cached_client

        get_cached_client().flush()


def main() -> None:
    """Make the calls, and print what was recorded."""
    tool, url = sys.argv[1:]
    metrics.set_meter_provider(MeterProvider([_READER], shutdown_on_exit=False))
    callbacks = _TOOLS[tool]()
    ways = {**_plain_ways(url), **_langchain_ways(url, callbacks), **_llama_index_ways(url)}
    _EXPORTER.clear()  # a tool may record that an agent was created
    recorded: dict[str, dict[str, Any]] = {}
    for way, call in ways.items():
        call()
        _flush(tool)
        spans = [_describe(span) for span in _EXPORTER.get_finished_spans()]
        recorded[way] = {"spans": spans, "measured_by": _measured_by()}
        _EXPORTER.clear()
    print(json.dumps(recorded))


if __name__ == "__main__":
    main()
