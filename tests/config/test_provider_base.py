"""The protocol of a provider of one's own, and the helpers of its optional base class."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Mapping
from types import MappingProxyType
from typing import Any

import pytest

from tests.support.each import each
from unified_llm import ChatProvider, LLMClient, LLMRequest, Message, ProviderBase, ToolCall, register_provider
from unified_llm._providers import registry
from unified_llm.exceptions import ContextOverflowError, UnsupportedOperationError, ValidationError
from unified_llm.types import ImagePart


class Sync:
    def generate(self, _request: LLMRequest) -> str:
        return "whole"

    def stream(self, _request: LLMRequest) -> Iterator[str]:
        yield "whole"


class Async:
    async def generate(self, _request: LLMRequest) -> str:
        return "whole"

    async def stream(self, _request: LLMRequest) -> AsyncIterator[str]:
        yield "whole"


class Mine(ProviderBase):
    defaults: Mapping[str, Any] = MappingProxyType({"temperature": 0.2, "top_p": 0.9})
    context_window = 1_000
    max_output = 300

    def generate(self, request: LLMRequest) -> str:
        self.check_output()
        self.validate_messages(request.messages)
        self.check_limits(request)
        return str(self.merge_parameters(request))


class Draws(ProviderBase):
    outputs = ("image",)

    def generate(self, _request: LLMRequest) -> str:
        self.check_output()
        return "never"


def ask(*messages: Message, **fields: Any) -> LLMRequest:
    return LLMRequest(messages or (Message.user("Hello?"),), **fields)


@each(("given", "fits"), [(Sync(), True), (Async(), True), (Mine(), True), (object(), False), ("text", False)])
def test_an_object_with_both_methods_is_a_chat_provider(given: object, *, fits: bool) -> None:
    assert isinstance(given, ChatProvider) is fits


def test_a_class_with_both_methods_is_a_subclass() -> None:
    assert issubclass(Sync, ChatProvider)
    assert issubclass(Async, ChatProvider)
    assert not issubclass(str, ChatProvider)


CALL = Message.assistant(tool_calls=[ToolCall("1", "look")])


@each("messages", [
    [Message.user("Hello?")], [Message("user", (ImagePart(data=b"x", media_type="image/png"),))],
    [Message.user("a"), CALL, Message.tool("", "1")],
])  # fmt: skip
def test_a_conversation_that_can_be_answered_passes(messages: list[Message]) -> None:
    Mine().validate_messages(messages)


@each(("messages", "expected"), [
    ([], "messages is empty"), ([Message.user("")], r"messages\[0\] is empty"),
    ([Message.user("a"), Message.assistant(" ")], r"messages\[1\] is empty"),
    ([Message.user("a"), Message.tool("x", "1")], r"messages\[1\] is a tool's result"),
    ([Message.tool("x", "1"), CALL], r"messages\[0\] is a tool's result"),
])  # fmt: skip
def test_a_conversation_that_cannot_be_answered_is_refused(messages: list[Message], expected: str) -> None:
    with pytest.raises(ValidationError, match=expected):
        Mine().validate_messages(messages)


def test_parameters_are_merged_from_the_request_its_body_and_the_defaults() -> None:
    request = ask(temperature=0.0, stop=("END",), extra_body={"top_k": 5, "top_p": 0.1})
    assert Mine().merge_parameters(request, max_tokens=50, seed=None) == {
        "temperature": 0.0, "top_p": 0.1, "max_tokens": 50, "stop": ("END",), "top_k": 5,
    }  # fmt: skip
    assert Mine().merge_parameters(ask()) == {"temperature": 0.2, "top_p": 0.9}
    of_the_client = {"request_id": "order-17", "timeout_override": 5.0, "merge_messages": False, "stream": True}
    assert Mine().merge_parameters(ask(**of_the_client)) == {"temperature": 0.2, "top_p": 0.9}
    assert Mine().merge_parameters(ask(), temperature=0.7)["temperature"] == 0.7


def test_tokens_of_a_text_and_of_a_conversation_are_estimated() -> None:
    provider = Mine()
    assert 90 <= provider.estimate_tokens("word " * 100) <= 110
    assert provider.estimate_tokens([Message.user("word " * 100)]) == provider.estimate_tokens("word " * 100) + 4


@each(("words", "fields", "tokens", "error"), [
    (100, {}, None, None), (100, {"max_tokens": 300}, None, None), (1_500, {}, None, None),  # it may fit
    (3_000, {}, None, ContextOverflowError), (1_700, {"max_tokens": 300}, None, ContextOverflowError),
    (100, {"max_tokens": 300}, 701, ContextOverflowError), (100, {"max_tokens": 300}, 700, None),
    (100, {"max_tokens": 301}, None, ValidationError),
])  # fmt: skip
def test_a_request_beyond_the_limits_is_refused(
    words: int, fields: dict[str, Any], tokens: int | None, error: type[Exception] | None
) -> None:
    request = ask(Message.user("word " * words), **fields)
    if error is None:
        Mine().check_limits(request, tokens=tokens)
        return
    with pytest.raises(error, match=r"has at least|at most 300"):
        Mine().check_limits(request, tokens=tokens)


def test_a_class_that_counts_is_taken_at_its_word() -> None:
    class Counts(Mine):
        estimate_error = 0.0

        def estimate_tokens(self, _content: Any) -> int:
            return 1_001

    with pytest.raises(ContextOverflowError, match=r"at least 1,001 tokens; the context window has 1,000"):
        Counts().check_limits(ask())


def test_an_output_that_the_model_does_not_make_is_refused_with_what_it_makes() -> None:
    Mine().check_output()
    with pytest.raises(UnsupportedOperationError, match="Draws makes no text: its model makes images"):
        Draws().check_output()
    with pytest.raises(UnsupportedOperationError, match="Mine makes no embeddings: its model is for chat"):
        Mine().check_output("embeddings")


def test_what_a_helper_raises_is_what_the_caller_gets() -> None:
    register_provider("helped", Mine())
    register_provider("draws", Draws())
    try:
        assert LLMClient("helped/m", temperature=0.5).generate("Hello?").content == "{'temperature': 0.5, 'top_p': 0.9}"
        with pytest.raises(ContextOverflowError):
            LLMClient("helped/m").generate("word " * 3_000)
        with pytest.raises(UnsupportedOperationError):
            LLMClient("draws/m").generate("Hello?")
        client = LLMClient("draws/m", fallbacks=["helped/m"])
        assert client.generate("Hello?").provider == "helped"
    finally:
        registry.unregister("helped")
        registry.unregister("draws")
