"""Reports of users of other LangChain models, tried on ours; the letters are those of their report."""

from __future__ import annotations

import functools
import operator
import sys
from collections.abc import Sequence
from typing import Any

import pytest
from langchain.agents import create_agent
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage, HumanMessage, SystemMessage, ToolMessage
from langchain_core.messages.tool import tool_call_chunk
from langchain_core.tools import StructuredTool, tool
from pydantic import BaseModel

from tests.support.langchain_models import Native
from tests.support.langchain_targets import KEY, with_wrapped_models
from tests.support.scripted_targets import ScriptedTargets, Step
from tests.support.sent_requests import SentRequests
from tests.support.upstream_bodies import check_body
from unified_llm import exceptions as ours
from unified_llm._core.outcome import Failure
from unified_llm.langchain import ChatUnified
from unified_llm.langchain._call_kwargs import convert_tool
from unified_llm.types import LLMResponse, ToolCall

PRIMARY, SECOND = "openai/gpt-5-mini", "ollama/llama3.2"
DOWN = Failure("auth", 401)


@tool
def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


def model(*fallbacks: Any, **fields: Any) -> ChatUnified:
    given: dict[str, Any] = {
        "model": PRIMARY,
        "api_key": KEY,
        "max_retries": 0,
        "fallbacks": fallbacks or (SECOND,),
        **fields,
    }
    return ChatUnified(**given)


async def all_ways(llm: Any) -> list[AIMessage]:
    streamed = [chunk async for chunk in llm.astream("Hi")]
    return [
        llm.invoke("Hi"),
        await llm.ainvoke("Hi"),
        functools.reduce(operator.add, llm.stream("Hi")),
        functools.reduce(operator.add, streamed),
    ]


# H: tokens are estimated, by get_num_tokens and by all that LangChain builds on it


@pytest.fixture
def _no_tokenizer(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make the import of what LangChain's default would load fail."""
    monkeypatch.setitem(sys.modules, "transformers", None)


@pytest.mark.usefixtures("_no_tokenizer")
def test_h_tokens_of_a_text_are_estimated_without_a_tokenizer() -> None:
    llm = ChatUnified(model="ollama/llama3.2")
    for text, tokens in (("", 0), ("a", 1), ("hello world", 3), ("x" * 400, 100), ("\ud800 Grüße, 世界", 3)):
        assert llm.get_num_tokens(text) == len(llm.get_token_ids(text)) == tokens, text
    assert llm.get_token_ids("abcdabcd")[0] == llm.get_token_ids("abcdabcd")[1] != llm.get_token_ids("bcda")[0]
    # The same estimate as for a conversation, which adds the roles.
    text = "word " * 80
    assert llm.get_num_tokens(text) <= llm.get_num_tokens_from_messages([HumanMessage(text)]) < 110


@pytest.mark.usefixtures("_no_tokenizer")
def test_h_every_kind_of_tool_counts() -> None:
    class Joke(BaseModel):
        """A joke."""

        setup: str

    def multiply(a: int) -> int:
        """Multiply."""
        return a

    llm = model()
    hello: list[BaseMessage] = [HumanMessage("Hello")]
    schema = {"title": "x", "type": "object", "properties": {}}
    tools: list[Any] = [add, Joke, multiply, {"google_search": {}}, schema]
    for offered in tools:
        assert llm.get_num_tokens_from_messages(hello, tools=[offered]) > llm.get_num_tokens_from_messages(hello)
    with pytest.raises(ours.ValidationError):
        llm.get_num_tokens_from_messages(hello, tools=[1])  # type: ignore[list-item]


def test_h_a_users_own_tokenizer_is_used_for_all_of_them() -> None:
    llm = model(custom_get_token_ids=lambda text: [len(word) for word in text.split()])
    assert llm.get_token_ids("one three") == [3, 5]
    assert llm.get_num_tokens("one three") == 2
    assert llm.get_num_tokens_from_messages([HumanMessage("one three")]) == 3  # with "Human:"


# I: blocks of different kinds never become one


CALLS = (ToolCall("c1", "add", {"a": 1}, '{"a": 1}'), ToolCall("c2", "add", {"a": 2}, '{"a": 2}'))


def reply_with(*kinds: str) -> list[Step]:
    return [
        LLMResponse(
            content="Let me add." if "text" in kinds else "",
            reasoning="Hm." if "reasoning" in kinds else None,
            tool_calls=CALLS if "tool_call" in kinds else (),
        )
    ]


def without_index(message: AIMessage) -> list[Any]:
    return [{name: value for name, value in dict(block).items() if name != "index"} for block in message.content_blocks]


@pytest.mark.parametrize("given", ["output_version", "environment"])
async def test_i_a_stream_of_standard_blocks_is_the_whole_response(given: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if given == "environment":
        monkeypatch.setenv("LC_OUTPUT_VERSION", "v1")
    version = {} if given == "environment" else {"output_version": "v1"}
    for kinds in (
        ("text", "tool_call"),
        ("reasoning", "text", "tool_call"),
        ("reasoning", "tool_call"),
        ("tool_call",),
        ("reasoning", "text"),
        ("text",),
    ):
        with ScriptedTargets({PRIMARY: [DOWN], SECOND: [reply_with(*kinds)]}).running():
            whole, *others = await all_ways(model(**version).bind_tools([add]))
        expected = [kind for kind in kinds if kind != "tool_call"] + ["tool_call"] * 2 * ("tool_call" in kinds)
        assert [block["type"] for block in whole.content_blocks] == expected
        for message in others:
            assert isinstance(message.content, list)
            assert message.content == message.content_blocks
            assert without_index(message) == without_index(whole), kinds
            assert message.tool_calls == whole.tool_calls


def test_i_text_and_calls_that_take_turns_stay_apart() -> None:
    beginning = tool_call_chunk(name="add", args='{"a"', id="c1", index=0)
    fragments = [
        AIMessageChunk(content="One. "),
        AIMessageChunk(content="", tool_call_chunks=[beginning]),
        AIMessageChunk(content="", tool_call_chunks=[tool_call_chunk(args=": 1}", index=0)]),
        AIMessageChunk(content="Two."),
    ]
    with with_wrapped_models(ScriptedTargets({PRIMARY: [DOWN]})):
        message = functools.reduce(operator.add, model(Native(chunks=fragments), output_version="v1").stream("Hi"))
    assert without_index(message) == [
        {"type": "text", "text": "One. Two."},
        {"type": "tool_call", "name": "add", "args": {"a": 1}, "id": "c1"},
    ]


# F: a provider's own tools in LangChain's spelling


GEMINIS: Sequence[tuple[dict[str, Any], dict[str, Any]]] = (
    ({"google_search": {}}, {"googleSearch": {}}),
    ({"googleSearch": {}}, {"googleSearch": {}}),
    ({"url_context": {}}, {"urlContext": {}}),
    ({"code_execution": {}}, {"codeExecution": {}}),
    ({"code_execution": None}, {"codeExecution": {}}),
    ({"type": "google_search"}, {"googleSearch": {}}),
    ({"type": "googleSearch"}, {"googleSearch": {}}),
    ({"type": "url_context"}, {"urlContext": {}}),
    (
        {"google_search_retrieval": {"dynamic_retrieval_config": {"mode": "MODE_DYNAMIC"}}},
        {"googleSearchRetrieval": {"dynamic_retrieval_config": {"mode": "MODE_DYNAMIC"}}},
    ),
    (
        {"type": "file_search", "file_search_store_names": ["fileSearchStores/x"]},
        {"fileSearch": {"file_search_store_names": ["fileSearchStores/x"]}},
    ),
    ({"google_maps": {"enable_widget": True}}, {"googleMaps": {"enable_widget": True}}),
    ({"computer_use": {"environment": "ENVIRONMENT_BROWSER"}}, {"computerUse": {"environment": "ENVIRONMENT_BROWSER"}}),
)


def test_f_geminis_own_tools_are_taken_in_every_spelling() -> None:
    llm = ChatUnified(model="gemini/gemini-2.5-flash", api_key=KEY)
    with SentRequests().running() as targets:
        for given, sent in GEMINIS:
            llm.bind_tools([given]).invoke("Hi")
            agent: Any = create_agent(llm, [given])
            agent.invoke({"messages": [("user", "Hi")]})
            assert [request.body["tools"] for request in targets.sent[-2:]] == [[sent], [sent]], given


OTHERS: Sequence[tuple[str, dict[str, Any]]] = (
    ("openai/gpt-5-mini", {"type": "web_search"}),
    ("openai/gpt-5-mini", {"type": "code_interpreter", "container": {"type": "auto"}}),
    ("openai/gpt-5-mini", {"type": "file_search", "vector_store_ids": ["vs_1"]}),
    ("openai/gpt-5-mini", {"type": "mcp", "server_label": "docs", "server_url": "https://e.example/mcp"}),
    ("anthropic/claude-haiku-4-5", {"type": "web_search_20250305", "name": "web_search", "max_uses": 3}),
    ("anthropic/claude-haiku-4-5", {"type": "text_editor_20250728", "name": "str_replace_based_edit_tool"}),
    ("anthropic/claude-haiku-4-5", {"type": "mcp_toolset", "mcp_server_name": "docs"}),
    ("groq/openai/gpt-oss-20b", {"type": "browser_search"}),
    ("xai/grok-4", {"type": "code_execution"}),
    ("moonshot/kimi-k2.5", {"type": "builtin_function", "function": {"name": "$web_search"}}),
    ("zai/glm-4.6", {"type": "web_search", "web_search": {"enable": True}}),
)


def test_f_other_providers_own_tools_reach_them_as_they_are() -> None:
    with SentRequests().running() as targets:
        for name, given in OTHERS:
            api: dict[str, Any] = {"api": "responses"} if name.startswith("openai") else {}
            ChatUnified(model=name, api_key=KEY, **api).bind_tools([given]).invoke("Hi")
            assert targets.sent[-1].body["tools"] == [given], name


def test_f_a_tool_is_not_bound_to_the_format_of_the_primary() -> None:
    """What a target cannot write is no matter of ``bind_tools``: any chain may have a target that can."""
    tools: list[dict[str, Any]] = [{"google_search": {}}, {"type": "web_search_20250305", "name": "web_search"}]
    for given in tools:
        llm = model("gemini/gemini-2.5-flash" if "google_search" in given else "anthropic/claude-haiku-4-5")
        assert llm.bind_tools([given]).kwargs["tools"] == [given]  # type: ignore[attr-defined]


def test_f_a_tool_of_gemini_that_another_provider_has_by_that_name_is_not_mistaken() -> None:
    with SentRequests().running() as targets:
        with pytest.raises(ours.LLMError, match="another provider"):
            ChatUnified(model="gemini/gemini-2.5-flash", api_key=KEY).bind_tools([OTHERS[2][1]]).invoke("Hi")
        geminis: list[dict[str, Any]] = [{"google_search": {}}, {"type": "google_search"}, {"type": "url_context"}]
        for given in geminis:
            with pytest.raises(ours.LLMError, match="another provider"):
                ChatUnified(model=PRIMARY, api_key=KEY).bind_tools([given]).invoke("Hi")
        assert targets.sent == []


def test_f_a_tool_that_one_target_alone_has_skips_the_others_and_the_error_names_each_reason() -> None:
    chain = model("anthropic/claude-haiku-4-5", "gemini/gemini-2.5-flash", "openai/gpt-4.1")
    served: list[tuple[dict[str, Any], str]] = [
        ({"google_search": {}}, "gemini/gemini-2.5-flash"),
        ({"type": "web_search_20250305", "name": "web_search"}, "anthropic/claude-haiku-4-5"),
        ({"type": "web_search_preview"}, "openai/gpt-4.1"),
    ]
    with SentRequests(PRIMARY).running():
        for given, target in served:
            record = chain.bind_tools([given]).invoke("Hi").response_metadata["unified_llm"]
            assert record["served_by"] == target, record
    with SentRequests(PRIMARY).running(), pytest.raises(ours.LLMError) as caught:
        model("anthropic/claude-haiku-4-5").bind_tools([{"type": "web_search_preview"}]).invoke("Hi")
    assert "another provider" in str(caught.value)
    assert [attempt.target for attempt in caught.value.attempts] == [PRIMARY, "anthropic/claude-haiku-4-5"]


def test_f_a_dict_that_is_neither_a_function_nor_a_tool_is_refused() -> None:
    dicts: list[dict[str, Any]] = [
        {},
        {"properties": {"a": {}}},
        {"description": "x"},
        {"x": 1},
        {"$ref": "#", "$defs": {}},
    ]
    for given in dicts:
        with pytest.raises(ours.ValidationError):
            convert_tool(given)


# G, L, M and rows of the table: what reaches each format through the adapter passes the validator of its upstream


FORMATS = ("openai/gpt-4.1-mini", "anthropic/claude-haiku-4-5", "gemini/gemini-2.5-flash", "ollama/llama3.2")
BRANCHES = [{"type": "object", "properties": {name: {"type": "string"}}} for name in ("a", "b")]
MCP_SCHEMAS: Sequence[dict[str, Any]] = (
    {"type": "object"},
    {},
    {"properties": {"q": {"type": "string"}}},
    {"anyOf": BRANCHES},
    {"$ref": "#/$defs/Q", "$defs": {"Q": {"type": "object", "properties": {"q": {"type": "string"}}}}},
    {"type": "object", "properties": {}, "required": []},
)


def check_sent(targets: SentRequests, llm: ChatUnified) -> Any:
    body = targets.sent[-1].body
    check_body(body, llm.client.targets[0])
    return body


def test_l_schemas_of_mcp_tools_reach_every_format_complete() -> None:
    with SentRequests().running() as targets:
        for name in FORMATS:
            llm = ChatUnified(model=name, api_key=KEY)
            for schema in MCP_SCHEMAS:
                llm.bind_tools([StructuredTool(name="t", description="d", args_schema=schema, func=print)]).invoke("Hi")
                body = check_sent(targets, llm)
                if name.startswith("openai"):
                    parameters = body["tools"][0]["function"]["parameters"]
                    assert parameters["type"] == "object", schema
                    assert isinstance(parameters["properties"], dict), schema


def test_g_names_that_a_model_invented_do_not_end_a_thread() -> None:
    with SentRequests().running() as targets:
        for name in FORMATS:
            llm = ChatUnified(model=name, api_key=KEY)
            for invented in ("", "functions.search", "name with spaces", "x" * 200, "Grüße[int]", "2nd"):
                call = {"name": invented, "args": {}, "id": "c1", "type": "tool_call"}
                history = [
                    HumanMessage("Hi"),
                    AIMessage("", tool_calls=[call]),
                    ToolMessage("not a valid tool", tool_call_id="c1"),
                ]
                llm.bind_tools([add]).invoke(history)
                check_sent(targets, llm)


def test_g_odd_names_of_offered_tools_come_back_as_they_were_offered() -> None:
    for odd in ("caldav-mcp.create-event", "two words", "List[int]", "é" * 70, "2nd"):
        offered = StructuredTool(name=odd, description="d", args_schema={"type": "object"}, func=print)
        with SentRequests().running() as targets:
            for name in FORMATS:
                llm = ChatUnified(model=name, api_key=KEY)
                llm.bind_tools([offered], tool_choice=odd if "ollama" not in name else None).invoke("Hi")
                check_sent(targets, llm)


def test_m_an_empty_message_of_a_user_is_sent_in_a_form_that_each_format_takes() -> None:
    contents: list[Any] = ["", "   ", []]
    with SentRequests().running() as targets:
        for content in contents:
            for name in FORMATS:
                llm = ChatUnified(model=name, api_key=KEY)
                llm.invoke([SystemMessage("Be brief."), HumanMessage(content), AIMessage("?"), HumanMessage("Hi")])
                check_sent(targets, llm)


def test_28_broken_arguments_are_invalid_calls_and_go_back_in_the_history() -> None:
    broken = ("[]", '{"a": 1', "{{}}", '{"a": NaN', "no JSON")
    for text in broken:
        reply = LLMResponse(tool_calls=(ToolCall.parse("c1", "add", text),), finish_reason="tool_calls")
        with ScriptedTargets({PRIMARY: [[reply]]}).running():
            message = model().bind_tools([add]).invoke("Hi")
        assert (message.tool_calls, [call["args"] for call in message.invalid_tool_calls]) == ([], [text])
        with SentRequests().running() as targets:
            for name in FORMATS:
                llm = ChatUnified(model=name, api_key=KEY)
                result = ToolMessage("no valid JSON", tool_call_id="c1")
                llm.bind_tools([add]).invoke([HumanMessage("Hi"), message, result])
                check_sent(targets, llm)


def test_15_a_call_without_arguments_has_an_empty_dict_whole_and_streamed() -> None:
    for text in ("", "{}"):
        reply = LLMResponse(tool_calls=(ToolCall.parse("c1", "add", text),), finish_reason="tool_calls")
        with ScriptedTargets({PRIMARY: [[reply]]}).running():
            llm = model().bind_tools([add])
            for message in (llm.invoke("Hi"), functools.reduce(operator.add, llm.stream("Hi"))):
                assert [call["args"] for call in message.tool_calls] == [{}], text
