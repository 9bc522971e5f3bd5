"""Messages: the content of a conversation, which must not be changed.

Histories have answers of other LLMs: the agents of a workflow share one memory, whichever LLMs they use.
"""

from __future__ import annotations

import copy
from typing import Any

import pytest
from llama_index.core.base.llms.types import (
    AudioBlock,
    CacheControl,
    CachePoint,
    ChatMessage,
    CitationBlock,
    ContentBlock,
    DocumentBlock,
    ImageBlock,
    MessageRole,
    TextBlock,
    ThinkingBlock,
    ToolCallBlock,
    VideoBlock,
)

from conformance.llama_index.call_modes import CHATS, ask, each_chat, text, user
from conformance.llama_index.fixtures import Bench
from conformance.llama_index.script import Say
from conformance.llama_index.sections.tools import ADD
from integration_tests.support.media import PDF, PNG, WAV
from integration_tests.support.upstream_schema import (
    Assistant,
    AudioPart,
    FilePart,
    ImagePart,
    TextPart,
    ToolResult,
    User,
)

ARGUMENTS = {"a": 20, "b": 22}
PLAIN_CALL = {"id": "call_7", "type": "function", "function": {"name": "add", "arguments": '{"a": 20, "b": 22}'}}


def call_block(arguments: Any = None, identifier: str | None = "call_7") -> ToolCallBlock:
    """Return an earlier tool call."""
    return ToolCallBlock(tool_call_id=identifier, tool_name="add", tool_kwargs=arguments or ARGUMENTS)


def tool_message(text: str = "42", identifier: str = "call_7") -> ChatMessage:
    """Return its result as FunctionAgent writes it."""
    return ChatMessage(role=MessageRole.TOOL, content=text, additional_kwargs={"tool_call_id": identifier})


def assistant_message(*blocks: ContentBlock, **extras: Any) -> ChatMessage:
    """Return an earlier answer of any LLM."""
    return ChatMessage(role=MessageRole.ASSISTANT, blocks=list(blocks), additional_kwargs=extras)


def text_of(message: Any) -> str:
    """Return the text of a received message."""
    if isinstance(message.content, list):
        return "".join(part.text for part in message.content if isinstance(part, TextPart))
    return message.content or ""


class TestMessages:
    """Roles, blocks and histories."""

    @pytest.mark.parametrize("role", ["system", "user", "assistant"])
    def test_each_role_arrives_as_itself(self, bench: Bench, role: str) -> None:
        """Each message is sent with its role. Needed by memory/chat_memory_buffer.py."""
        llm, upstream = bench.start(Say("Yes."))
        ask(llm, "chat", [ChatMessage(role=role, content="Said."), *user("And now?")])
        first = upstream.body.messages[0]
        assert (first.role, first.content) == (role, "Said.")

    @pytest.mark.parametrize("role", [MessageRole.MODEL, MessageRole.CHATBOT])
    def test_an_assistant_by_another_name_is_one(self, bench: Bench, role: MessageRole) -> None:
        """Other LLMs use the roles model and chatbot. Needed by agent/workflow/multi_agent_workflow.py."""
        llm, upstream = bench.start(Say("Yes."))
        ask(llm, "chat", [*user("Hello?"), ChatMessage(role=role, content="Said."), *user("And now?")])
        message = upstream.body.messages[1]
        assert (message.role, message.content) == ("assistant", "Said.")

    @each_chat
    def test_any_sequence_of_messages_will_do(self, bench: Bench, mode: str) -> None:
        """The contract says Sequence, not list. Needed by base/llms/base.py."""
        llm, upstream = bench.start(Say("Yes."))
        assert text(ask(llm, mode, tuple(user("Hello?")))[-1]) == "Yes."
        assert len(upstream.body.messages) == 1

    @pytest.mark.parametrize("role", ["system", "user", "assistant"])
    def test_every_block_of_text_arrives(self, bench: Bench, role: str) -> None:
        """None is left out, in any role. Needed by base/llms/types.py."""
        llm, upstream = bench.start(Say("Yes."))
        blocks = [TextBlock(text="One. "), TextBlock(text="Two. ")]
        ask(llm, "chat", [ChatMessage(role=role, blocks=blocks), *user("And now?")])
        sent = text_of(upstream.body.messages[0])
        assert "One. " in sent
        assert "Two. " in sent

    @pytest.mark.parametrize("mode", ["chat", "astream_chat"])
    def test_a_picture_arrives(self, bench: Bench, mode: str) -> None:
        """From bytes, together with the text. Needed by schema.py, for nodes with images."""
        llm, upstream = bench.start(Say("A llama."))
        blocks = [TextBlock(text="What is this?"), ImageBlock(image=PNG)]
        ask(llm, mode, [ChatMessage(role="user", blocks=blocks)])
        assert isinstance(sent := upstream.body.messages[0], User)
        assert isinstance(sent.content, list)
        assert sorted(type(part).__name__ for part in sent.content) == [ImagePart.__name__, TextPart.__name__]

    def test_a_picture_may_be_elsewhere(self, bench: Bench) -> None:
        """The provider fetches a URL. Needed by base/llms/types.py."""
        llm, upstream = bench.start(Say("A llama."))
        ask(llm, "chat", [ChatMessage(role="user", blocks=[ImageBlock(url="https://example.com/llama.png")])])
        content = upstream.body.messages[0].content
        assert isinstance(content, list)
        assert isinstance(part := content[0], ImagePart)
        assert part.image_url.url == "https://example.com/llama.png"

    def test_a_sound_arrives(self, bench: Bench) -> None:
        """Needed by base/llms/types.py."""
        llm, upstream = bench.start(Say("A bleat."))
        ask(llm, "chat", [ChatMessage(role="user", blocks=[AudioBlock(audio=WAV, format="wav")])])
        content = upstream.body.messages[0].content
        assert isinstance(content, list)
        assert isinstance(content[0], AudioPart)

    def test_a_document_arrives(self, bench: Bench) -> None:
        """Needed by base/llms/types.py."""
        llm, upstream = bench.start(Say("A paper."))
        document = DocumentBlock(data=PDF, title="paper.pdf", document_mimetype="application/pdf")
        ask(llm, "chat", [ChatMessage(role="user", blocks=[TextBlock(text="What is this?"), document])])
        content = upstream.body.messages[0].content
        assert isinstance(content, list)
        assert any(isinstance(part, FilePart) for part in content)

    def test_what_cannot_be_sent_is_refused(self, bench: Bench) -> None:
        """Or the answer would be made up. Needed by base/llms/types.py."""
        llm, upstream = bench.start(Say("A film."))
        blocks = [TextBlock(text="What is this?"), VideoBlock(video=b"\0\0\0\x18ftypmp42")]
        with pytest.raises(Exception):  # noqa: B017, PT011 - every LLM has its own exceptions
            ask(llm, "chat", [ChatMessage(role="user", blocks=blocks)])
        assert upstream.bodies == []
        upstream.violations.clear()  # a refusal by the server passes too


class TestHistories:
    """Conversations with answers of other LLMs, or from a store."""

    @pytest.mark.parametrize(
        "block",
        [
            ThinkingBlock(content="Hm.", additional_information={"signature": "c2ln"}),
            CitationBlock(
                cited_content=TextBlock(text="Llamas hum."), source="zoo", title="Z", additional_location_info={}
            ),
            CachePoint(cache_control=CacheControl(type="ephemeral")),
        ],
        ids=["thinking", "citation", "cache point"],
    )
    def test_what_only_another_provider_reads_is_no_obstacle(self, bench: Bench, block: Any) -> None:
        """The text is sent, the rest is dropped. Needed by agent/workflow/multi_agent_workflow.py."""
        llm, upstream = bench.start(Say("Yes."))
        ask(llm, "chat", [*user("Hello?"), assistant_message(block, TextBlock(text="Hello.")), *user("And now?")])
        assert text_of(upstream.body.messages[1]) == "Hello."

    @pytest.mark.parametrize("arguments", [ARGUMENTS, '{"a": 20, "b": 22}'], ids=["dict", "text"])
    def test_a_call_in_a_block_is_sent(self, bench: Bench, arguments: Any) -> None:
        """With its result; arguments may be a dict or JSON. Needed by agent/workflow/function_agent.py."""
        llm, upstream = bench.start(Say("42."))
        ask(llm, "chat", [*user("20 + 22?"), assistant_message(call_block(arguments)), tool_message()])
        assistant = upstream.body.messages[1]
        assert isinstance(assistant, Assistant)
        assert assistant.tool_calls
        sent = assistant.tool_calls[0]
        assert (sent.id, sent.function.name) == ("call_7", "add")
        assert sent.function.arguments.replace(" ", "") == '{"a":20,"b":22}'
        assert isinstance(upstream.body.messages[2], ToolResult)

    def test_a_call_among_the_extras_is_sent(self, bench: Bench) -> None:
        """Many LLMs, and all older memories, store calls there. Needed by memory/chat_memory_buffer.py."""
        llm, upstream = bench.start(Say("42."))
        ask(llm, "chat", [*user("20 + 22?"), assistant_message(tool_calls=[PLAIN_CALL]), tool_message()])
        assert isinstance(assistant := upstream.body.messages[1], Assistant)
        assert assistant.tool_calls
        assert assistant.tool_calls[0].id == "call_7"

    def test_a_call_in_both_places_is_one_call(self, bench: Bench) -> None:
        """Most LLMs write it twice, since consumers read one or the other. Needed by program/utils.py."""
        llm, upstream = bench.start(Say("42."))
        ask(llm, "chat", [*user("20 + 22?"), assistant_message(call_block(), tool_calls=[PLAIN_CALL]), tool_message()])
        assert isinstance(assistant := upstream.body.messages[1], Assistant)
        assert assistant.tool_calls
        assert len(assistant.tool_calls) == 1

    @pytest.mark.parametrize("identifier", ["add", ""], ids=["named after the tool", "without identifiers"])
    def test_parallel_calls_of_another_llm_get_distinct_ids(self, bench: Bench, identifier: str) -> None:
        """Some LLMs give calls no ids. Needed by agent/workflow/multi_agent_workflow.py."""
        llm, upstream = bench.start(Say("42 and 7."))
        calls = [call_block(identifier=identifier), call_block({"a": 3, "b": 4}, identifier)]
        ask(
            llm,
            "chat",
            [*user("Sums?"), assistant_message(*calls), tool_message("42", identifier), tool_message("7", identifier)],
        )
        results = [message for message in upstream.body.messages if isinstance(message, ToolResult)]
        assert len({message.tool_call_id for message in results}) == 2

    def test_text_beside_a_call_is_sent(self, bench: Bench) -> None:
        """Both belong to the answer. Needed by agent/workflow/function_agent.py."""
        llm, upstream = bench.start(Say("42."))
        ask(
            llm,
            "chat",
            [*user("20 + 22?"), assistant_message(TextBlock(text="Let me see."), call_block()), tool_message()],
        )
        assert isinstance(assistant := upstream.body.messages[1], Assistant)
        assert assistant.tool_calls
        assert text_of(assistant) == "Let me see."

    @each_chat
    def test_the_conversation_stays_the_callers(self, bench: Bench, mode: str) -> None:
        """Memories return their own message objects. Needed by memory/chat_memory_buffer.py."""
        llm, _ = bench.start(Say("42."))
        messages = [
            *user("20 + 22?"),
            assistant_message(call_block(), tool_calls=[PLAIN_CALL]),
            tool_message(),
            *user("Sure?"),
        ]
        before = copy.deepcopy(messages)
        ask(llm, mode, messages)
        assert messages == before

    @pytest.mark.parametrize("mode", [f"{mode}_with_tools" for mode in CHATS])
    def test_a_message_is_not_added_to_the_callers_history(self, bench: Bench, mode: str) -> None:
        """Or the next request would have it twice. Needed by llms/function_calling.py."""
        llm, upstream = bench.start(Say("42."))
        history = user("Hello?")
        ask(llm, mode, [ADD], user_msg="20 + 22?", chat_history=history)
        assert len(history) == 1
        assert len(upstream.body.messages) == 2
