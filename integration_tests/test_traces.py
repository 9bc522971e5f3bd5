"""Each call is counted once under Langfuse, OpenInference, Traceloop and LangSmith: the real packages.

The tools patch LangChain and LlamaIndex for a whole process, so each has a process of its own, in an environment that
``make servers`` installs.
"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any, Final

import pytest

from integration_tests.support.install_servers import HOME
from integration_tests.support.needs import need_program
from integration_tests.support.upstream import Upstream

_OF_TOOLS: Final = ("LANGFUSE_", "LANGSMITH_", "LANGCHAIN_", "TRACELOOP_", "OTEL_")  # settings of this machine
_ROOT: Final = Path(__file__).parents[1]
_OURS: Final = "unified_llm"
_PLAIN: Final = ("plain", "plain, stream", "plain, async")
_LANGCHAIN: Final = (
    "invoke",
    "ainvoke",
    "stream",
    "astream",
    "batch of two",
    "abatch of two",
    "generate",
    "chain",
    "chain, astream",
    "chain, events",
    "fallback",
    "fallback, stream",
    "tools, stream",
    "streaming",
    "protocol",
    "agent",
    "agent, astream",
    "agent, messages",
)
_CHATS: Final = ("chat", "achat", "stream_chat", "astream_chat")
_COMPLETIONS: Final = ("complete", "acomplete", "stream_complete", "astream_complete")
_EMBEDDINGS: Final = ("embeddings", "embedding", "embeddings, llama_index")
_TWO_CALLS: Final = ("batch of two", "abatch of two", "generate")
_LANGCHAIN_SCOPES: Final = {
    "langfuse": "langfuse-sdk",
    "openinference": "openinference.instrumentation.langchain",
    "traceloop": "opentelemetry.instrumentation.langchain",
    "langsmith": "langsmith",
}
_LLAMA_INDEX_SCOPES: Final = {
    "openinference": "openinference.instrumentation.llama_index",
    "traceloop": "opentelemetry.instrumentation.llamaindex",
}
# Not LangSmith: its spans are made after the call. It also records an answer's tokens for the chain that returns it.
_TOOLS_WITH_SPANS: Final = ("langfuse", "openinference", "traceloop")

Recorded = Mapping[str, Mapping[str, Any]]


@cache
def _make_calls(tool: str) -> subprocess.CompletedProcess[str]:
    """Make all calls under a tool, in the environment of the tracing tools."""
    python = need_program(str(HOME / "tracing" / "bin" / "python"), install="make servers")
    path = os.pathsep.join((str(_ROOT / "src"), str(_ROOT)))
    variables = {name: value for name, value in os.environ.items() if not name.startswith(_OF_TOOLS)}
    with Upstream() as upstream:
        return subprocess.run(
            [python, "-m", "integration_tests.support.trace_tools", tool, upstream.base_url],
            cwd=_ROOT,
            env={**variables, "PYTHONPATH": path},
            capture_output=True,
            text=True,
            timeout=240,
            check=False,
        )


def recorded(tool: str) -> Recorded:
    """Return what was recorded of each way to call under a tool."""
    done = _make_calls(tool)
    assert done.returncode == 0, done.stderr
    result: Recorded = json.loads(done.stdout.splitlines()[-1])
    return result


def counting(spans: list[Any], scope: str) -> list[Any]:
    """Return the spans of one scope that count tokens."""
    return [span for span in spans if span["counts"] and span["scope"] == scope]


def calls_of(way: str) -> int:
    return 2 if way in _TWO_CALLS else 1


def check_counted_by_the_tool(way: str, spans: list[Any], scope: str) -> None:
    models = counting(spans, scope)
    own = [span for span in spans if span["scope"] == _OURS]
    assert len(models) == calls_of(way)
    assert [span for span in spans if span["counts"]] == models
    assert {span["parent"] for span in own} == {span["id"] for span in models}
    assert len(own) == len(models)
    assert {span["trace"] for span in own} == {span["trace"] for span in models}


@pytest.mark.parametrize("way", [*_LANGCHAIN, "constructed"])
@pytest.mark.parametrize("tool", _TOOLS_WITH_SPANS)
def test_a_call_of_a_langchain_model_has_one_span_with_tokens_and_ours_is_its_child(tool: str, way: str) -> None:
    check_counted_by_the_tool(way, recorded(tool)[way]["spans"], _LANGCHAIN_SCOPES[tool])


@pytest.mark.parametrize("way", _LANGCHAIN)
def test_langsmiths_span_counts_and_ours_makes_no_second_trace(way: str) -> None:
    spans = recorded("langsmith")[way]["spans"]
    models = [span for span in counting(spans, "langsmith") if span["name"] == "ChatUnified"]
    assert len(models) == calls_of(way)
    assert [span for span in spans if span["scope"] == _OURS] == []


@pytest.mark.parametrize("way", [*_CHATS, *_COMPLETIONS])
def test_openinference_counts_all_calls_of_a_llama_index_model(way: str) -> None:
    check_counted_by_the_tool(way, recorded("openinference")[way]["spans"], _LLAMA_INDEX_SCOPES["openinference"])


@pytest.mark.parametrize("way", _CHATS)
def test_traceloop_counts_the_chats_of_a_llama_index_model(way: str) -> None:
    check_counted_by_the_tool(way, recorded("traceloop")[way]["spans"], _LLAMA_INDEX_SCOPES["traceloop"])


@pytest.mark.parametrize("way", _COMPLETIONS)
def test_completions_that_traceloop_does_not_count_keep_their_tokens(way: str) -> None:
    spans = recorded("traceloop")[way]["spans"]
    (model,) = [span for span in spans if span["scope"] == _LLAMA_INDEX_SCOPES["traceloop"]]
    (own,) = [span for span in spans if span["counts"]]
    assert own["scope"] == _OURS
    assert own["parent"] == model["id"]


@pytest.mark.parametrize("way", [*_PLAIN, *_EMBEDDINGS])
@pytest.mark.parametrize("tool", ["none", *_LANGCHAIN_SCOPES])
def test_calls_that_no_tool_counts_keep_their_tokens(tool: str, way: str) -> None:
    (own,) = [span for span in recorded(tool)[way]["spans"] if span["counts"]]
    assert own["scope"] == _OURS


@pytest.mark.parametrize("way", [*_LANGCHAIN, *_CHATS, *_COMPLETIONS])
def test_without_a_tool_every_call_has_one_span_with_tokens(way: str) -> None:
    spans = recorded("none")[way]["spans"]
    assert [span["scope"] for span in spans if span["counts"]] == [_OURS] * calls_of(way)


@pytest.mark.parametrize("tool", ["none", *_LANGCHAIN_SCOPES])
def test_tokens_are_measured_by_one_scope(tool: str) -> None:
    expected = _LANGCHAIN_SCOPES["traceloop"] if tool == "traceloop" else _OURS
    for way in _LANGCHAIN:
        assert recorded(tool)[way]["measured_by"] == [expected], way
