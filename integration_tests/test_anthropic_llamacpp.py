"""Anthropic's official client and ours against llama.cpp's own server, which speaks the Messages format.

Neither seeds nor schemas pass through that format there, so sampling is greedy, and both send the same request twice,
with the prompt in the server's cache each time.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest
from anthropic import Anthropic, APIStatusError, BadRequestError

from integration_tests.support import llamacpp
from integration_tests.support.llamacpp import KEY, MODEL, LlamaServer
from integration_tests.support.needs import need
from unified_llm import LLMClient, LLMConfig
from unified_llm.exceptions import AuthenticationError, ContextOverflowError
from unified_llm.types import LLMChunk, LLMResponse

if TYPE_CHECKING:
    from anthropic.types import Message

pytestmark = pytest.mark.proves(
    "llamacpp", "chat", "stream", "tools", "reasoning", "models", "count_tokens", "errors",
    against="its own server's Messages API",
)  # fmt: skip

LAMP = {
    "type": "object",
    "properties": {"room": {"enum": ["kitchen", "hall"]}, "on": {"type": "boolean"}},
    "required": ["room", "on"],
}
OUR_TOOL = {"type": "function", "function": {"name": "lamp", "description": "Switch a lamp.", "parameters": LAMP}}
THEIR_TOOL: Any = {"name": "lamp", "description": "Switch a lamp.", "input_schema": LAMP}
GREEDY: dict[str, Any] = {"temperature": 0}

# The model begins each answer by thinking, since the template says so.
THINKING = """\
{%- for message in messages %}
{{- '<|turn>' + message.role + '\\n' }}
{%- if message.reasoning_content %}{{- '<think>\\n' + message.reasoning_content + '\\n</think>\\n\\n' }}{%- endif %}
{%- if message.content %}{{- message.content }}{%- endif %}
{{- '<turn|>\\n' }}
{%- endfor %}
{%- if add_generation_prompt %}{{- '<|turn>assistant\\n<think>\\n' }}{%- endif %}
"""


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LlamaServer]:
    need("xllamacpp", "gguf", "numpy", install="pip install xllamacpp gguf numpy")
    path = tmp_path_factory.mktemp("llamacpp") / "random.gguf"
    llamacpp.write_model(path)
    with LlamaServer(path) as server:
        yield server


@pytest.fixture
def thinker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LlamaServer]:
    need("xllamacpp", "gguf", "numpy", install="pip install xllamacpp gguf numpy")
    path = tmp_path_factory.mktemp("llamacpp") / "thinker.gguf"
    llamacpp.write_model(path, template=THINKING)
    with LlamaServer(path) as server:
        yield server


def them(server: LlamaServer) -> Anthropic:
    return Anthropic(base_url=server.base_url.removesuffix("/v1"), api_key=KEY, max_retries=0)


def us(server: LlamaServer, **fields: Any) -> LLMClient:
    fields = {"api_key": KEY, "max_tokens": 60, **fields}
    return LLMClient(LLMConfig(provider="llamacpp", model=MODEL, base_url=server.base_url, api="messages", **fields))


def read_by_them(message: Message) -> dict[str, Any]:
    blocks = message.content
    usage = message.usage
    cached = usage.cache_read_input_tokens or 0
    return {
        "content": "".join(block.text for block in blocks if block.type == "text"),
        "reasoning": "".join(block.thinking for block in blocks if block.type == "thinking") or None,
        "calls": [(block.name, block.input) for block in blocks if block.type == "tool_use"],
        "model": message.model,
        "finish": {"end_turn": "stop", "max_tokens": "length", "tool_use": "tool_calls"}[str(message.stop_reason)],
        "prompt": usage.input_tokens + cached,
        "completion": usage.output_tokens,
        "cached": cached,
    }


def read_by_us(answer: LLMResponse) -> dict[str, Any]:
    assert answer.usage
    return {
        "content": answer.content,
        "reasoning": answer.reasoning,
        "calls": [(call.name, dict(call.arguments)) for call in answer.tool_calls],
        "model": answer.model,
        "finish": answer.finish_reason,
        "prompt": answer.usage.prompt_tokens,
        "completion": answer.usage.completion_tokens,
        "cached": answer.usage.cached_tokens,
    }


@pytest.mark.parametrize("question", ["hello", "Grüße aus Köln", "word " * 50])
def test_both_read_the_same_answer(running: LlamaServer, question: str) -> None:
    with them(running) as theirs, us(running) as ours:
        ours.generate(question, **GREEDY)
        answer = theirs.messages.create(
            model=MODEL, max_tokens=60, messages=[{"role": "user", "content": question}], extra_body=GREEDY
        )
        again = ours.generate(question, **GREEDY)
    assert read_by_us(again) == read_by_them(answer)
    assert again.content


def test_both_read_the_same_stream(running: LlamaServer) -> None:
    with them(running) as theirs, us(running) as ours:
        whole = ours.generate("hello", **GREEDY)
        events = list(
            theirs.messages.create(
                model=MODEL,
                max_tokens=60,
                messages=[{"role": "user", "content": "hello"}],
                extra_body=GREEDY,
                stream=True,
            )
        )
        chunks = list(ours.stream("hello", **GREEDY))
    texts = [e.delta.text for e in events if e.type == "content_block_delta" and e.delta.type == "text_delta"]
    assert [chunk.content for chunk in chunks if chunk.content] == texts
    assert "".join(texts) == whole.content
    ends = [e for e in events if e.type == "message_delta"]
    assert chunks[-1].usage
    assert [chunks[-1].usage.completion_tokens] == [end.usage.output_tokens for end in ends]
    assert chunks[-1].finish_reason == whole.finish_reason


def test_both_are_given_the_same_calls_of_tools_whole_and_streamed(running: LlamaServer) -> None:
    question: dict[str, Any] = {
        "messages": [{"role": "user", "content": "hello"}],
        "tools": [OUR_TOOL],
        "tool_choice": "required",
        "max_tokens": 1500,
        **GREEDY,
    }
    theirs_question: dict[str, Any] = {
        "model": MODEL,
        "messages": [{"role": "user", "content": "hello"}],
        "tools": [THEIR_TOOL],
        "tool_choice": {"type": "any"},
        "max_tokens": 1500,
        "extra_body": GREEDY,
    }
    with them(running) as theirs, us(running) as ours:
        ours.generate(dict(question))
        answer = theirs.messages.create(**theirs_question)
        again = ours.generate(dict(question))
        events = list(theirs.messages.create(stream=True, **theirs_question))
        chunks = list(ours.stream(dict(question)))
    assert read_by_us(again) == read_by_them(answer)
    assert again.tool_calls
    assert all(call.name == "lamp" and call.error is None for call in again.tool_calls)
    theirs_fragments: dict[int, str] = {}
    for event in events:
        if event.type == "content_block_delta" and event.delta.type == "input_json_delta":
            theirs_fragments[event.index] = theirs_fragments.get(event.index, "") + event.delta.partial_json
    assert list(_fragments(chunks).values()) == list(theirs_fragments.values())
    assert [json.loads(text) for text in _fragments(chunks).values()] == [dict(c.arguments) for c in again.tool_calls]


def _fragments(chunks: list[LLMChunk]) -> dict[int, str]:
    arguments: dict[int, str] = {}
    for part in (part for chunk in chunks for part in chunk.tool_calls):
        arguments[part.index] = arguments.get(part.index, "") + part.arguments
    return arguments


def test_a_tool_that_is_named_is_called_and_one_that_is_forbidden_is_not(running: LlamaServer) -> None:
    question: dict[str, Any] = {"messages": [{"role": "user", "content": "hello"}], "max_tokens": 1500, **GREEDY}
    other = {"type": "function", "function": {"name": "door", "parameters": LAMP}}
    with us(running) as ours:
        named = ours.generate({**question, "tools": [OUR_TOOL, other], "tool_choice": "lamp"})
        forbidden = ours.generate({**question, "tools": [OUR_TOOL], "tool_choice": "none"})
        plain = ours.generate(dict(question))
    assert {call.name for call in named.tool_calls} == {"lamp"}
    assert (forbidden.tool_calls, forbidden.content) == ((), plain.content)


def test_an_answered_call_goes_on(running: LlamaServer) -> None:
    with us(running) as ours:
        call = {"id": "c 1", "type": "function", "function": {"name": "lamp", "arguments": '{"room":"hall","on":true}'}}
        answer = ours.generate(
            {
                "messages": [
                    {"role": "system", "content": "Be brief."},
                    {"role": "user", "content": "Light!"},
                    {"role": "assistant", "content": "", "tool_calls": [call]},
                    {"role": "tool", "tool_call_id": "c 1", "content": "done"},
                ],
                "tools": [OUR_TOOL],
                **GREEDY,
            }
        )
    assert answer.content or answer.tool_calls


def test_both_read_the_same_thoughts_and_they_go_back(thinker: LlamaServer) -> None:
    message: Any = {"role": "user", "content": "hello"}
    thinking: Any = {"type": "enabled", "budget_tokens": 1200}
    # This model ends its turn within its thoughts, which is an empty answer; so it is cut before that.
    cut = GREEDY | {"max_tokens": 6}
    with them(thinker) as theirs, us(thinker, max_tokens=1300) as ours:
        ours.generate("hello", reasoning_effort="high", extra_body=cut)
        answer = theirs.messages.create(
            model=MODEL, max_tokens=1300, messages=[message], thinking=thinking, extra_body=cut
        )
        again = ours.generate("hello", reasoning_effort="high", extra_body=cut)
        chunks = list(ours.stream("hello", reasoning_effort="high", extra_body=cut))
        assert read_by_us(again) == read_by_them(answer)
        assert again.reasoning
        assert again.provider_state
        assert "".join(chunk.reasoning for chunk in chunks) == again.reasoning
        assert chunks[-1].provider_state == again.provider_state
        # The thoughts are part of the prompt of the next turn only if they were sent back.
        past = [
            message,
            {"role": "assistant", "content": again.content, "provider_state": again.provider_state.as_dict()},
            message,
        ]
        silent = [message, {"role": "assistant", "content": again.content or "."}, message]
        assert ours.count_tokens({"messages": past}) > ours.count_tokens({"messages": silent})


def test_both_count_the_same(running: LlamaServer) -> None:
    with them(running) as theirs, us(running) as ours:
        for text in ("hello", "Grüße " * 20):
            counted = theirs.messages.count_tokens(model=MODEL, messages=[{"role": "user", "content": text}])
            assert ours.count_tokens(text) == counted.input_tokens
        with_tool = theirs.messages.count_tokens(
            model=MODEL, messages=[{"role": "user", "content": "hello"}], tools=[THEIR_TOOL]
        )
        question: Any = {"messages": [{"role": "user", "content": "hello"}], "tools": [OUR_TOOL]}
        assert ours.count_tokens(question) == with_tool.input_tokens


def test_both_list_the_same_models(running: LlamaServer) -> None:
    with them(running) as theirs, us(running) as ours:
        assert [model.id for model in ours.list_models()] == [model.id for model in theirs.models.list()]


def test_errors_are_the_same(running: LlamaServer) -> None:
    long = "word " * 5000
    with them(running) as theirs, us(running) as ours:
        with pytest.raises(BadRequestError) as told_them:
            theirs.messages.create(model=MODEL, max_tokens=9, messages=[{"role": "user", "content": long}])
        with pytest.raises(ContextOverflowError) as told_us:
            ours.generate(long)
        assert told_us.value.status_code == told_them.value.status_code == 400
        with pytest.raises(ContextOverflowError):
            list(ours.stream(long))
    with Anthropic(base_url=running.base_url.removesuffix("/v1"), api_key="sk-CANARY-no", max_retries=0) as strangers:
        with pytest.raises(APIStatusError) as refused:
            strangers.messages.create(model=MODEL, max_tokens=9, messages=[{"role": "user", "content": "x"}])
        assert refused.value.status_code == 401
    with us(running, api_key="sk-CANARY-no") as ours, pytest.raises(AuthenticationError):
        ours.generate("hello")
