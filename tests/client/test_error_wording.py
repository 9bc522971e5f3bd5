"""Refusals from a server, through the client: who is asked next, and what is in a cooldown afterwards."""

from __future__ import annotations

import itertools
from typing import Any, Final

import pytest

from tests.formats.test_error_wording import EXAMPLES, QUOTATIONS
from tests.support.prefilled_sockets import PrefilledSockets, events, whole
from tests.support.thorough import some
from unified_llm import LLMClient, LLMConfig, health_snapshot, reset_health
from unified_llm.exceptions import ContentFilterError, LLMError, RateLimitError, ValidationError

OK: Final = whole({"choices": [{"message": {"role": "assistant", "content": "ok"}, "finish_reason": "stop"}]})
ANTHROPIC_OK: Final = whole({"type": "message", "content": [{"type": "text", "text": "ok"}], "stop_reason": "end_turn"})
PAGE: Final = b"<!DOCTYPE html><html><title>Just a moment...</title></html>"


@pytest.fixture
def sockets(monkeypatch: pytest.MonkeyPatch) -> PrefilledSockets:
    return PrefilledSockets(monkeypatch)


def at(model: str, key: str = "key-one-000000000", port: int = 1) -> LLMConfig:
    return LLMConfig(model=model, api_key=key, base_url=f"http://127.0.0.1:{port}")


def refusal(message: str, status: int = 400, **fields: Any) -> bytes:
    return answer_with({"error": {"message": message, **fields}}, status)


def answer_with(body: Any, status: int) -> bytes:
    """Return a response after which the next request needs a new connection, which has the next response."""
    return whole(body, status, {"connection": "close"})


COMPATIBLE: Final = at("openai-compatible/m", "key-two-000000000", 2)
TOO_DEAR: Final = "This request requires more credits, or fewer max_tokens. You requested up to 64000 tokens"
# The primary, what it answers, the fallback, the outcome of the primary.
NEXT: Final[list[tuple[str, bytes, LLMConfig, str]]] = [
    # Wire F5: other models of the key, or the same key at another address, are asked.
    ("groq/a", refusal("no", 403, code="model_permission_blocked_org"), at("groq/b"), "model_not_found"),
    ("openrouter/a/b", refusal(TOO_DEAR, 402, code=402), at("openrouter/c/d:free"), "quota"),
    ("openrouter/a/b", refusal("Insufficient credits", 402, code=402), at("openrouter/c/d:free"), "quota"),
    ("openai-compatible/m", answer_with(PAGE, 403), at("openai-compatible/n"), "permission"),
    ("anthropic/a", answer_with(PAGE, 403), at("anthropic/b"), "permission"),
    # Wire F1, local 2.
    ("deepseek/deepseek-chat", refusal("Model Not Exist"), COMPATIBLE, "model_not_found"),
    ("vllm/m", refusal("System role not supported"), at("vllm/n", port=2), "unsupported"),
    # Local 15.
    ("openai-compatible/m", answer_with({"detail": "Method Not Allowed"}, 405), COMPATIBLE, "not_found"),
]


def test_the_next_target_is_asked_and_the_key_is_not_in_cooldown(sockets: PrefilledSockets) -> None:
    for model, response, fallback, outcome in NEXT:
        reset_health()
        client = LLMClient(at(model), fallbacks=[fallback])
        ok = ANTHROPIC_OK if fallback.model == "anthropic/b" else OK
        for _ in range(2):  # the second call asks the primary again
            with sockets.having([response, ok]):
                answer = client.generate("x")
            assert [attempt.outcome for attempt in answer.attempts] == [outcome, "ok"], model
        assert all((row["state"], row["consecutive_failures"]) == ("closed", 0) for row in health_snapshot())


def test_f10_a_request_too_large_for_a_minute_goes_to_any_window_and_is_not_sent_again(
    sockets: PrefilledSockets,
) -> None:
    message = "Request too large for model `a` on tokens per minute (TPM): Limit 8000, Requested 20000"
    response = refusal(message, 413, code="rate_limit_exceeded")
    with sockets.having([response, OK]):
        answer = LLMClient(at("groq/openai/gpt-oss-120b"), fallbacks=[COMPATIBLE]).generate("x")
    assert [attempt.outcome for attempt in answer.attempts] == ["rate_limit", "ok"]
    reset_health()
    with (
        sockets.having([response, response]),
        pytest.raises(RateLimitError, match="for a whole minute") as caught,
    ):
        LLMClient(at("groq/a")).generate("x")
    assert len(caught.value.attempts) == 1


def test_f2_a_filtered_prompt_is_raised_and_says_nothing_about_the_key(sockets: PrefilledSockets) -> None:
    body = {"code": "permission-denied", "error": "Content violates usage guidelines. "}
    client = LLMClient(at("xai/grok-4"), fallbacks=[at("openai-compatible/m", "key-two-000000000", 2)])
    with sockets.having([answer_with(body, 403)]), pytest.raises(ContentFilterError):
        client.generate("x")
    with sockets.having([OK]):
        assert client.generate("x").provider == "xai"


@pytest.mark.parametrize(
    "response",
    [
        refusal("image input is not supported - hint: ...", 500, code=500, type="server_error"),
        refusal("tools param requires --jinja flag", 500, code=500),
        refusal("input (1001 tokens) is too large to process. increase the physical batch size", 500),
        events({"error": {"message": "Reached context length of 4096 tokens", "code": 500}}),
    ],
    ids=["image", "tools", "batch", "stream"],
)
def test_local_10_a_refusal_that_will_not_change_is_sent_once_and_opens_no_breaker(
    sockets: PrefilledSockets, response: bytes
) -> None:
    client = LLMClient(at("llamacpp/m"))
    for _ in range(6):
        with sockets.having([response, response]), pytest.raises(LLMError) as caught:
            list(client.stream("x"))
        assert len(caught.value.attempts) == 1
    (row,) = health_snapshot()
    assert (row["state"], row["consecutive_failures"]) == ("closed", 0)


def test_the_message_says_what_to_do_without_the_words_of_the_server(sockets: PrefilledSockets) -> None:
    words = '"auto" tool choice requires --enable-auto-tool-choice and --tool-call-parser to be set; secret prompt'
    with sockets.having([refusal(words)]), pytest.raises(LLMError) as caught:
        LLMClient(at("vllm/m")).generate("x")
    assert "start vLLM with --enable-auto-tool-choice and --tool-call-parser" in str(caught.value)
    assert "secret" not in str(caught.value)


def test_a_prompt_that_quotes_a_sentence_of_the_tables_changes_nothing(sockets: PrefilledSockets) -> None:
    """A server quotes the prompt in a 400: the kind is ``bad_request``, and nothing is in a cooldown."""
    models = ["openai-compatible/m", "anthropic/claude-x", "groq/m", "llamacpp/m"]
    clients = itertools.cycle([LLMClient(at(model, port=port)) for port, model in enumerate(models, 1)])
    manners = itertools.cycle(QUOTATIONS)
    for client, (_, prompt), manner in zip(clients, some(EXAMPLES, 5), manners, strict=False):
        quoting = refusal(manner.format(prompt), type="invalid_request_error")
        with sockets.having([quoting]), pytest.raises(ValidationError) as caught:
            client.generate(prompt)
        assert [attempt.outcome for attempt in caught.value.attempts] == ["bad_request"], prompt
    rows = health_snapshot()
    assert len(rows) == len(models)
    assert all((row["state"], row["consecutive_failures"], row["retry_in"]) == ("closed", 0, 0.0) for row in rows)
    for client in itertools.islice(clients, len(models)):  # no cooldown: the next call is sent
        with sockets.having([refusal("no")]), pytest.raises(ValidationError):
            client.generate("x")
