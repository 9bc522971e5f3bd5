"""Cases 53 to 55 and 62 over real sockets: the requests to each provider, and model lists."""

from __future__ import annotations

import asyncio
import gzip
import json
from collections.abc import Mapping
from contextlib import ExitStack
from typing import Any

import pytest

from integration_tests.support.fault_harness import KEY, OTHER_KEY, WAYS, CallResult, Way, arun_call, run_call, target
from integration_tests.support.fault_responses import FIRST, SECOND, answer, dump, refusal, streamed
from integration_tests.support.fault_server import FaultServer, Hang, Repeat, Send, Step, head, ok
from integration_tests.support.waiting import PATIENCE
from tests.support.canary_checks import assert_no_canary_in_error
from unified_llm import LLMClient
from unified_llm.exceptions import (
    AuthenticationError,
    ConfigurationError,
    ConnectionError,
    GenerationError,
    LLMError,
    ServiceUnavailableError,
    TimeoutError,
)

BUSY = Send(refusal("503 Busy", b""))


@pytest.fixture(params=WAYS)
def way(request: pytest.FixtureRequest) -> Way:
    param: Way = request.param
    return param


def make_call(client: LLMClient, way: Way, prompt: Any, **overrides: Any) -> CallResult:
    """Make one call in one way."""
    mode, _, shape = way.partition(" ")
    if mode == "sync":
        return run_call(client, prompt, streaming=shape == "stream", **overrides)
    return asyncio.run(arun_call(client, prompt, streaming=shape == "stream", **overrides))


def after_failing_over(way: Way, provider: str, prompt: Any, **overrides: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the request bodies of two targets of different providers; the first one fails."""
    good = Send(streamed(SECOND) if "stream" in way else answer(SECOND))
    with FaultServer([BUSY]) as first, FaultServer([good]) as second:
        client = LLMClient(
            target(
                "first",
                f"{first.url}/v1",
                KEY,
                extra_body={"cache_control": {"type": "ephemeral"}},
                default_headers={"X-First": "1"},
            ),
            fallbacks=[target("second", f"{second.url}/v1", OTHER_KEY, provider=provider)],
        )
        with client:
            assert make_call(client, way, prompt, **overrides).text == SECOND
        assert first.requests[0].headers["authorization"] == f"Bearer {KEY}"
        assert first.requests[0].headers["x-first"] == "1"
        assert second.requests[0].headers["authorization"] == f"Bearer {OTHER_KEY}"
        assert "x-first" not in second.requests[0].headers
        return json.loads(first.requests[0].body), json.loads(second.requests[0].body)


@pytest.mark.case(53)
def test_what_belongs_to_one_provider_is_not_sent_to_the_next(way: Way) -> None:
    sent, sent_then = after_failing_over(way, "groq", "CANARY-prompt", seed=7, logprobs=True, top_logprobs=2)
    assert (sent["logprobs"], sent["top_logprobs"], sent["seed"]) == (True, 2, 7)
    assert sent["cache_control"] == {"type": "ephemeral"}
    assert not {"logprobs", "top_logprobs", "cache_control"} & set(sent_then)
    assert sent["messages"] == sent_then["messages"]


LONG_ID = "call_of_another_provider_with_an_identifier_of_great_length_and_$igns"
HISTORY = [
    {"role": "user", "content": "CANARY-question"},
    {
        "role": "assistant",
        "content": "",
        "tool_calls": [
            {"id": call_id, "type": "function", "function": {"name": "wave", "arguments": "{}"}}
            for call_id in (LONG_ID, "c")
        ],
    },
    {"role": "tool", "tool_call_id": "c", "content": "CANARY-result"},
    {"role": "tool", "tool_call_id": LONG_ID, "content": "CANARY-result"},
]


@pytest.mark.parametrize(("provider", "length"), [("mistral", 9), ("openai-compatible", None)])
@pytest.mark.case(54)
def test_the_ids_of_tool_calls_fit_the_provider_that_is_asked(way: Way, provider: str, length: int | None) -> None:
    called: list[str] = []
    for body in after_failing_over(way, provider, HISTORY):
        called = [call["id"] for call in body["messages"][1]["tool_calls"]]
        answered = [message["tool_call_id"] for message in body["messages"][2:]]
        assert answered == called, "results stand in the order of their calls"
        assert len(set(called)) == 2
        assert all(0 < len(call_id) <= 64 for call_id in called)
    if length:
        assert {len(call_id) for call_id in called} == {length}
        assert all(call_id.isalnum() for call_id in called)


STRANGE = ["a/b", "a?x=1#y", "a b", "a" * 200, "modèle", "@cf/host"]  # "@host" would be a profile
REFUSED = ["../..", "%2e%2e", "../../../evil", "a\\b"]


@pytest.mark.parametrize("model", STRANGE)
@pytest.mark.case(62)
def test_a_model_of_a_strange_name_changes_no_path(way: Way, model: str) -> None:
    with FaultServer([Send(streamed() if "stream" in way else answer())]) as server:
        with LLMClient(target(model, f"{server.url}/v1", KEY)) as client:
            assert make_call(client, way, "CANARY-prompt").text == FIRST
        assert [request.path for request in server.requests] == ["/v1/chat/completions"]
        assert json.loads(server.requests[0].body)["model"] == model


@pytest.mark.parametrize("model", REFUSED)
@pytest.mark.case(62)
def test_a_name_that_climbs_out_of_its_path_is_refused(way: Way, model: str) -> None:
    with FaultServer([]) as server:
        with pytest.raises(ConfigurationError, match="model= has"):
            target(model, f"{server.url}/v1", KEY)
        with LLMClient(target("m", f"{server.url}/v1", KEY)) as client:
            result = make_call(client, way, "CANARY-prompt", model=model)
        assert isinstance(result.error, ConfigurationError)
        assert server.requests == []


# 55: model lists. They are cached in memory only, so there is no cache file that could be corrupted.


def listing(*models: str, **fields: Any) -> bytes:
    return ok(dump({"object": "list", "data": [{"id": model} for model in models], **fields}))


ENDLESS: list[Step] = [Send(head() + b'{"data": ['), Repeat(b'{"id": "CANARY"},' * 50_000)]
BROKEN: Mapping[str, tuple[list[Step], type[LLMError]]] = {
    "404": ([Send(refusal("404 Not Found", b""))], ConfigurationError),
    "401": ([Send(refusal("401 No", b""))], AuthenticationError),
    "503": ([BUSY], ServiceUnavailableError),
    "HTML": ([Send(ok(b"<html>CANARY</html>", content_type="text/html"))], GenerationError),
    "nothing": ([Send(ok(b""))], GenerationError),
    "truncated JSON": ([Send(ok(listing("a", "b").partition(b"\r\n\r\n")[2][:-5]))], GenerationError),
    "the wrong shape": ([Send(ok(dump({"data": {"a": 1}})))], GenerationError),
    "invalid models": ([Send(ok(dump({"data": [1, None, {}]})))], GenerationError),
    "a stream": ([Send(streamed())], GenerationError),
    "a list without end": (ENDLESS, GenerationError),
    "silence": ([Hang()], TimeoutError),
    "half a list, and then silence": ([Send(head("Content-Length: 500") + b'{"data": [')], TimeoutError),
}


def listed(mode: str, client: LLMClient) -> list[str]:
    """Return the names of the models."""
    with client:
        models = client.list_models() if mode == "sync" else asyncio.run(client.alist_models())
    return [model.id for model in models]


@pytest.mark.parametrize("name", BROKEN)
@pytest.mark.parametrize("way", ["sync call", "async call"])
@pytest.mark.case(55)
def test_a_broken_list_is_an_error_and_is_skipped_if_another_target_answers(way: str, name: str) -> None:
    script, kind = BROKEN[name]
    mode = way.split(maxsplit=1)[0]
    with ExitStack() as stack:
        first, second = stack.enter_context(FaultServer(script)), stack.enter_context(FaultServer([Send(listing("x"))]))
        broken = target("first", f"{first.url}/v1", KEY, timeout=0.3 if kind is TimeoutError else None)
        with pytest.raises(kind) as caught:
            listed(mode, LLMClient(broken))
        assert_no_canary_in_error(caught.value)
        other = target("second", f"{second.url}/v1", OTHER_KEY, timeout=PATIENCE)
        assert listed(mode, LLMClient(broken, fallbacks=[other])) == ["x"]
        assert first.settles_at(0)
        assert second.settles_at(0)


@pytest.mark.parametrize("way", ["sync call", "async call"])
@pytest.mark.case(55)
def test_fifty_thousand_models_are_listed(way: str) -> None:
    names = [f"model-{number}" for number in range(50_000)]
    packed = gzip.compress(listing(*names).partition(b"\r\n\r\n")[2])
    with FaultServer([Send(ok(packed, "Content-Encoding: gzip"))]) as server:
        assert listed(way.split(maxsplit=1)[0], LLMClient(target("first", f"{server.url}/v1", KEY))) == names


@pytest.mark.parametrize("way", ["sync call", "async call"])
@pytest.mark.case(55)
def test_a_list_with_endless_pages_stops_at_a_limit(way: str) -> None:
    with FaultServer([Send(listing("x", has_more=True, last_id="x"))]) as server:
        assert set(listed(way.split(maxsplit=1)[0], LLMClient(target("first", f"{server.url}/v1", KEY)))) == {"x"}
        assert len(server.requests) == 100
        assert server.requests[-1].path == "/v1/models?after=x"


@pytest.mark.parametrize("way", ["sync call", "async call"])
@pytest.mark.case(55)
def test_a_list_without_a_server_is_a_failed_connection(way: str) -> None:
    with pytest.raises(ConnectionError):
        listed(way.split(maxsplit=1)[0], LLMClient(target("first", "http://127.0.0.1:1/v1", KEY)))
