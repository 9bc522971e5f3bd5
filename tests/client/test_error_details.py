"""A provider's codes, the field that it names, and its own words: what of it is in the message of an error."""

from __future__ import annotations

import asyncio
import json
import logging
import pickle
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Any, Final

import pytest

from tests.support.each import each
from tests.support.four_ways import GPT, HAIKU, WAYS, Way, outcome_of
from tests.support.prefilled_sockets import PrefilledSockets, events, whole
from tests.support.scripted_targets import Attempt, ScriptedTargets, say
from unified_llm import LLMClient, configure, register_provider
from unified_llm._backends.objects.errors import read_failure
from unified_llm._core.outcome import Failure
from unified_llm._core.provider_words import read_line, read_name
from unified_llm._providers import registry
from unified_llm.exceptions import AllTargetsFailedError, BadRequestError, ConfigurationError, LLMError
from unified_llm.langchain import ChatUnified, UnifiedEmbeddings
from unified_llm.llama_index import UnifiedEmbedding, UnifiedLLM

WORDS: Final = "This will not do: CANARY of the prompt."
OPENAI: Final = {
    "error": {"message": WORDS, "type": "invalid_request_error", "param": "tools[0].type", "code": "bad_tool"}
}


@pytest.fixture
def sockets(monkeypatch: pytest.MonkeyPatch) -> PrefilledSockets:
    return PrefilledSockets(monkeypatch)


def refused(status: int = 400) -> Failure:
    return Failure("bad_request", status, "bad_tool", WORDS, "req-7", param="tools[0].type")


@contextmanager
def details() -> Generator[None, None, None]:
    configure(error_details=True)
    try:
        yield
    finally:
        configure(error_details=None)


# Codes and fields


@each("way", WAYS)
def test_the_code_and_the_field_are_in_the_message_and_the_words_are_not(way: Way) -> None:
    with ScriptedTargets({GPT: [refused()]}).running():
        result = outcome_of(way, LLMClient(GPT))
    assert result.message == (
        f"{GPT}: it refused the request as invalid (HTTP 400, bad_tool, param tools[0].type, request req-7); "
        ".detail holds the provider's message."
    )


FORMATS: Final[list[tuple[str, Any, str]]] = [
    ("openai/m", OPENAI, "(HTTP 400, bad_tool, param tools[0].type)"),
    ("openai/m", {"error": {**OPENAI["error"], "code": None}},
     "(HTTP 400, invalid_request_error, param tools[0].type)"),
    ("mistral/m", {"detail": [{"type": "missing", "loc": ["body", "messages", 0, "role"], "msg": WORDS}]},
     "(HTTP 400, param messages.0.role)"),
    ("mistral/m", {"object": "error", "message": {"detail": [{"loc": ["body", "model"], "msg": WORDS}]},
                   "type": "invalid_request_error"}, "(HTTP 400, invalid_request_error, param model)"),
    ("anthropic/m", {"type": "error", "error": {"type": "invalid_request_error", "message": WORDS}},
     "(HTTP 400, invalid_request_error)"),
    ("gemini/m", {"error": {"code": 400, "status": "INVALID_ARGUMENT", "message": WORDS, "details": [
        {"reason": "FIELD_INVALID"}, {"fieldViolations": [{"field": "contents[0].parts", "description": WORDS}]}]}},
     "(HTTP 400, INVALID_ARGUMENT, FIELD_INVALID, param contents[0].parts)"),
    ("cohere/m", {"message": WORDS}, "(HTTP 400)"),
    ("ollama/m", {"error": WORDS}, "(HTTP 400)"),
    ("huggingface/m", {"error": WORDS, "error_type": "validation"}, "(HTTP 400, validation)"),
    ("azure/m", {"error": {"code": "BadRequest", "message": WORDS, "param": "prompt", "status": 400,
                           "innererror": {"code": "InvalidImage"}}},
     "(HTTP 400, BadRequest, InvalidImage, param prompt)"),
    ("openrouter/m", {"error": {"code": 400, "message": "Provider returned error",
                                "metadata": {"raw": json.dumps(OPENAI), "provider_name": "OpenAI"}}},
     "(HTTP 400, bad_tool, param tools[0].type)"),
]  # fmt: skip


def test_every_format_has_the_code_and_the_field_in_the_message(sockets: PrefilledSockets) -> None:
    for model, body, facts in FORMATS:
        client = LLMClient(model, api_key="k-0123456789", base_url="http://127.0.0.1:1", max_retries=0)
        for call in (lambda client: client.generate("x"), lambda client: list(client.stream("x"))):
            with sockets.having([whole(body, 400)]), pytest.raises(BadRequestError) as caught:
                call(client)
            assert f" {facts}; " in str(caught.value), model
            assert "CANARY" not in str(caught.value), model
            assert "CANARY" in str(caught.value.detail), model


def test_the_responses_api_and_an_error_event_have_them_too(sockets: PrefilledSockets) -> None:
    client = LLMClient("openai/m", api="responses", api_key="k-0123456789", base_url="http://127.0.0.1:1")
    with (
        sockets.having([whole(OPENAI, 400)]),
        pytest.raises(BadRequestError, match=r"bad_tool, param tools\[0\]\.type"),
    ):
        client.generate("x")
    vllm = LLMClient("vllm/m", base_url="http://127.0.0.1:1")
    with sockets.having([events(OPENAI)]), pytest.raises(LLMError, match=r"bad_tool, param tools\[0\]\.type"):
        list(vllm.stream("x"))
    text = {"choices": [{"index": 0, "delta": {"content": "Hello"}}]}
    with sockets.having([events(text, OPENAI)]), pytest.raises(LLMError, match=r"bad_tool, param tools\[0\]") as caught:
        list(vllm.stream("x"))
    assert "CANARY" not in str(caught.value)


@each(
    "text",
    ["the whole prompt", "a\nb", "tell me\ta secret", "Größe", "秘密の質問", "x" * 81, "a,b", '{"a":1}', "<b>", "a=b",
     "", 5, None, "\x1b[31mred", "a\u202eb"],
)  # fmt: skip
def test_what_may_be_a_text_is_no_name(text: Any) -> None:
    assert read_name(text) is None
    failure = Failure("bad_request", 400, code=text, subcode=text, param=text)
    assert (failure.code, failure.subcode, failure.param) == (None, None, None)
    with ScriptedTargets({GPT: [failure]}).running(), pytest.raises(BadRequestError) as caught:
        LLMClient(GPT).generate("x")
    assert str(caught.value) == f"{GPT}: it refused the request as invalid (HTTP 400)."


@each(
    ("text", "name"),
    [
        ("invalid_api_key", "invalid_api_key"),
        ("key_model_access_denied", "key_model_access_denied"),
        ("messages.[0].content", "messages.[0].content"),
        ("properties['city'].enum", "properties.city.enum"),
        ("$.messages[10]", "$.messages[10]"),
        ("input/0/text", "input/0/text"),
        ("refused_***", "refused_***"),
        ("sk-proj-0123456789abcdef", "***"),
        ("key:gsk_0123456789abcdef", "key:***"),
        ("a.b" * 40, f"{'a.b' * 25}a...."[:77] + "..."),
    ],
)
def test_a_name_is_kept_without_keys_and_within_80_characters(text: str, name: str) -> None:
    assert read_name(text) == name
    assert read_name(name) == name
    assert len(name) <= 80


def test_a_request_identifier_that_may_be_a_text_is_not_in_the_message() -> None:
    for identifier, shown in (("req-7f/3:1", True), ("the whole prompt", False)):
        with ScriptedTargets({GPT: [Failure("auth", 401, request_id=identifier)]}).running():
            assert (identifier in outcome_of("generate", LLMClient(GPT)).message) == shown


def test_a_code_that_is_the_status_is_not_said_twice() -> None:
    with ScriptedTargets({GPT: [Failure("server", 503, "503")]}).running(), pytest.raises(LLMError) as caught:
        LLMClient(GPT, max_retries=0).generate("x")
    assert "(HTTP 503)" in str(caught.value)


# Exceptions of SDKs, as wrapped models raise them


class SDKError(Exception):
    """Has the attributes that an SDK's exception has."""

    def __init__(self, **attributes: Any) -> None:
        super().__init__(WORDS)
        self.__dict__.update(attributes)


@each(
    ("attributes", "names"),
    [
        ({"status_code": 400, "code": "bad_tool", "param": "tools", "body": None}, ("bad_tool", None, "tools")),
        ({"status_code": 400, "code": None, "body": OPENAI["error"]}, ("bad_tool", None, "tools[0].type")),
        ({"status_code": 400, "body": {"type": "error", "error": {"type": "invalid_request_error", "message": WORDS}}},
         ("invalid_request_error", None, None)),
        ({"code": 400, "status": "INVALID_ARGUMENT"}, ("INVALID_ARGUMENT", None, None)),
        ({"code": 400, "status": "INVALID_ARGUMENT", "details": {"error": {"status": "INVALID_ARGUMENT", "details": [
            {"reason": "FIELD_INVALID"}, {"fieldViolations": [{"field": "contents[0].parts"}]}]}}},
         ("INVALID_ARGUMENT", "FIELD_INVALID", "contents[0].parts")),
        ({"response": {"Error": {"Code": "ValidationException"}, "ResponseMetadata": {"HTTPStatusCode": 400}}},
         ("ValidationException", None, None)),
        ({"status_code": 400, "code": "the prompt", "param": "the prompt"}, (None, None, None)),
    ],
)  # fmt: skip
def test_the_exception_of_an_sdk_has_its_codes_and_its_field(attributes: Any, names: Any) -> None:
    failure = read_failure(SDKError(**attributes))
    assert failure is not None
    assert failure.kind == "bad_request"
    assert (failure.code, failure.subcode, failure.param) == names


def test_a_provider_of_the_users_hands_on_the_field() -> None:
    class Own:
        def generate(self, request: Any) -> str:
            raise BadRequestError("refused", code="bad_tool", param="tools", detail=WORDS)

    register_provider("own", Own())
    try:
        with pytest.raises(
            BadRequestError, match=r"own/m: it refused the request as invalid \(bad_tool, param tools\)"
        ):
            LLMClient("own/m").generate("x")
    finally:
        registry.unregister("own")


# The provider's own words


@pytest.mark.parametrize("way", WAYS)
def test_the_words_are_in_the_message_where_the_user_wants_them(way: Way, caplog: pytest.LogCaptureFixture) -> None:
    with details(), ScriptedTargets({GPT: [refused()], HAIKU: [say("Hi")]}).running():
        result = outcome_of(way, LLMClient(GPT))
        with caplog.at_level(logging.DEBUG, "unified_llm"):
            outcome_of(way, LLMClient(GPT, fallbacks=[HAIKU]))
    assert result.message == (
        f"{GPT}: it refused the request as invalid (HTTP 400, bad_tool, param tools[0].type, request req-7). "
        f'Detail: "{WORDS}".'
    )
    assert "CANARY" not in " ".join(str(vars(record)) for record in caplog.records)


def test_the_words_of_every_target_have_a_line() -> None:
    script = {GPT: [Failure("server", 503, detail="one\n\r two")], HAIKU: [Failure("auth", 401, detail=WORDS)]}
    with ScriptedTargets(script).running(), details(), pytest.raises(AllTargetsFailedError) as caught:
        LLMClient(GPT, fallbacks=[HAIKU], max_retries=0).generate("x")
    _, first, second = str(caught.value).splitlines()
    assert first.endswith('Detail: "one two".')
    assert second.endswith(f'Detail: "{WORDS}".')
    assert f'Detail: "{WORDS}".' in str(pickle.loads(pickle.dumps(caught.value)))  # noqa: S301 - our own
    assert pickle.loads(pickle.dumps(caught.value)).detail is None  # noqa: S301


def test_a_stream_that_breaks_has_them_too() -> None:
    script: dict[str, list[Attempt]] = {GPT: [["Hel", Failure("server", detail=WORDS, param="stream")]]}
    for wanted in (False, True):
        configure(error_details=wanted)
        with ScriptedTargets(script).running(), pytest.raises(LLMError) as caught:
            list(LLMClient(GPT).stream("x"))
        assert "(param stream)" in str(caught.value)
        assert (WORDS in str(caught.value)) == wanted
        assert (WORDS in str(caught.value.__cause__)) == wanted


EMBEDDER: Final = "openai/text-embedding-3-small"
SURFACES: Final[list[Callable[[], Any]]] = [
    lambda: LLMClient(EMBEDDER).embed("x"),
    lambda: ChatUnified(model=GPT).invoke("x"),
    lambda: asyncio.run(ChatUnified(model=GPT).ainvoke("x")),
    lambda: list(ChatUnified(model=GPT).stream("x")),
    lambda: UnifiedEmbeddings(model=EMBEDDER).embed_query("x"),
    lambda: UnifiedLLM(model=GPT).complete("x"),
    lambda: list(UnifiedLLM(model=GPT).stream_complete("x")),
    lambda: UnifiedEmbedding(model=EMBEDDER).get_text_embedding("x"),
]


@each("call", SURFACES)
def test_every_surface_has_the_field_always_and_the_words_on_demand(call: Callable[[], Any]) -> None:
    for wanted in (False, True):
        configure(error_details=wanted)
        targets = ScriptedTargets({GPT: [refused()], EMBEDDER: [refused()]})
        with targets.running(), pytest.raises(BadRequestError) as caught:
            call()
        assert "(HTTP 400, bad_tool, param tools[0].type, request req-7)" in str(caught.value)
        assert (caught.value.param, caught.value.code) == ("tools[0].type", "bad_tool")
        assert (WORDS in str(caught.value)) == wanted


def test_the_words_are_one_line_without_keys(sockets: PrefilledSockets) -> None:
    key = "tk" + "-of-a-gateway-7f3a9c5d"
    body = {"error": {"message": f"No.\r\n\x1b[31m Key {key}\u2028is bad, {'and bad ' * 100}"}}
    client = LLMClient("vllm/m", api_key=key, base_url="http://127.0.0.1:1")
    with details(), sockets.having([whole(body, 400)]), pytest.raises(BadRequestError) as caught:
        client.generate("x")
    (line,) = str(caught.value).splitlines()
    assert line.isprintable()
    assert 'Detail: "No. [31m Key *** is bad, and bad' in line
    assert len(line.partition('Detail: "')[2]) <= 302
    assert read_line("Incorrect API key provided: sk-proj-0123456789abc.") == "Incorrect API key provided: ***"


def test_what_is_said_already_is_not_repeated() -> None:
    with details(), ScriptedTargets({GPT: [Failure("unsendable", detail="tools[0] is no tool.")]}).running():
        result = outcome_of("generate", LLMClient(GPT))
    assert result.message == f"{GPT}: tools[0] is no tool; fix the request."


def test_the_environment_can_ask_for_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UNIFIED_LLM_ERROR_DETAILS", "true")
    with ScriptedTargets({GPT: [refused()]}).running():
        assert WORDS in outcome_of("generate", LLMClient(GPT)).message
        configure(error_details=False)
        assert WORDS not in outcome_of("generate", LLMClient(GPT)).message
    configure(error_details=None)
    monkeypatch.setenv("UNIFIED_LLM_ERROR_DETAILS", "perhaps")
    with pytest.raises(ConfigurationError, match="UNIFIED_LLM_ERROR_DETAILS must be True or False"):
        LLMClient(GPT)
    with pytest.raises(ConfigurationError, match=r"configure\(error_details=\.\.\.\) must be True or False"):
        configure(error_details="yes")  # type: ignore[arg-type]
