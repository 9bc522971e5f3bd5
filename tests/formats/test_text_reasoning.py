"""Reasoning in the text of servers that hold any model (field report local 8)."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.any_model import ANY_MODEL_ROWS, SERVERS, Answer, decode, make_decoder, stream, text_event
from tests.support.codec_checks import body_of, target
from tests.support.each import each
from unified_llm import register_provider
from unified_llm._core.outcome import Failure
from unified_llm._formats.text_reasoning import TAGS, ReasoningSplitter, opened_tag, split_reasoning
from unified_llm._providers import registry
from unified_llm.types import LLMChunk, LLMRequest, Message

HELLO = (Message.user("Hello"),)

# Text of the model: reasoning and text.
BLOCKS = {
    "<think>Easy.</think>6": ("Easy.", "6"),
    "\n <think>\nEasy.\n\n So.\n</think>\n\n6\n": ("Easy.\n\n So.", "6\n"),
    "<think></think>6": (None, "6"),
    "<think>\n\n</think>\n\n6": (None, "6"),
    "<think>One.</think>\n<think>Two.</think>6": ("One.\n\nTwo.", "6"),
    "<think>It never ends": ("It never ends", ""),
    "<think>a < b, </thin air></think>6": ("a < b, </thin air>", "6"),
    "<think>In the end `<think>` is a tag.</think>6": ("In the end `<think>` is a tag.", "6"),
    # Tags elsewhere are text.
    "Qwen writes <think>...</think> first.": (None, "Qwen writes <think>...</think> first."),
    "<think>x</think>It writes <think>.</think>": ("x", "It writes <think>.</think>"),
    "<thin ice": (None, "<thin ice"),
    "<": (None, "<"),
    "  6": (None, "  6"),
    "```\n<think>\n```": (None, "```\n<think>\n```"),
    "[1] says so.": (None, "[1] says so."),
    "<|channel|>analysis<|message|>Easy.<|end|><|start|>assistant<|channel|>final<|message|>6": ("Easy.", "6"),
    "<|channel|>final<|message|>6": (None, "6"),
    "<|channel|>surfing is fun": (None, "<|channel|>surfing is fun"),
    **{f"{opening}Easy.{closing}6": ("Easy.", "6") for opening, closing in TAGS.items()},
}


@pytest.mark.parametrize("provider", SERVERS)
def test_local_8_a_block_at_the_beginning_is_reasoning(provider: str) -> None:
    for text, (reasoning, content) in BLOCKS.items():
        length = {"finish_reason": "length"}
        assert decode(provider, text, length) == Answer(content, reasoning, "length"), text
        for size in (1, 2, 5, 1000):
            assert stream(provider, text, length, size=size) == Answer(content, reasoning, "length"), (text, size)


def test_local_8_a_closing_tag_alone_ends_reasoning_in_a_whole_answer_only() -> None:
    for text, (reasoning, content) in {
        "Easy.\n</think>\n\n6": ("Easy.", "6"),
        "</think>6": (None, "6"),
        "The tag <think> opens, </think> closes.": (None, "The tag <think> opens, </think> closes."),
        "`</think>` ends it.": (None, "`</think>` ends it."),
    }.items():
        assert decode("vllm", text) == Answer(content, reasoning)
        assert stream("vllm", text) == Answer(text, None)
    # Where the server has split reasoning off, the tag is part of the text.
    assert decode("vllm", "a </think> b", reasoning="Yes.") == Answer("a </think> b", "Yes.")
    assert decode("vllm", "<think>More.</think>6", reasoning="Yes. ") == Answer("6", "Yes. More.")


def test_local_8_raw_leaves_everything_as_it_came_by_target_and_by_call() -> None:
    text = "<think>Easy.</think>6"
    by_target: dict[str, Any] = {"defaults": {"reasoning_format": "raw"}}
    by_call: dict[str, Any] = {}
    for fields in (by_target, by_call):
        request = LLMRequest(HELLO, reasoning_format=None if fields else "raw")
        assert decode("vllm", text, request=request, **fields) == Answer(text, None)
        assert stream("vllm", text, request=request, **fields) == Answer(text, None)
    parsed = LLMRequest(HELLO, reasoning_format="parsed")
    assert decode("vllm", text, request=parsed, defaults={"reasoning_format": "raw"}) == Answer("6", "Easy.")


def test_local_8_a_tag_that_the_prompt_asks_for_is_text_but_for_think() -> None:
    request = LLMRequest((Message.system("Put your reasoning between <thinking> tags, or <think> tags."),))
    assert decode("vllm", "<thinking>Easy.</thinking>6", request=request) == Answer("<thinking>Easy.</thinking>6", None)
    assert decode("vllm", "<think>Easy.</think>6", request=request) == Answer("6", "Easy.")


def test_local_8_other_rows_and_continued_texts_are_taken_as_they_come() -> None:
    text = "<think>Easy.</think>6"
    for provider in ("openai", "groq", "mistral", "openrouter", "perplexity"):
        assert provider not in ANY_MODEL_ROWS
        assert decode(provider, text) == Answer(text, None)
        assert stream(provider, text) == Answer(text, None)
    assert decode("vllm", text, request=LLMRequest(HELLO, as_text=True)) == Answer(text, None)


def test_a_stream_costs_nothing_more_once_its_text_is_decided() -> None:
    from tests.support.any_model import make_decoder, text_event

    decoder: Any = make_decoder("vllm", LLMRequest(HELLO, stream=True))
    decoder.feed(text_event("<think>Easy.</think>"))
    assert decoder.feed.__self__ is decoder
    decoder.feed(text_event("6"))
    assert decoder.feed.__self__ is not decoder
    assert [chunk.content for chunk in decoder.feed(text_event("<think>"))] == ["<think>"]


def test_what_is_held_back_of_a_stream_is_bounded_and_counted() -> None:
    splitter = ReasoningSplitter()
    assert [splitter.feed(" " * 100)[1] for _ in range(3)] == ["", "", " " * 300]
    splitter = ReasoningSplitter()
    assert splitter.feed("<think>a") == ("a", "")
    assert "".join(splitter.feed(" " * 100)[0] for _ in range(30)) == " " * 3000
    assert splitter.finish() == ("", "")


def test_the_tag_with_which_a_prompt_ends_opens_the_answer() -> None:
    assert opened_tag("<|im_start|>assistant\n<think>\n") == "<think>"
    assert opened_tag("<|im_start|>assistant\n<think>\n\n</think>\n\n") is None
    splitter = ReasoningSplitter("<think>")
    assert [splitter.feed(text) for text in ("Easy.", " </th", "ink>\n", "\n6")] == [
        ("Easy.", ""), ("", ""), ("", ""), ("", "6"),
    ]  # fmt: skip
    assert split_reasoning("Easy.</think>6", closing_alone=False) == ("", "Easy.</think>6")


def test_local_8_groq_gets_the_field_that_is_its_own() -> None:
    request = LLMRequest(HELLO, reasoning_format="hidden")
    assert body_of(request, target("groq"))["reasoning_format"] == "hidden"
    assert body_of(LLMRequest(HELLO), target("groq", defaults={"reasoning_format": "raw"}))["reasoning_format"] == "raw"
    for provider in ("openai", *SERVERS):
        assert "reasoning_format" not in body_of(request, target(provider))


def test_local_8_a_local_server_of_the_user_is_one_of_these() -> None:
    for name, fields, is_split in (
        ("texts-local", {"local": True}, True),
        ("texts-remote", {}, True),  # as at openai-compatible
        ("texts-hosted", {"features": {"tools"}}, False),
        ("texts-named", {"quirks": {"any_model": True}}, True),
        ("texts-off", {"local": True, "quirks": {"any_model": False}}, False),
    ):
        options: dict[str, Any] = {"base_url": "http://127.0.0.1:9/v1", **fields}
        register_provider(name, **options)
        try:
            assert decode(name, "<think>Easy.</think>6").content == ("6" if is_split else "<think>Easy.</think>6")
        finally:
            registry.unregister(name)


@each("provider", SERVERS)
def test_local_13_a_text_of_nothing_but_reasoning_is_empty_if_the_model_ended_it(provider: str) -> None:
    for text in ("<think>Easy.</think>", "<think>Easy.</think>\n\n", "\n<think>Easy."):
        with pytest.raises(AssertionError, match="kind='empty'"):  # by the helpers, which expect an answer
            decode(provider, text)
        decoder = make_decoder(provider, LLMRequest(HELLO, stream=True))
        events = [*(text_event(letter, provider=provider) for letter in text), text_event("", "stop", provider)]
        outputs = [output for event in events for output in decoder.feed(event)]
        if not isinstance(outputs[-1], Failure):
            outputs.append(decoder.finish())
        *chunks, end = outputs
        assert end == Failure("empty")
        assert "".join(chunk.reasoning for chunk in chunks if isinstance(chunk, LLMChunk)) == "Easy."
    raw = LLMRequest(HELLO, reasoning_format="raw")
    assert decode(provider, "<think>Easy.</think>", request=raw).content == "<think>Easy.</think>"
