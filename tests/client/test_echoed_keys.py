"""A server that repeats the key it got: in every place of its response, under every status, in every kind of call."""

from __future__ import annotations

import asyncio
import logging
import pickle
from collections.abc import Callable
from typing import Any, Final

import pytest

from tests.support.prefilled_sockets import PrefilledSockets, events, whole
from tests.support.thorough import some
from unified_llm import LLMClient, health_snapshot, register_provider, reset_health
from unified_llm._providers import registry
from unified_llm.exceptions import AllTargetsFailedError, LLMError
from unified_llm.types import Attempt

pytestmark = pytest.mark.thorough

KEY: Final = "sk-" + "EchoedKey-7f3a9c5d"
HEADER: Final = "EchoedHeader-5b1d2e"
BODY: Final = "EchoedBody-11223344"
STATUSES: Final = (400, 401, 429, 500)


def shown(error: LLMError) -> str:
    """Return all that an error has, its causes and its pickle included."""
    texts = [str(error), repr(error), repr(vars(error)), repr(pickle.dumps(error)), f"{error.detail} {error.attempts}"]
    errors = [*([error.__cause__] if error.__cause__ else [])]
    if isinstance(error, AllTargetsFailedError):
        errors += error.errors
    return " ".join([*texts, *(shown(each) for each in errors if isinstance(each, LLMError))])


def bodies(echo: str) -> dict[str, Any]:
    return {
        "message": {"error": {"message": f"Incorrect API key provided: {echo}."}},
        "code": {"error": {"message": "refused", "code": echo}},
        "type": {"error": {"message": "refused", "type": f"refused_{echo}"}},
        "param": {"error": {"message": "refused", "param": echo}},
        "status": {"error": {"status": echo, "message": "refused", "details": [{"reason": echo}]}},
        "detail": {"detail": [{"msg": f"header x-api-key: {echo}"}]},
        "text": f"<p>{echo}</p>".encode(),
        "cut": (f"{'x' * 490} {echo}").encode(),
        "request id of the body": {"error": {"message": "refused"}, "request_id": echo},
    }


HEADERS: Final = ("x-request-id", "x-ratelimit-limit-requests", "retry-after", "x-ms-error-code")
MODELS: Final = ("openai-compatible/m", "anthropic/claude-haiku-4-5", "gemini/gemini-2.5-flash", "cohere/command-r")


@pytest.fixture
def sockets(monkeypatch: pytest.MonkeyPatch) -> PrefilledSockets:
    return PrefilledSockets(monkeypatch)


def make(model: str = MODELS[0], **fields: Any) -> LLMClient:
    return LLMClient(
        model,
        base_url="http://127.0.0.1:1",
        api_key=KEY,
        max_retries=0,
        default_headers={"X-Gateway-Key": HEADER},
        extra_body={"user_token": BODY},
        **fields,
    )


def assert_no_echo(call: Callable[[], object], caplog: pytest.LogCaptureFixture, attempts: list[Attempt]) -> None:
    with caplog.at_level(logging.DEBUG, "unified_llm"), pytest.raises(LLMError) as refused:
        call()
    records = [vars(record) for record in caplog.records if record.name == "unified_llm"]
    everything = f"{shown(refused.value)} {records} {attempts} {health_snapshot()}"
    assert "Echoed" not in everything
    assert "***" in everything or "oversized" in everything


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("status", STATUSES)
def test_no_echoed_key_is_stored(
    sockets: PrefilledSockets, model: str, status: int, caplog: pytest.LogCaptureFixture
) -> None:
    for secret in (KEY, HEADER, BODY):
        for body in some(bodies(secret).values(), 2, STATUSES.index(status)):
            attempts: list[Attempt] = []
            headers = dict.fromkeys(HEADERS, secret)
            reset_health()
            with sockets.having([whole(body, status, headers)]):
                client = make(model, on_attempt=attempts.append)
                assert_no_echo(lambda: client.generate("x"), caplog, attempts)  # noqa: B023 - called at once
            caplog.clear()


EVENT: Final = {"error": {"message": f"key {KEY}", "code": KEY, "type": KEY}}
CALLS: Final[dict[str, tuple[Callable[[LLMClient], object], bytes]]] = {
    "embed": (lambda client: client.embed("x"), whole(bodies(KEY)["code"], 400)),
    "list_models": (lambda client: client.list_models(), whole(bodies(KEY)["code"], 401)),
    "agenerate": (lambda client: asyncio.run(client.agenerate("x")), whole(bodies(KEY)["code"], 401)),
    "error in a success": (lambda client: client.generate("x"), whole(EVENT)),
    "no JSON": (lambda client: client.generate("x"), whole(f"<html>{KEY}</html>".encode())),
    "stream": (lambda client: list(client.stream("x")), whole(bodies(KEY)["code"], 500)),
    "error event": (lambda client: list(client.stream("x")), events(EVENT)),
    "error event after text": (
        lambda client: list(client.stream("x")),
        events({"choices": [{"index": 0, "delta": {"content": "Hello"}}]}, EVENT),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", CALLS)
def test_no_echoed_key_is_stored_by_any_call(
    sockets: PrefilledSockets, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    call, response = CALLS[name]
    attempts: list[Attempt] = []
    with sockets.having([response]):
        client = make("vllm/m", on_attempt=attempts.append)
        assert_no_echo(lambda: call(client), caplog, attempts)


def test_a_health_check_logs_no_echoed_key(sockets: PrefilledSockets, caplog: pytest.LogCaptureFixture) -> None:
    with sockets.having([whole(bodies(KEY)["code"], 401)]), caplog.at_level(logging.DEBUG, "unified_llm"):
        assert not make().health_check()
    assert "Echoed" not in f"{[vars(record) for record in caplog.records if record.name == 'unified_llm']}"


def test_the_metadata_of_a_success_is_masked_and_its_text_is_not(sockets: PrefilledSockets) -> None:
    body = {"model": KEY, "id": KEY, "choices": [{"message": {"content": f"It is {KEY}."}, "finish_reason": "stop"}]}
    with sockets.having([whole(body, headers={"x-request-id": KEY})]):
        response = make().generate("What is the key?")
    assert response.content == f"It is {KEY}."
    assert (response.model, response.response_id, response.request_id) == ("***", "***", "***")
    assert "Echoed" not in repr(response)


def test_the_end_of_a_stream_is_masked_and_its_text_is_not(sockets: PrefilledSockets) -> None:
    chunk = {"model": KEY, "id": KEY, "choices": [{"index": 0, "delta": {"content": KEY}, "finish_reason": "stop"}]}
    with sockets.having([events(chunk, headers={"x-request-id": KEY}, end=b"data: [DONE]\n\n")]):
        chunks = list(make().stream("What is the key?"))
    assert "".join(chunk.content for chunk in chunks) == KEY
    assert (chunks[-1].model, chunks[-1].request_id) == ("***", "***")


class Failing:
    """A provider of the user's whose exception repeats its key."""

    def __init__(self) -> None:
        self.api_key = KEY

    def generate(self, request: object) -> str:
        raise LLMError("refused", code=KEY, detail=f"key {KEY}")


def test_a_provider_object_that_repeats_its_own_key_is_masked() -> None:
    register_provider("failing", Failing())
    try:
        with pytest.raises(LLMError) as refused:
            LLMClient("failing/m", max_retries=0).generate("x")
    finally:
        registry.unregister("failing")
    assert "Echoed" not in shown(refused.value)
    assert refused.value.detail == "key ***"
