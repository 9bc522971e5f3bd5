"""A LangChain chat model object as the primary of a ``ChatUnified``, and strings in ``with_fallbacks``."""

from __future__ import annotations

import copy
import json
import pickle
from typing import Any

import httpx
import pytest
from langchain.agents import create_agent
from langchain.chat_models import init_chat_model
from langchain_core.caches import InMemoryCache
from langchain_core.language_models import FakeListChatModel
from langchain_core.load import dumpd
from langchain_core.runnables import RunnableBinding, RunnableLambda, RunnableWithFallbacks
from langchain_core.tools import tool
from pydantic import BaseModel

from tests.support.each import each
from tests.support.langchain_models import Native, Plain, Streaming, WithTools
from tests.support.langchain_targets import KEY, with_wrapped_models
from tests.support.scripted_targets import Pause, ScriptedTargets, say
from unified_llm import LLMConfig
from unified_llm.exceptions import ConfigurationError
from unified_llm.langchain import ChatUnified, UnifiedEmbeddings

BACKUP = "ollama/llama2"


@tool
def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


class Joke(BaseModel):
    """A joke."""

    setup: str


def running() -> Any:
    return with_wrapped_models(ScriptedTargets({BACKUP: [say("Hello from the backup")]}))


@pytest.mark.parametrize("kind", [Plain, WithTools, Streaming, Native])
async def test_an_object_is_the_primary_in_all_four_ways(kind: type[Plain]) -> None:
    chat = ChatUnified(model=kind(), fallbacks=[BACKUP])
    with running():
        whole = [chat.invoke("Hi"), await chat.ainvoke("Hi")]
        streamed = [
            "".join(chunk.text for chunk in chat.stream("Hi")),
            "".join([chunk.text async for chunk in chat.astream("Hi")]),
        ]
    assert {message.text for message in whole} == set(streamed) == {"Hello from outside"}
    record = whole[0].response_metadata["unified_llm"]
    assert (record["served_by"], record["used_fallback"]) == ("outside/plain-1", False)


def test_when_it_fails_the_fallback_answers() -> None:
    chat = ChatUnified(model=Plain(problem=ConnectionError("down")), fallbacks=[BACKUP])
    with running():
        message = chat.invoke("Hi")
    assert message.text == "Hello from the backup"
    assert message.response_metadata["unified_llm"]["used_fallback"]


def test_settings_beside_it_apply_as_those_of_a_call_would() -> None:
    outside = Plain(temperature=1.0)
    chat = ChatUnified(model=outside, temperature=0.5, max_tokens=7, stop=["END"], timeout=9, context_window=5000)
    with running():
        chat.invoke("Hi")
        chat.invoke("Hi", temperature=0.25)
        ChatUnified(model=outside).invoke("Hi")
    first, second, third = outside.calls
    assert (first["temperature"], first["num_predict"], first["stop"]) == (0.5, 7, ["END"])
    assert (second["temperature"], second["num_predict"]) == (0.25, 7)
    assert (third["temperature"], "num_predict" in third) == (1.0, False)
    (target,) = chat.client.targets
    assert (target.timing.whole, target.timing.fixed, target.context_window) == (9, True, 5000)


@each(
    "fields",
    [
        {"base_url": "https://example.com"},
        {"api_key": KEY},
        {"provider": "openai"},
        {"extra_body": {"a": 1}},
        {"model_kwargs": {"a": 1}},
        {"default_headers": {"a": "b"}},
        {"api": "responses"},
        {"verify_ssl": False},
    ],
)
def test_settings_of_the_object_itself_are_refused_beside_it(fields: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError, match="cannot stand beside a model object"):
        ChatUnified(model=Plain(), **fields)


@each(
    ("given", "message"),
    [
        (5, 'model must be a string, such as "openai/gpt-5-mini", or a LangChain chat model, not int.'),
        (Plain, "not the class .*: make an object of it"),
        (RunnableLambda(str), "or a LangChain chat model, not RunnableLambda"),
        (ChatUnified(model=BACKUP), "is a chain already"),
        (LLMConfig(model=BACKUP), "the fields of an LLMConfig are arguments"),
    ],
)
def test_anything_else_is_refused_in_one_sentence(given: Any, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        ChatUnified(model=given)
    with pytest.raises(ConfigurationError, match=message):
        ChatUnified(given)  # works, and is not advertised
    chat = ChatUnified(model=BACKUP)
    with pytest.raises(ConfigurationError, match=message):
        chat.model = given


@each(
    ("given", "message"),
    [
        (Plain().with_fallbacks([Plain()]), "not RunnableWithFallbacks: give its model and its fallbacks one by one"),
        (Plain().with_retry(), "not RunnableRetry: give the model without with_retry"),
        (Plain() | RunnableLambda(str), "not RunnableSequence: give the chat model alone"),
        (ChatUnified(model=BACKUP).with_structured_output(Joke), "not RunnableSequence: give the chat model alone"),
        (init_chat_model(configurable_fields="any"), "not _ConfigurableModel: give the model that init_chat_model"),
        (create_agent(Plain(), []), "not CompiledStateGraph: give the chat model; an agent"),
    ],
)
def test_what_is_made_of_a_chat_model_is_refused_with_what_to_give(given: Any, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        ChatUnified(model=given)
    with pytest.raises(ConfigurationError, match=message):
        ChatUnified(model=BACKUP, fallbacks=[given])


def test_embeddings_take_no_chat_model() -> None:
    with pytest.raises(ConfigurationError, match="A chat model makes no embeddings"):
        UnifiedEmbeddings(model=Plain())  # type: ignore[arg-type]
    with pytest.raises(ConfigurationError, match=r"such as .*, not object"):
        UnifiedEmbeddings(model=object())  # type: ignore[arg-type]


def test_a_binding_is_a_primary_with_its_arguments() -> None:
    outside = WithTools()
    chat = ChatUnified(model=outside.bind_tools([add]), fallbacks=[BACKUP])
    with running():
        chat.invoke("Hi")
        chat.bind_tools([Joke]).invoke("Hi")
    names = [[each["function"]["name"] for each in call["tools"]] for call in outside.calls]
    assert names == [["add"], ["Joke", "add"]]


def test_structured_output_and_names_are_those_of_a_chain() -> None:
    chat = ChatUnified(model=WithTools(answer=json.dumps({"setup": "Why?"})), fallbacks=[BACKUP], temperature=0)
    with running():
        assert chat.with_structured_output(Joke).invoke("Hi") == Joke(setup="Why?")
    assert chat.model_name == "outside/plain-1"
    assert chat._get_ls_params()["ls_model_name"] == "outside/plain-1"  # pyright: ignore[reportPrivateUsage]
    assert repr(chat) == "ChatUnified(outside/plain-1 -> ollama/llama2)"
    assert chat.model_dump()["model"] == "outside/plain-1"
    assert chat.profile
    assert chat.profile["tool_calling"] is True


def test_copies_share_the_object_and_pickles_and_dumps_contain_it() -> None:
    listed = FakeListChatModel(responses=["one", "two"])
    chat = ChatUnified(model=listed, fallbacks=[BACKUP])
    for same in (copy.deepcopy(chat), chat.model_copy(), chat.model_copy(update={"temperature": 0})):
        assert same.model is listed
    assert copy.deepcopy(chat).client is chat.client
    dumped = dumpd(ChatUnified(model=listed))
    assert dumped["kwargs"]["model"]["id"][-1] == "FakeListChatModel"
    with running():
        assert pickle.loads(pickle.dumps(chat)).invoke("Hi").text == "one"  # noqa: S301


def test_the_cache_tells_two_objects_apart() -> None:
    cache = InMemoryCache()
    with running():
        for answer in ("first", "second"):
            assert ChatUnified(model=Plain(answer=answer, model=answer), cache=cache).invoke("Hi").text == answer


def test_its_own_timeout_is_the_least_that_it_is_given(caplog: pytest.LogCaptureFixture) -> None:
    class Patient(Plain):
        timeout: Any = None

    patient = ChatUnified(model=Patient(timeout=90), fallbacks=[BACKUP]).client.targets[0].timing
    assert (patient.first_token, patient.whole, patient.fixed) == (90, 90, False)
    for given in (httpx.Timeout(90, connect=3), (3, 90)):
        assert ChatUnified(model=Patient(timeout=given), fallbacks=[BACKUP]).client.targets[0].timing == patient
    usual = ChatUnified(model=Patient(), fallbacks=[BACKUP]).client.targets[0].timing
    assert (usual.first_token, usual.whole) == (20, 60)
    assert not caplog.records


def test_a_timeout_of_the_chain_holds_for_objects_too() -> None:
    targets = ChatUnified(model=BACKUP, fallbacks=[Plain()], timeout=3).client.targets
    assert [target.timing.limit(streaming=True, last=True) for target in targets] == [3, 3]


def test_an_object_in_a_chain_of_another_chain_is_its_target() -> None:
    inner = ChatUnified(model=Plain(), fallbacks=["ollama/b"])
    outer = ChatUnified(model=BACKUP, fallbacks=[inner])
    assert [target.name for target in outer.client.targets] == [BACKUP, "outside/plain-1", "ollama/b"]


# with_fallbacks


@each(
    ("fallbacks", "names"),
    [
        (["ollama/c"], ["ollama/c"]),
        ([{"model": "ollama/c"}, LLMConfig(model="ollama/d")], ["ollama/c", "ollama/d"]),
        (["ollama/c", Plain(), ChatUnified(model="ollama/e")], ["ollama/c", "outside/plain-1", "ollama/e"]),
        ([WithTools().bind_tools([add]), "ollama/c"], ["outside/plain-1", "ollama/c"]),
        (("ollama/c",), ["ollama/c"]),
        ([], []),
    ],
)
def test_with_fallbacks_takes_strings_and_configurations(fallbacks: Any, names: list[str]) -> None:
    chat = ChatUnified(model="ollama/a", fallbacks=["ollama/b"])
    joined = chat.with_fallbacks(fallbacks)
    with_tools: Any = chat.bind_tools([add])
    bound = with_tools.with_fallbacks(fallbacks)
    assert isinstance(joined, ChatUnified)
    assert isinstance(bound, RunnableBinding)
    chains: list[Any] = [joined, bound.bound]
    for chain in chains:
        assert [target.name for target in chain.client.targets] == ["ollama/a", "ollama/b", *names]
    assert bound.kwargs["tools"]


def test_a_fallback_given_as_a_string_answers_with_the_bound_tools() -> None:
    targets = ScriptedTargets({"ollama/a": [[Pause()]], BACKUP: [say("Hello from the backup")]})
    bound: Any = ChatUnified(model="ollama/a", timeout=5).bind_tools([add])
    chain = bound.with_fallbacks([BACKUP])
    with targets.running():
        assert chain.invoke("Hi").text == "Hello from the backup"
    assert [request.tools[0].name for _, request in targets.asked] == ["add", "add"]


@each(
    ("fallbacks", "options", "message"),
    [
        ("ollama/c", {}, r"got a string: write fallbacks=\['ollama/c'\]"),
        (["opanai/x"], {}, "did you mean"),
        (["ollama/c", RunnableLambda(str)], {}, "which are Runnables"),
        (["ollama/c"], {"exceptions_to_handle": (ValueError,)}, "which are Runnables"),
    ],
)
def test_strings_that_cannot_join_are_refused(fallbacks: Any, options: dict[str, Any], message: str) -> None:
    chat = ChatUnified(model="ollama/a")
    for chain in (chat, chat.bind_tools([add])):
        with pytest.raises(ConfigurationError, match=message):
            chain.with_fallbacks(fallbacks, **options)


@each(
    "derive",
    [
        lambda chat: chat.with_structured_output(Joke),
        lambda chat: chat.with_structured_output(Joke, method="function_calling"),
        lambda chat: chat.with_structured_output(Joke, include_raw=True),
        lambda chat: chat.with_config(tags=["a"]),
        lambda chat: chat.with_config(tags=["a"]).bind(stop=["b"]),
    ],
)
@each("fallback", [BACKUP, {"model": BACKUP}, LLMConfig(model=BACKUP), ChatUnified(model=BACKUP)])
def test_what_is_made_of_a_chain_takes_strings_too_and_keeps_its_kind(derive: Any, fallback: Any) -> None:
    down = ScriptedTargets({"ollama/a": [[Pause()]], BACKUP: [say('{"setup": "Why?"}')]})
    derived = derive(ChatUnified(model="ollama/a", timeout=5))
    chain = derived.with_fallbacks([fallback])
    assert type(chain) is type(derived)
    with down.running():
        chain.invoke("Hi")
    first, second = down.asked
    assert (first[0], second[0]) == ("ollama/a", BACKUP)
    assert (first[1].tools, first[1].response_format, first[1].stop) == (
        second[1].tools,
        second[1].response_format,
        second[1].stop,
    )


def test_structured_output_has_the_name_and_the_dump_of_langchains_sequence() -> None:
    output: Any = ChatUnified(model="ollama/a").with_structured_output(Joke)
    chain = output.with_fallbacks([BACKUP])
    assert chain.get_name() == "RunnableSequence"
    assert dumpd(chain)["id"] == ["langchain", "schema", "runnable", "RunnableSequence"]


def test_a_fallback_keeps_its_own_tags_and_callbacks() -> None:
    chat: Any = ChatUnified(model="ollama/a")
    for primary in (chat, chat.bind_tools([add]), chat.with_config(tags=["a"]), chat.with_structured_output(Joke)):
        chain = primary.with_fallbacks([ChatUnified(model=BACKUP).with_config(tags=["b"])])
        assert isinstance(chain, RunnableWithFallbacks)
        with pytest.raises(ConfigurationError, match="have a RunnableConfig"):
            primary.with_fallbacks([BACKUP, Plain().with_config(tags=["b"])])


def test_other_runnables_still_get_the_fallbacks_of_langchain() -> None:
    assert isinstance(ChatUnified(model="ollama/a").with_fallbacks([RunnableLambda(str)]), RunnableWithFallbacks)
