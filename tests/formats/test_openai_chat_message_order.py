"""Providers that require an order of roles."""

from __future__ import annotations

from tests.support.codec_checks import target
from unified_llm._formats.openai_chat.messages import write_messages
from unified_llm.types import ImagePart, Message, TextPart, ToolCall

CALL = ToolCall("call_1", "weather", {"city": "Rome"}, '{"city": "Rome"}')


def test_perplexity_gets_system_messages_first_and_then_turns_that_alternate() -> None:
    written = write_messages(
        [
            Message.user("Hello"),
            Message.user("Is it sunny in Rome?"),
            Message.assistant("One moment.", tool_calls=[CALL]),
            Message.tool("sunny", "call_1"),
            Message.system("Be brief."),
            Message("user", (TextPart("And here?"), ImagePart(url="https://a.test/i.png"))),
        ],
        target("perplexity"),
    )
    assert [message["role"] for message in written] == ["system", "user", "assistant", "user"]
    assert written[1]["content"] == "Hello\n\nIs it sunny in Rome?"
    assert written[2] == {"role": "assistant", "content": 'One moment.\n\n(Called weather({"city": "Rome"}).)'}
    texts = [part["text"] for part in written[3]["content"][:2]]
    assert texts == ["The function weather returned:\n\nsunny", "And here?"]
    assert written[3]["content"][2]["type"] == "image_url"


def test_perplexity_gets_calls_without_text_and_failures_of_tools() -> None:
    messages = [Message.user("?"), Message.assistant(tool_calls=[CALL]), Message.tool("no", "call_1", is_error=True)]
    written = write_messages(messages, target("perplexity"))
    assert written[1]["content"] == '(Called weather({"city": "Rome"}).)'
    assert written[2]["content"] == "The function weather failed:\n\nno"


def test_mistral_has_the_word_between_the_results_of_tools_and_the_user() -> None:
    messages = [Message.user("?"), Message.assistant(tool_calls=[CALL]), Message.tool("sunny", "call_1")]
    assert [m["role"] for m in write_messages(messages, target("mistral"))] == ["user", "assistant", "tool"]
    written = write_messages([*messages, Message.user("And now?")], target("mistral"))
    assert [m["role"] for m in written] == ["user", "assistant", "tool", "assistant", "user"]
    assert written[3]["content"]


def test_reasoning_that_a_turn_does_not_have_is_filled_in_where_its_absence_is_refused() -> None:
    turn = Message.assistant(tool_calls=[CALL])
    for provider, sent in (("deepseek", " "), ("moonshot", " "), ("zai", None), ("openai", None)):
        assert write_messages([turn], target(provider))[0].get("reasoning_content") == sent
