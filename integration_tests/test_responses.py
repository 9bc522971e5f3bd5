"""The Responses format: OpenAI's own SDK and ours, side by side, against a strict fake and against llama.cpp."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import openai
import pytest

from integration_tests.fakes.openai_responses import KEY, RECORDED, Responses
from integration_tests.support import llamacpp
from integration_tests.support.llamacpp import LlamaServer
from integration_tests.support.media import PDF, PNG
from integration_tests.support.needs import need
from unified_llm import LLMClient, LLMConfig, LLMResponse
from unified_llm.exceptions import AuthenticationError, ContextOverflowError, ModelNotFoundError
from unified_llm.types import FilePart, ImagePart, Message, TextPart, ToolCall

WHOLE = sorted(path.stem for path in RECORDED.glob("chat_*.json"))
STREAMED = sorted(path.stem for path in RECORDED.glob("stream_*.json") if "llamacpp" not in path.stem)
SCHEMA = {
    "type": "object",
    "properties": {"city": {"type": "string"}},
    "required": ["city"],
    "additionalProperties": False,
}
LAMP = {
    "type": "object",
    "properties": {"room": {"enum": ["kitchen", "hall"]}, "on": {"type": "boolean"}},
    "required": ["room", "on"],
}
TOOL = {"type": "function", "function": {"name": "weather", "description": "The weather.", "parameters": SCHEMA}}


@pytest.fixture(scope="module")
def server() -> Iterator[Responses]:
    with Responses() as running:
        yield running


@pytest.fixture
def fake(server: Responses) -> Responses:
    server.requests.clear()
    server.refused.clear()
    return server


@pytest.fixture
def theirs(fake: Responses) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{fake.address}/v1", api_key=KEY, max_retries=0) as client:
        yield client


def ours(base_url: str, model: str = "chat_plain", **fields: Any) -> LLMClient:
    fields = {"provider": "openai", "api": "responses", "api_key": KEY, "max_retries": 0, **fields}
    return LLMClient(LLMConfig(model=model, base_url=base_url, **fields))


@pytest.mark.proves(
    "openai", "chat", "stream", "tools", "schema", "reasoning", "logprobs", "count_tokens", "errors", "images", "files",
    against="the official SDK, before a strict fake of the Responses API",
)  # fmt: skip
class TestFake:
    @pytest.mark.parametrize("name", WHOLE)
    def test_both_read_the_same(self, fake: Responses, theirs: openai.OpenAI, name: str) -> None:
        read_by_them = theirs.responses.create(model=name, input="Hello", store=False)
        with ours(fake.address, name) as client:
            read_by_us = client.generate("Hello")
        assert _our_fields(read_by_us) == _their_fields(read_by_them)
        they_sent, we_sent = (received.body for received in fake.requests)
        assert we_sent == they_sent | {"input": [{"type": "message", "role": "user", "content": "Hello"}]}

    @pytest.mark.parametrize("name", STREAMED)
    def test_both_read_the_same_in_a_stream(self, fake: Responses, theirs: openai.OpenAI, name: str) -> None:
        with theirs.responses.stream(model=name, input="Hello") as stream:
            events = list(stream)
        with ours(fake.address, name) as client:
            chunks = list(client.stream("Hello"))
        text = "".join(event.delta for event in events if event.type == "response.output_text.delta")
        final = next(e.response for e in events if e.type in {"response.completed", "response.incomplete"})
        assert "".join(chunk.content for chunk in chunks) == (text or final.output_text)
        arguments = "".join(event.delta for event in events if event.type == "response.function_call_arguments.delta")
        arguments_streamed = "".join(call.arguments for chunk in chunks for call in chunk.tool_calls)
        assert arguments_streamed == (arguments or arguments_streamed)
        usage, last = final.usage, chunks[-1]
        assert usage
        assert last.usage
        assert (last.usage.prompt_tokens, last.usage.total_tokens) == (usage.input_tokens, usage.total_tokens)
        assert (last.response_id, last.model) == (final.id, final.model)

    def test_all_that_we_can_say_is_in_the_sdk_s_types(self, fake: Responses) -> None:
        with ours(fake.address, "chat_tools", reasoning_effort="low") as client:
            answer = client.generate("Weather?", tools=[TOOL], tool_choice="required", parallel_tool_calls=True)
            turn = Message("assistant", "", tool_calls=answer.tool_calls, provider_state=answer.provider_state)
            picture = ImagePart(data=PNG)
            seen = (TextPart("Look."), picture, FilePart(data=PDF, filename="a.pdf"))
            history = [
                Message.system("Be brief."),
                Message("user", seen),
                turn,
                Message.tool("sun", "call_a"),
                Message("tool", (TextPart("map"), picture), tool_call_id="call_b"),
                Message.assistant("It is sunny."),
                Message.system("Be briefer."),
                Message.user("JSON, please."),
            ]
            form = {"type": "json_schema", "json_schema": {"name": "place", "schema": SCHEMA, "strict": True}}
            client.generate(
                history, tools=[TOOL, {"type": "web_search"}], tool_choice="weather", response_format=form,
                max_tokens=50, temperature=0.5, top_p=0.9, top_logprobs=2, stop=["END"], seed=7,
            )  # fmt: skip
        sent = fake.requests[-1].body
        kinds = [item["type"] for item in sent["input"]]
        assert kinds == ["message", "message", "reasoning", "function_call", "reasoning", "function_call",
                         "function_call_output", "function_call_output", "message", "message", "message"]  # fmt: skip
        assert sent["include"] == ["message.output_text.logprobs", "reasoning.encrypted_content"]

    def test_a_conversation_that_was_edited_is_still_accepted(self, fake: Responses) -> None:
        with ours(fake.address, "chat_tools") as client:
            answer = client.generate("Weather?", tools=[TOOL])
            turn = Message("assistant", "", tool_calls=answer.tool_calls[1:], provider_state=answer.provider_state)
            for edited in ([turn], [Message.tool("sun", "call_a")], [turn, Message.tool("sun", "call_a")]):
                assert client.generate([*edited, Message.user("And?")], tools=[TOOL]).tool_calls

    def test_both_are_refused_alike(self, fake: Responses, theirs: openai.OpenAI) -> None:
        with ours(fake.address, "nothing") as client, pytest.raises(ModelNotFoundError):
            client.generate("Hello")
        with pytest.raises(openai.NotFoundError):
            theirs.responses.create(model="nothing", input="Hello")
        with ours(fake.address, api_key="wrong") as client, pytest.raises(AuthenticationError):
            client.generate("Hello")

    def test_both_count_the_same(self, fake: Responses, theirs: openai.OpenAI) -> None:
        counted = theirs.responses.input_tokens.count(model="chat_plain", input="Hello")
        with ours(fake.address) as client:
            assert client.count_tokens("Hello") == counted.input_tokens == 7


def _our_fields(answer: LLMResponse) -> dict[str, Any]:
    usage = answer.usage
    assert usage
    return {
        "content": answer.content,
        "calls": [(call.id, call.name, call.raw_arguments) for call in answer.tool_calls],
        "id": answer.response_id,
        "model": answer.model,
        "refusal": answer.refusal or "",
        "reasoning": answer.reasoning or "",
        "cited": [citation.url for citation in answer.citations if citation.url],
        "logprobs": [(token.token, token.logprob) for token in answer.logprobs],
        "cut": answer.finish_reason in {"length", "content_filter"},
        "usage": (
            usage.prompt_tokens,
            usage.completion_tokens,
            usage.total_tokens,
            usage.cached_tokens,
            usage.cache_write_tokens,
            usage.reasoning_tokens,
        ),
    }


def _their_fields(answer: Any) -> dict[str, Any]:
    parts = [part for item in answer.output if item.type == "message" for part in item.content]
    texts = [part for part in parts if part.type == "output_text"]
    before, after = answer.usage.input_tokens_details, answer.usage.output_tokens_details
    thoughts = [
        part.text
        for item in answer.output
        if item.type == "reasoning"
        for part in (*item.summary, *(item.content or ()))
    ]
    return {
        "content": answer.output_text,
        "calls": [(item.call_id, item.name, item.arguments) for item in answer.output if item.type == "function_call"],
        "id": answer.id,
        "model": answer.model,
        "refusal": "".join(part.refusal for part in parts if part.type == "refusal"),
        "reasoning": "\n\n".join(thoughts),
        "cited": [
            annotation.url for part in texts for annotation in part.annotations if annotation.type == "url_citation"
        ],
        "logprobs": [(token.token, token.logprob) for part in texts for token in part.logprobs or ()],
        "cut": answer.status == "incomplete",
        "usage": (
            answer.usage.input_tokens,
            answer.usage.output_tokens,
            answer.usage.total_tokens,
            before.cached_tokens,
            getattr(before, "cache_write_tokens", None) or 0,
            after.reasoning_tokens if after else 0,
        ),
    }


@pytest.fixture(scope="module")
def llama(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LlamaServer]:
    need("xllamacpp", "gguf", "numpy", install="pip install xllamacpp gguf numpy")
    path: Path = tmp_path_factory.mktemp("llamacpp") / "random.gguf"
    llamacpp.write_model(path)
    with LlamaServer(path) as running:
        yield running


@pytest.mark.proves("llamacpp", "chat", "stream", "tools", "errors", against="its own server, in the Responses format")
class TestLlama:
    """llama.cpp, which accepts ``seed``, although it is not a field of this format."""

    def ours(self, llama: LlamaServer) -> LLMClient:
        return ours(llama.base_url, llamacpp.MODEL, provider="llamacpp", api_key=llamacpp.KEY, max_tokens=60)

    def theirs(self, llama: LlamaServer, limit: int = 60, **fields: Any) -> Any:
        with openai.OpenAI(base_url=llama.base_url, api_key=llamacpp.KEY, max_retries=0) as client:
            answer = client.responses.create(
                model=llamacpp.MODEL, input="hello", max_output_tokens=limit, extra_body={"seed": 3}, **fields
            )
            return list(answer) if fields.get("stream") else answer

    def test_both_read_the_same_for_the_same_seed(self, llama: LlamaServer) -> None:
        read_by_them = self.theirs(llama)
        with self.ours(llama) as client:
            answer = client.generate("hello", extra_body={"seed": 3})
        assert (answer.content, answer.model) == (read_by_them.output_text, read_by_them.model)
        assert answer.usage
        assert answer.usage.completion_tokens == read_by_them.usage.output_tokens

    def test_both_read_the_same_stream_with_tools(self, llama: LlamaServer) -> None:
        # Without text of any length in the arguments, which a random model does not end.
        flat = {"type": "function", "strict": False, "name": "lamp", "parameters": LAMP}
        lamp = {"type": "function", "function": {"name": "lamp", "parameters": LAMP}}
        one: Mapping[str, Any] = {"tool_choice": "required", "parallel_tool_calls": False}
        events = self.theirs(llama, 2000, tools=[flat], stream=True, **one)
        with self.ours(llama) as client:
            fields: Mapping[str, Any] = {"tools": [lamp], **one, "extra_body": {"seed": 3}, "max_tokens": 2000}
            chunks = list(client.stream("hello", **fields))
            whole = client.generate("hello", **fields)
        text = "".join(event.delta for event in events if event.type == "response.output_text.delta")
        arguments = "".join(event.delta for event in events if event.type == "response.function_call_arguments.delta")
        assert arguments
        assert "".join(chunk.content for chunk in chunks) == text == whole.content
        assert "".join(call.arguments for chunk in chunks for call in chunk.tool_calls) == arguments
        assert [call.raw_arguments for call in whole.tool_calls] == [arguments]
        assert chunks[-1].finish_reason == whole.finish_reason == "tool_calls"

    def test_a_conversation_with_calls_goes_on(self, llama: LlamaServer) -> None:
        with self.ours(llama) as client:
            call = ToolCall("call_1", "weather", {"city": "Oslo"})
            turn = Message.assistant("Let me look.", tool_calls=[call])
            history = [Message.system("Be brief."), Message.user("hello"), turn, Message.tool("sun", call.id)]
            assert client.generate([*history, Message.user("And?")], tools=[TOOL], extra_body={"seed": 3}).content

    def test_it_refuses_what_is_too_long(self, llama: LlamaServer) -> None:
        with self.ours(llama) as client, pytest.raises(ContextOverflowError):
            client.generate("hello " * 5000)
