"""``ChatUnified`` as a chat model: calls, streams, metadata, callbacks."""

from __future__ import annotations

import pickle
from typing import TYPE_CHECKING, Any
from uuid import UUID

import pytest
from langchain_core.callbacks import BaseCallbackHandler, UsageMetadataCallbackHandler
from langchain_core.language_models import BaseChatModel
from langchain_core.load import dumps
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage
from langchain_core.output_parsers import StrOutputParser
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.tracers.base import BaseTracer
from langchain_tests.utils.stream_lifecycle import assert_valid_event_stream

from tests.support.each import each
from tests.support.langchain_targets import KEY
from tests.support.racing import RacingTargets
from tests.support.scripted_targets import Pause, ScriptedTargets, call_tool, say
from unified_llm import LLMClient, LLMConfig, health_snapshot
from unified_llm._core.outcome import Done, Failure
from unified_llm._core.target import Target
from unified_llm.exceptions import AllTargetsFailedError, ConfigurationError, ContentFilterError, ValidationError
from unified_llm.langchain import ChatUnified
from unified_llm.langchain._profile import read_chain_profile
from unified_llm.types import Attempt, LLMRequest, ModelInfo

if TYPE_CHECKING:
    from langchain_core.outputs import LLMResult

pytestmark = pytest.mark.filterwarnings("ignore::langchain_core._api.LangChainBetaWarning")  # events, version 3

PRIMARY, SECOND = "openai/gpt-5-mini", "groq/llama-3.3-70b"
DOWN = Failure("auth", 401)


def model(**fields: Any) -> ChatUnified:
    return ChatUnified(
        **{"model": PRIMARY, "api_key": KEY, "fallbacks": [LLMConfig(model=SECOND, api_key=KEY)]} | fields
    )


def sent_request(targets: ScriptedTargets) -> LLMRequest:
    request = targets.asked[-1][1]
    assert isinstance(request, LLMRequest)
    return request


class Tracer(BaseTracer):
    def __init__(self) -> None:
        super().__init__()
        self.runs: list[Any] = []

    def _persist_run(self, run: Any) -> None:
        self.runs.append(run)


# Calls


def test_a_chain_of_prompt_model_and_parser_answers() -> None:
    chain = (
        ChatPromptTemplate.from_messages([("system", "Be brief."), ("user", "{question}")])
        | model()
        | StrOutputParser()
    )
    with ScriptedTargets({PRIMARY: [say("A switch to another server.")]}).running() as targets:
        assert chain.invoke({"question": "What is failover?"}) == "A switch to another server."
    assert [message.role for message in sent_request(targets).messages] == ["system", "user"]


async def test_every_way_of_asking_gives_the_same_answer() -> None:
    llm = model()
    with ScriptedTargets({PRIMARY: [say("Hello there")]}).running():
        assert llm.invoke("Hi").content == "Hello there"
        assert (await llm.ainvoke("Hi")).content == "Hello there"
        assert "".join(str(chunk.content) for chunk in llm.stream("Hi")) == "Hello there"
        assert "".join([str(chunk.content) async for chunk in llm.astream("Hi")]) == "Hello there"
        assert [message.content for message in llm.batch(["Hi", "Ho"])] == ["Hello there"] * 2
        assert [message.content for message in await llm.abatch(["Hi", "Ho"])] == ["Hello there"] * 2


async def test_when_the_primary_is_down_the_second_answers_and_the_metadata_says_so() -> None:
    llm = model()
    with ScriptedTargets({PRIMARY: [DOWN], SECOND: [say("Hello there")]}).running():
        whole = llm.invoke("Hi")
        chunks = list(llm.stream("Hi"))
        awaited = await llm.ainvoke("Hi")
        achunks = [chunk async for chunk in llm.astream("Hi")]
    streamed, astreamed = sum(chunks[1:], start=chunks[0]), sum(achunks[1:], start=achunks[0])
    for message in (whole, streamed, awaited, astreamed):
        record = message.response_metadata["unified_llm"]
        assert message.content == "Hello there"
        assert message.response_metadata["model_name"] == "llama-3.3-70b"
        assert message.response_metadata["model_provider"] == "unified-llm"
        assert (record["served_by"], record["used_fallback"]) == (SECOND, True)
        assert record["attempts"][-1]["outcome"] == "ok"


def test_when_the_primary_answers_nobody_fell_back() -> None:
    with ScriptedTargets({PRIMARY: [say("Hi")]}).running():
        chunks = list(model().stream("Hi"))
        assert model().invoke("Hi").response_metadata["unified_llm"]["used_fallback"] is False
    assert chunks[-1].response_metadata["unified_llm"]["used_fallback"] is False


@pytest.mark.parametrize("name", ["gpt-5", "openai/gpt-5", "openai:gpt-5"])
def test_a_call_may_name_another_model_and_that_is_no_failover(name: str) -> None:
    with ScriptedTargets({"openai/gpt-5": [say("Hi")]}).running() as targets:
        message = model().invoke("Hi", model=name)
        last = list(model().stream("Hi", model=name))[-1]
    assert targets.names == ["openai/gpt-5"] * 2
    for answer in (message, last):
        assert answer.response_metadata["model_name"] == "gpt-5"
        assert answer.response_metadata["unified_llm"]["used_fallback"] is False


def test_options_of_a_call_become_fields_of_the_request_and_others_go_into_its_body() -> None:
    with ScriptedTargets({PRIMARY: [say("Hi")]}).running() as targets:
        model().invoke(
            "Hi",
            temperature=0.3,
            max_completion_tokens=9,
            top_p=0.5,
            seed=7,
            stop=["\n"],
            extra_body={"a": 1},
            b=2,
            logprobs=True,
        )
    request = sent_request(targets)
    assert (request.temperature, request.max_tokens, request.top_p, request.seed) == (0.3, 9, 0.5, 7)
    assert (request.stop, request.logprobs, dict(request.extra_body)) == (("\n",), True, {"a": 1, "b": 2})


def test_stop_is_taken_as_one_text_and_under_anthropics_name() -> None:
    with ScriptedTargets({PRIMARY: [say("Hi")]}).running() as targets:
        model().invoke("Hi", stop_sequences="###")
    assert sent_request(targets).stop == ("###",)


@each("name", ["openai_api_key", "default_headers", "api_version"])
def test_what_belongs_to_the_constructor_is_refused_with_a_call_rather_than_sent_in_its_body(name: str) -> None:
    options: Any = {name: "sk-misplaced-0123456789"}
    with (
        ScriptedTargets({PRIMARY: [say("Hi")]}).running() as targets,
        pytest.raises(ValidationError, match=name) as caught,
    ):
        model().invoke("Hi", **options)
    assert targets.asked == []
    assert "misplaced" not in str(caught.value)


def test_a_call_may_have_a_deadline_of_its_own() -> None:
    with ScriptedTargets({PRIMARY: [[Pause()]], SECOND: [[Pause()]]}).running() as targets:
        began = targets.clock
        with pytest.raises(AllTargetsFailedError, match="before the deadline"):
            model().invoke("Hi", deadline=5.0)
    assert targets.clock - began <= 5.1


def test_what_fails_over_is_set_by_the_model_or_by_the_call() -> None:
    with ScriptedTargets({PRIMARY: [Failure("filter", 400)], SECOND: [say("Hello")]}).running():
        with pytest.raises(ContentFilterError):
            model().invoke("Hi")
        assert model(failover_on={"filter": True}).invoke("Hi").content == "Hello"
        assert model().invoke("Hi", failover_on={"filter": True}).content == "Hello"
        assert model().bind(failover_on={"filter": True}).invoke("Hi").content == "Hello"
        later = model()
        later.failover_on = {"filter": True}
        assert later.invoke("Hi").content == "Hello"


def test_a_slow_answer_is_hedged_by_a_setting_of_the_model_or_of_the_call() -> None:
    script = {PRIMARY: [[Pause(20.0), *say("slow")]], SECOND: [say("quick")]}
    hedging = model(hedge_after=2.0)
    answer = RacingTargets(script).run(lambda: hedging.ainvoke("Hi"))
    assert answer.content == "quick"
    tried = answer.response_metadata["unified_llm"]["attempts"]
    assert [(each["outcome"], each.get("reason")) for each in tried] == [("cancelled", "hedged"), ("ok", None)]
    assert RacingTargets(script).run(lambda: model().ainvoke("Hi", hedge_after=2.0)).content == "quick"
    assert RacingTargets(script).run(lambda: model().ainvoke("Hi")).content == "slow"


def test_the_rules_of_calls_travel_with_copies_and_dumps() -> None:
    llm = model(hedge_after=2.0, failover_on={"filter": True})
    for copy in (llm.model_copy(), pickle.loads(pickle.dumps(llm))):  # noqa: S301 - our own
        assert (copy.hedge_after, copy.failover_on, copy.on_stream_break) == (2.0, {"filter": True}, "raise")
    assert '"hedge_after": 2.0' in dumps(llm)
    assert '"failover_on": {"filter": true}' in dumps(llm)


def test_model_kwargs_are_fields_of_every_request_or_of_the_primarys_body() -> None:
    llm = model(model_kwargs={"logprobs": True, "service_tier": "flex"})
    with ScriptedTargets({PRIMARY: [say("Hi")]}).running() as targets:
        llm.invoke("Hi")
    assert sent_request(targets).logprobs is True
    assert llm.client.targets[0].extra_body == {"service_tier": "flex"}
    assert llm.client.targets[1].extra_body == {}


# Streaming


@pytest.mark.parametrize("version", ["v0", "v1"])
def test_a_stream_adds_up_to_one_text_block(version: str) -> None:
    with ScriptedTargets({PRIMARY: [say("Hello over there", reasoning="Hm.")]}).running():
        chunks = list(model(output_version=version).stream("Hi"))
    whole = sum(chunks[1:], start=chunks[0])
    assert [block["type"] for block in whole.content_blocks] == ["reasoning", "text"]
    assert whole.text == "Hello over there"
    assert whole.usage_metadata
    assert whole.usage_metadata["input_tokens"] == 7
    assert len({chunk.id for chunk in chunks}) == 1


async def test_events_of_the_third_version_are_valid() -> None:
    with ScriptedTargets({PRIMARY: [DOWN], SECOND: [call_tool("add", '{"a": 1}')]}).running():
        events = list(model().stream_events("Hi", version="v3"))
        assert_valid_event_stream(events)
        stream = await model().astream_events("Hi", version="v3")
        assert_valid_event_stream([event async for event in stream])
        message = await stream.output
    assert message.tool_calls[0]["args"] == {"a": 1}
    assert message.response_metadata["unified_llm"]["served_by"] == SECOND


def test_streaming_answers_invoke_from_a_stream_and_usage_can_be_left_out_of_it() -> None:
    with ScriptedTargets({PRIMARY: [say("Hello there")]}).running() as targets:
        assert model(streaming=True).invoke("Hi").usage_metadata
        assert sent_request(targets).stream
        assert model(streaming=True, stream_usage=False).invoke("Hi").usage_metadata is None
        assert list(model().stream("Hi", stream_usage=False))[-1].usage_metadata is None


def test_log_probabilities_are_asked_for_and_reported() -> None:
    raw = {"choices": [{"logprobs": {"content": [{"token": "Hi"}]}}]}
    with ScriptedTargets({PRIMARY: [say("Hi", raw=raw)]}).running():
        assert model().invoke("Hi", logprobs=True).response_metadata["logprobs"] == raw["choices"][0]["logprobs"]


# Callbacks and traces


class Tokens(BaseCallbackHandler):
    def __init__(self) -> None:
        self.tokens: list[str] = []
        self.result: LLMResult | None = None

    def on_llm_new_token(self, token: str, *, run_id: UUID, **_: Any) -> None:  # type: ignore[override]
        self.tokens.append(token)

    def on_llm_end(self, response: LLMResult, **_: Any) -> None:
        self.result = response


async def test_callbacks_get_every_token_and_the_usage() -> None:
    with ScriptedTargets({PRIMARY: [say("Hello there")]}).running():
        for_stream, for_invoke, for_events, for_aevents = Tokens(), Tokens(), Tokens(), Tokens()
        list(model().stream("Hi", config={"callbacks": [for_stream]}))
        model().invoke("Hi", config={"callbacks": [for_invoke]})
        list(model().stream_events("Hi", version="v3", config={"callbacks": [for_events]}))
        stream = await model().astream_events("Hi", version="v3", config={"callbacks": [for_aevents]})
        await stream.output
        usage = UsageMetadataCallbackHandler()
        model().batch(["Hi", "Ho"], config={"callbacks": [usage]})
        generated = model().generate([[HumanMessage("Hi")], [HumanMessage("Ho")]])
    for handler in (for_stream, for_events, for_aevents):
        assert "".join(handler.tokens) == "Hello there"
    assert for_invoke.result
    assert for_invoke.result.llm_output
    assert for_invoke.result.llm_output["token_usage"]["total_tokens"] == 10
    assert usage.usage_metadata["gpt-5-mini"]["total_tokens"] == 20
    assert generated.llm_output
    assert generated.llm_output["token_usage"]["total_tokens"] == 20


@each("way", ["invoke", "stream", "events"])
def test_a_trace_is_attributed_to_the_model_that_really_answered(way: str) -> None:
    tracer = Tracer()
    config: Any = {"callbacks": [tracer]}
    with ScriptedTargets({PRIMARY: [DOWN], SECOND: [say("Hi")]}).running():
        if way == "invoke":
            model().invoke("Hi", config=config)
        elif way == "stream":
            list(model().stream("Hi", config=config))
        else:
            list(model().stream_events("Hi", version="v3", config=config))
    metadata = tracer.runs[-1].extra["metadata"]
    assert (metadata["ls_provider"], metadata["ls_model_name"]) == ("groq", "llama-3.3-70b")
    assert [each["outcome"] for each in metadata["ls_gateway_info"]["attempts"]][-1] == "ok"


def test_until_somebody_answers_a_trace_names_the_chain() -> None:
    params = model(temperature=0.1, max_tokens=5, stop="###")._get_ls_params()
    assert params == {
        "ls_provider": "unified-llm",
        "ls_model_name": PRIMARY,
        "ls_model_type": "chat",
        "ls_temperature": 0.1,
        "ls_max_tokens": 5,
        "ls_stop": ["###"],
    }
    assert model()._get_ls_params(model="gpt-5")["ls_model_name"] == "gpt-5"


def test_on_attempt_is_called_for_every_attempt() -> None:
    attempts: list[Attempt] = []
    with ScriptedTargets({PRIMARY: [DOWN], SECOND: [say("Hi")]}).running():
        model(on_attempt=attempts.append).invoke("Hi")
    assert [(each.target, each.outcome) for each in attempts] == [(PRIMARY, "auth"), (SECOND, "ok")]


# Settings


def test_the_model_may_be_given_by_position_and_under_its_other_names() -> None:
    llm = ChatUnified(PRIMARY, api_key=KEY, request_timeout=3, stop_sequences=["x"])
    assert (llm.model, llm.model_name, llm.timeout, llm.stop) == (PRIMARY, PRIMARY, 3.0, ["x"])
    assert ChatUnified(model_name=PRIMARY, api_key=KEY).model == PRIMARY
    assert isinstance(llm, BaseChatModel)


def test_settings_reach_the_targets() -> None:
    llm = model(temperature=0.2, max_tokens=5, stop="x", timeout=3, max_retries=0, extra_body={"a": 1})
    first, second = llm.client.targets
    assert first.defaults == {"temperature": 0.2, "max_tokens": 5, "stop": ("x",)}
    assert second.defaults == first.defaults
    assert (first.timing.whole, first.retry.limit, first.extra_body) == (3.0, 0, {"a": 1})


@each(
    ("fields", "message"),
    [
        ({"temprature": 0}, "temperature"),
        ({"model": "opnai/gpt-5"}, "openai"),
        ({"model": ""}, "provider/model"),
        ({"temperature": "sk-misplaced-hot"}, "temperature"),
        ({"max_tokens": -1}, "max_tokens"),
        ({"api_key": "sk-canary with space"}, "space"),
        ({"base_url": "ftp://sk-misplaced@host"}, "base_url"),
        ({"deadline": 0}, "deadline"),
        ({"hedge_after": 0}, "hedge_after must be greater than 0"),
        ({"failover_on": {"filters": True}}, "did you mean 'filter'"),
        ({"failover_on": {"filter": "certainly"}}, "failover_on"),
        ({"on_stream_break": "continue"}, 'on_stream_break knows "raise" alone'),
        ({"fallbacks": "openai/gpt-5"}, "list"),
        ({"fallbacks": [42]}, "int"),
        ({"fallbacks": [{"modl": "openai/gpt-5"}]}, "model"),
        ({"stream_usage": "sk-misplaced-maybe"}, "stream_usage"),
        ({"max_tokens": "sk-misplaced"}, "max_tokens"),
    ],
)
def test_bad_settings_are_found_at_construction_and_no_value_is_repeated(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message) as caught:
        model(**fields)
    assert "canary" not in str(caught.value)
    assert "misplaced" not in str(caught.value)
    assert caught.value.__cause__ is None


@pytest.mark.usefixtures("no_keys")
def test_a_missing_key_is_found_at_construction_and_named() -> None:
    with pytest.raises(ConfigurationError, match="OPENAI_API_KEY"):
        ChatUnified(model=PRIMARY)


@pytest.mark.usefixtures("no_keys")
def test_with_skip_unconfigured_the_rest_of_the_chain_is_used(caplog: pytest.LogCaptureFixture) -> None:
    llm = ChatUnified(model=PRIMARY, fallbacks=["ollama/llama2"], skip_unconfigured=True)
    assert [target.name for target in llm.client.targets] == ["ollama/llama2"]
    assert "OPENAI_API_KEY" in caplog.text


def test_a_key_from_the_environment_stays_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    llm = ChatUnified(model=PRIMARY)
    assert llm.api_key is None
    assert KEY not in repr(vars(llm))


# What a chain can do


def test_the_profile_is_what_every_model_of_the_chain_can_do() -> None:
    alone, joined = model(fallbacks=[]), model(fallbacks=[LLMConfig(model="deepseek/deepseek-chat", api_key=KEY)])
    assert alone.profile
    assert joined.profile
    assert (alone.profile["tool_calling"], alone.profile["image_inputs"]) == (True, True)
    assert (joined.profile["tool_calling"], joined.profile["image_inputs"]) == (True, False)
    windows = [target.context_window for target in joined.client.targets if target.context_window]
    assert joined.profile["max_input_tokens"] == min(windows)


def test_a_window_that_is_not_known_leaves_none_in_the_profile() -> None:
    windows = {
        "ollama/llama2": None,
        "mlx/demo": "primary",  # a last resort
        "vllm/org/model": None,
    }
    known = model(fallbacks=[]).profile
    assert known
    for fallback, expected in windows.items():
        profile = model(fallbacks=[fallback]).profile
        assert profile
        assert profile.get("max_input_tokens") == (known["max_input_tokens"] if expected else None), fallback
    declared = model(fallbacks=[{"model": "vllm/org/model", "context_window": 4096}]).profile
    assert declared
    assert declared["max_input_tokens"] == 4096


def test_a_last_resort_does_not_lower_the_profile_and_alone_it_counts() -> None:
    weak = LLMConfig(model="ollama/llama2", last_resort=True)
    assert model(fallbacks=[weak]).profile == model(fallbacks=[]).profile
    assert read_chain_profile([Target("mlx", "demo", "mlx", last_resort=True)])["tool_calling"] is False


def test_a_profile_given_by_the_user_stays() -> None:
    llm = model(profile={"max_input_tokens": 5})
    llm.temperature = 0.5
    assert llm.profile == {"max_input_tokens": 5}


def test_tokens_are_counted_without_a_tokenizer() -> None:
    assert 3 < model().get_num_tokens_from_messages([SystemMessage("Be brief."), AIMessage("I am.")]) < 30


def test_it_says_what_it_is() -> None:
    llm = model()
    assert llm._llm_type == "unified-llm"
    assert (llm.metadata or {})["lc_versions"]["unified-llm"]


async def test_models_are_listed_and_health_is_that_of_the_chain() -> None:
    page = ((ModelInfo("gpt-5-mini", "openai"),), None)
    with ScriptedTargets({"openai": [[Done(page)]], SECOND.partition("/")[0]: [Failure("server", 503)]}).running():
        llm = model()
        assert [each.id for each in llm.list_models()] == ["gpt-5-mini"]
        assert [each.id for each in await llm.alist_models()] == ["gpt-5-mini"]
        llm.client.health_check()
        ChatUnified(model="ollama/llama2")
    assert {each["target"] for each in llm.health()} <= {PRIMARY, SECOND}


def test_health_has_the_names_of_this_chain_where_another_client_calls_a_target_differently() -> None:
    with ScriptedTargets({PRIMARY: [say("Hello")]}).running():
        LLMClient(PRIMARY, api_key=KEY).generate("Hello?")
        llm = ChatUnified(model=PRIMARY, api_key=KEY, fallbacks=[{"base_url": "https://eu.example"}])
        llm.invoke("Hello?")
        assert {row["target"] for row in llm.health()} == {
            f"{PRIMARY}@{host}" for host in ("api.openai.com", "eu.example")
        }
        assert PRIMARY in {row["target"] for row in health_snapshot()}, "which names it as the first client did"
