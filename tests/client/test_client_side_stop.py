"""Stop sequences that a target does not take: applied by the client, to streams and to whole answers. langchain E."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.four_ways import WAYS, Way, outcome_of
from tests.support.scripted_server import Network
from tests.support.scripted_targets import USAGE, Pause, ScriptedTargets, Step, say
from tests.support.sent_requests import SentRequests
from unified_llm import LLMClient, LLMConfig, reset_health
from unified_llm._backends.http import Transport
from unified_llm._client.client_side_stop import ClientSideStop
from unified_llm._core.outcome import Done, Failure
from unified_llm._core.runtime import Runtime, use
from unified_llm.exceptions import StreamInterruptedError
from unified_llm.langchain import ChatUnified
from unified_llm.types import Citation, LLMChunk, LLMResponse, TokenLogprob, ToolCall, ToolCallChunk
from unified_llm.types.messages import ResponseFormat

KEY = "sk-a-key-of-a-test"
OBSERVATION = "\nObservation"
TEXT = "Action: look\nObservation: invented"
# Models that refuse stop, or ignore it.
WITHOUT_STOP = (
    "openai/gpt-5", "openai/gpt-5-mini", "openai/gpt-5.1", "openai/gpt-5.4-mini", "openai/gpt-5.5", "openai/gpt-6",
    "openai/o1", "openai/o3", "openai/o3-mini", "openai/o4-mini", "openai/o3-pro", "openai/gpt-5-codex",
    "xai/grok-4", "xai/grok-3-mini", "openrouter/openai/gpt-5", "openrouter/openai/o4-mini", "openrouter/x-ai/grok-4",
    "minimax/minimax-m2",
)  # fmt: skip
WITH_STOP = ("openai/gpt-4.1", "openai/gpt-5-chat-latest", "xai/grok-3", "anthropic/claude-haiku-4-5", "groq/gpt-oss")


def config(model: str, **fields: Any) -> LLMConfig:
    return LLMConfig(model=model, api_key=KEY, max_retries=0, **fields)


def stop_in(body: dict[str, Any]) -> Any:
    return body.get("stop") or body.get("stop_sequences") or body.get("generationConfig", {}).get("stopSequences")


def test_langchain_e_stop_is_not_sent_to_models_that_refuse_it() -> None:
    for model in (*WITHOUT_STOP, *WITH_STOP):
        with SentRequests().running() as network:
            response = LLMClient(config(model)).generate("x", stop=OBSERVATION)
        body = network.sent[0].body
        assert (body.get("stop") or body.get("stop_sequences")) == ([OBSERVATION] if model in WITH_STOP else None), (
            model
        )
        assert response.attempts[0].adjusted == ({} if model in WITH_STOP else {"stop": [1, None]}), model


def test_langchain_e_the_responses_format_has_no_stop() -> None:
    with ScriptedTargets({"openai/gpt-4.1": [say(TEXT)]}).running():
        response = LLMClient(config("openai/gpt-4.1", api="responses")).generate("x", stop=OBSERVATION)
    assert response.content == "Action: look"


@pytest.mark.parametrize("way", WAYS)
def test_langchain_e_the_answer_ends_before_the_stop_sequence(way: Way) -> None:
    for model in WITHOUT_STOP:
        reset_health()
        script: list[Step] = (
            [*say(TEXT)] if way.endswith("generate") else ["Action: look\nObs", "ervation: in", Pause()]
        )
        targets = ScriptedTargets({model: [script]})
        with targets.running():
            outcome = outcome_of(way, LLMClient(config(model)), "x", stop=[OBSERVATION])
        assert (outcome.content, outcome.metadata[0]) == ("Action: look", "stop")
        assert targets.open == 0
        assert targets.clock < 1001  # the rest of the stream is not waited for


def test_langchain_e_a_react_agent_gets_its_stop_from_the_default_of_the_constructor_and_from_bind() -> None:
    for llm, options in (
        (ChatUnified(model="openai/gpt-5-mini", api_key=KEY, stop=[OBSERVATION]), {}),
        (ChatUnified(model="openai/gpt-5-mini", api_key=KEY), {"stop": [OBSERVATION]}),
    ):
        with ScriptedTargets({"openai/gpt-5-mini": [say(TEXT)]}).running():
            bound = llm.bind(**options)
            message = bound.invoke("x")
            assert message.content == "Action: look"
            assert message.response_metadata["finish_reason"] == "stop"
            attempts = message.response_metadata["unified_llm"]["attempts"]
            assert attempts[0]["adjusted"] == {"stop": [1, None]}
            assert "".join(str(chunk.content) for chunk in bound.stream("x")) == "Action: look"


def test_f11_a_fallback_gets_no_more_stop_sequences_than_it_takes() -> None:
    stops = ["one", "two", "three", "four", "five", "\n\n"]
    for model, sent in (
        ("openai/gpt-4.1", stops[:4]), ("zai/glm-4.5", stops[:1]), ("gemini/gemini-2.5-flash", stops[:5]),
        ("anthropic/claude-haiku-4-5", stops[:5]), ("vllm/m", stops), ("cohere/command-a-03-2025", stops[:5]),
    ):  # fmt: skip
        reset_health()
        first = config("openai-compatible/m", base_url="http://127.0.0.1:9/v1")
        client = LLMClient(first, fallbacks=[config(model)])
        with SentRequests("openai-compatible/m").running() as network:
            response = client.generate("x", stop=stops)
        assert network.sent[0].body["stop"] == stops
        body = network.sent[1].body
        written = (
            body.get("stop") or body.get("stop_sequences") or body.get("generationConfig", {}).get("stopSequences")
        )
        assert written == sent, model
        expected = {} if sent == stops else {"stop": [6, len(sent)]}
        assert response.attempts[-1].adjusted == expected, model
        reset_health()
        dead = Failure("server", 503)
        scripts: dict[str, Any] = {"openai-compatible/m": [dead], client.targets[1].name: [say("1\n\n2 five 3")]}
        with ScriptedTargets(scripts).running():
            answer = client.generate("x", stop=stops).content
            streamed = "".join(chunk.content for chunk in client.stream("x", stop=stops))
        # The scripted target itself takes no notice of stop, so the first text that was not sent ends the answer.
        assert answer == streamed == ("1\n\n2 five 3" if sent == stops else "1" if "\n\n" not in sent else ""), model


def test_anthropic_takes_no_blank_stop_sequence_not_even_as_the_first_target() -> None:
    with ScriptedTargets({"anthropic/claude-haiku-4-5": [say("one\n\ntwo")]}).running():
        response = LLMClient(config("anthropic/claude-haiku-4-5")).generate("x", stop=["\n\n", "END"])
    assert response.content == "one"
    assert response.attempts[0].adjusted == {"stop": [2, 1]}


def test_the_connection_is_closed_where_the_answer_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    network = Network(monkeypatch)
    head = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
    texts = ("Action: look\\n", "Obs", "ervation: in", "vented")
    pieces = [b'data: {"choices": [{"index": 0, "delta": {"content": "%s"}}]}\n\n' % text.encode() for text in texts]
    frames = [b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces]
    connection = network.add_connection(head, *frames[:-1], 1e6, frames[-1])
    model = config("openai-compatible/openai/gpt-5", base_url="http://127.0.0.1:9/v1")
    client = LLMClient(model)
    client._backends._http = Transport(now=network.clock)
    with use(Runtime(now=network.clock)):
        chunks = list(client.stream("x", stop=["\nObservation"]))
    assert "".join(chunk.content for chunk in chunks) == "Action: look"
    assert (connection.closed, network.clock.time) == (True, 1000.0)


# The converter


def converted(stops: tuple[str, ...], *events: LLMChunk | Done | Failure) -> list[LLMChunk | Done | Failure]:
    converter = ClientSideStop(stops)
    return [passed for event in events for passed in converter.convert(event)]


def texts(events: list[LLMChunk | Done | Failure]) -> list[str]:
    return [event.content if isinstance(event, LLMChunk) else type(event).__name__ for event in events]


END = Done(LLMChunk(finish_reason="length", usage=USAGE))


def test_text_is_held_back_only_while_it_may_be_a_stop_sequence() -> None:
    assert texts(converted(("STOP",), LLMChunk("a"), LLMChunk("bS"), LLMChunk("T"), LLMChunk("AY"), END)) == [
        "a", "b", "STAY", "Done",
    ]  # fmt: skip
    assert texts(converted(("STOP", "b"), LLMChunk("aST"), LLMChunk("OPb"))) == ["a", "Done"]
    assert texts(converted(("a",), LLMChunk("a"))) == ["Done"]
    for size in range(1, 9):
        text = "xxSTOxSTSTOPyy"
        chunks = [LLMChunk(text[start : start + size]) for start in range(0, len(text), size)]
        events = converted(("STOP",), *chunks)
        done = next(event for event in events if isinstance(event, Done))
        shown = events[: events.index(done)]
        assert "".join(texts(shown)) == "xxSTOxST"
        assert done.value.finish_reason == "stop"


def test_a_stream_that_ends_by_itself_keeps_its_reason_and_its_last_text() -> None:
    *_, last = converted(("STOP",), LLMChunk("aS"), END)
    assert isinstance(last, Done)
    assert (last.value.content, last.value.finish_reason, last.value.usage) == ("S", "length", USAGE)
    *_, last = converted(("STOP",), LLMChunk("aS"), Done(LLMChunk("TOP b", finish_reason="length", usage=USAGE)))
    assert isinstance(last, Done)
    assert (last.value.content, last.value.finish_reason, last.value.usage) == ("", "stop", USAGE)


def test_text_that_was_held_back_comes_before_a_failure_and_before_a_call() -> None:
    assert texts(converted(("STOP",), LLMChunk("aS"), Failure("connection"))) == ["a", "S", "Failure"]
    call = LLMChunk(tool_calls=(ToolCallChunk(0, "c", "f", "{"),))
    assert texts(converted(("STOP",), LLMChunk("aS"), call, LLMChunk("TOP"), END)) == ["a", "S", "TOP", "Done"]
    script: list[Step] = ["so farS", Failure("connection")]
    with ScriptedTargets({"openai/gpt-5": [script]}).running():
        stream = LLMClient(config("openai/gpt-5")).stream("x", stop="STOP")
        with pytest.raises(StreamInterruptedError) as caught:
            list(stream)
    assert caught.value.partial == "so farS"


def test_reasoning_and_arguments_are_not_searched() -> None:
    reasoning = LLMChunk(reasoning="STOP")
    call = LLMChunk(tool_calls=(ToolCallChunk(0, "c", "f", '{"a": "STOP"}'),))
    assert converted(("STOP",), reasoning, call, END) == [reasoning, call, END]


def test_a_whole_answer_is_cut_with_what_belongs_to_its_text() -> None:
    tokens = (TokenLogprob("one ", -0.1), TokenLogprob("two", -0.2), TokenLogprob(" STOP", -0.3))
    citations = (Citation("u", start=0, end=3), Citation("v", start=4, end=12), Citation("w"))
    answer = LLMResponse(
        "one two STOP three",
        finish_reason="tool_calls",
        tool_calls=(ToolCall("c", "f"),),
        reasoning="STOP",
        logprobs=tokens,
        citations=citations,
        usage=USAGE,
        alternatives=(LLMResponse("other"), LLMResponse("another STOP", finish_reason="length")),
    )
    (done,) = converted((" STOP",), Done(answer, "req-1"))
    assert isinstance(done, Done)
    cut = done.value
    assert (cut.content, cut.finish_reason, cut.tool_calls, cut.reasoning) == ("one two", "stop", (), "STOP")
    assert (cut.logprobs, cut.citations) == (tokens[:2], (citations[0], citations[2]))
    assert [(each.content, each.finish_reason) for each in cut.alternatives] == [("other", "stop"), ("another", "stop")]
    assert (cut.usage, done.request_id) == (USAGE, "req-1")


def test_json_by_prompt_is_read_from_what_is_left() -> None:
    schema = ResponseFormat({"type": "object", "properties": {"a": {"type": "integer"}}}, methods=("prompt",))
    with ScriptedTargets({"openai/gpt-5": [say('{"a": 1}\nEND{"a": 2}')]}).running():
        client = LLMClient(config("openai/gpt-5"))
        assert client.generate("x", stop="END", response_format=schema).content == '{"a": 1}'
        chunks = list(client.stream("x", stop="END", response_format=schema))
    assert "".join(chunk.content for chunk in chunks) == '{"a": 1}'
