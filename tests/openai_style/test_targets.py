"""Which target serves a call of an OpenAI client, and with which settings."""

from __future__ import annotations

import asyncio
import copy
import inspect
import operator
import pickle
from typing import Any

import httpx
import pytest

from tests.support.each import each
from tests.support.openai_sdk import SDK
from tests.support.openai_server import OpenAIServer
from unified_llm import LLMConfig, exceptions
from unified_llm import openai_style as style
from unified_llm._core.target import Target
from unified_llm.openai_style import AsyncAzureOpenAI, AsyncOpenAI, AzureOpenAI, OpenAI, Timeout
from unified_llm.openai_style._resource import Call, Resource

GPT = {"id": "gpt-5-mini", "object": "model", "created": 7, "owned_by": "openai"}
KEY = "sk-test-0123456789"


def call_of(client: Any, **given: Any) -> Call:
    resource: Any = Resource(client.settings)
    call: Call = resource._read(given)[1]
    return call


def targets_of(client: Any, **given: Any) -> list[Target]:
    call: Any = call_of(client, **given)
    return [*call.client._chain_of(call.model, call.options).targets]


@each(
    ("base_url", "model", "expected"),
    [
        (None, "gpt-5-mini", "openai/gpt-5-mini"),
        (None, "openai/gpt-5-mini", "openai/gpt-5-mini"),
        (None, "ft:gpt-4o:org::id", "openai/ft:gpt-4o:org::id"),
        (None, "anthropic/claude-haiku-4-5", "anthropic/claude-haiku-4-5"),
        (None, "ollama/mistral:7b", "ollama/mistral:7b"),
        (None, "groq/openai/gpt-oss-20b", "groq/openai/gpt-oss-20b"),
        ("https://api.groq.com/openai/v1", "openai/gpt-oss-20b", "groq/openai/gpt-oss-20b"),
        ("https://eu.api.openai.com/v1/", "gpt-5-mini", "openai/gpt-5-mini"),
        ("http://localhost:11434/v1", "mistral:7b", "openai-compatible/mistral:7b"),
        ("http://localhost:8000/v1", "openai/gpt-oss-20b", "openai-compatible/openai/gpt-oss-20b"),
        ("http://localhost:8000/v1", "groq:llama-3.3-70b-versatile", "groq/llama-3.3-70b-versatile"),
        (httpx.URL("http://localhost:8000/v1/"), "x", "openai-compatible/x"),
        # Their compatible addresses speak OpenAI's format, other than their own.
        ("https://generativelanguage.googleapis.com/v1beta/openai/", "gemini-x", "openai-compatible/gemini-x"),
        ("https://api.anthropic.com/v1/", "claude-haiku-4-5", "openai-compatible/claude-haiku-4-5"),
    ],
)
def test_a_model_is_of_the_provider_it_names_or_of_the_client(base_url: Any, model: str, expected: str) -> None:
    key = KEY if base_url and "groq:" not in model else None
    client = OpenAI(base_url=base_url, api_key=key)
    assert [target.name for target in targets_of(client, model=model)] == [expected]


@each(
    ("model", "error", "message"),
    [
        ("opnai/gpt-5-mini", exceptions.ConfigurationError, "did you mean 'openai/gpt-5-mini'"),
        ("openai/", exceptions.ConfigurationError, "named without a model"),
        (None, exceptions.ValidationError, "model is missing"),
        ("", exceptions.ValidationError, "model is missing"),
        (7, exceptions.ValidationError, "model is missing"),
    ],
)
def test_a_model_that_cannot_be_is_refused(model: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        call_of(OpenAI(), model=model)


def test_a_missing_key_is_reported_by_the_call_that_needs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY")
    client = OpenAI()
    assert targets_of(client, model="groq/llama-3")[0].key is not None
    with pytest.raises(exceptions.UnconfiguredError, match="OPENAI_API_KEY"):
        call_of(client, model="gpt-5-mini")
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    assert targets_of(client, model="gpt-5-mini")[0].key is not None


def test_the_address_in_the_environment_gets_the_key_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_BASE_URL", "https://models.example/v1")
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    target = targets_of(OpenAI(), model="org/model")[0]
    assert (target.name, target.base_url) == ("openai-compatible/org/model", "https://models.example/v1")
    assert target.key is not None
    assert target.key.reveal() == KEY
    assert target.defaults == {"reasoning_format": "raw", "text_tool_calls": False, "merge_messages": False}
    monkeypatch.delenv("OPENAI_COMPATIBLE_API_KEY")
    elsewhere = targets_of(OpenAI(base_url="https://other.example/v1"), model="m")[0]
    assert elsewhere.key is None


def test_a_change_of_provider_carries_neither_key_nor_headers_along() -> None:
    client = OpenAI(api_key=KEY, default_headers={"X-Tenant": "a"}, temperature=0.5, base_url="http://localhost:1/v1")
    target = targets_of(client, model="groq:llama-3")[0]
    assert target.key is not None
    assert target.key.reveal() != KEY
    assert target.headers == {}
    assert target.defaults == {"temperature": 0.5}


def test_a_copy_gives_another_provider_nothing_of_its_own_either() -> None:
    given: Any = {"api_key": KEY, "default_headers": {"X-Api-Key": KEY}, "default_query": {"key": KEY}, "timeout": 7}
    client = OpenAI(default_query={"v": "1"}).with_options(**given, base_url="http://localhost:1/v1")
    call = call_of(client, model="groq:llama-3")
    target = targets_of(client, model="groq:llama-3")[0]
    assert target.key is not None
    assert target.key.reveal() != KEY
    assert (call.options.extra_headers, call.options.extra_query, call.options.timeout) == ({}, (), 7)
    assert target.base_url.startswith("https://api.groq.com")
    own = targets_of(client, model="x")[0]
    assert own.key is not None
    assert (own.key.reveal(), own.base_url) == (KEY, "http://localhost:1/v1")
    assert call_of(client, model="x").options.extra_query == (("v", "1"), ("key", KEY))


def test_fallbacks_are_tried_after_the_target_of_each_call() -> None:
    client = OpenAI(fallbacks=["groq/llama-3", {"base_url": "https://eu.api.openai.com/v1"}])
    names = [target.name for target in targets_of(client, model="gpt-4o")]
    assert names == ["openai/gpt-4o@api.openai.com", "groq/llama-3", "openai/gpt-4o@eu.api.openai.com"]
    # The other address is one of OpenAI, so it is no fallback of another provider's model.
    names = [target.name for target in targets_of(client, model="anthropic/claude-haiku-4-5")]
    assert names == ["anthropic/claude-haiku-4-5", "groq/llama-3"]
    names = [target.name for target in targets_of(client, model="gpt-4o", fallbacks=["mistral/m"])]
    assert names == ["openai/gpt-4o", "mistral/m"]


def test_a_client_may_have_a_model_of_its_own() -> None:
    client = OpenAI(model="anthropic/claude-haiku-4-5")
    assert targets_of(client)[0].name == "anthropic/claude-haiku-4-5"
    assert targets_of(client, model="gpt-4o")[0].name == "openai/gpt-4o"


def test_clients_of_a_provider_are_made_once(monkeypatch: pytest.MonkeyPatch) -> None:
    client = OpenAI()
    first = call_of(client, model="gpt-4o").client
    assert call_of(client.with_options(timeout=3), model="gpt-5-mini", max_retries=1).client is first
    keyed = call_of(client.with_options(api_key=KEY), model="gpt-4o")
    assert keyed.client is first
    assert keyed.options.named_targets is not None
    monkeypatch.delenv("OPENAI_API_KEY")
    other = OpenAI()  # which has no client without the key of a call
    made = call_of(other, model="gpt-4o", api_key=KEY).client
    assert call_of(other, model="gpt-5-mini", api_key=KEY).client is made
    assert call_of(other, model="gpt-4o", api_key=f"{KEY}1").client is not made


def test_a_key_and_an_address_of_a_call_are_for_this_call() -> None:
    client = OpenAI(default_headers={"X-Tenant": "a"})
    own = targets_of(client, model="m", api_key=KEY)[0]
    assert own.key is not None
    assert (own.key.reveal(), dict(own.headers)) == (KEY, {"X-Tenant": "a"})
    there = targets_of(client, model="m", base_url="http://localhost:7/v1")[0]
    assert (there.name, there.key, dict(there.headers)) == ("openai-compatible/m", None, {})
    at_address = targets_of(client, model="groq:llama-3", base_url="http://localhost:7/v1")[0]
    assert (at_address.name, at_address.base_url, at_address.key) == ("groq/llama-3", "http://localhost:7/v1", None)


class StepLimits:
    """What ``httpx.Timeout`` and the SDK's class look like."""

    def __init__(self, read: float | None, connect: float | None) -> None:
        self.read, self.connect, self.write, self.pool = read, connect, None, None


@each(
    ("timeout", "expected"),
    [
        (7, (7, 600, None)),
        (None, (604_800, None, None)),
        (900.0, (900, None, None)),
        (Timeout(9, connect=2), (9, 600, 2)),
        (Timeout(None, read=4), (4, 600, None)),
        (httpx.Timeout(9.0, connect=2.0), (9, 600, 2)),
        (StepLimits(None, None), (604_800, 600, None)),
        (SDK.Timeout(5.0), (5, 600, 5)),
        (style.NOT_GIVEN, (None, 600, None)),
        (SDK.NOT_GIVEN, (None, 600, None)),
    ],
)
def test_timeouts_have_the_forms_of_the_sdk(timeout: Any, expected: tuple[Any, ...]) -> None:
    seconds, deadline, connect = expected
    clients = OpenAI(timeout=timeout), OpenAI().with_options(timeout=timeout)
    for client in clients:
        call = call_of(client, model="gpt-4o")
        if seconds == 604_800 and timeout is not None:
            deadline = None
        assert (call.options.timeout, call.options.deadline) == (seconds, deadline)
        assert targets_of(client, model="gpt-4o")[0].timing.connect == (connect or 5.0)
    assert call_of(OpenAI(timeout=1), model="gpt-4o", timeout=timeout).options.timeout == (seconds or 1)


def test_a_timeout_that_is_none_is_refused() -> None:
    with pytest.raises(exceptions.ValidationError, match="timeout must be a number of seconds"):
        call_of(OpenAI(timeout="soon"), model="gpt-4o")


def test_options_are_added_by_copies_and_calls() -> None:
    client = OpenAI(default_headers={"A": "1"}, default_query={"v": "1"}, max_retries=0)
    copied = client.with_options(default_headers={"B": "2"}, default_query={"w": [1, True]}, organization="org")
    call = call_of(copied, model="gpt-4o", extra_headers={"C": "3", "D": style.omit}, extra_query={"v": "2"})
    assert dict(call.options.extra_headers) == {"B": "2", "C": "3", "OpenAI-Organization": "org"}
    assert call.options.extra_query == (("v", "2"), ("w[]", "1"), ("w[]", "true"))
    assert call.options.retries == {"limit": 0}
    assert (copied.organization, client.organization) == ("org", None)
    assert copied.default_headers == {"A": "1", "B": "2", "OpenAI-Organization": "org"}
    assert (client.api_key, client.is_closed()) == (None, False)
    assert client.with_options(api_key=KEY).api_key.reveal() == OpenAI(api_key=KEY).api_key.reveal() == KEY
    assert (client.max_retries, client.timeout, client.base_url) == (0, None, "")


class Counting(OpenAI):
    """A client as programs derive one."""

    def __init__(self, *, label: str, **given: Any) -> None:
        super().__init__(**given)
        self.label = label


def test_copies_of_derived_clients_keep_what_they_have_of_their_own() -> None:
    client = Counting(label="mine", api_key=KEY)
    before = client.chat.completions
    again = pickle.loads(pickle.dumps(client))  # noqa: S301 - made here
    for made in (client.with_options(timeout=5), client.copy(), copy.copy(client), copy.deepcopy(client), again):
        assert (type(made), made.label) == (Counting, "mine")
        assert made.chat.completions is not before


def test_settings_can_be_assigned_and_hold_for_later_calls() -> None:
    client = OpenAI(api_key="sk-the-first-key")
    before = client.chat.completions
    client.api_key, client.timeout, client.max_retries = KEY, 7, 1
    client.organization, client.base_url = "org", "http://localhost:1/v1"
    assert (client.api_key.reveal(), client.timeout, client.max_retries) == (KEY, 7, 1)
    assert (client.organization, client.base_url) == ("org", "http://localhost:1/v1")
    target = targets_of(client, model="m")[0]
    assert (target.provider, target.base_url) == ("openai-compatible", "http://localhost:1/v1")
    assert call_of(client, model="m").options.retries == {"limit": 1}
    assert client.chat.completions is not before
    assert KEY not in repr(vars(client))


def test_what_the_sdk_takes_and_this_does_not_is_refused_with_a_hint() -> None:
    with pytest.raises(exceptions.ConfigurationError, match=r"http_client= is not taken: .* proxy="):
        OpenAI(http_client=httpx.Client())
    with pytest.raises(exceptions.ConfigurationError, match="http_client="):
        OpenAI().with_options(http_client=httpx.Client())
    with pytest.raises(exceptions.ConfigurationError, match="did you mean 'fallbacks'"):
        OpenAI(falbacks=[])
    with pytest.raises(exceptions.ValidationError, match="with_options"):
        OpenAI().with_options(temprature=1)
    assert isinstance(OpenAI(http_client=None, _strict_response_validation=True), OpenAI)


def test_features_of_openai_alone_name_its_sdk() -> None:
    client = OpenAI()
    with pytest.raises(exceptions.UnsupportedOperationError, match=r"fine-tuning.*openai\.OpenAI\(\)\.fine_tuning"):
        client.fine_tuning  # type: ignore[attr-defined] # noqa: B018 # pyright: ignore[reportAttributeAccessIssue]
    with pytest.raises(exceptions.UnsupportedOperationError, match=r"OpenAI\(\)\.models\.with_streaming_response"):
        client.models.with_streaming_response  # type: ignore[attr-defined] # noqa: B018 # pyright: ignore[reportAttributeAccessIssue]
    assert not hasattr(client, "fine_tuning")
    assert getattr(client, "vector_stores", None) is None
    with pytest.raises(exceptions.UnsupportedOperationError, match=r"voices.*openai\.OpenAI\(\)\.audio\.voices"):
        client.audio.voices  # type: ignore[attr-defined] # noqa: B018 # pyright: ignore[reportAttributeAccessIssue]
    with pytest.raises(AttributeError, match="no attribute 'chatt'"):
        client.chatt  # type: ignore[attr-defined] # noqa: B018 # pyright: ignore[reportAttributeAccessIssue]
    with pytest.raises(style.BadRequestError, match="fine-tuned"):
        client.models.delete("m")


def test_signatures_show_the_arguments_of_the_sdk() -> None:
    theirs, ours = SDK.OpenAI(api_key=KEY), OpenAI(api_key=KEY)
    for path in ("chat.completions.create", "chat.completions.parse", "completions.create", "embeddings.create"):
        method = operator.attrgetter(path)
        wanted = inspect.signature(method(theirs)).parameters.keys()
        assert wanted <= inspect.signature(method(ours)).parameters.keys(), path
        assert inspect.iscoroutinefunction(method(AsyncOpenAI(api_key=KEY)))


def test_azure_clients_take_the_arguments_of_the_sdk() -> None:
    client = AzureOpenAI(
        azure_endpoint="https://r.openai.azure.com", azure_deployment="d", api_version="2024-10-21", api_key=KEY
    )
    target = targets_of(client, model="gpt-4o")[0]
    assert (target.name, target.api_version, target.format) == ("azure/d", "2024-10-21", "azure")
    assert target.base_url.startswith("https://r.openai.azure.com")
    assert targets_of(client, model="groq/llama-3")[0].name == "groq/llama-3"
    entra = AsyncAzureOpenAI(azure_endpoint="https://r.openai.azure.com", azure_ad_token_provider=lambda: KEY)
    assert targets_of(entra, model="my-deployment")[0].key_callable is not None
    with pytest.raises(exceptions.ConfigurationError, match="leave all but one out"):
        AzureOpenAI(azure_endpoint="https://r.openai.azure.com", api_key=KEY, azure_ad_token="eyJ.a.b")
    with pytest.raises(exceptions.ConfigurationError, match="leave one out"):
        AzureOpenAI(azure_endpoint="https://r.openai.azure.com", base_url="https://r.openai.azure.com", api_key=KEY)


def test_a_client_shows_no_key_and_is_copied_and_pickled_without_one() -> None:
    client = OpenAI(api_key=KEY, default_headers={"X-Api-Key": KEY}, fallbacks=[LLMConfig(model="groq/m", api_key=KEY)])
    client = client.with_options(api_key=KEY, default_headers={"X-Api-Key": KEY})
    call_of(client, model="gpt-4o")
    assert KEY not in repr(client)
    assert KEY not in repr(vars(client))
    assert targets_of(copy.deepcopy(client), model="gpt-4o")[0].name == "openai/gpt-4o"
    assert KEY.encode() not in pickle.dumps(client)
    plain = OpenAI(fallbacks=["groq/m"])
    call_of(plain, model="gpt-4o")
    again = pickle.loads(pickle.dumps(plain))  # noqa: S301 - made here
    assert [target.name for target in targets_of(again, model="gpt-4o")] == ["openai/gpt-4o", "groq/m"]


def test_models_are_listed_over_the_chain(monkeypatch: pytest.MonkeyPatch) -> None:
    server = OpenAIServer(monkeypatch)
    client = OpenAI(base_url=server.url, fallbacks=[{"provider": "vllm", "base_url": "http://127.0.0.1:9098/v1"}])
    for _ in range(2):
        server.reply({"object": "list", "data": [GPT, {"id": "own"}]})
        server.reply({"object": "list", "data": [{"id": "llama"}]})
    page = client.models.list()
    assert [model.id for model in page] == ["gpt-5-mini", "own", "vllm/llama"]
    assert page.data[0].model_dump(exclude_none=True) == GPT
    assert (page.object, page.has_next_page()) == ("list", False)
    assert page.data[2].owned_by == "vllm"
    assert [received.path for received in server.received] == ["/v1/models", "/v1/models"]

    async def listed() -> list[str]:
        other = AsyncOpenAI(base_url=server.url)
        async with other:
            return [model.id async for model in other.models.list()] + [m.id for m in (await other.models.list()).data]

    assert asyncio.run(listed()) == ["gpt-5-mini", "own", "llama"]
    with pytest.raises(style.BadRequestError, match="takes no timeout"):
        client.models.list(timeout=3)


def test_a_model_is_described(monkeypatch: pytest.MonkeyPatch) -> None:
    server = OpenAIServer(monkeypatch)
    server.reply({"object": "list", "data": [GPT]})
    client = OpenAI(base_url=server.url, default_query={"api-version": "7"})
    model = client.models.retrieve("gpt-5-mini", extra_query={"x": "a b"})
    assert (model.id, model["created"]) == ("gpt-5-mini", 7)
    assert server.received[0].path == "/v1/models?api-version=7&x=a+b"
