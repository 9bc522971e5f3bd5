"""Errors by code, then by wording, then by status: the bodies that users reported, and every line of the tables."""

from __future__ import annotations

import itertools
import json
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.codec_checks import target
from tests.support.each import each
from tests.support.thorough import some
from unified_llm._core.outcome import Failure
from unified_llm._formats.codecs import codec_for
from unified_llm._formats.error_codes import CODES, meaning_of
from unified_llm._formats.error_wording.read_message import SENTENCES, WITH_COOLDOWN, read_message
from unified_llm._providers import error_codes, registry
from unified_llm.types import LLMRequest, Message

HTML = b"<!DOCTYPE html><html><title>Just a moment...</title></html>"
REQUEST = LLMRequest((Message.user("x"),))


def failure(provider: str, status: int, body: Any, **fields: Any) -> Failure:
    """Return the failure that a response is, at whatever status."""
    where = target(provider, **fields)
    codec = codec_for(where.format)
    if status == 200:
        outcome = codec.decode(REQUEST, where, body)
        assert isinstance(outcome, Failure), body
        return outcome
    raw = body if isinstance(body, bytes) else body.encode() if isinstance(body, str) else json.dumps(body).encode()
    return codec.failure(status, {}, raw, where)


def said(message: str, **fields: Any) -> dict[str, Any]:
    return {"error": {"message": message, **fields}}


FIXTURE = Path(__file__).parents[1] / "fixtures" / "errors" / "reported.json"
REPORTED: dict[str, list[dict[str, Any]]] = json.loads(FIXTURE.read_text(encoding="utf-8"))["reports"]


@each("report", REPORTED)
def test_reported_errors_have_their_kinds(report: str) -> None:
    for case in REPORTED[report]:
        actual = failure(case["provider"], case["status"], case["body"])
        assert actual.kind == case["kind"], case
        if actual.kind in WITH_COOLDOWN:
            assert actual.about_key == case.get("about_key", True), case
        assert actual.context_window == case.get("context_window"), case


def test_f5_a_page_says_nothing_about_the_key() -> None:
    for provider in ("groq", "anthropic", "gemini", "cohere", "ollama", "huggingface", "azure"):
        for status, kind in {401: "auth", 402: "quota", 403: "permission"}.items():
            actual = failure(provider, status, HTML)
            assert (actual.kind, actual.about_key, actual.detail) == (kind, False, None)
            assert actual.reason == "a web page came back instead of an answer of the API"
    challenge = codec_for("anthropic").failure(403, {"cf-mitigated": "challenge"}, b"", target("anthropic"))
    assert (challenge.kind, challenge.about_key) == ("permission", False)


def test_f10_a_request_that_no_limit_allows_is_not_tried_again() -> None:
    for case in REPORTED["wire F10: larger than the limit for a minute"]:
        actual = failure(case["provider"], case["status"], case["body"])
        assert (actual.try_again, actual.about_key) == (False, False)


def test_advice_names_what_to_do_and_quotes_nothing() -> None:
    actual = failure("vllm", 400, said('"auto" tool choice requires --enable-auto-tool-choice and --tool-call-parser'))
    assert actual.advice == "start vLLM with --enable-auto-tool-choice and --tool-call-parser"
    for meaning in (*(sentence.meaning for sentence in SENTENCES), *(code.meaning for code in CODES)):
        assert (meaning.reason is None) == (meaning.advice is None), meaning
        assert "{" not in f"{meaning.reason}{meaning.advice}"


# Every sentence of the tables.

FILLED = {
    "n": "4100", "window": "4096", "name": "org/name-1", "quoted": "'a b'", "path": "tools.0.strict",
    "words": "Some words", "feature": "JSON mode", "text": "whatever is between",
}  # fmt: skip
ALTERNATIVES = re.compile(r"\(((?:[^()|]*\|)+[^()|]*)\)")


def fill(template: str) -> Iterator[str]:
    """Yield messages of a template: with the first, and with the last of its alternatives."""
    for choose in (0, -1):
        text = ALTERNATIVES.sub(lambda match: match[1].split("|")[choose], template)  # noqa: B023 - used at once
        yield re.sub(r"\{(\w+)\}", lambda match: FILLED[match[1]], text)


EXAMPLES = [(sentence, message) for sentence in SENTENCES for message in fill(sentence.template)]


def test_every_sentence_is_read_as_what_the_table_says() -> None:
    for sentence, message in EXAMPLES:
        for text in (message, f"litellm.BadRequestError: OpenAIException - {message}", message.upper()):
            reading = read_message(text, 400)
            assert reading is not None, text
            assert reading.meaning.kind == sentence.meaning.kind, (text, reading)
            assert reading.context_window == (4096 if "{window}" in sentence.template else None), text
        assert sentence.source


def test_f4_a_prompt_that_is_too_long_is_read_in_unlisted_words() -> None:
    for message in (
        "Your request exceeded the maximum context length of 8192 tokens",
        "The total number of tokens (prompt and completion) exceeds the model limit",
        "Number of tokens in the prompt exceeds 4096",
        "Token count exceeds the model's context window",
        "Sequence length (5000) exceeds maximum tokens (4096)",
        "Input length 40000 exceeds the maximum length 32768",
        "the conversation is longer than the context",
        "Requested tokens (4097) exceed context window of 4096",
        "The prompt exceeds the model's maximum sequence length",
    ):
        for status in (None, 400, 413, 422):
            reading = read_message(message, status)
            assert reading is not None, message
            assert reading.meaning.kind == "context", message
        assert read_message(message, 503) is None
    for message in (
        "This request would exceed your account's rate limit",
        "Request exceeds the tokens per minute limit",
        "The request exceeds your token quota",
        "Requested output tokens exceed the maximum",
        "The request has too many tools: more than 128",
        "Input images exceed the limit of tokens",
        "The input text 'the prompt exceeds the context' is no list",
        "messages must have less than 100 items",
    ):
        assert read_message(message, 400) is None, message


def test_f5_a_model_that_is_refused_in_unlisted_words_is_not_about_the_key() -> None:
    for message in (
        "You do not have access to the requested model.",
        "The team is not authorized to use model grok-4",
        "Access to this model is not enabled by your organization administrator",
        "This model is only available on the Pro plan",
        "Permission denied on model projects/x/models/y (or it may not exist)",
        "Your API key is not allowed to access model x",
    ):
        for provider in ("openai-compatible", "xai", "mistral", "gemini"):
            assert failure(provider, 403, said(message)).kind == "model_not_found", (provider, message)
        assert failure("openai-compatible", 400, said(message)).kind in {"bad_request", "model_not_found"}, message
    for message in (
        "Your team has no access to this endpoint",
        "API key expired. Models are not available",
        "Your account has been suspended; no model is available",
        "Forbidden",
    ):
        assert failure("openai-compatible", 403, said(message)).kind == "permission", message


def test_no_message_takes_long_to_read() -> None:
    read_message("once", 400)  # compiles the table
    for unit in (
        "_",
        "a_",
        "a ",
        "the total ",
        "litellm.Error: ",
        "{'error': '",
        "model's ",
        "1,",
        "access ",
        "model ",
    ):
        start = time.process_time()
        for status in (400, 403):
            read_message(unit * (2000 // len(unit)), status)
        assert time.process_time() - start < 1, unit


def test_no_sentence_that_starts_a_cooldown_matches_a_longer_message() -> None:
    for sentence, message in EXAMPLES:
        if sentence.meaning.kind in WITH_COOLDOWN and sentence.meaning.about_key:
            assert "{text}" not in sentence.template or read_message(f"{message} and more", 400) is None, message
            reading = read_message(f"{message}, wrote the user", 400)
            assert reading is None or reading.meaning.kind not in WITH_COOLDOWN, message
            reading = read_message(f"{message}, wrote the user", 429)
            assert reading is not None, message


QUOTATIONS = (
    "Invalid value: '{}'. Supported values are: 'system' and 'user'.",
    'Invalid value: "{}"',
    "Bad request: {}",
    "messages[0].content: {}",
    "messages.0.content: {}",
    "messages.0.content.0.text: {}",
    "{!r} is not of type 'object'",
    "Could not parse the message '{}'",
    "Bad request\n{}",
    "1 validation error for body -> messages -> 0 -> content\n  {}",
    "Input should be a valid list, got: {}",
    "Failed to parse messages: {}",
    'Unexpected text: "{}"',
    "Input `{}` is not valid",
    "Message “{}” is not valid",
    "Unknown content {}",
    "Invalid request {}",
)


@pytest.mark.parametrize("provider", ["openai-compatible", "anthropic", "gemini", "cohere", "ollama", "huggingface"])
def test_a_prompt_that_is_quoted_in_an_error_means_nothing(provider: str) -> None:
    # The formats share the tables: every manner in one of them, one manner for each sentence in the others.
    in_turn = zip(EXAMPLES, itertools.cycle(QUOTATIONS), strict=False)
    all_pairs = itertools.product(EXAMPLES, QUOTATIONS)
    for (_, prompt), manner in some(all_pairs if provider == "openai-compatible" else in_turn, 8):
        message = manner.format(prompt)
        body = (
            {"error": {"message": message}}
            if provider not in {"cohere", "ollama"}
            else {"message": message, "error": message}
        )
        assert failure(provider, 400, body).kind == "bad_request", message


def test_a_code_of_every_table_counts_before_the_message_and_the_status() -> None:
    for code in CODES:
        assert code.source, code
        meaning = meaning_of(code.name, {})
        assert meaning == code.meaning
        assert failure("openai-compatible", 400, said("prompt is too long", code=code.name)).kind == code.meaning.kind
    for row in registry.ROWS:
        for name, kind in row.quirks.codes.items():
            if len(name) != 3 and row.format == "openai_chat" and kind != "bad_request":
                assert failure(row.name, 418, said("no", code=name)).kind == kind, (row.name, name)
    assert error_codes.ZAI["1261"] == "context"
