"""``UnifiedLLM``: its eight endpoints and the events that observers receive."""

from __future__ import annotations

import asyncio
import inspect
import json
from collections.abc import AsyncGenerator, Generator
from typing import Any

import pytest
from llama_index.core.base.llms.types import ChatMessage, MessageRole, TextBlock, ThinkingBlock
from llama_index.core.callbacks import CallbackManager, TokenCountingHandler
from llama_index.core.llms import LLM
from llama_index.core.llms.function_calling import FunctionCallingLLM
from llama_index.core.prompts import PromptTemplate
from llama_index.core.rate_limiter import TokenBucketRateLimiter
from pydantic import SecretStr

from tests.support.each import each
from tests.support.langchain_targets import KEY
from tests.support.llama_index_calls import HELLO, PRIMARY, SECOND, WAYS, collected, model, record_events, text_of
from tests.support.scripted_targets import AsyncScriptedExchange, Pause, ScriptedTargets, say
from unified_llm import LLMConfig, reset_health
from unified_llm._core.api_key import Secret
from unified_llm._core.outcome import Done, Failure
from unified_llm.exceptions import (
    AllTargetsFailedError,
    AuthenticationError,
    ConfigurationError,
    ContentFilterError,
    LLMError,
    StreamInterruptedError,
    ValidationError,
)
from unified_llm.llama_index import UnifiedLLM
from unified_llm.types import Citation, LLMChunk, LLMResponse, ProviderState, TokenLogprob, Usage

BUSY = Failure("server", 503)


@each("way", WAYS)
def test_every_endpoint_answers_and_says_who_did(way: str) -> None:
    targets = ScriptedTargets({PRIMARY: [BUSY], SECOND: [say("Hello to you")]})
    with targets.running(), record_events() as events_seen:
        responses = WAYS[way](model())
    last = responses[-1]
    assert text_of(last) == "Hello to you"
    assert last.raw["model_name"] == "llama3.2"
    assert last.raw["model_provider"] == "unified-llm"
    assert last.raw["finish_reason"] == "stop"
    record = last.raw["unified_llm"]
    assert (record["served_by"], record["used_fallback"]) == (SECOND, True)
    assert [attempt["outcome"] for attempt in record["attempts"]] == ["server", "server", "ok"]
    assert last.raw["usage"] == {"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10}
    assert last.additional_kwargs["completion_tokens"] == 3
    json.dumps(last.raw)
    if "stream" in way:
        assert "".join(response.delta for response in responses) == "Hello to you"
        assert [text_of(response) for response in responses[:2]] == ["Hello ", "Hello to "]
        assert all(response.raw is None for response in responses[:-1])
        objects = [response.message if hasattr(response, "message") else response for response in responses]
        assert len(set(map(id, objects))) == len(responses)
    kind = "Completion" if "complete" in way else "Chat"
    assert events_seen.names.count(f"LLM{kind}StartEvent") == events_seen.names.count(f"LLM{kind}EndEvent") == 1
    assert not [name for name in events_seen.names if name.startswith("LLM") and kind not in name]


@each("way", WAYS)
def test_an_error_is_one_of_ours_whatever_the_endpoint(way: str) -> None:
    targets = ScriptedTargets({PRIMARY: [BUSY], SECOND: [Failure("connect")]})
    with targets.running(), pytest.raises(AllTargetsFailedError, match="None of 2 targets answered") as caught:
        WAYS[way](model())
    assert [type(error).__name__ for error in caught.value.errors] == ["ServiceUnavailableError", "ConnectionError"]
    reset_health()
    with ScriptedTargets({PRIMARY: [Failure("auth", 401)]}).running(), pytest.raises(AuthenticationError):
        WAYS[way](model(fallbacks=[]))
    with pytest.raises(ValidationError, match="openai_api_key"):
        WAYS[way](model(), openai_api_key="sk-misplaced")


@each("way", [way for way in WAYS if "stream" in way])
def test_a_stream_is_a_generator_that_sends_nothing_before_it_is_read_and_gives_everything_back(way: str) -> None:
    targets = ScriptedTargets({PRIMARY: [["Hello ", "to ", Pause(0.1), "you", Failure("connection")]]})
    prompt: Any = "Hello?" if "complete" in way else HELLO
    with targets.running():
        if way.startswith("a"):
            stream = asyncio.run(_opened(way, prompt))
            assert isinstance(stream, AsyncGenerator)
            asyncio.run(_two_of(way, prompt))
        else:
            stream = getattr(model(), way)(prompt)
            assert isinstance(stream, Generator)
            assert targets.asked == []
            assert [next(stream).delta, next(stream).delta] == ["Hello ", "to "]
            stream.close()
        assert targets.open == 0
        with pytest.raises(StreamInterruptedError) as caught:
            WAYS[way](model())
    assert caught.value.partial == "Hello to you"


async def _opened(way: str, prompt: Any) -> Any:
    stream = await getattr(model(), way)(prompt)
    await stream.aclose()
    return stream


async def _two_of(way: str, prompt: Any) -> None:
    stream = await getattr(model(), way)(prompt)
    assert [(await anext(stream)).delta, (await anext(stream)).delta] == ["Hello ", "to "]
    await stream.aclose()


async def test_a_stream_is_not_left_open_when_its_reader_leaves() -> None:
    targets = ScriptedTargets({PRIMARY: [["Hello ", Pause(1), "you"]]})
    with targets.running():
        stream: Any = await model().astream_complete("Hello?")
        await anext(stream)
        await stream.aclose()
        for _ in range(5):
            await asyncio.sleep(0)
        assert targets.open == 0


class _Lingering(AsyncScriptedExchange):
    """An exchange that needs a turn of the event loop to close, as a connection does."""

    async def close(self) -> None:
        await super().close()
        await asyncio.sleep(0)


def test_a_loop_that_ends_before_its_streams_do_has_nothing_to_complain_of(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.support.scripted_targets.AsyncScriptedExchange", _Lingering)
    complaints: list[str] = []

    async def leave(way: str) -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _, context: complaints.append(context["message"]))
        async for _ in await getattr(model(), way)("Hello?" if "complete" in way else HELLO):
            break

    targets = ScriptedTargets({PRIMARY: [["Hello ", Pause(1), "you"]]})
    with targets.running():
        for way in ("astream_chat", "astream_complete"):
            asyncio.run(leave(way))
    assert complaints == []
    assert targets.open == 0


def test_what_a_call_says_wins_over_the_constructor_which_wins_over_additional_kwargs() -> None:
    targets = ScriptedTargets({PRIMARY: [say("Hi")], "openai/gpt-5": [say("Hi")]})
    with targets.running():
        llm = model(
            temperature=0.5, max_tokens=7, stop="x", additional_kwargs={"seed": 1, "top_p": 0.5, "service_tier": "flex"}
        )
        llm.chat(HELLO)
        llm.chat(HELLO, max_tokens=99, top_p=0.1, stop=["y", "z"], user="someone", extra_body={"b": 2}, timeout=5)
        llm.complete("Hi", model="openai/gpt-5", formatted=True)
    first, second, third = (request for _, request in targets.asked)
    assert (first.max_tokens, first.temperature, first.seed, first.top_p) == (None, None, 1, 0.5)
    assert llm.client.targets[0].defaults == {"temperature": 0.5, "max_tokens": 7, "stop": ("x",)}
    assert llm.client.targets[0].extra_body == {"service_tier": "flex"}
    assert (second.max_tokens, second.top_p, second.seed, second.stop) == (99, 0.1, 1, ("y", "z"))
    assert second.extra_body == {"user": "someone", "b": 2}
    assert third.extra_body == {}
    assert targets.names[-1] == "openai/gpt-5"


def test_reasoning_comes_as_deltas_and_as_a_block_before_the_text() -> None:
    answer = say("It is 3.", reasoning="1 and 2")
    with ScriptedTargets({PRIMARY: [answer]}).running():
        whole = model().chat(HELLO)
        pieces = list(model().stream_chat(HELLO))
    for message in (whole.message, pieces[-1].message):
        assert [type(block) for block in message.blocks] == [ThinkingBlock, TextBlock]
        assert (message.blocks[0].content, message.content) == ("1 and 2", "It is 3.")  # type: ignore[union-attr]
    deltas = [piece.additional_kwargs.get("thinking_delta") for piece in pieces]
    assert deltas[0] == "1 and 2"
    assert set(deltas[1:]) == {None}


def test_provider_state_citations_log_probabilities_and_refusals_are_passed_on() -> None:
    provider_state = ProviderState("openai", "openai_responses", {"id": "rs_1"})
    extras: dict[str, Any] = {
        "provider_state": provider_state,
        "citations": (Citation("https://a.example", "A", "words", 0, 5), Citation()),
        "refusal": "No.",
    }
    tokens = (TokenLogprob("Hi", -0.5, (("Hi", -0.5), ("Ho", -1.0))), TokenLogprob("!", -0.1))
    last = LLMChunk(finish_reason="stop", provider_state=provider_state)
    stream: Any = [LLMChunk(content="Hi!", logprobs=tokens, citations=extras["citations"], refusal="No."), Done(last)]
    with ScriptedTargets({PRIMARY: [[LLMResponse("Hi!", logprobs=tokens, **extras)], stream]}).running():
        whole = model().chat(HELLO, logprobs=True)
        pieces = list(model().stream_chat(HELLO))
    assert whole.logprobs is not None
    assert [[token.token for token in position] for position in whole.logprobs] == [["Hi", "Ho"], ["!"]]
    assert pieces[0].logprobs == whole.logprobs
    for message in (whole.message, pieces[-1].message):
        thinking, text, citation, empty = message.blocks
        assert thinking.additional_information["provider_state"] == provider_state.as_dict()  # type: ignore[union-attr]
        assert text.text == "Hi!"  # type: ignore[union-attr]
        assert citation.additional_location_info == {"start": 0, "end": 5}  # type: ignore[union-attr]
        assert empty.source == ""  # type: ignore[union-attr]
        assert message.additional_kwargs["refusal"] == "No."
        assert ChatMessage.model_validate_json(message.model_dump_json()) == message


def test_an_answer_without_text_or_usage_is_still_an_answer() -> None:
    usage = Usage(3, 4, 0, cached_tokens=2, reasoning_tokens=1)
    with ScriptedTargets({PRIMARY: [[LLMResponse("", refusal="No.")], [LLMResponse("Hi", usage=usage)]]}).running():
        silent: Any = model().chat(HELLO)
        counted: Any = model().chat(HELLO)
    assert silent.message.content == ""
    assert "usage" not in silent.raw
    assert "id" not in silent.raw
    assert counted.raw["usage"] == {
        "prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7, "cached_tokens": 2, "reasoning_tokens": 1,
    }  # fmt: skip


# Observers


@each("way", WAYS)
def test_token_counters_count_what_was_spent_once(way: str) -> None:
    counter = TokenCountingHandler(tokenizer=lambda text: [0] * 1000)
    with ScriptedTargets({PRIMARY: [BUSY], SECOND: [say("Hello")]}).running():
        WAYS[way](model(callback_manager=CallbackManager([counter])))
    assert (counter.prompt_llm_token_count, counter.completion_llm_token_count) == (7, 3)


def test_an_error_of_an_observer_is_not_taken_for_one_of_the_provider() -> None:
    class Strict(TokenCountingHandler):
        def on_event_end(self, *args: Any, **kwargs: Any) -> None:
            raise ValueError("over budget")

    llm = model(callback_manager=CallbackManager([Strict()]))
    with ScriptedTargets({PRIMARY: [say("Hello")]}).running() as targets:
        with pytest.raises(ValueError, match="over budget"):
            llm.chat(HELLO)
        with pytest.raises(ValueError, match="over budget"):
            list(llm.stream_chat(HELLO))
    assert targets.names == [PRIMARY, PRIMARY]
    assert targets.open == 0
    assert llm.health()[0]["consecutive_failures"] == 0


def test_observers_receive_neither_key_nor_header() -> None:
    llm = model(api_key=KEY, default_headers={"x-other-key": KEY}, fallbacks=[{"model": SECOND, "api_key": KEY}])
    with ScriptedTargets({PRIMARY: [say("Hello")]}).running(), record_events() as events_seen:
        llm.chat(HELLO)
    payload = next(event for event in events_seen.events if hasattr(event, "model_dict")).model_dict
    assert payload == llm.to_payload()
    assert payload["model"] == PRIMARY
    assert payload["temperature"] is None
    assert payload["fallbacks"] == [{"model": SECOND}]
    assert KEY not in repr(events_seen.events)


def test_the_rate_limiter_is_asked_once_a_call() -> None:
    class Counting(TokenBucketRateLimiter):
        asked: int = 0

        def acquire(self, *args: Any, **kwargs: Any) -> None:
            self.asked += 1

    limiter = Counting(requests_per_minute=600)
    with ScriptedTargets({PRIMARY: [BUSY], SECOND: [say("Hello")]}).running():
        model(rate_limiter=limiter).chat(HELLO)
    assert limiter.asked == 1


# Metadata


def test_metadata_is_what_every_model_of_the_chain_can_do() -> None:
    small = {"model": "groq/llama-3.1-8b-instant", "api_key": KEY}
    both = model(fallbacks=[small, "mlx/demo"], skip_unconfigured=True).metadata
    assert both.context_window == 3900, "a window that is not known counts as the default"
    assert both.is_chat_model
    assert both.is_function_calling_model
    assert both.model_name == PRIMARY
    assert both.num_output == -1
    assert both.system_role == MessageRole.SYSTEM
    unknown = UnifiedLLM(model="openai-compatible/x", base_url="http://localhost:1/v1").metadata
    assert unknown.context_window == 3900
    bounded = model(max_tokens=1_000_000, context_window=1000, is_function_calling_model=False).metadata
    assert (bounded.context_window, bounded.num_output, bounded.is_function_calling_model) == (1000, 500, False)
    assert model(max_tokens=300).metadata.num_output == 300
    assert UnifiedLLM(provider="ollama").metadata.model_name == "ollama"  # whose calls name the model


def test_a_model_without_tools_lowers_what_the_chain_advertises_and_a_last_resort_does_not() -> None:
    plain = LLMConfig(model="ollama/llama2")
    reported = model(fallbacks=[plain]).metadata.is_function_calling_model
    assert reported is ("tools" in model(fallbacks=[plain]).client.targets[1].features)
    assert model(fallbacks=[LLMConfig(model="mlx/demo")], skip_unconfigured=True).metadata.is_function_calling_model


def test_metadata_does_not_change_with_an_outage_and_never_raises() -> None:
    llm = model()
    before = llm.metadata
    with ScriptedTargets({PRIMARY: [BUSY], SECOND: [say("Hello")]}).running():
        for _ in range(8):
            llm.chat(HELLO)
    assert llm.metadata == before
    llm.model = "nobody/nothing"
    assert llm.metadata.model_name == "unknown"
    assert llm.metadata.is_function_calling_model is False
    assert llm.to_payload()["model"] == "nobody/nothing"
    with pytest.raises(ConfigurationError, match="nobody"):
        llm.chat(HELLO)


# The rest of the interface


def test_predictions_add_the_system_prompt_and_change_nothing_of_the_callers() -> None:
    llm = model(system_prompt="Be brief.")
    history = [ChatMessage(role="user", content="Hello?")]
    before = [message.model_dump() for message in history]
    with ScriptedTargets({PRIMARY: [say("Hi there")]}).running() as targets:
        assert llm.predict(PromptTemplate("Hello, {name}?"), name="you") == "Hi there"
        assert list(llm.stream(PromptTemplate("Hello?"))) == ["Hi ", "there", ""]
        assert asyncio.run(llm.apredict(PromptTemplate("Hello?"))) == "Hi there"
        assert asyncio.run(collected(llm.astream(PromptTemplate("Hello?")))) == ["Hi ", "there", ""]
        llm.chat_with_tools([], user_msg="And?", chat_history=history)
    assert [message.text for message in targets.asked[0][1].messages] == ["Be brief.", "Hello, you?"]
    assert [message.text for message in targets.asked[-1][1].messages] == ["Hello?", "And?"]
    assert [message.model_dump() for message in history] == before


def test_every_public_method_is_described_and_annotated() -> None:
    count = 0
    for kind in UnifiedLLM.__mro__:
        if not kind.__module__.startswith("unified_llm"):
            continue
        for name, value in tuple(vars(kind).items()):
            function = getattr(value, "__func__", None) or getattr(value, "fget", None) or value
            function = getattr(function, "__wrapped__", function)
            if name.startswith("_") or not inspect.isfunction(function):
                continue
            count += 1
            assert function.__doc__, name
            assert function.__annotations__.get("return"), name
    assert count > 20


def test_a_key_may_be_wrapped_already() -> None:
    for key in (SecretStr(KEY), Secret(KEY, "a vault"), KEY):
        assert model(api_key=key).client.targets[0].key == Secret(KEY, "api_key=")


def test_it_is_a_model_of_llama_index_and_says_what_it_does_not_know() -> None:
    assert issubclass(UnifiedLLM, FunctionCallingLLM)
    assert isinstance(model(), LLM)
    assert UnifiedLLM.class_name() == "unified_llm"
    assert UnifiedLLM.__abstractmethods__ == frozenset()
    for fields, pattern in (
        ({"temprature": 0}, "temperature"),
        ({"context_window": 0}, "context_window"),
        ({"fallbacks": "ollama/llama2"}, "is a list"),
        ({"fallbacks": [object()]}, "not object"),
        ({"on_stream_break": "repeat"}, "on_stream_break"),
        ({"temperature": {"a": "sk-misplaced"}}, "temperature"),
    ):
        with pytest.raises(ConfigurationError, match=pattern) as caught:
            model(**fields)
        assert "misplaced" not in str(caught.value)


def test_a_prompt_can_be_continued_as_it_stands_where_there_is_such_a_thing() -> None:
    targets = ScriptedTargets({"vllm/base": [say("and so on")]})
    with targets.running():
        UnifiedLLM(model="vllm/base", base_url="http://localhost:1").complete("Once", as_text=True)
    assert targets.asked[0][1].as_text is True


def test_models_and_health_are_those_of_the_chain() -> None:
    llm = model()
    targets = ScriptedTargets({PRIMARY: [BUSY], SECOND: [say("Hi")], "openai": [BUSY], "ollama": [BUSY]})
    with targets.running():
        llm.chat(HELLO)
        with pytest.raises(LLMError):
            llm.list_models()
        with pytest.raises(LLMError):
            asyncio.run(llm.alist_models())
    assert {row["target"] for row in llm.health()} == {PRIMARY, SECOND}


def test_a_filter_raises_and_fails_over_where_that_is_wanted() -> None:
    with ScriptedTargets({PRIMARY: [Failure("filter", 400)], SECOND: [say("Hi")]}).running():
        with pytest.raises(ContentFilterError):
            model().chat(HELLO)
        assert model(failover_on={"filter": True}).chat(HELLO).message.content == "Hi"
        assert model().chat(HELLO, failover_on={"filter": True}).message.content == "Hi"
