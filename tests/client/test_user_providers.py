"""User-defined providers: an object with methods, or a base URL."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from tests.support.each import each
from tests.support.four_ways import CANARY, GPT, WAYS, Way, outcome_of
from tests.support.scripted_targets import USAGE, ScriptedTargets, say
from unified_llm import ChatProvider, LLMClient, ModelInfo, health_snapshot, register_provider
from unified_llm import exceptions as exc
from unified_llm._backends.objects.errors import read_failure
from unified_llm._config.provider_base import ProviderBase
from unified_llm._core.outcome import Failure
from unified_llm._providers import registry
from unified_llm.testing import outage
from unified_llm.types import (
    EmbeddingRequest,
    EmbeddingResponse,
    LLMChunk,
    LLMRequest,
    LLMResponse,
    ToolCall,
    ToolCallChunk,
)

TOOL = {"type": "function", "function": {"name": "look", "parameters": {"type": "object", "properties": {}}}}


@pytest.fixture(autouse=True)
def _unregister() -> Iterator[None]:
    yield
    for row in registry.registered():
        registry.unregister(row.name)


class Plain:
    """Both methods, sync."""

    def generate(self, request: LLMRequest) -> LLMResponse:
        return LLMResponse(f"{request.model} says hello", usage=USAGE)

    def stream(self, request: LLMRequest) -> Iterator[LLMChunk]:
        yield from (LLMChunk(piece) for piece in (str(request.model), " says ", "hello"))
        yield LLMChunk(finish_reason="stop", usage=USAGE)


class Native:
    """Both methods, async."""

    async def generate(self, request: LLMRequest) -> str:
        await asyncio.sleep(0)
        return f"{request.model} says hello"

    async def stream(self, request: LLMRequest) -> AsyncIterator[str]:
        for piece in (str(request.model), " says ", "hello"):
            await asyncio.sleep(0)
            yield piece


class Mixed:
    """A stream that has to be awaited before it can be read."""

    def generate(self, request: LLMRequest) -> str:
        return f"{request.model} says hello"

    async def stream(self, request: LLMRequest) -> AsyncIterator[str]:
        await asyncio.sleep(0)
        return Native().stream(request)


class OnlyWhole:
    def generate(self, request: LLMRequest) -> str:
        return f"{request.model} says hello"


class FromPieces(ProviderBase):
    def stream(self, request: LLMRequest) -> Iterator[LLMChunk | str]:
        yield from Plain().stream(request)


class FromWhole(ProviderBase):
    def generate(self, request: LLMRequest) -> LLMResponse | str:
        return OnlyWhole().generate(request)


class Listing(OnlyWhole):
    context_window = 4096
    features = ("tools",)

    def embed(self, request: EmbeddingRequest) -> Any:
        return (
            EmbeddingResponse([[1.0, 2.0]], model="mine") if request.dimensions else [(1.0, 2.0) for _ in request.texts]
        )

    async def list_models(self) -> list[ModelInfo | str]:
        return ["small", ModelInfo("large", "somebody", context_window=8192)]


class Raising:
    """Raises the same error from both methods, at once or after some chunks."""

    def __init__(self, error: Exception, after: int = 0) -> None:
        self.error = error
        self.after = after
        self.calls = 0

    def generate(self, request: LLMRequest) -> str:
        self.calls += 1
        raise self.error

    def stream(self, request: LLMRequest) -> Iterator[str]:
        self.calls += 1
        yield from ["so far "] * self.after
        raise self.error


@each("way", WAYS)
@each("kind", [Plain, Native, Mixed, OnlyWhole, FromPieces, FromWhole])
def test_a_sync_or_async_object_answers_in_all_four_ways(kind: type[ChatProvider], way: Way) -> None:
    register_provider("mine", kind())
    answer = outcome_of(way, LLMClient("mine/parrot"))
    assert answer.content == "parrot says hello"
    assert (answer.metadata[0], *answer.metadata[3:]) == ("stop", "parrot", "mine")
    assert [attempt[:2] for attempt in answer.attempts] == [("mine/parrot", "ok")]


class Failing(Exception):  # noqa: N818 - as an SDK's exceptions are
    status_code = 503


ERRORS: dict[str, tuple[Exception, str]] = {
    "ours": (exc.ServiceUnavailableError("Down."), "server"),
    "by status": (ProviderBase.error(401, "who are you?"), "auth"),
    "throttled": (ProviderBase.error(429, code="slow_down", retry_after=7), "rate_limit"),
    "another 4xx": (ProviderBase.error(418), "bad_request"),
    "another 5xx": (ProviderBase.error(599), "server"),
    "a builtin": (ConnectionResetError("gone"), "connection"),
    "an SDK's": (Failing("down"), "server"),
}


@each("name", ERRORS)
def test_what_it_raises_is_read_for_what_it_says(name: str) -> None:
    error, outcome = ERRORS[name]
    broken = Raising(error)
    register_provider("broken", broken)
    register_provider("mine", OnlyWhole())
    client = LLMClient("broken/a", fallbacks=["mine/b"], max_retries=0)
    for way in WAYS:
        assert outcome_of(way, client).content == "b says hello"
    with pytest.raises(exc.LLMError) as caught:
        LLMClient("broken/another", max_retries=0).generate("Hello?")
    assert caught.value.attempts[0].outcome == outcome
    assert caught.value.provider == "broken"
    if name == "throttled":
        assert isinstance(caught.value, exc.RateLimitError)
        assert (caught.value.retry_after, caught.value.code) == (7, "slow_down")


def test_a_mistake_in_its_code_is_seen_not_hidden() -> None:
    register_provider("broken", Raising(KeyError("choices")))
    register_provider("mine", OnlyWhole())
    for way in WAYS:
        with pytest.raises(KeyError, match="choices"):
            outcome_of(way, LLMClient("broken/a", fallbacks=["mine/b"]))


@pytest.mark.parametrize("way", ["stream", "astream"])
def test_a_stream_that_breaks_is_never_begun_again(way: Way) -> None:
    broken = Raising(ConnectionResetError("gone"), after=1)
    register_provider("broken", broken)
    register_provider("mine", OnlyWhole())
    assert outcome_of(way, LLMClient("broken/a", fallbacks=["mine/b"])).error is exc.StreamInterruptedError
    assert broken.calls == 1


def test_one_that_hangs_is_left_when_its_time_is_over() -> None:
    class Hanging(OnlyWhole):
        def generate(self, request: LLMRequest) -> str:
            time.sleep(0.3)
            return "too late"

    register_provider("hanging", Hanging())
    register_provider("mine", OnlyWhole())
    client = LLMClient({"model": "hanging/a", "timeout": 0.02, "max_retries": 0}, fallbacks=["mine/b"])
    assert client.generate("Hello?").content == "b says hello"
    assert asyncio.run(client.agenerate("Hello?")).content == "b says hello"


def test_a_provider_may_return_the_stream_of_a_client() -> None:
    class Relay(OnlyWhole):
        def stream(self, request: LLMRequest) -> Any:
            return LLMClient("mine/b").stream(request)

    class AsyncRelay(OnlyWhole):
        def stream(self, request: LLMRequest) -> Any:
            return LLMClient("mine/b").astream(request)

    register_provider("mine", OnlyWhole())
    register_provider("relay", Relay())
    register_provider("async-relay", AsyncRelay())
    for way in WAYS:
        for name in ("relay/b", "async-relay/b"):
            assert outcome_of(way, LLMClient(name)).content == "b says hello"


def test_an_answer_that_says_nothing_is_none() -> None:
    class Silent:
        def generate(self, request: LLMRequest) -> LLMResponse:
            return LLMResponse("")

        def stream(self, request: LLMRequest) -> Iterator[LLMChunk]:
            yield from ()

    register_provider("silent", Silent())
    for way in WAYS:
        assert outcome_of(way, LLMClient("silent/a", max_retries=0)).error is exc.GenerationError


def test_what_is_no_answer_is_a_mistake_in_its_code() -> None:
    class Wrong:
        def generate(self, request: LLMRequest) -> Any:
            return 7

        def stream(self, request: LLMRequest) -> Iterator[Any]:
            yield {"content": "hello"}

    register_provider("wrong", Wrong())
    for way in WAYS:
        with pytest.raises(TypeError, match=r"expected an LLM(Response|Chunk) or a str"):
            outcome_of(way, LLMClient("wrong/a"))


def test_tools_come_to_those_that_say_they_have_them() -> None:
    class Calling:
        features = ("tools", "tool_choice")

        def generate(self, request: LLMRequest) -> LLMResponse:
            assert request.tools[0].name == "look"
            call = ToolCall.parse("c1", "look", "{}")
            return LLMResponse(tool_calls=(call,), finish_reason="tool_calls")

        def stream(self, request: LLMRequest) -> Iterator[LLMChunk]:
            yield LLMChunk(tool_calls=(ToolCallChunk(0, "c1", "look", "{}"),))

    register_provider("calling", Calling())
    register_provider("mine", Plain())
    for way in WAYS:
        answer = outcome_of(way, LLMClient("mine/a", fallbacks=["calling/b"]), tools=[TOOL])
        assert (answer.calls, answer.metadata[0]) == ((("look", "{}"),), "tool_calls")
        assert answer.attempts[0][5] == "it cannot call tools"


def test_json_is_asked_for_by_prompt_and_checked() -> None:
    class Knowing(ProviderBase):
        def generate(self, request: LLMRequest) -> str:
            assert "JSON schema" in request.messages[0].text
            return 'Sure: ```json\n{"city": "Rome"}\n```'

    register_provider("knowing", Knowing())
    schema = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
    form = {"type": "json_schema", "json_schema": {"name": "place", "schema": schema}}
    for way in WAYS:
        assert outcome_of(way, LLMClient("knowing/a"), response_format=form).content == '{"city": "Rome"}'


def test_vectors_and_models_come_from_those_that_have_them() -> None:
    register_provider("mine", Listing())
    client = LLMClient("mine/small")
    assert client.targets[0].context_window == 4096
    assert client.embed(["a", "b"]).vectors == [[1.0, 2.0], [1.0, 2.0]]
    assert asyncio.run(client.aembed("a", dimensions=2)).model == "mine"
    assert [(model.id, model.provider) for model in client.list_models()] == [("small", "mine"), ("large", "mine")]
    register_provider("plain", Plain())
    with pytest.raises(exc.UnsupportedOperationError, match="make embeddings"):
        LLMClient("plain/a").embed("a")


def test_a_name_that_is_taken_over_has_new_health_and_the_old_object_is_closed() -> None:
    closed: list[str] = []

    class Closing(Raising):
        async def close(self) -> None:
            closed.append("async")

    class ClosingPlainly(OnlyWhole):
        def close(self) -> None:
            closed.append("sync")
            raise ValueError("dropped")

    register_provider("mine", Closing(Failing("down")))
    with pytest.raises(exc.ServiceUnavailableError):
        LLMClient("mine/a", max_retries=0).generate("Hello?")
    register_provider("mine", ClosingPlainly())
    assert closed == ["async"]
    assert LLMClient("mine/a").generate("Hello?").attempts[-1].outcome == "ok"
    assert len([entry for entry in health_snapshot() if entry["target"] == "mine/a"]) == 2
    register_provider("mine", OnlyWhole())
    assert closed == ["async", "sync"]


def test_an_outage_reaches_it_too() -> None:
    register_provider("mine", OnlyWhole())
    with outage("mine"), pytest.raises(exc.ServiceUnavailableError):
        LLMClient("mine/a", max_retries=0).generate("Hello?")


class TestAddresses:
    def test_an_address_is_a_row_like_any_other(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("GATEWAY_KEY", CANARY)
        register_provider(
            "my-gateway",
            base_url="https://llm.example.com",
            api_key_env="GATEWAY_KEY",
            features=["tools", "embeddings"],
        )
        client = LLMClient(GPT, fallbacks=["my-gateway/org/model"], api_key=CANARY, max_retries=0)
        target = client.targets[1]
        assert (target.base_url, target.format, target.model) == (
            "https://llm.example.com/v1",
            "openai_chat",
            "org/model",
        )
        assert target.key is not None
        assert target.key.reveal() == CANARY
        assert target.features >= {"streaming", "models", "tools", "embeddings"}
        targets = ScriptedTargets({GPT: [Failure("server", 503)], "my-gateway/org/model": [say("Hello")]})
        with targets.running():
            assert client.generate("Hello?").provider == "my-gateway"

    def test_its_key_goes_to_its_own_host_alone(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("GATEWAY_KEY", CANARY)
        register_provider("my-gateway", base_url="https://llm.example.com", api_key_env=["NOT_SET", "GATEWAY_KEY"])
        with pytest.raises(exc.ConfigurationError, match="is only sent to"):
            LLMClient("my-gateway/a", base_url="https://evil.example.net")

    def test_a_key_in_place_of_its_variable_is_refused_and_not_repeated(self) -> None:
        for given in (CANARY, "hf_CANARYabcdefghij", ["GATEWAY_KEY", CANARY], "MY KEY", ""):
            with pytest.raises(exc.ConfigurationError, match="is the name of an environment variable") as refused:
                register_provider("my-gateway", base_url="https://llm.example.com", api_key_env=given)
            assert "CANARY" not in str(refused.value)

    def test_one_without_a_key_needs_none(self) -> None:
        register_provider("lan", base_url="http://10.0.0.7:8000", literal_models=True, local=True)
        assert LLMClient("lan/a").targets[0].key is None

    def test_another_format_can_be_named(self) -> None:
        with pytest.raises(exc.ConfigurationError, match="no format 'openai'"):
            register_provider("lan", base_url="http://10.0.0.7:8000", format="openai")


@each(
    ("name", "arguments", "message"),
    [
        ("My Gateway", {"base_url": "https://x.example"}, "small letters"),
        ("a/b", {"base_url": "https://x.example"}, "small letters"),
        ("openai", {"base_url": "https://x.example"}, "a known provider already"),
        ("hf", {"base_url": "https://x.example"}, "a known provider already"),
        ("mine", {}, "needs a base_url= or an object that has generate\\(request\\); it got neither"),
        ("mine", {"base_uri": "https://x.example"}, "no field 'base_uri': did you mean 'base_url'"),
        ("mine", {"provider": "https://x.example"}, "got a string: an address goes into base_url="),
        ("mine", {"provider": Plain}, "is a class: register an object of it"),
        ("azure_openai", {"base_url": "https://x.example"}, "a known provider already"),
        ("mine", {"provider": Plain(), "base_url": "https://x.example"}, "not both"),
        ("mine", {"provider": object()}, "'object' is no provider: it needs generate"),
        ("mine", {"provider": Plain(), "wire": "openai_chat"}, "has no field 'wire'"),
        ("mine", {"base_url": "https://x.example", "key_environment": "X"}, "did you mean 'key_env'"),
        ("mine", {"base_url": "https://x.example", "features": ["tool"]}, "did you mean 'tools'"),
        ("mine", {"base_url": "not an address"}, "base_url="),
        ("mine", {"base_url": "https://x.example", "headers": {"Authorization": "Bearer x"}}, "api_key="),
    ],
)
def test_what_cannot_be_a_provider_is_refused_at_once(name: str, arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(exc.ConfigurationError, match=message):
        register_provider(name, **arguments)
    assert registry.registered() == ()


def test_an_unknown_name_suggests_the_registered_one() -> None:
    register_provider("my-gateway", Plain())
    with pytest.raises(exc.ConfigurationError, match="my-gateway/a"):
        LLMClient("my-gatway/a")


def test_a_base_without_a_method_says_what_to_write() -> None:
    register_provider("empty", ProviderBase())
    with pytest.raises(exc.UnsupportedOperationError):
        LLMClient("empty/a", max_retries=0).generate("Hello?")


@each(
    "problem",
    [
        FileNotFoundError("ca.pem"), PermissionError("ca.pem"), IsADirectoryError("."), ModuleNotFoundError("boto3"),
        exc.ConfigurationError("no key"),
    ],
)  # fmt: skip
def test_what_is_missing_on_this_machine_is_no_failure_of_a_provider(problem: Exception) -> None:
    failure = read_failure(problem)
    assert failure
    assert failure.kind == "setup"
